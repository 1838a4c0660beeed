//! Kinds of resources that only vSphere has, for [`Resource::kind`](crate::Resource::kind).

use std::fmt;

use crate::{Resource, ResourceKind};

/// A virtual container host, by its name.
pub const HOST: ResourceKind = ResourceKind::Other("virtual container host");
/// A datacenter, by its name or path.
pub const DATACENTER: ResourceKind = ResourceKind::Other("datacenter");
/// A host, a cluster or a resource pool, on which machines run.
pub const COMPUTE_RESOURCE: ResourceKind = ResourceKind::Other("compute resource");
/// The resource pool that holds the virtual machines of one virtual container host.
pub const RESOURCE_POOL: ResourceKind = ResourceKind::Other("resource pool");
/// A store of virtual machines' files, by its name.
pub const DATASTORE: ResourceKind = ResourceKind::Other("datastore");
/// A virtual machine that is not, or not yet known as, a container.
pub const VIRTUAL_MACHINE: ResourceKind = ResourceKind::Other("virtual machine");
/// A standard switch of a host, by its name.
pub const VIRTUAL_SWITCH: ResourceKind = ResourceKind::Other("virtual switch");
/// An ESXi host, by its name.
pub const HOST_SYSTEM: ResourceKind = ResourceKind::Other("ESXi host");
/// A file, by its path.
pub const FILE: ResourceKind = ResourceKind::Other("file");

/// A virtual container host, by name.
pub(super) fn host(name: impl fmt::Display) -> Resource {
    Resource::new(HOST, name)
}
