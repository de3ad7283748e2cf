//! Presigned URLs: as long as they say, as they were signed.

use super::*;

/// URLs that botocore 1.44.5 presigned at 2026-01-02T03:04:05Z for 600 seconds.
const PRESIGNED: [(Method, &str, &str); 3] = [
    (
        Method::Get,
        "/a%20b/c?z=1&a=%2F&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Fexecute-api%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature=51e0b79ab6746cc7317e1d20d73a936ee4d4ce247a1bbf4a7082b82f8395809f",
        EMPTY,
    ),
    (
        Method::Post,
        "/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Fexecute-api%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=600&X-Amz-SignedHeaders=content-type%3Bhost&X-Amz-Security-Token=to%2Fken%2B%3D%3D&X-Amz-Signature=2959948f1e49d981866478ef0887e13261c7f7d3af856b17a751fb0ba817865f",
        EMPTY,
    ),
    (
        Method::Put,
        "/bucket/a%20b?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20260102T030405Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host%3Bx-amz-meta-a&X-Amz-Security-Token=to%2Fken%2B%3D%3D&X-Amz-Signature=a525e033bd24f8f16ef42276e197181d5700bd2c1d8408bf47a94b6c7410e11a",
        UNSIGNED_PAYLOAD,
    ),
];

fn check_presigned(head: &RequestHead, body_hash: &str, now: u64) -> Result<(), Refusal> {
    let presigned = Presigned::find(&head.target)?.ok_or(Refusal::Malformed)?;
    let authorization = presigned.authorization()?;
    authorization.check_time(&signable(head), now, 300)?;
    authorization.check_signature(&signable(head), body_hash, SECRET)
}

#[test]
fn presigned_urls_count_for_as_long_as_they_say() {
    let signed_at = parse_time("20260102T030405Z").unwrap();
    let fields = [
        ("content-type", "application/json"),
        ("x-amz-meta-a", "b  c"),
    ];
    for (method, target, hash) in &PRESIGNED {
        let whole = head(method.clone(), "h.example", target, &fields);
        for (now, result) in [
            (signed_at, Ok(())),
            (signed_at + 600, Ok(())),
            (signed_at + 601, Err(Refusal::Expired)),
            // A clock that is behind the signer's.
            (signed_at - 300, Ok(())),
            (signed_at - 301, Err(Refusal::Expired)),
        ] {
            assert_eq!(check_presigned(&whole, hash, now), result, "{target} {now}");
        }
        let life = Presigned::find(target).unwrap().unwrap().life_s();
        assert_eq!(life, 600);
    }
    assert_eq!(Presigned::find("/a?b=c&X-Amz-Date=1"), Ok(None));
    assert_eq!(unsigned(PRESIGNED[0].1), "/a%20b/c?z=1&a=%2F");
    assert_eq!(unsigned(PRESIGNED[1].1), "/a");
    assert_eq!(unsigned("/a"), "/a");
}

#[test]
fn presigned_urls_that_were_changed_are_refused() {
    let signed_at = parse_time("20260102T030405Z").unwrap();
    let fields = [
        ("content-type", "application/json"),
        ("x-amz-meta-a", "b  c"),
    ];
    for (method, target, hash) in &PRESIGNED {
        for (from, to, refusal) in [
            ("Expires=600", "Expires=601", Refusal::Signature),
            ("AKIDEXAMPLE", "AKIDEXAMPLF", Refusal::Signature),
            ("T030405Z", "T030406Z", Refusal::Signature),
            ("Date=2026", "Date=2025", Refusal::Date),
            ("Expires=600", "Expires=604801", Refusal::Expired),
            ("Expires=600", "Expires=0", Refusal::Expired),
            ("Expires=600", "Expires=", Refusal::Malformed),
            ("Expires=600", "Expires=-1", Refusal::Malformed),
            (
                "AWS4-HMAC-SHA256",
                "AWS4-ECDSA-P256-SHA256",
                Refusal::Malformed,
            ),
            (
                "X-Amz-Date=",
                "X-Amz-Date=1&X-Amz-Date=",
                Refusal::Malformed,
            ),
            ("X-Amz-Date=", "Date=", Refusal::Malformed),
            ("SignedHeaders=", "SignedHeaders=%zz", Refusal::Malformed),
            ("?", "?extra=1&", Refusal::Signature),
        ] {
            let other = head(
                method.clone(),
                "h.example",
                &target.replace(from, to),
                &fields,
            );
            let refused = check_presigned(&other, hash, signed_at);
            assert_eq!(refused, Err(refusal), "{to}: {target}");
        }
        let elsewhere = head(method.clone(), "i.example", target, &fields);
        let refused = check_presigned(&elsewhere, hash, signed_at);
        assert_eq!(refused, Err(Refusal::Signature));
    }
}
