//! Capabilities: features that a back end may lack.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A feature of the traits that a back end, or the endpoint behind it, may lack.
///
/// A back end leaves every feature that it lacks out of its [`Capabilities`]. Methods that need a
/// missing capability return [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), or behave
/// as their documentation says for that capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Capability {
    /// A guest runs in the container's machine and reports, through the machine's keys, that the
    /// process started and how it ended. Without it, only the power state is known: a container
    /// that is on stays [`Starting`](crate::StateKind::Starting), and one that was switched off is
    /// stopped with [`ExitStatus::Lost`](crate::ExitStatus::Lost).
    GuestKeys,
    /// Signals other than `KILL` are delivered to the process.
    Signals,
    /// The machine's configuration file on the datastore contains what was set through the API.
    VmxContents,
    /// The endpoint refuses a change that is based on an outdated version of a machine, so that two
    /// writers cannot unknowingly overwrite each other.
    StaleChangeVersionRefused,
    /// Configuration keys are case-insensitive.
    KeyCaseFolding,
    /// Images can be stored, and containers can be created from them.
    Images,
    /// The content of disks is stored: the programs in an image can be run, and the files of an
    /// image can be [exported](crate::image::Images::export).
    DiskContents,
    /// Volumes can be created and mounted.
    Volumes,
    /// Containers can be connected to scopes and get addresses.
    Networks,
    /// Scopes can have IPv6 subnets and addresses.
    Ipv6,
    /// Networks with VLANs of their own can be created for bridge scopes.
    ScopeVlans,
    /// A container can be connected to a scope, or disconnected, after its creation.
    LaterConnect,
    /// Callers can attach to the streams of processes.
    Attach,
    /// The output of processes is stored and can be read.
    Logs,
    /// Files can be copied into and out of containers.
    Archive,
    /// Events can be subscribed to.
    Events,
    /// Small values can be stored with the host.
    Store,
    /// A container can be paused by suspending its machine.
    Suspend,
    /// Labels, annotations and the restart count of a container that is on can be changed, and the
    /// changes are kept when it is stopped. Without it, such an [`Edit`](crate::exec::Edit) is
    /// refused.
    LiveEdits,
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
    const ALL: [Capability; 19] = [
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
        Capability::ScopeVlans,
        Capability::LaterConnect,
        Capability::Attach,
        Capability::Logs,
        Capability::Archive,
        Capability::Events,
        Capability::Store,
        Capability::Suspend,
        Capability::LiveEdits,
    ];

    /// Returns the empty set.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// Returns the set of all capabilities that this version of the crate defines.
    #[must_use]
    pub fn all() -> Self {
        Self::ALL.into_iter().fold(Self::none(), Self::with)
    }

    /// Returns the set with a capability added.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u32)
    }

    /// Returns the set with a capability removed.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !(1 << capability as u32))
    }

    /// Returns whether a capability is in the set.
    #[must_use]
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u32 != 0
    }

    /// Iterates over the capabilities in the set, in a fixed order.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Self::ALL
            .into_iter()
            .filter(move |capability| self.contains(*capability))
    }

    /// Iterates over the capabilities not in the set, in a fixed order.
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
