//! As much of Avro as manifests need: values and container files, written only.
//!
//! Source: <https://avro.apache.org/docs/1.11.1/specification/>. Nothing is compressed.

/// Values, one behind the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Values(Vec<u8>);

impl Values {
    /// A whole number, of either length.
    pub(super) fn long(&mut self, value: i64) -> &mut Self {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            self.0.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self
    }

    /// A text, or bytes.
    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.long(value.len() as i64);
        self.0.extend_from_slice(value);
        self
    }

    /// Which branch of a union follows.
    pub(super) fn branch(&mut self, index: i64) -> &mut Self {
        self.long(index)
    }

    /// A list of one length, of which each element is written by the caller; to be followed by them
    /// and [`Self::end`].
    pub(super) fn items(&mut self, count: usize) -> &mut Self {
        if count > 0 {
            self.long(count as i64);
        }
        self
    }

    /// The end of a list.
    pub(super) fn end(&mut self) -> &mut Self {
        self.long(0)
    }
}

/// A container file of these records.
pub(super) fn container(schema: &str, more: &[(&str, &str)], records: &[Values]) -> Vec<u8> {
    let mut file = Values(b"Obj\x01".to_vec());
    file.items(more.len() + 2);
    let fixed = [("avro.schema", schema), ("avro.codec", "null")];
    for (key, value) in fixed.iter().chain(more) {
        file.bytes(key.as_bytes()).bytes(value.as_bytes());
    }
    file.end();
    let sync: Vec<u8> = [gate_kit::random::bits(), gate_kit::random::bits()]
        .iter()
        .flat_map(|bits| bits.to_be_bytes())
        .collect();
    file.0.extend_from_slice(&sync);
    if !records.is_empty() {
        let length: usize = records.iter().map(|record| record.0.len()).sum();
        file.long(records.len() as i64).long(length as i64);
        for record in records {
            file.0.extend_from_slice(&record.0);
        }
        file.0.extend_from_slice(&sync);
    }
    file.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_zigzag_and_of_varying_length() {
        // The specification's own examples, and the ends.
        for (value, bytes) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (
                i64::MIN,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            ),
        ] {
            let mut values = Values::default();
            values.long(value);
            assert_eq!(values.0, bytes, "{value}");
        }
    }
}
