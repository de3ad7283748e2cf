//! Versions, listings and the lock.

use super::*;
use crate::objects::Directory;

fn lake() -> (tempfile::TempDir, Catalog) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let objects = Directory::open(folder.path()).expect("it can be made");
    let catalog = Catalog::new(Arc::new(objects));
    (folder, catalog)
}

fn file(path: &str, start_us: i64) -> Arc<FileEntry> {
    Arc::new(FileEntry {
        path: path.into(),
        dataset: "records".into(),
        team: Some("shop".into()),
        start_us,
        end_us: start_us + 10,
        rows: 3,
        bytes: 100,
    })
}

const NOW: Duration = Duration::from_secs(1_790_000_000);

#[test]
fn of_two_that_change_the_same_version_one_has_changed_nothing() {
    let (_folder, catalog) = lake();
    let base = catalog.newest().expect("an empty lake");
    let mut change = Change::default();
    change.add.push(file("a", 5));
    let first = catalog.commit(&base, &change, NOW).expect("answered");
    assert_eq!(first.map(|version| version.number), Some(1));
    let second = catalog.commit(&base, &change, NOW).expect("answered");
    assert!(second.is_none());
    let listing = catalog.look(Dataset::Records, 0..100).expect("listed");
    assert_eq!((listing.version, listing.files.len()), (1, 1));
}

#[test]
fn a_listing_has_what_overlaps_and_no_fresh_file_that_is_settled() {
    let (_folder, catalog) = lake();
    let fresh = fresh_path(Dataset::Records, (7, 9), 2, NOW);
    catalog.objects().put_new(&fresh, b"x").expect("written");
    let listing = catalog.look(Dataset::Records, 0..100).expect("listed");
    assert_eq!((listing.files[0].rows, listing.files[0].bytes), (2, 1));
    assert!(
        catalog
            .look(Dataset::Records, 10..100)
            .expect("listed")
            .files
            .is_empty()
    );
    assert!(
        catalog
            .look(Dataset::Bodies, 0..100)
            .expect("listed")
            .files
            .is_empty()
    );
    let mut change = Change::default();
    change.settled.push(fresh.clone());
    change.add.push(file("a", 7));
    let base = catalog.newest().expect("there");
    let version = catalog.commit(&base, &change, NOW).expect("answered");
    let version = version.expect("nobody else writes");
    let listing = catalog.look(Dataset::Records, 0..100).expect("listed");
    let paths: Vec<_> = listing.files.iter().map(|file| &*file.path).collect();
    assert_eq!(paths, ["a"]);
    assert_eq!(version.totals(Dataset::Records), (1, 3, 100));
    let mut change = Change::default();
    change.remove(file("a", 7));
    catalog
        .commit(&version, &change, NOW)
        .expect("answered")
        .expect("nobody else writes");
    assert!(
        catalog
            .look(Dataset::Records, 0..100)
            .expect("listed")
            .files
            .is_empty()
    );
}

#[test]
fn old_versions_go() {
    let (_folder, catalog) = lake();
    for n in 0..20 {
        let base = catalog.newest().expect("there");
        let mut change = Change::default();
        change.add.push(file(&format!("f{n}"), n));
        catalog
            .commit(&base, &change, NOW)
            .expect("answered")
            .expect("nobody else writes");
    }
    let versions = catalog.objects().list(VERSIONS).expect("listed");
    assert_eq!(versions.len() as u64, VERSIONS_KEPT + 1);
    assert_eq!(
        catalog
            .look(Dataset::Records, 0..100)
            .expect("listed")
            .files
            .len(),
        20
    );
}

#[test]
fn one_holds_the_lock_until_its_time_is_over() {
    let (_folder, catalog) = lake();
    let objects = &**catalog.objects();
    let hold = Duration::from_secs(30);
    let (ann, bob) = (Lock::new("ann".into(), hold), Lock::new("bob".into(), hold));
    assert!(ann.take(objects, NOW).expect("answered"));
    assert!(!bob.take(objects, NOW + hold / 2).expect("answered"));
    assert!(ann.take(objects, NOW + hold * 2 / 3).expect("answered"));
    assert!(!bob.take(objects, NOW + hold).expect("answered"));
    assert!(bob.take(objects, NOW + hold * 2).expect("answered"));
    assert!(!ann.take(objects, NOW + hold * 2).expect("answered"));
    assert_eq!(objects.list("catalog/locks/").expect("listed").len(), 1);
    bob.give_back(objects, NOW + hold * 2).expect("answered");
    assert!(ann.take(objects, NOW + hold * 2).expect("answered"));
    bob.give_back(objects, NOW + hold * 2)
        .expect("it is not theirs");
    assert!(!bob.take(objects, NOW + hold * 2).expect("answered"));
}

#[test]
fn who_wants_the_lock_is_given_it_soon() {
    let (_folder, catalog) = lake();
    let objects = &**catalog.objects();
    let hold = Duration::from_secs(30);
    let (ann, bob) = (Lock::new("ann".into(), hold), Lock::new("bob".into(), hold));
    assert!(ann.take(objects, NOW).expect("answered"));
    let want = bob.want(objects, NOW).expect("written");
    assert!(!bob.take_wanted(objects, NOW).expect("answered"));
    let soon = NOW + Duration::from_secs(5);
    assert!(!ann.take(objects, soon).expect("it is let go of"));
    assert!(bob.take_wanted(objects, soon).expect("answered"));
    assert!(!ann.take(objects, soon + hold).expect("still wanted"));
    bob.give_back(objects, soon + hold).expect("answered");
    objects.delete(&want).expect("deleted");
    assert!(ann.take(objects, soon + hold).expect("answered"));
    // A wish that nobody took back holds up nobody for long.
    bob.want(objects, soon + hold).expect("written");
    assert!(
        ann.take(objects, soon + hold + Duration::from_secs(121))
            .expect("answered")
    );
}

#[test]
fn teams_become_folders_of_their_own() {
    let path = |team: &str| settled_path(Dataset::Records, 496_000, team, NOW);
    assert!(
        path("shop").starts_with("records/data/hour=2026-08-01-16/tenant=shop/"),
        "{}",
        path("shop")
    );
    assert!(
        path("a/../b").contains("/tenant=a~2f~2e~2e~2fb/"),
        "{}",
        path("a/../b")
    );
    assert!(path("").contains("/tenant=~/"));
}
