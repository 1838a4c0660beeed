//! The objects of a virtual container host: pool, folder, datastore, networks.

use vim25::types::VirtualDeviceBackingInfo;
use vim25::{Poly, Ref, mo};
use vsphere_client::{Datacenter, Datastore};

use super::endpoint::{Members, Parent};
use super::machine_spec::MachineDefaults;
use crate::Resource;
use crate::network::BridgeRange;
use crate::vsphere::kind;
use crate::vsphere::scope_networks::ScopeNetworks;
use crate::vsphere::vlan_range::VlanRange;

/// The pool, folder, datastore and networks in which a host's containers are created.
#[derive(Clone, Debug)]
pub(super) struct HostObjects {
    /// The name of the host.
    pub(super) name: String,
    /// The host's appliance, which is not a container.
    pub(super) appliance: Ref<mo::VirtualMachine>,
    /// The pool in which the host's machines are created. It may be shared with others.
    pub(super) pool: Ref<mo::ResourcePool>,
    /// The folder in which the host's machines are created. It may be shared with others.
    pub(super) folder: Ref<mo::Folder>,
    /// The pool or the folder that contains the host's machines, and no others.
    pub(super) parent: Parent,
    /// The folder of the host's images on a vCenter, where they are templates.
    pub(super) image_folder: Option<Ref<mo::Folder>>,
    /// The datacenter of the host.
    pub(super) datacenter: Datacenter,
    /// The datastore of all files of the host.
    pub(super) datastore: Datastore,
    /// The name or path of the bridge network.
    pub(super) bridge_network: String,
    /// The bridge network, as the backing of a network card.
    pub(super) bridge: Poly<VirtualDeviceBackingInfo>,
    /// The networks that are assigned to bridge scopes, one network per scope.
    pub(super) scope_networks: Vec<String>,
    /// The VLANs of the networks that are created for bridge scopes. Without them and without
    /// `scope_networks`, all bridge scopes share the bridge network.
    pub(super) scope_vlans: Option<VlanRange>,
    /// The range from which bridge scopes are assigned subnets.
    pub(super) bridge_range: BridgeRange,
    /// The common settings of all machines.
    pub(super) defaults: MachineDefaults,
}

impl HostObjects {
    /// Returns the resource for errors about the host as a whole.
    pub(super) fn host(&self) -> Resource {
        kind::host(&self.name)
    }

    /// Returns the port groups that the host creates for its scopes; `None` if it creates none.
    pub(super) fn created_scope_networks(&self) -> Option<ScopeNetworks> {
        Some(ScopeNetworks {
            host: self.name.clone(),
            appliance: self.defaults.namespace,
            vlans: self.scope_vlans?,
        })
    }

    /// Returns the objects that the host's machines are in.
    pub(super) fn members(&self) -> Members {
        Members {
            parent: self.parent.clone(),
            image_folder: self.image_folder.clone(),
        }
    }
}
