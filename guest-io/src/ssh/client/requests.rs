//! The requests for a session that have not been sent yet.
//!
//! The line may be stalled, so what waits is bounded: sizes of the terminal replace one another,
//! grants are added up, and signals have a limit.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use crate::ssh::Window;

/// The maximum number of signals that wait to be sent.
const MAX_SIGNALS: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Resize(Window),
    Signal(String),
    Unblock,
    Grant(u32),
}

/// The reason why a request was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotQueued {
    /// The session has ended or the line was lost.
    Ended,
    /// Too many signals wait already.
    Full,
}

#[derive(Debug, Default)]
struct Waiting {
    window: Option<Window>,
    signals: VecDeque<String>,
    unblock: bool,
    grant: u32,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    added: Notify,
}

/// Queues requests. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    shared: Arc<Shared>,
    /// Closed when all clones have been dropped.
    _presence: mpsc::Sender<Infallible>,
}

/// Queues requests without keeping the attachment alive.
#[derive(Debug, Clone)]
pub(super) struct WeakRequests(Arc<Shared>);

/// Takes the requests in turn.
#[derive(Debug)]
pub(super) struct Queue {
    shared: Arc<Shared>,
    present: mpsc::Receiver<Infallible>,
}

pub(super) fn queue() -> (Requests, Queue) {
    let (presence, present) = mpsc::channel(1);
    let shared = Arc::new(Shared::default());
    let requests = Requests {
        shared: Arc::clone(&shared),
        _presence: presence,
    };
    (requests, Queue { shared, present })
}

impl Requests {
    pub(super) fn add(&self, request: Request) -> Result<(), NotQueued> {
        self.shared.add(request)
    }

    pub(super) fn downgrade(&self) -> WeakRequests {
        WeakRequests(Arc::clone(&self.shared))
    }
}

impl WeakRequests {
    pub(super) fn add(&self, request: Request) -> Result<(), NotQueued> {
        self.0.add(request)
    }
}

impl Queue {
    /// Waits for the next request; `None` when all [`Requests`] have been dropped. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Request> {
        loop {
            if let Some(request) = self.shared.lock().take() {
                return Some(request);
            }
            tokio::select! {
                () = self.shared.added.notified() => {}
                _ = self.present.recv() => return self.shared.lock().take(),
            }
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, request: Request) -> Result<(), NotQueued> {
        self.lock().add(request)?;
        self.added.notify_one();
        Ok(())
    }
}

impl Waiting {
    fn add(&mut self, request: Request) -> Result<(), NotQueued> {
        if self.ended {
            return Err(NotQueued::Ended);
        }
        match request {
            Request::Resize(window) => self.window = Some(window),
            Request::Signal(_) if self.signals.len() >= MAX_SIGNALS => return Err(NotQueued::Full),
            Request::Signal(name) => self.signals.push_back(name),
            Request::Unblock => self.unblock = true,
            Request::Grant(bytes) => self.grant = self.grant.saturating_add(bytes),
        }
        Ok(())
    }

    /// Takes the next request. The size of the terminal precedes the start of the process.
    fn take(&mut self) -> Option<Request> {
        if let Some(window) = self.window.take() {
            return Some(Request::Resize(window));
        }
        if let Some(name) = self.signals.pop_front() {
            return Some(Request::Signal(name));
        }
        if std::mem::take(&mut self.unblock) {
            return Some(Request::Unblock);
        }
        let grant = std::mem::take(&mut self.grant);
        (grant > 0).then_some(Request::Grant(grant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_for_a_stalled_line_are_bounded() {
        let (requests, mut queue) = queue();
        for columns in 0..10_000 {
            let size = Window::new(columns, 24);
            requests.add(Request::Resize(size)).unwrap();
            requests.add(Request::Unblock).unwrap();
            requests.add(Request::Grant(1)).unwrap();
        }
        let signal = || requests.add(Request::Signal("HUP".to_owned()));
        let signals = (0..10_000).take_while(|_| signal().is_ok()).count();
        assert_eq!(signals, MAX_SIGNALS);
        assert_eq!(signal(), Err(NotQueued::Full));
        drop(requests);
        let last = Window::new(9_999, 24);
        assert_eq!(queue.next().await, Some(Request::Resize(last)));
        for _ in 0..MAX_SIGNALS {
            assert_eq!(queue.next().await, Some(Request::Signal("HUP".to_owned())));
        }
        assert_eq!(queue.next().await, Some(Request::Unblock));
        assert_eq!(queue.next().await, Some(Request::Grant(10_000)));
        assert_eq!(queue.next().await, None);
    }

    #[test]
    fn a_session_that_has_ended_takes_no_requests() {
        let (requests, queue) = queue();
        drop(queue);
        assert_eq!(requests.add(Request::Unblock), Err(NotQueued::Ended));
    }
}
