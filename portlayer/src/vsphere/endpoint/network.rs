//! Looks up networks by name and returns the backings of network cards.

use vim25::types::{
    DistributedVirtualSwitchPortConnection, VirtualDeviceBackingInfo,
    VirtualDeviceDeviceBackingInfo, VirtualEthernetCardDistributedVirtualPortBackingInfo,
    VirtualEthernetCardNetworkBackingInfo,
};
use vim25::{Poly, Property, Ref, mo, props};
use vsphere_client::Datacenter;

use super::Endpoint;
use crate::vsphere::fault;
use crate::{Error, Resource, ResourceKind, Result};

type Portgroup<V> = Property<mo::DistributedVirtualPortgroup, V>;

const PORTGROUP_SWITCH: Portgroup<Ref<mo::DistributedVirtualSwitch>> =
    Property::new("config.distributedVirtualSwitch");

impl Endpoint {
    pub(in crate::vsphere) async fn network(
        &self,
        datacenter: &Datacenter,
        name: &str,
    ) -> Result<Poly<VirtualDeviceBackingInfo>> {
        Ok(self.network_or_only(datacenter, Some(name)).await?.1)
    }

    /// Finds the network of this name, or the only one; returns its backing and name.
    pub(in crate::vsphere) async fn network_or_only(
        &self,
        datacenter: &Datacenter,
        name: Option<&str>,
    ) -> Result<(String, Poly<VirtualDeviceBackingInfo>)> {
        let resource = Resource::new(ResourceKind::Network, name.unwrap_or_default());
        let wrap = |error| fault::error(&resource, error);
        let network = self
            .client
            .inventory()
            .network(datacenter, name)
            .await
            .map_err(wrap)?;
        let name = self
            .client
            .get(&network, props::network::NAME)
            .await
            .map_err(wrap)?;
        let backing = self.backing(&name, &network).await?;
        Ok((name, backing))
    }

    async fn backing(
        &self,
        name: &str,
        network: &Ref<mo::Network>,
    ) -> Result<Poly<VirtualDeviceBackingInfo>> {
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
                Error::internal(
                    resource.clone(),
                    "the endpoint does not say which switch it is on",
                )
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
                "networks of another system (opaque networks) are not supported: use a port group",
            ));
        }
        Ok(Poly::new(VirtualEthernetCardNetworkBackingInfo {
            base: VirtualDeviceDeviceBackingInfo {
                device_name: name.to_owned(),
                ..VirtualDeviceDeviceBackingInfo::default()
            },
            network: Some(network.clone()),
            ..VirtualEthernetCardNetworkBackingInfo::default()
        }))
    }
}
