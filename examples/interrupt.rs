//! Being asked to stop.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::watch;

/// Counts how often the user (Ctrl-C) or the system asked the program to stop.
///
/// Whoever asks while nobody waits for it is not lost: the next wait ends at
/// once.
#[derive(Debug)]
pub struct Interrupts {
    asked: watch::Receiver<u32>,
    heeded: AtomicU32,
}

impl Interrupts {
    /// Listens from now on, instead of ending the program at once.
    ///
    /// # Errors
    /// When the platform does not let us listen.
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

    /// Waits until somebody asks who was not heeded yet, and heeds them.
    pub async fn requested(&self) {
        let heeded = self.heeded.load(Ordering::Relaxed);
        let mut asked = self.asked.clone();
        let count = asked
            .wait_for(|count| *count > heeded)
            .await
            .map(|count| *count);
        match count {
            Ok(count) => self.heeded.store(count, Ordering::Relaxed),
            // Nobody listens any more, so nobody will ask.
            Err(_) => std::future::pending().await,
        }
    }
}

/// What the platform tells us about.
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

/// What the platform tells us about.
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
        assert!(again.is_err(), "the same request was heeded twice");
        count.send_modify(|count| *count += 1);
        interrupts.requested().await;
    }
}
