//! Hardware of a machine, as its guest sees it at power-on.

use std::path::PathBuf;

use vim25::Poly;
use vim25::types::{VirtualDevice, VirtualMachineConfigInfo};

use super::cards::nics;
use crate::datastore::site::Site;
use crate::device::{self, Kind};
use crate::shared::Shared;

/// Snapshot of a machine's hardware, taken when its guest started.
///
/// Reconfiguring the machine does not change the snapshot; the next power-on or reset takes a
/// new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestHardware {
    /// The machine's BIOS UUID, as `config.uuid` shows it.
    pub uuid: String,
    /// Number of virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disks, ordered by device key.
    pub disks: Vec<GuestDisk>,
    /// Image files in connected CD drives, in device order.
    pub cdroms: Vec<PathBuf>,
    /// Number of serial ports; see [`GuestMachine::serial`](crate::GuestMachine::serial).
    pub serial_ports: usize,
    /// Network cards, ordered by device key.
    pub nics: Vec<GuestNic>,
}

/// A virtual disk.
///
/// A guest that keeps state for a disk should identify it by the first path of its
/// [`chain`](Self::chain), which is unique and survives a restart of the simulator on
/// the same directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestDisk {
    /// Device key; 0 for a disk that is attached to no machine.
    pub key: i32,
    /// Bus number of the controller: 0 for `scsi0`.
    pub bus: i32,
    /// Unit number on the controller: 1 for `scsi0:1`.
    pub unit: i32,
    /// Capacity in bytes.
    pub capacity_bytes: u64,
    /// VMDK files, from the disk's own descriptor through its parents to the
    /// base. Each can be opened on its own. Parents must not be written.
    pub chain: Vec<PathBuf>,
    /// Whether writes are kept at power-off.
    pub mode: DiskMode,
}

/// Persistence of writes to a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskMode {
    /// Writes are kept; snapshots include the disk.
    #[default]
    Persistent,
    /// Writes are kept; snapshots leave the disk out.
    IndependentPersistent,
    /// Writes are discarded at power-off and reset. Discarding them is up to the guest: it
    /// must not write to the disk's files.
    Nonpersistent,
}

/// A network card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestNic {
    /// Device key.
    pub key: i32,
    /// MAC address in lower-case hexadecimal with colons.
    pub mac: String,
    /// Name of the port group.
    pub network: String,
    /// PCI slot number from the machine's configuration.
    pub pci_slot: Option<u32>,
    /// Identifies the port group, standard or distributed: cards with equal values are on the same
    /// network. Unlike [`network`](Self::network), unique in an inventory of several datacenters.
    pub segment: String,
    /// Whether the card is connected to its port group.
    pub connected: bool,
}

impl GuestHardware {
    /// Iterates over the files that the description names.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let disks = self.disks.iter().flat_map(|disk| &disk.chain);
        disks.chain(&self.cdroms)
    }

    /// Creates an empty description, for tests of guests.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn of(shared: &Shared, site: Site, config: &VirtualMachineConfigInfo) -> Self {
        let mut hardware = Self {
            uuid: config.uuid.clone(),
            cpus: u32::try_from(config.hardware.num_cpu).unwrap_or(1),
            memory_mib: u64::try_from(config.hardware.memory_mb).unwrap_or(0),
            nics: nics(&config.hardware.device),
            ..Self::default()
        };
        let devices = &config.hardware.device;
        for device in devices {
            match Kind::of(device) {
                Kind::Disk => hardware
                    .disks
                    .extend(GuestDisk::of(shared, site, devices, device)),
                Kind::Cdrom => hardware.cdroms.extend(image(shared, site, device)),
                Kind::Serial => hardware.serial_ports += 1,
                _ => {}
            }
        }
        hardware.disks.sort_by_key(|disk| disk.key);
        hardware
    }
}

/// Returns the image file of a connected CD drive.
fn image(shared: &Shared, site: Site, device: &Poly<VirtualDevice>) -> Option<PathBuf> {
    let connected = device.node().path("connectable.connected");
    if connected.and_then(|flag| flag.as_bool()) == Some(false) {
        return None;
    }
    let name = device::text(device, "backing.fileName").filter(|name| !name.is_empty())?;
    let path = shared.store.parse(site, &name).ok()?;
    (!path.is_root()).then(|| shared.store.location(&path))
}

impl GuestDisk {
    /// Creates a disk that is attached to no machine.
    #[must_use]
    pub fn new(chain: Vec<PathBuf>, capacity_bytes: u64) -> Self {
        Self {
            chain,
            capacity_bytes,
            ..Self::default()
        }
    }

    /// Iterates over the disk's parents, from the direct parent to the base.
    pub fn parents(&self) -> impl Iterator<Item = Self> {
        (1..self.chain.len()).map(|at| {
            let chain = self.chain.get(at..).unwrap_or_default();
            Self::new(chain.to_vec(), self.capacity_bytes)
        })
    }

    pub(crate) fn of(
        shared: &Shared,
        site: Site,
        devices: &device::Devices,
        device: &Poly<VirtualDevice>,
    ) -> Option<Self> {
        let chain = device::chain(device)
            .iter()
            .map(|name| {
                shared
                    .store
                    .parse(site, name)
                    .map(|path| shared.store.location(&path))
            })
            .collect::<Result<Vec<_>, _>>()
            .ok()?;
        let bytes = device.node().get("capacityInBytes");
        let bytes = bytes.and_then(|bytes| bytes.as_i64()).unwrap_or(0);
        let on = device::int(device, "controllerKey").unwrap_or(0);
        let controller = devices.iter().find(|other| device::key(other) == on);
        Some(Self {
            key: device::key(device),
            bus: controller
                .and_then(|controller| device::int(controller, "busNumber"))
                .unwrap_or(0),
            unit: device::int(device, "unitNumber").unwrap_or(0),
            capacity_bytes: u64::try_from(bytes).unwrap_or(0),
            chain,
            mode: DiskMode::of(&device::text(device, "backing.diskMode").unwrap_or_default()),
        })
    }
}

impl DiskMode {
    pub(crate) fn of(mode: &str) -> Self {
        match mode {
            "independent_persistent" => Self::IndependentPersistent,
            "independent_nonpersistent" | "nonpersistent" => Self::Nonpersistent,
            _ => Self::Persistent,
        }
    }

    /// Returns whether writes are discarded at power-off.
    #[must_use]
    pub const fn is_discarded(self) -> bool {
        matches!(self, Self::Nonpersistent)
    }
}

impl GuestNic {
    pub(super) fn of(device: &Poly<VirtualDevice>) -> Self {
        let text = |path| device::text(device, path).unwrap_or_default();
        let network = device::reference(device, "backing.network");
        let segment = network.map(|network| network.value().to_owned());
        let segment = segment.or_else(|| device::text(device, "backing.port.portgroupKey"));
        let connected = device.node().path("connectable.connected");
        Self {
            key: device::key(device),
            segment: segment.unwrap_or_else(|| text("backing.deviceName")),
            connected: connected.and_then(|flag| flag.as_bool()) != Some(false),
            mac: text("macAddress").to_ascii_lowercase(),
            network: text("backing.deviceName"),
            pci_slot: device::int(device, "slotInfo.pciSlotNumber")
                .and_then(|slot| u32::try_from(slot).ok()),
        }
    }
}
