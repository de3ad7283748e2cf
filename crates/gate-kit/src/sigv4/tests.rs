//! Published examples, what botocore makes of Bedrock's requests, and what must not pass.

mod presigned;

use super::*;
use crate::http::{Method, RequestHead, Version};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn head(method: Method, authority: &str, target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    RequestHead {
        method,
        authority: authority.into(),
        target: target.into(),
        version: Version::Http11,
        headers,
        upgrade: None,
    }
}

fn signable(head: &RequestHead) -> Signable<'_> {
    Signable {
        method: head.method.as_str(),
        target: &head.target,
        authority: &head.authority,
        headers: &head.headers,
        content_length: Some(2),
    }
}

fn check(head: &RequestHead, body_hash: &str, now: u64) -> Result<(), Refusal> {
    let value = head.headers.get_named("authorization").unwrap();
    let authorization = Authorization::parse(std::str::from_utf8(value).unwrap())?;
    assert_eq!(authorization.access_key_id, KEY);
    authorization.check_time(&signable(head), now, 300)?;
    authorization.check_signature(&signable(head), body_hash, SECRET)
}

const FORM: &str = "application/x-www-form-urlencoded";
const FORM_UTF8: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// A request and its signature: method, host, target, content type, body.
type Published = (
    Method,
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static str,
    &'static str,
);

/// Requests of AWS's own test suite and of its documentation, with the signatures it gives.
const PUBLISHED: [Published; 5] = [
    (
        Method::Get,
        "example.amazonaws.com",
        "/",
        None,
        "",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    (
        Method::Post,
        "example.amazonaws.com",
        "/",
        None,
        "",
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    (
        Method::Get,
        "example.amazonaws.com",
        "/?Param2=value2&Param1=value1",
        None,
        "",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        Method::Post,
        "example.amazonaws.com",
        "/",
        Some(FORM),
        "Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    (
        Method::Get,
        "iam.amazonaws.com",
        "/?Action=ListUsers&Version=2010-05-08",
        Some(FORM_UTF8),
        "",
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    ),
];

#[test]
fn published_examples_have_their_signatures() {
    for (method, host, target, kind, body, signature) in PUBLISHED {
        let mut fields = vec![("X-Amz-Date", "20150830T123600Z")];
        fields.extend(kind.map(|kind| ("Content-Type", kind)));
        let mut head = head(method, host, target, &fields);
        let signed = match kind {
            Some(_) => "content-type;host;x-amz-date",
            None => "host;x-amz-date",
        };
        let service = host.strip_suffix(".amazonaws.com").unwrap();
        let service = service.replace("example", "service");
        let value = format!(
            "{ALGORITHM} Credential={KEY}/20150830/us-east-1/{service}/aws4_request, \
             SignedHeaders={signed}, Signature={signature}"
        );
        head.headers.append(b"Authorization", value.as_bytes());
        let now = parse_time("20150830T123600Z").unwrap();
        let hash = body_hash(body.as_bytes());
        assert_eq!(check(&head, &hash, now), Ok(()), "{target}");
    }
}

/// What botocore 1.44 puts into `authorization` for the same requests.
#[test]
fn requests_to_bedrock_are_signed_as_botocore_signs_them() {
    let body = br#"{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}"#;
    let session = "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse";
    let arn = "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile\
               %2Feu.amazon.nova-lite-v1%3A0/converse-stream";
    for (target, token, fields, signature) in [
        (
            session,
            Some("a session+token/="),
            "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
            "ba904dd1c76ba7159c83e70815bb58f8223a8ad7c17df5b3b5f2d619dcee5c32",
        ),
        (
            arn,
            None,
            "content-type;host;x-amz-content-sha256;x-amz-date",
            "a88f1adf7a1c087135784b1e0ad2d3d6a56f1ee5caaa0af2507072a787ea50cf",
        ),
    ] {
        let host = "bedrock-runtime.eu-west-1.amazonaws.com";
        let fields_sent = [
            ("Content-Type", "application/json"),
            ("accept", "*/*"),
            ("x-amz-date", "stale"),
        ];
        let mut head = head(Method::Post, host, target, &fields_sent);
        let credentials = Credentials {
            access_key_id: KEY,
            secret: SECRET,
            session_token: token,
        };
        let scope = Scope {
            region: "eu-west-1",
            service: "bedrock",
        };
        let now = parse_time("20261121T180000Z").unwrap();
        let hash = body_hash(body);
        sign(&mut head, &hash, &credentials, &scope, now).unwrap();
        let value = head.headers.get_named("authorization").unwrap();
        let expected = format!(
            "{ALGORITHM} Credential={KEY}/20261121/eu-west-1/bedrock/aws4_request, \
             SignedHeaders={fields}, Signature={signature}"
        );
        assert_eq!(std::str::from_utf8(value).unwrap(), expected);
        assert_eq!(head.headers.all_named(DATE).count(), 1);
        assert_eq!(check(&head, &hash, now + 299), Ok(()));
        assert_eq!(check(&head, &hash, now + 301), Err(Refusal::Expired));
        assert_eq!(check(&head, &hash, now - 301), Err(Refusal::Expired));
    }
}

fn signed() -> RequestHead {
    let mut head = head(
        Method::Post,
        "h:8080",
        "/a%2Fb//c?z=1&a=%20&z",
        &[
            ("content-type", "text/plain"),
            ("x-amz-meta", "  a   b "),
            ("x-amz-meta", "c"),
        ],
    );
    let credentials = Credentials {
        access_key_id: KEY,
        secret: SECRET,
        session_token: None,
    };
    let scope = Scope {
        region: "r",
        service: "s",
    };
    sign(&mut head, EMPTY, &credentials, &scope, 1_000_000_000).unwrap();
    head
}

#[test]
fn whatever_is_changed_after_signing_is_noticed() {
    let now = 1_000_000_000;
    assert_eq!(check(&signed(), EMPTY, now), Ok(()));
    let changes: [fn(&mut RequestHead); 7] = [
        |head| head.method = Method::Put,
        |head| head.authority = "h".into(),
        |head| head.target = head.target.replace("%2F", "/"),
        |head| head.target.push_str("&b=2"),
        |head| head.headers.append(b"x-amz-meta", b"d"),
        |head| head.headers.try_set("content-type", b"text/html").unwrap(),
        |head| head.headers.try_set(DATE, b"20010909T014641Z").unwrap(),
    ];
    for (i, change) in changes.iter().enumerate() {
        let mut head = signed();
        change(&mut head);
        assert_eq!(check(&head, EMPTY, now), Err(Refusal::Signature), "{i}");
    }
    assert_eq!(
        check(&signed(), UNSIGNED_PAYLOAD, now),
        Err(Refusal::Signature)
    );
    let mut head = signed();
    head.headers.remove_named("content-type");
    assert_eq!(check(&head, EMPTY, now), Err(Refusal::FieldMissing));
    let mut head = signed();
    head.headers.append(DATE.as_bytes(), b"20010909T014640Z");
    assert_eq!(check(&head, EMPTY, now), Err(Refusal::Date));
    // The order of parameters and more white space mean the same.
    let mut head = signed();
    head.target = "/a%2Fb//c?a=%20&z=&z=1".into();
    assert_eq!(check(&head, EMPTY, now), Ok(()));
}

#[test]
fn other_forms_of_the_field_are_refused() {
    let digits = "0".repeat(64);
    let good = format!(
        "{ALGORITHM} Credential=a/b/20150830/r/s/aws4_request,SignedHeaders=host,Signature={digits}"
    );
    let parsed = Authorization::parse(&good).unwrap();
    assert_eq!((parsed.access_key_id, parsed.scope.region), ("a/b", "r"));
    assert!(parsed.covers("host") && !parsed.covers("date"));
    for (from, to) in [
        ("SHA256", "SHA512"),
        ("aws4_request", "aws3_request"),
        ("/r/", "//"),
        ("SignedHeaders=host", "SignedHeaders=host;date"),
        ("SignedHeaders=host", "SignedHeaders=Host;host"),
        (
            "SignedHeaders=host",
            "SignedHeaders=host,SignedHeaders=host",
        ),
        ("SignedHeaders=host,", ""),
        ("Signature=0", "Signature="),
        ("Signature=0", "Signature=g"),
        (",Signature", ",Extra=1,Signature"),
    ] {
        let bad = good.replace(from, to);
        assert_eq!(Authorization::parse(&bad), Err(Refusal::Malformed), "{bad}");
    }
    let unsigned = good.replace("=host", "=date");
    assert_eq!(Authorization::parse(&unsigned), Err(Refusal::HostUnsigned));
}

#[test]
fn times_are_read_and_written() {
    for (unix_s, stamp) in [
        (0, "19700101T000000Z"),
        (951_782_400, "20000229T000000Z"),
        (1_440_938_160, "20150830T123600Z"),
        (4_107_542_399, "21000228T235959Z"),
    ] {
        assert_eq!(time_stamp(unix_s), stamp);
        assert_eq!(parse_time(stamp), Some(unix_s));
    }
    for bad in [
        "",
        "20150830T123600",
        "20150830 123600Z",
        "20150230T000000Z",
        "20151301T000000Z",
        "2015083aT123600Z",
        "20150830T240000Z",
        "19691231T000000Z",
        "2015-08-30T12:36",
    ] {
        assert_eq!(parse_time(bad), None, "{bad}");
    }
}

#[test]
fn credentials_that_no_field_can_hold_are_refused_and_not_shown() {
    let mut head = head(Method::Post, "h", "/", &[]);
    let scope = Scope {
        region: "r",
        service: "s",
    };
    for (access_key_id, session_token) in [("a\r\nb", None), ("a", Some("b\nc"))] {
        let credentials = Credentials {
            access_key_id,
            secret: "hidden",
            session_token,
        };
        let done = sign(&mut head, EMPTY, &credentials, &scope, 0);
        assert_eq!(done, Err(InvalidCredentials));
        assert!(!format!("{credentials:?}").contains("hidden"));
        assert!(head.headers.get_named("authorization").is_none());
    }
}
