//! A distributed switch and its port groups.

use vim25::types::{
    DVPortSetting, DVPortgroupConfigInfo, DVPortgroupPolicy, DVSCapability, DVSConfigInfo,
    DVSNameArrayUplinkPortPolicy, DVSSummary, DVSUplinkPortPolicy,
    DistributedVirtualSwitchHostMember, DistributedVirtualSwitchHostMemberBacking,
    DistributedVirtualSwitchHostMemberConfigInfo, DistributedVirtualSwitchHostMemberPnicBacking,
    DistributedVirtualSwitchPortConnection, DistributedVirtualSwitchProductSpec, NetworkSummary,
    VMwareDVSConfigInfo, VMwareDVSPortSetting, VMwareDVSPortgroupPolicy,
    VirtualEthernetCardDistributedVirtualPortBackingInfo,
};
use vim25::{AnyRef, Fault, Poly, Ref, mo};

use super::{entity, network};
use crate::layout::HostLayout;
use crate::object::{Object, Retype};
use crate::world::Transaction;

const NAME: &str = "DVS0";
const PORTS: i32 = 8;

/// Returns the name of a port group of the initial inventory.
pub(super) fn group_name(number: usize) -> String {
    format!("{}_DVPG{number}", super::DATACENTER)
}

/// Creates a switch with port groups. All hosts are members of the switch.
pub(super) fn build(
    tx: &mut Transaction<'_>,
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
    let folder = tx.layout().network_folder();
    let mut object =
        entity::new::<mo::VmwareDistributedVirtualSwitch>(&value, NAME, Some(entity::any(&folder)));
    object.put("uuid", &uuid);
    object.put("capability", &DVSCapability::default());
    let mut references = Vec::new();
    let mut names = Vec::new();
    for number in 0..groups {
        let key = format!("dvportgroup-{}", tx.ids().number());
        names.push(group_name(number));
        group(tx, &key, &group_name(number), &switch, hosts)?;
        references.push(Ref::<mo::DistributedVirtualPortgroup>::new(&key));
    }
    describe(&mut object, &uuid, hosts, names);
    object.put("portgroup", &references);
    tx.insert(object);
    let own = entity::any(&switch);
    tx.edit(&folder)?
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

/// Creates a port group.
fn group(
    tx: &mut Transaction<'_>,
    key: &str,
    name: &str,
    switch: &Ref<mo::DistributedVirtualSwitch>,
    hosts: &[HostLayout],
) -> Result<(), Fault> {
    let folder = tx.layout().network_folder();
    let reference: Ref<mo::DistributedVirtualPortgroup> = Ref::new(key);
    let mut object =
        entity::new::<mo::DistributedVirtualPortgroup>(key, name, Some(entity::any(&folder)));
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
            default_port_config: Some(Poly::<DVPortSetting>::new(VMwareDVSPortSetting::default())),
            type_: "earlyBinding".into(),
            backing_type: Some("standard".into()),
            policy: Poly::<DVPortgroupPolicy>::new(VMwareDVSPortgroupPolicy::default()),
            config_version: Some("1".into()),
            ..Default::default()
        },
    );
    let members: Vec<Ref<mo::HostSystem>> = hosts.iter().map(HostLayout::host).collect();
    object.put("host", &members);
    object.put("vm", &Vec::<AnyRef>::new());
    tx.insert(object);
    let own = entity::any(&reference);
    network::register(tx, &own)?;
    for host in hosts {
        network::list(tx, &own, &host.host(), true)?;
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
