//! Descriptions of virtual container hosts.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ApplianceNetworks, Component, Registries, VolumeStore};
use crate::Resource;
use crate::network::BridgeRange;
use crate::vsphere::vlan_range::VlanRange;

/// The description of a virtual container host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HostInfo {
    /// The name of the host.
    pub name: String,
    /// The state of the host.
    pub state: HostState,
    /// The datastore of its files.
    pub datastore: String,
    /// The directory of its files on the datastore.
    pub directory: String,
    /// The network of its containers.
    pub bridge_network: String,
    /// The range from which its bridge scopes are assigned their subnets.
    #[serde(default)]
    pub bridge_range: BridgeRange,
    /// The existing networks that are assigned to bridge scopes, one network per scope. Empty: see
    /// [`HostSpec::scope_networks`](super::HostSpec::scope_networks).
    #[serde(default)]
    pub scope_networks: Vec<String>,
    /// The VLANs of the port groups that are created for bridge scopes; `None` if none are created.
    #[serde(default)]
    pub scope_vlans: Option<VlanRange>,
    /// The networks and static addresses of its appliance.
    #[serde(default)]
    pub networks: ApplianceNetworks,
    /// The name or address that its containers' serial lines connect to.
    pub address: String,
    /// The certificate of its appliance in PEM; empty without TLS, or if there is no record of it.
    #[serde(default)]
    pub certificate: String,
    /// The certificates of the authorities whose clients its appliance accepts, in PEM.
    #[serde(default)]
    pub authorities: String,
    /// The components of its appliance. Hosts of earlier versions have no record of them.
    #[serde(default)]
    pub components: Vec<Component>,
    /// The version of the program that installed it; empty if there is no record of it.
    #[serde(default)]
    pub version: String,
    /// The user as whom its appliance's programs log in to the endpoint; empty if there is no record
    /// of it.
    #[serde(default)]
    pub user: String,
    /// The SHA-1 thumbprint of the endpoint's certificate during the installation; empty if there is
    /// no record of it. VIC 0.4 had no key for it.
    #[serde(default)]
    pub target_thumbprint: String,
    /// The interval at which its appliance's programs keep their sessions alive; `None`: their own
    /// default.
    #[serde(default)]
    pub keepalive: Option<Duration>,
    /// The image registries that may be used.
    #[serde(default)]
    pub registries: Registries,
    /// The places where its appliance's programs keep volumes, by label.
    #[serde(default)]
    pub volume_stores: BTreeMap<String, VolumeStore>,
    /// The options with which a command created it; empty if there is no record of them.
    #[serde(default)]
    pub create_options: Vec<String>,
}

/// The state of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HostState {
    /// Its installation was not finished: install it again to resume, or delete the host.
    Unfinished,
    /// Its appliance is off.
    Off,
    /// Its appliance is on.
    Running,
}

/// The result of deleting a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Deletion {
    /// The bridge network, if it was kept because the installation did not create it.
    pub kept_network: Option<String>,
    /// The bridge network, if it was removed because the installation created it.
    pub deleted_network: Option<String>,
    /// Whether a resource pool was deleted. A host in a cluster without DRS has none.
    pub deleted_pool: bool,
    /// Whether an inventory folder was deleted. Only hosts on a vCenter have one.
    pub deleted_folder: bool,
    /// The names of the machines and folders of others in the host's inventory folder. If there are
    /// any, the folder was kept.
    pub foreign: Vec<String>,
    /// Leftovers, by name. Empty if nothing was left. They are found by the names of the host's
    /// objects, by the paths of its files and those of its containers, and by what marks an object as
    /// the host's: the UUIDs of the machines of containers, which are derived from that of the
    /// appliance, and the descriptions of distributed port groups.
    ///
    /// The host's pool, folder, switch and standard port group have no mark, only the host's name.
    /// The folder's id and whether the network was created are in the keys of the appliance, so
    /// without an appliance only their names are known, and only empty pools and folders are deleted.
    /// The API cannot set an object's `tag`. Other marks would need a custom field, which ESXi does not
    /// have and which stays defined on a vCenter for all hosts, or the tags of vCenter's REST API.
    pub left: Vec<Resource>,
}

/// How [`Hosts::delete`](super::Hosts::delete) treats a host's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerPolicy {
    /// Deletes nothing if the host has any container.
    Refuse,
    /// Stops and removes the containers first.
    Remove,
}
