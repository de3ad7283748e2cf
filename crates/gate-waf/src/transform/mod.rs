//! Transformations (`t:` of a rule), and chains of them that rules share.
//!
//! Each is a function from bytes to bytes with the quirks of ModSecurity 3, because rules are written
//! against those. A transformation also says by which classes of bytes it can be moved at all
//! (`triggers`), so that most values pass a chain untouched, and without a copy.

mod chain;
mod codec;
mod escapes;
mod html;
mod path;
mod text;
mod unicode;
mod url;

pub(crate) use chain::{Chain, ChainId, Chains};
pub(crate) use url::{decode_form, decode_path};

use crate::prefilter::{CONTROL, HIGH, LETTERS, LINE, SPACE, TAB, class_bit};

macro_rules! transformations {
    ($($variant:ident $($name:literal)|+ => $function:path,)*) => {
        /// A transformation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Transformation { $($variant,)* }

        impl Transformation {
            /// By its name, without regard to case.
            pub(crate) fn by_name(name: &str) -> Option<Transformation> {
                match name.to_ascii_lowercase().as_str() {
                    $($($name)|+ => Some(Transformation::$variant),)*
                    _ => None,
                }
            }

            /// Writes the transformed `input` to `output`, which is empty.
            pub(crate) fn run(self, input: &[u8], output: &mut Vec<u8>) {
                match self { $(Transformation::$variant => $function(input, output),)* }
            }
        }
    };
}

transformations! {
    Base64Decode "base64decode" => codec::base64_decode,
    Base64DecodeExt "base64decodeext" => codec::base64_decode_forgiving,
    Base64Encode "base64encode" => codec::base64_encode,
    CmdLine "cmdline" => text::cmd_line,
    CompressWhitespace "compresswhitespace" => text::compress_whitespace,
    CssDecode "cssdecode" => escapes::css_decode,
    EscapeSeqDecode "escapeseqdecode" => escapes::escape_seq_decode,
    HexDecode "hexdecode" => codec::hex_decode,
    HexEncode "hexencode" => codec::hex_encode,
    HtmlEntityDecode "htmlentitydecode" => html::html_entity_decode,
    JsDecode "jsdecode" => escapes::js_decode,
    Length "length" => text::length,
    Lowercase "lowercase" => text::lowercase,
    Md5 "md5" => codec::md5,
    NormalizePath "normalizepath" | "normalisepath" => path::normalize,
    NormalizePathWin "normalizepathwin" | "normalisepathwin" => path::normalize_win,
    ParityEven7bit "parityeven7bit" => codec::parity_even,
    ParityOdd7bit "parityodd7bit" => codec::parity_odd,
    ParityZero7bit "parityzero7bit" => codec::parity_zero,
    RemoveComments "removecomments" => text::remove_comments,
    RemoveCommentsChar "removecommentschar" => text::remove_comments_char,
    RemoveNulls "removenulls" => text::remove_nulls,
    RemoveWhitespace "removewhitespace" => text::remove_whitespace,
    ReplaceComments "replacecomments" => text::replace_comments,
    ReplaceNulls "replacenulls" => text::replace_nulls,
    Sha1 "sha1" => codec::sha1,
    SqlHexDecode "sqlhexdecode" => codec::sql_hex_decode,
    Trim "trim" => text::trim,
    TrimLeft "trimleft" => text::trim_left,
    TrimRight "trimright" => text::trim_right,
    Uppercase "uppercase" => text::uppercase,
    UrlDecode "urldecode" => url::url_decode,
    UrlDecodeUni "urldecodeuni" => url::url_decode_uni,
    UrlEncode "urlencode" => url::url_encode,
    Utf8ToUnicode "utf8tounicode" => unicode::utf8_to_unicode,
}

const ANY: u64 = u64::MAX;
const BLANK: u64 = SPACE | TAB | LINE;

impl Transformation {
    /// Classes of bytes; a value with none of them stays as it is.
    pub(crate) fn triggers(self) -> u64 {
        use Transformation as T;
        match self {
            T::CmdLine => LETTERS | BLANK | bits(b"\\\"'^,;/("),
            T::CompressWhitespace => BLANK | HIGH,
            T::CssDecode | T::EscapeSeqDecode | T::JsDecode => bits(b"\\"),
            T::HtmlEntityDecode => bits(b"&"),
            T::Lowercase | T::Uppercase => LETTERS,
            T::NormalizePath => bits(b"./"),
            T::NormalizePathWin => bits(b"./\\"),
            T::RemoveComments => bits(b"/<-#"),
            T::RemoveCommentsChar => bits(b"/*<-#"),
            T::RemoveNulls | T::ReplaceNulls => CONTROL,
            T::RemoveWhitespace => BLANK | HIGH,
            T::ReplaceComments => bits(b"/"),
            T::Trim | T::TrimLeft | T::TrimRight => BLANK,
            T::UrlDecode | T::UrlDecodeUni => bits(b"%+"),
            T::Utf8ToUnicode => HIGH | CONTROL,
            T::ParityZero7bit => HIGH,
            T::SqlHexDecode => bits(b"0"),
            _ => ANY,
        }
    }

    /// Whether an empty value becomes one that is not empty.
    pub(crate) fn fills_empty(self) -> bool {
        matches!(
            self,
            Transformation::Length | Transformation::Sha1 | Transformation::Md5
        )
    }

    /// At least the classes that occur after the transformation of a value with classes `mask`;
    /// nothing where only the transformation itself can tell.
    pub(crate) fn classes_after(self, mask: u64) -> Option<u64> {
        use Transformation as T;
        let blank = |mask: u64| mask | SPACE;
        match self {
            _ if mask & self.triggers() == 0 => Some(mask),
            T::Lowercase | T::Uppercase | T::RemoveNulls | T::RemoveWhitespace => Some(mask),
            T::Trim | T::TrimLeft | T::TrimRight | T::NormalizePath => Some(mask),
            T::RemoveCommentsChar => Some(mask),
            T::NormalizePathWin => Some(mask | class_bit(b'/')),
            T::CmdLine | T::CompressWhitespace | T::ReplaceNulls => Some(blank(mask)),
            T::ReplaceComments | T::RemoveComments => Some(blank(mask)),
            T::UrlDecode | T::UrlDecodeUni if mask & class_bit(b'%') == 0 => Some(blank(mask)),
            _ => None,
        }
    }
}

const fn bits(bytes: &[u8]) -> u64 {
    let mut mask = 0;
    let mut at = 0;
    while at < bytes.len() {
        mask |= class_bit(bytes[at]);
        at += 1;
    }
    mask
}

/// The value of a hexadecimal digit.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The byte that two hexadecimal digits at `at` stand for.
pub(crate) fn hex_byte(bytes: &[u8], at: usize) -> Option<u8> {
    let high = hex_digit(*bytes.get(at)?)?;
    let low = hex_digit(*bytes.get(at + 1)?)?;
    Some(high << 4 | low)
}

/// What C's `isspace` takes for a blank.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

#[cfg(test)]
mod tests;
