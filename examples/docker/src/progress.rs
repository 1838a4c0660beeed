//! The progress of pull, load and import, as a response body of JSON lines.

use std::future::Future;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use image_source::{LayerProgress, LayerStage};
use portlayer::image::{Digest, ImportPhase, ImportProgress};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::error::{ApiError, Result};
use crate::reply::{self, Reply};
use crate::units;

/// The number of lines queued for a client. When the queue is full, progress is dropped.
const QUEUE: usize = 256;
/// The shortest time between two reports of a layer's progress.
const INTERVAL: Duration = Duration::from_millis(100);

/// Sends lines to a client. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Lines(mpsc::Sender<Value>);

impl Lines {
    /// Sends a line and waits for room in the queue.
    pub(crate) async fn send(&self, line: Value) {
        let _ = self.0.send(line).await;
    }

    /// Sends a line of text, which a pull shows below the layers.
    pub(crate) async fn status(&self, text: impl Into<String>) {
        self.send(json!({ "status": text.into() })).await;
    }

    /// Sends a line that a later one replaces, or drops it if the queue is full.
    fn offer(&self, line: Value) {
        let _ = self.0.try_send(line);
    }
}

/// Returns a response whose body is the lines that `work` sends. The work is cancelled when the
/// client disconnects; its error becomes the last line.
pub(crate) fn body<F, W>(work: W) -> Reply
where
    W: FnOnce(Lines) -> F,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(QUEUE);
    let lines = Lines(sender);
    let work = work(lines.clone());
    tokio::spawn(async move {
        tokio::select! {
            done = work => {
                if let Err(ApiError { message, .. }) = done {
                    let detail = json!({ "message": message });
                    lines.send(json!({ "errorDetail": detail, "error": message })).await;
                }
            }
            () = lines.0.closed() => {}
        }
    });
    let lines = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let line = receiver.recv().await?;
        Some((Ok(Bytes::from(format!("{line}\r\n"))), receiver))
    });
    reply::stream(reply::JSON, lines)
}

/// Reports the progress of an image's layers, each on a line of the client's terminal.
#[derive(Debug)]
pub(crate) struct LayerLines {
    lines: Lines,
    layers: Vec<(Digest, Mutex<Option<Instant>>)>,
}

impl LayerLines {
    /// Creates the lines of an image's layers, which are named by these digests.
    pub(crate) fn new(lines: Lines, layers: impl IntoIterator<Item = Digest>) -> Self {
        let layers = layers
            .into_iter()
            .map(|digest| (digest, Mutex::default()))
            .collect();
        Self { lines, layers }
    }

    pub(crate) fn fetched(&self, progress: LayerProgress) {
        let index = progress.index;
        match progress.stage {
            LayerStage::Waiting => self.show(index, "Pulling fs layer", None),
            LayerStage::Fetching { done, total } if done == total || self.is_due(index) => {
                self.show(index, "Downloading", Some((done, total)));
            }
            LayerStage::Verifying => self.show(index, "Verifying Checksum", None),
            LayerStage::Complete => self.show(index, "Download complete", None),
            _ => {}
        }
    }

    /// Reports the progress of the import. `diff_ids` are those of the image's layers, in order.
    pub(crate) fn imported(&self, progress: ImportProgress, diff_ids: &[Digest]) {
        if let ImportPhase::Verify { layer } = progress.phase
            && let Some(index) = diff_ids.iter().position(|diff_id| *diff_id == layer)
            && self.is_due(index)
        {
            let bytes = progress.total.map(|total| (progress.done, total));
            self.show(index, "Extracting", bytes);
        }
    }

    /// Sends the final line of each layer.
    pub(crate) async fn complete(&self) {
        for (digest, _) in &self.layers {
            self.lines.send(line(digest, "Pull complete", None)).await;
        }
    }

    fn is_due(&self, index: usize) -> bool {
        let Some((_, last)) = self.layers.get(index) else {
            return false;
        };
        let mut last = last
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if due {
            *last = Some(Instant::now());
        }
        due
    }

    fn show(&self, index: usize, status: &str, bytes: Option<(u64, u64)>) {
        if let Some((digest, _)) = self.layers.get(index) {
            self.lines.offer(line(digest, status, bytes));
        }
    }
}

fn line(digest: &Digest, status: &str, bytes: Option<(u64, u64)>) -> Value {
    let id = &digest.hex()[..12];
    match bytes {
        None => json!({ "status": status, "progressDetail": {}, "id": id }),
        Some((current, total)) => json!({
            "status": status,
            "progressDetail": { "current": current, "total": total },
            "progress": bar(current, total),
            "id": id,
        }),
    }
}

/// Formats `[=====>      ]  1.2kB/3.4kB`, for clients that do not draw a bar themselves.
fn bar(current: u64, total: u64) -> String {
    const WIDTH: u64 = 50;
    let full = (current.saturating_mul(WIDTH))
        .checked_div(total)
        .unwrap_or(WIDTH)
        .min(WIDTH) as usize;
    let width = WIDTH as usize;
    let done = "=".repeat(full.saturating_sub(1));
    format!(
        "[{done}>{}] {:>8}/{}",
        " ".repeat(width - full.max(1)),
        units::size(current),
        units::size(total)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_dockers() {
        assert_eq!(
            bar(50, 100),
            format!("[{}>{}]      50B/100B", "=".repeat(24), " ".repeat(25))
        );
        assert_eq!(bar(0, 0).matches('=').count(), 49);
    }
}
