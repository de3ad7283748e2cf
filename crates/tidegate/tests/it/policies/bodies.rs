//! `compress`, decoded by curl, whose decoders are not ours.

use super::behind;
use crate::support::{Reply, Upstream, curl};

fn text() -> String {
    (0..2000)
        .map(|line| format!("line {line} of something that repeats\n"))
        .collect()
}

#[test]
fn compress_speaks_every_coding_that_curl_understands() {
    let upstream = Upstream::start(|_| Reply::text(text()));
    let gateway = behind(&upstream, "[{ compress: {} }]");
    for coding in ["gzip", "br", "zstd"] {
        let accept = format!("accept-encoding: {coding}");
        let answer = gateway
            .curl("/", &["--compressed", "-H", &accept])
            .expect(200);
        assert_eq!(answer.header("content-encoding"), Some(coding), "{coding}");
        assert_eq!(answer.body, text(), "{coding}");
        assert!(
            answer
                .header("vary")
                .is_some_and(|vary| vary.eq_ignore_ascii_case("accept-encoding"))
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body").display().to_string();
        curl(&[
            &gateway.url("/"),
            "-H",
            &accept,
            "-o",
            &file,
            "--no-include",
        ]);
        let sent = std::fs::metadata(&file).unwrap().len() as usize;
        assert!(
            sent > 0 && sent * 4 < text().len(),
            "{coding}: {sent} bytes on the wire"
        );
    }
    let plain = gateway.curl("/", &[]).expect(200);
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.body, text());
    let none = gateway
        .curl("/", &["-H", "accept-encoding: gzip;q=0, unknown"])
        .expect(200);
    assert_eq!(none.header("content-encoding"), None);
}

#[test]
fn compress_leaves_alone_what_gains_nothing() {
    let picture = Upstream::start(|_| Reply::text(text()).header("content-type", "image/png"));
    let small = Upstream::start(|_| Reply::text("tiny"));
    let encoded = Upstream::start(|_| Reply::text(text()).header("content-encoding", "x-own"));
    for (upstream, coding) in [(picture, None), (small, None), (encoded, Some("x-own"))] {
        let gateway = behind(&upstream, "[{ compress: {} }]");
        let answer = gateway
            .curl("/", &["-H", "accept-encoding: gzip, br, zstd"])
            .expect(200);
        assert_eq!(answer.header("content-encoding"), coding);
    }
}

#[test]
fn compress_takes_what_comes_in_pieces() {
    let upstream = Upstream::start(|_| Reply::text(text()).split(777));
    let gateway = behind(&upstream, "[{ compress: { encodings: [zstd, gzip] } }]");
    let answer = gateway.curl("/", &["--compressed"]).expect(200);
    assert_eq!(
        answer.header("content-encoding"),
        Some("zstd"),
        "the order of the file decides"
    );
    assert_eq!(answer.body, text());
}
