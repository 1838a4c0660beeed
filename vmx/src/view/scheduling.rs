//! Shares, reservations and limits.

use std::borrow::Cow;

use crate::error::ValueError;
use crate::value::Value;

use super::VirtualMachineFile;
use super::typed_setting::{Setting, read_as, settings, words};

/// An upper limit of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Written `unlimited`; -1 in the API.
    Unlimited,
    /// A limit in MHz or MB.
    Of(u64),
}

/// The weight relative to other machines; `SharesInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shares {
    /// Half of normal.
    Low,
    /// 1000 for each virtual processor, 10 for each MB of memory.
    Normal,
    /// Twice normal.
    High,
    /// A specific number of shares.
    Custom(u32),
}

words! {
    /// The latency sensitivity of a machine; `LatencySensitivity.level`.
    pub enum LatencySensitivity {
        /// Less sensitive than normal.
        Low = "low",
        /// The default.
        Normal = "normal",
        /// More sensitive than normal; no longer used.
        Medium = "medium",
        /// The most sensitive.
        High = "high",
    }
}

impl From<u64> for Limit {
    fn from(limit: u64) -> Self {
        Self::Of(limit)
    }
}

impl Setting for Limit {
    fn read(value: Value<'_>) -> Result<Self, ValueError> {
        if value.bytes().eq_ignore_ascii_case(b"unlimited") {
            return Ok(Self::Unlimited);
        }
        match (value.integer(), value.unsigned()) {
            (Ok(-1), _) => Ok(Self::Unlimited),
            (_, Ok(limit)) => Ok(Self::Of(limit)),
            _ => Err(value.unfit("a whole number or `unlimited`")),
        }
    }

    fn write(&self) -> Cow<'_, str> {
        match self {
            Self::Unlimited => "unlimited".into(),
            Self::Of(limit) => limit.to_string().into(),
        }
    }
}

impl Setting for Shares {
    fn read(value: Value<'_>) -> Result<Self, ValueError> {
        read_as(value, "a whole number, low, normal or high", |text| {
            Some(match &*text.to_ascii_lowercase() {
                "low" => Self::Low,
                "normal" => Self::Normal,
                "high" => Self::High,
                _ => Self::Custom(value.number().ok()?),
            })
        })
    }

    fn write(&self) -> Cow<'_, str> {
        match self {
            Self::Low => "low".into(),
            Self::Normal => "normal".into(),
            Self::High => "high".into(),
            Self::Custom(shares) => shares.to_string().into(),
        }
    }
}

/// The scheduling settings of a machine, named `sched.*` in files.
#[derive(Debug, Clone)]
pub struct Scheduling<D> {
    document: D,
}

impl<D> Scheduling<D> {
    pub(super) fn new(document: D) -> Self {
        Self { document }
    }

    #[expect(clippy::unused_self, reason = "views of devices need it")]
    fn entry_name(&self, key: &'static str) -> &'static str {
        key
    }
}

settings! { Scheduling {
    /// The CPU reservation in MHz; API:
    /// `VirtualMachineConfigInfo.cpuAllocation.reservation`.
    cpu_reservation set_cpu_reservation: u64 = "sched.cpu.min" or 0;
    /// The CPU limit in MHz; API: `cpuAllocation.limit`.
    cpu_limit set_cpu_limit: Limit = "sched.cpu.max" or Limit::Unlimited;
    /// The unit of the CPU reservation and limit: `mhz`. The API does not show it.
    cpu_units set_cpu_units: String = "sched.cpu.units" or "mhz";
    /// The CPU shares; API: `cpuAllocation.shares`.
    cpu_shares set_cpu_shares: Shares = "sched.cpu.shares" or Shares::Normal;
    /// The host processors to run on, `all` or numbers separated by commas; API:
    /// `VirtualMachineConfigInfo.cpuAffinity.affinitySet`.
    cpu_affinity set_cpu_affinity: String = "sched.cpu.affinity" or "all";
    /// The latency sensitivity; API: `VirtualMachineConfigInfo.latencySensitivity`. Also
    /// reported in extraConfig.
    latency_sensitivity set_latency_sensitivity: LatencySensitivity = "sched.cpu.latencySensitivity" or "normal";
    /// The memory reservation in MB; API:
    /// `VirtualMachineConfigInfo.memoryAllocation.reservation`.
    memory_reservation set_memory_reservation: u64 = "sched.mem.min" or 0;
    /// The minimum size in MB that stays in the host's memory; the API has no property
    /// for it.
    memory_minimum set_memory_minimum: u64 = "sched.mem.minSize" or 0;
    /// The memory limit in MB; API: `memoryAllocation.limit`.
    memory_limit set_memory_limit: Limit = "sched.mem.max" or Limit::Unlimited;
    /// The memory shares; API: `memoryAllocation.shares`.
    memory_shares set_memory_shares: Shares = "sched.mem.shares" or Shares::Normal;
    /// Whether all memory is reserved; API:
    /// `VirtualMachineConfigInfo.memoryReservationLockedToMax`.
    memory_pinned set_memory_pinned: bool = "sched.mem.pin" or false;
    /// The maximum number of large pages shared with other machines. Part of extraConfig.
    shared_large_pages set_shared_large_pages: u64 = "sched.mem.lpage.maxSharedPages";
    /// The swap file. It belongs to this host, so omit it when copying the machine. Part
    /// of extraConfig; API: a file of `VirtualMachineFileLayoutEx`.
    swap_file set_swap_file: String = "sched.swap.derivedName";
} }

impl<D: std::borrow::Borrow<crate::Document>> VirtualMachineFile<D> {
    /// Returns the shares, reservations and limits.
    pub fn scheduling(&self) -> Scheduling<&crate::Document> {
        Scheduling::new(self.document.borrow())
    }
}

impl<D: std::borrow::BorrowMut<crate::Document>> VirtualMachineFile<D> {
    /// Returns the shares, reservations and limits, for editing.
    pub fn scheduling_mut(&mut self) -> Scheduling<&mut crate::Document> {
        Scheduling::new(self.document.borrow_mut())
    }
}
