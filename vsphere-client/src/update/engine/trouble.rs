//! Error handling of the engine.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use vim25::AnyRef;
use vim25::types::{InvalidCollectorVersion, ManagedObjectNotFound};

use super::{Engine, Garbage, Selection, Set};
use crate::client::Client;
use crate::error::{Error, LoginProblem, TransportProblem};

/// The factor by which an outage may last longer than the retry budget of a single call before
/// subscribers are notified.
const ENDURANCE: u32 = 10;

/// The number of times in a row that the engine's objects on the server may be lost.
const LOSSES: u32 = 8;

const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// An outage, and the resulting backoff.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    since: Option<Instant>,
    tries: u32,
    until: Option<Instant>,
    losses: u32,
}

impl Trouble {
    pub(super) fn is_pausing(&self) -> bool {
        self.until.is_some_and(|until| until > Instant::now())
    }

    pub(super) const fn wake(&self) -> Option<Instant> {
        self.until
    }

    /// Records a successful step: the server is reachable.
    pub(super) const fn step_worked(&mut self) {
        self.since = None;
        self.until = None;
        self.tries = 0;
    }

    /// Records a successful poll, which ends the outage.
    pub(super) const fn is_over(&mut self) {
        self.step_worked();
        self.losses = 0;
    }

    fn pause(&mut self) -> Duration {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let pause = PAUSE
            .saturating_mul(1 << self.tries.min(8))
            .min(LONGEST_PAUSE);
        self.tries += 1;
        self.until = Some(now + pause);
        now.duration_since(since)
    }
}

impl Engine {
    /// Handles an error of a poll or a step: recovers from it, or ends every subscription.
    pub(super) fn stumble(&mut self, error: Error) {
        tracing::debug!(%error, "watching failed");
        if self.is_lost(&error) {
            self.trouble.losses += 1;
            if self.trouble.losses > LOSSES {
                self.fail_all(error);
            } else {
                self.reset(false);
            }
            return;
        }
        if let Some(object) = error.fault::<ManagedObjectNotFound>().map(|gone| gone.obj) {
            if self.expel(&object) {
                return;
            }
            let error = Arc::new(error);
            if !self.fail_selections(&object, &error) {
                self.fail_all(Error::shared(&error));
            }
            return;
        }
        if !self.is_passing(&error) {
            self.fail_all(error);
            return;
        }
        if self.trouble.pause() > self.client.inner.options.retry.budget * ENDURANCE {
            self.fail_all(error);
        } else if matches!(error, Error::OutcomeUnknown { .. }) {
            // The state on the server is unknown.
            self.reset(true);
        }
    }

    /// Returns whether the engine's objects on the server are lost, with its session or otherwise.
    pub(super) fn is_lost(&self, error: &Error) -> bool {
        if error.is_fault::<InvalidCollectorVersion>() {
            return true;
        }
        let Some(gone) = error.fault::<ManagedObjectNotFound>().map(|gone| gone.obj) else {
            return false;
        };
        let is = |value: &str| value == gone.value();
        let lists = self.lists.values().filter_map(|list| list.open.as_ref());
        let selections = self.selections.values();
        self.collector.as_ref().is_some_and(|own| is(own.value()))
            || lists
                .into_iter()
                .any(|(view, filter)| is(view.value()) || is(filter.value()))
            || selections.into_iter().any(|selection| {
                selection.view.as_ref().is_some_and(|own| is(own.value()))
                    || selection.filter.as_ref().is_some_and(|own| is(own.value()))
            })
    }

    /// Returns whether a retry may help.
    pub(super) fn is_passing(&self, error: &Error) -> bool {
        match error {
            Error::Timeout { .. } | Error::OutcomeUnknown { .. } => true,
            Error::Transport { problem, .. } => matches!(
                problem,
                TransportProblem::Unreachable
                    | TransportProblem::Broken
                    | TransportProblem::Status(500..=599)
            ),
            _ => false,
        }
    }

    /// Removes a deleted object from its view, because some servers fail every poll because of
    /// it.
    fn expel(&mut self, object: &AnyRef) -> bool {
        let mut found = false;
        for (id, list) in &mut self.lists {
            if let Some(member) = list.members.get_mut(object).filter(|m| m.in_view) {
                member.in_view = false;
                member.entered = false;
                self.reads.insert((Set::List(*id), object.clone()));
            } else if !list.idle.contains(object) {
                continue;
            }
            list.idle.insert(object.clone());
            list.purge = true;
            found = true;
        }
        found
    }

    /// Ends the selections that start at an object which was deleted.
    fn fail_selections(&mut self, start: &AnyRef, error: &Arc<Error>) -> bool {
        let starts_there = |(id, selection): (&u64, &Selection)| {
            let source = &selection.target.source;
            source.starts_at(start).then_some(*id)
        };
        let ids: Vec<_> = self.selections.iter().filter_map(starts_there).collect();
        for id in &ids {
            if let Some(subscriber) = self.subscribers.get(id) {
                subscriber.receiver.end(Error::shared(error));
            }
            self.unsubscribe(*id);
        }
        !ids.is_empty()
    }

    /// Starts over without objects on the server, and notifies every subscriber.
    pub(super) fn reset(&mut self, destroy: bool) {
        self.forget(destroy);
        let now = self.tick();
        for (id, list) in &mut self.lists {
            list.reset(now);
            for object in list.members.keys() {
                self.joining.insert((*id, object.clone()));
            }
        }
        for selection in self.selections.values_mut() {
            selection.reset();
        }
        for subscriber in self.subscribers.values_mut() {
            subscriber.receiver.resync();
            if let Set::List(list) = subscriber.set {
                let list = self.lists.get(&list);
                let is_there =
                    |object: &&AnyRef| list.is_some_and(|list| list.members.contains_key(*object));
                subscriber.untold = subscriber.objects.iter().filter(is_there).count();
                if subscriber.untold == 0 {
                    subscriber.receiver.complete();
                }
            }
        }
    }

    /// Forgets the objects on the server, and frees those that still exist.
    fn forget(&mut self, destroy: bool) {
        self.era += 1;
        self.version = None;
        self.abandon_poll = true;
        self.polling = None;
        self.filters.clear();
        self.early.clear();
        self.deferred.clear();
        self.reads.clear();
        self.joining.clear();
        self.expected = 0;
        let collector = self.collector.take();
        if !destroy {
            self.garbage.clear();
            return;
        }
        let views = self
            .lists
            .values()
            .filter_map(|list| list.open.as_ref().map(|(view, _)| view.upcast()));
        let selected = self
            .selections
            .values()
            .filter_map(|selection| selection.view.as_ref().map(vim25::Ref::upcast));
        self.garbage
            .extend(views.chain(selected).map(Garbage::View));
        // Destroying the collector also destroys its filters.
        self.garbage.extend(collector.map(Garbage::Collector));
    }

    /// Ends every subscription with the same error.
    fn fail_all(&mut self, error: Error) {
        let destroy = !matches!(error, Error::NotAuthenticated { .. });
        self.forget(destroy);
        self.trouble = Trouble::default();
        self.lists.clear();
        self.selections.clear();
        self.syncs.clear();
        let error = Arc::new(error);
        for (_, subscriber) in self.subscribers.drain() {
            subscriber.receiver.end(Error::shared(&error));
        }
    }

    /// Handles a failed step of one list.
    pub(super) fn list_failed(&mut self, id: u32, error: Error) {
        if self.is_lost(&error) || matches!(error, Error::NotAuthenticated { .. }) {
            self.stumble(error);
            return;
        }
        // An object to be removed may have been deleted already: retry without removals.
        let is_gone = error.is_gone();
        if self.is_passing(&error) || is_gone {
            self.trouble.losses += u32::from(is_gone);
            let outage = self.trouble.pause();
            let endurance = self.client.inner.options.retry.budget * ENDURANCE;
            if outage > endurance || self.trouble.losses > LOSSES {
                self.fail_all(error);
            } else {
                // Queue the additions again.
                self.reset(true);
            }
            return;
        }
        let Some(list) = self.lists.remove(&id) else {
            return;
        };
        self.joining.retain(|(list, _)| *list != id);
        self.reads.retain(|(set, _)| *set != Set::List(id));
        if let Some((view, filter)) = list.open {
            self.filters.remove(filter.value());
            self.garbage.push(Garbage::Filter(filter));
            self.garbage.push(Garbage::View(view.upcast()));
        }
        let error = Arc::new(error);
        self.subscribers.retain(|_, subscriber| {
            let fails = subscriber.set == Set::List(id);
            if fails {
                subscriber.receiver.end(Error::shared(&error));
            }
            !fails
        });
    }

    /// Ends the subscriptions of one object.
    pub(super) fn fail_object(&mut self, list: u32, object: &AnyRef, error: &Arc<Error>) {
        let member = self
            .lists
            .get(&list)
            .and_then(|list| list.members.get(object));
        let ids: Vec<_> = member.map_or_else(Vec::new, |member| {
            member.subscribers.iter().map(|joined| joined.id).collect()
        });
        for id in ids {
            if let Some(subscriber) = self.subscribers.get(&id) {
                subscriber.receiver.end(Error::shared(error));
            }
            self.unsubscribe(id);
        }
    }

    /// Handles a failed step of one selection.
    pub(super) fn selection_failed(&mut self, id: u64, error: Error) {
        let is_general = matches!(error, Error::NotAuthenticated { .. });
        if self.is_lost(&error) || self.is_passing(&error) || is_general {
            let unopened = self.selections.get_mut(&id);
            if let Some(selection) = unopened.filter(|selection| selection.filter.is_none()) {
                selection.opened = None;
            }
            self.stumble(error);
            return;
        }
        if let Some(subscriber) = self.subscribers.get(&id) {
            subscriber.receiver.end(error);
        }
        self.unsubscribe(id);
    }
}

/// Returns the error of subscriptions that end because the client was closed, or because the
/// runtime of the engine has ended.
pub(super) fn ended(client: &Client) -> Error {
    if client.inner.session.is_closed() || client.inner.stop.is_cancelled() {
        let operation = client.operation("watching properties", None);
        return client.not_authenticated(&operation, LoginProblem::Closed, None);
    }
    Error::config("the tokio runtime that the first watch of this client ran on has ended")
}
