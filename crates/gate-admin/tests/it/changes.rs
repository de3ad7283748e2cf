//! Environments, documents, revisions: planned, applied, taken back, promoted.

use crate::support::{Server, document, open, send};
use gate_api::client::Seen;
use gate_api::problem::Code;
use gate_api::types::{
    Action, Canary, Cause, DocumentInput, EnvironmentInput, Mode, PromoteInput, RollbackInput,
    RolloutState, Verdict,
};
use serde_json::{Value, json};

fn sync(value: Value) -> DocumentInput {
    DocumentInput::sync(document(value), "file:main")
}

#[test]
fn a_document_is_planned_applied_and_taken_back() {
    for server in Server::each(&open()) {
        let client = server.staging();
        let first = sync(json!({ "routes": { "a": { "path": "/a" } } }));
        let plan = client.plan("staging", &first).unwrap();
        assert_eq!((plan.changes.len(), plan.verdict), (1, Verdict::Allowed));
        assert_eq!(plan.digest, first.document.digest());
        let applied = client.apply("staging", Seen::Any, &first).unwrap();
        let one = applied.revision.unwrap();
        assert_eq!(
            (one.number, one.cause, &*one.author),
            (1, Cause::Apply, "loopback")
        );
        assert_eq!(one.digest, plan.digest);
        // What was applied plans to nothing and makes no revision again.
        assert!(client.plan("staging", &first).unwrap().is_empty());
        let again = client.apply("staging", Seen::Any, &first).unwrap();
        assert!(again.revision.is_none());
        let second = sync(json!({ "routes": { "b": { "path": "/b" } } }));
        let two = client.apply("staging", Seen::Any, &second).unwrap();
        assert_eq!(two.revision.unwrap().parent, Some(1));
        let diff = client.diff(1, 2).unwrap();
        let actions: Vec<_> = diff.changes.iter().map(|c| (&*c.name, c.action)).collect();
        assert_eq!(actions, [("a", Action::Delete), ("b", Action::Create)]);
        let back = client.rollback("staging", Seen::Any, &RollbackInput::default());
        let back = back.unwrap().revision.unwrap();
        assert_eq!((back.number, back.cause), (3, Cause::Rollback));
        assert_eq!(back.digest, one.digest);
        let environment = client.environment("staging").unwrap();
        assert_eq!(
            (environment.revision, environment.stable),
            (Some(3), Some(3))
        );
        assert_eq!(client.revisions(Some("staging"), 10).unwrap().len(), 3);
        let content = client.revision_document(3).unwrap();
        assert_eq!(content.document, first.document);
        assert_eq!(content.managers["routes/a"], "file:main");
        assert!(client.verify_audit().unwrap().intact);
        let actions: Vec<_> = client.audit(10).unwrap();
        assert_eq!(actions[0].action, "rollback");
    }
}

#[test]
fn a_slower_writer_is_told_what_changed() {
    for server in Server::each(&open()) {
        let client = server.staging();
        let seen = client.environment("staging").unwrap().generation;
        let first = sync(json!({ "routes": { "a": { "path": "/a" } } }));
        client
            .apply("staging", Seen::Generation(seen), &first)
            .unwrap();
        let second = sync(json!({ "routes": { "b": { "path": "/b" } } }));
        let refused = client.apply("staging", Seen::Generation(seen), &second);
        let error = refused.unwrap_err();
        let problem = error.problem().unwrap();
        assert!(problem.is(Code::Stale), "{problem}");
        assert_eq!(problem.generation, Some(seen + 1));
        assert_eq!(problem.changes.len(), 1);
        assert_eq!(problem.changes[0].name, "a");
        assert!(problem.detail.contains("loopback"), "{problem}");
        let refused = client.audit(1).unwrap();
        assert_eq!(
            (&*refused[0].action, &*refused[0].detail),
            ("apply", "stale")
        );
    }
}

#[test]
fn of_many_writers_at_once_each_is_done_or_told() {
    for server in Server::each(&open()) {
        let client = server.staging();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let client = client.clone();
                scope.spawn(move || {
                    let value = json!({ "path": format!("/{number}") });
                    let place = ("staging", "routes", &*format!("r{number}"));
                    client
                        .put_resource(place, "api", Seen::Any, false, &value)
                        .unwrap();
                });
            }
        });
        let resources = client.resources("staging", Some("routes")).unwrap();
        assert_eq!(resources.len(), 8);
        assert_eq!(client.environment("staging").unwrap().revision, Some(8));
    }
}

#[test]
fn resources_have_owners() {
    for server in Server::each(&open()) {
        let client = server.staging();
        let file = sync(json!({ "routes": { "a": { "path": "/a" } } }));
        client.apply("staging", Seen::Any, &file).unwrap();
        let mut console = DocumentInput {
            mode: Mode::Merge,
            ..DocumentInput::sync(
                document(json!({ "routes": { "a": { "path": "/x" }, "c": { "path": "/c" } } })),
                "console",
            )
        };
        let error = client.apply("staging", Seen::Any, &console).unwrap_err();
        let problem = error.problem().unwrap();
        assert!(problem.is(Code::OwnedElsewhere), "{problem}");
        assert_eq!(problem.findings[0].path, "routes.a");
        console.take_over = true;
        client.apply("staging", Seen::Any, &console).unwrap();
        // The file's sync removes nothing that is the console's now.
        let empty = sync(json!({}));
        client.apply("staging", Seen::Any, &empty).unwrap();
        assert_eq!(client.resources("staging", None).unwrap().len(), 2);
        // `null` removes.
        let removal = DocumentInput {
            mode: Mode::Merge,
            ..DocumentInput::sync(document(json!({ "routes": { "a": null } })), "console")
        };
        client.apply("staging", Seen::Any, &removal).unwrap();
        assert_eq!(client.resource("staging", "routes", "a").unwrap(), None);
        let kept = client.resource("staging", "routes", "c").unwrap().unwrap();
        assert_eq!(
            (kept.manager, kept.resource),
            ("console".into(), json!({ "path": "/c" }))
        );
    }
}

#[test]
fn what_does_not_compile_changes_nothing() {
    for server in Server::each(&open()) {
        let client = server.staging();
        let wrong = sync(json!({ "routes": { "a": { "wrong": true } }, "nonsense": { "x": {} } }));
        let plan = client.plan("staging", &wrong).unwrap();
        assert_eq!((plan.verdict, plan.findings.len()), (Verdict::Forbidden, 2));
        let error = client.apply("staging", Seen::Any, &wrong).unwrap_err();
        assert!(error.problem().unwrap().is(Code::Invalid));
        assert_eq!(client.environment("staging").unwrap().revision, None);
        // A variable that the current revision needs cannot be taken away.
        let variables = |pairs: &[(&str, &str)]| EnvironmentInput {
            variables: pairs
                .iter()
                .map(|(n, v)| ((*n).into(), (*v).into()))
                .collect(),
            promotes_to: None,
        };
        let host = variables(&[("HOST", "a.example")]);
        client.put_environment("staging", Seen::Any, &host).unwrap();
        let right = sync(json!({ "routes": { "a": { "host": "${vars.HOST}" } } }));
        client.apply("staging", Seen::Any, &right).unwrap();
        let error = client.put_environment("staging", Seen::Any, &variables(&[]));
        assert_eq!(
            error.unwrap_err().problem().unwrap().findings[0].code,
            "missing_variable"
        );
        // A dry run of one resource says what would change.
        let place = ("staging", "routes", "b");
        let dry = client.put_resource(place, "api", Seen::Any, true, &json!({ "path": "/b" }));
        assert_eq!(dry.unwrap().plan.changes.len(), 1);
        assert_eq!(client.resource("staging", "routes", "b").unwrap(), None);
    }
}

#[test]
fn revisions_are_confirmed_promoted_and_locked() {
    for server in Server::each(&open()) {
        let client = server.staging();
        let production = EnvironmentInput::default();
        client
            .put_environment("production", Seen::Any, &production)
            .unwrap();
        let staging = EnvironmentInput {
            promotes_to: Some("production".into()),
            ..EnvironmentInput::default()
        };
        client
            .put_environment("staging", Seen::Any, &staging)
            .unwrap();
        let mut input = sync(json!({ "routes": { "a": { "path": "/a" } } }));
        input.confirm_within = Some("10m".parse().unwrap());
        let applied = client.apply("staging", Seen::Any, &input).unwrap();
        assert!(applied.environment.confirm_until.is_some());
        assert_eq!(applied.environment.stable, None);
        let promote = || client.promote("staging", &PromoteInput::default());
        assert!(promote().unwrap_err().problem().unwrap().is(Code::Conflict));
        let confirmed = client.confirm("staging", Seen::Any).unwrap();
        assert_eq!((confirmed.stable, confirmed.confirm_until), (Some(1), None));
        let promoted = promote().unwrap();
        let revision = promoted.revision.unwrap();
        assert_eq!(promoted.environment.name, "production");
        assert_eq!(revision.cause, Cause::Promote);
        assert_eq!(revision.digest, input.document.digest());
        let locked = client.lock("production", "release freeze").unwrap();
        assert_eq!(locked.lock.unwrap().holder, "loopback");
        let unlocked = client.unlock("production").unwrap();
        assert_eq!(unlocked.lock, None);
        let gone = client.delete_environment("staging", Seen::Any).unwrap_err();
        assert!(gone.problem().unwrap().is(Code::Conflict), "it is followed");
        client.delete_environment("production", Seen::Any).unwrap();
    }
}

#[test]
fn rollouts_are_begun_held_and_ended() {
    for server in Server::each(&open()) {
        let client = server.staging();
        let mut input = sync(json!({ "routes": { "a": { "path": "/a" } } }));
        input.canary = Some(Canary::Rollout("careful".into()));
        let first = client.apply("staging", Seen::Any, &input).unwrap_err();
        assert!(
            first.problem().unwrap().is(Code::Conflict),
            "nothing to compare with"
        );
        input.canary = None;
        client.apply("staging", Seen::Any, &input).unwrap();
        let mut next = sync(json!({ "routes": { "a": { "path": "/b" } } }));
        next.canary = Some(Canary::Rollout("unknown".into()));
        let unknown = client.apply("staging", Seen::Any, &next).unwrap_err();
        assert!(unknown.problem().unwrap().is(Code::Invalid));
        next.canary = Some(Canary::Rollout("careful".into()));
        let begun = client.apply("staging", Seen::Any, &next).unwrap();
        let id = begun.rollout.unwrap();
        let environment = begun.environment;
        assert_eq!(environment.revision, Some(1));
        assert_eq!(environment.candidate.unwrap().revision, 2);
        let busy = client.apply("staging", Seen::Any, &input.clone()).unwrap();
        assert!(busy.revision.is_none(), "nothing changes");
        let other = sync(json!({ "routes": { "z": { "path": "/z" } } }));
        let busy = client.apply("staging", Seen::Any, &other).unwrap_err();
        assert!(busy.problem().unwrap().is(Code::Conflict));
        let held = client.steer(&id, "hold", "lunch").unwrap();
        assert_eq!(
            (held.state, held.strategy.as_str()),
            (RolloutState::Held, "careful")
        );
        assert!(held.reason.contains("lunch"), "{}", held.reason);
        client.steer(&id, "resume", "").unwrap();
        let done = client.steer(&id, "promote", "").unwrap();
        assert_eq!(done.state, RolloutState::Promoted);
        let environment = client.environment("staging").unwrap();
        assert_eq!(
            (environment.revision, environment.candidate),
            (Some(2), None)
        );
        assert!(client.steer(&id, "rollback", "").is_err());
        let begun = client.apply(
            "staging",
            Seen::Any,
            &DocumentInput {
                canary: next.canary,
                ..other
            },
        );
        let id = begun.unwrap().rollout.unwrap();
        let back = client.steer(&id, "rollback", "slow").unwrap();
        assert_eq!(back.state, RolloutState::RolledBack);
        assert_eq!(client.environment("staging").unwrap().revision, Some(2));
        assert_eq!(client.rollouts("staging").unwrap().len(), 2);
    }
}

#[test]
fn pages_end_and_follow_each_other() {
    for server in Server::each(&open()) {
        let client = server.staging();
        let routes: serde_json::Map<_, _> = (0..250)
            .map(|number| (format!("r{number:03}"), json!({ "path": "/" })))
            .collect();
        let input = sync(json!({ "routes": routes, "upstreams": { "u": {} } }));
        client.apply("staging", Seen::Any, &input).unwrap();
        let mut path = "/api/v1/environments/staging/resources?limit=100".to_owned();
        let (mut names, mut pages) = (Vec::new(), 0);
        loop {
            let (status, page) = send(&client, "GET", &path, b"");
            assert_eq!(status, 200, "{page}");
            pages += 1;
            let items = page["items"].as_array().unwrap();
            names.extend(items.iter().map(|item| item["name"].clone()));
            match page["next"].as_str() {
                Some(next) => {
                    path =
                        format!("/api/v1/environments/staging/resources?limit=100&cursor={next}");
                }
                None => break,
            }
        }
        assert_eq!((names.len(), pages), (251, 3));
        assert_eq!(
            client
                .resources("staging", Some("upstreams"))
                .unwrap()
                .len(),
            1
        );
    }
}

#[test]
fn where_a_file_rules_everything_can_be_read_and_nothing_changed() {
    let server = Server::with(open(), None);
    let client = server.client();
    let environments = client.environments().unwrap();
    assert_eq!(environments.len(), 1);
    assert_eq!(environments[0].name, "file");
    let resources = client.resources("file", None).unwrap();
    assert_eq!(resources[0].name, "running");
    let other = sync(json!({ "routes": { "a": {} } }));
    assert_eq!(client.plan("file", &other).unwrap().changes.len(), 2);
    let refused = [
        client
            .apply("file", Seen::Any, &other)
            .map(drop)
            .unwrap_err(),
        client.lock("file", "").map(drop).unwrap_err(),
        client
            .rollback("file", Seen::Any, &RollbackInput::default())
            .map(drop)
            .unwrap_err(),
        client
            .put_environment("x", Seen::Any, &EnvironmentInput::default())
            .map(drop)
            .unwrap_err(),
    ];
    for error in refused {
        assert!(error.problem().unwrap().is(Code::FileManaged), "{error}");
    }
}
