//! The steps of a clone: what to copy, and the machine that is created.

use disk_image::Monitor;
use vim25::types::{
    VirtualDevice, VirtualDeviceBackingInfo, VirtualDeviceConfigSpec,
    VirtualDeviceConfigSpecOperation, VirtualDisk, VirtualDiskFlatVer2BackingInfo,
    VirtualEthernetCard, VirtualMachineCloneSpec, VirtualMachineConfigInfo,
    VirtualMachineConfigSpec,
};
use vim25::{Fault, Poly, Ref, mo};
use vmx::{Document, ExtraConfig};

use super::Form;
use crate::datastore::Store;
use crate::datastore::disk::{self, New};
use crate::datastore::path::DatastorePath;
use crate::device::{self, Kind};
use crate::fault;
use crate::invocation::{Answer, value};
use crate::machine::{self, Machine};
use crate::model::virtual_machine::directories::Directories;
use crate::model::virtual_machine::{Placement, create, power, reconfigure, relocate, template};
use crate::shared::Shared;
use crate::world::Transaction;

/// Keys that describe a machine's own files and state, which a clone does not take over.
const OWN_KEYS: [&str; 5] = [
    "nvram",
    "sched.swap.derivedName",
    "checkpoint.vmState",
    "migrate.hostLog",
    "migrate.migrationId",
];

/// The machine to clone, in its current state or as in a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) vm: Ref<mo::VirtualMachine>,
    pub(super) snapshot: Option<Ref<mo::VirtualMachineSnapshot>>,
    /// Whether the source does not write to its current disks any more, so that the clone can
    /// continue all of them.
    pub(super) is_frozen: bool,
}

impl Source {
    /// Returns the configuration and the keys of the source.
    fn state(
        &self,
        tx: &Transaction<'_>,
    ) -> Result<(VirtualMachineConfigInfo, ExtraConfig), Fault> {
        let object = tx.object(&self.vm)?;
        let machine = Machine::of(object)?;
        let Some(reference) = &self.snapshot else {
            return Ok((object.read("config")?, machine.extra.clone()));
        };
        let snapshot = machine.snapshots.find(reference);
        let snapshot = snapshot.ok_or_else(|| fault::invalid_argument("spec.snapshot"))?;
        Ok((snapshot.config.clone(), snapshot.extra.clone()))
    }
}

/// A clone whose directory exists, and whose disks have not been created yet.
pub(super) struct Plan {
    source: Source,
    name: String,
    spec: VirtualMachineCloneSpec,
    place: Placement,
    vmx: DatastorePath,
    info: VirtualMachineConfigInfo,
    extra: ExtraConfig,
    disks: Vec<NewDisk>,
    directories: Directories,
}

/// One disk to create.
struct NewDisk {
    from: DatastorePath,
    to: DatastorePath,
    new: New,
    bytes: u64,
    form: Form,
    /// The parent of the source's disk.
    parent: Option<DatastorePath>,
    /// The disk device of the source.
    device: Poly<VirtualDevice>,
}

impl Plan {
    /// Validates the request, and creates the directory of the new machine.
    pub(super) fn new(
        tx: &mut Transaction<'_>,
        source: Source,
        (folder, name, mut spec): (Ref<mo::Folder>, String, VirtualMachineCloneSpec),
    ) -> Result<Self, Fault> {
        let name = create::free_name(tx, &folder, &name)?;
        spec.location.folder = Some(folder.clone());
        let place = match (&spec.location.pool, spec.template) {
            // A clone that is a template needs no pool; any pool is sufficient to find a host.
            (None, true) if template::is_one(tx, &source.vm) => {
                spec.location.pool = Some(Placement::any(tx, &folder)?.pool);
                relocate::place(tx, &source.vm, &spec.location)?
            }
            _ => relocate::place(tx, &source.vm, &spec.location)?,
        };
        place.check_room(tx)?;
        let (info, extra) = source.state(tx)?;
        let store = &tx.shared().store;
        let source_vmx = Machine::of(tx.object(&source.vm)?)?.vmx.clone();
        let wanted = spec.location.datastore.as_ref();
        let home = wanted.and_then(|wanted| store.referenced(wanted.value()));
        let home = home.unwrap_or_else(|| store.volume(&source_vmx));
        relocate::check_volume(tx, place.site, home, "spec.location.datastore")?;
        let vmx = create::vmx_path(tx, place.site, &format!("[{}]", home.name), &name)?;
        let mut directories = Directories::new(vmx.parent());
        let stem = vmx.file_name().trim_end_matches(".vmx").to_owned();
        let mut disks = Vec::new();
        for device in &info.hardware.device {
            if Kind::of(device) != Kind::Disk {
                continue;
            }
            let file = device::text(device, "backing.fileName").unwrap_or_default();
            let from = tx.shared().store.parse(source_vmx.site(), &file)?;
            let suffix = match disks.len() {
                0 => String::new(),
                number => format!("_{number}"),
            };
            let chain = device::chain(device);
            let parent = chain.get(1);
            let parent = parent.map(|parent| store.parse(source_vmx.site(), parent));
            let parent = parent.transpose()?;
            let mut own = spec.location.disk.iter();
            let own = own.find(|own| own.disk_id == device::key(device));
            let wanted = own.and_then(|own| store.referenced(own.datastore.value()));
            let wanted = wanted.unwrap_or(home);
            relocate::check_volume(tx, place.site, wanted, "spec.location.disk")?;
            let directory = directories.on(store, wanted, &name)?;
            let is_here = |other: &DatastorePath| other.is_near(&directory);
            let form = match Form::of(&spec, device::key(device)) {
                _ if source.is_frozen => Form::Child,
                Form::CopyChild if !parent.as_ref().is_some_and(is_here) => Form::Copy,
                form => form,
            };
            if form == Form::Child && !(device::is_in_snapshots(device) && is_here(&from)) {
                // The source still writes to its independent disks, and a child is on the datastore
                // of its parent.
                return Err(fault::not_supported());
            }
            let disk = disk::read(&tx.shared().store, &from)?;
            disks.push(NewDisk {
                to: directory.join(&format!("{stem}{suffix}.vmdk")),
                from,
                new: New {
                    uuid: tx.ids().uuid().to_string(),
                    thin: disk.thin || form != Form::Copy,
                    cid: tx.ids().cid(),
                },
                bytes: disk.bytes,
                form,
                parent,
                device: device.clone(),
            });
        }
        directories.make(&tx.shared().store)?;
        let vmx = directories.made(&vmx);
        for disk in &mut disks {
            disk.to = directories.made(&disk.to);
        }
        Ok(Self {
            source,
            name,
            spec,
            place,
            vmx,
            info,
            extra,
            disks,
            directories,
        })
    }

    /// Returns the capacity of the disks to copy.
    pub(super) fn bytes(&self) -> u64 {
        let copied = self.disks.iter().filter(|disk| disk.form != Form::Child);
        copied.map(|disk| disk.bytes).sum()
    }

    /// Creates the disks.
    pub(super) fn make_disks(&self, store: &Store, monitor: &Monitor) -> Result<(), Fault> {
        self.disks
            .iter()
            .try_for_each(|disk| match (disk.form, &disk.parent) {
                (Form::Child, _) => {
                    let hint = device::hint(&disk.to, &disk.from);
                    disk::create_child(store, &disk.to, &disk.from, &hint, &disk.new)
                }
                (Form::CopyChild, Some(parent)) => {
                    let hint = device::hint(&disk.to, parent);
                    let new = (hint.as_str(), &disk.new);
                    disk::copy_child(store, &disk.from, &disk.to, parent, new, monitor)
                }
                _ => disk::copy(store, &disk.from, &disk.to, &disk.new, monitor),
            })
    }

    /// Deletes the files of a clone that failed.
    pub(super) fn undo(&self, shared: &Shared) {
        self.directories.delete(&shared.store);
    }

    /// Adds the machine to the inventory.
    pub(super) fn build(&self, tx: &mut Transaction<'_>) -> Answer {
        // Check again that the source exists and the name is unused.
        self.source.state(tx)?;
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
        // The source may be on, or may have been when its snapshot was taken.
        power::connect(&mut info, false);
        let changes = self.changes()?;
        let kept =
            |device: &Poly<VirtualDevice>| !matches!(Kind::of(device), Kind::Disk | Kind::Network);
        info.hardware.device.retain(kept);
        device::apply(tx, &mut info.hardware.device, &changes, &self.vmx, false)?;
        let id = tx.ids().number().to_string();
        let document = Document::new();
        let vm = create::add(tx, &id, info, self.keys(), document, &self.vmx, &self.place)?;
        let is_linked = self.disks.iter().any(|disk| disk.form != Form::Copy);
        Machine::edit(tx.edit(&vm)?)?.is_linked = is_linked;
        let moves = &self.spec.location.device_change;
        if !moves.is_empty() {
            let changes = VirtualMachineConfigSpec {
                device_change: moves.clone(),
                ..Default::default()
            };
            reconfigure::reconfigure(tx, &vm, &changes)?;
        }
        if let Some(config) = &self.spec.config {
            reconfigure::reconfigure(tx, &vm, config)?;
        }
        if self.spec.template {
            template::mark_as_template(tx, &vm)?;
        }
        if self.spec.power_on {
            power::power_on(tx, &vm)?;
        }
        value(&vm)
    }

    /// Returns the keys of the clone.
    fn keys(&self) -> ExtraConfig {
        let stem = self.vmx.file_name().trim_end_matches(".vmx");
        let nvram = ("nvram".to_owned(), format!("{stem}.nvram"));
        let is_own = |key: &str| OWN_KEYS.iter().any(|own| own.eq_ignore_ascii_case(key));
        let kept = self.extra.iter().filter(|(key, _)| !is_own(key));
        let kept = kept.map(|(key, value)| (key.to_owned(), value.to_owned()));
        std::iter::once(nvram).chain(kept).collect()
    }

    /// Returns the network that the specification asks for a card of the source. The source's own
    /// may not exist in the datacenter of the clone.
    fn backing_asked(&self, key: i32) -> Option<Poly<VirtualDeviceBackingInfo>> {
        let changes = self.spec.location.device_change.iter();
        let mut devices = changes.filter_map(|change| {
            let change = change.view::<VirtualDeviceConfigSpec>()?;
            Some(change.device.clone())
        });
        let device = devices.find(|device| device::key(device) == key)?;
        let device = device.view::<VirtualDevice>()?;
        device.backing.clone()
    }

    /// Returns the changes that add the new disks, and network cards like the source's.
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
            let asked = self.backing_asked(device::key(&card));
            card.modify::<VirtualEthernetCard>(|card| {
                card.backing = asked.or_else(|| card.backing.take());
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
