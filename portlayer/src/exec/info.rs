//! What a back end knows about containers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Command;
use crate::{ContainerId, State};

/// A container as the back end has it.
///
/// Everything in it that the guest can write is marked; do not trust that further than to show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerInfo {
    /// Its identity.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// The image it was made from, as the user referred to it.
    pub image: String,
    /// What runs in it.
    pub command: Command,
    /// Where it is in its life. The exit code, and whether the process started, are the guest's
    /// word.
    pub state: State,
    /// Why the process could not be launched, in the guest's words.
    pub failure: Option<String>,
    /// When it was created, if the back end wrote that down.
    pub created: Option<Timestamp>,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
}

/// The containers of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Those that can be read, also the [`Broken`](State::Broken) ones.
    pub containers: Vec<ContainerInfo>,
    /// Those that cannot.
    pub quarantined: Vec<Quarantined>,
}

/// Something among the containers of a host that cannot be read as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The container's id, if that much can be read. [`Exec::remove`](super::Exec::remove)
    /// accepts it.
    pub id: Option<ContainerId>,
    /// What the back end calls it, for finding it there.
    pub label: String,
    /// Why it cannot be read.
    pub reason: String,
}
