//! The initial inventory of a simulator.

/// The initial inventory of a simulator. Its objects have the same names as in vcsim, so that
/// test suites for vcsim can be used.
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
    pub(crate) datacenters: usize,
    pub(crate) datacenter_folders: usize,
    pub(crate) clusters: usize,
    pub(crate) cluster_hosts: usize,
    pub(crate) standalone_hosts: usize,
    pub(crate) pools: usize,
    pub(crate) apps: usize,
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
            datacenters: 1,
            datacenter_folders: 0,
            clusters: 0,
            cluster_hosts: 0,
            standalone_hosts: 1,
            pools: 0,
            apps: 0,
            folders: 0,
            port_groups: 0,
            machines: 0,
            autostart: false,
            drs: false,
        }
    }

    /// Creates the topology of a vCenter with one datacenter `DC0`: a cluster `DC0_C0` of three
    /// hosts with DRS, a standalone host `DC0_H0`, a datastore shared by all hosts, the
    /// standard network `VM Network` and the distributed port group `DC0_DVPG0`. It has no
    /// machines.
    pub const fn vcenter() -> Self {
        Self {
            vcenter: true,
            datacenters: 1,
            datacenter_folders: 0,
            clusters: 1,
            cluster_hosts: 3,
            standalone_hosts: 1,
            pools: 0,
            apps: 0,
            folders: 0,
            port_groups: 1,
            machines: 0,
            autostart: false,
            drs: true,
        }
    }

    /// Sets the number of datacenters, `DC0`, `DC1` and so on; at least one. An ESXi host has one.
    ///
    /// Each has everything that the other numbers describe: `DC1_C0`, `DC1_H0`, `DC1_H0_VM0`, a switch
    /// `DVS0` and its own datastores. As in vcsim, the datastores of all datacenters have the same
    /// names; see [`Datastore::datacenter`](crate::Datastore::datacenter) for others.
    ///
    /// ```
    /// use simulator::{Simulator, Topology};
    ///
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// let topology = Topology::vcenter().datacenters(2).machines(1);
    /// let simulator = Simulator::builder().topology(topology).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn datacenters(mut self, number: usize) -> Self {
        self.datacenters = if number == 0 { 1 } else { number };
        self
    }

    /// Sets the number of datacenters that are in a folder, `F0` for the first of them and so on: the
    /// last ones, as in vcsim. In such a datacenter, machines, hosts, datastores and the distributed
    /// switch are in folders of the same name, such as `/F0/DC0/vm/F0`. An ESXi host has none.
    pub const fn datacenter_folders(mut self, number: usize) -> Self {
        self.datacenter_folders = number;
        self
    }

    /// Sets the number of clusters in each datacenter, `DC0_C0` and so on. An ESXi host has none.
    pub const fn clusters(mut self, number: usize) -> Self {
        self.clusters = number;
        self
    }

    /// Sets the number of hosts per cluster, `DC0_C0_H0` and so on.
    pub const fn cluster_hosts(mut self, number: usize) -> Self {
        self.cluster_hosts = number;
        self
    }

    /// Sets the number of hosts outside of clusters in each datacenter, `DC0_H0` and so on.
    pub const fn standalone_hosts(mut self, number: usize) -> Self {
        self.standalone_hosts = number;
        self
    }

    /// Sets the number of resource pools per cluster in addition to its root pool,
    /// `DC0_C0_RP1` and so on.
    pub const fn pools(mut self, number: usize) -> Self {
        self.pools = number;
        self
    }

    /// Sets the number of vApps per cluster, `DC0_C0_APP0` and so on. They are in the cluster's root pool
    /// and in the folder of the machines. An ESXi host has none.
    ///
    /// ```
    /// use simulator::{Simulator, Topology};
    ///
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// // The machines of the vApp are `DC0_C0_APP0_VM0` and `DC0_C0_APP0_VM1`.
    /// let topology = Topology::vcenter().apps(1).machines(2);
    /// let simulator = Simulator::builder().topology(topology).start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn apps(mut self, number: usize) -> Self {
        self.apps = number;
        self
    }

    /// Sets the number of folders for machines in each datacenter, `F0` and so on. They are empty. An
    /// ESXi host has none.
    pub const fn folders(mut self, number: usize) -> Self {
        self.folders = number;
        self
    }

    /// Sets the number of distributed port groups in each datacenter, `DC0_DVPG0` and so on. An ESXi
    /// host has none.
    pub const fn port_groups(mut self, number: usize) -> Self {
        self.port_groups = number;
        self
    }

    /// Sets the number of machines per host outside of clusters, per pool and per vApp. Each has a disk
    /// and a network card. Names are `DC0_H0_VM0`, `DC0_C0_RP0_VM0` and so on, `ha-host_VM0`
    /// on an ESXi host.
    pub const fn machines(mut self, number: usize) -> Self {
        self.machines = number;
        self
    }

    /// Sets whether the machines are powered on at the start.
    pub const fn autostart(mut self, on: bool) -> Self {
        self.autostart = on;
        self
    }

    /// Sets whether clusters have DRS, which chooses the host of a machine. Without DRS, a
    /// machine is created on the host named in the call, and `PowerOnMultiVM_Task` starts it
    /// there.
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
