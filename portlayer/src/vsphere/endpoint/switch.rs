//! Reads and changes the standard switches and port groups of a host.

use vim25::types::{HostNetworkPolicy, HostPortGroupSpec, HostVirtualSwitchSpec, ResourceInUse};
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
    pub(super) host: Ref<mo::HostSystem>,
    system: Ref<mo::HostNetworkSystem>,
    switches: Vec<String>,
    port_groups: Vec<PortGroup>,
}

/// A port group of a standard switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vsphere) struct PortGroup {
    pub(in crate::vsphere) name: String,
    /// The name of its switch.
    pub(in crate::vsphere) switch: String,
    /// The VLAN id; 0 for none, 4095 for all.
    pub(in crate::vsphere) vlan: u16,
}

/// The VLAN of a bridge network that an installation creates, as in VIC's installer. Its switch has
/// no uplinks.
pub(in crate::vsphere) const BRIDGE_VLAN: u16 = 1;

impl Switches {
    /// Returns whether a switch has this name.
    pub(in crate::vsphere) fn has_switch(&self, name: &str) -> bool {
        self.switches.iter().any(|switch| switch == name)
    }

    /// Iterates over the port groups of a switch.
    pub(in crate::vsphere) fn port_groups_of(
        &self,
        switch: &str,
    ) -> impl Iterator<Item = &PortGroup> {
        let groups = self.port_groups.iter();
        groups.filter(move |group| group.switch == switch)
    }

    /// Returns the port group with this name.
    pub(in crate::vsphere) fn port_group(&self, name: &str) -> Option<&PortGroup> {
        self.port_groups.iter().find(|group| group.name == name)
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
                "compute",
                format!(
                    "it has {} hosts, but switches and port groups are only changed on a single \
                     host: name existing networks",
                    hosts.len()
                ),
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
            host: host.clone(),
            system,
            switches: info
                .vswitch
                .iter()
                .map(|switch| switch.name.clone())
                .collect(),
            port_groups: info
                .portgroup
                .iter()
                .map(|group| PortGroup {
                    name: group.spec.name.clone(),
                    switch: group.spec.vswitch_name.clone(),
                    vlan: group.spec.vlan_id.try_into().unwrap_or_default(),
                })
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

    /// Adds a port group to its switch.
    ///
    /// # Errors
    /// [`AlreadyExists`](crate::ErrorKind::AlreadyExists) if a port group has this name.
    pub(in crate::vsphere) async fn add_port_group(
        &self,
        switches: &Switches,
        group: &PortGroup,
    ) -> Result<()> {
        let resource = Resource::new(ResourceKind::Network, &group.name);
        self.fence.check(&resource)?;
        let spec = HostPortGroupSpec {
            name: group.name.clone(),
            vlan_id: group.vlan.into(),
            vswitch_name: group.switch.clone(),
            policy: HostNetworkPolicy::default(),
        };
        self.call(switches.system.add_port_group(&spec), &resource)
            .await
    }

    /// Removes a port group. An absent one counts as success.
    ///
    /// # Errors
    /// [`InUse`](crate::ErrorKind::InUse) if machines are connected to it.
    pub(in crate::vsphere) async fn remove_port_group(
        &self,
        switches: &Switches,
        name: &str,
    ) -> Result<()> {
        if switches.port_group(name).is_none() {
            return Ok(());
        }
        let resource = Resource::new(ResourceKind::Network, name);
        self.fence.check(&resource)?;
        let call = switches.system.remove_port_group(name);
        match self.client.call(call).await {
            Err(error) if error.is_fault::<ResourceInUse>() => {
                Err(self.port_group_in_use(switches, resource, error).await)
            }
            removed => absent(removed.map_err(|error| fault::error(&resource, error))),
        }
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
