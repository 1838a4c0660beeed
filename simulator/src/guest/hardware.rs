//! What a machine has, as its guest finds it at power-on.

use std::path::PathBuf;

use vim25::Poly;
use vim25::types::{VirtualDevice, VirtualMachineConfigInfo};

use crate::core::Core;
use crate::device::{self, Kind};

/// The devices of a machine, as they were when its guest began.
///
/// A later reconfiguration does not change it; the next power-on or reset takes a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestHardware {
    /// The machine's BIOS UUID, as `config.uuid` shows it.
    pub uuid: String,
    /// Virtual processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The disks, in the order of their device keys.
    pub disks: Vec<GuestDisk>,
    /// The image files in CD drives that are connected, in the order of the drives.
    pub cdroms: Vec<PathBuf>,
    /// How many serial ports the machine has; see [`GuestMachine::serial`](crate::GuestMachine::serial).
    pub serial_ports: usize,
    /// The network cards, in the order of their device keys.
    pub nics: Vec<GuestNic>,
}

/// A virtual disk.
///
/// Its identity, for a guest that keeps something about a disk, is the first
/// path of its [`chain`](Self::chain): no two disks share it, and it is the same after a
/// restart of the simulator on the same directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestDisk {
    /// The device key; 0 when the disk is attached to no machine.
    pub key: i32,
    /// The controller's bus: 0 for `scsi0`.
    pub bus: i32,
    /// The unit on the controller: 1 for `scsi0:1`.
    pub unit: i32,
    /// Bytes that the disk holds.
    pub capacity_bytes: u64,
    /// The files of the disk, each a VMDK that can be opened: the disk's own
    /// first, then its parent, and so on down to the base. Parents are never written to.
    pub chain: Vec<PathBuf>,
    /// What becomes of the things that are written to it.
    pub mode: DiskMode,
}

/// What becomes of things that a guest writes to a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskMode {
    /// Kept, and part of snapshots.
    #[default]
    Persistent,
    /// Kept, and not part of snapshots.
    IndependentPersistent,
    /// Lost when the machine is powered off or reset.
    Nonpersistent,
}

/// A network card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestNic {
    /// The device key.
    pub key: i32,
    /// The address of the card: six octets in hexadecimal with colons, lower case.
    pub mac: String,
    /// The name of the port group that it is plugged into.
    pub network: String,
    /// The PCI slot that the machine's file gives it.
    pub pci_slot: Option<u32>,
}

impl GuestHardware {
    /// Hardware with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn of(core: &Core, config: &VirtualMachineConfigInfo) -> Self {
        let mut hardware = Self {
            uuid: config.uuid.clone(),
            cpus: u32::try_from(config.hardware.num_cpu).unwrap_or(1),
            memory_mib: u64::try_from(config.hardware.memory_mb).unwrap_or(0),
            ..Self::default()
        };
        let devices = &config.hardware.device;
        for device in devices {
            match Kind::of(device) {
                Kind::Disk => hardware.disks.extend(GuestDisk::of(core, devices, device)),
                Kind::Cdrom => hardware.cdroms.extend(image(core, device)),
                Kind::Serial => hardware.serial_ports += 1,
                Kind::Network => hardware.nics.push(GuestNic::of(device)),
                _ => {}
            }
        }
        hardware.disks.sort_by_key(|disk| disk.key);
        hardware.nics.sort_by_key(|nic| nic.key);
        hardware
    }
}

/// The image in a CD drive that is connected.
fn image(core: &Core, device: &Poly<VirtualDevice>) -> Option<PathBuf> {
    let connected = device.node().path("connectable.connected");
    if connected.and_then(|flag| flag.as_bool()) == Some(false) {
        return None;
    }
    let name = device::text(device, "backing.fileName").filter(|name| !name.is_empty())?;
    let path = core.store.parse(&name).ok()?;
    (!path.is_root()).then(|| core.store.file(&path))
}

impl GuestDisk {
    /// A disk that is attached to nothing, by the files of its chain.
    #[must_use]
    pub fn new(chain: Vec<PathBuf>, capacity_bytes: u64) -> Self {
        Self {
            chain,
            capacity_bytes,
            ..Self::default()
        }
    }

    /// The disks that this one is made on, from its parent down to the base.
    pub fn parents(&self) -> impl Iterator<Item = Self> {
        (1..self.chain.len()).map(|at| {
            let chain = self.chain.get(at..).unwrap_or_default();
            Self::new(chain.to_vec(), self.capacity_bytes)
        })
    }

    pub(crate) fn of(
        core: &Core,
        devices: &device::Devices,
        device: &Poly<VirtualDevice>,
    ) -> Option<Self> {
        let chain = device::chain(device)
            .iter()
            .map(|name| core.store.parse(name).map(|path| core.store.file(&path)))
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
    fn of(mode: &str) -> Self {
        match mode {
            "independent_persistent" => Self::IndependentPersistent,
            "independent_nonpersistent" | "nonpersistent" => Self::Nonpersistent,
            _ => Self::Persistent,
        }
    }

    /// Whether things that are written are lost at power-off.
    #[must_use]
    pub const fn is_discarded(self) -> bool {
        matches!(self, Self::Nonpersistent)
    }
}

impl GuestNic {
    fn of(device: &Poly<VirtualDevice>) -> Self {
        let text = |path| device::text(device, path).unwrap_or_default();
        Self {
            key: device::key(device),
            mac: text("macAddress").to_ascii_lowercase(),
            network: text("backing.deviceName"),
            pci_slot: device::int(device, "slotInfo.pciSlotNumber")
                .and_then(|slot| u32::try_from(slot).ok()),
        }
    }
}
