//! Fault injection: faults, delays and lost connections on demand.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vim25::Fault;

/// The reaction of the simulator to a call: what it does before, or instead of, carrying the
/// call out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reaction {
    /// The call returns this fault and has no effect.
    Fault(Fault),
    /// The call's task ends with this fault and has no effect.
    TaskFault(Fault),
    /// The call waits before it is carried out. Methods of the API are then carried out even if the
    /// client has gone in the meantime, except waits for updates. A transfer of a file ends with its
    /// connection.
    Delay(Duration),
    /// The call's task stays in the state `running` for this time before it acts.
    SlowTask(Duration),
    /// The connection is closed before the call is carried out.
    Disconnect,
    /// The call is carried out, and the connection is closed before the response.
    LoseAnswer,
    /// The connection is closed, and the call is carried out when [`Script::release`] is called: the
    /// request of a client that has died in the meantime. Applies to methods of the API.
    Hold,
    /// The caller's session ends before the call.
    LoseSession,
    /// The HTTP response has this status and no SOAP body.
    HttpStatus(u16),
}

#[derive(Debug)]
struct Rule {
    /// The method; `None` for all.
    method: Option<String>,
    /// The number of matching calls to skip first.
    skip: usize,
    /// The number of matching calls that the rule still applies to.
    count: usize,
    reaction: Reaction,
}

/// Fault injection rules for future calls.
///
/// A rule matches a method by its wire name, such as `PowerOnVM_Task`. HTTP requests for files
/// have the names `GET /folder`, `PUT /folder`, …; requests for disks under a lease have the
/// names `POST /nfc`, `GET /nfc`, …. For `ImportVApp` and `ExportVm`, `TaskFault` and
/// `SlowTask` apply to the opening of the lease. Rules are evaluated in the order they were
/// added; a call triggers every matching rule.
#[derive(Debug)]
pub struct Script {
    rules: Mutex<Vec<Rule>>,
    calls: Mutex<BTreeMap<String, u64>>,
    /// Cancelled to release the calls that are held.
    held: Mutex<CancellationToken>,
}

/// Maximum number of methods whose calls are counted: clients can send any name.
const MAX_METHODS: usize = 4096;

impl Script {
    pub(crate) fn new() -> Self {
        Self {
            rules: Mutex::new(Vec::new()),
            calls: Mutex::new(BTreeMap::new()),
            held: Mutex::default(),
        }
    }

    /// Adds a reaction to the next call of a method.
    pub fn next(&self, method: &str, reaction: Reaction) {
        self.nth(method, 1, reaction);
    }

    /// Adds a reaction to the `n`th call of a method from now on; 1 is the next call.
    pub fn nth(&self, method: &str, n: usize, reaction: Reaction) {
        self.add(Some(method), n.saturating_sub(1), 1, reaction);
    }

    /// Adds a reaction to the `n`th call from now on, whatever its method is; 1 is the next call.
    ///
    /// With it, a test can interrupt an operation at each of its calls in turn: the last one is
    /// passed when [`pending`](Self::pending) still counts the rule after the operation.
    pub fn nth_of_all(&self, n: usize, reaction: Reaction) {
        self.add(None, n.saturating_sub(1), 1, reaction);
    }

    /// Adds a reaction to every call of a method from now on.
    pub fn always(&self, method: &str, reaction: Reaction) {
        self.add(Some(method), 0, usize::MAX, reaction);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Carries out the calls that are [held](Reaction::Hold). They count as
    /// [answered](Self::calls) when they have been carried out.
    pub fn release(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *held).cancel();
    }

    /// Returns what is cancelled to release a call that is held now.
    pub(crate) fn held(&self) -> CancellationToken {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    /// Returns the number of rules that can still be triggered.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.lock().len()
    }

    /// Returns the number of answered calls since the start per method. The keys are the names
    /// that rules use.
    ///
    /// A call counts once its response has been determined, which may be before the client
    /// receives it. A call whose connection was closed by a rule does not count.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.clone()
    }

    /// Records that a call has been answered.
    pub(crate) fn answered(&self, method: &str) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = calls.get_mut(method) {
            *count += 1;
        } else if calls.len() < MAX_METHODS {
            calls.insert(method.to_owned(), 1);
        }
    }

    fn add(&self, method: Option<&str>, skip: usize, count: usize, reaction: Reaction) {
        self.lock().push(Rule {
            method: method.map(str::to_owned),
            skip,
            count,
            reaction,
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the reactions to one call.
    pub(crate) fn react(&self, method: &str) -> Vec<Reaction> {
        let mut met = Vec::new();
        self.lock().retain_mut(|rule| {
            if rule.method.as_ref().is_some_and(|own| own != method) {
                return true;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                return true;
            }
            met.push(rule.reaction.clone());
            if rule.count != usize::MAX {
                rule.count -= 1;
            }
            rule.count > 0
        });
        met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answered_calls_are_counted_by_method() {
        let script = Script::new();
        for method in ["A", "B", "A"] {
            script.answered(method);
        }
        let calls = [("A".to_owned(), 2), ("B".to_owned(), 1)];
        assert_eq!(script.calls(), calls.into());
        for number in 0..2 * MAX_METHODS {
            script.answered(&number.to_string());
        }
        assert_eq!(script.calls().len(), MAX_METHODS);
    }

    #[test]
    fn rules_meet_the_calls_they_count() {
        let script = Script::new();
        script.nth("A", 2, Reaction::Disconnect);
        script.next("B", Reaction::LoseSession);
        assert!(script.react("A").is_empty());
        assert!(matches!(script.react("A")[..], [Reaction::Disconnect]));
        assert!(script.react("A").is_empty());
        assert_eq!(script.pending(), 1);
        assert!(matches!(script.react("B")[..], [Reaction::LoseSession]));
        assert_eq!(script.pending(), 0);

        script.nth_of_all(2, Reaction::LoseAnswer);
        assert!(script.react("A").is_empty());
        assert!(matches!(script.react("B")[..], [Reaction::LoseAnswer]));
        assert!(script.react("A").is_empty());
    }
}
