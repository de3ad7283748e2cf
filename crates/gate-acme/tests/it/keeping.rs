//! What a keeper does: order, share, renew, and leave in use what it has while orders fail.

use crate::authority::Authority;
use crate::site::Site;
use crate::world;
use gate_acme::{AcmeError, Folder, Keeper, Pace, Shelf, Wanted, validity};
use gate_model::resources::{Acme, AcmeChallenge};
use gate_net::tls::Managed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn pace() -> Pace {
    Pace {
        poll: Duration::from_millis(10),
        patience: Duration::from_secs(30),
        spread: Duration::ZERO,
        rest: Duration::from_secs(300),
        rest_max: Duration::from_secs(3600),
    }
}

fn wanted(authority: &Authority, challenge: AcmeChallenge, names: &[&str]) -> Wanted {
    wanted_of(authority.directory(), challenge, names)
}

pub(crate) fn wanted_of(directory: String, challenge: AcmeChallenge, names: &[&str]) -> Wanted {
    Wanted {
        settings: Acme {
            directory,
            contact: vec!["mailto:ops@example.com".into()],
            terms_agreed: true,
            challenge,
            authorities: None,
            external_account: None,
            folder: None,
            renew_before: None,
        },
        names: names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>(),
        external_account: None,
        webhook: Some("s3cret".into()),
    }
}

pub(crate) fn now() -> Duration {
    gate_kit::clock::Clock::System.unix()
}

pub(crate) struct Bench {
    managed: Arc<Managed>,
    site: Arc<Site>,
    authority: Arc<Authority>,
    keeper: Keeper,
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn start() -> Self {
        let managed = Arc::new(Managed::default());
        let site = Site::start(&managed);
        Self {
            authority: Authority::start(site.world.clone()),
            keeper: Keeper::new(managed.clone(), pace()).unwrap(),
            folder: tempfile::tempdir().unwrap(),
            managed,
            site,
        }
    }

    fn shelf(&self) -> Folder {
        Folder::open(self.folder.path().join("acme")).unwrap()
    }

    /// The leaf that is served for a name.
    pub(crate) fn served(&self, name: &str) -> Option<Vec<u8>> {
        world::served(self.site.tls, name)
    }

    /// When the first certificate ends.
    pub(crate) fn expiry(&self) -> Duration {
        self.managed.expiries()[0].1
    }

    pub(crate) fn tick(&mut self, wanted: &Wanted, now: Duration) -> Result<(), AcmeError> {
        let mut shelf = self.shelf();
        self.keeper.tick(&mut shelf, wanted, now)
    }
}

#[test]
fn certificates_are_ordered_by_every_challenge_and_served() {
    let webhook = |site: &Site| AcmeChallenge::Dns {
        webhook: format!("http://{}/dns", site.world.webhook),
        token: None,
        wait: gate_model::units::Period::from_seconds(0),
    };
    type Make = fn(&Site) -> AcmeChallenge;
    let ways: [(&str, Make); 2] = [
        ("http", |_| AcmeChallenge::Http {}),
        ("tls_alpn", |_| AcmeChallenge::TlsAlpn {}),
    ];
    for (way, challenge) in ways {
        let mut bench = Bench::start();
        let wanted = wanted(&bench.authority, challenge(&bench.site), &["a.example.com"]);
        assert_eq!(
            world::served(bench.site.tls, "a.example.com"),
            None,
            "{way}: nothing yet"
        );
        bench
            .tick(&wanted, now())
            .unwrap_or_else(|error| panic!("{way}: {error}"));
        let leaf = world::served(bench.site.tls, "a.example.com").expect(way);
        let ends = validity(&leaf).unwrap().ends;
        assert!(ends > now() + Duration::from_secs(80 * 86_400), "{way}");
        assert_eq!(
            bench.managed.expiries(),
            [("a.example.com".to_owned(), ends)]
        );
        // What was shown is not shown any more, and nothing is ordered again.
        assert_eq!(world::shown(bench.site.tls, "a.example.com"), None, "{way}");
        bench.tick(&wanted, now()).unwrap();
        assert_eq!(bench.authority.orders(), 1, "{way}");
    }
    let mut bench = Bench::start();
    let wanted = wanted(&bench.authority, webhook(&bench.site), &["*.example.com"]);
    bench.tick(&wanted, now()).unwrap();
    assert!(world::served(bench.site.tls, "b.example.com").is_some());
    assert!(
        world::served(bench.site.tls, "b.c.example.com").is_none(),
        "one label only"
    );
    let calls = bench.site.world.calls.lock().unwrap().clone();
    let expected = [
        "present _acme-challenge.example.com true",
        "clean_up _acme-challenge.example.com true",
    ];
    assert_eq!(calls, expected);
}

#[test]
fn a_restart_orders_nothing_and_a_due_certificate_is_renewed() {
    let mut bench = Bench::start();
    let wanted = wanted(&bench.authority, AcmeChallenge::Http {}, &["a.example.com"]);
    bench.tick(&wanted, now()).unwrap();
    let first = world::served(bench.site.tls, "a.example.com").unwrap();
    // Another process on the same folder.
    let managed = Arc::new(Managed::default());
    let mut again = Keeper::new(managed.clone(), pace()).unwrap();
    let mut shelf = bench.shelf();
    again.tick(&mut shelf, &wanted, now()).unwrap();
    assert_eq!((managed.expiries().len(), bench.authority.orders()), (1, 1));
    // With half of its life left it is kept, with a third it is not.
    bench
        .tick(&wanted, now() + Duration::from_secs(45 * 86_400))
        .unwrap();
    assert_eq!(bench.authority.orders(), 1);
    bench
        .tick(&wanted, now() + Duration::from_secs(61 * 86_400))
        .unwrap();
    assert_eq!(bench.authority.orders(), 2);
    assert_ne!(
        world::served(bench.site.tls, "a.example.com").unwrap(),
        first
    );
}

#[test]
fn a_failing_authority_leaves_the_certificate_in_use_and_is_left_in_peace() {
    let mut bench = Bench::start();
    let wanted = wanted(&bench.authority, AcmeChallenge::Http {}, &["a.example.com"]);
    bench.tick(&wanted, now()).unwrap();
    let held = world::served(bench.site.tls, "a.example.com").unwrap();
    *bench.authority.closed.lock().unwrap() = true;
    let due = now() + Duration::from_secs(70 * 86_400);
    let error = bench.tick(&wanted, due).unwrap_err().to_string();
    assert!(
        error.contains("a.example.com") && error.contains("come back later"),
        "{error}"
    );
    assert_eq!(bench.managed.orders(), (1, 1));
    assert_eq!(world::served(bench.site.tls, "a.example.com"), Some(held));
    // It rests for five minutes and up to a quarter more, then for twice as long.
    bench.tick(&wanted, due + Duration::from_secs(299)).unwrap();
    assert_eq!(bench.managed.orders(), (1, 1));
    let second = due + Duration::from_secs(376);
    bench.tick(&wanted, second).unwrap_err();
    bench
        .tick(&wanted, second + Duration::from_secs(599))
        .unwrap();
    *bench.authority.closed.lock().unwrap() = false;
    bench
        .tick(&wanted, second + Duration::from_secs(751))
        .unwrap();
    assert_eq!(bench.managed.orders(), (2, 2));
}

#[test]
fn a_name_that_leads_elsewhere_gets_no_certificate() {
    let mut bench = Bench::start();
    // The authority looks at a site whose tokens are another gateway's.
    let elsewhere = Site::start(&Arc::default());
    let authority = Authority::start(elsewhere.world.clone());
    let wanted = wanted(&authority, AcmeChallenge::Http {}, &["a.example.com"]);
    let error = bench.tick(&wanted, now()).unwrap_err().to_string();
    assert!(error.contains("nothing at a.example.com shows"), "{error}");
    assert_eq!(bench.managed.expiries(), []);
}

#[test]
fn an_authority_that_advises_about_renewal_is_heeded() {
    let mut bench = Bench::start();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let wanted = wanted(&bench.authority, AcmeChallenge::Http {}, &["a.example.com"]);
    // Ahead of what a third of its life would say, which is after two months.
    bench.authority.advise(20 * 86_400, 21 * 86_400);
    bench.tick(&wanted, now()).unwrap();
    bench.tick(&wanted, now()).unwrap();
    assert_eq!(bench.authority.asked(), 1);
    bench.tick(&wanted, now()).unwrap();
    assert_eq!(bench.authority.asked(), 1, "not before Retry-After");
    // Another process asks nothing: the answer lies on the shelf.
    let mut again = Keeper::new(Arc::default(), pace()).unwrap();
    again.tick(&mut bench.shelf(), &wanted, now()).unwrap();
    assert_eq!(bench.authority.asked(), 1);
    bench.tick(&wanted, now() + days(19)).unwrap();
    assert_eq!((bench.authority.asked(), bench.authority.orders()), (2, 1));
    let first = world::served(bench.site.tls, "a.example.com").unwrap();
    bench.tick(&wanted, now() + days(22)).unwrap();
    assert_eq!(bench.authority.orders(), 2);
    assert_eq!(bench.authority.replaced(), 1, "it is told what is replaced");
    assert_ne!(
        world::served(bench.site.tls, "a.example.com").unwrap(),
        first
    );
    // The authority takes a certificate back: renewed at once, as soon as that is heard.
    bench.authority.advise(-86_400, -3600);
    bench.tick(&wanted, now() + days(22)).unwrap();
    bench.tick(&wanted, now() + days(22)).unwrap();
    assert_eq!(bench.authority.orders(), 3);
}

#[test]
fn advice_that_comes_late_or_never_ends_no_certificate() {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    // Renewal is advised for after the end: it is renewed with a tenth of its life left.
    let mut bench = Bench::start();
    let wanted = wanted(&bench.authority, AcmeChallenge::Http {}, &["a.example.com"]);
    bench.authority.advise(100 * 86_400, 101 * 86_400);
    for after in [0, 0, 70, 80] {
        bench.tick(&wanted, now() + days(after)).unwrap();
    }
    assert_eq!(bench.authority.orders(), 1);
    bench.tick(&wanted, now() + days(82)).unwrap();
    assert_eq!(bench.authority.orders(), 2);
    // Somebody replaced it already, says the authority: it is ordered as a new one.
    let mut bench = Bench::start();
    let mut wanted = wanted_of(
        bench.authority.directory(),
        AcmeChallenge::Http {},
        &["a.example.com"],
    );
    bench.authority.advise(86_400, 2 * 86_400);
    bench.tick(&wanted, now()).unwrap();
    bench.tick(&wanted, now()).unwrap();
    bench.authority.call_all_replaced();
    bench.tick(&wanted, now() + days(3)).unwrap();
    assert_eq!(
        (bench.authority.orders(), bench.authority.replaced()),
        (2, 0)
    );
    // What is configured counts where it is sooner.
    wanted.settings.renew_before = Some(gate_model::units::Period::from_seconds(89 * 86_400));
    bench.tick(&wanted, now() + days(2)).unwrap();
    assert_eq!(bench.authority.orders(), 3);
    // An authority that answers nothing is not asked again and again, and nothing fails.
    let mut bench = Bench::start();
    bench
        .tick(
            &wanted_of(
                bench.authority.directory(),
                AcmeChallenge::Http {},
                &["a.example.com"],
            ),
            now(),
        )
        .unwrap();
    *bench.authority.down.lock().unwrap() = true;
    let wanted = wanted_of(
        bench.authority.directory(),
        AcmeChallenge::Http {},
        &["a.example.com"],
    );
    let before = bench.authority.requests();
    bench.tick(&wanted, now()).unwrap();
    let after = bench.authority.requests();
    assert!(after > before, "it was asked");
    bench.tick(&wanted, now()).unwrap();
    assert_eq!(bench.authority.requests(), after);
}

/// A shelf that several gateways share, in memory.
#[derive(Clone, Default)]
struct Common {
    places: Arc<Mutex<BTreeMap<String, (u64, Vec<u8>)>>>,
    leader: Arc<Mutex<Option<usize>>>,
    own: usize,
}

impl Shelf for Common {
    fn list(&mut self) -> Result<BTreeMap<String, u64>, AcmeError> {
        let places = self.places.lock().unwrap();
        Ok(places
            .iter()
            .map(|(place, (version, _))| (place.clone(), *version))
            .collect())
    }

    fn get(&mut self, place: &str) -> Result<Option<Vec<u8>>, AcmeError> {
        Ok(self
            .places
            .lock()
            .unwrap()
            .get(place)
            .map(|(_, piece)| piece.clone()))
    }

    fn put(&mut self, place: &str, piece: &[u8]) -> Result<(), AcmeError> {
        let mut places = self.places.lock().unwrap();
        let version = places.get(place).map_or(1, |(version, _)| version + 1);
        places.insert(place.to_owned(), (version, piece.to_vec()));
        Ok(())
    }

    fn leads(&mut self) -> Result<bool, AcmeError> {
        Ok(*self.leader.lock().unwrap().get_or_insert(self.own) == self.own)
    }

    fn resign(&mut self) {
        let mut leader = self.leader.lock().unwrap();
        if *leader == Some(self.own) {
            *leader = None;
        }
    }

    fn is_shared(&self) -> bool {
        true
    }
}

#[test]
fn one_of_three_orders_and_all_answer_and_serve() {
    let shared = Common::default();
    let managed: Vec<Arc<Managed>> = (0..3).map(|_| Arc::default()).collect();
    let sites: Vec<Arc<Site>> = managed.iter().map(Site::start).collect();
    // The authority meets the third gateway, whoever orders: a balancer's choice.
    let authority = Authority::start(sites[2].world.clone());
    let wanted = wanted(
        &authority,
        AcmeChallenge::TlsAlpn {},
        &["a.example.com", "b.example.com"],
    );
    let served = |site: &Arc<Site>| {
        ["a.example.com", "b.example.com"]
            .iter()
            .all(|name| world::served(site.tls, name).is_some())
    };
    std::thread::scope(|scope| {
        for (own, managed) in managed.iter().enumerate() {
            let mut shelf = Common {
                own,
                ..shared.clone()
            };
            let (wanted, sites) = (&wanted, &sites);
            let patient = Pace {
                spread: Duration::from_millis(500),
                ..pace()
            };
            let mut keeper = Keeper::new(managed.clone(), patient).unwrap();
            scope.spawn(move || {
                let began = std::time::Instant::now();
                while !served(&sites[own]) && began.elapsed() < Duration::from_secs(60) {
                    keeper.tick(&mut shelf, wanted, now()).unwrap();
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
        }
    });
    assert!(sites.iter().all(served), "all serve");
    assert_eq!(authority.orders(), 2, "one order for each name");
    let leaf = |site: &Arc<Site>| world::served(site.tls, "a.example.com");
    assert!(leaf(&sites[0]) == leaf(&sites[1]) && leaf(&sites[1]) == leaf(&sites[2]));
}
