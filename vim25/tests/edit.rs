//! Changing a value at a path.
#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use vim25::types::{
    OptionValue, VirtualDisk, VirtualHardware, VirtualMachineConfigInfo, VirtualMachineFileInfo,
};
use vim25::{Any, Poly};

fn config() -> Any {
    let disk = |key, kb| {
        let mut disk = VirtualDisk {
            capacity_in_kb: kb,
            ..Default::default()
        };
        disk.key = key;
        Poly::new(disk)
    };
    Any::new(&VirtualMachineConfigInfo {
        name: "web".into(),
        files: VirtualMachineFileInfo::default(),
        hardware: VirtualHardware {
            num_cpu: 1,
            device: vec![disk(2000, 10), disk(2001, 20)],
            ..Default::default()
        },
        extra_config: vec![Poly::new(OptionValue::new("a", "1"))],
        ..Default::default()
    })
}

#[test]
fn a_field_deep_inside_is_replaced_and_the_rest_stays() {
    let before = config();
    let after = before
        .with("hardware.device[2001].capacityInKB", &Any::new(&21i64))
        .unwrap();
    let changes = vim25::difference("", before.node(), after.node());
    let paths: Vec<_> = changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["hardware.device[2001].capacityInKB"]);
    let whole: VirtualMachineConfigInfo = after.get().unwrap();
    assert_eq!(whole.hardware.device.len(), 2);
}

#[test]
fn items_are_added_replaced_and_removed_by_key() {
    let value = config();
    let value = value
        .with("extraConfig[\"b\"]", &Any::new(&OptionValue::new("b", "2")))
        .unwrap();
    let value = value
        .with("extraConfig[\"a\"].value", &Any::from("9"))
        .unwrap();
    let texts = |value: &Any| {
        let config: VirtualMachineConfigInfo = value.get().unwrap();
        config
            .extra_config
            .iter()
            .map(|option| (option.key().to_owned(), option.text().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        texts(&value),
        [("a".into(), "9".into()), ("b".into(), "2".into())]
    );
    let value = value.with("extraConfig[\"a\"]", &Any::default()).unwrap();
    assert_eq!(texts(&value), [("b".into(), "2".into())]);
    let none = value
        .with("extraConfig", &Any::new(&Vec::<OptionValue>::new()))
        .unwrap();
    assert_eq!(texts(&none), []);
}

#[test]
fn a_field_that_was_absent_takes_its_place() {
    let value = config().with("annotation", &Any::from("note")).unwrap();
    let xml = format!("{value:?}");
    let (annotation, files) = (xml.find("annotation").unwrap(), xml.find("files").unwrap());
    assert!(annotation < files, "schema order: {xml}");
    let gone = value.with("annotation", &Any::default()).unwrap();
    assert_eq!(gone, config());
}

#[test]
fn a_path_that_leads_nowhere_is_an_error() {
    for path in [
        "nosuch",
        "hardware.nosuch",
        "name.x",
        "bootOptions.bootDelay",
        "a[",
        "hardware.device[7].key",
    ] {
        assert!(config().with(path, &Any::from("x")).is_err(), "{path}");
    }
}
