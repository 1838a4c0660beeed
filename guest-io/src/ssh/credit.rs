//! The flow-control window of a session in one direction.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::WINDOW;

/// The cost of a message in addition to its bytes, which limits the number of tiny messages.
const OVERHEAD: u32 = 64;

/// The maximum number of data bytes in a message.
pub(super) const PIECE: usize = 16 * 1024;

/// Returns the cost of a message with this many bytes.
pub(super) fn cost(bytes: usize) -> u32 {
    u32::try_from(bytes)
        .unwrap_or(u32::MAX)
        .saturating_add(OVERHEAD)
}

/// The sender's side, which knows how much it may still send.
#[derive(Debug)]
pub(super) struct Credit {
    left: Mutex<u64>,
    granted: Notify,
    /// The number of grants, which wraps.
    grants: AtomicU32,
}

impl Credit {
    pub(super) fn new() -> Self {
        Self {
            left: Mutex::new(WINDOW.into()),
            granted: Notify::new(),
            grants: AtomicU32::new(0),
        }
    }

    /// Adds to the amount that may be sent.
    pub(super) fn grant(&self, bytes: u32) {
        let mut left = self.left.lock().unwrap_or_else(|e| e.into_inner());
        *left = left.saturating_add(bytes.into());
        drop(left);
        self.grants.fetch_add(1, Ordering::AcqRel);
        self.granted.notify_one();
    }

    /// Waits until the peer has granted nothing for this long. Cancel safe.
    pub(super) async fn stalled(&self, after: Duration) {
        loop {
            let before = self.grants.load(Ordering::Acquire);
            tokio::time::sleep(after).await;
            if self.grants.load(Ordering::Acquire) == before {
                return;
            }
        }
    }

    /// Waits until this amount may be sent, and takes it. For one task at a time.
    ///
    /// Cancel safe: if the future is dropped, nothing is taken.
    pub(super) async fn take(&self, amount: u32) {
        loop {
            {
                let mut left = self.left.lock().unwrap_or_else(|e| e.into_inner());
                if *left >= u64::from(amount) {
                    *left -= u64::from(amount);
                    return;
                }
            }
            self.granted.notified().await;
        }
    }

    /// Waits until the peer has consumed everything that was sent. For the task that sends.
    ///
    /// Cancel safe.
    pub(super) async fn all_consumed(&self) {
        loop {
            if *self.left.lock().unwrap_or_else(|e| e.into_inner()) >= u64::from(WINDOW) {
                return;
            }
            self.granted.notified().await;
        }
    }
}

/// The receiver's side, which counts the bytes that have arrived and those that were consumed.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// The bytes that have arrived and were not granted again.
    used: AtomicU32,
    /// The bytes that were consumed and not granted yet.
    consumed: AtomicU32,
}

/// The error when the peer sent more than it was granted.
#[derive(Debug)]
pub(super) struct Overrun;

impl Arrived {
    /// Accounts for data that has arrived.
    pub(super) fn arrive(&self, bytes: usize) -> Result<(), Overrun> {
        let cost = cost(bytes);
        let before = self.used.fetch_add(cost, Ordering::AcqRel);
        if before.saturating_add(cost) > WINDOW {
            return Err(Overrun);
        }
        Ok(())
    }

    /// Returns the number of bytes that have arrived and were not granted again.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire) as usize
    }

    /// Accounts for data that was consumed. Returns the amount to grant now; `None` while it is
    /// too small to send.
    pub(super) fn consume(&self, bytes: usize) -> Option<u32> {
        let cost = cost(bytes);
        let total = self.consumed.fetch_add(cost, Ordering::AcqRel) + cost;
        if total < WINDOW / 4 {
            return None;
        }
        self.grant()
    }

    /// Does the same as [`consume`](Self::consume), but also grants everything as soon as nothing
    /// is left to consume, so that the sender can wait for that.
    pub(super) fn consume_and_confirm(&self, bytes: usize) -> Option<u32> {
        let grant = self.consume(bytes);
        let rest = self.consumed.load(Ordering::Acquire);
        let is_all = rest == self.used.load(Ordering::Acquire);
        grant.or_else(|| is_all.then(|| self.grant()).flatten())
    }

    fn grant(&self) -> Option<u32> {
        let grant = self.consumed.swap(0, Ordering::AcqRel);
        self.used.fetch_sub(grant, Ordering::AcqRel);
        (grant > 0).then_some(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumed_bytes_are_granted_and_more_is_an_overrun() {
        let arrived = Arrived::default();
        let pieces = WINDOW / cost(PIECE);
        for _ in 0..pieces {
            arrived.arrive(PIECE).unwrap();
        }
        assert!(arrived.arrive(PIECE).is_err());

        let arrived = Arrived::default();
        let mut granted = 0;
        for _ in 0..100 {
            arrived.arrive(PIECE).unwrap();
            granted += arrived.consume(PIECE).unwrap_or(0);
        }
        assert!(granted > 100 * cost(PIECE) - WINDOW / 4);
    }

    #[test]
    fn tiny_messages_are_bounded() {
        let arrived = Arrived::default();
        let n = (0..).take_while(|_| arrived.arrive(1).is_ok()).count();
        assert!(n < 4096);
    }

    #[tokio::test]
    async fn a_sender_can_wait_until_everything_was_consumed() {
        let (credit, arrived) = (Credit::new(), Arrived::default());
        for _ in 0..2 {
            credit.take(cost(10)).await;
            arrived.arrive(10).unwrap();
        }
        assert_eq!(arrived.consume_and_confirm(10), None);
        let mut waiting = std::pin::pin!(credit.all_consumed());
        let pending = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())
        });
        assert!(pending.await);
        credit.grant(arrived.consume_and_confirm(10).unwrap());
        waiting.await;
    }

    #[tokio::test]
    async fn a_sender_waits_for_a_grant() {
        let credit = Credit::new();
        credit.take(WINDOW).await;
        let mut waiting = std::pin::pin!(credit.take(10));
        let first = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())
        })
        .await;
        assert!(first);
        credit.grant(10);
        waiting.await;
    }
}
