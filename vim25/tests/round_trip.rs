//! A page of virtual machines, in the shape real servers send, survives
//! decoding, encoding and decoding again, as a document and as structs.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use vim25::soap::{self, Response};
use vim25::types::{
    OptionValue, PropertyFilterSpec, RetrieveOptions, RetrieveResult, VirtualDevice, VirtualDisk,
    VirtualE1000, VirtualEthernetCard, VirtualMachineConfigInfo, VirtualVmxnet3,
};
use vim25::{Any, Limits, Ref, mo};

const PAGE: &[u8] = include_bytes!("data/retrieve-3-vms.xml");

fn call() -> vim25::Call<Option<RetrieveResult>> {
    let collector: Ref<mo::PropertyCollector> = Ref::new("propertyCollector");
    collector.retrieve_properties_ex(
        &[PropertyFilterSpec::default()],
        &RetrieveOptions::default(),
    )
}

fn decode(xml: &[u8]) -> Any {
    match soap::decode_response(&call(), xml, &Limits::default()).unwrap() {
        Response::Value(value) => value,
        Response::Fault(fault) => panic!("{fault:?}"),
    }
}

#[test]
fn a_page_decodes_encodes_and_decodes_equal() {
    let page = decode(PAGE);
    let again = soap::encode_response("RetrievePropertiesEx", &page).unwrap();
    assert_eq!(decode(again.as_bytes()), page);
    // Encoding again is a fixed point, byte for byte.
    let third = soap::encode_response("RetrievePropertiesEx", &decode(again.as_bytes())).unwrap();
    assert_eq!(third, again);
}

#[test]
fn structs_hold_everything_that_the_schema_knows() {
    let page = decode(PAGE);
    let result: RetrieveResult = page.get().unwrap();
    assert_eq!(result.objects.len(), 3);
    assert_eq!(Any::new(&result), page);
    for object in &result.objects {
        let value = object
            .prop_set
            .iter()
            .find(|p| p.name == "config")
            .unwrap()
            .val
            .clone();
        let config: VirtualMachineConfigInfo = value.get().unwrap();
        assert_eq!(Any::new(&config), value);
    }
}

#[test]
fn devices_are_told_apart() {
    let result: RetrieveResult = decode(PAGE).get().unwrap();
    // The second machine has two network cards.
    let value = &result.objects[1].prop_set[0].val;
    let config: VirtualMachineConfigInfo = value.get().unwrap();
    let devices = &config.hardware.device;
    let disks: Vec<VirtualDisk> = devices
        .iter()
        .filter_map(|device| device.get().unwrap())
        .collect();
    assert_eq!(
        disks.iter().map(|disk| disk.key).collect::<Vec<_>>(),
        [2000, 2001]
    );
    assert_eq!(disks[1].capacity_in_kb, 83_886_080);
    let cards = devices
        .iter()
        .filter(|device| device.is::<VirtualEthernetCard>())
        .count();
    assert_eq!(cards, 2);
    assert_eq!(devices.iter().filter(|d| d.is::<VirtualE1000>()).count(), 1);
    assert!(devices.iter().all(|device| device.is::<VirtualDevice>()));
    let nic = devices
        .iter()
        .find_map(|d| d.base::<VirtualEthernetCard>().unwrap())
        .unwrap();
    assert_eq!(nic.mac_address.as_deref(), Some("00:50:56:00:00:01"));
    assert!(
        devices
            .iter()
            .any(|d| d.get::<VirtualVmxnet3>().unwrap().is_some())
    );
}

#[test]
fn paths_follow_fields_keys_and_positions() {
    let page = decode(PAGE);
    let file = page
        .node()
        .path("objects[0].propSet[0].val.hardware.device[2000].backing.fileName")
        .unwrap();
    assert!(file.as_str().unwrap().ends_with("_0.vmdk"), "{file:?}");
    let option = page
        .node()
        .path("objects[2].propSet[0].val.extraConfig[\"hpet0.present\"]")
        .unwrap();
    assert_eq!(
        option.to::<OptionValue>().unwrap().text().as_deref(),
        Some("TRUE")
    );
    assert!(page.node().path("objects[0].nosuch").is_none());
    assert!(
        page.node()
            .path("objects[0].propSet[0].val.hardware.device[1].key")
            .is_none()
    );
}

#[test]
fn scalars_keep_their_types_and_values() {
    let all = vec![
        Any::new(&i8::MIN),
        Any::new(&i16::MAX),
        Any::new(&i32::MIN),
        Any::new(&i64::MIN),
        Any::new(&true),
        Any::new(&1.5f32),
        Any::new(&f64::INFINITY),
        Any::new(&"a <b> & \"c\"\r\n\t\u{1F600} ]]>".to_owned()),
        Any::new(&String::new()),
        Any::new(&" leading and trailing ".to_owned()),
        Any::new(&vim25::Binary(vec![0, 255, 7])),
        Any::new(
            &"2026-11-23T10:11:12.123456789Z"
                .parse::<vim25::Timestamp>()
                .unwrap(),
        ),
        Any::new(&Ref::<mo::Folder>::new("group-v3")),
        Any::new(&vec!["x".to_owned(), String::new()]),
        Any::new(&Vec::<i32>::new()),
        Any::new(&vim25::types::VirtualMachinePowerState::Suspended),
    ];
    for value in all {
        let options = Any::new(&vec![OptionValue {
            key: "k".into(),
            value: Some(value.clone()),
        }]);
        let xml = soap::encode_response("QueryOptions", &options).unwrap();
        let manager: Ref<mo::OptionManager> = Ref::new("m");
        let call = manager.query_options(None);
        let back = soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(back, Response::Value(options.clone()), "{xml}");
        let Response::Value(back) = back else {
            unreachable!()
        };
        assert_eq!(
            back.node().path("[\"k\"].value").unwrap().type_name(),
            value.type_name()
        );
    }
}

#[test]
fn times_are_read_with_offsets_fractions_and_without_a_zone() {
    let read = |text: &str| -> vim25::Timestamp {
        let xml = format!(
            "<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body>\
             <CurrentTimeResponse xmlns='urn:vim25'><returnval>{text}</returnval></CurrentTimeResponse>\
             </e:Body></e:Envelope>"
        );
        let call = Ref::<mo::ServiceInstance>::new("ServiceInstance").current_time();
        match soap::decode_response(&call, xml.as_bytes(), &Limits::default()).unwrap() {
            Response::Value(value) => value.get().unwrap(),
            Response::Fault(fault) => panic!("{fault:?}"),
        }
    };
    let expected: vim25::Timestamp = "2026-11-23T16:11:33.5Z".parse().unwrap();
    assert_eq!(read("2026-11-23T16:11:33.500Z"), expected);
    assert_eq!(read("2026-11-23T18:11:33.5+02:00"), expected);
    assert_eq!(read("  2026-11-23T16:11:33.5\n"), expected);
}

/// Found by fuzzing: the object became one of the declared type when it was read again.
#[test]
fn an_object_that_claims_to_be_a_scalar_stays_what_it_is() {
    let xml = |device: &str| {
        format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><e:Body>\
             <QueryOptionsResponse xmlns=\"urn:vim25\"><returnval xsi:type=\"VirtualHardware\">\
             {device}</returnval></QueryOptionsResponse></e:Body></e:Envelope>"
        )
    };
    let manager: Ref<mo::OptionManager> = Ref::new("Setting");
    let call = manager.query_options(None);
    let read = |xml: &str| {
        let response = soap::decode_response(&call, xml.as_bytes(), &Limits::default());
        match response.unwrap() {
            Response::Value(value) => value,
            Response::Fault(fault) => panic!("{fault:?}"),
        }
    };
    for device in [
        "<device xsi:type=\"base64Binary\"><key>1</key></device>",
        "<device xsi:type=\"ManagedObjectReference\"><key>1</key></device>",
        "<device xsi:type=\"string\">text</device>",
    ] {
        let first = read(&xml(device));
        let again = soap::encode_response("QueryOptions", &first).unwrap();
        assert!(read(&again) == first, "{again}");
    }
}
