//! Clones machines by copying their configuration and their disks.

use std::sync::Arc;

use disk_image::Monitor;
use vim25::types::{
    VirtualDevice, VirtualDeviceConfigSpec, VirtualDeviceConfigSpecOperation, VirtualDisk,
    VirtualDiskFlatVer2BackingInfo, VirtualEthernetCard, VirtualMachineCloneSpec,
    VirtualMachineConfigInfo,
};
use vim25::{Fault, Poly, Ref, mo};
use vmx::{Document, ExtraConfig};

use super::{Placement, create, power, relocate, template};
use crate::datastore::disk::{self, New};
use crate::datastore::path::DatastorePath;
use crate::device::{self, Kind};
use crate::fault;
use crate::guest;
use crate::invocation::{Answer, Invocation, value};
use crate::machine::{self, Machine};
use crate::object::Retype;
use crate::shared::Shared;
use crate::task;
use crate::world::Transaction;

/// Disk move types that copy every disk as a whole, besides the default.
const FULL_COPY: [&str; 2] = [
    "moveAllDiskBackingsAndConsolidate",
    "moveAllDiskBackingsAndDisallowSharing",
];

/// Handles `CloneVM_Task`, which only a vCenter has. The source must be off: a running guest
/// may keep the content of its disks in another form.
pub(super) fn call(inv: &mut Invocation<'_, '_>, vm: Ref<mo::VirtualMachine>) -> Answer {
    let folder: Ref<mo::Folder> = inv.object_arg("folder")?;
    let name: String = inv.arg("name")?;
    let spec: VirtualMachineCloneSpec = inv.arg("spec")?;
    relocate::check(inv.tx, &spec.location)?;
    let types: Vec<String> = inv.tx.object(&folder)?.list("childType")?;
    if !types.iter().any(|ty| ty == "VirtualMachine") {
        return Err(fault::invalid_argument("folder"));
    }
    let move_type = spec.location.disk_move_type.as_deref();
    let copies = move_type.is_none_or(|ty| FULL_COPY.contains(&ty));
    if !copies || spec.snapshot.is_some() || spec.customization.is_some() {
        return Err(fault::not_supported());
    }
    if spec.template && spec.power_on {
        return Err(fault::invalid_argument("spec.powerOn"));
    }
    task::begin_long(
        inv,
        &vm.retype(),
        "VirtualMachine.clone",
        |shared| async move {
            guest::flush_machine(&shared, &vm).await?;
            let (source, request) = (vm.clone(), (folder, name, spec));
            let plan = Transaction::run(&shared, move |tx| Plan::new(tx, &source, request)).await?;
            let plan = Arc::new(plan);
            let made = finish(&shared, &plan).await;
            if made.is_err() {
                let _ = shared.store.delete(&plan.vmx.parent());
            }
            made
        },
    )
}

/// Copies the disks and adds the clone to the inventory.
async fn finish(shared: &Arc<Shared>, plan: &Arc<Plan>) -> Answer {
    let monitor = Arc::new(Monitor::new());
    // Cancels the copies when the simulator shuts down.
    let _stop = CancelOnDrop(Arc::clone(&monitor));
    let (own, todo) = (Arc::clone(shared), Arc::clone(plan));
    let copying = tokio::task::spawn_blocking(move || {
        todo.disks.iter().try_for_each(|copied| {
            disk::copy(&own.store, &copied.from, &copied.to, &copied.new, &monitor)
        })
    });
    copying
        .await
        .map_err(|_| fault::internal("copying a disk failed"))??;
    let plan = Arc::clone(plan);
    Transaction::run(shared, move |tx| plan.build(tx)).await
}

struct CancelOnDrop(Arc<Monitor>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// A clone whose directory exists, and whose disks have not been copied yet.
struct Plan {
    source: Ref<mo::VirtualMachine>,
    name: String,
    spec: VirtualMachineCloneSpec,
    place: Placement,
    vmx: DatastorePath,
    info: VirtualMachineConfigInfo,
    extra: ExtraConfig,
    disks: Vec<DiskCopy>,
}

/// One disk to copy.
struct DiskCopy {
    from: DatastorePath,
    to: DatastorePath,
    new: New,
    /// The disk device of the source.
    device: Poly<VirtualDevice>,
}

impl Plan {
    /// Validates the request, and creates the directory of the new machine.
    fn new(
        tx: &mut Transaction<'_>,
        source: &Ref<mo::VirtualMachine>,
        (folder, name, mut spec): (Ref<mo::Folder>, String, VirtualMachineCloneSpec),
    ) -> Result<Self, Fault> {
        let name = create::free_name(tx, &folder, &name)?;
        spec.location.folder = Some(folder);
        let place = match (&spec.location.pool, spec.template) {
            // A clone that is a template needs no pool; any pool is sufficient to find a host.
            (None, true) if template::is_one(tx, source) => {
                spec.location.pool = Some(Placement::any(tx)?.pool);
                relocate::place(tx, source, &spec.location)?
            }
            _ => relocate::place(tx, source, &spec.location)?,
        };
        place.check_room(tx)?;
        let object = tx.object(source)?.clone();
        let info: VirtualMachineConfigInfo = object.read("config")?;
        let extra = Machine::of(&object)?.extra.clone();
        let root = format!("[{}]", tx.shared().settings.datastore);
        let vmx = create::vmx_path(tx, &root, &name)?;
        let stem = vmx.file_name().trim_end_matches(".vmx").to_owned();
        let mut disks = Vec::new();
        for device in info.hardware.device.iter() {
            if Kind::of(device) != Kind::Disk {
                continue;
            }
            let file = device::text(device, "backing.fileName").unwrap_or_default();
            let from = tx.shared().store.parse(&file)?;
            let suffix = match disks.len() {
                0 => String::new(),
                number => format!("_{number}"),
            };
            let thin = disk::read(&tx.shared().store, &from)?.thin;
            disks.push(DiskCopy {
                to: vmx.sibling(&format!("{stem}{suffix}.vmdk")),
                from,
                new: New {
                    uuid: tx.ids().uuid().to_string(),
                    thin,
                    cid: tx.ids().cid(),
                },
                device: device.clone(),
            });
        }
        tx.shared().store.make_directory(&vmx.parent(), true)?;
        Ok(Self {
            source: source.clone(),
            name,
            spec,
            place,
            vmx,
            info,
            extra,
            disks,
        })
    }

    /// Adds the machine to the inventory.
    fn build(&self, tx: &mut Transaction<'_>) -> Answer {
        // Check again that the source exists and the name is unused.
        tx.object(&self.source)?;
        create::free_name(tx, &self.place.folder, &self.name)?;
        let mut info = self.info.clone();
        let fresh = machine::config::new(tx, &self.name, &self.vmx);
        info.name.clone_from(&self.name);
        info.template = false;
        info.uuid = fresh.uuid;
        info.instance_uuid = fresh.instance_uuid;
        info.location_id = fresh.location_id;
        info.files = fresh.files;
        info.create_date = fresh.create_date;
        info.change_version = fresh.change_version;
        let changes = self.changes()?;
        let kept =
            |device: &Poly<VirtualDevice>| !matches!(Kind::of(device), Kind::Disk | Kind::Network);
        info.hardware.device.retain(kept);
        device::apply(tx, &mut info.hardware.device, &changes, &self.vmx, false)?;
        let id = tx.ids().number().to_string();
        let document = Document::new();
        let extra = self.extra.clone();
        let vm = create::add(tx, &id, info, extra, document, &self.vmx, &self.place)?;
        if let Some(config) = &self.spec.config {
            super::reconfigure::reconfigure(tx, &vm, config)?;
        }
        if self.spec.template {
            template::mark_as_template(tx, &vm)?;
        }
        if self.spec.power_on {
            power::power_on(tx, &vm)?;
        }
        value(&vm)
    }

    /// Returns the changes that add the copied disks, and network cards like the source's.
    fn changes(&self) -> Result<Vec<Poly<VirtualDeviceConfigSpec>>, Fault> {
        let malformed = |_| fault::invalid_vm_config("config.hardware.device");
        let mut changes = Vec::new();
        for copied in &self.disks {
            let mut device = copied.device.clone();
            let name = copied.to.to_string();
            device
                .modify::<VirtualDisk>(|disk| {
                    let backing = disk.backing.as_mut();
                    let changed = backing.map(|backing| {
                        backing.modify::<VirtualDiskFlatVer2BackingInfo>(|backing| {
                            backing.base.file_name = name;
                            backing.uuid = None;
                            backing.parent = None;
                        })
                    });
                    drop(changed);
                })
                .map_err(malformed)?;
            changes.push(add(device));
        }
        for card in &self.info.hardware.device {
            if Kind::of(card) != Kind::Network {
                continue;
            }
            let mut card = card.clone();
            card.modify::<VirtualEthernetCard>(|card| {
                if card.address_type.as_deref() != Some("manual") {
                    card.mac_address = None;
                    card.address_type = None;
                }
            })
            .map_err(malformed)?;
            changes.push(add(card));
        }
        Ok(changes)
    }
}

fn add(device: Poly<VirtualDevice>) -> Poly<VirtualDeviceConfigSpec> {
    Poly::new(VirtualDeviceConfigSpec {
        operation: Some(VirtualDeviceConfigSpecOperation::Add),
        device,
        ..Default::default()
    })
}
