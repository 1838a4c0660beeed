//! Combines the changes that the tasks of this client cause, so that fewer polls report them.
//!
//! A task changes its machine several times within milliseconds: when it is started, while it
//! runs, and when it ends. A poll that is sent at once after each response reports each of these
//! changes alone, and the first of them is rarely the one that somebody waits for. So while this
//! client runs tasks, the next poll is sent a moment after the last response, or as soon as the
//! next task has been added to its list. This delays no response, and a client that only watches
//! is not delayed at all. Nor is one that has just powered on a machine: its guest may report
//! something that some servers forget when the machine goes off.

use std::time::Duration;

use tokio::time::Instant;
use vim25::ManagedObject;
use vim25::mo;

use super::Engine;

/// How long after a response the next poll is sent while this client runs tasks.
const PAUSE: Duration = Duration::from_millis(2);

/// The same while a task is being started, which will be added to its list after that.
const PAUSE_FOR_START: Duration = Duration::from_millis(4);

/// How long after the last report of a task the next task may follow.
const RECENT: Duration = Duration::from_millis(20);

/// The times that the pauses depend on.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// The time of the last response.
    answered: Option<Instant>,
    /// The time when a task was last added or reported.
    task: Option<Instant>,
    /// The end of the present pause.
    until: Option<Instant>,
}

impl Gather {
    /// Notes the response to a poll.
    pub(super) fn answered(&mut self) {
        self.answered = Some(Instant::now());
    }

    /// Notes that an object of this type was added to a list, or reported.
    pub(super) fn seen(&mut self, type_name: &str) {
        if type_name == mo::Task::NAME {
            self.task = Some(Instant::now());
        }
    }

    pub(super) const fn wake(&self) -> Option<Instant> {
        self.until
    }
}

impl Engine {
    /// Returns whether the next poll has to wait for more changes.
    pub(super) fn pauses_to_gather(&mut self) -> bool {
        self.gather.until = self.gather_until();
        self.gather.until.is_some()
    }

    fn gather_until(&self) -> Option<Instant> {
        let answered = self.gather.answered?;
        if self.client.inner.engine.powers_on() {
            return None;
        }
        let is_starting = self.client.inner.engine.starting() > 0;
        let is_recent = |at: Instant| at.elapsed() < RECENT;
        let pause = match self.gather.task.is_some_and(is_recent) {
            _ if is_starting => PAUSE_FOR_START,
            true if !self.awaits_response() => PAUSE,
            _ => return None,
        };
        let until = answered + pause;
        (until > Instant::now()).then_some(until)
    }

    /// Returns whether a subscriber waits for the next response.
    fn awaits_response(&self) -> bool {
        let in_view = |(list, object): &(u32, vim25::AnyRef)| {
            let list = self.lists.get(list);
            let member = list.and_then(|list| list.members.get(object));
            member.is_some_and(|member| member.in_view)
        };
        self.awaits_silence() || self.joining.iter().any(in_view)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio::time::advance;

    use super::*;
    use crate::transport::replay::{Replay, Seen, welcome};
    use crate::wire_tests::connect;

    #[tokio::test(start_paused = true)]
    async fn polls_pause_only_while_tasks_follow_each_other() {
        let replay = Replay::new(|seen: &Seen| welcome(seen).expect("only the login"));
        let client = connect(&replay).await;
        let (_commands, receiver) = mpsc::unbounded_channel();
        let mut engine = Engine::new(client.clone(), receiver);
        let handle = &client.inner.engine;

        engine.gather.answered();
        engine.gather.seen("VirtualMachine");
        assert!(!engine.pauses_to_gather());
        engine.gather.seen("Task");
        assert!(engine.pauses_to_gather());
        assert_eq!(engine.gather.wake(), Some(Instant::now() + PAUSE));
        advance(PAUSE).await;
        assert!(!engine.pauses_to_gather());

        // The pause is longer for a task that is being started, but not endless.
        let starting = handle.start();
        assert!(engine.pauses_to_gather());
        advance(PAUSE_FOR_START).await;
        assert!(!engine.pauses_to_gather());
        drop(starting);

        // A guest that has just been started may report something.
        engine.gather.answered();
        handle.started("PowerOnVM_Task");
        assert!(!engine.pauses_to_gather());
        handle.started("PowerOffVM_Task");
        assert!(engine.pauses_to_gather());

        advance(RECENT).await;
        engine.gather.answered();
        assert!(!engine.pauses_to_gather());
    }
}
