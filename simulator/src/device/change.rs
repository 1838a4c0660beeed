//! Adds, edits and removes devices.

use std::collections::HashMap;

use vim25::types::{
    Description, VirtualController, VirtualDevice, VirtualDeviceConfigSpec,
    VirtualDeviceConfigSpecFileOperation, VirtualDeviceConfigSpecOperation,
    VirtualDeviceConnectInfo,
};
use vim25::{Fault, Poly};

use super::kind::Kind;
use super::slot::{assign_unit, new_key, set_bus};
use super::{Devices, chain, destroy_files, disk, int, key, network};
use crate::datastore::path::DatastorePath;
use crate::datastore::site::Site;
use crate::fault;
use crate::world::Transaction;

/// The maximum number of network cards of a machine.
const CARDS: usize = 10;

/// The effects of a list of device changes on the files of disks, which may have to be undone.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Disks that were created; they are deleted if the rest of the change fails.
    pub(crate) made: Vec<DatastorePath>,
    /// Disks that were grown, with their previous size in bytes.
    grown: Vec<(DatastorePath, u64)>,
    /// Disks to delete once the change is committed.
    pub(crate) doomed: Vec<String>,
}

/// Applies changes in order. On a fault, the disks that were created are deleted.
pub(crate) fn apply(
    tx: &mut Transaction<'_>,
    devices: &mut Devices,
    changes: &[Poly<VirtualDeviceConfigSpec>],
    home: &DatastorePath,
    on: bool,
) -> Result<Outcome, Fault> {
    let mut outcome = Outcome::default();
    let result = apply_all(tx, devices, changes, home, on, &mut outcome);
    if let Err(fault) = result {
        undo(tx, &outcome);
        return Err(fault);
    }
    link(devices);
    Ok(outcome)
}

/// Deletes the disks that a change created, and shrinks those that it grew.
pub(crate) fn undo(tx: &Transaction<'_>, outcome: &Outcome) {
    for path in &outcome.made {
        destroy_files(tx, path.site(), &[path.to_string()]);
    }
    for (path, bytes) in outcome.grown.iter().rev() {
        if let Err(fault) = crate::datastore::disk::extend(&tx.shared().store, path, *bytes) {
            tracing::warn!(%path, %fault, "a disk remains larger than the API reports");
        }
    }
}

fn apply_all(
    tx: &mut Transaction<'_>,
    devices: &mut Devices,
    changes: &[Poly<VirtualDeviceConfigSpec>],
    home: &DatastorePath,
    on: bool,
    outcome: &mut Outcome,
) -> Result<(), Fault> {
    let mut specs = Vec::with_capacity(changes.len());
    for (index, change) in changes.iter().enumerate() {
        let spec = change
            .view::<VirtualDeviceConfigSpec>()
            .ok_or_else(|| fault::invalid_device(index, "the change is incomplete"))?;
        specs.push((index, (*spec).clone()));
    }
    // Change controllers first: a device may be attached to a controller that comes later in
    // the list.
    specs.sort_by_key(|(_, spec)| {
        let adds = spec.operation == Some(VirtualDeviceConfigSpecOperation::Add);
        !(adds && Kind::of(&spec.device).is_controller())
    });
    let mut renamed: HashMap<i32, i32> = HashMap::new();
    for (index, spec) in specs {
        match spec.operation {
            Some(VirtualDeviceConfigSpecOperation::Add) => {
                add(tx, devices, index, spec, home, on, &mut renamed, outcome)?;
            }
            Some(VirtualDeviceConfigSpecOperation::Edit) => {
                edit(tx, devices, index, spec, (home.site(), on), outcome)?;
            }
            Some(VirtualDeviceConfigSpecOperation::Remove) => {
                remove(devices, index, &spec, on, outcome)?;
            }
            _ => return Err(fault::invalid_device(index, "the operation is missing")),
        }
    }
    Ok(())
}

#[expect(
    clippy::too_many_arguments,
    reason = "the state of one list of changes"
)]
fn add(
    tx: &mut Transaction<'_>,
    devices: &mut Devices,
    index: usize,
    spec: VirtualDeviceConfigSpec,
    home: &DatastorePath,
    on: bool,
    renamed: &mut HashMap<i32, i32>,
    outcome: &mut Outcome,
) -> Result<(), Fault> {
    let mut device = spec.device;
    let kind = Kind::of(&device);
    if on && !kind.is_hot() {
        return Err(fault::invalid_device(
            index,
            "it cannot be added while the machine is on",
        ));
    }
    let asked = key(&device);
    if matches!(kind, Kind::Ide | Kind::Pci | Kind::Sio | Kind::Ps2) {
        // Every machine already has all controllers of this kind. If a client adds one, as
        // govc does before it adds a CD drive, the existing controller is used.
        let bus = int(&device, "busNumber").unwrap_or(0);
        let own = devices
            .iter()
            .find(|other| Kind::of(other) == kind && int(other, "busNumber").unwrap_or(0) == bus)
            .ok_or_else(|| fault::invalid_device(index, "there are too many such controllers"))?;
        renamed.insert(asked, key(own));
        return Ok(());
    }
    if kind == Kind::Network {
        let cards = devices.iter().filter(|other| Kind::of(other) == kind);
        if cards.count() >= CARDS {
            return Err(fault::too_many_devices(index));
        }
    }
    if kind.is_controller() {
        set_bus(devices, index, &mut device, kind)?;
    }
    let address = assign_unit(devices, index, &device, kind, renamed)?;
    let key = new_key(devices, kind, &device, address);
    match kind {
        Kind::Disk => {
            let made = disk::prepare(tx, index, &mut device, spec.file_operation.as_ref(), home)?;
            outcome.made.extend(made);
        }
        Kind::Network => network::prepare(tx, index, home.site(), &mut device)?,
        Kind::Cdrom | Kind::Serial | Kind::Parallel | Kind::Floppy => {
            connectable(index, &mut device)?;
        }
        _ => {}
    }
    check_iso(tx, home.site(), &device)?;
    let number = devices
        .iter()
        .filter(|other| Kind::of(other) == kind)
        .count();
    let number = match kind {
        Kind::Disk | Kind::Cdrom | Kind::Network | Kind::Serial | Kind::Floppy => number + 1,
        _ => number,
    };
    let summary = summary(&device, kind);
    device
        .modify::<VirtualDevice>(|device| {
            device.key = key;
            if let Some((controller, unit)) = address {
                device.controller_key = Some(controller);
                device.unit_number = Some(unit);
            }
            device.device_info = Some(Poly::new(Description {
                label: format!("{} {number}", kind.label()),
                summary,
            }));
        })
        .map_err(|_| fault::invalid_device(index, "the device is incomplete"))?;
    if asked != key {
        renamed.insert(asked, key);
    }
    devices.push(device);
    Ok(())
}

fn edit(
    tx: &mut Transaction<'_>,
    devices: &mut Devices,
    index: usize,
    spec: VirtualDeviceConfigSpec,
    (site, on): (Site, bool),
    outcome: &mut Outcome,
) -> Result<(), Fault> {
    let at = position(devices, index, &spec.device)?;
    let old = devices[at].clone();
    let kind = Kind::of(&old);
    if old.type_name() != spec.device.type_name() {
        return Err(fault::invalid_device(
            index,
            "the type of a device cannot change",
        ));
    }
    let connectable = matches!(
        kind,
        Kind::Cdrom | Kind::Network | Kind::Serial | Kind::Floppy
    );
    if on && !connectable && !kind.is_hot() {
        return Err(fault::invalid_device(
            index,
            "it cannot be edited while the machine is on",
        ));
    }
    let mut device = spec.device;
    match kind {
        Kind::Disk => {
            let grown = disk::edit(tx, index, site, &old, &mut device)?;
            outcome.grown.extend(grown);
        }
        Kind::Network => network::prepare(tx, index, site, &mut device)?,
        _ => {}
    }
    check_iso(tx, site, &device)?;
    let kept: VirtualDevice = old
        .view::<VirtualDevice>()
        .map(|device| (*device).clone())
        .unwrap_or_default();
    device
        .modify::<VirtualDevice>(|device| {
            // Values that the edit does not set are kept.
            device.device_info = kept.device_info;
            device.backing = device.backing.take().or(kept.backing);
            device.connectable = device.connectable.take().or(kept.connectable);
            device.controller_key = device.controller_key.or(kept.controller_key);
            device.unit_number = device.unit_number.or(kept.unit_number);
        })
        .map_err(|_| fault::invalid_device(index, "the device is incomplete"))?;
    describe(&mut device, kind);
    devices[at] = device;
    Ok(())
}

/// Updates the summary of an edited device; the label does not change.
fn describe(device: &mut Poly<VirtualDevice>, kind: Kind) {
    let words = summary(device, kind);
    let _ = device.modify::<VirtualDevice>(|device| {
        if let Some(info) = &mut device.device_info {
            let _ = info.modify::<Description>(|info| info.summary = words);
        }
    });
}

fn remove(
    devices: &mut Devices,
    index: usize,
    spec: &VirtualDeviceConfigSpec,
    on: bool,
    outcome: &mut Outcome,
) -> Result<(), Fault> {
    let at = position(devices, index, &spec.device)?;
    let key = key(&devices[at]);
    let kind = Kind::of(&devices[at]);
    if matches!(kind, Kind::Ide | Kind::Pci | Kind::Sio | Kind::Ps2) {
        return Err(fault::invalid_device(
            index,
            "controllers of the board cannot be removed",
        ));
    }
    if on && !matches!(kind, Kind::Disk | Kind::Network) {
        return Err(fault::invalid_device(
            index,
            "it cannot be removed while the machine is on",
        ));
    }
    if devices
        .iter()
        .any(|other| int(other, "controllerKey") == Some(key))
    {
        return Err(fault::invalid_device(index, "devices are attached to it"));
    }
    let device = devices.remove(at);
    let destroys = spec.file_operation == Some(VirtualDeviceConfigSpecFileOperation::Destroy);
    if destroys && kind == Kind::Disk {
        outcome.doomed.extend(chain(&device).into_iter().take(1));
    }
    Ok(())
}

fn position(devices: &Devices, index: usize, device: &Poly<VirtualDevice>) -> Result<usize, Fault> {
    devices
        .iter()
        .position(|other| key(other) == key(device))
        .ok_or_else(|| fault::invalid_device(index, "the machine has no such device"))
}

fn connectable(index: usize, device: &mut Poly<VirtualDevice>) -> Result<(), Fault> {
    device
        .modify::<VirtualDevice>(|device| {
            device
                .connectable
                .get_or_insert_with(|| {
                    Box::new(VirtualDeviceConnectInfo {
                        start_connected: true,
                        allow_guest_control: true,
                        connected: false,
                        ..Default::default()
                    })
                })
                .status = Some("untried".into());
        })
        .map(drop)
        .map_err(|_| fault::invalid_device(index, "the device is incomplete"))
}

/// Checks that the image of a CD drive exists.
fn check_iso(tx: &Transaction<'_>, site: Site, device: &Poly<VirtualDevice>) -> Result<(), Fault> {
    if Kind::of(device) != Kind::Cdrom {
        return Ok(());
    }
    let file = super::text(device, "backing.fileName").unwrap_or_default();
    if file.is_empty() {
        return Ok(());
    }
    let path = tx.shared().store.parse(site, &file)?;
    if path.is_root() || tx.shared().store.exists(&path) {
        Ok(())
    } else {
        Err(fault::file_not_found(&path.to_string()))
    }
}

fn summary(device: &Poly<VirtualDevice>, kind: Kind) -> String {
    let name = |path| super::text(device, path).unwrap_or_default();
    match kind {
        Kind::Disk => {
            let kb = device.node().get("capacityInKB").and_then(|kb| kb.as_i64());
            format!("{} KB", grouped(kb.unwrap_or(0)))
        }
        Kind::Network => name("backing.deviceName"),
        Kind::Cdrom => match name("backing.fileName") {
            file if file.is_empty() => "Remote device".into(),
            file => format!("ISO {file}"),
        },
        Kind::Serial => match name("backing.serviceURI") {
            uri if uri.is_empty() => name("backing.fileName"),
            uri => format!("Remote {uri}"),
        },
        Kind::Scsi if device.type_name() == "ParaVirtualSCSIController" => {
            "VMware paravirtual SCSI".into()
        }
        Kind::Scsi => "LSI Logic".into(),
        _ => device.type_name(),
    }
}

/// Formats a number with a comma after every third digit.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Updates the list of attached devices of every controller.
fn link(devices: &mut Devices) {
    let places: Vec<(i32, i32)> = devices
        .iter()
        .filter_map(|device| Some((int(device, "controllerKey")?, key(device))))
        .collect();
    for device in devices
        .iter_mut()
        .filter(|device| Kind::of(device).is_controller())
    {
        let own = key(device);
        let on: Vec<i32> = places
            .iter()
            .filter(|(controller, _)| *controller == own)
            .map(|(_, device)| *device)
            .collect();
        let _ = device.modify::<VirtualController>(|controller| controller.device = on);
    }
}
