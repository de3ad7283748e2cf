//! Packs the catalogue of models for the binary: a seventh of its size. It is cut into blocks that are
//! searched by their first key, so that looking up a model unpacks one block.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

/// Bytes of text after which a block ends.
const BLOCK: usize = 16 << 10;

fn main() {
    let source = "data/prices.tsv";
    println!("cargo::rerun-if-changed={source}");
    let text = fs::read_to_string(source).expect("the catalogue is readable");
    let folder = env::var("OUT_DIR").expect("cargo names a folder");
    let mut table = String::from("&[\n");
    for (number, block) in blocks(&text).iter().enumerate() {
        let first = block.lines().find(|line| !line.starts_with('#'));
        let path = Path::new(&folder).join(format!("prices-{number}.gz"));
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(block.as_bytes()).expect("memory has room");
        fs::write(&path, packed.finish().expect("memory has room")).expect("a block is written");
        let key = key_of(first.unwrap_or_default());
        writeln!(table, "({key:?}, include_bytes!({path:?})),").expect("a string has room");
    }
    table.push(']');
    fs::write(Path::new(&folder).join("prices.rs"), table).expect("the table is written");
}

/// The text in pieces of whole lines; lines of one key stay together.
fn blocks(text: &str) -> Vec<&str> {
    let (mut blocks, mut start, mut at, mut before) = (Vec::new(), 0, 0, "");
    for line in text.split_inclusive('\n') {
        let key = key_of(line);
        if at - start >= BLOCK && key != before {
            blocks.push(&text[start..at]);
            start = at;
        }
        (at, before) = (at + line.len(), key);
    }
    blocks.push(&text[start..]);
    blocks
}

fn key_of(line: &str) -> &str {
    line.split('\t').next().unwrap_or_default()
}
