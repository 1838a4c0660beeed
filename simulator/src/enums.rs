//! Refuses requests with enum values that the API does not define.

use vim25::types::{
    LatencySensitivitySensitivityLevel, SharesLevel, VirtualDeviceConfigSpecFileOperation,
    VirtualDeviceConfigSpecOperation, VirtualMachineMovePriority, VirtualMachinePowerState,
    VirtualSCSISharing,
};
use vim25::{Fault, Node};

use crate::fault;

/// A known enum field: type, field, enum, and a function that returns whether the enum defines
/// a value.
type Known = (&'static str, &'static str, &'static str, fn(&str) -> bool);

macro_rules! known {
    ($ty:ident) => {
        |text| !matches!($ty::from(text), $ty::Other(_) | $ty::Unset)
    };
}

/// The enum fields that the simulator's methods store.
const KNOWN: [Known; 6] = [
    (
        "operation",
        "VirtualDeviceConfigSpec",
        "VirtualDeviceConfigSpecOperation",
        known!(VirtualDeviceConfigSpecOperation),
    ),
    (
        "fileOperation",
        "VirtualDeviceConfigSpec",
        "VirtualDeviceConfigSpecFileOperation",
        known!(VirtualDeviceConfigSpecFileOperation),
    ),
    (
        "sharedBus",
        "VirtualSCSIController",
        "VirtualSCSISharing",
        known!(VirtualSCSISharing),
    ),
    ("level", "SharesInfo", "SharesLevel", known!(SharesLevel)),
    (
        "level",
        "LatencySensitivity",
        "LatencySensitivitySensitivityLevel",
        known!(LatencySensitivitySensitivityLevel),
    ),
    (
        "powerState",
        "VirtualMachineRuntimeInfo",
        "VirtualMachinePowerState",
        known!(VirtualMachinePowerState),
    ),
];

/// Refuses a request with a value that its enum does not define, like a real server, which
/// cannot parse it.
pub(crate) fn check(arguments: Node<'_>) -> Result<(), Fault> {
    // `priority` is the only argument that is itself an enum.
    let priority: fn(&str) -> bool = known!(VirtualMachineMovePriority);
    if let Some(text) = arguments.get("priority").and_then(|node| node.as_str())
        && !priority(text)
    {
        return Err(refused(text, "VirtualMachineMovePriority"));
    }
    let mut pending = vec![arguments];
    while let Some(node) = pending.pop() {
        for child in node.children() {
            let Some(text) = child.as_str() else {
                pending.push(child);
                continue;
            };
            let name = node.name_of(child);
            let known = KNOWN
                .iter()
                .find(|(field, ty, _, _)| *field == name && node.is_a(ty));
            if let Some((_, _, ty, has)) = known
                && !has(text)
            {
                return Err(refused(text, ty));
            }
        }
    }
    Ok(())
}

fn refused(text: &str, ty: &str) -> Fault {
    let text: String = text.chars().take(64).collect();
    fault::invalid_request(format!(
        "Error while parsing the SOAP request: '{text}' is not a value of {ty}"
    ))
}
