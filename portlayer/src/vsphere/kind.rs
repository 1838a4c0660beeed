//! Kinds of resources that only vSphere has, for [`Resource::kind`](crate::Resource::kind).

use std::fmt;

use crate::{Resource, ResourceKind};

/// A virtual container host, identified by its name.
pub const HOST: ResourceKind = ResourceKind::Other("virtual container host");
/// A datacenter, identified by its name or path.
pub const DATACENTER: ResourceKind = ResourceKind::Other("datacenter");
/// A host, a cluster or a resource pool on which machines run.
pub const COMPUTE_RESOURCE: ResourceKind = ResourceKind::Other("compute resource");
/// The resource pool that holds the virtual machines of one virtual container host.
pub const RESOURCE_POOL: ResourceKind = ResourceKind::Other("resource pool");
/// The inventory folder that holds the virtual machines of one virtual container host on a vCenter.
pub const FOLDER: ResourceKind = ResourceKind::Other("inventory folder");
/// A datastore, which stores virtual machines' files, identified by its name.
pub const DATASTORE: ResourceKind = ResourceKind::Other("datastore");
/// A virtual machine that is not a container, or is not yet known to be one.
pub const VIRTUAL_MACHINE: ResourceKind = ResourceKind::Other("virtual machine");
/// A standard switch of a host, identified by its name.
pub const VIRTUAL_SWITCH: ResourceKind = ResourceKind::Other("virtual switch");
/// An ESXi host, identified by its name.
pub const HOST_SYSTEM: ResourceKind = ResourceKind::Other("ESXi host");
/// A file, identified by its path.
pub const FILE: ResourceKind = ResourceKind::Other("file");

/// Returns the resource for the virtual container host with this name.
pub(super) fn host(name: impl fmt::Display) -> Resource {
    Resource::new(HOST, name)
}
