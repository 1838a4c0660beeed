//! The specification of an installation.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::{
    ApplianceCertificates, ApplianceComponent, ApplianceNetworks, NetworkRole, PoolAllocation,
    Registries, RoleNetwork, StaticAddress, VolumeStore,
};
use crate::network::BridgeRange;
use crate::vsphere::kind;
use crate::vsphere::vlan_range::VlanRange;
use crate::{Resource, Result};

/// The specification of a virtual container host.
///
/// ```
/// use portlayer::vsphere::{HostSpec, Iso};
///
/// let spec = HostSpec::new("vch-1", Iso::bytes("appliance"), Iso::file("bootstrap.iso"))
///     .bridge_network("bridge");
/// assert!(spec.validate().is_ok());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostSpec {
    /// The name: 1 to 31 letters, digits and `-`, the first a letter or a digit. Unique on the
    /// endpoint. The resource pool, the inventory folder on a vCenter and the appliance have it too.
    pub name: String,
    /// The name of the datacenter. `None`: the only datacenter of the endpoint.
    pub datacenter: Option<String>,
    /// The name or inventory path of the host, cluster or resource pool to run on. `None`: the only
    /// one on the endpoint. In a cluster without DRS, the machines are created in its root resource
    /// pool.
    pub compute: Option<String>,
    /// The name of the datastore for all files of the host. `None`: the only one on the endpoint.
    pub datastore: Option<String>,
    /// The name of the network for the host's containers. `None`: the only network on the endpoint.
    pub bridge_network: Option<String>,
    /// Existing networks for bridge scopes, by name or inventory path, such as port groups with one
    /// VLAN each. Each bridge scope except the default one is assigned one of these networks
    /// exclusively. Empty, without [`scope_vlans`](Self::scope_vlans): all bridge scopes share the
    /// [bridge network](Self::bridge_network), and only their subnets separate them. Hosts must not
    /// share these networks, and the appliance is not connected to them.
    pub scope_networks: Vec<String>,
    /// The VLANs for bridge scopes. For each bridge scope except the default one, a port group with
    /// a VLAN of its own is created on the switch of the bridge network, and removed together with
    /// the scope or the host. A VLAN that another port group of the switch has is not used. The
    /// switch is a distributed one, or a standard switch of a single ESXi host; on any other,
    /// creating a scope returns [`Unsupported`](crate::ErrorKind::Unsupported). On vCenter, the
    /// account needs the privileges to create and delete distributed port groups. `None`: see
    /// [`scope_networks`](Self::scope_networks), which excludes this option.
    pub scope_vlans: Option<VlanRange>,
    /// The range from which the host's bridge scopes are assigned their subnets. Choose a range
    /// that is not used on the networks that containers have to reach.
    pub bridge_range: BridgeRange,
    /// The name of the network that connects the appliance to the outside. `None`: the bridge
    /// network.
    pub public_network: Option<String>,
    /// The name of the network of the appliance's clients. `None`: the public network.
    pub client_network: Option<String>,
    /// The name of the network on which the appliance reaches the endpoint. `None`: the public
    /// network.
    pub management_network: Option<String>,
    /// The appliance's static address on the public network. `None`: by DHCP.
    pub public_address: Option<StaticAddress>,
    /// The appliance's static address on the client network. `None`: that of the public network if
    /// they are the same, or by DHCP.
    pub client_address: Option<StaticAddress>,
    /// The appliance's static address on the management network. `None`: that of the public network
    /// if they are the same, or by DHCP.
    pub management_address: Option<StaticAddress>,
    /// The name servers of the appliance. Empty: by DHCP.
    pub name_servers: Vec<IpAddr>,
    /// Whether to create the bridge network if it does not exist: a virtual switch without uplinks
    /// and a port group, both with the name of the network. Without a
    /// [`bridge_network`](Self::bridge_network), that is the host's name. Only supported on a
    /// single ESXi host. Deleting the host removes both again.
    pub create_bridge: bool,
    /// How long to wait for the appliance to report an address. `None`: the installation ends when
    /// the appliance is powered on.
    pub address_timeout: Option<Duration>,
    /// The address at which the containers' serial lines reach the line server: a host name or an
    /// IP address, with or without a port (`10.0.0.7:2377`, `[fd00::7]:2377`). The default port is
    /// 8080. `None`: the host's name, which the endpoint's hosts must be able to resolve.
    pub address: Option<String>,
    /// The image that the appliance boots.
    pub appliance_iso: Iso,
    /// The image that containers boot.
    pub bootstrap_iso: Iso,
    /// The limits, reservations and shares of the host's resource pool. A cluster without DRS has no
    /// pools, so there only the default is valid.
    pub pool: PoolAllocation,
    /// The certificates with which the appliance serves its clients. `None`: no TLS.
    pub certificates: Option<ApplianceCertificates>,
    /// The components that the appliance starts. With a
    /// [`component_timeout`](Self::component_timeout), the installation waits for them.
    pub components: Vec<ApplianceComponent>,
    /// How long to wait for the appliance's components, after the wait for its address. `None`: the
    /// installation does not wait for them.
    pub component_timeout: Option<Duration>,
    /// The user as whom the programs of the appliance log in to the endpoint. `None`: the user of
    /// the installer's session. The password is not stored: see [`Hosts`](super::Hosts).
    pub user: Option<String>,
    /// The interval at which the programs of the appliance keep their sessions alive. `None`: their
    /// own default.
    pub keepalive: Option<Duration>,
    /// The image registries that may be used.
    pub registries: Registries,
    /// The places where the programs of the appliance keep volumes, by label.
    pub volume_stores: BTreeMap<String, VolumeStore>,
    /// The options with which a command creates the host, to be shown again. Everybody who may read
    /// the appliance's configuration can read them, so they must not contain secrets.
    pub create_options: Vec<String>,
    /// The number of virtual processors of the appliance.
    pub cpus: u32,
    /// The memory of the appliance in MiB.
    pub memory_mib: u64,
}

impl HostSpec {
    /// Creates a specification with defaults: the only candidate for every choice, and an appliance
    /// with 1 processor and 2048 MiB.
    pub fn new(name: impl Into<String>, appliance_iso: Iso, bootstrap_iso: Iso) -> Self {
        Self {
            name: name.into(),
            datacenter: None,
            compute: None,
            datastore: None,
            bridge_network: None,
            scope_networks: Vec::new(),
            scope_vlans: None,
            bridge_range: BridgeRange::default(),
            public_network: None,
            client_network: None,
            management_network: None,
            public_address: None,
            client_address: None,
            management_address: None,
            name_servers: Vec::new(),
            create_bridge: false,
            address_timeout: None,
            address: None,
            appliance_iso,
            bootstrap_iso,
            pool: PoolAllocation::new(),
            certificates: None,
            components: Vec::new(),
            component_timeout: None,
            user: None,
            keepalive: None,
            registries: Registries::new(),
            volume_stores: BTreeMap::new(),
            create_options: Vec::new(),
            cpus: 1,
            memory_mib: 2048,
        }
    }

    /// Sets the name of the datacenter.
    #[must_use]
    pub fn datacenter(mut self, datacenter: impl Into<String>) -> Self {
        self.datacenter = Some(datacenter.into());
        self
    }

    /// Sets the host, cluster or resource pool to run on, by name or inventory path.
    #[must_use]
    pub fn compute(mut self, compute: impl Into<String>) -> Self {
        self.compute = Some(compute.into());
        self
    }

    /// Sets the name of the datastore for all files of the host.
    #[must_use]
    pub fn datastore(mut self, datastore: impl Into<String>) -> Self {
        self.datastore = Some(datastore.into());
        self
    }

    /// Sets the name of the network for the host's containers.
    #[must_use]
    pub fn bridge_network(mut self, bridge_network: impl Into<String>) -> Self {
        self.bridge_network = Some(bridge_network.into());
        self
    }

    /// Adds an existing network, which is assigned to one bridge scope exclusively.
    #[must_use]
    pub fn scope_network(mut self, network: impl Into<String>) -> Self {
        self.scope_networks.push(network.into());
        self
    }

    /// Sets the VLANs for bridge scopes, each of which gets a port group of its own.
    #[must_use]
    pub fn scope_vlans(mut self, vlans: VlanRange) -> Self {
        self.scope_vlans = Some(vlans);
        self
    }

    /// Sets the range from which the host's bridge scopes are assigned their subnets.
    #[must_use]
    pub fn bridge_range(mut self, range: BridgeRange) -> Self {
        self.bridge_range = range;
        self
    }

    /// Sets the name of the network that connects the appliance to the outside.
    #[must_use]
    pub fn public_network(mut self, public_network: impl Into<String>) -> Self {
        self.public_network = Some(public_network.into());
        self
    }

    /// Sets the name of the network of the appliance's clients.
    #[must_use]
    pub fn client_network(mut self, client_network: impl Into<String>) -> Self {
        self.client_network = Some(client_network.into());
        self
    }

    /// Sets the name of the network on which the appliance reaches the endpoint.
    #[must_use]
    pub fn management_network(mut self, management_network: impl Into<String>) -> Self {
        self.management_network = Some(management_network.into());
        self
    }

    /// Sets the appliance's static address on the public network.
    #[must_use]
    pub fn public_address(mut self, address: StaticAddress) -> Self {
        self.public_address = Some(address);
        self
    }

    /// Sets the appliance's static address on the client network.
    #[must_use]
    pub fn client_address(mut self, address: StaticAddress) -> Self {
        self.client_address = Some(address);
        self
    }

    /// Sets the appliance's static address on the management network.
    #[must_use]
    pub fn management_address(mut self, address: StaticAddress) -> Self {
        self.management_address = Some(address);
        self
    }

    /// Adds a name server of the appliance.
    #[must_use]
    pub fn name_server(mut self, address: IpAddr) -> Self {
        self.name_servers.push(address);
        self
    }

    /// Sets whether the bridge network is created if it does not exist.
    #[must_use]
    pub fn create_bridge(mut self, create_bridge: bool) -> Self {
        self.create_bridge = create_bridge;
        self
    }

    /// Sets how long to wait for the appliance to report an address.
    #[must_use]
    pub fn address_timeout(mut self, address_timeout: Duration) -> Self {
        self.address_timeout = Some(address_timeout);
        self
    }

    /// Sets the address at which the containers' serial lines reach the line server: a host name or
    /// an IP address, with or without a port.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Sets the limits, reservations and shares of the host's resource pool.
    #[must_use]
    pub fn pool(mut self, pool: PoolAllocation) -> Self {
        self.pool = pool;
        self
    }

    /// Sets the certificates with which the appliance serves its clients.
    #[must_use]
    pub fn certificates(mut self, certificates: ApplianceCertificates) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// Adds a component that the appliance starts.
    #[must_use]
    pub fn component(mut self, component: impl Into<ApplianceComponent>) -> Self {
        self.components.push(component.into());
        self
    }

    /// Sets how long to wait for the appliance's components.
    #[must_use]
    pub fn component_timeout(mut self, component_timeout: Duration) -> Self {
        self.component_timeout = Some(component_timeout);
        self
    }

    /// Sets the user as whom the programs of the appliance log in to the endpoint.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Sets the interval at which the programs of the appliance keep their sessions alive.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Duration) -> Self {
        self.keepalive = Some(keepalive);
        self
    }

    /// Sets the image registries that may be used.
    #[must_use]
    pub fn registries(mut self, registries: Registries) -> Self {
        self.registries = registries;
        self
    }

    /// Adds a place where the programs of the appliance keep volumes.
    #[must_use]
    pub fn volume_store(mut self, label: impl Into<String>, store: VolumeStore) -> Self {
        self.volume_stores.insert(label.into(), store);
        self
    }

    /// Sets the options with which a command creates the host, without secrets.
    #[must_use]
    pub fn create_options<S: Into<String>>(mut self, options: impl IntoIterator<Item = S>) -> Self {
        self.create_options = options.into_iter().map(Into::into).collect();
        self
    }

    /// Returns how long to wait for components, if there are any to wait for.
    pub(super) fn components_within(&self) -> Option<Duration> {
        self.component_timeout
            .filter(|_| !self.components.is_empty())
    }

    /// Sets the number of virtual processors of the appliance.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Sets the memory of the appliance in MiB.
    #[must_use]
    pub fn memory_mib(mut self, memory_mib: u64) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// Checks everything that can be checked without an endpoint.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for the first invalid field.
    pub fn validate(&self) -> Result<()> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Returns the host, as errors and findings name it.
    #[must_use]
    pub fn resource(&self) -> Resource {
        kind::host(&self.name)
    }

    /// Returns the name of the bridge network to create if it does not exist.
    pub(super) fn bridge_name(&self) -> Option<&str> {
        self.create_bridge
            .then(|| self.bridge_network.as_deref().unwrap_or(&self.name))
    }

    /// Returns the static address of a role.
    pub(super) fn address_of(&self, role: NetworkRole) -> Option<&StaticAddress> {
        match role {
            NetworkRole::Public => self.public_address.as_ref(),
            NetworkRole::Client => self.client_address.as_ref(),
            NetworkRole::Management => self.management_address.as_ref(),
        }
    }

    /// Returns the name of a role's network; `None` is the bridge network.
    pub(super) fn network_of(&self, role: NetworkRole) -> Option<&str> {
        let own = match role {
            NetworkRole::Public => None,
            NetworkRole::Client => self.client_network.as_deref(),
            NetworkRole::Management => self.management_network.as_deref(),
        };
        own.or(self.public_network.as_deref())
    }

    /// Returns the networks and addresses of the appliance's roles, as they are recorded.
    pub(super) fn appliance_networks(&self, bridge: &str) -> ApplianceNetworks {
        let role = |role| {
            let network = self.network_of(role);
            // Roles on one network share a card, and thus the address.
            let mut sharing = NetworkRole::ALL.into_iter();
            let address = self.address_of(role).or_else(|| {
                sharing
                    .find(|other| {
                        self.network_of(*other) == network && self.address_of(*other).is_some()
                    })
                    .and_then(|other| self.address_of(other))
            });
            RoleNetwork {
                role,
                network: network.unwrap_or(bridge).to_owned(),
                address: address.cloned(),
            }
        };
        ApplianceNetworks {
            roles: NetworkRole::ALL.into_iter().map(role).collect(),
            name_servers: self.name_servers.clone(),
        }
    }

    /// Returns the named networks of the appliance with their roles, except the bridge network.
    pub(super) fn roles(&self) -> impl Iterator<Item = (NetworkRole, &str)> {
        [
            (NetworkRole::Public, &self.public_network),
            (NetworkRole::Client, &self.client_network),
            (NetworkRole::Management, &self.management_network),
        ]
        .into_iter()
        .filter_map(|(role, name)| Some((role, name.as_deref()?)))
    }
}

/// The source of a boot image.
#[derive(Clone)]
#[non_exhaustive]
pub enum Iso {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A local file, read while it is uploaded.
    File(PathBuf),
}

impl Iso {
    /// Creates a boot image from bytes in memory.
    pub fn bytes(content: impl Into<Bytes>) -> Self {
        Self::Bytes(content.into())
    }

    /// Creates a boot image from a local file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }
}

impl fmt::Debug for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(content) => write!(f, "Iso({} bytes)", content.len()),
            Self::File(path) => write!(f, "Iso({})", path.display()),
        }
    }
}
