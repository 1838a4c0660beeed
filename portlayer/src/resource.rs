//! The resources that errors are about.

use std::fmt;

use serde::{Serialize, Serializer};

/// The kind of a [`Resource`]. `Display` and JSON write it in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResourceKind {
    /// A container, identified by its id, or by its name if the name caused the error.
    Container,
    /// An image, by its id or reference.
    Image,
    /// A volume, by its name.
    Volume,
    /// A network that containers are attached to, by its name.
    Network,
    /// A value in the [`Store`](crate::store::Store), by its key.
    StoredValue,
    /// The service behind the port layer, by its address.
    Endpoint,
    /// A kind that only one back end has; `vsphere::kind` (feature `vsphere`) defines those of
    /// vSphere.
    Other(&'static str),
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::StoredValue => "stored value",
            Self::Endpoint => "endpoint",
            Self::Other(name) => name,
        })
    }
}

impl Serialize for ResourceKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A resource: its kind and its id, such as `volume "data"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Resource {
    /// The kind of the resource.
    pub kind: ResourceKind,
    /// The id, name or path of the resource.
    pub id: Box<str>,
}

impl Resource {
    /// Creates a resource from a kind and an id.
    pub fn new(kind: ResourceKind, id: impl fmt::Display) -> Self {
        Self {
            kind,
            id: id.to_string().into(),
        }
    }

    /// Creates a resource for a container, by id or name.
    pub fn container(id: impl fmt::Display) -> Self {
        Self::new(ResourceKind::Container, id)
    }

    /// Creates a resource for an image, by id or reference.
    pub fn image(id: impl fmt::Display) -> Self {
        Self::new(ResourceKind::Image, id)
    }

    /// Creates a resource for a volume, by name.
    pub fn volume(name: impl fmt::Display) -> Self {
        Self::new(ResourceKind::Volume, name)
    }

    /// Creates a resource for a network, by name.
    pub fn network(name: impl fmt::Display) -> Self {
        Self::new(ResourceKind::Network, name)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.id)
    }
}
