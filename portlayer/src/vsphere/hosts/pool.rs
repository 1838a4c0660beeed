//! The share of a host in the resources of its compute resource.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::exec::{Allocation, Shares};

/// The limits, reservations and shares of a host's resource pool, which apply to the appliance and
/// all containers together.
///
/// ```
/// use portlayer::exec::Allocation;
/// use portlayer::vsphere::PoolAllocation;
///
/// let pool = PoolAllocation::new().cpu(Allocation::new().limit(4000));
/// assert_eq!(pool.to_string(), "CPU: at most 4000 MHz");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PoolAllocation {
    /// The allocation of processor time in MHz.
    #[serde(default)]
    pub cpu: Allocation,
    /// The allocation of physical memory in MiB.
    #[serde(default)]
    pub memory: Allocation,
}

impl PoolAllocation {
    /// Creates an allocation with normal shares, without limits and reservations.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            cpu: Allocation::new(),
            memory: Allocation::new(),
        }
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

    /// Returns whether nothing differs from a pool that was created without options.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::new()
    }
}

impl fmt::Display for PoolAllocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (resource, unit, allocation) in
            [("CPU", "MHz", &self.cpu), ("memory", "MiB", &self.memory)]
        {
            let mut limits = Vec::new();
            if let Some(limit) = allocation.limit {
                limits.push(format!("at most {limit} {unit}"));
            }
            if allocation.reservation > 0 {
                limits.push(format!("{} {unit} reserved", allocation.reservation));
            }
            match allocation.shares {
                Shares::Normal => {}
                Shares::Low => limits.push("low shares".to_owned()),
                Shares::High => limits.push("high shares".to_owned()),
                Shares::Custom(shares) => limits.push(format!("{shares} shares")),
            }
            if !limits.is_empty() {
                parts.push(format!("{resource}: {}", limits.join(", ")));
            }
        }
        if parts.is_empty() {
            return f.write_str("no limits");
        }
        f.write_str(&parts.join("; "))
    }
}
