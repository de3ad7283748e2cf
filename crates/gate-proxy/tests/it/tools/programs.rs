//! Servers of tools that are programs: crashes, bounds, ends.

use super::{Client, code, document, said};
use crate::support::{Gateway, eventually};
use std::path::Path;

/// A program that speaks as much of the protocol as a test needs.
const PROGRAM: &str = r#"
while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\("[^"]*"\|[0-9]*\).*/\1/p')
  say() { printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}\n' "$id" "$1"; }
  case "$line" in
    *'"method":"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}}}}\n' "$id" ;;
    *'"name":"crash"'*) exit 3 ;;
    *'"name":"process"'*) say "$$" ;;
    *'"name":"token"'*) say "$TOKEN$SECRET_OF_THE_GATEWAY" ;;
    *'"name":"long"'*) head -c 5000000 /dev/zero ; echo ;;
    *'"name":"hang"'*) ;;
    *cancelled*) echo "$line" >> "$NOTES" ;;
  esac
done
"#;

fn program(folder: &Path, more: &str) -> String {
    std::fs::write(folder.join("server.sh"), PROGRAM).unwrap();
    let (script, notes) = (folder.join("server.sh"), folder.join("notes"));
    let servers = format!(
        "  up:\n    stdio:\n      command: sh\n      args: ['{}']\n      env: {{ TOKEN: {{ env: X }}, NOTES: {{ text: '{}' }} }}\n{}",
        script.display(),
        notes.display(),
        more.lines()
            .map(|line| format!("      {line}\n"))
            .collect::<String>()
    );
    document(&servers, "{ server: up }", "")
}

fn is_running(process: &str) -> bool {
    // A process that has ended and is not waited for yet is a zombie.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_process_that_crashes_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = program(folder.path(), "restart: { base: 300ms, most: 1s }");
    let gateway = Gateway::start(&yaml);
    let client = Client::begin(&gateway, "");
    let first = said(&client.call("up__process")).to_owned();
    assert_eq!(
        said(&client.call("up__token")),
        "secret-of-X",
        "and nothing of ours"
    );
    assert_eq!(code(&client.call("up__crash")), "upstream_reset");
    eventually("it has ended", || !is_running(&first));
    assert_eq!(code(&client.call("up__process")), "no_endpoint", "it rests");
    let mut second = String::new();
    eventually("it is back", || {
        let answer = client.call("up__process");
        second = answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        !second.is_empty()
    });
    assert_ne!(first, second);
    assert_eq!(code(&client.call("up__long")), "upstream_reset");
    eventually("a flood ends it", || !is_running(&second));
}

#[test]
fn processes_are_bounded_end_with_their_session_and_when_idle() {
    let folder = tempfile::tempdir().unwrap();
    let more = "processes: 2\nidle: 700ms\ntimeouts: { call: 400ms }";
    let gateway = Gateway::start(&program(folder.path(), more));
    let (one, two) = (Client::begin(&gateway, ""), Client::begin(&gateway, ""));
    let three = Client::begin(&gateway, "");
    let (first, second) = (
        said(&one.call("up__process")).to_owned(),
        said(&two.call("up__process")).to_owned(),
    );
    assert_ne!(first, second, "one process per session");
    assert_eq!(
        code(&three.call("up__process")),
        "no_endpoint",
        "as many as there may be"
    );
    assert_eq!(code(&two.call("up__hang")), "upstream_timeout");
    eventually("the process hears that nobody waits", || {
        let notes = std::fs::read_to_string(folder.path().join("notes"));
        notes.is_ok_and(|notes| notes.contains("\"requestId\":7"))
    });
    let end = format!("DELETE /mcp HTTP/1.1\r\nhost: test\r\n{}\r\n", one.session);
    assert_eq!(gateway.send(&end).status, 204);
    eventually("its session's end is its own", || !is_running(&first));
    eventually("idleness is", || !is_running(&second));
    let third = said(&two.call("up__process")).to_owned();
    assert_ne!(third, second, "the next use starts another");
    drop(gateway);
    assert!(!is_running(&third), "a drain leaves none");
}
