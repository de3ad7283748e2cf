//! Refusing the least important exchanges.

use arc_swap::ArcSwap;
use gate_flow::{Condition, Exchange, Fault};
use gate_kit::clock::Moment;
use gate_kit::random;
use gate_model::fault::FaultCode;
use gate_model::units::Percent;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a caller that is shed is asked to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Exchanges that are refused.
pub(super) struct Shed {
    id: String,
    route: Option<String>,
    low: Vec<Box<dyn Condition>>,
    share: f64,
    until: Moment,
}

impl Shed {
    pub(super) fn new(
        id: &str,
        route: Option<&str>,
        low: &[String],
        share: Percent,
        until: Moment,
        condition: crate::compile::ConditionCompiler,
    ) -> Result<Self, String> {
        Ok(Self {
            id: id.to_owned(),
            route: route.map(str::to_owned),
            low: low
                .iter()
                .map(|text| condition(text))
                .collect::<Result<_, _>>()?,
            share: share.fraction(),
            until,
        })
    }

    fn refuses(&self, exchange: &Exchange) -> bool {
        let route = exchange.record.route.as_deref();
        if self.route.as_deref().is_some_and(|own| Some(own) != route)
            || exchange.moment >= self.until
        {
            return false;
        }
        // What has no value is not known to be unimportant.
        let mut low = self.low.iter();
        low.any(|one| one.holds(exchange).unwrap_or(false))
            && (self.share >= 1.0 || random::fraction() < self.share)
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Sheds {
    /// Whether there are any: all that an exchange asks without them.
    any: AtomicBool,
    list: ArcSwap<Vec<Arc<Shed>>>,
}

impl Sheds {
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, list: Vec<Arc<Shed>>) {
        let any = !list.is_empty();
        self.list.store(Arc::new(list));
        self.any.store(any, Ordering::Relaxed);
    }

    #[cold]
    pub(super) fn refuses(&self, exchange: &Exchange) -> Option<Fault> {
        let list = self.list.load();
        let shed = list.iter().find(|one| one.refuses(exchange))?;
        let detail = format!("action `{}` sheds what is least important", shed.id);
        let fault = Fault::new(FaultCode::Overloaded).detail(detail);
        Some(fault.retry_after(RETRY_AFTER))
    }
}
