//! Handles requests to stop the program: Ctrl-C and signals of the system.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use tokio::sync::watch;

/// A receiver of requests to stop, which counts how often the user (Ctrl-C) or the system
/// asked the program to stop.
///
/// A request that arrives while nothing waits for one is not lost: the next wait returns
/// immediately.
#[derive(Debug)]
pub struct Interrupts {
    asked: watch::Receiver<u32>,
    heeded: AtomicU32,
}

impl Interrupts {
    /// Starts to listen for requests. From then on, they no longer end the program
    /// immediately.
    ///
    /// # Errors
    /// Fails when the platform does not allow signal handlers.
    pub fn listen() -> io::Result<Self> {
        let (count, asked) = watch::channel(0);
        let mut signals = Signals::new()?;
        tokio::spawn(async move {
            while signals.next().await && !count.is_closed() {
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self {
            asked,
            heeded: AtomicU32::new(0),
        })
    }

    /// Waits for a request that was not handled yet, and marks it as handled.
    pub async fn requested(&self) {
        let heeded = self.heeded.load(Ordering::Relaxed);
        let mut asked = self.asked.clone();
        let count = asked
            .wait_for(|count| *count > heeded)
            .await
            .map(|count| *count);
        match count {
            Ok(count) => self.heeded.store(count, Ordering::Relaxed),
            // The listening task has ended, so no request will arrive: wait forever.
            Err(_) => std::future::pending().await,
        }
    }

    /// Runs `work` and returns its result. If a request to stop arrives first, drops `work`
    /// and fails.
    ///
    /// # Errors
    /// Those of `work`, and [`Interrupted`] after a request to stop.
    pub async fn unless_requested<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T>
    where
        E: Into<anyhow::Error>,
    {
        tokio::select! {
            outcome = work => outcome.map_err(Into::into),
            () = self.requested() => Err(Interrupted.into()),
        }
    }

    /// Runs `work` to its end and returns its result. A first request to stop calls `say`, and
    /// takes effect when the work is done: an object that an endpoint is still creating cannot
    /// be removed yet. A second request takes effect immediately.
    ///
    /// # Errors
    /// Those of `work`, and [`Interrupted`] after a request to stop.
    pub async fn to_its_end<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        say: impl FnOnce(),
    ) -> Result<T>
    where
        E: Into<anyhow::Error>,
    {
        let mut work = pin!(work);
        tokio::select! {
            outcome = &mut work => return outcome.map_err(Into::into),
            () = self.requested() => say(),
        }
        self.unless_requested(work).await?;
        Err(Interrupted.into())
    }
}

/// The error that the program was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the job was interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// The signals of the platform that ask the program to stop.
#[cfg(unix)]
struct Signals([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) -> bool {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            got = interrupt.recv() => got,
            got = terminate.recv() => got,
            got = hangup.recv() => got,
        }
        .is_some()
    }
}

/// The signals of the platform that ask the program to stop.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> bool {
        tokio::signal::ctrl_c().await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_request_is_heeded_once_and_none_is_lost() {
        let (count, asked) = watch::channel(1);
        let interrupts = Interrupts {
            asked,
            heeded: AtomicU32::new(0),
        };
        interrupts.requested().await;
        let again = tokio::time::timeout(std::time::Duration::ZERO, interrupts.requested()).await;
        assert!(again.is_err(), "the same request was handled twice");
        count.send_modify(|count| *count += 1);
        interrupts.requested().await;
    }

    #[tokio::test]
    async fn work_to_its_end_is_finished_before_the_interrupt_counts() {
        let (_count, asked) = watch::channel(1);
        let interrupts = Interrupts {
            asked,
            heeded: AtomicU32::new(0),
        };
        let (mut said, mut finished) = (false, false);
        let work = async {
            tokio::task::yield_now().await;
            finished = true;
            Ok::<_, anyhow::Error>(())
        };
        let outcome = interrupts.to_its_end(work, || said = true).await;
        assert!(outcome.is_err_and(|error| error.is::<Interrupted>()));
        assert!(said && finished);
    }
}
