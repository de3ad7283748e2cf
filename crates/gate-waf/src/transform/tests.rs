//! Each transformation on the cases where implementations differ.

use super::*;

fn check(name: &str, cases: &[(&[u8], &[u8])]) {
    let transformation = Transformation::by_name(name).expect(name);
    for (input, expected) in cases {
        let mut output = Vec::new();
        transformation.run(input, &mut output);
        let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(
            shown(&output),
            shown(expected),
            "{name} of {}",
            shown(input)
        );
        assert_eq!(&output, expected, "{name} of {}", shown(input));
    }
}

#[test]
fn urls() {
    check(
        "urlDecodeUni",
        &[
            (b"a+b%20%u0041%uff1c%u2019%zz%4", b"a b A<'%zz%4"),
            (b"%u00zz%", b"%u00zz%"),
            (b"%U0027", b"'"),
        ],
    );
    check("urlDecode", &[(b"%41+%u0041", b"A %u0041")]);
}

#[test]
fn html() {
    check(
        "htmlEntityDecode",
        &[
            (b"&lt;&#x3c;&#60;&#0060;&LTx;&quot", b"<<<<<\""),
            (b"&nbsp;&bogus;&#;&#x;&", b"\xa0&bogus;&#;&#x;&"),
        ],
    );
}

#[test]
fn escapes() {
    check(
        "jsDecode",
        &[
            (br"\u0041\uff1c\x41\101\400\n\q\", b"A<AA 0\nq\\"),
            (br"\u00", b"u00"),
        ],
    );
    check(
        "cssDecode",
        &[
            (br"\41 g\z", b"Agz"),
            (br"ja\vascript", b"javascript"),
            (b"a\\\nb", b"ab"),
            (br"\ff1c", b"<"),
        ],
    );
    check(
        "escapeSeqDecode",
        &[(br"\r\n\x41\101\q\xzz", b"\r\nAAqxzz")],
    );
}

#[test]
fn paths() {
    check(
        "normalizePath",
        &[
            (b"/a/../b", b"/b"),
            (b"/a/./b//c", b"/a/b/c"),
            (b"../../a", b"../../a"),
            (b"a/../../b", b"../b"),
            (b"/../../etc/passwd", b"/etc/passwd"),
            (b"/a/b/..", b"/a"),
            (b"/..", b""),
            (b"/a/", b"/a/"),
            (b"a", b"a"),
            (b"./a", b"a"),
        ],
    );
    check(
        "normalizePathWin",
        &[(br"\a\..\b", b"/b"), (br"c:\x\.\y", b"c:/x/y")],
    );
}

#[test]
fn text() {
    check(
        "cmdLine",
        &[(b"C^AT  , ;/etc\\\"'x", b"cat/etcx"), (b"a , ( b", b"a( b")],
    );
    check("compressWhitespace", &[(b"a \t\n b", b"a b")]);
    check("removeWhitespace", &[(b"a \x0b\xc2\xa0b", b"ab")]);
    check("replaceComments", &[(b"a/*x*/b/*", b"a b ")]);
    check("removeComments", &[(b"a/*x*/b--c", b"ab")]);
    check(
        "removeCommentsChar",
        &[(b"a/*b*/<!--c-->d#e--f", b"abcdef")],
    );
    check("length", &[(b"", b"0"), (b"abc", b"3")]);
}

#[test]
fn codecs() {
    check(
        "base64Decode",
        &[
            (b"YWI=", b"ab"),
            (b"YWJj", b"abc"),
            (b"Y!", b""),
            (b"YWJjZA", b"abc"),
        ],
    );
    check("base64DecodeExt", &[(b"YW!I=", b"ab")]);
    check(
        "base64Encode",
        &[(b"ab", b"YWI="), (b"abc", b"YWJj"), (b"a", b"YQ==")],
    );
    check("hexEncode", &[(b"\x00\xff", b"00ff")]);
    check("sqlHexDecode", &[(b"0x6162g", b"abg")]);
    check(
        "utf8toUnicode",
        &[
            ("a\u{e9}\u{20ac}".as_bytes(), b"a%u00e9%u20ac"),
            (b"\xc0\xaf", b"%u002f\xc0"),
            (b"\xff", b"\xff"),
        ],
    );
    check(
        "sha1",
        &[(
            b"",
            b"\xda9\xa3\xee^kK\r2U\xbf\xef\x95`\x18\x90\xaf\xd8\x07\t",
        )],
    );
}

#[test]
fn untriggered_values_stay() {
    let plain = b"qwvbz";
    for name in [
        "urlDecodeUni",
        "htmlEntityDecode",
        "jsDecode",
        "cssDecode",
        "removeNulls",
        "replaceComments",
        "utf8toUnicode",
        "compressWhitespace",
        "normalizePath",
    ] {
        let transformation = Transformation::by_name(name).unwrap();
        assert_eq!(
            transformation.triggers() & crate::prefilter::mask_of(plain),
            0,
            "{name}"
        );
        check(name, &[(plain, plain)]);
    }
}
