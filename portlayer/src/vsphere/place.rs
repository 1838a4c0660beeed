//! A virtual container host as its containers need it.

use vim25::types::VirtualDeviceBackingInfo;
use vim25::{Poly, Ref, mo};
use vsphere_client::{Datacenter, Datastore};

use super::machine_spec::MachineDefaults;
use crate::Resource;
use crate::network::BridgeRange;
use crate::vsphere::kind;

/// Where the containers of one host are made, and what they are connected to.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The host's name.
    pub(super) name: String,
    /// Its appliance, which is no container.
    pub(super) appliance: Ref<mo::VirtualMachine>,
    /// The pool of its machines.
    pub(super) pool: Ref<mo::ResourcePool>,
    /// The folder of its machines.
    pub(super) folder: Ref<mo::Folder>,
    /// The datacenter of all this.
    pub(super) datacenter: Datacenter,
    /// The datastore of all its files.
    pub(super) datastore: Datastore,
    /// The bridge network, as a network card is put on it.
    pub(super) bridge: Poly<VirtualDeviceBackingInfo>,
    /// The range that bridge scopes take their subnets from.
    pub(super) bridge_range: BridgeRange,
    /// The common settings of all machines.
    pub(super) defaults: MachineDefaults,
}

impl Place {
    /// The resource in errors about the host as a whole.
    pub(super) fn host(&self) -> Resource {
        kind::host(&self.name)
    }
}
