//! Fields of a head that belong to the connection it came over, kept apart from those that go further.

use super::{HeaderId, Headers};

impl Headers {
    /// Puts a field aside that belongs to the connection it came over: nobody who reads, changes or
    /// writes this list meets it. A codec has validated it.
    #[cold]
    pub fn put_aside(&mut self, name: &[u8], value: &[u8]) {
        self.aside.get_or_insert_default().append(name, value);
    }

    /// The fields that were put aside: what the message said about its connection (RFC 9110 section
    /// 7.6.1), as it arrived, for those who judge it. Kept only where the codec was told to, and
    /// never forwarded.
    pub fn of_connection(&self) -> impl Iterator<Item = (HeaderId, &[u8], &[u8])> {
        self.aside.iter().flat_map(|aside| aside.iter())
    }
}
