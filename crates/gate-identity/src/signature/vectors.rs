//! RFC 9421's own test cases: appendix B.2 (six algorithms and coverages), B.3 and B.4, verified; and
//! made where the algorithm is deterministic.

use super::*;
use gate_kit::http::Headers;

const PSS: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf
w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==
-----END PUBLIC KEY-----";
const ED: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----";
const ED_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----";
const SECRET: &str = "base64:uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const DIGEST: &str = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
const ANSWER_DIGEST: &str = "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:";

fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    headers
}

/// The request of appendix B.2, with a signature.
fn request(input: &str, signature: &str) -> Headers {
    headers(&[
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Digest", DIGEST),
        ("Signature-Input", input),
        ("Signature", signature),
    ])
}

fn message(headers: &Headers) -> Message<'_> {
    Message {
        method: "POST",
        scheme: "https",
        authority: "example.com",
        target: "/foo?param=Value&Pet=dog",
        headers,
        content_length: Some(18),
        response: None,
    }
}

#[track_caller]
fn verify(
    message: &Message<'_>,
    signed: &Headers,
    key: (SignatureAlgorithm, &str),
) -> Result<(), SignatureError> {
    let all = signatures(signed)?;
    assert_eq!(all.len(), 1);
    let key = VerificationKey::new(key.0, key.1).expect("a key");
    all[0].verify(message, &key)
}

const B2: [(&str, &str, SignatureAlgorithm, &str); 5] = [
    (
        r#"sig-b21=();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd""#,
        "sig-b21=:d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZsfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Nyt8C8ssinQ98Xw9Q==:",
        SignatureAlgorithm::RsaPssSha512,
        PSS,
    ),
    (
        r#"sig-b22=("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example""#,
        "sig-b22=:LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==:",
        SignatureAlgorithm::RsaPssSha512,
        PSS,
    ),
    (
        r#"sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss""#,
        "sig-b23=:bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==:",
        SignatureAlgorithm::RsaPssSha512,
        PSS,
    ),
    (
        r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
        "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
        SignatureAlgorithm::HmacSha256,
        SECRET,
    ),
    (
        r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
        SignatureAlgorithm::Ed25519,
        ED,
    ),
];

#[test]
fn requests_of_appendix_b2_verify_and_changed_ones_do_not() {
    for (input, signature, algorithm, key) in B2 {
        let fields = request(input, signature);
        let good = message(&fields);
        assert_eq!(verify(&good, &fields, (algorithm, key)), Ok(()), "{input}");
        let covered = &signatures(&fields).expect("valid")[0];
        for (name, changed) in [
            (
                "@method",
                Message {
                    method: "PUT",
                    ..good
                },
            ),
            (
                "@authority",
                Message {
                    authority: "example.org",
                    ..good
                },
            ),
            (
                "@path",
                Message {
                    target: "/fo?param=Value&Pet=dog",
                    ..good
                },
            ),
            (
                "@query-param",
                Message {
                    target: "/foo?param=Value&Pet=cat",
                    ..good
                },
            ),
            (
                "content-length",
                Message {
                    content_length: Some(19),
                    ..good
                },
            ),
        ] {
            let result = verify(&changed, &fields, (algorithm, key));
            let query = name == "@query-param" && covered.covers("@query");
            let expected = match covered.covers(name) || query {
                true => Err(SignatureError::Different),
                false => Ok(()),
            };
            assert_eq!(result, expected, "{input} {name}");
        }
        let other = input.replace("1618884473", "1618884474");
        let fields = request(&other, signature);
        let result = verify(&message(&fields), &fields, (algorithm, key));
        assert_eq!(result, Err(SignatureError::Different));
        let fields = request(&format!("{input};alg=\"none\""), signature);
        let result = verify(&message(&fields), &fields, (algorithm, key));
        assert_eq!(result, Err(SignatureError::Algorithm));
    }
}

#[test]
fn the_response_of_appendix_b24_verifies() {
    let (input, signature) = (
        r#"sig-b24=("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256""#,
        "sig-b24=:wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==:",
    );
    let asked = headers(&[]);
    let answered = headers(&[
        ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Digest", ANSWER_DIGEST),
        ("Signature-Input", input),
        ("Signature", signature),
    ]);
    let key = (SignatureAlgorithm::EcdsaP256Sha256, P256);
    let mut message = Message {
        content_length: Some(23),
        response: Some((200, &answered)),
        ..message(&asked)
    };
    assert_eq!(verify(&message, &answered, key), Ok(()));
    message.response = Some((404, &answered));
    let result = verify(&message, &answered, key);
    assert_eq!(result, Err(SignatureError::Different));
    message.response = None;
    let result = verify(&message, &answered, key);
    assert!(matches!(result, Err(SignatureError::Component(_))));
}

#[test]
fn the_proxys_request_of_appendix_b3_verifies() {
    let input = r#"ttrp=("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256""#;
    let signature = "ttrp=:xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==:";
    let certificate = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:";
    let fields = headers(&[
        ("Client-Cert", certificate),
        ("Signature-Input", input),
        ("Signature", signature),
    ]);
    let mut proxied = message(&fields);
    proxied.authority = "service.internal.example";
    let key = (SignatureAlgorithm::EcdsaP256Sha256, P256);
    assert_eq!(verify(&proxied, &fields, key), Ok(()));
}

#[test]
fn the_transformations_of_appendix_b4_are_told_apart() {
    let input = r#"transform=("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519""#;
    let signature = "transform=:ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==:";
    let key = (SignatureAlgorithm::Ed25519, ED);
    let check = |method, authority, target, accept: &[&str]| {
        let mut fields: Vec<_> = accept.iter().map(|value| ("Accept", *value)).collect();
        fields.extend([("Signature-Input", input), ("Signature", signature)]);
        let fields = headers(&fields);
        let message = Message {
            method,
            scheme: "https",
            authority,
            target,
            headers: &fields,
            content_length: None,
            response: None,
        };
        verify(&message, &fields, key)
    };
    let (target, both) = (
        "/demo?name1=Value1&Name2=value2",
        ["application/json", "*/*"],
    );
    assert_eq!(check("GET", "example.org", target, &both), Ok(()));
    let more = "/demo?name1=Value1&Name2=value2&param=added";
    assert_eq!(check("GET", "EXAMPLE.org:443", more, &both), Ok(()));
    assert_eq!(
        check("GET", "example.org", target, &["application/json, */*"]),
        Ok(())
    );
    let different = Err(SignatureError::Different);
    assert_eq!(check("POST", "example.com", target, &both), different);
    assert_eq!(
        check("GET", "example.org", target, &["*/*", "application/json"]),
        different
    );
}

#[test]
fn what_is_made_is_what_the_standard_makes() {
    let fields = request("", "");
    let good = message(&fields);
    for (place, private) in [(3, SECRET), (4, ED_PRIVATE)] {
        let (input, signature, algorithm, _) = B2[place];
        let key = SigningKey::new(algorithm, private).expect("a key");
        let (label, rest) = input.split_once('=').expect("a label");
        let names = rest
            .trim_start_matches('(')
            .split_once(')')
            .expect("a list")
            .0;
        let components: Vec<_> = names
            .split(' ')
            .map(|name| Component::parse(name).expect("a component"))
            .collect();
        let id = if place == 3 {
            "test-shared-secret"
        } else {
            "test-key-ed25519"
        };
        let parameters = Parameters {
            created: Some(1_618_884_473),
            key_id: Some(id),
            ..Parameters::default()
        };
        let made = write(label, &components, &parameters, &good, &key).expect("signed");
        assert_eq!(made, (input.to_owned(), signature.to_owned()));
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let fields = |input: &str, signature: &str| request(input, signature);
    for (input, signature) in [
        ("a=()", "b=:aGk=:"),
        ("a=(), b=()", "a=:aGk=:"),
        ("a=1", "a=:aGk=:"),
        ("a=()", "a=x"),
        ("a=(date)", "a=:aGk=:"),
        (r#"a=("Date")"#, "a=:aGk=:"),
        (r#"a=("@signature-params")"#, "a=:aGk=:"),
        (r#"a=("@query-param")"#, "a=:aGk=:"),
        (r#"a=("date";bs;sf)"#, "a=:aGk=:"),
        (r#"a=("date";tr)"#, "a=:aGk=:"),
        (r#"a=("date"#, "a=:aGk=:"),
    ] {
        assert!(signatures(&fields(input, signature)).is_err(), "{input}");
    }
    let key = (SignatureAlgorithm::HmacSha256, SECRET);
    for input in [
        r#"a=("date" "date")"#,
        r#"a=("missing")"#,
        r#"a=("@status")"#,
        r#"a=("@method";req)"#,
        r#"a=("date";sf)"#,
        r#"a=("content-digest";key="md5")"#,
    ] {
        let fields = fields(input, "a=:aGk=:");
        let result = verify(&message(&fields), &fields, key);
        assert!(
            matches!(result, Err(SignatureError::Component(_))),
            "{input}: {result:?}"
        );
    }
    for (algorithm, key) in [
        (SignatureAlgorithm::Ed25519, P256),
        (SignatureAlgorithm::EcdsaP384Sha384, P256),
        (SignatureAlgorithm::Ed25519, SECRET),
        (SignatureAlgorithm::HmacSha256, "short"),
    ] {
        assert!(
            VerificationKey::new(algorithm, key).is_err(),
            "{algorithm:?}"
        );
    }
    assert!(signatures(&headers(&[])).expect("none").is_empty());
}
