//! What an error speaks of.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of thing that a [`Resource`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResourceKind {
    /// A container, by its id, or by its name where the name is the matter.
    Container,
    /// A virtual container host, by its name.
    Host,
    /// The service that the port layer speaks to.
    Endpoint,
    /// A datacenter, by its name or path.
    Datacenter,
    /// A place to run virtual machines: a host, a cluster or a resource pool.
    ComputeResource,
    /// A pool of resources that holds the virtual machines of one host.
    ResourcePool,
    /// A store of virtual machines' files, by its name.
    Datastore,
    /// A network or a scope, by its name.
    Network,
    /// An image, by its id or reference.
    Image,
    /// A volume, by its name.
    Volume,
    /// A value of the store, by its key.
    StoredValue,
    /// A virtual machine that is not, or not yet known as, a container.
    VirtualMachine,
    /// A file, by its path.
    File,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "container",
            Self::Host => "virtual container host",
            Self::Endpoint => "endpoint",
            Self::Datacenter => "datacenter",
            Self::ComputeResource => "compute resource",
            Self::ResourcePool => "resource pool",
            Self::Datastore => "datastore",
            Self::Network => "network",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::StoredValue => "stored value",
            Self::VirtualMachine => "virtual machine",
            Self::File => "file",
        })
    }
}

/// A kind and the name that its owner knows it by: `datastore "fast"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// What kind of thing.
    pub kind: ResourceKind,
    /// Which one: an id, a name or a path.
    pub id: Box<str>,
}

impl Resource {
    /// The resource of this kind and id.
    pub fn new(kind: ResourceKind, id: impl fmt::Display) -> Self {
        Self {
            kind,
            id: id.to_string().into(),
        }
    }

    /// A container, by id or name.
    pub fn container(id: impl fmt::Display) -> Self {
        Self::new(ResourceKind::Container, id)
    }

    /// An image, by id or reference.
    pub fn image(id: impl fmt::Display) -> Self {
        Self::new(ResourceKind::Image, id)
    }

    /// A volume, by name.
    pub fn volume(name: impl fmt::Display) -> Self {
        Self::new(ResourceKind::Volume, name)
    }

    /// A network or a scope, by name.
    pub fn network(name: impl fmt::Display) -> Self {
        Self::new(ResourceKind::Network, name)
    }

    /// A virtual container host, by name.
    pub fn host(name: impl fmt::Display) -> Self {
        Self::new(ResourceKind::Host, name)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.id)
    }
}
