//! Reads and changes the standard switches and port groups of a host.

use vim25::types::{HostNetworkPolicy, HostPortGroupSpec, HostVirtualSwitchSpec};
use vim25::{Property, Ref, mo, props};

use super::Endpoint;
use crate::vsphere::fault;
use crate::vsphere::kind;
use crate::{Error, Resource, ResourceKind, Result};

const NETWORK_SYSTEM: Property<mo::HostSystem, Ref<mo::HostNetworkSystem>> =
    Property::new("configManager.networkSystem");

/// Number of ports of a new switch, as in VIC's installer.
const PORTS: i32 = 1024;

/// The switches and port groups of one host.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct Switches {
    system: Ref<mo::HostNetworkSystem>,
    switches: Vec<String>,
    /// The names of the port groups, each with the name of its switch.
    port_groups: Vec<(String, String)>,
}

impl Switches {
    /// Returns whether a switch has this name.
    pub(in crate::vsphere) fn has_switch(&self, name: &str) -> bool {
        self.switches.iter().any(|switch| switch == name)
    }

    /// Returns the names of the port groups of a switch.
    pub(in crate::vsphere) fn port_groups_of(&self, switch: &str) -> Vec<&str> {
        self.port_groups
            .iter()
            .filter(|(_, owner)| owner == switch)
            .map(|(name, _)| name.as_str())
            .collect()
    }
}

impl Endpoint {
    /// Reads the switches of the host of a pool's compute resource, which must be its only host.
    pub(in crate::vsphere) async fn switches(
        &self,
        pool: &Ref<mo::ResourcePool>,
    ) -> Result<Switches> {
        let resource = self.resource();
        let wrap = |error| fault::error(&resource, error);
        let owner = self
            .client
            .get(pool, props::resource_pool::OWNER)
            .await
            .map_err(wrap)?;
        let hosts = self
            .client
            .get(&owner, props::compute_resource::HOST)
            .await
            .map_err(wrap)?;
        let [host] = &hosts[..] else {
            return Err(Error::invalid_argument(
                Resource::new(kind::COMPUTE_RESOURCE, owner.value()),
                "create_bridge",
                "a bridge network is only created on a single host: name an existing network",
            ));
        };
        let system = self.client.get(host, NETWORK_SYSTEM).await.map_err(wrap)?;
        let info = self
            .client
            .try_get(&system, props::host_network_system::NETWORK_INFO)
            .await
            .map_err(wrap)?
            .unwrap_or_default();
        Ok(Switches {
            system,
            switches: info
                .vswitch
                .iter()
                .map(|switch| switch.name.clone())
                .collect(),
            port_groups: info
                .portgroup
                .iter()
                .map(|group| (group.spec.name.clone(), group.spec.vswitch_name.clone()))
                .collect(),
        })
    }

    /// Adds a switch without uplinks.
    pub(in crate::vsphere) async fn add_switch(
        &self,
        switches: &Switches,
        name: &str,
    ) -> Result<()> {
        let resource = Resource::new(kind::VIRTUAL_SWITCH, name);
        let spec = HostVirtualSwitchSpec {
            num_ports: PORTS,
            ..HostVirtualSwitchSpec::default()
        };
        let call = switches.system.add_virtual_switch(name, Some(&spec));
        self.call(call, &resource).await
    }

    /// Adds a port group to a switch, on VLAN 1 as VIC's installer did.
    pub(in crate::vsphere) async fn add_port_group(
        &self,
        switches: &Switches,
        (name, switch): (&str, &str),
    ) -> Result<()> {
        let resource = Resource::new(ResourceKind::Network, name);
        let spec = HostPortGroupSpec {
            name: name.to_owned(),
            vlan_id: 1,
            vswitch_name: switch.to_owned(),
            policy: HostNetworkPolicy::default(),
        };
        self.call(switches.system.add_port_group(&spec), &resource)
            .await
    }

    /// Removes a port group. An absent one counts as success.
    pub(in crate::vsphere) async fn remove_port_group(
        &self,
        switches: &Switches,
        name: &str,
    ) -> Result<()> {
        if !switches.port_groups.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        let resource = Resource::new(ResourceKind::Network, name);
        absent(
            self.call(switches.system.remove_port_group(name), &resource)
                .await,
        )
    }

    /// Removes a switch. An absent one counts as success.
    pub(in crate::vsphere) async fn remove_switch(
        &self,
        switches: &Switches,
        name: &str,
    ) -> Result<()> {
        if !switches.has_switch(name) {
            return Ok(());
        }
        let resource = Resource::new(kind::VIRTUAL_SWITCH, name);
        absent(
            self.call(switches.system.remove_virtual_switch(name), &resource)
                .await,
        )
    }
}

fn absent(removed: Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.is_not_found() => Ok(()),
        removed => removed,
    }
}
