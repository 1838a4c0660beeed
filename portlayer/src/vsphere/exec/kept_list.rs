//! Keeps the last list of containers until something changes. As long as nothing does, a list costs
//! one counted reference for each container, and no look at it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::exec::Listing;

/// Counts the changes of what this process knows about containers besides their machines.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes(Arc<AtomicU64>);

impl Changes {
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn so_far(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What a list depends on: the number of changes of the machines, and of what this process knows
/// besides. Taken before the list is made, so that a change in between makes it outdated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    machines: u64,
    own: u64,
}

/// The last list of containers.
#[derive(Debug, Default)]
pub(super) struct KeptList {
    last: Mutex<Option<(Stamp, Listing)>>,
    changes: Changes,
}

impl KeptList {
    pub(super) fn new(changes: Changes) -> Self {
        Self {
            last: Mutex::default(),
            changes,
        }
    }

    /// Returns the stamp of a list that is made now.
    pub(super) fn stamp(&self, machines: u64) -> Stamp {
        Stamp {
            machines,
            own: self.changes.so_far(),
        }
    }

    /// Returns the last list, unless something has changed since.
    pub(super) fn get(&self, now: Stamp) -> Option<Listing> {
        match &*self.lock() {
            Some((stamp, listing)) if *stamp == now => Some(listing.clone()),
            _ => None,
        }
    }

    pub(super) fn keep(&self, stamp: Stamp, listing: Listing) {
        *self.lock() = Some((stamp, listing));
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Stamp, Listing)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Command, ContainerInfo, ContainerSpec};

    #[test]
    fn a_list_is_kept_until_something_changes() {
        let changes = Changes::default();
        let kept = KeptList::new(changes.clone());
        let spec = ContainerSpec::new("c", Command::new("/run"));
        let listing = Listing::new(vec![Arc::new(ContainerInfo::new(spec))], Vec::new());
        let stamp = kept.stamp(1);
        assert_eq!(kept.get(stamp), None);
        kept.keep(stamp, listing.clone());
        assert_eq!(kept.get(kept.stamp(1)), Some(listing.clone()));
        assert_eq!(kept.get(kept.stamp(2)), None);
        changes.count();
        assert_eq!(kept.get(kept.stamp(1)), None);
        // A list that was being made during the change is outdated, too.
        kept.keep(stamp, listing);
        assert_eq!(kept.get(kept.stamp(1)), None);
    }
}
