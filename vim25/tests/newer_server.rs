//! Fields, types and enum values that only a newer server knows are kept.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use vim25::soap::{self, Response};
use vim25::types::{
    ObjectContent, OptionDef, VirtualDevice, VirtualDeviceConnectInfo, VirtualDisk,
    VirtualEthernetCard, VirtualHardware, VirtualMachineConfigOption, VirtualMachinePowerState,
    VirtualMachineRuntimeInfo,
};
use vim25::{Any, ConvertProblem, Limits, Poly, Ref, mo};

/// Returns a page with one object that has this property value.
fn page(value: &str) -> Any {
    let xml = format!(
        r#"<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
            xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
            <s:Body><RetrievePropertiesResponse xmlns="urn:vim25"><returnval>
            <obj type="VirtualMachine">vm-1</obj><propSet><name>p</name>{value}</propSet>
            </returnval></RetrievePropertiesResponse></s:Body></s:Envelope>"#
    );
    decode(xml.as_bytes())
}

fn decode(xml: &[u8]) -> Any {
    let call = Ref::<mo::PropertyCollector>::new("pc").retrieve_properties(&[]);
    match soap::decode_response(&call, xml, &Limits::default()).unwrap() {
        Response::Value(value) => value,
        Response::Fault(fault) => panic!("{fault:?}"),
    }
}

fn value(page: &Any) -> Any {
    let objects: Vec<ObjectContent> = page.get().unwrap();
    objects[0].prop_set[0].val.clone()
}

fn survives(page: &Any) {
    let xml = soap::encode_response("RetrieveProperties", page).unwrap();
    assert_eq!(decode(xml.as_bytes()), *page, "{xml}");
}

const HARDWARE: &str = r#"<val i:type="VirtualHardware"><numCPU>2</numCPU><memoryMB>64</memoryMB>
    <device i:type="VirtualVmxnet9"><key>4000</key>
        <connectable><startConnected>true</startConnected><allowGuestControl>false</allowGuestControl>
            <connected>true</connected><quantumState>both</quantumState></connectable>
        <macAddress>00:50:56:00:00:01</macAddress><addressType>assigned</addressType>
        <warp><factor i:type="xsd:int">9</factor><lane>a</lane><lane>b</lane></warp>
    </device>
    <device i:type="VirtualDisk"><key>2000</key><capacityInKB>1</capacityInKB><frost>7</frost></device>
    <shieldGenerator type="ShieldManager">shield-1</shieldGenerator>
    </val>"#;

#[test]
fn unknown_types_fields_and_references_survive() {
    let page = page(HARDWARE);
    survives(&page);
    let hardware = value(&page);
    let node = hardware.node();
    assert_eq!(
        node.path("device[4000]").unwrap().type_name(),
        "VirtualVmxnet9"
    );
    assert_eq!(
        node.path("device[4000].warp.factor").unwrap().as_i64(),
        Some(9)
    );
    let lanes = node.path("device[4000].warp").unwrap();
    assert_eq!(
        lanes
            .all("lane")
            .map(|n| n.as_str().unwrap())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(
        node.get("shieldGenerator").unwrap().as_reference(),
        Some(("ShieldManager", "shield-1"))
    );
}

#[test]
fn modify_keeps_what_it_does_not_know() {
    let hardware: VirtualHardware = value(&page(HARDWARE)).get().unwrap();
    let mut card: Poly<VirtualDevice> = hardware.device[0].clone();
    assert_eq!(card.type_name(), "VirtualVmxnet9");
    assert!(card.get::<VirtualEthernetCard>().unwrap().is_none());
    let modified = card
        .modify::<VirtualEthernetCard>(|card| {
            assert_eq!(card.mac_address.as_deref(), Some("00:50:56:00:00:01"));
            card.mac_address = Some("00:50:56:ff:ff:ff".into());
            card.wake_on_lan_enabled = Some(true);
        })
        .unwrap();
    assert!(modified);
    let node = card.node();
    assert_eq!(card.type_name(), "VirtualVmxnet9");
    assert_eq!(
        node.get("macAddress").unwrap().as_str(),
        Some("00:50:56:ff:ff:ff")
    );
    assert_eq!(node.get("wakeOnLanEnabled").unwrap().as_bool(), Some(true));
    assert_eq!(node.path("warp.factor").unwrap().as_i64(), Some(9));
    assert_eq!(
        node.path("connectable.quantumState").unwrap().as_str(),
        Some("both")
    );
    assert_eq!(node.get("addressType").unwrap().as_str(), Some("assigned"));
}

#[test]
fn modify_keeps_unknown_fields_inside_what_it_changes() {
    let hardware: VirtualHardware = value(&page(HARDWARE)).get().unwrap();
    let mut card = hardware.device[0].clone();
    let change = |card: &mut VirtualEthernetCard| {
        let connect: &mut VirtualDeviceConnectInfo = card.connectable.as_mut().unwrap();
        connect.connected = false;
    };
    assert!(card.modify::<VirtualEthernetCard>(change).unwrap());
    let node = card.node();
    assert_eq!(
        node.path("connectable.connected").unwrap().as_bool(),
        Some(false)
    );
    assert_eq!(
        node.path("connectable.quantumState").unwrap().as_str(),
        Some("both")
    );
}

#[test]
fn modify_leaves_other_types_alone() {
    let hardware: VirtualHardware = value(&page(HARDWARE)).get().unwrap();
    let mut disk = hardware.device[1].clone();
    let before = disk.clone();
    assert!(
        !disk
            .modify::<VirtualEthernetCard>(|_| panic!("a disk is no card"))
            .unwrap()
    );
    assert_eq!(disk, before);
    assert!(
        disk.modify::<VirtualDisk>(|disk| disk.capacity_in_kb = 2)
            .unwrap()
    );
    assert_eq!(disk.node().get("frost").unwrap().as_str(), Some("7"));
    assert_eq!(disk.node().get("capacityInKB").unwrap().as_i64(), Some(2));
}

#[test]
fn unknown_enum_values_and_simple_types_survive() {
    let known = page(r#"<val i:type="VirtualMachinePowerState">poweredSideways</val>"#);
    survives(&known);
    let state: VirtualMachinePowerState = value(&known).get().unwrap();
    assert_eq!(
        state,
        VirtualMachinePowerState::Other("poweredSideways".into())
    );
    let unknown = page(r#"<val i:type="WarpState">engaged &amp; humming</val>"#);
    survives(&unknown);
    assert_eq!(value(&unknown).type_name(), "WarpState");
    assert_eq!(value(&unknown).node().as_str(), Some("engaged & humming"));
}

#[test]
fn one_bad_property_does_not_cost_the_page() {
    // A number out of range, an object without a required field, an object where
    // a string is declared: all are decoded, and each is an error only when it is converted.
    let page = page(
        r#"<val i:type="VirtualHardware"><numCPU>4294967296</numCPU><memoryMB>x</memoryMB>
           <device i:type="VirtualDisk"><capacityInKB>1</capacityInKB></device></val></propSet>
           <propSet><name><deep>er</deep></name><val i:type="xsd:string">ok</val>"#,
    );
    survives(&page);
    let value = page.node().path("[0].propSet[0].val").unwrap();
    let error = value.to::<VirtualHardware>().unwrap_err();
    assert_eq!(error.path(), "[0].propSet[0].val.numCPU");
    assert!(error.to_string().contains("4294967296"), "{error}");
    let device = value.get("device").unwrap();
    let error = device.to::<VirtualDisk>().unwrap_err();
    assert_eq!(error.problem(), &ConvertProblem::Missing { field: "key" });
    let second = page.node().path("[0].propSet[1].name").unwrap();
    assert!(second.to::<String>().is_err());
    assert_eq!(second.path("deep").unwrap().as_str(), Some("er"));
}

#[test]
fn prefixes_are_resolved_and_never_assumed() {
    // govmomi binds its own prefix, after using it; the conventional one
    // may even be bound to another namespace.
    let page = page(
        r#"<val _X:type="xsd:int" xmlns:_X="http://www.w3.org/2001/XMLSchema-instance">5</val></propSet>
           <propSet><name>q</name><val xmlns:xsi="urn:other" xsi:type="ignored" i:type="anything:string">6</val>"#,
    );
    assert_eq!(
        page.node().path("[0].propSet[0].val").unwrap().as_i64(),
        Some(5)
    );
    assert_eq!(
        page.node().path("[0].propSet[1].val").unwrap().as_str(),
        Some("6")
    );
}

#[test]
fn nil_is_unset_and_empty_elements_are_values() {
    let page = page(
        r#"<val i:type="GuestInfo"><guestState/><hostName i:nil="true"/><toolsStatus i:nil="true"></toolsStatus></val>"#,
    );
    survives(&page);
    let guest: vim25::types::GuestInfo = value(&page).get().unwrap();
    assert_eq!(guest.guest_state, "");
    assert_eq!(guest.host_name, None);
    assert_eq!(guest.tools_status, None);
}

#[test]
fn text_comes_in_pieces() {
    let page = page(
        "<val i:type='xsd:string'> a<!-- no -->b&amp;<![CDATA[<c>]]>&#x263A;<?pi?>\r\nd </val>",
    );
    assert_eq!(value(&page).get::<String>().unwrap(), " ab&<c>\u{263A}\nd ");
}

/// One option without its required type cost the whole configuration of a host.
#[test]
fn an_incomplete_value_inside_is_left_out_and_the_rest_stands() {
    let page = page(
        r#"<val i:type="VirtualMachineConfigOption"><version>vmx-21</version>
           <description>d</description>
           <guestOSDescriptor><id>otherGuest</id></guestOSDescriptor></val></propSet>
           <propSet><name>option</name>
           <val i:type="ArrayOfOptionDef"><OptionDef><key>a</key><label>A</label><summary/>
           <optionType i:type="StringOption"><valueIsReadonly>false</valueIsReadonly><defaultValue/></optionType></OptionDef>
           <OptionDef><key>b</key><label>B</label><summary/></OptionDef></val>"#,
    );
    let options = page.node().path("[0].propSet[1].val").unwrap();
    assert!(options.to::<Vec<OptionDef>>().is_err());
    let read = options.to_lenient::<Vec<OptionDef>>().unwrap();
    assert_eq!(read.value.len(), 1);
    assert_eq!(read.value[0].key, "a");
    assert_eq!(read.left_out.len(), 1);
    assert_eq!(
        read.left_out[0].to_string(),
        "`[0].propSet[1].val[1]` lacks the required field `optionType`"
    );
    // What was asked for is not made up, neither whole nor behind an `Option`.
    let config = page.node().path("[0].propSet[0].val").unwrap();
    assert!(config.to_lenient::<VirtualMachineConfigOption>().is_err());
    assert!(
        config
            .to_lenient::<Option<VirtualMachineConfigOption>>()
            .is_err()
    );
}

/// A field that may be absent is absent where its value is incomplete.
#[test]
fn an_incomplete_value_of_an_optional_field_is_left_out() {
    let page = page(
        r#"<val i:type="VirtualMachineRuntimeInfo"><connectionState>connected</connectionState>
           <powerState>poweredOn</powerState>
           <faultToleranceState>notConfigured</faultToleranceState>
           <toolsInstallerMounted>false</toolsInstallerMounted>
           <question><id>1</id></question><maxCpuUsage>3</maxCpuUsage>
           <numMksConnections>0</numMksConnections>
           <recordReplayState>inactive</recordReplayState>
           <onlineStandby>false</onlineStandby>
           <consolidationNeeded>false</consolidationNeeded>
           <featureRequirement><key>k</key></featureRequirement></val>"#,
    );
    let runtime = page.node().path("[0].propSet[0].val").unwrap();
    assert!(runtime.to::<VirtualMachineRuntimeInfo>().is_err());
    let read = runtime.to_lenient::<VirtualMachineRuntimeInfo>().unwrap();
    assert!(read.value.question.is_none());
    assert!(read.value.feature_requirement.is_empty());
    assert_eq!(read.value.max_cpu_usage, Some(3));
    assert_eq!(read.left_out.len(), 2);
}
