//! Splits a file into directives: comments gone, continued lines joined, words unquoted.

use crate::problem::Problem;

/// A directive with its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    /// Line at which it begins, from 1.
    pub(crate) line: u32,
    /// The directive's name as written.
    pub(crate) name: String,
    /// What follows; quotes gone, `\"` within them a quote.
    pub(crate) words: Vec<String>,
}

/// Longest directive that is read; CRS's longest has under 16 KiB.
const DIRECTIVE_MAX: usize = 256 * 1024;

/// Reads all directives of `text`.
///
/// # Errors
/// Every directive that cannot be split, each with its line.
pub(crate) fn directives(file: &str, text: &str) -> Result<Vec<Directive>, Vec<Problem>> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    let mut lines = text.lines().zip(1_u32..);
    while let Some((first, line)) = lines.next() {
        let start = first.trim_start();
        if start.is_empty() || start.starts_with('#') {
            continue;
        }
        let mut joined = String::new();
        let mut part = first;
        while let Some(head) = part.trim_end_matches([' ', '\t', '\r']).strip_suffix('\\') {
            joined.push_str(head);
            match lines.next() {
                Some((next, _)) => part = next,
                None => part = "",
            }
        }
        joined.push_str(part);
        let problem = |message: String| Problem {
            file: file.to_owned(),
            line,
            message,
        };
        if joined.len() > DIRECTIVE_MAX {
            problems.push(problem(format!(
                "the directive is longer than {DIRECTIVE_MAX} bytes"
            )));
            continue;
        }
        match words(&joined) {
            Ok(mut words) => {
                let name = words.remove(0);
                found.push(Directive { line, name, words });
            }
            Err(message) => problems.push(problem(message)),
        }
    }
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

/// The words of a line; at least one.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let (word, behind) = quoted(&rest[1..], first)
                .ok_or_else(|| format!("a quote ({first}) is opened and not closed"))?;
            words.push(word);
            rest = behind.trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
    }
    if words.is_empty() {
        return Err("an empty directive".into());
    }
    Ok(words)
}

/// The text up to the closing quote, and what is behind it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            return Some((word, &text[at + letter.len_utf8()..]));
        }
        if letter == '\\' && text[at + 1..].starts_with(quote) {
            // In an argument of actions, `\'` within double quotes stays for the reader of actions.
            word.push(quote);
            letters.next();
            continue;
        }
        word.push(letter);
        if letter == '\\'
            && let Some((_, next)) = letters.next()
        {
            word.push(next);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_words_unquoted() {
        let text = "# comment\n\nSecRule ARGS \"@rx a\\\"b \\\\\" \\\n    \"id:1,\\\n    msg:'it\\'s'\"\nSecMarker END\n";
        let found = directives("f", text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].line, 3);
        assert_eq!(
            found[0].words,
            ["ARGS", "@rx a\"b \\\\", "id:1,    msg:'it\\'s'"]
        );
        assert_eq!((found[1].line, found[1].words[0].as_str()), (6, "END"));
    }

    #[test]
    fn open_quotes_are_told_with_their_line() {
        let problems = directives("f", "\nSecRule ARGS \"@rx a\n").unwrap_err();
        assert_eq!(
            problems[0].to_string(),
            "f:2: a quote (\") is opened and not closed"
        );
    }
}
