//! Faults of the endpoint and of the connection to it.

use std::time::Duration;

use simulator::{Reaction, Script};
use vim25::Fault;
use vim25::types::NoDiskSpace;

use crate::random::Random;

/// The longest delay of a call or its task.
pub(crate) const LONGEST: Duration = Duration::from_millis(60);

const METHODS: [&str; 18] = [
    "CreateVM_Task",
    "CreateVM_Task",
    "PowerOnVM_Task",
    "PowerOnMultiVM_Task",
    "PowerOffVM_Task",
    "SuspendVM_Task",
    "ReconfigVM_Task",
    "ReconfigVM_Task",
    "Destroy_Task",
    "Destroy_Task",
    "DeleteVirtualDisk_Task",
    "DeleteDatastoreFile_Task",
    "RetrievePropertiesEx",
    "WaitForUpdatesEx",
    "ModifyListView",
    "ImportVApp",
    "HttpNfcLeaseComplete",
    "POST /nfc",
];

/// Injects a fault into one of the next calls.
pub(crate) fn add(script: &Script, random: &mut Random) {
    let method = METHODS[random.below(METHODS.len())];
    let delay = Duration::from_millis(1 + random.below(LONGEST.as_millis() as usize) as u64);
    let full = || Fault::new("the datastore is full", NoDiskSpace::default());
    let reaction = match random.below(9) {
        0 | 1 => Reaction::Disconnect,
        2 | 3 => Reaction::LoseAnswer,
        4 => Reaction::Delay(delay),
        5 if method.ends_with("_Task") => Reaction::SlowTask(delay),
        6 if method.ends_with("_Task") => Reaction::TaskFault(full()),
        7 => Reaction::LoseSession,
        _ => Reaction::HttpStatus(503),
    };
    script.nth(method, 1 + random.below(3), reaction);
}
