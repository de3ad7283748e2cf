//! Writes small files in MaxMind's format, from <https://maxmind.github.io/MaxMind-DB/>, so that
//! tests need no data of anybody.

use std::net::IpAddr;

/// What a file says of one block.
pub(super) struct Row {
    address: IpAddr,
    length: u8,
    country: String,
    continent: String,
    network: u32,
}

impl Row {
    pub(super) fn new(block: &str, country: &str, continent: &str, network: u32) -> Self {
        let (address, length) = block.split_once('/').unwrap();
        Self {
            address: address.parse().unwrap(),
            length: length.parse().unwrap(),
            country: country.into(),
            continent: continent.into(),
            network,
        }
    }
}

#[derive(Clone, Copy)]
enum Record {
    Empty,
    Node(usize),
    Data(usize),
}

/// A whole file: a tree over IPv6 with IPv4 below `::/96`, with records of 32 bits.
pub(super) fn database(rows: &[Row]) -> Vec<u8> {
    let (mut nodes, mut data) = (vec![[Record::Empty; 2]], Vec::new());
    for row in rows {
        let (bits, length) = match row.address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 96 + row.length),
            IpAddr::V6(address) => (u128::from(address), row.length),
        };
        let mut node = 0;
        for depth in 0..length {
            let side = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == length {
                nodes[node][side] = Record::Data(data.len());
                continue;
            }
            node = match nodes[node][side] {
                Record::Node(next) => next,
                _ => {
                    nodes.push([Record::Empty; 2]);
                    let next = nodes.len() - 1;
                    nodes[node][side] = Record::Node(next);
                    next
                }
            };
        }
        data.extend(value(row));
    }
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Empty => nodes.len(),
            Record::Node(node) => *node,
            Record::Data(at) => nodes.len() + 16 + at,
        };
        file.extend(u32::try_from(number).unwrap().to_be_bytes());
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.extend(metadata(u32::try_from(nodes.len()).unwrap()));
    file
}

fn value(row: &Row) -> Vec<u8> {
    let nested = |key: &str, inner: &str, text: &str| {
        [string(key), map(1), string(inner), string(text)].concat()
    };
    [
        map(3),
        nested("country", "iso_code", &row.country),
        nested("continent", "code", &row.continent),
        string("autonomous_system_number"),
        number(6, &row.network.to_be_bytes()),
    ]
    .concat()
}

fn metadata(nodes: u32) -> Vec<u8> {
    let short = |key: &str, n: u16| [string(key), number(5, &n.to_be_bytes())].concat();
    [
        map(9),
        short("binary_format_major_version", 2),
        short("binary_format_minor_version", 0),
        short("ip_version", 6),
        short("record_size", 32),
        [string("node_count"), number(6, &nodes.to_be_bytes())].concat(),
        // Extended types: an unsigned integer of 64 bits is 9, an array 11; both less 7.
        [
            string("build_epoch"),
            vec![8, 2],
            1_760_000_000_u64.to_be_bytes().to_vec(),
        ]
        .concat(),
        [string("database_type"), string("Test")].concat(),
        [string("languages"), vec![0, 4]].concat(),
        [string("description"), map(0)].concat(),
    ]
    .concat()
}

fn map(entries: u8) -> Vec<u8> {
    vec![7 << 5 | entries]
}

fn string(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    let mut bytes = if length < 29 {
        vec![2 << 5 | length]
    } else {
        vec![2 << 5 | 29, length - 29]
    };
    bytes.extend(text.as_bytes());
    bytes
}

fn number(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = vec![kind << 5 | u8::try_from(bytes.len()).unwrap()];
    all.extend(bytes);
    all
}
