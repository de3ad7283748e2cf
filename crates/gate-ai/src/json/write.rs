//! Writes JSON members in order into one buffer, commas included.

/// A writer that knows whether a comma is due.
pub(crate) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    comma: bool,
}

impl<'o> Writer<'o> {
    /// A writer that appends one value to `out`.
    pub(crate) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, comma: false }
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }

    /// Opens an object.
    pub(crate) fn open(&mut self) -> &mut Self {
        self.separate();
        self.out.push(b'{');
        self.comma = false;
        self
    }

    /// Closes an object.
    pub(crate) fn close(&mut self) -> &mut Self {
        self.out.push(b'}');
        self.comma = true;
        self
    }

    /// Opens a list.
    pub(crate) fn open_list(&mut self) -> &mut Self {
        self.separate();
        self.out.push(b'[');
        self.comma = false;
        self
    }

    /// Closes a list.
    pub(crate) fn close_list(&mut self) -> &mut Self {
        self.out.push(b']');
        self.comma = true;
        self
    }

    /// Writes a key, which has to be plain text of ours; its value follows.
    pub(crate) fn key(&mut self, key: &'static str) -> &mut Self {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.comma = false;
        self
    }

    /// Writes a key that may be any text; its value follows.
    pub(crate) fn named(&mut self, key: &str) -> &mut Self {
        self.text(key);
        self.out.push(b':');
        self.comma = false;
        self
    }

    /// A string value.
    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.separate();
        serde_json::to_writer(&mut *self.out, value).expect("writing to memory cannot fail");
        self
    }

    /// A value that is JSON text already.
    pub(crate) fn raw(&mut self, json: &str) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    /// An integer.
    pub(crate) fn unsigned(&mut self, value: u64) -> &mut Self {
        self.separate();
        serde_json::to_writer(&mut *self.out, &value).expect("writing to memory cannot fail");
        self
    }

    /// A number.
    pub(crate) fn number(&mut self, value: f64) -> &mut Self {
        self.separate();
        serde_json::to_writer(&mut *self.out, &value).expect("writing to memory cannot fail");
        self
    }

    /// True or false.
    pub(crate) fn boolean(&mut self, value: bool) -> &mut Self {
        self.raw(if value { "true" } else { "false" })
    }

    /// Null.
    pub(crate) fn null(&mut self) -> &mut Self {
        self.raw("null")
    }

    /// A string member.
    pub(crate) fn member(&mut self, key: &'static str, value: &str) -> &mut Self {
        self.key(key).text(value)
    }

    /// A string member when there is one.
    pub(crate) fn member_if(&mut self, key: &'static str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.member(key, value),
            None => self,
        }
    }

    /// A number member when there is one.
    pub(crate) fn number_if(&mut self, key: &'static str, value: Option<f64>) -> &mut Self {
        match value {
            // Whole numbers keep the shape that integer fields such as top_k have to have.
            Some(value) if value.fract() == 0.0 && (0.0..1e15).contains(&value) => {
                self.key(key).unsigned(value as u64)
            }
            Some(value) => self.key(key).number(value),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_fall_between_members_only() {
        let mut out = Vec::new();
        let mut w = Writer::new(&mut out);
        w.open().member("a", "x\"").key("b").open_list();
        w.unsigned(1).open().close().null().close_list();
        w.number_if("t", Some(0.5))
            .number_if("k", Some(1.0))
            .close();
        assert_eq!(out, br#"{"a":"x\"","b":[1,{},null],"t":0.5,"k":1}"#);
    }
}
