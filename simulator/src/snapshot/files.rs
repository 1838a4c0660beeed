//! The files that record snapshots: the list in `NAME.vmsd`, and the configuration of each
//! snapshot in `NAME-SnapshotN.vmsn`.

use jiff::Timestamp;
use vim25::Fault;
use vim25::types::VirtualMachinePowerState;
use vmx::Document;

use super::{Label, Snapshot, Snapshots, state_file};
use crate::datastore::Store;
use crate::datastore::path::DatastorePath;
use crate::device::{self, vmx_settings};
use crate::fault;
use crate::machine;

/// Maximum number of snapshots that are read from a list.
const MAX: usize = 1024;

/// The list of snapshots in a file.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Parents come before their children.
    pub(crate) snapshots: Vec<StoredSnapshot>,
    pub(crate) current: Option<i32>,
    pub(crate) last: i32,
    pub(crate) unmerged: bool,
}

/// A snapshot in a list.
#[derive(Debug)]
pub(crate) struct StoredSnapshot {
    pub(crate) uid: i32,
    pub(crate) parent: Option<i32>,
    pub(crate) label: Label,
    pub(crate) created: Timestamp,
    /// The content of the machine's `.vmx` file at that time.
    pub(crate) config: Document,
}

fn stem(vmx: &DatastorePath) -> &str {
    vmx.file_name().trim_end_matches(".vmx")
}

/// Returns the path of the list of a machine's snapshots.
pub(crate) fn list_file(vmx: &DatastorePath) -> DatastorePath {
    vmx.sibling(&format!("{}.vmsd", stem(vmx)))
}

/// Returns the path of the file with the configuration of a snapshot.
pub(crate) fn state_file_name(vmx: &DatastorePath, uid: i32) -> DatastorePath {
    vmx.sibling(&format!("{}-Snapshot{uid}.vmsn", stem(vmx)))
}

/// Writes the list of snapshots.
pub(crate) fn write_list(
    store: &Store,
    vmx: &DatastorePath,
    snapshots: &Snapshots,
) -> Result<(), Fault> {
    let mut document = Document::new();
    let mut set = |name: &str, value: &str| {
        let set = document.set(name, value);
        set.map(drop)
            .map_err(|error| fault::invalid_vm_config(&error.to_string()))
    };
    set("snapshot.lastUID", &snapshots.last.to_string())?;
    if let Some(current) = snapshots.current() {
        set("snapshot.current", &current.uid.to_string())?;
    }
    if snapshots.unmerged {
        set("snapshot.needConsolidate", "TRUE")?;
    }
    for (number, snapshot) in snapshots.iter().enumerate() {
        let mut set = |key: &str, value: &str| set(&format!("snapshot{number}.{key}"), value);
        set("uid", &snapshot.uid.to_string())?;
        set("filename", state_file_name(vmx, snapshot.uid).file_name())?;
        if let Some(parent) = snapshot.parent {
            set("parent", &parent.to_string())?;
        }
        set("displayName", &snapshot.name)?;
        if !snapshot.description.is_empty() {
            set("description", &snapshot.description)?;
        }
        // Only snapshots with memory have a type. Keys that start with `simulator` are our own.
        if snapshot.state != VirtualMachinePowerState::PoweredOff {
            set("type", "1")?;
        }
        if snapshot.state == VirtualMachinePowerState::Suspended {
            set("simulator.suspended", "TRUE")?;
        }
        if snapshot.quiesced {
            set("simulator.quiesced", "TRUE")?;
        }
        // The time in microseconds is split into two signed numbers.
        let micros = snapshot.created.as_microsecond();
        set("createTimeHigh", &((micros >> 32) as i32).to_string())?;
        set("createTimeLow", &(micros as i32).to_string())?;
        let devices = &snapshot.config.hardware.device;
        let disks = devices.iter().filter(|disk| device::is_in_snapshots(disk));
        let disks: Vec<_> = disks.collect();
        set("numDisks", &disks.len().to_string())?;
        for (number, disk) in disks.into_iter().enumerate() {
            let file = device::text(disk, "backing.fileName").unwrap_or_default();
            let file = vmx_settings::relative(vmx, store, &file);
            set(&format!("disk{number}.fileName"), &file)?;
            let node = vmx_settings::node(devices, disk).unwrap_or_default();
            set(&format!("disk{number}.node"), &node)?;
        }
    }
    set("snapshot.numSnapshots", &snapshots.taken.len().to_string())?;
    store.write(&list_file(vmx), &document.to_bytes())
}

/// Writes the configuration of a snapshot.
pub(crate) fn write_state(
    store: &Store,
    vmx: &DatastorePath,
    snapshot: &Snapshot,
) -> Result<(), Fault> {
    let mut config = Document::new();
    machine::file::update(&mut config, &snapshot.config, &snapshot.extra, vmx, store)?;
    let content = state_file::encode(&config.to_bytes());
    store.write(&state_file_name(vmx, snapshot.uid), &content)
}

/// Reads the snapshots of a machine; `None` if it never had any. Snapshots whose files cannot be
/// read are skipped with a warning.
pub(crate) fn load(store: &Store, vmx: &DatastorePath) -> Option<Stored> {
    let list = list_file(vmx);
    if !store.exists(&list) {
        return None;
    }
    match read(store, vmx, &list) {
        Ok(stored) => Some(stored),
        Err(fault) => {
            tracing::warn!(%list, %fault, "the snapshots of a machine cannot be read");
            None
        }
    }
}

fn read(store: &Store, vmx: &DatastorePath, list: &DatastorePath) -> Result<Stored, Fault> {
    let damaged = |error: &dyn std::error::Error| fault::invalid_vm_config(&error.to_string());
    let document = Document::parse(store.read(list)?).map_err(|error| damaged(&error))?;
    let view = vmx::Snapshots::new(&document);
    let is_set = |name: &str| {
        let value = machine::file::text(&document, name);
        value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    };
    let number = |number: u32| i32::try_from(number).ok().filter(|number| *number > 0);
    let mut stored = Stored {
        snapshots: Vec::new(),
        current: view
            .current()
            .map_err(|error| damaged(&error))?
            .and_then(number),
        last: machine::file::text(&document, "snapshot.lastUID")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
        unmerged: view
            .needs_consolidation()
            .map_err(|error| damaged(&error))?,
    };
    for entry in view
        .all()
        .map_err(|error| damaged(&error))?
        .iter()
        .take(MAX)
    {
        let Some(uid) = entry.uid.and_then(number) else {
            continue;
        };
        let key = |key: &str| format!("snapshot{}.{key}", entry.number);
        let file = entry.file_name.as_deref().unwrap_or_default();
        let config = match read_state(store, vmx, file) {
            Ok(config) => config,
            Err(fault) => {
                tracing::warn!(%list, uid, %fault, "a snapshot is skipped");
                continue;
            }
        };
        let has_memory = machine::file::text(&document, &key("type")).is_some_and(|ty| ty != "0");
        let state = if is_set(&key("simulator.suspended")) {
            VirtualMachinePowerState::Suspended
        } else if has_memory {
            VirtualMachinePowerState::PoweredOn
        } else {
            VirtualMachinePowerState::PoweredOff
        };
        let micros = entry.created_micros.unwrap_or(0);
        stored.snapshots.push(StoredSnapshot {
            uid,
            parent: entry.parent.and_then(number).filter(|parent| *parent < uid),
            label: Label {
                name: entry.display_name.clone().unwrap_or_default(),
                description: entry.description.clone().unwrap_or_default(),
                state,
                quiesced: is_set(&key("simulator.quiesced")),
            },
            created: Timestamp::from_microsecond(micros).unwrap_or_default(),
            config,
        });
        stored.last = stored.last.max(uid);
    }
    stored.snapshots.sort_by_key(|snapshot| snapshot.uid);
    Ok(stored)
}

/// Reads the configuration in the file of a snapshot.
fn read_state(store: &Store, vmx: &DatastorePath, file: &str) -> Result<Document, Fault> {
    if file.is_empty() || file.contains(['/', '\\']) || file == ".." {
        return Err(fault::invalid_vm_config("the file of a snapshot"));
    }
    let path = vmx.sibling(file);
    let content = store.read(&path)?;
    let config = state_file::decode(&content)
        .ok_or_else(|| fault::invalid_vm_config(&format!("the form of {path}")))?;
    Document::parse(config).map_err(|error| fault::invalid_vm_config(&error.to_string()))
}
