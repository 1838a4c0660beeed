//! Polls the collector, and distributes the responses to the subscribers.

use std::time::Duration;

use tokio::time::Instant;
use vim25::types::{
    ObjectUpdate, ObjectUpdateKind, PropertyFilterUpdate, RequestCanceled, UpdateSet, WaitOptions,
};
use vim25::{AnyRef, Outcome};

use super::{Engine, Pending, Set};
use crate::error::{Error, Result};
use crate::update::content::{apply, delta, entered};

/// The time for which the server keeps one poll open. It is short enough that no proxy or
/// firewall considers the connection dead.
const POLL: Duration = Duration::from_secs(30);

/// The time for which a new selection may stay unreported before the open poll is cancelled.
/// The selection may be empty, or the server evaluates it only when something changes.
const NUDGE: Duration = Duration::from_millis(200);

/// The time for which the open poll may respond by itself after a sync was requested.
const SYNC_NUDGE: Duration = Duration::from_millis(20);

/// The number of polls that may follow each other without a pause, and the length of the
/// pause. During the pause, a server with constant changes combines them into one response.
const BURST: u32 = 16;
const PAUSE: Duration = Duration::from_millis(50);

/// The number of polls without a pause after the engine itself changed what it watches: the one
/// that the change interrupts, the one that reports it, and the one that reports the result of a
/// fast task. Without them, each of a series of tasks would take a pause longer.
const PER_CHANGE: u32 = 3;

/// Maximum number of updates that are kept for filters whose creation is not confirmed.
const EARLY: usize = 64;

/// The response to a poll.
pub(super) struct Polled {
    era: u64,
    sent: u64,
    result: Result<Option<UpdateSet>>,
}

/// Limits the rate of polls.
#[derive(Debug)]
pub(super) struct Pace {
    left: u32,
    counted: Instant,
    next: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            left: BURST,
            counted: Instant::now(),
            next: None,
        }
    }
}

impl Pace {
    /// Returns whether a poll may be sent now; otherwise [`wake`](Self::wake) returns the time
    /// from which it may.
    fn allows(&mut self) -> bool {
        let now = Instant::now();
        let earned = now.duration_since(self.counted).as_millis() / PAUSE.as_millis();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(earned).min(BURST);
            self.counted = now;
        }
        if self.left == 0 {
            self.next = Some(self.counted + PAUSE);
            return false;
        }
        self.left -= 1;
        self.next = None;
        true
    }

    pub(super) const fn wake(&self) -> Option<Instant> {
        self.next
    }

    /// Allows the polls that follow a change of what is watched.
    pub(super) fn grant(&mut self) {
        self.left = self.left.saturating_add(PER_CHANGE).min(BURST);
    }

    /// Allows the poll for the rest of a truncated response. There is nothing to combine: the
    /// server has more changes than it returns at once.
    const fn grant_rest(&mut self) {
        self.left = self.left.saturating_add(1);
    }
}

impl Engine {
    /// Returns the next poll, if there is something to wait for.
    ///
    /// Pending additions are sent before the poll, which then reports them immediately.
    pub(super) fn next_poll(&mut self, stepping: bool) -> Option<Pending<Polled>> {
        let collector = self.collector.clone()?;
        let watches = !self.filters.is_empty() && !self.subscribers.is_empty();
        if !watches || (stepping && self.steps < 3) || self.trouble.is_pausing() {
            return None;
        }
        self.lull = self.pause_for_crowd();
        if self.pauses_to_gather() || self.lull.is_some() || !self.pace.allows() {
            return None;
        }
        self.poll_of_crowd();
        // With a wait of zero, the server responds immediately, even without changes.
        let wait = if self.awaits_silence() {
            Duration::ZERO
        } else {
            POLL
        };
        let sent = self.tick();
        self.polling = Some(sent);
        self.cancelled = false;
        self.steps = 0;
        let (era, client) = (self.era, self.client.clone());
        let options = WaitOptions {
            max_wait_seconds: i32::try_from(wait.as_secs()).ok(),
            ..WaitOptions::default()
        };
        let call = collector.wait_for_updates_ex(self.version.as_deref(), Some(&options));
        Some(Box::pin(async move {
            let result = client.call_slow(call.untyped(), wait).await;
            let result = result.and_then(|value| {
                Option::<UpdateSet>::from_value(&value).map_err(|error| {
                    let operation = client.operation(call.method(), Some(call.this()));
                    Error::unconvertible(&operation, error)
                })
            });
            Polled { era, sent, result }
        }))
    }

    /// Returns whether a subscriber needs a response even if there are no changes.
    pub(super) fn awaits_silence(&self) -> bool {
        let unsure =
            |selection: &super::Selection| selection.filter.is_some() && !selection.is_complete;
        let known = |(list, object): &(u32, AnyRef)| {
            let member = self.lists.get(list)?.members.get(object)?;
            (member.in_view && member.content.is_some()).then_some(())
        };
        !self.syncs.is_empty()
            || self.selections.values().any(unsure)
            || self.joining.iter().any(|key| known(key).is_some())
    }

    /// Returns the time at which the open poll has to be cancelled, because of a new selection
    /// or a sync.
    pub(super) fn nudge_at(&self) -> Option<Instant> {
        let polling = self.polling.filter(|_| !self.cancelled)?;
        let waiting = self.selections.values().filter(|selection| {
            selection.filter.is_some() && !selection.is_complete && selection.asked > polling
        });
        let opened = waiting.filter_map(|selection| selection.opened);
        let syncs = self.syncs.iter().filter(|sync| sync.since > polling);
        let asked = syncs.map(|sync| sync.asked + SYNC_NUDGE);
        opened.map(|opened| opened + NUDGE).chain(asked).min()
    }

    pub(super) fn polled(&mut self, polled: Polled) {
        self.polling = None;
        if polled.era != self.era {
            return;
        }
        self.gather.answered();
        match polled.result {
            Ok(None) => {
                self.trouble.is_over();
                self.prove(polled.sent);
            }
            Ok(Some(set)) => {
                self.trouble.is_over();
                self.version = Some(set.version);
                let truncated = set.truncated == Some(true);
                let mut proven = polled.sent;
                // Caches are updated before anybody is notified of the end of a task.
                let mut updates = std::mem::take(&mut self.deferred);
                updates.extend(set.filter_set);
                let (lists, others): (Vec<_>, Vec<_>) =
                    updates.into_iter().partition(|update| self.is_list(update));
                for update in others {
                    proven = proven.max(self.route(update));
                }
                if truncated && self.selections.values().any(|selection| selection.is_kept) {
                    self.deferred = lists;
                } else {
                    for update in lists {
                        proven = proven.max(self.route(update));
                    }
                }
                if truncated {
                    self.pace.grant_rest();
                } else {
                    self.prove(proven);
                }
            }
            Err(error) if error.is_fault::<RequestCanceled>() => {}
            Err(error) => self.stumble(error),
        }
    }

    fn is_list(&self, update: &PropertyFilterUpdate) -> bool {
        let set = self.filters.get(update.filter.value());
        matches!(set, Some(Set::List(_)))
    }

    /// Distributes the report of one filter. Returns the time of the latest change
    /// of a list that the report includes.
    pub(super) fn route(&mut self, update: PropertyFilterUpdate) -> u64 {
        let Some(set) = self.filters.get(update.filter.value()).copied() else {
            if self.opening && self.early.len() < EARLY {
                self.early.push(update);
            }
            return 0;
        };
        let mut shows = 0;
        match set {
            Set::List(id) => {
                for object in update.object_set {
                    shows = shows.max(self.route_member(id, object));
                }
            }
            Set::Selection(id) => {
                if let Some(selection) = self.selections.get_mut(&id) {
                    shows = selection.asked + 1;
                    selection.is_reported = true;
                }
                for object in update.object_set {
                    self.route_selected(id, object);
                }
            }
        }
        shows
    }

    fn route_member(&mut self, list_id: u32, update: ObjectUpdate) -> u64 {
        let mut shows = 0;
        let Some(list) = self.lists.get_mut(&list_id) else {
            return shows;
        };
        self.gather.seen(&list.type_name);
        let object = update.obj.clone();
        if object == list.fence.object
            && update.kind != ObjectUpdateKind::Modify
            && let Some(moved) = list.fence.moved.take()
        {
            shows = moved;
        }
        let Some(member) = list.members.get_mut(&object).filter(|m| m.in_view) else {
            return shows;
        };
        if update.kind == ObjectUpdateKind::Leave && member.subscribers.is_empty() {
            list.members.remove(&object);
            return shows;
        }
        if update.kind == ObjectUpdateKind::Leave {
            // The object may have been deleted: read it to find out.
            member.in_view = false;
            member.entered = false;
            self.reads.insert((Set::List(list_id), object));
            return shows;
        }
        if update.kind == ObjectUpdateKind::Enter && !member.entered {
            member.entered = true;
            shows = shows.max(member.added);
        }
        let added = member.added;
        match apply(member.content.as_ref(), update, &list.paths) {
            Ok((content, paths)) => {
                self.renew(list_id, content, &paths);
                // The report is new enough for the subscribers that joined before the object
                // was added.
                self.release(list_id, &object, added);
            }
            Err(_partial) => {
                self.reads.insert((Set::List(list_id), object));
            }
        }
        shows
    }

    fn route_selected(&mut self, id: u64, update: ObjectUpdate) {
        let (Some(selection), Some(subscriber)) =
            (self.selections.get_mut(&id), self.subscribers.get(&id))
        else {
            return;
        };
        let object = update.obj.clone();
        let unconfirmed = selection.unconfirmed.remove(&object);
        if update.kind == ObjectUpdateKind::Leave {
            selection.known.remove(&object);
            subscriber.receiver.leave(&object);
            return;
        }
        if selection.is_kept {
            let is_whole = update.kind == ObjectUpdateKind::Enter;
            let is_known = selection.known.contains(&object);
            if is_whole && subscriber.receiver.shares_responses() {
                match entered(update, &selection.target.paths) {
                    Ok(content) => {
                        subscriber.receiver.enter(&content);
                        selection.keep(&content);
                    }
                    Err(_partial) => {
                        self.reads.insert((Set::Selection(id), object));
                    }
                }
                return;
            }
            match delta(update, &selection.target.paths) {
                Ok((content, _)) if is_whole => {
                    subscriber.receiver.enter(&content);
                    selection.keep(&content);
                }
                Ok((content, paths)) if is_known => subscriber.receiver.change(&content, paths),
                _ => {
                    self.reads.insert((Set::Selection(id), object));
                }
            }
            return;
        }
        let before = selection.known.get(&object, &selection.target.paths);
        match apply(before.as_ref(), update, &selection.target.paths) {
            Ok((content, paths)) => {
                let is_known = before.is_some() && !unconfirmed;
                if !is_known {
                    subscriber.receiver.enter(&content);
                } else if !paths.is_empty() {
                    subscriber.receiver.change(&content, paths);
                }
                selection.keep(&content);
            }
            Err(_partial) => {
                self.reads.insert((Set::Selection(id), object));
            }
        }
    }

    /// Processes the end of a response that includes everything that happened before `proven`.
    fn prove(&mut self, proven: u64) {
        let joining: Vec<_> = self.joining.iter().cloned().collect();
        for (list, object) in joining {
            let is_confirmed = self
                .lists
                .get(&list)
                .and_then(|list| list.members.get(&object))
                .is_some_and(|member| member.in_view);
            if is_confirmed {
                self.release(list, &object, proven);
            }
        }
        self.prove_selections(proven);
        if self
            .selections
            .values()
            .all(|selection| selection.is_complete)
        {
            let (synced, waiting) = std::mem::take(&mut self.syncs)
                .into_iter()
                .partition::<Vec<_>, _>(|sync| sync.since < proven);
            self.syncs = waiting;
            for sync in synced {
                let _ = sync.done.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of polls that are allowed at once.
    fn allowed(pace: &mut Pace) -> u32 {
        let mut count = 0;
        while pace.allows() {
            count += 1;
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn polls_after_a_burst_are_apart() {
        let mut pace = Pace::default();
        assert_eq!(allowed(&mut pace), BURST);
        let wake = pace.wake();
        assert_eq!(wake, Some(Instant::now() + PAUSE));
        tokio::time::advance(PAUSE).await;
        assert_eq!(allowed(&mut pace), 1);
        tokio::time::advance(PAUSE * 1_000).await;
        assert_eq!(allowed(&mut pace), BURST);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_truncated_response_is_polled_without_a_pause() {
        let mut pace = Pace::default();
        allowed(&mut pace);
        for _ in 0..100 {
            pace.grant_rest();
            assert_eq!(allowed(&mut pace), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_what_is_watched_is_polled_without_a_pause() {
        let mut pace = Pace::default();
        allowed(&mut pace);
        for _ in 0..100 {
            pace.grant();
            assert_eq!(allowed(&mut pace), PER_CHANGE);
        }
        for _ in 0..100 {
            pace.grant();
        }
        assert_eq!(allowed(&mut pace), BURST);
    }
}
