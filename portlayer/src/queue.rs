//! A queue per key: operations on one container run one at a time, those on different containers in
//! parallel.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// A fair queue per key. Entries of keys that nobody holds or waits for are removed eventually.
#[derive(Debug)]
pub(crate) struct Queues<K> {
    queues: Mutex<HashMap<K, Weak<AsyncMutex<()>>>>,
}

/// The turn of one operation. Dropping it lets the next operation in the queue continue.
#[derive(Debug)]
#[must_use]
pub(crate) struct Turn {
    _guard: OwnedMutexGuard<()>,
}

impl<K> Default for Queues<K> {
    fn default() -> Self {
        Self {
            queues: Mutex::default(),
        }
    }
}

impl<K: Hash + Eq> Queues<K> {
    /// Waits for this caller's turn. Turns are granted in the order of the calls; dropping the
    /// future leaves the queue.
    pub(crate) async fn turn(&self, key: K) -> Turn {
        let queue = self.queue(key);
        Turn {
            _guard: queue.lock_owned().await,
        }
    }

    fn queue(&self, key: K) -> Arc<AsyncMutex<()>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&key).and_then(Weak::upgrade) {
            return queue;
        }
        // Unused entries are removed only when the map would otherwise grow, so the cost is
        // amortized O(1) per key.
        if queues.len() == queues.capacity() {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::new(AsyncMutex::new(()));
        queues.insert(key, Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn one_key_queues_and_another_does_not() {
        let queues = Queues::default();
        let first = queues.turn(1).await;
        assert!(queues.turn(1).now_or_never().is_none());
        assert!(queues.turn(2).now_or_never().is_some());
        drop(first);
        assert!(queues.turn(1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn keys_of_the_past_are_forgotten() {
        let queues = Queues::default();
        for key in 0..10_000 {
            drop(queues.turn(key).await);
        }
        let kept = queues
            .queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len();
        assert!(kept < 100, "{kept} queues kept");
    }
}
