//! Learns whether the endpoint reports the changes that this process makes, whether it chooses the
//! hosts of machines, and whether it can disable methods.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// How long to wait for the report of a write before reading the machine instead.
const REPORTED_WITHIN: Duration = Duration::from_millis(500);

/// After this many consecutive writes without a report, later writes do not wait for one.
const MISSED: u32 = 2;

/// One of this many writes waits for its report nevertheless, because the endpoint may report
/// again.
const AGAIN: u32 = 64;

/// The kinds of writes, which are counted separately: an endpoint may report some kinds and not
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vsphere) enum Written {
    /// A machine was created.
    New,
    /// A machine was powered on or off.
    Power,
    /// A machine was changed in another way.
    Change,
}

/// Counts, for each kind, the writes since the last one that was reported in time.
#[derive(Debug, Default)]
pub(in crate::vsphere) struct Experience {
    missed: [AtomicU32; 3],
    /// Whether a machine was refused because no host was named.
    needs_hosts: AtomicBool,
    /// Whether the endpoint answered that it has no method for disabling methods.
    enables_everything: AtomicBool,
}

impl Experience {
    /// Returns how long to wait for the report of a write of this kind before reading the machine.
    pub(in crate::vsphere) fn patience(&self, kind: Written) -> Duration {
        let missed = self.of(kind).load(Ordering::Relaxed);
        if missed < MISSED || missed.is_multiple_of(AGAIN) {
            REPORTED_WITHIN
        } else {
            Duration::ZERO
        }
    }

    pub(in crate::vsphere) fn reported(&self, kind: Written) {
        self.of(kind).store(0, Ordering::Relaxed);
    }

    pub(in crate::vsphere) fn missed(&self, kind: Written) {
        self.of(kind).fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether the endpoint is expected to choose the hosts of machines.
    pub(super) fn chooses_hosts(&self) -> bool {
        !self.needs_hosts.load(Ordering::Relaxed)
    }

    /// Records that the endpoint did not choose a host.
    pub(super) fn host_was_missing(&self) {
        self.needs_hosts.store(true, Ordering::Relaxed);
    }

    /// Returns whether the endpoint is expected to disable methods of entities.
    pub(super) fn disables_methods(&self) -> bool {
        !self.enables_everything.load(Ordering::Relaxed)
    }

    pub(super) fn cannot_disable_methods(&self) {
        self.enables_everything.store(true, Ordering::Relaxed);
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
        // From time to time a report is waited for again, and one report is enough to trust them.
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
