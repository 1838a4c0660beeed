//! A loaded machine. Its files were not saved: its disks are empty.

use std::sync::Arc;

use vim25::types::{
    GuestInfo, VirtualDisk, VirtualMachineConfigInfo, VirtualMachineFaultToleranceState,
    VirtualMachinePowerState, VirtualMachineRecordReplayState, VirtualMachineRuntimeInfo,
};
use vim25::{Any, Fault, Ref, Slot, mo};
use vmx::{Document, ExtraConfig};

use crate::datastore::disk::{self, New};
use crate::datastore::site::Site;
use crate::device;
use crate::fault;
use crate::load::LoadedObject;
use crate::machine::{self, Machine, config, properties};
use crate::object::{Hidden, Object, Retype};
use crate::world::Transaction;

/// Adds a machine in a datacenter, off. Returns whether it was on.
pub(super) fn build(
    tx: &mut Transaction<'_>,
    saved: &LoadedObject,
    site: Site,
) -> Result<bool, Fault> {
    let vm: Ref<mo::VirtualMachine> = saved.reference.retype();
    let mut object = Object::of(saved.reference.clone());
    super::fill(&mut object, saved);
    let mut info: VirtualMachineConfigInfo = object.read("config")?;
    let mut runtime: VirtualMachineRuntimeInfo = object.read("runtime")?;
    let was_on = runtime.power_state == VirtualMachinePowerState::PoweredOn;
    runtime.power_state = VirtualMachinePowerState::PoweredOff;
    // vcsim saves these without a value.
    if runtime.fault_tolerance_state == VirtualMachineFaultToleranceState::Unset {
        runtime.fault_tolerance_state = VirtualMachineFaultToleranceState::NotConfigured;
    }
    if runtime.record_replay_state == VirtualMachineRecordReplayState::Unset {
        runtime.record_replay_state = VirtualMachineRecordReplayState::Inactive;
    }
    if let Some(host) = &runtime.host {
        tx.object(host)?;
    }
    check(&info)?;
    check(&runtime)?;
    object.put("runtime", &runtime);
    let guest = object.read::<GuestInfo>("guest");
    if !guest.is_ok_and(|guest| check(&guest).is_ok()) {
        object.put("guest", &properties::guest(false, &info.guest_id, false));
    }
    let path = info.files.vm_path_name.clone().unwrap_or_default();
    let shared = Arc::clone(tx.shared());
    let vmx = shared.store.parse(site, &path)?;
    if !vmx.file_name().ends_with(".vmx") {
        return Err(fault::invalid_datastore_path(&path));
    }
    let mut extra = ExtraConfig::new();
    config::merge_extra(&mut extra, &info.extra_config)?;
    object.hidden = Hidden::Machine(Arc::new(Machine::new(vmx.clone(), Document::new(), extra)));
    tx.insert(object);
    make_directory(tx, &vmx)?;
    for device in &info.hardware.device {
        if let Ok(Some(disk)) = device.base::<VirtualDisk>() {
            let bytes = disk
                .capacity_in_bytes
                .unwrap_or(disk.capacity_in_kb * 1_024);
            make_disk(
                tx,
                site,
                &device::chain(device),
                u64::try_from(bytes).unwrap_or(0),
            )?;
        }
    }
    machine::store(tx, &vm, &mut info, false)?;
    Ok(was_on)
}

/// Checks that a value can be sent to clients.
fn check<T: Slot>(value: &T) -> Result<(), Fault> {
    let checked = Any::new(value).check();
    checked.map_err(|error| fault::invalid_vm_config(&error.to_string()))
}

/// Creates the directory of a file. On vSAN, it has the UUID that was saved.
fn make_directory(
    tx: &Transaction<'_>,
    file: &crate::datastore::path::DatastorePath,
) -> Result<(), Fault> {
    let made = std::fs::create_dir_all(tx.shared().store.file(&file.parent())?);
    made.map_err(|error| fault::file_fault(&file.to_string(), &error))
}

/// Creates a disk and its parents, unless they exist already.
fn make_disk(
    tx: &mut Transaction<'_>,
    site: Site,
    chain: &[String],
    bytes: u64,
) -> Result<(), Fault> {
    let mut parent = None;
    for file in chain.iter().rev() {
        let shared = Arc::clone(tx.shared());
        let store = &shared.store;
        let path = store.parse(site, file)?;
        if !store.exists(&path) {
            make_directory(tx, &path)?;
            let new = New {
                uuid: tx.ids().uuid().to_string(),
                thin: true,
                cid: tx.ids().cid(),
            };
            match &parent {
                Some(parent) => {
                    let hint = device::hint(&path, parent);
                    disk::create_child(store, &path, parent, &hint, &new)?;
                }
                None => disk::create(store, &path, bytes.max(512), &new)?,
            }
        }
        parent = Some(path);
    }
    Ok(())
}
