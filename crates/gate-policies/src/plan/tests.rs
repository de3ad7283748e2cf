//! The policy over quotas that a test keeps; those of the store are tested with it.

use super::*;
use crate::testing::{Harness, VerdictExt};
use gate_flow::{Caller, LocalFuture, QuotaSpec, QuotaStanding};
use smallvec::SmallVec;
use std::collections::BTreeMap;

/// Quotas of one process.
#[derive(Default)]
struct Kept(Arc<Mutex<BTreeMap<Arc<str>, u64>>>);

struct KeptCounter {
    specs: Vec<QuotaSpec>,
    used: Arc<Mutex<BTreeMap<Arc<str>, u64>>>,
}

struct KeptPlace(Vec<Arc<str>>, Arc<Mutex<BTreeMap<Arc<str>, u64>>>);

impl QuotaPlace for KeptPlace {
    fn confirm(self: Box<Self>) {
        let mut used = self.1.lock().unwrap();
        for name in &self.0 {
            *used.entry(name.clone()).or_default() += 1;
        }
    }
}

impl Quotas for Kept {
    fn counter(&self, specs: &[QuotaSpec]) -> Arc<dyn QuotaCounter> {
        Arc::new(KeptCounter {
            specs: specs.to_vec(),
            used: self.0.clone(),
        })
    }
}

impl QuotaCounter for KeptCounter {
    fn try_take(&self) -> Option<Result<Box<dyn QuotaPlace>, QuotaRefusal>> {
        let used = self.used.lock().unwrap();
        let full = |spec: &QuotaSpec| used.get(&spec.name).is_some_and(|used| *used >= spec.limit);
        Some(match self.specs.iter().position(full) {
            Some(index) => Err(QuotaRefusal::Exhausted {
                index,
                wait: Duration::from_secs(60),
            }),
            None => {
                let names = self.specs.iter().map(|spec| spec.name.clone()).collect();
                Ok(Box::new(KeptPlace(names, self.used.clone())))
            }
        })
    }

    fn take(&self) -> LocalFuture<'_, Result<Box<dyn QuotaPlace>, QuotaRefusal>> {
        Box::pin(async { self.try_take().expect("never waits") })
    }

    fn standings(&self) -> SmallVec<[QuotaStanding; 4]> {
        let used = self.used.lock().unwrap();
        let standing = |spec: &QuotaSpec| QuotaStanding {
            remaining: spec.limit - used.get(&spec.name).copied().unwrap_or_default(),
            reset: Duration::from_secs(60),
            window: Duration::from_secs(86_400),
        };
        self.specs.iter().map(standing).collect()
    }
}

const DOCUMENT: &str = "
plans:
  gold:
    time_zone: Europe/Berlin
    limits:
      all: { rate: 2/s, quota: { day: 3 } }
      writes: { methods: [POST], quota: { day: 1 } }
      elsewhere: { routes: [other], quota: { day: 1 } }
  slow: { limits: { all: { rate: 1/h } } }
consumers: { shop: { plan: gold }, guest: {}, slow: { plan: slow } }
";

fn harness(kept: &Kept) -> Harness {
    let mut harness = Harness::new().resources(DOCUMENT);
    harness.quotas = Some(Arc::new(Kept(kept.0.clone())));
    harness
}

fn ask(
    harness: &Harness,
    policy: &Arc<dyn Policy>,
    caller: &str,
    head: &str,
) -> (Option<Fault>, String) {
    let mut exchange = harness.exchange(head);
    exchange.caller = (!caller.is_empty()).then(|| {
        Arc::new(Caller {
            name: caller.into(),
            ..Caller::default()
        })
    });
    let fault = harness.request(policy, &mut exchange).refused();
    let told = exchange.response_headers.get_named("ratelimit");
    (
        fault,
        String::from_utf8_lossy(told.unwrap_or_default()).into_owned(),
    )
}

fn code(outcome: &(Option<Fault>, String)) -> Option<FaultCode> {
    outcome.0.as_ref().map(|fault| fault.code)
}

#[test]
fn every_limit_has_to_have_room_and_a_refused_request_counts_nowhere() {
    let kept = Kept::default();
    let harness = harness(&kept);
    let policy = harness.policy::<Plan>("{}");
    let first = ask(&harness, &policy, "shop", "POST /");
    assert_eq!(code(&first), None);
    let told = "\"all/rate\";r=1;t=1, \"all/day\";r=2;t=60, \"writes/day\";r=0;t=60";
    assert_eq!(first.1, told);
    let second = ask(&harness, &policy, "shop", "POST /");
    assert_eq!(code(&second), Some(FaultCode::QuotaExceeded));
    let detail = second.0.map(|fault| fault.detail.into_owned());
    assert_eq!(detail.as_deref(), Some("quota `writes/day` of plan `gold`"));
    // What was refused took neither rate nor quota.
    let third = ask(&harness, &policy, "shop", "GET /");
    assert_eq!(
        (code(&third), &*third.1),
        (None, "\"all/rate\";r=0;t=1, \"all/day\";r=1;t=60")
    );
    let fourth = ask(&harness, &policy, "shop", "GET /");
    assert_eq!(code(&fourth), Some(FaultCode::RateLimited));
    harness.hands.advance(Duration::from_millis(500));
    assert_eq!(code(&ask(&harness, &policy, "shop", "GET /")), None);
    harness.hands.advance(Duration::from_secs(1));
    let last = ask(&harness, &policy, "shop", "GET /");
    assert_eq!(code(&last), Some(FaultCode::QuotaExceeded));
    let used: Vec<_> = kept.0.lock().unwrap().clone().into_iter().collect();
    let expected = [
        ("gold/all/day/shop".into(), 3),
        ("gold/writes/day/shop".into(), 1),
    ];
    assert_eq!(used, expected);
}

#[test]
fn whoever_waits_as_long_as_told_is_let_in() {
    let harness = harness(&Kept::default());
    let policy = harness.policy::<Plan>("{}");
    for _ in 0..3 {
        assert_eq!(code(&ask(&harness, &policy, "slow", "GET /")), None);
        let (refused, _) = ask(&harness, &policy, "slow", "GET /");
        let wait = refused.and_then(|fault| fault.retry_after).expect("a wait");
        harness.hands.advance(wait - Duration::from_millis(1));
        assert!(code(&ask(&harness, &policy, "slow", "GET /")).is_some());
        harness.hands.advance(Duration::from_millis(1));
    }
}

#[test]
fn callers_without_a_plan_are_refused_unless_there_is_a_default() {
    let harness = harness(&Kept::default());
    let policy = harness.policy::<Plan>("{}");
    let guest = ask(&harness, &policy, "guest", "GET /");
    assert_eq!(code(&guest), Some(FaultCode::Forbidden));
    let nobody = ask(&harness, &policy, "", "GET /");
    assert_eq!(code(&nobody), Some(FaultCode::CredentialMissing));
    let policy = harness.policy::<Plan>("{ default: slow, fields: none }");
    assert_eq!(ask(&harness, &policy, "guest", "GET /").1, "");
    let again = ask(&harness, &policy, "guest", "GET /");
    assert_eq!(code(&again), Some(FaultCode::RateLimited));
}

#[test]
fn what_cannot_act_is_refused() {
    let harness = harness(&Kept::default());
    let refusal = |settings| harness.compile::<Plan>(settings).err().unwrap().to_string();
    assert!(refusal("{ default: golden }").contains("no plan `golden`"));
    let bare = Harness::new().compile::<Plan>("{}").err().unwrap();
    assert!(bare.to_string().contains("no `plans`"));
}
