//! A user's turn for dialects whose tools answer in messages of their own.

use crate::Losses;
use crate::conversation::{Content, Part};

/// A piece of a user's turn that is one message.
pub(super) enum Piece<'p, 'a> {
    /// What the user says.
    Said(Vec<&'p Part<'a>>),
    /// What a tool answers.
    Result {
        /// The call it answers.
        id: &'p str,
        /// The answer.
        parts: Vec<&'p Part<'a>>,
    },
}

/// The messages of a turn, in order. Pieces that `fits` keeps out of results move behind them, to
/// what the user says next; that, and the mark of a failed tool, are losses.
pub(super) fn pieces<'p, 'a>(
    parts: &'p [Part<'a>],
    fits: fn(&Content<'_>) -> bool,
    losses: &mut Losses,
) -> Vec<Piece<'p, 'a>> {
    let (mut pieces, mut said, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        let Content::ToolResult {
            id,
            parts,
            is_error,
        } = &part.content
        else {
            said.push(part);
            continue;
        };
        if !said.is_empty() {
            pieces.push(Piece::Said(std::mem::take(&mut said)));
        }
        if *is_error {
            losses.add("content.tool_result.is_error");
        }
        let (parts, others): (Vec<_>, Vec<_>) = parts.iter().partition(|part| fits(&part.content));
        if !others.is_empty() {
            losses.add("content.tool_result.content");
            moved.extend(others);
        }
        pieces.push(Piece::Result { id, parts });
    }
    moved.extend(said);
    if !moved.is_empty() {
        pieces.push(Piece::Said(moved));
    }
    pieces
}
