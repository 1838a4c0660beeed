//! Collects the tasks that many callers start at the same time, so that they cost few calls.
//!
//! While more tasks are being started, additions wait until there are as many as were added
//! before, and polls wait for as long as the crowd has been there. Both are limited, so that no
//! task is reported much later than it could be. The number of calls thus grows with the
//! logarithm of the number of tasks.

use std::time::Duration;

use tokio::time::Instant;
use vim25::ManagedObject;
use vim25::mo;

use super::Engine;

/// The number of tasks from which on they are a crowd.
const CROWD: usize = 32;

/// How long additions wait at least and at most for more of them.
const SHORTEST_HOLD: Duration = Duration::from_millis(50);
const LONGEST_HOLD: Duration = Duration::from_millis(500);

/// The pause between polls while a crowd is waiting.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The crowd of tasks, if there is one.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    since: Option<Instant>,
    /// The number of tasks that were added since then.
    added: usize,
    /// The time from which the present additions have been waiting.
    held: Option<Instant>,
    /// The time of the last poll.
    polled: Option<Instant>,
}

impl Crowd {
    /// Notes an addition of tasks.
    pub(super) const fn added(&mut self, count: usize) {
        self.added += count;
        self.held = None;
    }

    /// Starts or ends the crowd, and returns the time that it has been there.
    fn age(&mut self, starting: usize, waiting: usize) -> Option<Duration> {
        let all = starting.max(waiting);
        // The last ones of a crowd still belong to it.
        if all >= CROWD || (self.since.is_some() && all > CROWD / 4) {
            let since = *self.since.get_or_insert_with(Instant::now);
            return Some(since.elapsed());
        }
        *self = Self::default();
        None
    }
}

impl Engine {
    /// Returns the age of the crowd of tasks, if there is one and nobody watches anything else,
    /// who would have to wait with it.
    fn crowd_age(&mut self) -> Option<Duration> {
        let others = self
            .lists
            .values()
            .any(|list| *list.type_name != *mo::Task::NAME && !list.is_unused());
        if others || !self.selections.is_empty() {
            self.crowd = Crowd::default();
            return None;
        }
        let starting = self.client.inner.engine.starting();
        self.crowd.age(starting, self.subscribers.len())
    }

    /// Returns the time until which additions wait for more of them.
    pub(super) fn hold_for_crowd(&mut self) -> Option<Instant> {
        let absent: usize = self.lists.values().map(|list| list.absent.len()).sum();
        let age = self.crowd_age()?;
        // Without tasks that are being started, nothing more is to be expected.
        let last = self.client.inner.engine.starting() == 0;
        if absent == 0 || last || absent >= self.crowd.added.max(CROWD) {
            self.hold = None;
            return None;
        }
        let held = *self.crowd.held.get_or_insert_with(Instant::now);
        let until = held + age.clamp(SHORTEST_HOLD, LONGEST_HOLD);
        (until > Instant::now()).then_some(until)
    }

    /// Notes a poll. Tasks of a crowd were not reported yet because it was paused, so they get
    /// new time until they are read.
    pub(super) fn poll_of_crowd(&mut self) {
        let now = Instant::now();
        self.crowd.polled = Some(now);
        if self.crowd.since.is_none() {
            return;
        }
        for (list, object) in &self.joining {
            let list = self.lists.get_mut(list);
            let Some(member) = list.and_then(|list| list.members.get_mut(object)) else {
                continue;
            };
            for joined in &mut member.subscribers {
                joined.asked = now;
            }
        }
    }

    /// Returns the time until which the next poll waits, so that it reports more at once.
    pub(super) fn pause_for_crowd(&mut self) -> Option<Instant> {
        let age = self.crowd_age()?;
        let until = self.crowd.polled? + age.clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        (until > Instant::now()).then_some(until)
    }
}
