//! What a scenario asks, and how it measures; the table itself is in [`crate::scenario`].

/// How a scenario measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Closed loop: CPU per request and requests per second at saturation.
    Saturation {
        /// Open connections.
        connections: usize,
    },
    /// Live streams: CPU per event, first event.
    Paced,
    /// Open loop: latency added over going direct.
    Latency {
        /// Requests per second.
        rate: u32,
    },
    /// Memory of idle keep-alive connections.
    Idle {
        /// Open connections.
        connections: usize,
    },
    /// Memory idle, after load, and after a minute of rest.
    Memory,
    /// From exec to the first served request.
    Start,
    /// Bytes of the program.
    Size,
    /// System calls per request, by strace.
    Syscalls,
    /// User instructions per request, by callgrind.
    Instructions,
    /// Time of a task's poll on a worker, by the kernel's probes.
    Polls,
    /// Latency of callers at a steady pace, with a large batch beside them and without, in turns.
    Batch {
        /// Requests per second of callers.
        rate: u32,
    },
    /// CPU per request of two gateways, in turns: one with the scenario's document, one without what
    /// is measured.
    Added {
        /// The document without it.
        without: &'static str,
    },
    /// The same in user instructions, by callgrind.
    AddedInstructions {
        /// The document without it.
        without: &'static str,
    },
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// GET of 1 KiB.
    Json1k,
    /// GET of 16 KiB.
    Json16k,
    /// GET of 1 KiB that caches may keep.
    Kept1k,
    /// GET of 64 KiB that caches may keep.
    Kept64k,
    /// A chat completion of some 1.4 KB for a POST of some 1.9 KB.
    Chat,
    /// The same as Anthropic Messages; the gateway translates it to chat completions.
    Message,
    /// The same of some 16 KB.
    LongMessage,
    /// A stream of 203 events and some 60 KB.
    Stream,
    /// An ordinary order: a POST of 1 KiB of JSON with a browser's fields, answered with 1 KiB.
    Order,
}

impl Ask {
    /// Whether the gateway translates what is asked.
    #[must_use]
    pub fn is_message(self) -> bool {
        matches!(self, Ask::Message | Ask::LongMessage)
    }
}
