//! Caches whose server is a cluster, where questions go to the node that has the key, and whose
//! answers a model compares, which is counted under its own name.

use crate::cassettes::{Caller, Provider, document};
use crate::judged::Elsewhere;
use crate::routing::{reply, request};
use crate::support::{Gateway, Upstream, eventually};
use serde_json::json;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// What a node has been asked, and what it keeps.
#[derive(Default)]
struct Kept {
    values: HashMap<Vec<u8>, Vec<u8>>,
    asked: usize,
}

/// A node that keeps what it is given, or sends everybody to another.
fn node(elsewhere: Option<SocketAddr>) -> (Upstream, Arc<Mutex<Kept>>) {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let own = kept.clone();
    let upstream = Upstream::raw(move |stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some(parts) = command(&mut reader) {
            let mut kept = own.lock().unwrap();
            kept.asked += 1;
            let answer = match (elsewhere, &parts[0][..]) {
                (Some(node), _) => format!("-MOVED 1 {node}\r\n").into_bytes(),
                (None, b"SET") => {
                    kept.values.insert(parts[1].clone(), parts[2].clone());
                    b"+OK\r\n".to_vec()
                }
                (None, _) => match kept.values.get(&parts[1]) {
                    Some(value) => {
                        let length = format!("${}\r\n", value.len());
                        [length.as_bytes(), value, b"\r\n"].concat()
                    }
                    None => b"$-1\r\n".to_vec(),
                },
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    });
    (upstream, kept)
}

/// One command; none when the connection has ended.
fn command(reader: &mut impl BufRead) -> Option<Vec<Vec<u8>>> {
    let number = |reader: &mut dyn BufRead| {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        line.get(1..)?.trim().parse::<usize>().ok()
    };
    let count = number(reader)?;
    let mut parts = Vec::new();
    for _ in 0..count {
        let mut part = vec![0; number(reader)? + 2];
        reader.read_exact(&mut part).ok()?;
        part.truncate(part.len() - 2);
        parts.push(part);
    }
    Some(parts)
}

#[test]
fn questions_go_to_the_node_that_has_the_key() {
    let (second, kept) = node(None);
    let (first, asked) = node(Some(second.address));
    let provider = Provider::with(reply("one", ""));
    let text = document("compatible", provider.address, &["m"]);
    let policies = format!(
        "policies: [{{ model_cache: {{ anonymous: share, redis: {{ address: '{}', timeout: 20s }} }} }}], target: {{ models:",
        first.address
    );
    let gateway = Gateway::start(&text.replace("target: { models:", &policies));
    let ask = |text: &str| {
        let answer = Caller::new(&gateway).post("/v1/chat/completions", &request(text));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("cache-status").unwrap_or_default().to_owned()
    };
    let status = ask("a");
    assert!(
        status.contains("fwd=miss") && !status.contains("store"),
        "{status}"
    );
    eventually("the second node has it", || {
        kept.lock().unwrap().values.len() == 1
    });
    eventually("it is found there", || ask("a").contains("; hit"));
    // The slot is known by now: only its first question, or the one that kept it, went the long way.
    let before = asked.lock().unwrap().asked;
    for _ in 0..5 {
        assert!(ask("a").contains("; hit"));
    }
    assert_eq!(asked.lock().unwrap().asked, before);
    assert_eq!(provider.calls(), 1);
}

#[test]
fn a_model_that_compares_answers_is_counted_under_its_own_name() {
    let judge = Elsewhere::start(|_| {
        json!({ "id": "j", "object": "chat.completion", "created": 1, "model": "x",
            "choices": [{ "index": 0, "finish_reason": "stop",
                "message": { "role": "assistant", "content": "SAME" } }],
            "usage": { "prompt_tokens": 10, "completion_tokens": 1 } })
        .to_string()
    });
    let provider = Provider::start();
    let text = document("compatible", provider.address, &["m"]);
    let policies = "policies: [{ model_cache: { anonymous: share, semantic: { judge: judge, error: 20% } } }], target: { models:";
    let text = text
        .replace("target: { models:", policies)
        .replace(
            "providers: { ",
            &format!(
                "providers: {{ j: {{ compatible: {{ base_url: 'http://{}/v1' }} }}, ",
                judge.upstream.address
            ),
        )
        .replace(
            "models:\n",
            "models:\n  judge: { targets: [{ provider: j, model: x }] }\n",
        );
    let gateway = Gateway::start(&text);
    let has = |page: &str, family: &str, label: &str| {
        let is_it = |line: &&str| line.starts_with(family) && line.contains(label);
        let line = page.lines().find(is_it);
        line.is_some_and(|line| !line.ends_with(" 0"))
    };
    for n in 0..20 {
        // Never in the same words, so that nobody can tell but the model.
        provider.set(reply(&format!("Paris {n}"), ""));
        let question = request(&format!("{n}: which capital has France?"));
        let answer = Caller::new(&gateway).post("/v1/chat/completions", &question);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    eventually("its verdicts are labels and its tokens are its own", || {
        let page = gateway.metrics();
        has(&page, "tidegate_cache_labels_total", "same=\"true\"")
            && has(&page, "gen_ai_client_token_usage_sum", "\"judge\"")
    });
    let asked = judge.take();
    let told = |question: &serde_json::Value| {
        let text = question["messages"][1]["content"].as_str().unwrap();
        text.contains("<first>Paris") && text.contains("<second>Paris")
    };
    assert!(!asked.is_empty() && asked.iter().all(told), "{asked:?}");
}
