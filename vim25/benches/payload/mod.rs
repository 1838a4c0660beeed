//! Replies of `RetrievePropertiesEx` with any number of virtual machines.
//!
//! The shape is that of the fixture `tests/data/retrieve-3-vms.xml`: per
//! machine 28 KB, 781 elements, 90 of them with `xsi:type`; `config` with 15 or
//! 16 polymorphic devices and 30 option values, `guest`, `name`, `runtime`,
//! `summary`. Each machine gets a reference and names of its own.

use vim25::types::{
    GuestInfo, RetrieveOptions, RetrieveResult, VirtualDisk, VirtualMachineConfigInfo,
    VirtualMachineRuntimeInfo, VirtualMachineSummary,
};
use vim25::{Any, Call, Limits, Ref, mo, soap};

const PAGE: &str = include_str!("../../tests/data/retrieve-3-vms.xml");

/// Returns a response with this many machines.
pub(crate) fn reply(machines: usize) -> String {
    let start = PAGE.find("<objects>").expect("the fixture has objects");
    let end = PAGE.rfind("</objects>").expect("the fixture has objects") + "</objects>".len();
    let templates: Vec<&str> = PAGE[start..end].split_inclusive("</objects>").collect();
    let mut xml = String::with_capacity(machines * 28_500 + 1_000);
    xml.push_str(&PAGE[..start]);
    for machine in 0..machines {
        let template = machine % templates.len();
        let number = |n: usize| format!("{n:05}");
        xml.push_str(
            &templates[template]
                .replace(
                    &format!(">vm-{}<", 1_000 + template),
                    &format!(">vm-{}<", 1_000 + machine),
                )
                .replace(
                    &format!("web-{}", number(template)),
                    &format!("web-{}", number(machine)),
                )
                .replace(
                    &format!("app{}", number(template)),
                    &format!("app{}", number(machine)),
                ),
        );
    }
    xml.push_str(&PAGE[end..]);
    xml
}

/// Returns the call that such a response answers.
pub(crate) fn call() -> Call<Option<RetrieveResult>> {
    let collector: Ref<mo::PropertyCollector> = Ref::new("propertyCollector");
    collector.retrieve_properties_ex(&[], &RetrieveOptions::default())
}

/// Decodes a response to a document.
pub(crate) fn document(call: &Call<Option<RetrieveResult>>, xml: &str) -> Any {
    match soap::decode_response(call, xml.as_bytes(), &Limits::default()) {
        Ok(soap::Response::Value(value)) => value,
        other => panic!("not a page: {other:?}"),
    }
}

/// Converts a whole page to structs: every property, and every disk in it.
/// Returns the number of disks.
pub(crate) fn structs(page: &Any) -> usize {
    let result: RetrieveResult = page.get().expect("a page");
    let mut disks = 0;
    for object in &result.objects {
        for property in &object.prop_set {
            match property.name.as_str() {
                "config" => {
                    let config: VirtualMachineConfigInfo = property.val.get().expect("config");
                    for device in &config.hardware.device {
                        disks +=
                            usize::from(device.get::<VirtualDisk>().expect("a device").is_some());
                    }
                    std::hint::black_box(&config);
                }
                "guest" => drop(std::hint::black_box(property.val.get::<GuestInfo>())),
                "runtime" => drop(std::hint::black_box(
                    property.val.get::<VirtualMachineRuntimeInfo>(),
                )),
                "summary" => drop(std::hint::black_box(
                    property.val.get::<VirtualMachineSummary>(),
                )),
                _ => drop(std::hint::black_box(property.val.get::<String>())),
            }
        }
    }
    disks
}
