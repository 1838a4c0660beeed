//! What there is in the inventory when a simulator starts.

/// The inventory that a simulator starts with, named as vcsim names it, so that a suite
/// which was written for that finds what it looks for.
///
/// ```
/// use simulator::{Simulator, Topology};
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let topology = Topology::vcenter().clusters(1).cluster_hosts(2).machines(0);
/// let simulator = Simulator::builder().topology(topology).start().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a topology does nothing until a simulator starts with it"]
pub struct Topology {
    pub(crate) vcenter: bool,
    pub(crate) clusters: usize,
    pub(crate) cluster_hosts: usize,
    pub(crate) standalone_hosts: usize,
    pub(crate) pools: usize,
    pub(crate) folders: usize,
    pub(crate) port_groups: usize,
    pub(crate) machines: usize,
    pub(crate) autostart: bool,
    pub(crate) drs: bool,
}

impl Topology {
    /// One ESXi host without machines.
    pub const fn esx() -> Self {
        Self {
            vcenter: false,
            clusters: 0,
            cluster_hosts: 0,
            standalone_hosts: 1,
            pools: 0,
            folders: 0,
            port_groups: 0,
            machines: 0,
            autostart: false,
            drs: false,
        }
    }

    /// A vCenter with a datacenter `DC0`: a cluster `DC0_C0` of three hosts with DRS, a
    /// host `DC0_H0` of its own, a datastore that all of them have, the standard network
    /// `VM Network` and the distributed port group `DC0_DVPG0`. No machines.
    pub const fn vcenter() -> Self {
        Self {
            vcenter: true,
            clusters: 1,
            cluster_hosts: 3,
            standalone_hosts: 1,
            pools: 0,
            folders: 0,
            port_groups: 1,
            machines: 0,
            autostart: false,
            drs: true,
        }
    }

    /// Clusters, `DC0_C0` and so on. A host has none.
    pub const fn clusters(mut self, number: usize) -> Self {
        self.clusters = number;
        self
    }

    /// Hosts of each cluster, `DC0_C0_H0` and so on.
    pub const fn cluster_hosts(mut self, number: usize) -> Self {
        self.cluster_hosts = number;
        self
    }

    /// Hosts that are in no cluster, `DC0_H0` and so on.
    pub const fn standalone_hosts(mut self, number: usize) -> Self {
        self.standalone_hosts = number;
        self
    }

    /// Resource pools of each cluster besides its root, `DC0_C0_RP1` and so on.
    pub const fn pools(mut self, number: usize) -> Self {
        self.pools = number;
        self
    }

    /// Folders for machines, `F0` and so on. A host has none.
    pub const fn folders(mut self, number: usize) -> Self {
        self.folders = number;
        self
    }

    /// Distributed port groups, `DC0_DVPG0` and so on. A host has none.
    pub const fn port_groups(mut self, number: usize) -> Self {
        self.port_groups = number;
        self
    }

    /// Machines of each host outside clusters and of each pool, with a disk and a network
    /// card: `DC0_H0_VM0`, `DC0_C0_RP0_VM0`, on a host `ha-host_VM0`, and so on.
    pub const fn machines(mut self, number: usize) -> Self {
        self.machines = number;
        self
    }

    /// Whether the machines are on.
    pub const fn autostart(mut self, on: bool) -> Self {
        self.autostart = on;
        self
    }

    /// Whether clusters place machines by themselves. Without DRS a machine is created on
    /// the host that the call names, and `PowerOnMultiVM_Task` starts it where it is.
    pub const fn drs(mut self, on: bool) -> Self {
        self.drs = on;
        self
    }
}

impl Default for Topology {
    fn default() -> Self {
        Self::esx()
    }
}
