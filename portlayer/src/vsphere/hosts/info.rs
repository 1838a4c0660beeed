//! A virtual container host as the endpoint has it.

use serde::{Deserialize, Serialize};

/// What is known about a virtual container host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostInfo {
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: HostState,
    /// The datastore that holds its files.
    pub datastore: String,
    /// The directory of its files there.
    pub directory: String,
    /// The network its containers are on.
    pub bridge_network: String,
    /// Where its containers' serial lines connect to: a name or an address.
    pub address: String,
}

/// How far a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HostState {
    /// Its installation was not finished: delete it and install it again.
    Unfinished,
    /// Its appliance is off.
    Off,
    /// Its appliance is on.
    Running,
}

/// What [`Hosts::delete`](super::Hosts::delete) does about a host's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containers {
    /// Deletes nothing while there is a container.
    Refuse,
    /// Stops and removes them first.
    Remove,
}
