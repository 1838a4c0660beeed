//! Follows growing logs, with one reader of the file for all followers.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use guest_io::log::Format;
use tokio::sync::watch;
use vim25::{Ref, mo};

use super::log_source::LogSource;
use super::recent_blocks::RecentBlocks;
use crate::vsphere::derive_state::Power;
use crate::{Error, Resource, Result};

/// Interval at which a log is read.
const INTERVAL: Duration = Duration::from_millis(500);

/// The logs that are followed, by path.
#[derive(Debug, Default)]
pub(super) struct Tailers {
    running: Mutex<HashMap<String, Followed>>,
}

/// What the followers of a log share.
#[derive(Debug)]
struct Followed {
    news: watch::Sender<News>,
    blocks: Arc<RecentBlocks>,
}

/// The known state of a log.
#[derive(Clone, Debug, Default)]
struct News {
    /// The older parts, until which nothing else is known. They precede the part that grows.
    older: Option<Arc<[(String, u64)]>>,
    /// The format, if the log is long enough to tell.
    format: Option<Format>,
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

/// The beginning of a log that is followed.
#[derive(Clone, Debug)]
pub(super) struct Beginning {
    /// The format, if the log is long enough to tell.
    pub(super) format: Option<Format>,
    /// The length of the log when it was read last.
    pub(super) end: u64,
}

impl Tailers {
    /// Follows a log until the machine is off. All followers share one reader, which ends when the
    /// last follower is dropped, and `source` shares what they read.
    ///
    /// # Errors
    /// Fails if the beginning of the log cannot be read.
    pub(super) async fn follow(
        &self,
        source: &mut LogSource,
        vm: Ref<mo::VirtualMachine>,
    ) -> Result<Following> {
        let mut following = self.subscribe(source, vm);
        source.older = following.older().await?.to_vec();
        Ok(following)
    }

    fn subscribe(&self, source: &mut LogSource, vm: Ref<mo::VirtualMachine>) -> Following {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, log| !log.news.is_closed() && !log.news.borrow().is_over());
        let known = running.get(&source.path);
        source.shared = Some(known.map_or_else(Arc::default, |log| Arc::clone(&log.blocks)));
        let news = match known {
            Some(log) => log.news.subscribe(),
            None => {
                let (news, receiver) = watch::channel(News::default());
                tokio::spawn(tail(source.clone(), vm, news.clone()));
                let blocks = source.shared.clone().unwrap_or_default();
                let followed = Followed { news, blocks };
                running.insert(source.path.clone(), followed);
                receiver
            }
        };
        Following {
            news,
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
    async fn older(&mut self) -> Result<Arc<[(String, u64)]>> {
        let news = self
            .news
            .wait_for(|news| news.older.is_some() || news.is_over())
            .await;
        let lost = |_| Error::internal(self.container.clone(), "its log is no longer followed");
        let news = news.map_err(lost)?;
        match (&news.older, &news.failed) {
            (Some(older), _) => Ok(Arc::clone(older)),
            (None, reason) => {
                let reason = reason.clone().unwrap_or_default();
                Err(Error::unavailable(self.container.clone(), None).with_source(reason))
            }
        }
    }

    /// Returns what is known of the log.
    pub(super) fn beginning(&self) -> Beginning {
        let news = self.news.borrow();
        Beginning {
            format: news.format,
            end: news.end,
        }
    }

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
async fn tail(mut source: LogSource, vm: Ref<mo::VirtualMachine>, news: watch::Sender<News>) {
    if let Err(error) = source.find_older().await {
        return fail(&news, &error);
    }
    let (mut format, mut end) = match source.format().await {
        Ok(beginning) => beginning,
        Err(error) => return fail(&news, &error),
    };
    news.send_modify(|news| {
        news.older = Some(source.older.as_slice().into());
        news.format = format;
        news.end = end;
    });
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
            if format.is_none() {
                format = match source.format().await {
                    Ok((format, _)) => format,
                    Err(error) => return fail(&news, &error),
                };
            }
            news.send_modify(|news| {
                news.format = format;
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
