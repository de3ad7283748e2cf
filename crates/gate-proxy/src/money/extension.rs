//! Reserving for one try more, where those before it may be billed although nothing came of them.

use super::reserve::Owners;
use gate_flow::{Extended, Extension, Spent};
use gate_model::units::Money;
use gate_store::Refusal;
use gate_store::books::{More, Unit};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

/// Adds to what a call has set aside.
pub(super) struct Extending {
    pub(super) more: More,
    pub(super) owners: Owners,
}

impl Extension for Extending {
    fn extend<'a>(&'a self, spent: &'a [Arc<str>]) -> Extended<'a> {
        Box::pin(async move {
            let mut barred: Vec<Arc<str>> = Vec::new();
            // Each round bars one provider more, or is the last.
            loop {
                // What is set aside for the other providers is still all there.
                let wanted = |part: usize| match self.owners.get(part) {
                    Some(Some(owner)) => spent.contains(owner) && !barred.contains(owner),
                    _ => true,
                };
                let refusal = match self.more.take(wanted).await {
                    Ok(()) => return Some(barred),
                    Err(refusal) => refusal,
                };
                barred.push(
                    self.owner_of(&refusal)
                        .filter(|one| !barred.contains(one))?,
                );
            }
        })
    }

    fn cover(self: Rc<Self>, used: Spent) -> Pin<Box<dyn Future<Output = bool>>> {
        Box::pin(async move {
            let used = |_, unit| match unit {
                Unit::Money => used.cost.map_or(0, Money::picodollars),
                Unit::Tokens => used.tokens,
                Unit::Requests => 0,
            };
            self.more.cover(used).await.is_ok()
        })
    }
}

impl Extending {
    /// The provider whose budget has no room.
    fn owner_of(&self, refusal: &Refusal) -> Option<Arc<str>> {
        let Refusal::Exhausted { budget, .. } = refusal else {
            return None;
        };
        self.owners.get(self.more.position(budget)?)?.clone()
    }
}
