//! What providers answered to the requests of a batch, kept in their order.
//!
//! Answers come in whatever order a provider has them. They are put down as they come, and then once
//! more in the order of requests and in their owner's words (`relay/told`), each behind a head that says
//! which request it is of; requests without an answer go into a file of their own, which is run here.

use super::source::Source;
use super::{Batch, Halt};
use gate_ai::batch::shape::{Consumed, Counts};
use gate_kit::order::Order;
use gate_proxy::batches::Kept;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// What is known of an answer: its request, whether it is a success, what it consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) index: u32,
    pub(super) well: bool,
    pub(super) consumed: Consumed,
}

impl Head {
    fn write(&self) -> String {
        let Consumed {
            input,
            cached,
            output,
            reasoning,
        } = self.consumed;
        let (index, well) = (self.index, u8::from(self.well));
        format!("{index} {well} {input} {cached} {output} {reasoning} ")
    }

    /// A head, and what is behind it.
    fn read(line: &[u8]) -> Option<(Self, &[u8])> {
        let mut parts = line.splitn(7, |byte| *byte == b' ');
        let mut number = || {
            let text = std::str::from_utf8(parts.next()?).ok()?;
            text.parse::<u64>().ok()
        };
        let (index, well) = (u32::try_from(number()?).ok()?, number()? == 1);
        let consumed = Consumed {
            input: number()?,
            cached: number()?,
            output: number()?,
            reasoning: number()?,
        };
        let head = Self {
            index,
            well,
            consumed,
        };
        Some((head, parts.next()?))
    }
}

/// What is known of an answer as it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) index: u32,
    /// The part of the batch that it is of.
    pub(super) part: usize,
    pub(super) status: u16,
}

/// Where an answer lies: behind the provider's id of the call.
struct Lies {
    at: u64,
    call: usize,
    body: usize,
}

/// Answers on their way in. In memory it has 48 bytes for each.
pub(super) struct Coming {
    file: BufWriter<File>,
    end: u64,
    all: Vec<(Came, Lies)>,
}

impl Coming {
    /// Puts an answer down.
    pub(super) fn push(&mut self, came: Came, call: &str, body: &[u8]) -> Kept<()> {
        self.file.write_all(call.as_bytes())?;
        self.file.write_all(body)?;
        let lies = Lies {
            at: self.end,
            call: call.len(),
            body: body.len(),
        };
        self.end += (call.len() + body.len()) as u64;
        self.all.push((came, lies));
        Ok(())
    }

    /// How far it has come.
    pub(super) fn mark(&self) -> (usize, u64) {
        (self.all.len(), self.end)
    }

    /// Forgets what came after a mark.
    pub(super) fn back_to(&mut self, (count, end): (usize, u64)) -> Kept<()> {
        self.all.truncate(count);
        self.file.flush()?;
        self.file.get_ref().set_len(end)?;
        self.file.seek(SeekFrom::Start(end))?;
        self.end = end;
        Ok(())
    }
}

impl Batch<'_> {
    async fn path(&self, part: &'static str) -> Result<PathBuf, Halt> {
        let id = self.row.id.clone();
        self.ask(move |shelf| Ok(shelf.batch_path(&id, part))).await
    }

    pub(super) async fn coming(&self) -> Result<Coming, Halt> {
        let path = self.path("results").await?;
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        Ok(Coming {
            file: BufWriter::new(options.open(path)?),
            end: 0,
            all: Vec::new(),
        })
    }

    /// Puts all that came into the order of requests, and the rest of them into a file of its own. How
    /// requests ended, and how many are left.
    pub(super) async fn arrange(&self, mut coming: Coming) -> Result<(Counts, u64), Halt> {
        coming.all.order_by_key(|(came, _)| came.index);
        coming.all.dedup_by_key(|(came, _)| came.index);
        coming.file.flush()?;
        let came = coming.file.get_ref();
        let parts = self.relayed().parts;
        let their: Vec<_> = parts.iter().map(|part| self.their(part).ok()).collect();
        let mut theirs = BufWriter::new(File::create(self.path("theirs").await?)?);
        let mut rest = BufWriter::new(File::create(self.path("rest").await?)?);
        let (mut counts, mut left) = (Counts::default(), 0);
        let mut all = coming.all.iter().peekable();
        let mut source = self.source().await?;
        while let Some((index, line)) = source.next()? {
            let Some((known, lies)) = all.next_if(|(came, _)| came.index == index) else {
                rest.write_all(&line)?;
                rest.write_all(b"\n")?;
                left += 1;
                continue;
            };
            let mut call = vec![0; lies.call + lies.body];
            came.read_exact_at(&mut call, lies.at)?;
            let body = call.split_off(lies.call);
            let call = String::from_utf8_lossy(&call);
            let their = their.get(known.part).and_then(Option::as_ref);
            let (head, answer) = self.told(&line, known, &call, body, their);
            theirs.write_all(head.write().as_bytes())?;
            theirs.write_all(&answer)?;
            theirs.write_all(b"\n")?;
            match head.well {
                true => counts.succeeded += 1,
                false => counts.failed += 1,
            }
            tokio::task::consume_budget().await;
        }
        for mut file in [theirs, rest] {
            file.flush()?;
            file.get_ref().sync_all()?;
        }
        Ok((counts, left))
    }

    /// What the provider answered, in the order of requests; nothing where it was not asked.
    pub(super) async fn theirs(&self) -> Result<Theirs, Halt> {
        let path = self.path("theirs").await?;
        let reader = match File::open(path) {
            Ok(file) if self.relayed().is_over => Some(BufReader::new(file)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => None,
        };
        Ok(Theirs { reader, next: None })
    }

    /// The lines of its file.
    pub(super) async fn source(&self) -> Result<Source, Halt> {
        Ok(Source::over(File::open(self.path("requests").await?)?))
    }
}

/// What a provider answered, read in the order of requests.
pub(super) struct Theirs {
    reader: Option<BufReader<File>>,
    next: Option<(Head, Vec<u8>)>,
}

impl Theirs {
    /// Its answer to this request, which is behind those that were asked for before.
    pub(super) fn take(&mut self, index: u32) -> Result<Option<(Head, Vec<u8>)>, Halt> {
        if self.next.is_none()
            && let Some(reader) = &mut self.reader
        {
            let mut line = Vec::new();
            match reader.read_until(b'\n', &mut line)? {
                0 => self.reader = None,
                _ => self.next = Head::read(&line).map(|(head, line)| (head, line.to_vec())),
            }
        }
        Ok(self.next.take_if(|(head, _)| head.index == index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written() {
        let head = Head {
            index: 49_999,
            well: true,
            consumed: Consumed {
                input: 5,
                cached: 0,
                output: u64::MAX,
                reasoning: 2,
            },
        };
        let line = format!("{}{{\"a\": \"b c\"}}\n", head.write());
        let (read, rest) = Head::read(line.as_bytes()).unwrap();
        assert_eq!((read, rest), (head, &b"{\"a\": \"b c\"}\n"[..]));
        assert!(Head::read(b"1 1 2").is_none());
    }
}
