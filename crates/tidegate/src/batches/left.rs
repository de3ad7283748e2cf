//! What lies in the folder of files and is nobody's any more is looked for now and then.

use super::Runner;
use gate_kit::clock::Clock;
use gate_proxy::batches::untouched;
use std::time::Duration;

/// How often the folder is looked through.
pub(super) const EVERY: Duration = Duration::from_secs(6 * 3_600);
/// Names that the desk is given at once, because callers wait for it as well.
const NAMES: usize = 64;

impl Runner {
    /// Removes what lies in the folder and is nobody's any more.
    pub(super) async fn remove_left(&self) {
        let now = std::time::UNIX_EPOCH + Clock::System.unix();
        for part in ["files", "batches"] {
            let names = match untouched(&self.desk.folder().join(part), now) {
                Ok(names) => names,
                Err(error) => {
                    tracing::warn!(part, %error, "what nobody has of files is not looked for");
                    continue;
                }
            };
            for some in names.chunks(NAMES) {
                let some = some.to_vec();
                match self.desk.ask(move |shelf| shelf.remove_left(&some)).await {
                    Ok(Ok(0)) => {}
                    Ok(Ok(count)) => tracing::info!(part, count, "removed what nobody has"),
                    Ok(Err(error)) => {
                        tracing::warn!(part, %error, "what nobody has of files is not removed");
                        return;
                    }
                    Err(_) => return,
                }
            }
        }
    }
}
