//! A request's body on the disk, until it is known whether it is for a provider.

use super::read;
use crate::batches::{Desk, Incoming, ShelfError};
use gate_flow::Fault;
use gate_kit::http::Body;
use std::fs::File;
use std::sync::Arc;

/// Bytes that are gathered before they go to the disk.
const PIECE: usize = 256 * 1024;

/// A body as it came so far. Dropped, it leaves nothing on the disk.
pub(super) struct Spool {
    /// None while a piece is being written.
    file: Option<Incoming>,
    gathered: Vec<u8>,
}

impl Spool {
    pub(super) fn new(file: Incoming) -> Self {
        Self {
            file: Some(file),
            gathered: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub(super) async fn push(&mut self, desk: &Desk, bytes: &[u8]) -> Result<(), Fault> {
        self.gathered.extend_from_slice(bytes);
        match self.gathered.len() >= PIECE {
            true => self.flush(desk).await,
            false => Ok(()),
        }
    }

    async fn flush(&mut self, desk: &Desk) -> Result<(), Fault> {
        let bytes = std::mem::take(&mut self.gathered);
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        let written = desk.ask(move |_| {
            file.write(&bytes)?;
            Ok::<_, ShelfError>(file)
        });
        let written = written.await?;
        self.file = Some(written.map_err(|error| super::broken(&error))?);
        Ok(())
    }

    /// The body from its beginning. What is on the disk goes when it has been read, or is given up.
    pub(super) async fn body(mut self, desk: &Arc<Desk>) -> Result<Body, Fault> {
        self.flush(desk).await?;
        let Some(file) = self.file.take() else {
            return Ok(Body::Empty);
        };
        let opened = desk.ask(move |_| {
            let opened = File::open(file.path())?;
            // Its name goes with `file`; what is open stays readable until it is closed.
            Ok::<_, ShelfError>((opened, file.bytes()))
        });
        let (opened, bytes) = opened.await?.map_err(|error| super::broken(&error))?;
        Ok(read::body(desk.clone(), opened, bytes))
    }
}
