//! Looks up networks by name or path, and returns the backings of network cards.

use vim25::types::{
    DistributedVirtualSwitchPortConnection, Tag, VirtualDeviceBackingInfo,
    VirtualDeviceDeviceBackingInfo, VirtualEthernetCardDistributedVirtualPortBackingInfo,
    VirtualEthernetCardNetworkBackingInfo,
};
use vim25::{Poly, Property, Ref, mo, props};
use vsphere_client::Datacenter;

use super::Endpoint;
use crate::vsphere::fault;
use crate::{Error, Resource, ResourceKind, Result};

type Portgroup<V> = Property<mo::DistributedVirtualPortgroup, V>;

pub(super) const PORTGROUP_SWITCH: Portgroup<Ref<mo::DistributedVirtualSwitch>> =
    Property::new("config.distributedVirtualSwitch");

/// The tag of the port group that carries the uplinks of a distributed switch.
const UPLINKS: &str = "SYSTEM/DVS.UPLINKPG";

/// The properties of a network that the checks need.
#[derive(Clone, Debug, Default)]
pub(in crate::vsphere) struct NetworkFacts {
    pub(in crate::vsphere) name: String,
    pub(in crate::vsphere) is_distributed: bool,
    pub(in crate::vsphere) is_uplink: bool,
    /// The ids of the hosts that the network is on; empty if the endpoint does not report them.
    pub(in crate::vsphere) hosts: Vec<String>,
}

/// A network that was found by its name or path.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct FoundNetwork {
    pub(in crate::vsphere) reference: Ref<mo::Network>,
    pub(in crate::vsphere) facts: NetworkFacts,
}

impl Endpoint {
    /// Finds the network with this name or inventory path; without one, finds the only network.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such network, and
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if the name is ambiguous. Both list
    /// the candidates.
    pub(in crate::vsphere) async fn find_network(
        &self,
        datacenter: &Datacenter,
        name: Option<&str>,
    ) -> Result<FoundNetwork> {
        let resource = Resource::new(ResourceKind::Network, name.unwrap_or_default());
        let wrap = |error| fault::error(&resource, error);
        let reference = self
            .client
            .inventory()
            .network(datacenter, name)
            .await
            .map_err(wrap)?;
        let parts = (
            props::network::NAME,
            props::network::HOST,
            props::network::TAG,
        );
        let (name, hosts, tags) = self.client.try_get(&reference, parts).await.map_err(wrap)?;
        let name = name.ok_or_else(|| {
            Error::internal(resource.clone(), "the endpoint did not return its name")
        })?;
        let is_uplink = |tag: &Tag| tag.key == UPLINKS;
        let facts = NetworkFacts {
            name,
            is_distributed: reference.is::<mo::DistributedVirtualPortgroup>(),
            is_uplink: tags.unwrap_or_default().iter().any(is_uplink),
            hosts: hosts
                .unwrap_or_default()
                .iter()
                .map(|host| host.value().to_owned())
                .collect(),
        };
        Ok(FoundNetwork { reference, facts })
    }

    /// Returns the backing of a network card on the network with this name or path.
    pub(in crate::vsphere) async fn network(
        &self,
        datacenter: &Datacenter,
        name: &str,
    ) -> Result<Poly<VirtualDeviceBackingInfo>> {
        let found = self.find_network(datacenter, Some(name)).await?;
        self.backing(&found).await
    }

    /// Returns the backing of a network card on this network: a standard port group is identified
    /// by its name, a distributed port group by its key and the UUID of its switch.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an opaque network.
    pub(in crate::vsphere) async fn backing(
        &self,
        found: &FoundNetwork,
    ) -> Result<Poly<VirtualDeviceBackingInfo>> {
        let (name, network) = (&found.facts.name, &found.reference);
        let resource = Resource::new(ResourceKind::Network, name);
        let wrap = |error| fault::error(&resource, error);
        if let Some(portgroup) = network.downcast::<mo::DistributedVirtualPortgroup>() {
            let key = props::distributed_virtual_portgroup::KEY;
            let (key, switch) = self
                .client
                .try_get(&portgroup, (key, PORTGROUP_SWITCH))
                .await
                .map_err(wrap)?;
            let switch = switch.ok_or_else(|| {
                Error::internal(resource.clone(), "the endpoint did not return its switch")
            })?;
            let uuid = props::distributed_virtual_switch::UUID;
            let uuid = self.client.get(&switch, uuid).await.map_err(wrap)?;
            return Ok(Poly::new(
                VirtualEthernetCardDistributedVirtualPortBackingInfo {
                    port: DistributedVirtualSwitchPortConnection {
                        switch_uuid: uuid,
                        portgroup_key: key,
                        ..DistributedVirtualSwitchPortConnection::default()
                    },
                    ..VirtualEthernetCardDistributedVirtualPortBackingInfo::default()
                },
            ));
        }
        if network.is::<mo::OpaqueNetwork>() {
            return Err(Error::invalid_argument(
                resource,
                "network",
                "opaque networks are not supported: use a port group",
            ));
        }
        Ok(Poly::new(VirtualEthernetCardNetworkBackingInfo {
            base: VirtualDeviceDeviceBackingInfo {
                device_name: name.clone(),
                ..VirtualDeviceDeviceBackingInfo::default()
            },
            network: Some(network.clone()),
            ..VirtualEthernetCardNetworkBackingInfo::default()
        }))
    }
}
