//! The results of a batch become files, in the order of its requests.

use super::super::Kept;
use super::items::Rest;
use super::log::{Entry, Kind, Log};
use super::{Batch, Halt};
use crate::target::batch::FILE;
use gate_ai::batch::{Api, BatchState};
use gate_store::files::FileRow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Results that are copied before others have their turn.
const TURN: usize = 256;

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
        let log = self.log().await?;
        let mut entries: Vec<Entry> = log.entries()?.collect::<Result<_, _>>()?;
        entries.sort_by_key(|entry| entry.index);
        let files = match self.api {
            Api::Anthropic => {
                self.part("output", &log, &entries, |_| true).await?;
                Vec::new()
            }
            Api::OpenAi => {
                let good = self.file("output", &log, &entries, |kind| kind == Kind::Succeeded);
                let good = good.await?;
                let bad = self.file("errors", &log, &entries, |kind| kind != Kind::Succeeded);
                let bad = bad.await?;
                self.data.output = good.as_ref().map(|row| row.id.clone());
                self.data.errors = bad.as_ref().map(|row| row.id.clone());
                good.into_iter().chain(bad).collect()
            }
        };
        self.end(end, files).await
    }

    /// Writes the results of some kinds into a part of the batch; how many there were.
    async fn part(
        &self,
        part: &'static str,
        log: &Log,
        entries: &[Entry],
        wants: impl Fn(Kind) -> bool,
    ) -> Result<usize, Halt> {
        let id = self.row.id.clone();
        let path = self
            .ask(move |shelf| Ok(shelf.batch_path(&id, part)))
            .await?;
        let mut file = BufWriter::new(create(&path)?);
        let mut count = 0;
        for entry in entries.iter().filter(|entry| wants(entry.kind)) {
            file.write_all(&log.line(entry)?)?;
            count += 1;
            if count % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(count)
    }

    /// The same as a file of the owner's; none where there is nothing to write.
    async fn file(
        &self,
        part: &'static str,
        log: &Log,
        entries: &[Entry],
        wants: impl Fn(Kind) -> bool,
    ) -> Result<Option<FileRow>, Halt> {
        if self.part(part, log, entries, wants).await? == 0 {
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
                Ok(_) => break,
                Err(Halt::Shelf(error)) if error.is_stale() => self.look().await?,
                Err(error) => return Err(error),
            }
        }
        let id = self.row.id.clone();
        self.ask(move |shelf| shelf.remove_work(&id)).await
    }
}

fn create(path: &Path) -> Kept<File> {
    Ok(File::create(path)?)
}
