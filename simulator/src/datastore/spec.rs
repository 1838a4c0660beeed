//! Datastores as a test describes them.

use std::path::PathBuf;

/// A datastore of a simulator: its name, its type, and where its files are.
///
/// ```
/// use simulator::{Datastore, Simulator};
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let simulator = Simulator::builder()
///     .datastore(Datastore::vmfs("local").capacity(1 << 30))
///     .add_datastore(Datastore::nfs("images", "nas.example.com", "/export/images"))
///     .start()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a datastore does nothing until a builder gets it"]
pub struct Datastore {
    pub(crate) name: String,
    pub(crate) kind: DatastoreKind,
    pub(crate) capacity: Option<u64>,
    pub(crate) directory: Option<PathBuf>,
    /// The position of the datacenter; `None` for one in every datacenter.
    pub(crate) datacenter: Option<usize>,
}

/// The type of a datastore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DatastoreKind {
    Vmfs,
    Nfs { host: String, path: String },
    Vsan,
}

impl Datastore {
    /// Describes a VMFS datastore.
    pub fn vmfs(name: impl Into<String>) -> Self {
        Self::new(name.into(), DatastoreKind::Vmfs)
    }

    /// Describes an NFS datastore that is exported by a host under a path. Nothing connects to this
    /// host: clients only see its name and path.
    pub fn nfs(name: impl Into<String>, host: impl Into<String>, path: impl Into<String>) -> Self {
        let (host, path) = (host.into(), path.into());
        Self::new(name.into(), DatastoreKind::Nfs { host, path })
    }

    /// Describes a vSAN datastore.
    ///
    /// Its top-level directories are objects: clients create them with
    /// `DatastoreNamespaceManager.CreateDirectory`, `CreateVM_Task` creates one for each machine, and
    /// `MakeDirectory` cannot create any. Their names in paths are UUIDs, also where a client gave
    /// another name, so clients have to read the path of a machine after its creation.
    pub fn vsan(name: impl Into<String>) -> Self {
        Self::new(name.into(), DatastoreKind::Vsan)
    }

    const fn new(name: String, kind: DatastoreKind) -> Self {
        Self {
            name,
            kind,
            capacity: None,
            directory: None,
            datacenter: None,
        }
    }

    /// Sets the capacity in bytes. Default: the datastore reports 1 TiB, and what really fits
    /// depends on the file system of its directory.
    ///
    /// Files occupy space without their holes. When a client's request needs more than what is
    /// free, it fails with `NoDiskSpace`, as on a file system that is full: an upload in the
    /// middle, and an upload of an import also ends its lease. Clients see the free space after
    /// `RefreshDatastore`. What guests write is not limited.
    pub const fn capacity(mut self, bytes: u64) -> Self {
        self.capacity = Some(bytes);
        self
    }

    /// Sets the directory of the files; it is created if it does not exist, and kept. No two
    /// datastores can have the same directory, so it is used in the first datacenter, or in the one
    /// that [`datacenter`](Self::datacenter) sets.
    ///
    /// Default: a temporary directory, removed with the simulator. If the first datastore of a
    /// simulator has a directory, the others are kept as well, in its subdirectory
    /// `.vsphere-simulator/datastores`, or `.vsphere-simulator/datacenters/NUMBER` for those in
    /// other datacenters than the first.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Sets the datacenter that has the datastore, by its number from 0. Default: each datacenter has
    /// its own datastore with this description, as in vcsim.
    ///
    /// ```
    /// use simulator::{Datastore, Simulator, Topology};
    ///
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// let simulator = Simulator::builder()
    ///     .topology(Topology::vcenter().datacenters(2))
    ///     .datastore(Datastore::vmfs("local"))
    ///     .add_datastore(Datastore::nfs("images", "nas.example.com", "/export").datacenter(1))
    ///     .start()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn datacenter(mut self, number: usize) -> Self {
        self.datacenter = Some(number);
        self
    }

    /// Returns whether a datacenter has the datastore.
    pub(crate) const fn is_in(&self, datacenter: usize) -> bool {
        match self.datacenter {
            Some(own) => own == datacenter,
            None => true,
        }
    }

    /// Returns whether the name can be part of a datastore path.
    pub(crate) fn has_valid_name(&self) -> bool {
        let name = &self.name;
        let is_bad = |c: char| c.is_control() || matches!(c, '[' | ']' | '/' | '\\' | '%');
        !name.is_empty() && name.trim() == name && name.len() <= 80 && !name.contains(is_bad)
    }
}

#[cfg(test)]
mod tests {
    use super::Datastore;

    #[test]
    fn a_name_can_be_written_in_a_path() {
        for (name, expected) in [
            ("LocalDS_0", true),
            ("a b (1)", true),
            ("", false),
            (" a", false),
            ("a]", false),
            ("a/b", false),
        ] {
            assert_eq!(Datastore::vmfs(name).has_valid_name(), expected, "{name}");
        }
    }
}
