//! Packs the documents that the binary carries: 0.9 MiB of text that is seldom asked for.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let folder = env::var("OUT_DIR").expect("cargo names a folder");
    for name in ["schema.json", "openapi.json"] {
        let source = format!("../../docs/reference/{name}");
        println!("cargo::rerun-if-changed={source}");
        let text = fs::read(&source).expect("the document is readable");
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&text).expect("memory has room");
        let packed = packed.finish().expect("memory has room");
        let path = Path::new(&folder).join(format!("{name}.gz"));
        fs::write(path, packed).expect("the document is written");
    }
}
