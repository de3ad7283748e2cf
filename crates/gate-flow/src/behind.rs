//! What stands behind a policy on its route, asked once more beside the exchange: for a policy that
//! has to fetch again what it gives, in the background or because an answer did not fit.

use crate::{Aside, Beside, Exchange, Fault, Parameters, Passed, run_request, run_response};
use gate_kit::http::{Request, Response};

/// The later policies of a route and its target.
pub struct Behind {
    beside: Beside,
    route: usize,
    position: usize,
    parameters: Parameters,
}

impl Exchange {
    /// What stands behind the policy at this position of the exchange's route; none before there is
    /// a route.
    #[must_use]
    pub fn behind(&self, position: usize) -> Option<Behind> {
        Some(Behind {
            beside: self.beside(),
            route: self.route?,
            position,
            parameters: self.parameters.clone(),
        })
    }
}

impl Behind {
    /// Asks with this request. The exchange that comes with the answer is to be settled once the
    /// body has been read. May be dropped midway, which cancels the call.
    ///
    /// # Errors
    /// The fault of a policy or of the target.
    pub async fn ask(&self, request: Request) -> Result<(Aside, Response), Fault> {
        let mut aside = self.beside.aside(request, None);
        let exchange = aside.exchange();
        exchange.route = Some(self.route);
        exchange.parameters = self.parameters.clone();
        let snapshot = exchange.snapshot.clone();
        let route = &snapshot.routes[self.route];
        let steps = route.steps.get(self.position + 1..).unwrap_or_default();
        let mut passed = Passed::default();
        let mut response = match run_request(steps, exchange, &mut passed).await? {
            Some(reply) => reply,
            None => route.target.call(exchange).await?,
        };
        let mut broken = None;
        let failed = std::cell::RefCell::new(&mut broken);
        run_response(steps, exchange, passed, &mut response, |_, fault| {
            let status = fault.code.status();
            **failed.borrow_mut() = Some(fault);
            Response::empty(status)
        })
        .await;
        match broken {
            Some(fault) => Err(fault),
            None => Ok((aside, response)),
        }
    }
}
