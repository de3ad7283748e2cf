//! The watch: news as they happen, resumed where it was left.

use crate::support::{Server, keys, open};
use gate_api::client::Seen;
use gate_api::types::EnvironmentInput;
use std::time::{Duration, Instant};

#[test]
fn changes_arrive_and_a_watcher_that_comes_back_misses_nothing() {
    for server in Server::each(&open()) {
        let client = server.staging();
        let mut watch = client.watch(Some("staging"), None).unwrap();
        let first = watch.next().unwrap().unwrap();
        assert_eq!((&*first.id, first.environment.generation), ("1", 1));
        let began = Instant::now();
        client.lock("staging", "a").unwrap();
        let second = watch.next().unwrap().unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(second.environment.lock.unwrap().reason, "a");
        drop(watch);
        client.unlock("staging").unwrap();
        let mut again = client.watch(Some("staging"), Some(&second.id)).unwrap();
        let third = again.next().unwrap().unwrap();
        assert_eq!(
            (third.environment.generation, third.environment.lock),
            (3, None)
        );
        // Whoever has seen everything is sent only what comes.
        let mut quiet = client.watch(Some("staging"), Some("3")).unwrap();
        client.lock("staging", "b").unwrap();
        assert_eq!(quiet.next().unwrap().unwrap().environment.generation, 4);
        // Without a name, every environment.
        let input = EnvironmentInput::default();
        client
            .put_environment("production", Seen::Any, &input)
            .unwrap();
        let all = client.watch(None, None).unwrap().take(2);
        let names: Vec<_> = all.map(|event| event.unwrap().environment.name).collect();
        assert_eq!(names, ["production", "staging"]);
    }
}

#[test]
fn a_watch_ends_with_the_key_that_it_began_with() {
    for server in Server::each(&keys()) {
        let admin = server.as_key("admin");
        let input = EnvironmentInput::default();
        admin.put_environment("staging", Seen::Any, &input).unwrap();
        let mut watch = server.as_key("viewer").watch(None, None).unwrap();
        assert!(watch.next().unwrap().is_ok());
        let mut fewer = keys();
        fewer.keys.remove("viewer");
        server.api.configure(fewer).unwrap();
        assert!(watch.next().is_none());
    }
}
