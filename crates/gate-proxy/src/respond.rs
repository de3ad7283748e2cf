//! The one place where a fault becomes bytes.
//!
//! In the caller's dialect: a gRPC status for gRPC calls (trailers-only response), the AI vendor's
//! error shape where the target says so, problem+json (RFC 9457) for everybody else. The caller
//! sees the code, its title and the words meant for it; the cause stays in the record.

use gate_flow::{Exchange, Fault, FaultError, InsideFault};
use gate_kit::http::{Body, Chunk, HeaderId, Headers, RequestHead, Response, ResponseHead};
use gate_model::fault::FaultCode;
use serde::Serialize;

/// A problem document, RFC 9457 section 3.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [FaultError]>,
}

/// Answers an exchange with a fault, and notes it in the record.
pub fn fault(exchange: &mut Exchange, fault: Fault) -> Response {
    exchange.record.fault = Some(fault.code);
    if let Some(inside) = &exchange.client.inside {
        let told = InsideFault {
            code: fault.code,
            detail: fault.detail.clone(),
        };
        // Whatever was told first stands.
        let _ = inside.fault.set(told);
    }
    let mut response = if is_grpc(&exchange.request.head) {
        grpc(&fault)
    } else {
        let route = exchange.route.map(|index| &exchange.snapshot.routes[index]);
        route
            .and_then(|route| route.target.render_fault(exchange, &fault))
            .unwrap_or_else(|| problem(&fault))
    };
    let headers = &mut response.head.headers;
    if let Some(after) = fault.retry_after
        && !exchange.response_headers.contains(HeaderId::RetryAfter)
    {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.append_known(HeaderId::RetryAfter, seconds.to_string().as_bytes());
    }
    if fault.code == FaultCode::CredentialMissing
        && !exchange
            .response_headers
            .contains(HeaderId::WwwAuthenticate)
    {
        headers.append_known(HeaderId::WwwAuthenticate, b"Bearer");
    }
    exchange.record.fault_detail = fault.detail;
    response
}

/// A fault before there is an exchange, such as a head that cannot be understood.
#[must_use]
pub fn problem(fault: &Fault) -> Response {
    let problem = Problem {
        r#type: format!("urn:tidegate:fault:{}", fault.code),
        title: fault.code.title(),
        status: fault.code.status(),
        code: fault.code.as_str(),
        detail: &fault.message,
        errors: fault.errors.as_ref().map(|errors| errors.as_slice()),
    };
    let body = serde_json::to_vec(&problem).expect("strings and numbers always serialise");
    Response::full(
        fault.code.status(),
        "application/problem+json",
        Chunk::from(body),
    )
}

/// Whether a request is a gRPC call.
#[must_use]
pub fn is_grpc(head: &RequestHead) -> bool {
    head.headers
        .get(HeaderId::ContentType)
        .is_some_and(|value| value.starts_with(b"application/grpc"))
}

/// A trailers-only gRPC response: status 200 with the gRPC status among its fields
/// (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>).
fn grpc(fault: &Fault) -> Response {
    let mut headers = Headers::with_capacity(4, 160);
    headers.append_known(HeaderId::ContentType, b"application/grpc");
    headers.append_known(
        HeaderId::GrpcStatus,
        fault.code.grpc_status().to_string().as_bytes(),
    );
    let mut message = fault.code.title().to_owned();
    if !fault.message.is_empty() {
        message.push(' ');
        message.push_str(&fault.message);
    }
    headers.append_known(HeaderId::GrpcMessage, percent_encoded(&message).as_bytes());
    Response {
        head: ResponseHead {
            status: 200,
            headers,
        },
        body: Body::Empty,
    }
}

/// `grpc-message` is percent-encoded outside visible ASCII.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_show_code_and_words_but_never_the_cause() {
        let fault = Fault::new(FaultCode::UpstreamUnreachable)
            .message("Try later.")
            .detail("10.0.0.7:80 refused");
        let response = problem(&fault);
        let Body::Full(body) = &response.body else {
            panic!("a problem has a body")
        };
        let text = std::str::from_utf8(body).unwrap();
        assert!(text.contains("\"code\":\"upstream_unreachable\"") && text.contains("Try later."));
        assert!(!text.contains("10.0.0.7"));
        assert_eq!(response.head.status, 502);
    }

    #[test]
    fn grpc_faults_are_trailers_only() {
        let response = grpc(&Fault::new(FaultCode::RateLimited).message("100 % used"));
        assert_eq!(response.head.status, 200);
        assert_eq!(
            response.head.headers.get(HeaderId::GrpcStatus),
            Some(&b"8"[..])
        );
        let message = response
            .head
            .headers
            .get_str(HeaderId::GrpcMessage)
            .unwrap();
        assert!(message.ends_with("100 %25 used"), "{message}");
    }
}
