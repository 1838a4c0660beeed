//! The clients that have attached and are not served yet.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::member::Member;

/// Passes new clients to the task of their container, which may be waiting for a slow reader. A
/// client that detaches before it is served is removed when the next one joins.
#[derive(Debug, Default)]
pub(super) struct Joins {
    /// `None` while no task runs.
    waiting: Mutex<Option<VecDeque<Member>>>,
    joined: Notify,
}

impl Joins {
    /// Adds a client. Returns whether the caller has to start the task.
    pub(super) fn add(&self, member: Member) -> bool {
        let mut waiting = self.lock();
        let starts = waiting.is_none();
        let waiting = waiting.get_or_insert_default();
        // The process still has to read the input of a client that has detached.
        waiting.retain(|member| !member.is_gone() || member.input.is_some());
        waiting.push_back(member);
        self.joined.notify_one();
        starts
    }

    /// Waits for the next client. Cancel-safe.
    pub(super) async fn next(&self) -> Member {
        loop {
            if let Some(member) = self.try_next() {
                return member;
            }
            self.joined.notified().await;
        }
    }

    pub(super) fn try_next(&self) -> Option<Member> {
        let mut waiting = self.lock();
        let waiting = waiting.as_mut()?;
        let member = waiting.pop_front();
        if waiting.is_empty() {
            // Keep no memory for clients that may never come.
            *waiting = VecDeque::new();
        }
        member
    }

    /// Records that the task ends, unless a client has joined in the meantime.
    pub(super) fn end(&self) -> bool {
        let mut waiting = self.lock();
        let ends = waiting.as_ref().is_none_or(VecDeque::is_empty);
        if ends {
            *waiting = None;
        }
        ends
    }

    /// Returns whether a task runs.
    pub(super) fn is_running(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<Member>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn clients_that_detach_while_the_task_is_busy_do_not_accumulate() {
        let joins = Joins::default();
        let (presence, present) = mpsc::channel(1);
        assert!(joins.add(Member::without_streams(present)));
        for _ in 0..1000 {
            let (_, present) = mpsc::channel(1);
            assert!(!joins.add(Member::without_streams(present)));
        }
        // The one that is still attached, and the last one.
        assert!(joins.try_next().is_some_and(|member| !member.is_gone()));
        assert!(!joins.end());
        assert!(joins.try_next().is_some_and(|member| member.is_gone()));
        assert!(joins.try_next().is_none() && joins.end() && !joins.is_running());
        drop(presence);
    }
}
