//! Standard switches and port groups of the host.

use vim25::types::{
    HostNetworkPolicy, HostPortGroup, HostPortGroupSpec, HostVirtualSwitch, HostVirtualSwitchSpec,
};
use vim25::{Fault, mo};

use super::network;
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing};
use crate::layout::HostLayout;
use crate::object::Object;
use crate::world::Transaction;

/// Default number of ports of a switch.
const PORTS: i32 = 1_536;

pub(super) fn build(tx: &mut Transaction<'_>, layout: &HostLayout) {
    let mut system = Object::new::<mo::HostNetworkSystem>(layout.network_system().value());
    let info = vim25::types::HostNetworkInfo::default();
    system.put("networkInfo", &info);
    tx.insert(system);
    if let Ok(host) = tx.edit(&layout.host()) {
        let _ = host.set("config.network", &info);
    }
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "AddPortGroup" => add_port_group(inv),
        "RemovePortGroup" => remove_port_group(inv),
        "AddVirtualSwitch" => add_switch(inv),
        "RemoveVirtualSwitch" => remove_switch(inv),
        "RefreshNetworkSystem" => nothing(),
        _ => return None,
    })
}

fn add_port_group(inv: &mut Invocation<'_, '_>) -> Answer {
    let spec: HostPortGroupSpec = inv.arg("portgrp")?;
    if spec.name.is_empty() || spec.name.len() > 80 {
        return Err(fault::invalid_argument("portgrp.name"));
    }
    if !(0..=4_095).contains(&spec.vlan_id) {
        return Err(fault::invalid_argument("portgrp.vlanId"));
    }
    let layout = layout(inv)?;
    network::build(
        inv.tx,
        &layout,
        &spec.name,
        spec.vlan_id,
        &spec.vswitch_name,
    )?;
    nothing()
}

fn remove_port_group(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: String = inv.arg("pgName")?;
    let layout = layout(inv)?;
    network::remove(inv.tx, &layout, &name)?;
    nothing()
}

fn add_switch(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: String = inv.arg("vswitchName")?;
    let spec: Option<HostVirtualSwitchSpec> = inv.arg("spec")?;
    if name.is_empty() || name.len() > 32 {
        return Err(fault::invalid_argument("vswitchName"));
    }
    let layout = layout(inv)?;
    make_switch(inv.tx, &layout, &name, &spec.unwrap_or_default())?;
    nothing()
}

/// Adds a switch without port groups.
pub(super) fn make_switch(
    tx: &mut Transaction<'_>,
    layout: &HostLayout,
    name: &str,
    spec: &HostVirtualSwitchSpec,
) -> Result<(), Fault> {
    change(tx, layout, |network| {
        if network.vswitch.iter().any(|switch| switch.name == name) {
            return Err(fault::already_exists(name));
        }
        network.vswitch.push(switch(name, spec));
        Ok(())
    })
}

fn remove_switch(inv: &mut Invocation<'_, '_>) -> Answer {
    let name: String = inv.arg("vswitchName")?;
    let layout = layout(inv)?;
    change(inv.tx, &layout, |network| {
        let at = network
            .vswitch
            .iter()
            .position(|switch| switch.name == name);
        let at = at.ok_or_else(|| fault::not_found_key(&name))?;
        if !network.vswitch[at].portgroup.is_empty() {
            return Err(fault::resource_in_use(&name));
        }
        network.vswitch.remove(at);
        Ok(())
    })?;
    nothing()
}

fn switch(name: &str, spec: &HostVirtualSwitchSpec) -> HostVirtualSwitch {
    let mut spec = spec.clone();
    if spec.num_ports <= 0 {
        spec.num_ports = PORTS;
    }
    HostVirtualSwitch {
        name: name.to_owned(),
        key: format!("key-vim.host.VirtualSwitch-{name}"),
        num_ports: spec.num_ports,
        num_ports_available: spec.num_ports,
        mtu: spec.mtu.or(Some(1_500)),
        spec,
        ..Default::default()
    }
}

/// Adds a port group to its switch.
pub(super) fn attach(
    tx: &mut Transaction<'_>,
    layout: &HostLayout,
    name: &str,
    vlan: i32,
    switch: &str,
) -> Result<(), Fault> {
    change(tx, layout, |network| {
        if network
            .portgroup
            .iter()
            .any(|group| group.spec.name == name)
        {
            return Err(fault::already_exists(name));
        }
        let found = network
            .vswitch
            .iter_mut()
            .find(|known| known.name == switch);
        let found = found.ok_or_else(|| fault::not_found_key(switch))?;
        let key = format!("key-vim.host.PortGroup-{name}");
        found.portgroup.push(key.clone());
        network.portgroup.push(HostPortGroup {
            key: Some(key),
            vswitch: Some(found.key.clone()),
            spec: HostPortGroupSpec {
                name: name.to_owned(),
                vlan_id: vlan,
                vswitch_name: switch.to_owned(),
                policy: HostNetworkPolicy::default(),
            },
            ..Default::default()
        });
        Ok(())
    })
}

/// Removes a port group from its switch.
pub(super) fn detach(
    tx: &mut Transaction<'_>,
    layout: &HostLayout,
    name: &str,
) -> Result<(), Fault> {
    change(tx, layout, |network| {
        let at = network
            .portgroup
            .iter()
            .position(|group| group.spec.name == name);
        let at = at.ok_or_else(|| fault::not_found_key(name))?;
        let key = network.portgroup.remove(at).key;
        for switch in &mut network.vswitch {
            switch.portgroup.retain(|group| Some(group) != key.as_ref());
        }
        Ok(())
    })
}

/// Returns the layout of the host whose network system the method is called on.
fn layout(inv: &Invocation<'_, '_>) -> Result<HostLayout, Fault> {
    HostLayout::of_system(inv.this.value(), "networkSystem").ok_or_else(fault::not_supported)
}

fn change(
    tx: &mut Transaction<'_>,
    layout: &HostLayout,
    change: impl FnOnce(&mut vim25::types::HostNetworkInfo) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let system = tx.edit(&layout.network_system())?;
    let mut info = system.read("networkInfo")?;
    change(&mut info)?;
    system.put("networkInfo", &info);
    tx.edit(&layout.host())?.set("config.network", &info)
}
