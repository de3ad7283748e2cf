//! The words that Bedrock has for kinds of media, and their media types.
//!
//! Source: the shapes `ImageFormat`, `DocumentFormat` and `AudioFormat` of the service
//! `bedrock-runtime` (<https://docs.aws.amazon.com/bedrock/latest/APIReference/>).

use crate::conversation::Text;
use std::borrow::Cow;

/// Formats of documents and their media types; the first of each format is the one that is sent.
const DOCUMENTS: &[(&str, &str)] = &[
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("html", "text/html"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
];

/// Formats of images and their media types.
const IMAGES: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("jpeg", "image/jpg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
];

fn format_of(table: &[(&'static str, &str)], media_type: &str) -> Option<&'static str> {
    let essence = media_type.split(';').next()?.trim();
    let found = table
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(essence));
    found.map(|(format, _)| *format)
}

fn type_of<'a>(table: &[(&str, &'static str)], family: &str, format: &str) -> Text<'a> {
    match table.iter().find(|(known, _)| *known == format) {
        Some((_, media_type)) => Cow::Borrowed(*media_type),
        None => format!("{family}/{format}").into(),
    }
}

/// The format of an image of this media type, when Bedrock has one.
pub(super) fn image_format(media_type: &str) -> Option<&'static str> {
    format_of(IMAGES, media_type)
}

/// The media type of an image of this format.
pub(super) fn image_type<'a>(format: &str) -> Text<'a> {
    type_of(IMAGES, "image", format)
}

/// The format of a document of this media type, when Bedrock has one.
pub(super) fn document_format(media_type: &str) -> Option<&'static str> {
    format_of(DOCUMENTS, media_type)
}

/// The media type of a document of this format.
pub(super) fn document_type<'a>(format: &str) -> Text<'a> {
    type_of(DOCUMENTS, "application", format)
}

/// A document's name in the letters that Bedrock allows: letters, digits, single spaces, hyphens,
/// brackets (`DocumentBlock.name`), at most 200 of them, and not one of `taken`; and whether that
/// is what the document was called.
pub(super) fn document_name(title: Option<&str>, taken: &mut Vec<String>) -> (String, bool) {
    let given = title.unwrap_or_default();
    // The extension is in the format.
    let stem = given.rsplit_once('.').map_or(given, |(stem, _)| stem);
    let mut name = String::new();
    for c in stem.chars().take(180) {
        let plain = c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']');
        let c = if plain { c } else { ' ' };
        if c != ' ' || !(name.is_empty() || name.ends_with(' ')) {
            name.push(c);
        }
    }
    let name = match name.trim_end() {
        "" => "document",
        name => name,
    };
    let mut unique = name.to_owned();
    let mut number = 2;
    while taken.contains(&unique) {
        unique = format!("{name} ({number})");
        number += 1;
    }
    taken.push(unique.clone());
    let same = title.is_none() || unique == stem;
    (unique, same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_types_are_each_others_inverse() {
        for (format, media_type) in DOCUMENTS {
            assert_eq!(document_format(media_type), Some(*format));
            assert_eq!(document_type(format), *media_type);
        }
        assert_eq!(image_format("IMAGE/JPG; q=1"), Some("jpeg"));
        assert_eq!(image_type("jpeg"), "image/jpeg");
        assert_eq!(image_format("image/tiff"), None);
        assert_eq!(image_type("tiff"), "image/tiff");
    }

    #[test]
    fn names_have_allowed_letters_and_are_unique() {
        let mut taken = Vec::new();
        let mut name = |title| document_name(title, &mut taken).0;
        assert_eq!(name(Some("q3_report  v2.final.pdf")), "q3 report v2 final");
        assert_eq!(name(None), "document");
        assert_eq!(name(Some("???")), "document (2)");
        assert_eq!(name(Some("x".repeat(300).as_str())).len(), 180);
        assert!(document_name(Some("a b.pdf"), &mut taken).1);
        assert!(!document_name(Some("a_b.pdf"), &mut taken).1);
    }
}
