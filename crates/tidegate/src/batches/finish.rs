//! What was answered to a batch becomes files, in the order of its requests.

use super::ours::Rest;
use super::{Batch, Halt, kind};
use gate_ai::batch::result::{self, Ended, consumed};
use gate_ai::batch::shape::{Consumed, Counts};
use gate_ai::batch::{Api, BatchState, anthropic_line, openai_line};
use gate_proxy::batches::FILE;
use gate_store::files::{BatchRow, FileRow};
use gate_store::jobs::ItemResult;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};

/// Answers that are read of a job at once, and about how many bytes.
const ANSWERS: usize = 256;
const ANSWERS_BYTES: usize = 4 << 20;

/// Files on their way, and what is in them.
struct Out {
    api: Api,
    output: BufWriter<File>,
    errors: BufWriter<File>,
    lines: [u64; 2],
    counts: Counts,
    consumed: Consumed,
}

impl Out {
    /// Writes an answer's line. Anthropic's stand in one file, whatever became of them.
    fn line(&mut self, is_good: bool, line: &[u8]) -> std::io::Result<()> {
        let (at, file) = match is_good || self.api == Api::Anthropic {
            true => (0, &mut self.output),
            false => (1, &mut self.errors),
        };
        self.lines[at] += 1;
        file.write_all(line)
    }
}

/// What a batch's job answered, read in the order of its items.
struct Answers<'a> {
    batch: &'a Batch<'a>,
    read: VecDeque<ItemResult>,
    is_over: bool,
}

impl Answers<'_> {
    /// What an item answered, which is behind those that were asked for before; none where it did not
    /// come to that.
    fn take(&mut self, index: u32) -> Result<Option<ItemResult>, Halt> {
        if self.read.is_empty() && !self.is_over {
            let (jobs, id) = (&self.batch.runner.jobs, &self.batch.row.id);
            let read = jobs.ask(|store| store.results(id, index, ANSWERS, ANSWERS_BYTES))?;
            self.is_over = read.is_empty();
            self.read = read.into();
        }
        Ok(self.read.pop_front_if(|result| result.index == index))
    }
}

/// Whether an item's result is what was answered.
fn is_answer(result: &ItemResult) -> bool {
    result.well || result.reason.starts_with("status_")
}

/// Why an item was not answered, for its owner.
fn why(reason: &str) -> String {
    match reason.strip_prefix("input: ") {
        Some(message) => message.to_owned(),
        None => format!("The request was not answered: {reason}."),
    }
}

impl Batch<'_> {
    /// Puts the results together and ends the batch. Whatever of it was done before is done again with
    /// the same outcome, so that a kill in the middle loses nothing.
    pub(super) async fn finish(&mut self, rest: Rest) -> Result<(), Halt> {
        let end = match rest {
            Rest::None => BatchState::Completed,
            Rest::Cancelled => BatchState::Cancelled,
            Rest::Expired => BatchState::Expired,
        };
        if rest == Rest::None {
            self.save(Some(BatchState::Finalizing)).await?;
        }
        let out = self.write_all(rest).await?;
        self.data.counts = Counts {
            total: self.data.counts.total,
            ..out.counts
        };
        self.data.consumed = out.consumed;
        let mut files = Vec::new();
        if self.api == Api::OpenAi {
            let [good, bad] = out.lines;
            let good = self.file("output", good).await?;
            let bad = self.file("errors", bad).await?;
            self.data.output = good.as_ref().map(|row| row.id.clone());
            self.data.errors = bad.as_ref().map(|row| row.id.clone());
            files.extend(good.into_iter().chain(bad));
        }
        self.end(end, files).await
    }

    async fn out(&self) -> Result<Out, Halt> {
        let id = self.row.id.clone();
        let paths = self.ask(move |shelf| {
            let path = |part| shelf.batch_path(&id, part);
            Ok((path("output"), path("errors")))
        });
        let (output, errors) = paths.await?;
        Ok(Out {
            api: self.api,
            output: BufWriter::new(File::create(output)?),
            errors: BufWriter::new(File::create(errors)?),
            lines: [0; 2],
            counts: Counts::default(),
            consumed: Consumed::default(),
        })
    }

    /// Writes what became of every request.
    async fn write_all(&self, rest: Rest) -> Result<Out, Halt> {
        let mut out = self.out().await?;
        let (mut source, mut theirs) = (self.source().await?, self.theirs().await?);
        let mut answers = Answers {
            batch: self,
            read: VecDeque::new(),
            is_over: false,
        };
        // Items of the job are the requests that the provider did not answer.
        let mut item = 0;
        while let Some((index, request)) = source.next()? {
            if let Some((head, line)) = theirs.take(index)? {
                out.consumed.add(&head.consumed);
                match head.well {
                    true => out.counts.succeeded += 1,
                    false => out.counts.failed += 1,
                }
                out.line(head.well, &line)?;
                continue;
            }
            let answer = answers.take(item)?;
            item += 1;
            self.write(index, &request, answer.as_ref(), rest, &mut out)?;
            // Other batches go on meanwhile.
            tokio::task::consume_budget().await;
        }
        for file in [&mut out.output, &mut out.errors] {
            file.flush()?;
            file.get_ref().sync_all()?;
        }
        Ok(out)
    }

    /// Writes what became of a request that was the gateway's to run.
    fn write(
        &self,
        index: u32,
        request: &[u8],
        answer: Option<&ItemResult>,
        rest: Rest,
        out: &mut Out,
    ) -> Result<(), Halt> {
        let custom_id = match self.api {
            Api::OpenAi => {
                openai_line(request, &self.data.endpoint).map(|one| one.custom_id.into_owned())
            }
            Api::Anthropic => anthropic_line(request).map(|one| one.custom_id.into_owned()),
        };
        // The file was checked before.
        let custom_id = custom_id.unwrap_or_default();
        let message = answer.map(|answer| why(&answer.reason)).unwrap_or_default();
        let (ended, count) = match (answer, rest) {
            (Some(answer), _) if is_answer(answer) => {
                let ended = Ended::Answered {
                    status: answer.status,
                    body: &answer.body,
                    request: &answer.request,
                };
                match ended.is_success() {
                    true => {
                        let used = consumed(&self.data.endpoint, &answer.body);
                        out.consumed.add(&used);
                        (ended, &mut out.counts.succeeded)
                    }
                    false => (ended, &mut out.counts.failed),
                }
            }
            (Some(_), _) => (Ended::Refused { message: &message }, &mut out.counts.failed),
            (None, Rest::Cancelled) => (Ended::Cancelled, &mut out.counts.cancelled),
            (None, _) => (Ended::Expired, &mut out.counts.expired),
        };
        *count += 1;
        let mut line = Vec::new();
        let id = self.request_id(index);
        result::write(self.api, &id, &custom_id, &ended, &mut line);
        out.line(ended.is_success(), &line)?;
        Ok(())
    }

    /// What a request is known by in the results.
    pub(super) fn request_id(&self, index: u32) -> String {
        let (_, bits) = self.row.id.rsplit_once('_').unwrap_or_default();
        format!("batch_req_{bits}{index:08x}")
    }

    /// A part as a file of the owner's; none where it has no lines.
    async fn file(&self, part: &'static str, lines: u64) -> Result<Option<FileRow>, Halt> {
        if lines == 0 {
            return Ok(None);
        }
        let (_, bits) = self.row.id.rsplit_once('_').unwrap_or_default();
        // The same id when it is made again.
        let id = format!("{FILE}{bits}{}", &part[..1]);
        let (owner, batch) = (self.row.owner.clone(), self.row.id.clone());
        let name = format!("{batch}_{part}.jsonl");
        let lives_s = self.data.output_expires_s;
        let row = self.ask(move |shelf| {
            let bytes = shelf.move_to_files(&batch, part, &id)?;
            let now = shelf.now_ms();
            let usual = shelf.settings().keep.duration().as_secs();
            let lives_ms = lives_s.unwrap_or(usual).saturating_mul(1000);
            let lives_ms = i64::try_from(lives_ms).unwrap_or(i64::MAX);
            Ok(FileRow {
                number: 0,
                id,
                owner,
                name,
                purpose: "batch_output".to_owned(),
                bytes,
                created_ms: now,
                expires_ms: Some(now.saturating_add(lives_ms)),
            })
        });
        row.await.map(Some)
    }

    /// Writes the end down, with its files, and removes what is not needed any more.
    async fn end(&mut self, end: BatchState, files: Vec<FileRow>) -> Result<(), Halt> {
        loop {
            let now = self.now_ms().await?;
            let mut row = self.row.clone();
            let mut data = self.data.clone();
            // A cancellation that came when all had been run changes nothing of it.
            data.write(&mut row, end, now);
            let files = files.clone();
            let saved =
                self.ask(move |shelf| shelf.store(|store| store.save_batch(&row, &files, now)));
            match saved.await {
                Ok(_) => {
                    let row = BatchRow {
                        state: end.as_str().to_owned(),
                        ..self.row.clone()
                    };
                    self.runner.counts.ended(kind(&row, Some(&self.data)));
                    break;
                }
                Err(Halt::Shelf(error)) if error.is_stale() => self.look().await?,
                Err(error) => return Err(error),
            }
        }
        let id = self.row.id.clone();
        self.runner.jobs.ask(|store| store.forget_results(&id))?;
        let api = self.api;
        self.ask(move |shelf| match api {
            Api::Anthropic => shelf.remove_work(&id),
            // What is left of its files has no lines.
            Api::OpenAi => shelf.remove_parts(&id),
        })
        .await
    }
}
