//! What a back end may lack.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that the traits offer and that a back end, or the endpoint behind it, may lack.
///
/// A back end never pretends: what it lacks it names here and answers
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), or behaves as the method's documentation
/// says for that capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Capability {
    /// A guest runs in the container's machine and reports, through the machine's keys, that the
    /// process started and how it ended. Without it nothing is known beyond the power state: a
    /// container that is on stays [`Starting`](crate::StateKind::Starting), and one that went off
    /// is stopped with [`ExitStatus::Lost`](crate::ExitStatus::Lost).
    GuestKeys,
    /// Signals other than `KILL` are delivered to the process.
    Signals,
    /// The machine's configuration file on the datastore shows what the API was told.
    VmxContents,
    /// A change that was prepared on an outdated view of a machine is refused, so that two
    /// writers cannot overwrite each other unseen.
    StaleChangeVersionRefused,
    /// Configuration keys that differ only in the case of their letters are one key.
    KeyCaseFolding,
    /// Images can be stored and containers made from them.
    Images,
    /// The content of disks is kept, so that what an image holds can be run.
    DiskContents,
    /// Volumes.
    Volumes,
    /// Scopes and addresses for containers.
    Networks,
    /// Subnets and addresses of IPv6.
    Ipv6,
    /// A container can be connected to a scope, or disconnected, after it was created.
    LaterConnect,
    /// The streams of processes can be attached to.
    Attach,
    /// What processes wrote is kept and can be read.
    Logs,
    /// Files can be copied into and out of containers.
    Archive,
    /// Events can be subscribed to.
    Events,
    /// Small values can be kept with the host.
    Store,
    /// A container can be paused by suspending its machine.
    Suspend,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A set of capabilities.
///
/// ```
/// use portlayer::{Capabilities, Capability};
///
/// let has = Capabilities::all().without(Capability::Signals);
/// assert!(has.contains(Capability::GuestKeys));
/// assert_eq!(has.missing().collect::<Vec<_>>(), [Capability::Signals]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(u32);

impl Capabilities {
    const ALL: [Capability; 17] = [
        Capability::GuestKeys,
        Capability::Signals,
        Capability::VmxContents,
        Capability::StaleChangeVersionRefused,
        Capability::KeyCaseFolding,
        Capability::Images,
        Capability::DiskContents,
        Capability::Volumes,
        Capability::Networks,
        Capability::Ipv6,
        Capability::LaterConnect,
        Capability::Attach,
        Capability::Logs,
        Capability::Archive,
        Capability::Events,
        Capability::Store,
        Capability::Suspend,
    ];

    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// Every capability that this version knows.
    #[must_use]
    pub fn all() -> Self {
        Self::ALL.into_iter().fold(Self::none(), Self::with)
    }

    /// The set with one more.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u32)
    }

    /// The set with one less.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !(1 << capability as u32))
    }

    /// Whether it is in the set.
    #[must_use]
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u32 != 0
    }

    /// Those in the set, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Self::ALL
            .into_iter()
            .filter(move |capability| self.contains(*capability))
    }

    /// Those not in the set, in a fixed order.
    pub fn missing(self) -> impl Iterator<Item = Capability> {
        Self::ALL
            .into_iter()
            .filter(move |capability| !self.contains(*capability))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::none(), Self::with)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
