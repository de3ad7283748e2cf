//! Providers that misbehave inside their answers. Whatever they do, the caller gets a well-formed
//! end in its own dialect, nothing hangs, and nothing is left behind.

use crate::cassettes::Caller;
use crate::routing::{answering, gateway, request};
use crate::support::{Answer, Gateway, Upstream, eventually, read_request};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";
const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

pub(crate) fn stream_request() -> String {
    request("x").replace(
        "\"model\"",
        "\"stream\":true,\"stream_options\":{\"include_usage\":true},\"model\"",
    )
}

/// An event with a piece of text.
pub(crate) fn piece(text: &str) -> String {
    format!(
        "data: {{\"id\":\"i\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"p\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
    )
}

/// The events that end a stream in order.
pub(crate) fn ending() -> String {
    "data: {\"id\":\"i\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"p\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"i\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"p\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\ndata: [DONE]\n\n".to_owned()
}

pub(crate) fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

/// A provider that answers each call with a head and then does what `script` says.
pub(crate) fn streaming(script: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Upstream {
    Upstream::raw(move |mut stream, _| {
        let (head, _) = read_request(&mut stream);
        if !head.is_empty() && stream.write_all(HEAD.as_bytes()).is_ok() {
            script(&mut stream);
        }
    })
}

/// Reads until the gateway closes the connection.
fn until_closed(stream: &mut TcpStream) -> bool {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(8)));
    matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_))
}

/// The data of the last event.
pub(crate) fn last_data(answer: &Answer) -> Value {
    let text = answer.text();
    assert!(
        text.ends_with("\n\n"),
        "it ends with a whole event: {text:?}"
    );
    let data = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(data.unwrap_or_default()).unwrap_or(Value::Null)
}

fn one(upstream: &Upstream, more: &str) -> Gateway {
    let model =
        format!("targets: [{{ provider: p0, model: a }}]\nretry: {{ attempts: 0 }}\n{more}");
    gateway(&[upstream.address], &model)
}

#[test]
fn a_native_stream_cut_anywhere_ends_with_an_error_event_behind_a_whole_event() {
    let whole = format!("{}{}", piece("one"), piece("two"));
    for cut in [
        whole.len() / 2,
        whole.len() / 2 + 9,
        whole.len() - 1,
        whole.len(),
    ] {
        let text = whole[..cut].to_owned();
        let provider = streaming(move |stream| {
            let _ = stream.write_all(chunk(&text).as_bytes());
        });
        let gateway = one(&provider, "");
        let answer = Caller::new(&gateway).post(CHAT, &stream_request());
        assert_eq!(answer.status, 200);
        assert!(!answer.complete, "cut at {cut}: not passed off as whole");
        assert!(answer.text().starts_with(&piece("one")), "cut at {cut}");
        assert!(
            last_data(&answer)["error"]["message"].is_string(),
            "cut at {cut}: {}",
            answer.text()
        );
        // Every event of it can be read.
        for data in answer
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
        {
            assert!(
                serde_json::from_str::<Value>(data).is_ok(),
                "cut at {cut}: {data}"
            );
        }
    }
}

#[test]
fn a_malformed_chunk_ends_the_stream_with_an_error_event() {
    let provider = streaming(|stream| {
        let _ = stream.write_all(chunk(&piece("one")).as_bytes());
        let _ = stream.write_all(b"zz\r\nnonsense");
        until_closed(stream);
    });
    let gateway = one(&provider, "");
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert!(last_data(&answer)["error"].is_object(), "{}", answer.text());
    eventually("the record says so", || {
        gateway.metrics().contains("upstream_malformed")
    });
}

#[test]
fn a_stalled_stream_is_cut_and_counted_also_when_it_pings() {
    for ping in [
        "",
        ": still here\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    ] {
        let provider = streaming(move |stream| {
            let _ = stream.write_all(chunk(&piece("one")).as_bytes());
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(6) {
                std::thread::sleep(Duration::from_millis(40));
                if !ping.is_empty() && stream.write_all(chunk(ping).as_bytes()).is_err() {
                    return;
                }
            }
        });
        let gateway = one(&provider, "idle: 200ms");
        let started = Instant::now();
        let answer = Caller::new(&gateway).post(CHAT, &stream_request());
        assert!(started.elapsed() < Duration::from_secs(4), "{ping:?}");
        let code = &last_data(&answer)["error"]["code"];
        assert_eq!(code, "upstream_timeout", "{ping:?}: {}", answer.text());
        eventually("the stall is counted", || {
            let metrics = gateway.metrics();
            metrics
                .lines()
                .any(|line| line.starts_with("tidegate_ai_stalls_total") && line.ends_with(" 1"))
        });
    }
}

#[test]
fn an_endless_stream_ends_when_its_time_is_over() {
    let provider = streaming(|stream| {
        let event = chunk(&piece("again and again"));
        while stream.write_all(event.as_bytes()).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let gateway = one(&provider, "total: 300ms");
    let started = Instant::now();
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(last_data(&answer)["error"]["code"], "upstream_timeout");
    eventually("nothing is open", || nothing_is_open(&gateway));
}

/// Whether no exchange and no connection to a provider is open.
pub(crate) fn nothing_is_open(gateway: &Gateway) -> bool {
    let metrics = gateway.metrics();
    let is_zero = |name: &str| metrics.lines().any(|line| line == format!("{name} 0"));
    is_zero("tidegate_exchanges_open") && is_zero("tidegate_upstream_connections_open")
}

#[test]
fn sixty_broken_streams_leave_nothing_open() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let provider = streaming(move |stream| {
        let event = chunk(&piece("x"));
        match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 4 {
            0 => drop(stream.write_all(&event.as_bytes()[..event.len() / 2])),
            1 => {
                let _ = stream.write_all(b"zz\r\n");
                until_closed(stream);
            }
            2 => drop(until_closed(stream)),
            _ => {
                while stream.write_all(event.as_bytes()).is_ok() {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
    });
    let gateway = one(&provider, "idle: 200ms\ntotal: 2s");
    let mut callers: Vec<Caller> = (0..60)
        .map(|_| {
            let mut caller = Caller::new(&gateway);
            caller.send(CHAT, &stream_request());
            caller
        })
        .collect();
    for caller in &mut callers {
        let answer = caller.receive();
        assert!(last_data(&answer)["error"].is_object(), "{}", answer.text());
    }
    eventually("nothing is open", || nothing_is_open(&gateway));
}

#[test]
fn an_error_as_the_first_event_of_a_stream_falls_back() {
    let error = "data: {\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    let first = streaming(move |stream| {
        let _ = stream
            .write_all(format!("{}{}0\r\n\r\n", chunk(": hello\n\n"), chunk(error)).as_bytes());
    });
    let second = streaming(|stream| {
        let _ = stream
            .write_all(format!("{}{}0\r\n\r\n", chunk(&piece("yes")), chunk(&ending())).as_bytes());
    });
    let gateway = gateway(
        &[first.address, second.address],
        "strategy: { priority: {} }\ntargets: [{ provider: p0, model: a }, { provider: p1, model: b }]",
    );
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert_eq!(answer.text(), format!("{}{}", piece("yes"), ending()));
    assert!(answer.complete);
}

#[test]
fn an_error_as_the_first_event_gets_its_status_when_nobody_else_answers() {
    let error = "data: {\"error\":{\"type\":\"rate_limit_exceeded\",\"message\":\"slow\"}}\n\n";
    let provider = streaming(move |stream| {
        let _ = stream.write_all(format!("{}0\r\n\r\n", chunk(error)).as_bytes());
    });
    let gateway = gateway(
        &[provider.address],
        "first_token: 5s\nretry: { attempts: 0 }\ntargets: [{ provider: p0, model: a }]",
    );
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert_eq!(answer.status, 429);
    assert!(answer.text().contains("slow"), "{}", answer.text());
}

#[test]
fn an_error_in_the_middle_of_a_stream_passes_and_is_no_success() {
    let error = "data: {\"error\":{\"type\":\"server_error\",\"message\":\"oops\"}}\n\n";
    let provider = streaming(move |stream| {
        let text = format!("{}{}0\r\n\r\n", chunk(&piece("one")), chunk(error));
        let _ = stream.write_all(text.as_bytes());
    });
    let gateway = one(&provider, "");
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert_eq!(answer.text(), format!("{}{error}", piece("one")));
    eventually("it is counted", || {
        let metrics = gateway.metrics();
        metrics
            .lines()
            .any(|line| line.starts_with("tidegate_ai_stream_errors_total") && line.ends_with(" 1"))
            && metrics.contains("upstream_malformed")
    });
}

#[test]
fn a_stream_without_a_first_token_in_time_falls_back_even_if_it_pings() {
    let silent = streaming(|stream| {
        while stream.write_all(chunk(": wait\n\n").as_bytes()).is_ok() {
            std::thread::sleep(Duration::from_millis(30));
        }
    });
    let second = streaming(|stream| {
        let _ = stream
            .write_all(format!("{}{}0\r\n\r\n", chunk(&piece("yes")), chunk(&ending())).as_bytes());
    });
    let gateway = gateway(
        &[silent.address, second.address],
        "strategy: { priority: {} }\nfirst_token: 200ms\n\
         targets: [{ provider: p0, model: a }, { provider: p1, model: b }]",
    );
    let started = Instant::now();
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert_eq!(answer.text(), format!("{}{}", piece("yes"), ending()));
    assert!((200..4_000).contains(&(started.elapsed().as_millis() as u64)));
}

#[test]
fn wrong_usage_neither_breaks_the_answer_nor_the_record() {
    for usage in [
        "\"usage\":\"many\"",
        "\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":1e99}",
        "\"usage\":{\"prompt_tokens\":99999999999999999999999}",
        "\"usage\":{\"prompt_tokens\":{\"prompt_tokens\":1}}",
        "\"usage\":[]",
    ] {
        let body = format!("{{\"id\":\"a\",\"model\":\"x\",\"choices\":[],{usage}}}");
        let said = body.clone();
        let provider = Upstream::http(move |_, _| crate::support::ok(&said));
        let gateway = one(&provider, "");
        let answer = Caller::new(&gateway).post(CHAT, &request("x"));
        assert_eq!((answer.status, answer.text()), (200, &*body), "{usage}");
        let streamed = format!(
            "data: {{\"choices\":[],{usage}}}\n\n{}data: [DONE]\n\n",
            piece("one")
        );
        let expected = streamed.clone();
        let provider = streaming(move |stream| {
            let _ = stream.write_all(format!("{}0\r\n\r\n", chunk(&streamed)).as_bytes());
        });
        let gateway = one(&provider, "");
        let answer = Caller::new(&gateway).post(CHAT, &stream_request());
        assert_eq!(answer.text(), expected, "{usage}");
    }
}

#[test]
fn a_megabyte_of_arguments_passes_whole() {
    let event = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":0,\"id\":\"c\",\"function\":{{\"name\":\"f\",\"arguments\":\"{}\"}}}}]}}}}]}}\n\n",
        "a".repeat(1 << 20)
    );
    let text = format!("{}{event}{}", piece("x"), ending());
    let sent = text.clone();
    let provider = streaming(move |stream| {
        for piece in sent.as_bytes().chunks(10_007) {
            let piece = std::str::from_utf8(piece).unwrap();
            if stream.write_all(chunk(piece).as_bytes()).is_err() {
                return;
            }
        }
        let _ = stream.write_all(b"0\r\n\r\n");
    });
    let gateway = one(&provider, "");
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert!(answer.complete && answer.text() == text);
    eventually("its usage was still found", || {
        gateway.metrics().contains("gen_ai_client_token_usage")
    });
}

#[test]
fn a_caller_that_leaves_cancels_its_stream_and_leaves_nothing_behind() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let provider = streaming(move |stream| {
        let event = chunk(&piece("more"));
        while stream.write_all(event.as_bytes()).is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = sender.send(());
    });
    let second = answering("second");
    let gateway = gateway(
        &[provider.address, second.address],
        "strategy: { priority: {} }\ntargets: [{ provider: p0, model: a }, { provider: p1, model: b }]",
    );
    for _ in 0..5 {
        let mut caller = Caller::new(&gateway);
        caller.send(CHAT, &stream_request());
        std::thread::sleep(Duration::from_millis(60));
        drop(caller);
        receiver
            .recv_timeout(Duration::from_secs(8))
            .expect("the call is given up");
    }
    assert_eq!(second.calls(), 0);
}
