//! Networks with VLANs: port groups on the switch of a host's bridge network, standard or
//! distributed.

use vim25::types::{
    DVPortSetting, DVPortgroupConfigSpec, ResourceInUse, VMwareDVSPortSetting,
    VmwareDistributedVirtualSwitchVlanIdSpec,
};
use vim25::{Poly, Property, Ref, mo, props};
use vsphere_client::Datacenter;

use super::network::PORTGROUP_SWITCH;
use super::{Endpoint, PortGroup, Switches};
use crate::vsphere::fault;
use crate::{Capability, Error, ErrorKind, Resource, Result};

const SETTING: Property<mo::DistributedVirtualPortgroup, Poly<DVPortSetting>> =
    Property::new("config.defaultPortConfig");
const DESCRIPTION: Property<mo::DistributedVirtualPortgroup, String> =
    Property::new("config.description");

/// The type of new distributed port groups: a card has a port for as long as it exists.
const BINDING: &str = "earlyBinding";

/// The switch of a bridge network.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct BridgeSwitch {
    pub(in crate::vsphere) name: String,
    pub(in crate::vsphere) groups: Vec<SwitchPortGroup>,
    kind: Kind,
}

/// A port group of a standard or distributed switch.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct SwitchPortGroup {
    pub(in crate::vsphere) name: String,
    /// `None` if it has none, or several.
    pub(in crate::vsphere) vlan: Option<u16>,
    /// `None` on a standard switch.
    pub(in crate::vsphere) description: Option<String>,
}

#[derive(Clone, Debug)]
enum Kind {
    Standard(Switches),
    Distributed(Ref<mo::DistributedVirtualSwitch>),
}

impl BridgeSwitch {
    /// Iterates over the VLANs of the port groups.
    pub(in crate::vsphere) fn vlans(&self) -> impl Iterator<Item = u16> {
        self.groups.iter().filter_map(|group| group.vlan)
    }

    /// Returns whether a port group has this name and this VLAN.
    pub(in crate::vsphere) fn has(&self, (name, vlan): (&str, u16)) -> bool {
        let mut groups = self.groups.iter();
        groups.any(|group| group.name == name && group.vlan == Some(vlan))
    }

    pub(in crate::vsphere) const fn is_distributed(&self) -> bool {
        matches!(self.kind, Kind::Distributed(_))
    }
}

impl Endpoint {
    /// Returns the switch of the bridge network with this name or path.
    ///
    /// # Errors
    /// [`Unsupported`](ErrorKind::Unsupported) if port groups cannot be added to the switch.
    pub(in crate::vsphere) async fn bridge_switch(
        &self,
        datacenter: &Datacenter,
        pool: &Ref<mo::ResourcePool>,
        bridge: &str,
    ) -> Result<BridgeSwitch> {
        let found = self.find_network(datacenter, Some(bridge)).await?;
        let resource = Resource::network(bridge);
        if let Some(group) = found
            .reference
            .downcast::<mo::DistributedVirtualPortgroup>()
        {
            return self.distributed_switch(&group, &resource).await;
        }
        let unsupported = |reason: Error| {
            Error::unsupported(resource.clone(), Capability::ScopeVlans).with_source(reason)
        };
        let switches = match self.switches(pool).await {
            Err(error) if matches!(error.kind, ErrorKind::InvalidArgument { .. }) => {
                return Err(unsupported(error));
            }
            switches => switches?,
        };
        let Some(group) = switches.port_group(&found.facts.name) else {
            let reason = "it is not a port group of a switch of the ESXi host";
            return Err(unsupported(
                Error::not_found(resource.clone()).with_source(reason),
            ));
        };
        let name = group.switch.clone();
        let groups = switches.port_groups_of(&name);
        let groups = groups.map(|group| SwitchPortGroup {
            name: group.name.clone(),
            vlan: Some(group.vlan),
            description: None,
        });
        Ok(BridgeSwitch {
            groups: groups.collect(),
            name,
            kind: Kind::Standard(switches),
        })
    }

    async fn distributed_switch(
        &self,
        group: &Ref<mo::DistributedVirtualPortgroup>,
        resource: &Resource,
    ) -> Result<BridgeSwitch> {
        let wrap = |error| fault::error(resource, error);
        let switch = self.client.get(group, PORTGROUP_SWITCH);
        let switch = switch.await.map_err(wrap)?;
        let parts = (
            props::distributed_virtual_switch::NAME,
            props::distributed_virtual_switch::PORTGROUP,
        );
        let (name, groups) = self.client.try_get(&switch, parts).await.map_err(wrap)?;
        let query = self.client.retrieve::<mo::DistributedVirtualPortgroup>();
        let query = query
            .property(props::distributed_virtual_portgroup::NAME)
            .property(SETTING)
            .property(DESCRIPTION)
            .objects(groups.unwrap_or_default());
        let groups = query.collect().await.map_err(wrap)?;
        let groups = groups.iter().filter_map(|group| {
            Some(SwitchPortGroup {
                name: group.value(props::distributed_virtual_portgroup::NAME)?,
                vlan: group.value(SETTING).and_then(vlan),
                description: group.value(DESCRIPTION),
            })
        });
        Ok(BridgeSwitch {
            name: name.unwrap_or_default(),
            groups: groups.collect(),
            kind: Kind::Distributed(switch),
        })
    }

    /// Adds a port group with a VLAN to a switch. Only a distributed one has a description.
    ///
    /// # Errors
    /// [`AlreadyExists`](ErrorKind::AlreadyExists) if a network has this name.
    pub(in crate::vsphere) async fn add_vlan_network(
        &self,
        switch: &BridgeSwitch,
        (name, vlan): (&str, u16),
        description: Option<String>,
    ) -> Result<()> {
        match &switch.kind {
            Kind::Standard(switches) => {
                let group = PortGroup {
                    name: name.to_owned(),
                    switch: switch.name.clone(),
                    vlan,
                };
                self.add_port_group(switches, &group).await
            }
            Kind::Distributed(switch) => {
                let id = VmwareDistributedVirtualSwitchVlanIdSpec {
                    vlan_id: vlan.into(),
                    ..VmwareDistributedVirtualSwitchVlanIdSpec::default()
                };
                let setting = VMwareDVSPortSetting {
                    vlan: Some(Poly::new(id)),
                    ..VMwareDVSPortSetting::default()
                };
                let spec = DVPortgroupConfigSpec {
                    name: Some(name.to_owned()),
                    description,
                    type_: Some(BINDING.to_owned()),
                    auto_expand: Some(true),
                    default_port_config: Some(Poly::new(setting)),
                    ..DVPortgroupConfigSpec::default()
                };
                let call = switch.add_dv_portgroup(&[spec]);
                self.run(call, &Resource::network(name)).await
            }
        }
    }

    /// Removes networks that were created with these names and VLANs. Absent ones count as success;
    /// those that have another VLAN are kept, because somebody else made them.
    ///
    /// # Errors
    /// [`InUse`](ErrorKind::InUse) if machines are connected to one of them.
    pub(in crate::vsphere) async fn remove_vlan_networks(
        &self,
        datacenter: &Datacenter,
        pool: &Ref<mo::ResourcePool>,
        networks: impl IntoIterator<Item = (&str, u16)>,
    ) -> Result<()> {
        for (name, expected) in networks {
            let found = match self.find_network(datacenter, Some(name)).await {
                Err(error) if error.is_not_found() => continue,
                found => found?,
            };
            let group = found
                .reference
                .downcast::<mo::DistributedVirtualPortgroup>();
            let Some(group) = group else {
                let switches = self.switches(pool).await?;
                let group = switches.port_group(name);
                if group.is_some_and(|group| group.vlan == expected) {
                    self.remove_port_group(&switches, name).await?;
                }
                continue;
            };
            let resource = Resource::network(name);
            let setting = self.client.get(&group, SETTING).await;
            let setting = setting.map_err(|error| fault::error(&resource, error))?;
            if vlan(setting) == Some(expected) {
                self.remove_distributed(&group, resource).await?;
            }
        }
        Ok(())
    }

    async fn remove_distributed(
        &self,
        group: &Ref<mo::DistributedVirtualPortgroup>,
        resource: Resource,
    ) -> Result<()> {
        match self.attempt(group.destroy(), &resource).await? {
            Err(error) if error.is_fault::<ResourceInUse>() => {
                let network = group.upcast();
                Err(self.network_in_use(&network, resource, error).await)
            }
            removed => match removed.map_err(|error| fault::error(&resource, error)) {
                Err(error) if error.is_not_found() => Ok(()),
                removed => removed,
            },
        }
    }
}

/// Returns the VLAN of a distributed port group; `None` if it has none, or several.
fn vlan(setting: Poly<DVPortSetting>) -> Option<u16> {
    let setting = setting.get::<VMwareDVSPortSetting>().ok()??;
    let vlan = setting.vlan?;
    let vlan = vlan.get::<VmwareDistributedVirtualSwitchVlanIdSpec>();
    vlan.ok()??.vlan_id.try_into().ok()
}
