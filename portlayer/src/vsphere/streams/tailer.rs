//! Follows growing logs, with one reader of the file for all followers.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use guest_io::log::Format;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use vim25::{Ref, mo};

use super::log_place::LogPlace;
use super::log_source::{LogSource, Lookup, PATIENCE};
use super::recent_blocks::RecentBlocks;
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::Machine;
use crate::{Error, Resource, Result};

/// Interval at which a log is read.
const INTERVAL: Duration = Duration::from_millis(500);

/// The logs that are followed, by machine: their paths may change.
#[derive(Debug, Default)]
pub(super) struct Tailers {
    running: Mutex<HashMap<Ref<mo::VirtualMachine>, Followed>>,
}

/// What the followers of a log share.
#[derive(Debug)]
struct Followed {
    news: watch::Sender<News>,
    blocks: Arc<RecentBlocks>,
    place: Arc<LogPlace>,
    /// Notified when the log may have been moved.
    moved: Arc<Notify>,
}

/// The known state of a log.
#[derive(Clone, Debug, Default)]
struct News {
    /// Whether the older parts have been found, and the rest is known.
    is_ready: bool,
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    /// The format, if the log is long enough to tell.
    pub(super) format: Option<Format>,
    /// The length of the log when it was read last.
    pub(super) end: u64,
}

impl Tailers {
    /// Follows a log until the machine is off, also while its files are moved. All followers share
    /// one reader, which ends when the last follower is dropped, and `source` shares what they read.
    ///
    /// # Errors
    /// Fails if the beginning of the log cannot be read.
    pub(super) async fn follow(
        &self,
        source: &mut LogSource,
        machine: &Machine,
    ) -> Result<Following> {
        let mut following = self.subscribe(source, machine);
        following.ready().await?;
        Ok(following)
    }

    fn subscribe(&self, source: &mut LogSource, machine: &Machine) -> Following {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, log| !log.news.is_closed() && !log.news.borrow().is_over());
        let container = source.container.clone();
        if let Some(log) = running.get(&machine.vm) {
            if log.place.files().current.path != source.place.files().current.path {
                log.moved.notify_one();
            }
            source.shared = Some(Arc::clone(&log.blocks));
            source.place = Arc::clone(&log.place);
            let news = log.news.subscribe();
            return Following { news, container };
        }
        let blocks = Arc::<RecentBlocks>::default();
        source.shared = Some(Arc::clone(&blocks));
        let (sender, news) = watch::channel(News::default());
        let log = Followed {
            news: sender.clone(),
            blocks,
            place: Arc::clone(&source.place),
            moved: Arc::default(),
        };
        let tailer = Tailer {
            source: source.clone(),
            vm: machine.vm.clone(),
            path: machine.path.clone(),
            moved: Arc::clone(&log.moved),
            news: sender,
        };
        tokio::spawn(tailer.run());
        running.insert(machine.vm.clone(), log);
        Following { news, container }
    }
}

impl News {
    fn is_over(&self) -> bool {
        self.stopped || self.failed.is_some()
    }
}

impl Following {
    async fn ready(&mut self) -> Result<()> {
        let news = self
            .news
            .wait_for(|news| news.is_ready || news.is_over())
            .await;
        let lost = |_| Error::internal(self.container.clone(), "its log is no longer followed");
        let news = news.map_err(lost)?;
        match &news.failed {
            Some(reason) if !news.is_ready => {
                Err(Error::unavailable(self.container.clone(), None).with_source(reason.clone()))
            }
            _ => Ok(()),
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
struct Tailer {
    source: LogSource,
    vm: Ref<mo::VirtualMachine>,
    /// The path of the machine when the log was looked up.
    path: String,
    moved: Arc<Notify>,
    news: watch::Sender<News>,
}

impl Tailer {
    async fn run(self) {
        if let Err(error) = self.tail().await {
            self.news
                .send_modify(|news| news.failed = Some(report(&error)));
        }
    }

    async fn tail(&self) -> Result<()> {
        self.source.find_older().await?;
        let (format, end) = self.source.format().await?;
        self.news.send_modify(|news| {
            news.is_ready = true;
            news.format = format;
            news.end = end;
        });
        let mut off = std::pin::pin!(self.off());
        let mut stopped = false;
        // Whether the log may have been moved.
        let mut suspected = false;
        let mut missing_since = None;
        loop {
            if !stopped {
                tokio::select! {
                    () = self.news.closed() => return Ok(()),
                    // A removed machine does not write any more either.
                    _ = &mut off => stopped = true,
                    () = self.moved.notified() => suspected = true,
                    () = tokio::time::sleep(INTERVAL) => {}
                }
            }
            // The last report of a machine may say both.
            suspected |= self.moved.notified().now_or_never().is_some();
            self.read_news().await?;
            let is_missing = self.source.place.is_missing();
            if suspected || is_missing {
                match self.source.look_again().await {
                    Ok(Lookup::Moved) => {
                        suspected = false;
                        self.read_news().await?;
                    }
                    Ok(Lookup::Same) => suspected = false,
                    Ok(Lookup::NotYet) => {}
                    // A removed machine is reported as such.
                    Err(error) => {
                        let container = &self.source.container;
                        tracing::debug!(%container, %error, "cannot look for a log");
                    }
                }
            }
            if stopped {
                self.news.send_modify(|news| news.stopped = true);
                return Ok(());
            }
            let is_missing = self.source.place.is_missing();
            missing_since = is_missing.then(|| missing_since.unwrap_or_else(Instant::now));
            if missing_since.is_some_and(|since: Instant| since.elapsed() >= PATIENCE) {
                return Err(self.source.lost());
            }
        }
    }

    /// Reads to the current end of the log.
    async fn read_news(&self) -> Result<()> {
        let (mut format, mut end) = {
            let news = self.news.borrow();
            (news.format, news.end)
        };
        loop {
            let bytes = self.source.next(end).await?;
            if bytes.is_empty() {
                return Ok(());
            }
            end += bytes.len() as u64;
            if format.is_none() {
                format = self.source.format().await?.0;
            }
            self.news.send_modify(|news| {
                news.format = format;
                news.end = end;
                news.last = bytes;
            });
        }
    }

    /// Waits until the machine is off or removed, and notifies of moves of its files.
    async fn off(&self) -> Result<()> {
        let (endpoint, container) = (&self.source.endpoint, &self.source.container);
        let mut path = self.path.clone();
        let off = endpoint.watch(&self.vm, container, |machine| {
            if machine.path != path {
                path.clone_from(&machine.path);
                self.moved.notify_one();
            }
            match machine.power {
                Power::Off => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        off.await
    }
}

/// Returns the message of an error with its cause.
fn report(error: &Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
