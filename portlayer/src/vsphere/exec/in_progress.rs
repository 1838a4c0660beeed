//! Tracks the operations of this process that are in progress but that machines do not show yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::kept_list::Changes;
use crate::{ContainerId, State, StateKind};

/// The state transitions in progress, by container.
#[derive(Clone, Debug, Default)]
pub(super) struct InProgress {
    marks: Arc<Mutex<HashMap<ContainerId, Vec<StateKind>>>>,
    changes: Changes,
}

/// Marks an operation as in progress until this value is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Mark {
    in_progress: InProgress,
    id: ContainerId,
    kind: StateKind,
}

impl InProgress {
    /// Starts without operations; changes are counted there.
    pub(super) fn new(changes: &Changes) -> Self {
        Self {
            changes: changes.clone(),
            ..Self::default()
        }
    }

    pub(super) fn mark(&self, id: ContainerId, kind: StateKind) -> Mark {
        self.lock().entry(id).or_default().push(kind);
        self.changes.count();
        Mark {
            in_progress: self.clone(),
            id,
            kind,
        }
    }

    /// Returns the state of a container, including operations in progress. `shown` is the state
    /// that its machine shows; `spoken` says whether the guest reported anything in this run.
    pub(super) fn apply(&self, id: &ContainerId, shown: State, spoken: bool) -> State {
        match shown {
            State::Running | State::Starting if self.is_marked(id, StateKind::Stopping) => {
                State::Stopping
            }
            // The start is recorded before the machine is on. If the guest has reported, the
            // machine has been on.
            State::Created | State::Stopped { .. }
                if !spoken && self.is_marked(id, StateKind::Starting) =>
            {
                State::Starting
            }
            State::Created | State::Stopped { .. } if self.is_marked(id, StateKind::Removing) => {
                State::Removing
            }
            other => other,
        }
    }

    fn is_marked(&self, id: &ContainerId, kind: StateKind) -> bool {
        self.lock()
            .get(id)
            .is_some_and(|marks| marks.contains(&kind))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Vec<StateKind>>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut marks = self.in_progress.lock();
        if let Some(kinds) = marks.get_mut(&self.id) {
            if let Some(position) = kinds.iter().position(|kind| *kind == self.kind) {
                kinds.swap_remove(position);
            }
            if kinds.is_empty() {
                marks.remove(&self.id);
            }
        }
        drop(marks);
        self.in_progress.changes.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExitStatus;

    #[test]
    fn what_is_in_progress_shows_until_it_ends() {
        let in_progress = InProgress::default();
        let id = ContainerId::generate();
        let stopped = State::Stopped {
            exit: ExitStatus::Lost,
        };
        let shown = |spoken| in_progress.apply(&id, stopped.clone(), spoken);
        let starting = in_progress.mark(id, StateKind::Starting);
        assert_eq!(shown(false), State::Starting);
        assert_eq!(shown(true), stopped);
        let other = ContainerId::generate();
        assert_eq!(in_progress.apply(&other, stopped.clone(), false), stopped);
        drop(starting);
        assert_eq!(shown(false), stopped);
        let first = in_progress.mark(id, StateKind::Stopping);
        let second = in_progress.mark(id, StateKind::Stopping);
        drop(first);
        assert_eq!(
            in_progress.apply(&id, State::Running, true),
            State::Stopping
        );
        assert_eq!(shown(true), stopped);
        drop(second);
        assert_eq!(in_progress.apply(&id, State::Running, true), State::Running);
        assert!(in_progress.lock().is_empty());
    }
}
