//! The initial inventory of a simulator.

/// The initial inventory of a simulator, with vcsim's names, so that a test suite
/// for vcsim finds what it expects.
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
    /// Creates the topology of an ESXi host without machines.
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

    /// Creates the topology of a vCenter with a datacenter `DC0`: a cluster `DC0_C0` of three hosts
    /// with DRS, a standalone host `DC0_H0`, a datastore shared by all hosts, the standard network
    /// `VM Network` and the distributed port group `DC0_DVPG0`. There are no machines.
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

    /// Sets the number of clusters, `DC0_C0` and so on. A host has none.
    pub const fn clusters(mut self, number: usize) -> Self {
        self.clusters = number;
        self
    }

    /// Sets the number of hosts per cluster, `DC0_C0_H0` and so on.
    pub const fn cluster_hosts(mut self, number: usize) -> Self {
        self.cluster_hosts = number;
        self
    }

    /// Sets the number of hosts outside of clusters, `DC0_H0` and so on.
    pub const fn standalone_hosts(mut self, number: usize) -> Self {
        self.standalone_hosts = number;
        self
    }

    /// Sets the number of resource pools per cluster besides its root, `DC0_C0_RP1` and so on.
    pub const fn pools(mut self, number: usize) -> Self {
        self.pools = number;
        self
    }

    /// Sets the number of folders for machines, `F0` and so on. A host has none.
    pub const fn folders(mut self, number: usize) -> Self {
        self.folders = number;
        self
    }

    /// Sets the number of distributed port groups, `DC0_DVPG0` and so on. A host has none.
    pub const fn port_groups(mut self, number: usize) -> Self {
        self.port_groups = number;
        self
    }

    /// Sets the number of machines per host outside of clusters and per pool, with a disk and a
    /// network card: `DC0_H0_VM0`, `DC0_C0_RP0_VM0`, on a host `ha-host_VM0`, and so on.
    pub const fn machines(mut self, number: usize) -> Self {
        self.machines = number;
        self
    }

    /// Sets whether the machines are on.
    pub const fn autostart(mut self, on: bool) -> Self {
        self.autostart = on;
        self
    }

    /// Sets whether clusters place machines themselves. Without DRS, a machine is created on
    /// the host named in the call, and `PowerOnMultiVM_Task` starts it there.
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
