//! Follows growing logs, with one reader of the file for all followers.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use vim25::{Ref, mo};

use super::log_source::LogSource;
use crate::vsphere::derive_state::Power;
use crate::{Error, Resource, Result};

/// Interval at which a log is read.
const INTERVAL: Duration = Duration::from_millis(500);

/// The logs that are followed, by path.
#[derive(Debug, Default)]
pub(super) struct Tailers {
    running: Mutex<HashMap<String, watch::Sender<News>>>,
}

/// The known state of a log.
#[derive(Clone, Debug, Default)]
struct News {
    /// The offset up to which the log was read.
    end: u64,
    /// The last bytes before that offset.
    last: Bytes,
    /// Whether the machine is off and everything was read.
    stopped: bool,
    /// The error that ended the reading.
    failed: Option<String>,
}

/// One caller's view of a log that is followed.
#[derive(Debug)]
pub(super) struct Following {
    news: watch::Receiver<News>,
    container: Resource,
}

impl Tailers {
    /// Follows a log until the machine is off. All followers share one reader, which ends when the
    /// last follower is dropped.
    pub(super) fn follow(&self, source: &LogSource, vm: Ref<mo::VirtualMachine>) -> Following {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, news| !news.is_closed() && !news.borrow().is_over());
        let news = running.entry(source.path.clone()).or_insert_with(|| {
            let sender = watch::Sender::new(News::default());
            tokio::spawn(tail(source.clone(), vm, sender.clone()));
            sender
        });
        Following {
            news: news.subscribe(),
            container: source.container.clone(),
        }
    }
}

impl News {
    fn is_over(&self) -> bool {
        self.stopped || self.failed.is_some()
    }
}

impl Following {
    /// Waits until the log is longer than `offset`, and returns the new bytes and the length of the
    /// log. The bytes are empty if they are no longer buffered. Returns `None` when the log will
    /// not grow any more.
    ///
    /// Cancel-safe.
    pub(super) async fn grown(&mut self, offset: u64) -> Result<Option<(Bytes, u64)>> {
        let news = self
            .news
            .wait_for(|news| news.end > offset || news.is_over())
            .await;
        let lost = || Error::internal(self.container.clone(), "its log is no longer followed");
        let news = news.map_err(|_| lost())?;
        if news.end > offset {
            let kept_from = news.end - news.last.len() as u64;
            let kept = match offset.checked_sub(kept_from) {
                Some(skip) => news
                    .last
                    .slice(usize::try_from(skip).unwrap_or(usize::MAX)..),
                None => Bytes::new(),
            };
            return Ok(Some((kept, news.end)));
        }
        match &news.failed {
            Some(reason) => {
                Err(Error::unavailable(self.container.clone(), None).with_source(reason.clone()))
            }
            None => Ok(None),
        }
    }
}

/// Reads a log as it grows.
async fn tail(source: LogSource, vm: Ref<mo::VirtualMachine>, news: watch::Sender<News>) {
    let mut end = match source.format().await {
        Ok((_, end)) => end,
        Err(error) => return fail(&news, &error),
    };
    news.send_modify(|news| news.end = end);
    let off = source
        .endpoint
        .watch(&vm, &source.container, |machine| match machine.power {
            Power::Off => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
    let mut off = std::pin::pin!(off);
    let mut stopped = false;
    loop {
        if !stopped {
            tokio::select! {
                () = news.closed() => return,
                // A removed machine does not write any more either.
                _ = &mut off => stopped = true,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
        loop {
            let bytes = match source.next(end).await {
                Ok(bytes) => bytes,
                Err(error) => return fail(&news, &error),
            };
            if bytes.is_empty() {
                break;
            }
            end += bytes.len() as u64;
            news.send_modify(|news| {
                news.end = end;
                news.last = bytes;
            });
        }
        if stopped {
            news.send_modify(|news| news.stopped = true);
            return;
        }
    }
}

fn fail(news: &watch::Sender<News>, error: &Error) {
    news.send_modify(|news| news.failed = Some(error.to_string()));
}
