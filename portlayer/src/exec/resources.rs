//! Resource settings of a container.

use serde::{Deserialize, Serialize};

/// The virtual hardware of a container, and its share of a busy host.
///
/// ```
/// use portlayer::exec::{Allocation, Resources};
///
/// let resources =
/// Resources::new().cpus(2).memory_mib(512).memory(Allocation::new().reservation(256));
/// assert_eq!(resources.cpus, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Resources {
    /// The number of virtual processors: 1 to 768.
    pub cpus: u32,
    /// The memory in MiB: a multiple of 4 up to 25,165,824 (24 TiB), and not 0.
    pub memory_mib: u64,
    /// The allocation of processor time in MHz.
    #[serde(default)]
    pub cpu: Allocation,
    /// The allocation of physical memory in MiB.
    #[serde(default)]
    pub memory: Allocation,
}

/// Returns the reason why no machine can have this number of virtual processors; `None` if it is
/// valid.
pub(crate) fn refused_cpus(cpus: u32) -> Option<&'static str> {
    (cpus == 0 || cpus > 768).then_some("there must be 1 to 768")
}

/// Returns the reason why no machine can have this much memory; `None` if it is valid.
pub(crate) fn refused_memory(mib: u64) -> Option<&'static str> {
    (mib == 0 || !mib.is_multiple_of(4) || mib > 24 << 20)
        .then_some("it must be a multiple of 4, not 0, and at most 24 TiB")
}

/// A share of a physical resource, in MHz for processors and MiB for memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Allocation {
    /// The weight relative to others under contention.
    #[serde(default)]
    pub shares: Shares,
    /// The upper limit. `None`: no limit.
    #[serde(default)]
    pub limit: Option<u64>,
    /// The guaranteed minimum. A start fails if the host cannot guarantee it.
    #[serde(default)]
    pub reservation: u64,
}

/// The weight of an [`Allocation`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shares {
    /// Half of the normal weight.
    Low,
    /// The default weight.
    #[default]
    Normal,
    /// Twice the normal weight.
    High,
    /// A custom weight from 1 to 1,000,000.
    Custom(u32),
}

impl Default for Resources {
    fn default() -> Self {
        Self::new()
    }
}

impl Resources {
    /// Creates resources of 1 processor and 1024 MiB, with normal shares, no limits and no
    /// reservations.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            cpus: 1,
            memory_mib: 1024,
            cpu: Allocation::new(),
            memory: Allocation::new(),
        }
    }

    /// Sets the number of virtual processors.
    #[must_use]
    pub const fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Sets the memory in MiB.
    #[must_use]
    pub const fn memory_mib(mut self, mib: u64) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Sets the allocation of processor time in MHz.
    #[must_use]
    pub const fn cpu(mut self, allocation: Allocation) -> Self {
        self.cpu = allocation;
        self
    }

    /// Sets the allocation of physical memory in MiB.
    #[must_use]
    pub const fn memory(mut self, allocation: Allocation) -> Self {
        self.memory = allocation;
        self
    }

    /// Returns the first field that no endpoint accepts, with the reason.
    pub(super) fn refusal(&self) -> Option<(&'static str, &'static str)> {
        if let Some(reason) = refused_cpus(self.cpus) {
            return Some(("resources.cpus", reason));
        }
        if let Some(reason) = refused_memory(self.memory_mib) {
            return Some(("resources.memory_mib", reason));
        }
        if self.memory.reservation > self.memory_mib {
            return Some((
                "resources.memory.reservation",
                "it exceeds the container's memory",
            ));
        }
        for (field, allocation) in [
            ("resources.cpu", &self.cpu),
            ("resources.memory", &self.memory),
        ] {
            if let Some(reason) = allocation.refusal() {
                return Some((field, reason));
            }
        }
        None
    }
}

impl Allocation {
    /// Creates an allocation with normal shares, no limit and no reservation.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            shares: Shares::Normal,
            limit: None,
            reservation: 0,
        }
    }

    /// Sets the weight relative to others under contention.
    #[must_use]
    pub const fn shares(mut self, shares: Shares) -> Self {
        self.shares = shares;
        self
    }

    /// Sets the upper limit.
    #[must_use]
    pub const fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets the guaranteed minimum.
    #[must_use]
    pub const fn reservation(mut self, reservation: u64) -> Self {
        self.reservation = reservation;
        self
    }

    /// Returns the reason why no endpoint accepts this allocation; `None` if it is valid.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        if matches!(self.shares, Shares::Custom(shares) if shares == 0 || shares > 1_000_000) {
            return Some("custom shares must be 1 to 1,000,000");
        }
        if self.limit.is_some_and(|limit| limit < self.reservation) {
            return Some("the limit is below the reservation");
        }
        let too_much = |amount| amount > i64::MAX as u64;
        if too_much(self.reservation) || self.limit.is_some_and(too_much) {
            return Some("it is out of range");
        }
        None
    }
}
