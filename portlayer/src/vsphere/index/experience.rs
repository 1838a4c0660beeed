//! Whether the endpoint reports what this process changes, as far as experience shows.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long to wait for the report of a write before the machine is read instead.
const REPORTED_WITHIN: Duration = Duration::from_millis(500);

/// After this many writes without a report, the next ones are not waited for.
const MISSED: u32 = 2;

/// Every so many writes are waited for nevertheless: the endpoint may report again.
const AGAIN: u32 = 64;

/// The kinds of writes: an endpoint may report one and not another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vsphere) enum Written {
    /// A new machine.
    New,
    /// A machine was switched on or off.
    Power,
    /// Another change of a machine.
    Change,
}

/// Counts the writes of each kind since the last one that was reported in time.
#[derive(Debug, Default)]
pub(super) struct Experience {
    missed: [AtomicU32; 3],
}

impl Experience {
    /// Returns how long to wait for a report of such a write before the machine is read.
    pub(super) fn patience(&self, kind: Written) -> Duration {
        let missed = self.of(kind).load(Ordering::Relaxed);
        if missed < MISSED || missed.is_multiple_of(AGAIN) {
            REPORTED_WITHIN
        } else {
            Duration::ZERO
        }
    }

    pub(super) fn reported(&self, kind: Written) {
        self.of(kind).store(0, Ordering::Relaxed);
    }

    pub(super) fn missed(&self, kind: Written) {
        self.of(kind).fetch_add(1, Ordering::Relaxed);
    }

    const fn of(&self, kind: Written) -> &AtomicU32 {
        let [new, power, change] = &self.missed;
        match kind {
            Written::New => new,
            Written::Power => power,
            Written::Change => change,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_does_not_report_is_soon_not_waited_for() {
        let experience = Experience::default();
        let waits = |kind| experience.patience(kind) > Duration::ZERO;
        for _ in 0..MISSED {
            assert!(waits(Written::Change));
            experience.missed(Written::Change);
        }
        assert!(!waits(Written::Change));
        assert!(waits(Written::New) && waits(Written::Power));
        // Now and then it is given another chance, and one report is enough.
        let mut waited = 0;
        for _ in 0..AGAIN {
            waited += u32::from(waits(Written::Change));
            experience.missed(Written::Change);
        }
        assert_eq!(waited, 1);
        experience.reported(Written::Change);
        assert!(waits(Written::Change));
    }
}
