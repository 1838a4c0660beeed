//! A body of JSON lines: what pull, load and import report.

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
use crate::words;

/// Lines between the work and the client. Progress beyond that is skipped, never waited for.
const QUEUE: usize = 256;
/// A layer's progress is reported at most this often.
const INTERVAL: Duration = Duration::from_millis(100);

/// Sends lines to a client.
#[derive(Clone, Debug)]
pub(crate) struct Lines(mpsc::Sender<Value>);

impl Lines {
    /// Sends a line that the client must see.
    pub(crate) async fn send(&self, line: Value) {
        let _ = self.0.send(line).await;
    }

    /// A line of text, as pull shows it below the layers.
    pub(crate) async fn status(&self, text: impl Into<String>) {
        self.send(json!({ "status": text.into() })).await;
    }

    /// Sends a line that a later one replaces.
    fn offer(&self, line: Value) {
        let _ = self.0.try_send(line);
    }
}

/// An answer that runs some work and shows its lines. The work is dropped when the client leaves;
/// its error is the last line.
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

/// Shows the layers of an image as docker does: one line of a terminal each.
#[derive(Debug)]
pub(crate) struct LayerLines {
    lines: Lines,
    layers: Vec<(Digest, Mutex<Option<Instant>>)>,
}

impl LayerLines {
    /// For an image with these layers, by the digests that name them in the lines.
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

    /// `diff_ids` are those of the image's layers, in order.
    pub(crate) fn imported(&self, progress: ImportProgress, diff_ids: &[Digest]) {
        if let ImportPhase::Verify { layer } = progress.phase
            && let Some(index) = diff_ids.iter().position(|diff_id| *diff_id == layer)
            && self.is_due(index)
        {
            let bytes = progress.total.map(|total| (progress.done, total));
            self.show(index, "Extracting", bytes);
        }
    }

    /// The lines that stay.
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

/// `[=====>      ]  1.2kB/3.4kB`, as clients that do not draw it themselves show it.
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
        words::size(current),
        words::size(total)
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
