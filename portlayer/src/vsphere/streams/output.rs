//! Reads the output for one caller of `attach`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::run_log::RunLog;
use crate::Result;
use crate::stream::{Chunk, Output};
use crate::vsphere::exec::Reading;

/// Interval at which the log is read while it replaces the line.
const INTERVAL: Duration = Duration::from_millis(250);

/// A message from the hub to a client. The channel is closed at the end of the run.
#[derive(Debug)]
pub(super) enum Piece {
    /// Output that came over the line.
    Line(Result<Chunk>),
    /// The run has started; its output has to be read from the log.
    Begun(Reading),
    /// The run is over, and no output came over the line; the output has to be read from the log.
    Missed(Reading),
}

/// Reads output from the messages of the hub, or from the log if a message says so.
#[derive(Debug)]
struct Reader {
    pieces: mpsc::Receiver<Piece>,
    /// Held so that the hub does not regard the client as detached.
    _presence: mpsc::Sender<Infallible>,
    log: Option<Box<RunLog>>,
    /// Held so that the log is not removed.
    reading: Option<Reading>,
    ready: VecDeque<Chunk>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Output comes over the line, or the run has not started yet.
    Line,
    /// The log is read while it grows.
    Growing,
    /// The log is read to its end.
    Rest,
    Over,
}

/// Creates the output of a client from its messages.
pub(super) fn output(
    pieces: mpsc::Receiver<Piece>,
    presence: mpsc::Sender<Infallible>,
    log: Option<RunLog>,
) -> Output {
    let reader = Reader {
        pieces,
        _presence: presence,
        log: log.map(Box::new),
        reading: None,
        ready: VecDeque::new(),
        phase: Phase::Line,
    };
    stream::unfold(reader, |mut reader| async move {
        let chunk = reader.next().await?;
        if chunk.is_err() {
            reader.phase = Phase::Over;
            reader.ready.clear();
            reader.reading = None;
        }
        Some((chunk, reader))
    })
    .boxed()
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Chunk>> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(Ok(chunk));
            }
            let log = match (self.phase, &mut self.log) {
                (Phase::Over, _) => return None,
                (Phase::Line, _) => match self.pieces.recv().await? {
                    Piece::Line(chunk) => return Some(chunk),
                    Piece::Begun(reading) => {
                        self.reading = Some(reading);
                        self.phase = Phase::Growing;
                        continue;
                    }
                    Piece::Missed(reading) => {
                        self.reading = Some(reading);
                        self.phase = Phase::Rest;
                        continue;
                    }
                },
                (_, None) => return None,
                (_, Some(log)) => log,
            };
            // Boxed, because it is large, and most clients never read the log.
            match Box::pin(log.read(&mut self.ready)).await {
                Err(error) => return Some(Err(error)),
                Ok(true) => continue,
                Ok(false) => {}
            }
            if self.phase == Phase::Rest {
                self.phase = Phase::Over;
                if let Err(error) = Box::pin(log.finish(&mut self.ready)).await {
                    return Some(Err(error));
                }
                self.reading = None;
                continue;
            }
            tokio::select! {
                piece = self.pieces.recv() => match piece {
                    Some(Piece::Line(chunk)) => return Some(chunk),
                    Some(Piece::Begun(_) | Piece::Missed(_)) => {}
                    None => self.phase = Phase::Rest,
                },
                () = sleep(INTERVAL) => {}
            }
        }
    }
}
