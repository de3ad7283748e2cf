//! UTF-8 to `%uHHHH`, and Microsoft's best fit of Unicode in ASCII (code page 20127).

use std::sync::LazyLock;

/// Code points that servers take for an ASCII byte (`bestfit20127` of Microsoft's code page tables,
/// which ModSecurity's recommended configuration names). Full-width forms are computed.
#[rustfmt::skip]
const BEST_FIT: &[(u8, &str)] = &[
    (b' ', "\u{a0}\u{2000}\u{2001}\u{2002}\u{2003}\u{2004}\u{2005}\u{2006}"),
    (b'!', "\u{a1}"),
    (b'"', "\u{2ba}\u{30e}\u{201c}\u{201d}\u{201e}"),
    (b'$', "\u{a4}"),
    (b'\'', "\u{2b9}\u{2bc}\u{2c8}\u{2018}\u{2019}\u{2032}"),
    (b',', "\u{b8}\u{201a}"),
    (b'-', "\u{ad}\u{2010}\u{2011}\u{2013}\u{2014}"),
    (b'.', "\u{b7}\u{2022}\u{2026}"),
    (b'1', "\u{b9}"),
    (b'2', "\u{b2}"),
    (b'3', "\u{b3}"),
    (b'<', "\u{ab}\u{2039}"),
    (b'>', "\u{bb}\u{203a}"),
    (b'A', "\u{c0}\u{c1}\u{c2}\u{c3}\u{c4}\u{c5}\u{c6}\u{100}\u{102}\u{104}\u{1cd}\u{1de}"),
    (b'C', "\u{a9}\u{c7}\u{106}\u{108}\u{10a}\u{10c}"),
    (b'D', "\u{d0}\u{10e}\u{110}\u{189}"),
    (b'E', "\u{c8}\u{c9}\u{ca}\u{cb}\u{112}\u{114}\u{116}\u{118}\u{11a}"),
    (b'F', "\u{191}"),
    (b'G', "\u{11c}\u{11e}\u{120}\u{122}\u{1e4}\u{1e6}"),
    (b'H', "\u{124}\u{126}"),
    (b'I', "\u{cc}\u{cd}\u{ce}\u{cf}\u{128}\u{12a}\u{12c}\u{12e}\u{130}\u{197}\u{1cf}"),
    (b'J', "\u{134}"),
    (b'K', "\u{136}\u{1e8}"),
    (b'L', "\u{139}\u{13b}\u{13d}\u{141}"),
    (b'N', "\u{d1}\u{143}\u{145}\u{147}"),
    (b'O', "\u{d2}\u{d3}\u{d4}\u{d5}\u{d6}\u{d8}\u{14c}\u{14e}\u{150}\u{152}\u{19f}\u{1a0}\u{1d1}\
        \u{1ea}\u{1ec}"),
    (b'R', "\u{ae}\u{154}\u{156}\u{158}"),
    (b'S', "\u{15a}\u{15c}\u{15e}\u{160}"),
    (b'T', "\u{162}\u{164}\u{166}\u{1ae}\u{2122}"),
    (b'U', "\u{d9}\u{da}\u{db}\u{dc}\u{168}\u{16a}\u{16c}\u{16e}\u{170}\u{172}\u{1af}\u{1d3}\
        \u{1d5}\u{1d7}\u{1d9}\u{1db}"),
    (b'W', "\u{174}"),
    (b'Y', "\u{a5}\u{dd}\u{176}\u{178}"),
    (b'Z', "\u{179}\u{17b}\u{17d}"),
    (b'^', "\u{2c4}\u{2c6}\u{302}"),
    (b'_', "\u{2cd}\u{331}\u{332}"),
    (b'`', "\u{2cb}\u{300}\u{2035}"),
    (b'a', "\u{aa}\u{e0}\u{e1}\u{e2}\u{e3}\u{e4}\u{e5}\u{e6}\u{101}\u{103}\u{105}\u{1ce}\u{1df}"),
    (b'b', "\u{180}"),
    (b'c', "\u{a2}\u{e7}\u{107}\u{109}\u{10b}\u{10d}"),
    (b'd', "\u{10f}\u{111}"),
    (b'e', "\u{e8}\u{e9}\u{ea}\u{eb}\u{113}\u{115}\u{117}\u{119}\u{11b}"),
    (b'f', "\u{192}"),
    (b'g', "\u{11d}\u{11f}\u{121}\u{123}\u{1e5}\u{1e7}\u{261}"),
    (b'h', "\u{125}\u{127}"),
    (b'i', "\u{ec}\u{ed}\u{ee}\u{ef}\u{129}\u{12b}\u{12d}\u{12f}\u{131}\u{1d0}"),
    (b'j', "\u{135}\u{1f0}"),
    (b'k', "\u{137}\u{1e9}"),
    (b'l', "\u{13a}\u{13c}\u{13e}\u{142}\u{19a}"),
    (b'n', "\u{f1}\u{144}\u{146}\u{148}"),
    (b'o', "\u{ba}\u{f2}\u{f3}\u{f4}\u{f5}\u{f6}\u{f8}\u{14d}\u{14f}\u{151}\u{153}\u{1a1}\u{1d2}\
        \u{1eb}\u{1ed}"),
    (b'r', "\u{155}\u{157}\u{159}"),
    (b's', "\u{15b}\u{15d}\u{15f}\u{161}"),
    (b't', "\u{163}\u{165}\u{167}\u{1ab}"),
    (b'u', "\u{f9}\u{fa}\u{fb}\u{fc}\u{169}\u{16b}\u{16d}\u{16f}\u{171}\u{173}\u{1b0}\u{1d4}\
        \u{1d6}\u{1d8}\u{1da}\u{1dc}"),
    (b'w', "\u{175}"),
    (b'y', "\u{fd}\u{ff}\u{177}"),
    (b'z', "\u{17c}\u{17e}\u{1b6}"),
    (b'|', "\u{a6}"),
    (b'~', "\u{2dc}\u{303}"),
];

/// The table by code point; 0 where there is no fit.
static TABLE: LazyLock<Box<[u8]>> = LazyLock::new(|| {
    let mut table = vec![0_u8; 0x2200].into_boxed_slice();
    for (byte, points) in BEST_FIT {
        for point in points.chars() {
            table[point as usize] = *byte;
        }
    }
    table
});

/// The ASCII byte that code page 20127 has for a code point beyond ASCII.
pub(super) fn best_fit(code: u16) -> Option<u8> {
    match code {
        // U+FF1F is missing in the table.
        0xff01..=0xff5e if code != 0xff1f => Some((code - 0xfee0) as u8),
        _ => {
            let byte = *TABLE.get(usize::from(code))?;
            (byte != 0).then_some(byte)
        }
    }
}

/// `t:utf8toUnicode`: characters beyond ASCII as `%uHHHH`; bytes that are no UTF-8 stay.
pub(super) fn utf8_to_unicode(input: &[u8], output: &mut Vec<u8>) {
    let mut at = 0;
    while at < input.len() {
        let byte = input[at];
        // A NUL within goes, as in ModSecurity.
        if byte == 0 && at + 1 < input.len() {
            at += 1;
            continue;
        }
        let Some((code, length)) = decode(&input[at..]) else {
            // Bytes that begin nothing stay; a broken sequence loses its first byte.
            if byte < 0x80 || byte & 0xc0 == 0x80 || byte >= 0xf5 {
                output.push(byte);
            }
            at += 1;
            continue;
        };
        output.extend_from_slice(format!("%u{code:04x}").as_bytes());
        let is_surrogate = (0xd800..=0xdfff).contains(&code);
        let least = [0, 0, 0x80, 0x800, 0x1_0000][length];
        for _ in 0..usize::from(is_surrogate) + usize::from(code < least) {
            output.push(byte);
        }
        at += length;
    }
}

/// A sequence of two to four bytes, also one that is longer than need be.
fn decode(input: &[u8]) -> Option<(u32, usize)> {
    let (length, first) = match input[0] {
        byte @ 0xc0..=0xdf => (2, byte & 0x1f),
        byte @ 0xe0..=0xef => (3, byte & 0x0f),
        byte @ 0xf0..=0xf7 => (4, byte & 0x07),
        _ => return None,
    };
    let rest = input.get(1..length)?;
    let add =
        |code: u32, byte: &u8| (byte & 0xc0 == 0x80).then(|| code << 6 | u32::from(byte & 0x3f));
    let code = rest.iter().try_fold(u32::from(first), add)?;
    Some((code, length))
}
