//! Other gateways' configuration: from any bytes to an error with a line, or to a document that is
//! YAML of ours.

use gate_import::{Format, import_with};
use gate_model::document::Document;
use gate_model::resources::Resources;

/// What an include leads to.
const PIECE: &[u8] = b"server { listen 81; location / { return 204; } }\n";

/// Whatever the bytes are, in each of the formats: an error is within the file, notes are bounded
/// and within the file, and a document is one that Tidegate reads.
pub fn import(bytes: &[u8]) {
    let lines = 2 + bytes.iter().filter(|b| matches!(b, b'\n' | b'\r')).count();
    for format in [Format::Nginx, Format::Kong, Format::LiteLlm] {
        // Some includes lead to a piece, the others nowhere.
        let mut include = |pattern: &str| match pattern.len() % 2 {
            0 => Ok(vec![(pattern.to_owned(), PIECE.to_vec())]),
            _ => Err("there is no such file".to_owned()),
        };
        let imported = match import_with(format, bytes, &mut include) {
            Ok(imported) => imported,
            Err(error) => {
                assert!(
                    error.line as usize <= lines && !error.message.is_empty(),
                    "{error}"
                );
                continue;
            }
        };
        assert!(imported.notes.len() <= gate_import::NOTES_MAX + 1);
        for note in &imported.notes {
            assert!(
                note.line as usize <= lines && !note.why.is_empty(),
                "{note:?}"
            );
            assert!(!note.what.contains('\n'), "{note:?}");
        }
        let document = Document::parse(imported.document.as_bytes(), "imported.yaml")
            .unwrap_or_else(|findings| panic!("{findings:?}\n{}", imported.document));
        if let Err(findings) = Resources::read(&document) {
            panic!("{findings:?}\n{}", imported.document);
        }
    }
}
