//! What operations of this process are about to do to machines, while the machines do not show it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{ContainerId, State, StateKind};

/// The transitions in progress.
#[derive(Clone, Debug, Default)]
pub(super) struct Transients {
    marks: Arc<Mutex<HashMap<ContainerId, Vec<StateKind>>>>,
}

/// Says that an operation is in progress, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Mark {
    transients: Transients,
    id: ContainerId,
    kind: StateKind,
}

impl Transients {
    pub(super) fn mark(&self, id: ContainerId, kind: StateKind) -> Mark {
        self.lock().entry(id).or_default().push(kind);
        Mark {
            transients: self.clone(),
            id,
            kind,
        }
    }

    /// The state that a container is in, given the one that its machine shows.
    pub(super) fn apply(&self, id: &ContainerId, shown: State) -> State {
        let marks = self.lock();
        let marked = |kind| marks.get(id).is_some_and(|marks| marks.contains(&kind));
        match shown {
            State::Running | State::Starting if marked(StateKind::Stopping) => State::Stopping,
            // The start is written down before the machine is on.
            State::Created | State::Stopped { .. } if marked(StateKind::Starting) => {
                State::Starting
            }
            State::Created | State::Stopped { .. } if marked(StateKind::Removing) => {
                State::Removing
            }
            other => other,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Vec<StateKind>>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut marks = self.transients.lock();
        if let Some(kinds) = marks.get_mut(&self.id) {
            if let Some(position) = kinds.iter().position(|kind| *kind == self.kind) {
                kinds.swap_remove(position);
            }
            if kinds.is_empty() {
                marks.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExitStatus;

    #[test]
    fn what_is_in_progress_shows_until_it_ends() {
        let transients = Transients::default();
        let id = ContainerId::generate();
        let stopped = State::Stopped {
            exit: ExitStatus::Lost,
        };
        let starting = transients.mark(id, StateKind::Starting);
        assert_eq!(transients.apply(&id, stopped.clone()), State::Starting);
        assert_eq!(
            transients.apply(&ContainerId::generate(), stopped.clone()),
            stopped
        );
        drop(starting);
        assert_eq!(transients.apply(&id, stopped.clone()), stopped);
        let first = transients.mark(id, StateKind::Stopping);
        let second = transients.mark(id, StateKind::Stopping);
        drop(first);
        assert_eq!(transients.apply(&id, State::Running), State::Stopping);
        assert_eq!(transients.apply(&id, stopped.clone()), stopped);
        drop(second);
        assert_eq!(transients.apply(&id, State::Running), State::Running);
        assert!(transients.lock().is_empty());
    }
}
