//! A postmortem as one page of HTML that prints: no scripts, fonts or pictures from elsewhere.
//!
//! It reads the Markdown that [`super::draft`] writes: headings, lists, one kind of table, emphasis,
//! code and links. Whatever else people wrote stays as they wrote it, escaped.

use super::Incident;
use super::plot::{plot, shares};
use super::status::escaped;
use std::fmt::Write;

const STYLE: &str = "<style>
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif; color-scheme: light dark }
table { border-collapse: collapse; width: 100%; font-size: .875rem }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid #9996 }
td:nth-child(2) { white-space: nowrap }
svg { width: 100%; height: auto }
@page { size: A4; margin: 18mm }
@media print { body { margin: 0; max-width: none; font-size: 10pt } h2 { break-after: avoid } tr, li, svg { break-inside: avoid } a { color: inherit; text-decoration: none } }
</style>
";

/// The page of a postmortem. `markdown` is its text, `base` is put in front of links that begin with a
/// slash: where the admin API is.
#[must_use]
pub fn html(incident: &Incident, markdown: &str, base: &str) -> String {
    let id = escaped(&incident.id);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>Postmortem: {id}</title>\n{STYLE}</head>\n<body>\n"
    );
    let mut block = Block::None;
    for line in markdown.lines() {
        let next = Block::of(line);
        if next != block {
            out += block.end();
            out += next.begin();
        }
        if !(next == Block::Table && is_rule(line)) {
            // What stands above the rule is the table's head.
            let is_head = next == Block::Table && block != Block::Table;
            write_line(&mut out, line, next, is_head, base);
        }
        block = next;
        if line == "## Impact" {
            let _ = writeln!(
                out,
                "<figure>{}{}</figure>",
                plot(incident),
                shares(incident)
            );
        }
    }
    out += block.end();
    out += "</body>\n</html>\n";
    out
}

/// What a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    Heading,
    List,
    Table,
    Paragraph,
}

impl Block {
    fn of(line: &str) -> Self {
        match line {
            "" => Self::None,
            _ if line.starts_with("# ") || line.starts_with("## ") => Self::Heading,
            _ if line.starts_with("- ") => Self::List,
            _ if line.starts_with('|') => Self::Table,
            _ => Self::Paragraph,
        }
    }

    const fn begin(self) -> &'static str {
        match self {
            Self::List => "<ul>\n",
            Self::Table => "<table>\n",
            Self::Paragraph => "<p>",
            Self::None | Self::Heading => "",
        }
    }

    const fn end(self) -> &'static str {
        match self {
            Self::List => "</ul>\n",
            Self::Table => "</table>\n",
            Self::Paragraph => "</p>\n",
            Self::None | Self::Heading => "",
        }
    }
}

fn is_rule(line: &str) -> bool {
    line.chars().all(|c| "|-: ".contains(c))
}

fn write_line(out: &mut String, line: &str, block: Block, is_head: bool, base: &str) {
    let _ = match block {
        Block::None => Ok(()),
        Block::Heading => match line.strip_prefix("## ") {
            Some(text) => writeln!(out, "<h2>{}</h2>", inline(text, base)),
            None => writeln!(out, "<h1>{}</h1>", inline(&line[2..], base)),
        },
        Block::List => writeln!(out, "<li>{}</li>", inline(&boxed(&line[2..]), base)),
        Block::Table => {
            let cell = if is_head { "th" } else { "td" };
            let cells = cells(line);
            let cells = cells
                .iter()
                .map(|text| format!("<{cell}>{}</{cell}>", inline(text, base)));
            writeln!(out, "<tr>{}</tr>", cells.collect::<String>())
        }
        Block::Paragraph => writeln!(out, "{}", inline(line, base)),
    };
}

/// Boxes of a list of tasks as characters that print.
fn boxed(text: &str) -> String {
    match (text.strip_prefix("[ ] "), text.strip_prefix("[x] ")) {
        (Some(rest), _) => format!("\u{2610} {rest}"),
        (_, Some(rest)) => format!("\u{2611} {rest}"),
        _ => text.to_owned(),
    }
}

/// The cells of a row, in which `\|` is a character.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut characters = line.trim().trim_start_matches('|').chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some('|')) => {
                characters.next();
                cells.last_mut().expect("never empty").push('|');
            }
            ('|', _) => cells.push(String::new()),
            _ => cells.last_mut().expect("never empty").push(character),
        }
    }
    cells.pop();
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Code, links to the admin API, and a line that is emphasised as a whole.
fn inline(text: &str, base: &str) -> String {
    let whole = text
        .strip_prefix('_')
        .and_then(|rest| rest.strip_suffix('_'));
    if let Some(inner) = whole.filter(|inner| !inner.contains('_')) {
        return format!("<em>{}</em>", inline(inner, base));
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '[']) {
        out += &escaped(&rest[..at]);
        let here = &rest[at..];
        let found = code(here).or_else(|| link(here, base));
        let Some((written, length)) = found else {
            out.push_str(&here[..1]);
            rest = &here[1..];
            continue;
        };
        out += &written;
        rest = &here[length..];
    }
    out + &escaped(rest)
}

fn code(text: &str) -> Option<(String, usize)> {
    let inner = text.strip_prefix('`')?;
    let end = inner.find('`')?;
    Some((format!("<code>{}</code>", escaped(&inner[..end])), end + 2))
}

/// A link to what shows a fact; links to elsewhere stay text.
fn link(text: &str, base: &str) -> Option<(String, usize)> {
    let (label, behind) = text.strip_prefix('[')?.split_once("](")?;
    let (target, _) = behind.split_once(')')?;
    let is_label = !label.contains(['[', ']']);
    if !is_label || !target.starts_with("/v1/") || target.contains(char::is_whitespace) {
        return None;
    }
    let written = format!(
        "<a href=\"{}{}\">{}</a>",
        escaped(base),
        escaped(target),
        escaped(label)
    );
    Some((written, label.len() + target.len() + 4))
}

#[cfg(test)]
mod tests {
    use super::super::tests::finished;
    use super::super::{Narrative, draft};
    use super::*;

    #[test]
    fn a_draft_becomes_a_page() {
        let narrative = Narrative {
            overview: "A <b>bad</b> revision & more, see [x](javascript:alert(1)).".into(),
            contributing: vec!["The `plan` did not [show] it".into()],
            ..Narrative::default()
        };
        let incident = finished();
        let text = draft(&incident, &narrative).unwrap();
        let page = html(&incident, &text, "https://admin.example/api");
        for expected in [
            "<h1>Postmortem: inc-1</h1>",
            "<h2>Timeline</h2>",
            "<tr><th>Fact</th><th>Time</th><th>What</th></tr>\n<tr><td>",
            "<a href=\"https://admin.example/api/v1/records?from_ms=1795392000000&amp;until_ms=1795392001000&amp;route=orders%20%26%20more\">",
            "<p>A &lt;b&gt;bad&lt;/b&gt; revision &amp; more, see [x](javascript:alert(1)).\n</p>",
            "<li>The <code>plan</code> did not [show] it</li>",
            "<em>What worked, and was it luck?</em>",
        ] {
            assert!(page.contains(expected), "{expected}\n---\n{page}");
        }
        assert!(
            !page.contains("<script") && !page.contains("|---"),
            "{page}"
        );
        for (open, close) in [("<ul>", "</ul>"), ("<table>", "</table>"), ("<p>", "</p>")] {
            assert_eq!(page.matches(open).count(), page.matches(close).count());
        }
    }

    #[test]
    fn bars_in_cells_are_characters() {
        assert_eq!(cells("| a \\| b | c |"), ["a | b", "c"]);
        assert_eq!(inline("a ` [b](/v1/x y) [c", ""), "a ` [b](/v1/x y) [c");
    }
}
