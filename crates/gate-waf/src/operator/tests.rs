//! Operators on the cases where implementations differ.

use super::*;

fn pattern(source: &str) -> Pattern {
    Pattern::compile(source, false).expect(source)
}

#[test]
fn patterns_mean_what_pcre_means() {
    for (source, value, found) in [
        (r"\x{bc}[^>\x{be}]*", &b"\xbcx"[..], true),
        (r"[\x7f-\x{ff}]", b"\xe9", true),
        (r"a.c", b"a\nc", true),
        (r"^b$", b"a\nb\nc", true),
        (r"[[&&]x", b"[x", true),
        (r"[[&&]x", b"&x", true),
        (r"[a--]", b"-", true),
        (r"[]a]b", b"]b", true),
        (r"{php}", b"{php}", true),
        (r"a{,3}", b"a{,3}", true),
        (r"(?>a+)b", b"aab", true),
        (r"\h\<\/\>", b"\t</>", true),
        (r"[\b]", b"\x08", true),
        (r"\bup", b"soup", false),
        ("\u{2019}", "\u{2019}".as_bytes(), true),
        (r"\w", "\u{e9}".as_bytes(), false),
    ] {
        assert_eq!(pattern(source).is_match(value), found, "{source}");
    }
    let refused = Pattern::compile("a(?=b)", false).unwrap_err();
    assert!(refused.contains("cannot be run"), "{refused}");
}

#[test]
fn groups_that_took_part_are_captured() {
    let Found::Groups(groups) = pattern(r"(a)|(b)(c)?").find(b"xb", true) else {
        panic!("no groups");
    };
    assert_eq!(groups.as_slice(), [(0, 1..2), (2, 1..2)]);
}

#[test]
fn words() {
    let words = Words::from_argument("Alpha |4142|").unwrap();
    assert!(matches!(words.find(b"xalPHA"), Found::Groups(_)));
    assert!(matches!(words.find(b"xAB"), Found::Groups(_)));
    assert!(matches!(words.find(b"xalph"), Found::No));
    let read = |name: &str| match name {
        "a.data" => Ok(b"# no\n  one \r\n\ntwo".to_vec()),
        _ => Err("absent".to_owned()),
    };
    let words = Words::from_files("a.data", &read).unwrap();
    assert!(matches!(words.find(b"one"), Found::Groups(_)));
    assert!(matches!(words.find(b"# no"), Found::No));
    assert!(Words::from_files("b.data", &read).is_err());
}

#[test]
fn numbers_are_read_from_the_beginning() {
    assert_eq!(
        [number(b" 12x"), number(b"-3"), number(b"x"), number(b"")],
        [12, -3, 0, 0]
    );
    assert_eq!(number(b"99999999999999999999"), i64::MAX);
}

#[test]
fn comparisons() {
    use Compare as C;
    for (compare, value, argument, holds) in [
        (C::Within, &b"ab"[..], &b"xaby"[..], true),
        (C::Within, b"", b"x", true),
        (C::EndsWith, b"a.pdf", b".pdf", true),
        (C::Equal, b"a", b"A", false),
        (C::ContainsWord, b"a bc d", b"bc", true),
        (C::ContainsWord, b"abc", b"bc", false),
        (C::NumberAbove, b"10", b"9", true),
    ] {
        assert_eq!(compare.holds(value, argument), holds, "{compare:?}");
    }
}

#[test]
fn bytes() {
    let set = ByteSet::parse("9,10,13,32-126").unwrap();
    assert!(set.misses(b"a\0") && !set.misses(b"a\tb"));
    assert!(ByteSet::parse("9-x").is_err() && ByteSet::parse("9-3").is_err());
    assert!(super::bytes::is_url_encoded(b"%41b") && !super::bytes::is_url_encoded(b"%4"));
}

#[test]
fn injections() {
    assert!(matches!(injection::sqli(b"1' OR '1'='1"), Found::Text(_)));
    assert!(matches!(
        injection::xss(b"<script>alert(1)</script>"),
        Found::Text(_)
    ));
    for value in [&b"hello world"[..], b"", b"O'Neil", b"a=b"] {
        assert!(matches!(injection::sqli(value), Found::No), "{value:?}");
        assert!(matches!(injection::xss(value), Found::No), "{value:?}");
    }
}

#[test]
fn single_words_are_no_sql() {
    // The prefilter of `@detectSQLi` rests on this.
    for word in [
        "select", "union", "or", "sleep", "null", "x", "X", "1", "0x1f", "1e5", "a1_b", "_",
        "users", "N", "b0", "xor", "waitfor",
    ] {
        assert!(
            matches!(injection::sqli(word.as_bytes()), Found::No),
            "{word}"
        );
    }
}
