//! The output that one caller of `attach` reads.

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

/// How often the log is looked at while it stands in for the line.
const INTERVAL: Duration = Duration::from_millis(250);

/// What the hub sends to one who is attached. The run is over when the channel is closed.
#[derive(Debug)]
pub(super) enum Piece {
    /// It came over the line.
    Line(Result<Chunk>),
    /// The run has begun, and its output is to be taken from the log.
    Begun(Reading),
    /// The run is over and nothing came over the line: what there is is in the log.
    Missed(Reading),
}

/// Reads the pieces that the hub sends, and the log where they are not the output.
#[derive(Debug)]
struct Reader {
    pieces: mpsc::Receiver<Piece>,
    /// Shows the hub that somebody reads.
    _presence: mpsc::Sender<Infallible>,
    log: Option<RunLog>,
    /// Keeps the log from being removed.
    reading: Option<Reading>,
    ready: VecDeque<Chunk>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Output comes over the line, or nothing is known yet.
    Line,
    /// The log is read as it grows.
    Growing,
    /// The log is read to its end.
    Rest,
    Over,
}

/// The output of a member whose pieces arrive here.
pub(super) fn output(
    pieces: mpsc::Receiver<Piece>,
    presence: mpsc::Sender<Infallible>,
    log: Option<RunLog>,
) -> Output {
    let reader = Reader {
        pieces,
        _presence: presence,
        log,
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
            match log.read(&mut self.ready).await {
                Err(error) => return Some(Err(error)),
                Ok(true) => continue,
                Ok(false) => {}
            }
            if self.phase == Phase::Rest {
                self.phase = Phase::Over;
                if let Err(error) = log.finish(&mut self.ready).await {
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
