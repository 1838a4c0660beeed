//! The kinds of objects that are looked up by name, and the places that are searched.

use std::fmt;

/// The kind of object that was looked up by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntityKind {
    /// Any object of the inventory, looked up by its path.
    Entity,
    /// A datacenter.
    Datacenter,
    /// A datastore.
    Datastore,
    /// A network or distributed port group.
    Network,
    /// A resource pool, or the host or cluster whose root pool it is.
    ResourcePool,
    /// A virtual machine.
    VirtualMachine,
    /// A vApp.
    VirtualApp,
    /// A host.
    Host,
    /// A standalone host or a cluster.
    ComputeResource,
    /// A cluster.
    Cluster,
    /// An inventory folder.
    Folder,
    /// A distributed switch.
    Switch,
    /// A snapshot of a virtual machine.
    Snapshot,
    /// A device of a virtual machine.
    Device,
    /// A file on a datastore.
    File,
    /// A directory on a datastore.
    Directory,
    /// A file or directory on a datastore.
    FileOrDirectory,
}

impl EntityKind {
    /// Returns the kind of the objects of a managed object type.
    pub(crate) fn of(type_name: &str) -> Self {
        match type_name {
            "VirtualMachine" => Self::VirtualMachine,
            "VirtualApp" => Self::VirtualApp,
            "HostSystem" => Self::Host,
            "ComputeResource" => Self::ComputeResource,
            "ClusterComputeResource" => Self::Cluster,
            "Folder" => Self::Folder,
            "Datacenter" => Self::Datacenter,
            "Datastore" => Self::Datastore,
            "ResourcePool" => Self::ResourcePool,
            "DistributedVirtualSwitch" | "VmwareDistributedVirtualSwitch" => Self::Switch,
            "Network" | "OpaqueNetwork" | "DistributedVirtualPortgroup" => Self::Network,
            _ => Self::Entity,
        }
    }

    /// Returns the kind in words, such as `resource pool`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entity => "inventory object",
            Self::Datacenter => "datacenter",
            Self::Datastore => "datastore",
            Self::Network => "network",
            Self::ResourcePool => "resource pool",
            Self::VirtualMachine => "virtual machine",
            Self::VirtualApp => "vApp",
            Self::Host => "host",
            Self::ComputeResource => "host or cluster",
            Self::Cluster => "cluster",
            Self::Folder => "folder",
            Self::Switch => "distributed switch",
            Self::Snapshot => "snapshot",
            Self::Device => "device",
            Self::File => "file",
            Self::Directory => "directory",
            Self::FileOrDirectory => "file or directory",
        }
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The place where a name was looked up, with the names of the existing objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchScope(Box<SearchScopeParts>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct SearchScopeParts {
    name: String,
    there: Vec<String>,
}

impl SearchScope {
    pub(crate) fn new(name: impl Into<String>, there: Vec<String>) -> Self {
        Self(Box::new(SearchScopeParts {
            name: name.into(),
            there,
        }))
    }

    /// Returns the name or path of the place.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the names of the objects that exist in the place, as far as they were read.
    #[must_use]
    pub fn there(&self) -> &[String] {
        &self.0.there
    }
}

impl fmt::Display for SearchScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        f.write_str(self.name())?;
        for (index, name) in self.there().iter().take(SHOWN).enumerate() {
            let before = if index == 0 { "; there is" } else { "," };
            write!(f, "{before} {name}")?;
        }
        match self.there().len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
