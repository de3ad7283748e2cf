//! Terraform states by hand: what Terraform sends, byte by byte.

use crate::support::{Server, json_of, keys, open, send};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_api::client::Client;
use gate_api::problem::Code;
use serde_json::{Value, json};

fn state(serial: u64, lineage: &str, text: &str) -> Vec<u8> {
    json!({ "version": 4, "serial": serial, "lineage": lineage, "outputs": { "o": text } })
        .to_string()
        .into_bytes()
}

fn lock(id: &str) -> Vec<u8> {
    json!({ "ID": id, "Operation": "OperationTypeApply", "Info": "", "Who": "me@here",
            "Version": "1.11.4", "Created": "2026-11-22T00:00:00Z", "Path": "" })
    .to_string()
    .into_bytes()
}

const STATE: &str = "/api/v1/state/network";

fn status(client: &Client, method: &str, path: &str, body: &[u8]) -> u16 {
    send(client, method, path, body).0
}

#[test]
fn a_state_is_written_read_and_kept_apart() {
    for server in Server::each(&open()) {
        let client = server.client();
        assert_eq!(status(&client, "GET", STATE, b""), 404);
        assert_eq!(status(&client, "LOCK", STATE, &lock("l1")), 200);
        // The same lock again is the same lock: Terraform repeats requests.
        assert_eq!(status(&client, "LOCK", STATE, &lock("l1")), 200);
        let (contended, holder) = send(&client, "LOCK", STATE, &lock("l2"));
        assert_eq!(
            (contended, &holder["ID"], &holder["Who"]),
            (423, &json!("l1"), &json!("me@here"))
        );
        let first = state(1, "a", "secret");
        assert_eq!(status(&client, "POST", STATE, &first), 423);
        assert_eq!(
            status(&client, "POST", &format!("{STATE}?ID=l2"), &first),
            423
        );
        assert_eq!(
            status(&client, "POST", &format!("{STATE}?ID=l1"), &first),
            200
        );
        let read = client.send("GET", STATE, &[], b"").unwrap();
        assert_eq!(read.body, first);
        let sum = read.header("content-md5").unwrap();
        assert_eq!(STANDARD.decode(sum).unwrap().len(), 16);
        assert_eq!(status(&client, "UNLOCK", STATE, &lock("l2")), 423);
        assert_eq!(status(&client, "UNLOCK", STATE, &lock("l1")), 200);
        // Another lineage, an older serial, a broken sum: refused.
        assert_eq!(status(&client, "POST", STATE, &state(2, "b", "")), 409);
        assert_eq!(status(&client, "POST", STATE, &state(1, "a", "other")), 409);
        assert_eq!(
            status(&client, "POST", STATE, &first),
            200,
            "the same again"
        );
        let broken = [("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")];
        let reply = client.send("POST", STATE, &broken, &state(2, "a", ""));
        assert_eq!(json_of(&reply.unwrap()).1["code"], "malformed");
        assert_eq!(status(&client, "POST", STATE, &state(2, "a", "b")), 200);
        let right = [("Content-MD5", sum)];
        let reply = client.send("POST", "/api/v1/state/other", &right, &first);
        assert_eq!(reply.unwrap().status, 200);
        assert_eq!(client.states().unwrap().len(), 2);
    }
}

#[test]
fn older_versions_are_restored_under_a_newer_serial() {
    for server in Server::each(&open()) {
        let client = server.client();
        for serial in 1..=3 {
            let body = state(serial, "a", &serial.to_string());
            assert_eq!(status(&client, "POST", STATE, &body), 200);
        }
        let versions = client.state_versions("network").unwrap();
        let serials: Vec<_> = versions.iter().map(|v| (v.version, v.serial)).collect();
        assert_eq!(serials, [(3, 3), (2, 2), (1, 1)]);
        let restored = client.restore_state("network", 1).unwrap();
        assert_eq!((restored.version, restored.serial), (Some(4), Some(4)));
        let now: Value = serde_json::from_slice(&client.state("network", None).unwrap()).unwrap();
        assert_eq!(
            (&now["outputs"]["o"], &now["serial"]),
            (&json!("1"), &json!(4))
        );
        assert_eq!(
            client.state("network", Some(2)).unwrap(),
            state(2, "a", "2")
        );
        assert!(client.restore_state("network", 9).is_err());
        // A locked state is not restored over its holder.
        assert_eq!(status(&client, "LOCK", STATE, &lock("l1")), 200);
        let error = client.restore_state("network", 1).unwrap_err();
        assert!(error.problem().unwrap().is(Code::Locked));
        assert!(client.unlock_state("network", "l2").is_err());
        let free = client.unlock_state("network", "l1").unwrap();
        assert_eq!(free.lock, None);
        // Emptied, its versions stay to be restored.
        assert_eq!(status(&client, "DELETE", STATE, b""), 200);
        assert_eq!(status(&client, "GET", STATE, b""), 404);
        let back = client.restore_state("network", 2).unwrap();
        assert_eq!(back.version, Some(5));
    }
}

#[test]
fn keys_reach_their_own_states_and_force_is_for_admins() {
    for server in Server::each(&keys()) {
        let basic = |key: &str, method: &str, path: &str, body: &[u8]| {
            let text = STANDARD.encode(format!("terraform:{key}"));
            let headers = [("Authorization", &*format!("Basic {text}"))];
            server
                .client()
                .send(method, path, &headers, body)
                .unwrap()
                .status
        };
        assert_eq!(basic("network", "POST", STATE, &state(1, "a", "")), 200);
        assert_eq!(basic("network", "GET", STATE, b""), 200);
        assert_eq!(basic("network", "GET", "/api/v1/state/other", b""), 403);
        assert_eq!(
            basic("viewer", "GET", STATE, b""),
            403,
            "states hold secrets"
        );
        assert_eq!(basic("wrong", "GET", STATE, b""), 401);
        assert_eq!(server.as_key("viewer").states().unwrap().len(), 1);
        assert_eq!(basic("network", "LOCK", STATE, &lock("l1")), 200);
        // `terraform force-unlock` sends no identity.
        assert_eq!(basic("operator", "UNLOCK", STATE, b""), 403);
        assert_eq!(basic("admin", "UNLOCK", STATE, b""), 200);
        let forced = format!("{STATE}?force=true");
        assert_eq!(basic("operator", "POST", &forced, &state(1, "b", "")), 403);
        assert_eq!(basic("admin", "POST", &forced, &state(1, "b", "")), 200);
        let audit = server.as_key("admin").audit(50).unwrap();
        let of_force = audit
            .iter()
            .find(|entry| entry.action == "releaseState" && entry.actor == "admin");
        assert!(of_force.unwrap().detail.contains("by force"));
    }
}
