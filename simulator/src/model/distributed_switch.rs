//! A distributed switch and its port groups.

use vim25::types::{
    DVPortSetting, DVPortgroupConfigInfo, DVPortgroupConfigSpec, DVPortgroupPolicy, DVSCapability,
    DVSConfigInfo, DVSNameArrayUplinkPortPolicy, DVSSummary, DVSUplinkPortPolicy,
    DistributedVirtualSwitchHostMember, DistributedVirtualSwitchHostMemberBacking,
    DistributedVirtualSwitchHostMemberConfigInfo, DistributedVirtualSwitchHostMemberPnicBacking,
    DistributedVirtualSwitchPortConnection, DistributedVirtualSwitchProductSpec, NetworkSummary,
    VMwareDVSConfigInfo, VMwareDVSPortSetting, VMwareDVSPortgroupPolicy,
    VirtualEthernetCardDistributedVirtualPortBackingInfo, VmwareDistributedVirtualSwitchVlanIdSpec,
};
use vim25::{AnyRef, Fault, Poly, Ref, mo};

use super::{entity, network};
use crate::fault;
use crate::invocation::{Answer, Invocation, nothing};
use crate::layout::HostLayout;
use crate::object::{Object, Retype};
use crate::task;
use crate::world::Transaction;

const NAME: &str = "DVS0";
const PORTS: i32 = 8;

/// Returns the name of a port group of the initial inventory.
pub(super) fn group_name(datacenter: &str, number: usize) -> String {
    format!("{datacenter}_DVPG{number}")
}

/// Creates a switch with port groups, given the name of its datacenter and the folder. The hosts are
/// members of the switch.
pub(super) fn build(
    tx: &mut Transaction<'_>,
    (datacenter, folder): (&str, &Ref<mo::Folder>),
    groups: usize,
    hosts: &[HostLayout],
) -> Result<(), Fault> {
    if groups == 0 {
        return Ok(());
    }
    let bytes = tx.ids().bytes();
    let mut uuid = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        uuid.push_str(match at {
            0 => "",
            8 => "-",
            _ => " ",
        });
        uuid.push_str(&format!("{byte:02x}"));
    }
    let number = tx.ids().number();
    let value = format!("dvs-{number}");
    let switch: Ref<mo::DistributedVirtualSwitch> =
        AnyRef::from_wire("VmwareDistributedVirtualSwitch", &value).retype();
    let mut object =
        entity::new::<mo::VmwareDistributedVirtualSwitch>(&value, NAME, Some(entity::any(folder)));
    object.put("uuid", &uuid);
    object.put("capability", &DVSCapability::default());
    let mut references = Vec::new();
    let mut names = Vec::new();
    let members: Vec<Ref<mo::HostSystem>> = hosts.iter().map(HostLayout::host).collect();
    for number in 0..groups {
        let key = format!("dvportgroup-{}", tx.ids().number());
        names.push(group_name(datacenter, number));
        let setting = Poly::<DVPortSetting>::new(VMwareDVSPortSetting::default());
        let spec = DVPortgroupConfigSpec {
            name: Some(group_name(datacenter, number)),
            default_port_config: Some(setting),
            ..Default::default()
        };
        group(tx, &key, folder, &spec, &switch, &members)?;
        references.push(Ref::<mo::DistributedVirtualPortgroup>::new(&key));
    }
    describe(&mut object, &uuid, hosts, names);
    object.put("portgroup", &references);
    tx.insert(object);
    let own = entity::any(&switch);
    tx.edit(folder)?
        .edit_list("childEntity", |children| children.push(own))
}

fn describe(object: &mut Object, uuid: &str, hosts: &[HostLayout], names: Vec<String>) {
    let product = DistributedVirtualSwitchProductSpec {
        name: Some("DVS".into()),
        vendor: Some("VMware, Inc.".into()),
        version: Some("8.0.0".into()),
        forwarding_class: Some("etherswitch".into()),
        ..Default::default()
    };
    let members: Vec<Ref<mo::HostSystem>> = hosts.iter().map(HostLayout::host).collect();
    object.put(
        "summary",
        &DVSSummary {
            name: NAME.into(),
            uuid: uuid.into(),
            num_ports: PORTS,
            product_info: Some(Box::new(product.clone())),
            host_member: members.clone(),
            host: members.clone(),
            portgroup_name: names,
            num_hosts: i32::try_from(hosts.len()).ok(),
            ..Default::default()
        },
    );
    let mut uplinks = DVSNameArrayUplinkPortPolicy::default();
    uplinks.uplink_port_name = vec!["Uplink 1".into()];
    let host = members
        .into_iter()
        .map(|host| DistributedVirtualSwitchHostMember {
            config: DistributedVirtualSwitchHostMemberConfigInfo {
                host: Some(host),
                max_proxy_switch_ports: 256,
                backing: Poly::<DistributedVirtualSwitchHostMemberBacking>::new(
                    DistributedVirtualSwitchHostMemberPnicBacking::default(),
                ),
                ..Default::default()
            },
            status: "up".into(),
            ..Default::default()
        });
    let mut config = VMwareDVSConfigInfo::default();
    config.max_mtu = 1_500;
    config.base = DVSConfigInfo {
        uuid: uuid.into(),
        name: NAME.into(),
        num_ports: PORTS,
        max_ports: i32::MAX,
        uplink_port_policy: Poly::<DVSUplinkPortPolicy>::new(uplinks),
        default_port_config: Poly::<DVPortSetting>::new(VMwareDVSPortSetting::default()),
        host: host.collect(),
        product_info: product,
        config_version: "1".into(),
        create_time: jiff::Timestamp::now(),
        ..Default::default()
    };
    object.put("config", &Poly::<DVSConfigInfo>::new(config));
}

/// Carries out a method of a switch.
pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "AddDVPortgroup_Task" => add_groups(inv),
        _ => return None,
    })
}

/// Carries out a method of a port group.
pub(super) fn call_group(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "Destroy_Task" => {
            let group = inv.this.clone();
            task::begin(inv, &group.clone(), "ManagedEntity.destroy", move |tx| {
                remove_group(tx, &group)?;
                nothing()
            })
        }
        _ => return None,
    })
}

fn add_groups(inv: &mut Invocation<'_, '_>) -> Answer {
    let specs: Vec<DVPortgroupConfigSpec> = inv.arg("spec")?;
    for spec in &specs {
        check(spec)?;
    }
    let switch: Ref<mo::DistributedVirtualSwitch> = inv.this.retype();
    let description = "DistributedVirtualSwitch.addPortgroups";
    task::begin(inv, &entity::any(&switch), description, move |tx| {
        for spec in &specs {
            add_group(tx, &switch, spec)?;
        }
        nothing()
    })
}

fn check(spec: &DVPortgroupConfigSpec) -> Result<(), Fault> {
    if spec.name.as_ref().is_none_or(String::is_empty) {
        return Err(fault::invalid_argument("spec.name"));
    }
    if spec.type_.is_none() {
        return Err(fault::invalid_argument("spec.type"));
    }
    match vlan(spec) {
        Some(vlan) if !(0..=4_094).contains(&vlan) => {
            Err(fault::invalid_argument("spec.defaultPortConfig.vlan"))
        }
        _ => Ok(()),
    }
}

fn vlan(spec: &DVPortgroupConfigSpec) -> Option<i32> {
    let setting = spec.default_port_config.as_ref()?;
    let setting = setting.get::<VMwareDVSPortSetting>().ok()??;
    let vlan = setting.vlan?;
    let vlan = vlan.get::<VmwareDistributedVirtualSwitchVlanIdSpec>();
    Some(vlan.ok()??.vlan_id)
}

fn add_group(
    tx: &mut Transaction<'_>,
    switch: &Ref<mo::DistributedVirtualSwitch>,
    spec: &DVPortgroupConfigSpec,
) -> Result<(), Fault> {
    let name = entity::name(spec.name.as_deref().unwrap_or_default())?;
    let folder = tx.object(switch)?.parent().unwrap_or_default();
    if let Some(other) = entity::child(tx, &folder, &name) {
        return Err(fault::duplicate_name(&name, &other));
    }
    let summary: DVSSummary = tx.object(switch)?.read("summary")?;
    let key = format!("dvportgroup-{}", tx.ids().number());
    let spec = DVPortgroupConfigSpec {
        name: Some(name.clone()),
        ..spec.clone()
    };
    group(
        tx,
        &key,
        &folder.retype(),
        &spec,
        switch,
        &summary.host_member,
    )?;
    let own = entity::any(&Ref::<mo::DistributedVirtualPortgroup>::new(&key));
    list_group(
        tx,
        switch,
        |groups| groups.push(own),
        |names| names.push(name),
    )
}

/// Removes a port group that no machine uses.
fn remove_group(tx: &mut Transaction<'_>, group: &AnyRef) -> Result<(), Fault> {
    let object = tx.object(group)?;
    let name = object.name().to_owned();
    let switch: AnyRef = object.read("config.distributedVirtualSwitch")?;
    let hosts: Vec<AnyRef> = object.list("host")?;
    if !tx.members(group.value(), "vm").is_empty() {
        return Err(fault::resource_in_use(&name));
    }
    for host in &hosts {
        network::list(tx, group, &host.retype(), false)?;
    }
    list_group(
        tx,
        &switch.retype(),
        |groups| groups.retain(|other| other != group),
        |names| names.retain(|other| *other != name),
    )?;
    network::forget(tx, group)
}

/// Changes the lists of a switch's port groups: the references, and the names.
fn list_group(
    tx: &mut Transaction<'_>,
    switch: &Ref<mo::DistributedVirtualSwitch>,
    references: impl FnOnce(&mut Vec<AnyRef>),
    names: impl FnOnce(&mut Vec<String>),
) -> Result<(), Fault> {
    let switch = tx.edit(switch)?;
    switch.edit_list("portgroup", references)?;
    let mut summary: DVSSummary = switch.read("summary")?;
    names(&mut summary.portgroup_name);
    switch.put("summary", &summary);
    Ok(())
}

/// Creates a port group with the name, the description and the default setting of its ports from a
/// specification.
fn group(
    tx: &mut Transaction<'_>,
    key: &str,
    folder: &Ref<mo::Folder>,
    spec: &DVPortgroupConfigSpec,
    switch: &Ref<mo::DistributedVirtualSwitch>,
    members: &[Ref<mo::HostSystem>],
) -> Result<(), Fault> {
    let name = spec.name.as_deref().unwrap_or_default();
    let setting = spec.default_port_config.clone();
    let setting =
        setting.unwrap_or_else(|| Poly::<DVPortSetting>::new(VMwareDVSPortSetting::default()));
    let reference: Ref<mo::DistributedVirtualPortgroup> = Ref::new(key);
    let mut object =
        entity::new::<mo::DistributedVirtualPortgroup>(key, name, Some(entity::any(folder)));
    object.put("key", &key.to_owned());
    object.put(
        "summary",
        &Poly::new(NetworkSummary {
            network: Some(reference.upcast()),
            name: name.to_owned(),
            accessible: true,
            ..Default::default()
        }),
    );
    object.put(
        "config",
        &DVPortgroupConfigInfo {
            key: key.to_owned(),
            name: name.to_owned(),
            num_ports: PORTS,
            distributed_virtual_switch: Some(switch.clone()),
            description: spec.description.clone(),
            default_port_config: Some(setting),
            type_: "earlyBinding".into(),
            backing_type: Some("standard".into()),
            policy: Poly::<DVPortgroupPolicy>::new(VMwareDVSPortgroupPolicy::default()),
            config_version: Some("1".into()),
            ..Default::default()
        },
    );
    object.put("host", &members.to_vec());
    object.put("vm", &Vec::<AnyRef>::new());
    tx.insert(object);
    let own = entity::any(&reference);
    network::register(tx, folder, &own)?;
    for host in members {
        network::list(tx, &own, host, true)?;
    }
    Ok(())
}

/// Returns the backing that refers to a port group; `None` for any other network.
pub(crate) fn backing(
    tx: &Transaction<'_>,
    group: &AnyRef,
) -> Option<VirtualEthernetCardDistributedVirtualPortBackingInfo> {
    let object = tx.object(group).ok()?;
    let switch: AnyRef = object.read("config.distributedVirtualSwitch").ok()?;
    let mut backing = VirtualEthernetCardDistributedVirtualPortBackingInfo::default();
    backing.port = DistributedVirtualSwitchPortConnection {
        switch_uuid: tx.object(&switch).ok()?.read("uuid").ok()?,
        portgroup_key: Some(object.value().to_owned()),
        ..Default::default()
    };
    Some(backing)
}

/// Returns the port group that a backing refers to, if the backing's switch is correct.
pub(crate) fn group_of<'t>(
    tx: &'t Transaction<'_>,
    port: &DistributedVirtualSwitchPortConnection,
) -> Option<&'t Object> {
    let key = port.portgroup_key.as_deref()?;
    let group = tx
        .get(key)
        .filter(|group| group.is_a("DistributedVirtualPortgroup"))?;
    let named = backing(tx, group.reference())?;
    (named.port.switch_uuid == port.switch_uuid).then_some(&**group)
}
