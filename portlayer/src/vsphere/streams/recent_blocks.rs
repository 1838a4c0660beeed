//! The parts of a log that were read most recently, shared by the followers of the log.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

use crate::Result;

/// Size of a block, which is read with one request.
pub(super) const BLOCK: u64 = 256 * 1024;
/// The number of blocks that are kept. Followers that are further apart read the file more often.
const KEPT: usize = 8;

/// A file that can be read in parts.
pub(super) trait ReadAt: Sync {
    /// Reads `length` bytes from an offset on, fewer at the end of the file.
    fn read_at(&self, offset: u64, length: u64) -> impl Future<Output = Result<Bytes>> + Send;
}

/// The most recent blocks of one log. The log may grow, but what was read does not change.
#[derive(Debug, Default)]
pub(super) struct RecentBlocks(Mutex<VecDeque<(u64, Arc<Block>)>>);

/// The bytes of a block that were read. Its lock is held during a read, so that callers that need
/// the same bytes wait for one request instead of sending their own.
type Block = tokio::sync::Mutex<Bytes>;

impl RecentBlocks {
    /// Reads `length` bytes from an offset on, fewer at the end of the log. Cancel-safe: another
    /// caller repeats the request.
    pub(super) async fn read(&self, log: &impl ReadAt, offset: u64, length: u64) -> Result<Bytes> {
        let mut read = BytesMut::new();
        loop {
            let left = length.saturating_sub(read.len() as u64);
            let at = offset.saturating_add(read.len() as u64);
            let piece = self.piece(log, at, left).await?;
            if read.is_empty() && (piece.is_empty() || piece.len() as u64 >= left) {
                // Nothing is copied.
                return Ok(piece);
            }
            read.extend_from_slice(&piece);
            let is_complete = piece.len() as u64 >= left;
            let at_end = !(at + piece.len() as u64).is_multiple_of(BLOCK);
            if is_complete || piece.is_empty() || at_end {
                return Ok(read.freeze());
            }
        }
    }

    /// Reads at most to the end of a block.
    async fn piece(&self, log: &impl ReadAt, offset: u64, length: u64) -> Result<Bytes> {
        let (number, within) = (offset / BLOCK, offset % BLOCK);
        let wanted = within.saturating_add(length).min(BLOCK);
        let block = self.block(number);
        let mut bytes = block.lock().await;
        let known = bytes.len() as u64;
        if known < wanted {
            // Also reads what the next callers will need.
            let start = number.saturating_mul(BLOCK).saturating_add(known);
            let mut more = log.read_at(start, BLOCK - known).await?;
            more.truncate(usize::try_from(BLOCK - known).unwrap_or(usize::MAX));
            if bytes.is_empty() {
                *bytes = more;
            } else if !more.is_empty() {
                let mut both = BytesMut::with_capacity(bytes.len() + more.len());
                both.extend_from_slice(&bytes);
                both.extend_from_slice(&more);
                *bytes = both.freeze();
            }
        }
        let end =
            |wanted| usize::try_from(wanted).map_or(bytes.len(), |end: usize| end.min(bytes.len()));
        Ok(bytes.slice(end(within)..end(wanted)))
    }

    /// Returns a block, and forgets the one that was not used for the longest time if there are too
    /// many.
    fn block(&self, number: u64) -> Arc<Block> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.iter().position(|(other, _)| *other == number);
        let known = known.and_then(|at| recent.remove(at));
        let (_, block) = known.unwrap_or_default();
        recent.push_back((number, Arc::clone(&block)));
        if recent.len() > KEPT {
            recent.pop_front();
        }
        block
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use proptest::prelude::*;

    use super::*;

    /// A log that grows, and the number of requests for it.
    #[derive(Default)]
    struct Log {
        bytes: Mutex<Vec<u8>>,
        requests: AtomicUsize,
    }

    impl Log {
        fn grow(&self, length: usize) {
            let mut bytes = self.bytes.lock().expect("a lock");
            let from = bytes.len();
            bytes.extend((from..from + length).map(|at| u8::try_from(at % 251).expect("a byte")));
        }

        fn part(&self, offset: u64, length: u64) -> Vec<u8> {
            let bytes = self.bytes.lock().expect("a lock");
            let at = |offset: u64| usize::try_from(offset).expect("a size").min(bytes.len());
            bytes[at(offset)..at(offset.saturating_add(length))].to_vec()
        }

        async fn read(&self, blocks: &RecentBlocks, offset: u64, length: u64) -> Vec<u8> {
            let read = blocks.read(self, offset, length).await;
            read.expect("a read").to_vec()
        }
    }

    impl ReadAt for Log {
        async fn read_at(&self, offset: u64, length: u64) -> Result<Bytes> {
            self.requests.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(Bytes::from(self.part(offset, length)))
        }
    }

    #[tokio::test]
    async fn a_hundred_readers_cost_the_requests_of_one() {
        let log = Log::default();
        let blocks = RecentBlocks::default();
        log.grow(1_000_000);
        let readers = (0..100).map(|_| async {
            let mut offset = 0;
            while offset < 1_000_000 {
                let length = (BLOCK - offset % BLOCK).min(1_000_000 - offset);
                let read = log.read(&blocks, offset, length).await;
                assert_eq!(read, log.part(offset, length));
                offset += read.len() as u64;
            }
        });
        join_all(readers).await;
        assert_eq!(log.requests.load(Ordering::Relaxed), 4);
        // A late reader costs nothing.
        log.read(&blocks, 0, 1_000_000).await;
        assert_eq!(log.requests.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn growth_is_read_once_and_memory_is_bounded() {
        let log = Log::default();
        let blocks = RecentBlocks::default();
        for _ in 0..40 {
            let from = log.bytes.lock().expect("a lock").len() as u64;
            log.grow(100_000);
            let read = log.read(&blocks, from, 100_000).await;
            assert_eq!(read, log.part(from, 100_000));
        }
        let recent = blocks.0.lock().expect("a lock");
        assert_eq!(recent.len(), KEPT);
    }

    #[tokio::test]
    async fn a_reader_that_is_dropped_does_not_stop_the_others() {
        let log = Log::default();
        let blocks = RecentBlocks::default();
        log.grow(1000);
        let mut first = Box::pin(log.read(&blocks, 0, 1000));
        assert!(futures_util::poll!(&mut first).is_pending());
        let second = log.read(&blocks, 0, 1000);
        drop(first);
        assert_eq!(second.await, log.part(0, 1000));
    }

    proptest! {
        #[test]
        fn reads_return_what_the_file_has(
            steps in proptest::collection::vec((0..300_000_usize, 0..2_000_000_u64, 0..600_000_u64), 1..20)
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let log = Log::default();
                let blocks = RecentBlocks::default();
                for (growth, offset, length) in steps {
                    log.grow(growth);
                    let read = log.read(&blocks, offset, length).await;
                    assert!(read == log.part(offset, length), "{offset} {length}");
                }
            });
        }
    }
}
