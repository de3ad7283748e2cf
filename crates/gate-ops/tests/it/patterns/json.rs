//! JSON that is made up: values with numbers as they are spelled, and patterns over the same few
//! names and values, so that they meet.

use gate_kit::random::{below, bits};
use std::fmt::Write;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Text(String),
    /// A number or a word, as spelled.
    Plain(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub(super) fn written(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Json::Text(text) => write_text(text, out),
            Json::Plain(word) => out.push_str(word),
            Json::List(elements) => {
                out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    element.write(out);
                }
                out.push(']');
            }
            Json::Object(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Now and then with escapes where none are needed.
fn write_text(text: &str, out: &mut String) {
    let every = below(8) == 0;
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(out, "\\{letter}").unwrap(),
            letter if every => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").unwrap();
                }
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

pub(super) fn pick<'a>(all: &[&'a str]) -> &'a str {
    all[below(all.len())]
}

const NAMES: &[&str] = &["a", "b", "c", "d", "a.b", "k"];
const TEXTS: &[&str] = &[
    "",
    "a",
    "ab",
    "abc",
    "ABC",
    "aBc",
    "abcabc",
    "b*c",
    "x\\y",
    "é",
    "É",
    "éa",
    "ß",
    "SS",
    "true",
    "5",
    "10.0.0.1",
    "10.0.0.77",
    "10.1.2.3",
    "::1",
    "0:0:0:0:0:0:0:1",
    "2001:db8::5",
    "::ffff:10.0.0.1",
    "::ffff:a00:1",
    "300.1.1.1",
    "a:b",
    "\u{10428}",
    "a long value that no key holds",
    "a long value that no key HOLDS",
];
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "1.0",
    "10e-1",
    "-1",
    "5",
    "5.00",
    "100",
    "1e2",
    "0.1",
    "301.8",
    "3.018e2",
    "12345678901234567890",
    "0.1234567890123456789",
    "-5.5",
];
const WORDS: &[&str] = &["true", "false", "null"];

fn scalar() -> Json {
    match below(10) {
        0..6 => Json::Text(pick(TEXTS).to_owned()),
        6..9 => Json::Plain(pick(NUMBERS).to_owned()),
        _ => Json::Plain(pick(WORDS).to_owned()),
    }
}

fn value(depth: usize) -> Json {
    match below(10) {
        0..5 => scalar(),
        5..7 if depth > 0 => object(depth - 1),
        7..10 if depth > 0 => {
            let mut elements = Vec::new();
            for _ in 0..below(4) {
                elements.push(match below(6) {
                    0..3 => object(depth - 1),
                    3 => value(depth - 1),
                    _ => scalar(),
                });
            }
            Json::List(elements)
        }
        _ => scalar(),
    }
}

fn object(depth: usize) -> Json {
    let mut fields: Vec<(String, Json)> = Vec::new();
    for _ in 0..below(4) {
        let name = pick(NAMES).to_owned();
        // Most writers name a field once; one in ten does not look.
        if below(10) == 0 || fields.iter().all(|(other, _)| *other != name) {
            fields.push((name, value(depth)));
        }
    }
    Json::Object(fields)
}

/// An event of a few fields and lists.
pub(super) fn event() -> Json {
    let mut event = object(3);
    if let (Json::Object(fields), 0) = (&mut event, below(4)) {
        fields.push(("z".into(), Json::Object(vec![("skipped".into(), value(2))])));
    }
    event
}

fn text() -> Json {
    Json::Text(pick(TEXTS).to_owned())
}

fn number() -> Json {
    // Those that no double says exactly are refused in comparisons.
    Json::Plain(pick(&NUMBERS[..13]).to_owned())
}

fn one(name: &str, value: Json) -> Json {
    Json::Object(vec![(name.to_owned(), value)])
}

fn filled() -> String {
    pick(&TEXTS[1..]).to_owned()
}

fn wildcard() -> String {
    const ALL: &[&str] = &[
        "*",
        "a*",
        "*c",
        "a*c",
        "*b*",
        "a*b*c",
        "b\\**",
        "x\\\\y",
        "abc*abc",
        "ab*bc",
        "a long*HOLDS",
        "*é*",
    ];
    pick(ALL).to_owned()
}

fn some(make: impl Fn() -> Json) -> Json {
    match below(2) {
        0 => make(),
        _ => Json::List((0..=below(3)).map(|_| make()).collect()),
    }
}

fn test() -> Json {
    match below(22) {
        0..6 => scalar(),
        6 => one("prefix", text()),
        7 => one("suffix", text()),
        8 => one("equals-ignore-case", text()),
        9 => one("prefix", one("equals-ignore-case", text())),
        10 => one("suffix", one("equals-ignore-case", text())),
        11 => one("wildcard", Json::Text(wildcard())),
        12 => one("anything-but", some(|| Json::Text(pick(TEXTS).to_owned()))),
        13 => one("anything-but", some(number)),
        14 => {
            let affix = pick(&["prefix", "suffix"]);
            one("anything-but", one(affix, some(|| Json::Text(filled()))))
        }
        15 => match below(2) {
            0 => one("anything-but", one("equals-ignore-case", some(text))),
            _ => one(
                "anything-but",
                one("wildcard", some(|| Json::Text(wildcard()))),
            ),
        },
        16 | 17 => one("numeric", comparison()),
        18 => {
            const ALL: &[&str] = &[
                "10.0.0.0/24",
                "10.0.0.77/8",
                "0.0.0.0/0",
                "2001:db8::/32",
                "::/127",
            ];
            one("cidr", Json::Text(pick(ALL).to_owned()))
        }
        19 => one("exactly", text()),
        _ => one("exists", Json::Plain(pick(&["true", "false"]).to_owned())),
    }
}

fn comparison() -> Json {
    let sign = |sign: &str| Json::Text(sign.to_owned());
    Json::List(match below(4) {
        0 => vec![sign("="), number()],
        1 => vec![sign(pick(&[">", ">="])), number()],
        2 => vec![sign(pick(&["<", "<="])), number()],
        _ => {
            let bottom = Json::Plain(pick(&["-1", "0", "1", "1.0"]).to_owned());
            let top = Json::Plain(pick(&["5", "100", "1e2"]).to_owned());
            vec![
                sign(pick(&[">", ">="])),
                bottom,
                sign(pick(&["<", "<="])),
                top,
            ]
        }
    })
}

fn fields(depth: usize, or: bool, taken: &mut Vec<String>, path: &str) -> Json {
    let mut fields: Vec<(String, Json)> = Vec::new();
    for _ in 0..=below(2) {
        if or && below(8) == 0 && fields.iter().all(|(name, _)| name != "$or") {
            let from = taken.len();
            let ways = (0..2 + below(2)).map(|_| {
                // Ways may ask for the same fields, but none for one that is asked for beside them.
                let mut own = taken[..from].to_vec();
                let way = self::fields(depth.saturating_sub(1), depth > 0, &mut own, path);
                (way, own)
            });
            let (ways, owns): (Vec<Json>, Vec<Vec<String>>) = ways.unzip();
            taken.extend(owns.into_iter().flatten());
            fields.push(("$or".into(), Json::List(ways)));
            continue;
        }
        let name = pick(NAMES).to_owned();
        let full = format!("{path}{name}");
        if fields.iter().any(|(other, _)| *other == name) {
            continue;
        }
        if depth > 0 && below(2) == 0 {
            let inner = self::fields(depth - 1, or, taken, &format!("{full}."));
            fields.push((name, inner));
        } else if !taken.contains(&full) {
            taken.push(full);
            let tests = (0..=below(4)).map(|_| test()).collect();
            fields.push((name, Json::List(tests)));
        }
    }
    if fields.is_empty() {
        // All were taken; one that is not.
        let name = format!("n{}", bits() % 1_000_000);
        taken.push(format!("{path}{name}"));
        fields.push((
            name,
            Json::List(vec![one("exists", Json::Plain("false".into()))]),
        ));
    }
    Json::Object(fields)
}

/// A pattern that is none to refuse.
pub(super) fn pattern() -> Json {
    fields(below(3), true, &mut Vec::new(), "")
}
