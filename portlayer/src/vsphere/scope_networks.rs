//! How the port groups that a host creates for its bridge scopes are named and recognized.

use uuid::Uuid;

use super::endpoint::BridgeSwitch;
use super::vlan_range::VlanRange;

/// The port groups of one host's scopes. Each is named after the host and its VLAN. A distributed
/// port group also has a description with the UUID of the host's appliance; a standard one has no
/// description, so hosts that share a standard switch need different names.
#[derive(Clone, Debug)]
pub(super) struct ScopeNetworks {
    pub(super) host: String,
    /// The UUID of the host's appliance.
    pub(super) appliance: Uuid,
    pub(super) vlans: VlanRange,
}

impl ScopeNetworks {
    /// Returns the name of the port group with this VLAN.
    pub(super) fn name(&self, vlan: u16) -> String {
        format!("{}-vlan-{vlan}", self.host)
    }

    /// Returns the description of distributed port groups.
    pub(super) fn description(&self) -> String {
        format!(
            "Network of a container scope of the host {} ({})",
            self.host, self.appliance
        )
    }

    /// Returns the port groups of a switch that the host created, each with its VLAN.
    pub(super) fn among(&self, switch: &BridgeSwitch) -> Vec<(String, u16)> {
        let description = self.description();
        let is_own = |vlan: u16, name: &str, described: Option<&str>| {
            let is_described = !switch.is_distributed() || described == Some(&description);
            is_described && self.vlans.contains(vlan) && name == self.name(vlan)
        };
        let groups = switch.groups.iter();
        groups
            .filter_map(|group| {
                let vlan = group.vlan?;
                let is_own = is_own(vlan, &group.name, group.description.as_deref());
                is_own.then(|| (group.name.clone(), vlan))
            })
            .collect()
    }
}
