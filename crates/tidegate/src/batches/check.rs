//! A batch's file is read for what is wrong with it before anything is run.

use super::{Batch, Halt, kind};
use crate::jobs::MODELS_MAX;
use gate_ai::batch::shape::Wrong;
use gate_ai::batch::{
    BatchState, LINE_MAX, Line, LineError, Lines, OPENAI_REQUESTS_MAX, openai_line,
};
use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::Read;

/// Bytes that are read at once.
const PIECE: u64 = 256 * 1024;
/// What is told of a file that is wrong in many places.
const WRONG_MAX: usize = 100;

/// What was found in a file.
#[derive(Default)]
struct Found {
    count: u64,
    ids: HashSet<String>,
    /// The model, while all lines name the same one.
    model: Option<Option<String>>,
    /// Those that lines name, as many as a lane looks at.
    models: BTreeSet<String>,
    wrong: Vec<Wrong>,
}

impl Found {
    fn line(&mut self, number: u64, line: Line<'_>, endpoint: &str) {
        self.count += 1;
        if self.wrong.len() >= WRONG_MAX || self.count > OPENAI_REQUESTS_MAX {
            return;
        }
        if let Err(error) = self.read(line, endpoint) {
            self.wrong.push(Wrong {
                code: error.code().to_owned(),
                line: Some(number),
                message: error.to_string(),
                param: error.parameter().map(str::to_owned),
            });
        }
    }

    fn read(&mut self, line: Line<'_>, endpoint: &str) -> Result<(), LineError> {
        let Line::Whole(line) = line else {
            return Err(LineError::TooLong);
        };
        let request = openai_line(line, endpoint)?;
        let model = request.model.map(std::borrow::Cow::into_owned);
        if let Some(model) = &model
            && self.models.len() < MODELS_MAX
            && !self.models.contains(model)
        {
            self.models.insert(model.clone());
        }
        match &self.model {
            None => self.model = Some(model),
            Some(one) if *one != model => self.model = Some(None),
            Some(_) => {}
        }
        let id = request.custom_id.into_owned();
        match self.ids.contains(&id) {
            true => Err(LineError::Duplicate(id)),
            false => {
                self.ids.insert(id);
                Ok(())
            }
        }
    }

    /// What is wrong with the file as a whole.
    fn end(&mut self) {
        let whole = |code: &str, message: String| Wrong {
            code: code.to_owned(),
            line: None,
            message,
            param: None,
        };
        if self.count == 0 {
            let message = "Input file is empty. Please ensure that the batch contains at least one \
                           request.";
            self.wrong.push(whole("empty_file", message.to_owned()));
        }
        if self.count > OPENAI_REQUESTS_MAX {
            let message = format!("A batch has at most {OPENAI_REQUESTS_MAX} requests.");
            self.wrong.push(whole("too_many_requests", message));
        }
    }
}

impl Batch<'_> {
    /// Reads the file, and begins or fails.
    pub(super) async fn check(&mut self) -> Result<(), Halt> {
        let id = self.row.id.clone();
        let path = self
            .ask(move |shelf| Ok(shelf.batch_path(&id, "requests")))
            .await?;
        let mut file = File::open(path)?;
        let mut lines = Lines::new(LINE_MAX);
        let mut found = Found::default();
        let endpoint = self.data.endpoint.clone();
        let mut piece = Vec::new();
        loop {
            piece.clear();
            (&mut file).take(PIECE).read_to_end(&mut piece)?;
            if piece.is_empty() {
                break;
            }
            lines.push(&piece, |number, line| found.line(number, line, &endpoint));
            // Other batches go on meanwhile.
            tokio::task::yield_now().await;
        }
        lines.finish(|number, line| found.line(number, line, &endpoint));
        found.end();
        self.data.counts.total = found.count;
        self.data.model = found.model.flatten();
        self.data.models = match self.data.model {
            Some(_) => Vec::new(),
            None => found.models.into_iter().collect(),
        };
        let is_wrong = !found.wrong.is_empty();
        self.data.wrong = found.wrong;
        if is_wrong {
            self.data.counts.total = 0;
            self.save(Some(BatchState::Failed)).await?;
            if self.state() == BatchState::Failed {
                self.runner.counts.ended(kind(&self.row, Some(&self.data)));
                let id = self.row.id.clone();
                return self.ask(move |shelf| shelf.remove_parts(&id)).await;
            }
            // Its owner has cancelled it: nothing of it is run.
            return Ok(());
        }
        self.save(Some(BatchState::InProgress)).await
    }
}
