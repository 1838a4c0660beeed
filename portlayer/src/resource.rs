//! What an error is about.

use std::fmt;

use serde::{Serialize, Serializer};

/// The kind of thing that a [`Resource`] is. Prints, also as JSON, as words in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResourceKind {
    /// A container, by its id, or by its name where the name is the matter.
    Container,
    /// An image, by its id or reference.
    Image,
    /// A volume, by its name.
    Volume,
    /// A network that containers are attached to, by its name.
    Network,
    /// A value of the store, by its key.
    StoredValue,
    /// The service behind the port layer, by its address.
    Endpoint,
    /// Something that only one back end has; `vsphere::kind` (feature `vsphere`) has the kinds of
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

/// A kind, and the name by which its owner knows it: `volume "data"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
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

    /// A network, by name.
    pub fn network(name: impl fmt::Display) -> Self {
        Self::new(ResourceKind::Network, name)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.id)
    }
}
