//! Limits the number of connections: at the limit, an idle connection is closed for a new one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Maximum time that a connection over the limit waits until another one is closed.
pub(crate) const QUEUE: Duration = Duration::from_secs(5);
/// Interval at which a waiting connection looks for an idle one.
const LOOK: Duration = Duration::from_millis(100);
/// Minimum idle time of a connection before it may be closed for another.
const IDLE: Duration = Duration::from_secs(1);

/// The open connections. At the limit, the connection that has been idle for the longest is
/// closed for a new one, so that idle connections cannot block other clients.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    permits: Arc<Semaphore>,
    /// Maximum time that a connection over the limit waits until another one is closed.
    queue: Duration,
    taken: Mutex<HashMap<u64, Taken>>,
    next: AtomicU64,
}

#[derive(Debug)]
struct Taken {
    activity: Arc<Activity>,
    hang_up: CancellationToken,
}

/// A permit for one connection, which is released on drop.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    limit: Arc<ConnectionLimit>,
    number: u64,
    pub(crate) activity: Arc<Activity>,
    _permit: OwnedSemaphorePermit,
}

/// The activity of a connection.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<Doing>);

#[derive(Debug)]
struct Doing {
    /// The number of requests whose responses are not sent yet.
    requests: usize,
    /// The number of requests so far.
    total: u64,
    /// The time at which the last request ended.
    since: Instant,
}

impl Activity {
    fn new() -> Self {
        Self(Mutex::new(Doing {
            requests: 0,
            total: 0,
            since: Instant::now(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Doing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the start of a request; it ends when the returned guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Request {
        let mut doing = self.lock();
        doing.requests += 1;
        doing.total += 1;
        drop(doing);
        Request(Arc::clone(self))
    }

    /// Returns the time when the connection became idle; `None` while it serves a request.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let doing = self.lock();
        (doing.requests == 0).then_some(doing.since)
    }

    /// Returns the number of requests so far.
    pub(super) fn total(&self) -> u64 {
        self.lock().total
    }
}

/// A request in progress.
#[derive(Debug)]
pub(crate) struct Request(Arc<Activity>);

impl Drop for Request {
    fn drop(&mut self) {
        let mut doing = self.0.lock();
        doing.requests = doing.requests.saturating_sub(1);
        doing.since = Instant::now();
    }
}

impl ConnectionLimit {
    pub(crate) fn new(limit: usize, queue: Duration) -> Arc<Self> {
        Arc::new(Self {
            queue,
            permits: Arc::new(Semaphore::new(limit)),
            taken: Mutex::new(HashMap::new()),
            next: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a permit for a connection, which must close when `hang_up` is cancelled. Returns
    /// `None` if no other connection was closed in time, because all are in use.
    pub(crate) async fn take(
        self: &Arc<Self>,
        hang_up: &CancellationToken,
    ) -> Option<ConnectionPermit> {
        let end = Instant::now() + self.queue;
        loop {
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                return Some(self.admit(permit, hang_up));
            }
            self.make_room();
            let free = Arc::clone(&self.permits).acquire_owned();
            if let Ok(Ok(permit)) = tokio::time::timeout(LOOK, free).await {
                return Some(self.admit(permit, hang_up));
            }
            if Instant::now() >= end {
                return None;
            }
        }
    }

    fn admit(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        hang_up: &CancellationToken,
    ) -> ConnectionPermit {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity::new());
        let taken = Taken {
            activity: Arc::clone(&activity),
            hang_up: hang_up.clone(),
        };
        self.lock().insert(number, taken);
        ConnectionPermit {
            limit: Arc::clone(self),
            number,
            activity,
            _permit: permit,
        }
    }

    /// Closes the connection that has been idle for the longest, if there is one.
    fn make_room(&self) {
        let taken = self.lock();
        let idle = taken.values().filter(|taken| !taken.hang_up.is_cancelled());
        let longest = idle
            .filter_map(|taken| Some((taken.activity.idle_since()?, taken)))
            .filter(|(since, _)| since.elapsed() >= IDLE)
            .min_by_key(|(since, _)| *since);
        if let Some((_, taken)) = longest {
            taken.hang_up.cancel();
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.limit.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_gives_way_and_the_busy_one_does_not() {
        let limit = ConnectionLimit::new(2, QUEUE);
        let tokens = [CancellationToken::new(), CancellationToken::new()];
        let idle = limit.take(&tokens[0]).await.unwrap();
        tokio::time::advance(IDLE).await;
        let busy = limit.take(&tokens[1]).await.unwrap();
        let request = busy.activity.begin();
        let waiting = {
            let limit = Arc::clone(&limit);
            tokio::spawn(async move { limit.take(&CancellationToken::new()).await })
        };
        tokens[0].cancelled().await;
        drop(idle);
        let third = waiting.await.unwrap().unwrap();
        assert!(!tokens[1].is_cancelled());
        let _request = third.activity.begin();
        // Both connections are in use: the next one is refused after the waiting time.
        assert!(limit.take(&CancellationToken::new()).await.is_none());
        drop(request);
        assert_eq!(busy.activity.total(), 1);
        assert!(busy.activity.idle_since().is_some());
    }
}
