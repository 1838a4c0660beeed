//! The datacenters, as datastores and paths refer to them.

/// The datacenter of a datastore.
///
/// Names of datastores are unique within a datacenter, not within a vCenter: a path such as
/// `[LocalDS_0] a.iso` refers to a file only together with a datacenter. An ESXi host has one
/// datacenter, the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Site(usize);

impl Site {
    /// The first datacenter of a server, and the only one of an ESXi host.
    pub(crate) const FIRST: Self = Self(0);

    /// Returns the datacenter at a position among those that the server started with.
    pub(crate) const fn new(position: usize) -> Self {
        Self(position)
    }

    /// Returns the position of the datacenter.
    pub(crate) const fn position(self) -> usize {
        self.0
    }
}
