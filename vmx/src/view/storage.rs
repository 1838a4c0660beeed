//! Controllers, disks and CD drives.

use std::borrow::{Borrow, BorrowMut};

use crate::document::{Change, Document, Entry};
use crate::error::EditError;

use super::SettingError;
use super::device_name::{Class, DeviceName};
use super::identity::SasWwid;
use super::scheduling::Shares;
use super::typed_setting::{device, read, settings, words};

words! {
    /// The model of a SCSI controller; without a setting it follows from the guest.
    pub enum ControllerModel {
        /// `VirtualBusLogicController`.
        BusLogic = "buslogic",
        /// `VirtualLsiLogicController`.
        LsiLogic = "lsilogic",
        /// `VirtualLsiLogicSASController`.
        LsiLogicSas = "lsisas1068",
        /// `ParaVirtualSCSIController`.
        ParaVirtual = "pvscsi",
    }
}

words! {
    /// Whether machines share the bus; `VirtualSCSIController.sharedBus`.
    pub enum SharedBus {
        /// `noSharing`.
        None = "none",
        /// `virtualSharing`: on one host.
        Virtual = "virtual",
        /// `physicalSharing`: on any host.
        Physical = "physical",
    }
}

words! {
    /// The kind of drive that a controller has at this address.
    pub enum DriveType {
        /// A disk on SCSI; also what an absent setting means.
        ScsiDisk = "scsi-hardDisk",
        /// A disk on IDE.
        AtaDisk = "ata-hardDisk",
        /// A disk.
        Disk = "disk",
        /// A disk in plain files.
        PlainDisk = "plainDisk",
        /// A disk of the host.
        RawDisk = "rawDisk",
        /// A CD drive with an image; backing `VirtualCdromIsoBackingInfo`.
        CdromImage = "cdrom-image",
        /// A CD drive of the host, passed through; backing
        /// `VirtualCdromPassthroughBackingInfo`.
        CdromRaw = "cdrom-raw",
        /// A CD drive of the host, emulated; backing `VirtualCdromAtapiBackingInfo`.
        AtapiCdrom = "atapi-cdrom",
        /// A SCSI device of the host; `VirtualSCSIPassthrough`.
        ScsiPassthrough = "scsi-passthru",
    }
}

words! {
    /// Persistence of writes; `diskMode` of the backing.
    pub enum DiskMode {
        /// They stay, and snapshots hold them.
        Persistent = "persistent",
        /// They are gone at power-off.
        NonPersistent = "nonpersistent",
        /// They stay, and snapshots leave them out.
        IndependentPersistent = "independent-persistent",
        /// They are gone at power-off, and snapshots leave them out.
        IndependentNonPersistent = "independent-nonpersistent",
        /// They can be dropped at power-off.
        Undoable = "undoable",
        /// They go to a redo log.
        Append = "append",
    }
}

words! {
    /// Whether machines share a disk; `sharing` of the backing.
    pub enum DiskSharing {
        /// `sharingNone`.
        None = "none",
        /// `sharingMultiWriter`.
        MultiWriter = "multi-writer",
    }
}

device! {
    /// A disk controller, `scsiN`, `sataN`, `nvmeN`.
    ///
    /// API: a subclass of `VirtualSCSIController` by [`ControllerModel`],
    /// `VirtualAHCIController`, `VirtualNVMEController`. IDE controllers
    /// (`VirtualIDEController`) are always there and have no settings.
    Controller
}

settings! { Controller {
    /// Whether the controller is there; its drives are inert otherwise.
    present set_present: bool = "present" or false;
    /// The model; API: the class of the device.
    model set_model: ControllerModel = "virtualDev";
    /// Whether machines share the bus; API: `VirtualSCSIController.sharedBus`.
    shared_bus set_shared_bus: SharedBus = "sharedBus" or "none";
    /// The PCI slot, -1 if none was given yet; API:
    /// `VirtualDevice.slotInfo.pciSlotNumber`.
    pci_slot set_pci_slot: i32 = "pciSlotNumber";
    /// The world wide identity of a SAS controller; generated. The API does not show it.
    sas_wwid set_sas_wwid: SasWwid = "sasWWID";
} }

device! {
    /// A disk, CD drive or host device on a controller: `scsi0:0`.
    ///
    /// API: `VirtualDisk`, `VirtualCdrom`, `VirtualSCSIPassthrough` by [`DriveType`].
    Drive
}

settings! { Drive {
    /// Whether the drive is there.
    present set_present: bool = "present" or false;
    /// The kind of device; API: the class of the device and of its backing.
    drive_type set_drive_type: DriveType = "deviceType" or "scsi-hardDisk";
    /// The file, relative to the folder of the machine or from the root of the host;
    /// a device of the host, or `auto detect`.
    ///
    /// API: `fileName` of the backing, as `[datastore] path`.
    file_name set_file_name: String = "fileName";
    /// Persistence of writes; API: `diskMode` of the backing.
    mode set_mode: DiskMode = "mode" or "persistent";
    /// Whether writes wait for the medium; API: `writeThrough` of the backing.
    write_through set_write_through: bool = "writeThrough" or false;
    /// The redo log, nearly always empty. The API does not show it.
    redo set_redo: String = "redo" or "";
    /// Whether changed blocks are recorded; API: shown as `changeId` of the backing.
    change_tracking set_change_tracking: bool = "ctkEnabled" or false;
    /// Whether machines share the disk; API: `sharing` of the backing.
    sharing set_sharing: DiskSharing = "sharing" or "none";
    /// Whether the guest sees an SSD; part of extraConfig.
    ssd set_ssd: bool = "virtualSSD" or false;
    /// Whether it is connected at power-on; API: `VirtualDeviceConnectInfo.startConnected`.
    start_connected set_start_connected: bool = "startConnected" or true;
    /// Whether the guest may disconnect it; API: `VirtualDeviceConnectInfo.allowGuestControl`.
    allow_guest_control set_allow_guest_control: bool = "allowGuestConnectionControl";
    /// Whether the drive is one of the console's user; API: a remote backing.
    client_device set_client_device: bool = "clientDevice" or false;
    /// Whether the host's drive is searched; API: `useAutoDetect` of the backing.
    auto_detect set_auto_detect: bool = "autodetect" or false;
} }

impl<D: Borrow<Document>> Drive<D> {
    /// Weight against other machines on the storage; API:
    /// `VirtualDisk.storageIOAllocation.shares`.
    ///
    /// Key `sched.<device>.shares`, absent: normal.
    ///
    /// # Errors
    ///
    /// The value is not of this type.
    pub fn io_shares(&self) -> Result<Shares, SettingError> {
        let name = format!("sched.{}.shares", self.device_name());
        Ok(read(self.document.borrow(), &name)?.unwrap_or(Shares::Normal))
    }

    /// Operations a second at most, or `off`; API: `VirtualDisk.storageIOAllocation.limit`.
    ///
    /// It is text: products take units behind the number, `500IOps`, `10MBps`.
    ///
    /// Key `sched.<device>.throughputCap`, absent: `off`.
    ///
    /// # Errors
    ///
    /// The value is not text.
    pub fn throughput_cap(&self) -> Result<String, SettingError> {
        let name = format!("sched.{}.throughputCap", self.device_name());
        Ok(read(self.document.borrow(), &name)?.unwrap_or_else(|| "off".to_owned()))
    }
}

/// `sched.scsi0:0.shares` is of drive `scsi0:0`, and `shares`.
fn scheduled(name: &str) -> Option<(DeviceName, &str)> {
    let (head, rest) = name.split_at_checked("sched.".len())?;
    let (device, key) = DeviceName::split(rest)?;
    (head.eq_ignore_ascii_case("sched.") && device.unit().is_some()).then_some((device, key))
}

/// Settings of storage scheduling that cannot be read, of all drives.
pub(super) fn io_faults(document: &Document) -> Vec<SettingError> {
    let mut faults = Vec::new();
    for entry in document.entries().filter(Entry::is_first) {
        let Some((device, key)) = entry.name().as_str().and_then(scheduled) else {
            continue;
        };
        let drive = Drive::at(document, device);
        if key.eq_ignore_ascii_case("shares") {
            faults.extend(drive.io_shares().err());
        } else if key.eq_ignore_ascii_case("throughputCap") {
            faults.extend(drive.throughput_cap().err());
        }
    }
    faults
}

impl<D: BorrowMut<Document>> Drive<D> {
    /// Sets `sched.<device>.shares`, see [`io_shares`](Self::io_shares).
    ///
    /// # Errors
    ///
    /// As [`Document::set`].
    pub fn set_io_shares(&mut self, shares: Shares) -> Result<Change, EditError> {
        let name = format!("sched.{}.shares", self.device_name());
        let value = super::typed_setting::Setting::write(&shares);
        self.document.borrow_mut().set(name, &value)
    }

    /// Sets `sched.<device>.throughputCap`, see [`throughput_cap`](Self::throughput_cap).
    ///
    /// # Errors
    ///
    /// As [`Document::set`].
    pub fn set_throughput_cap(&mut self, cap: &str) -> Result<Change, EditError> {
        let name = format!("sched.{}.throughputCap", self.device_name());
        self.document.borrow_mut().set(name, cap)
    }
}

impl DriveType {
    /// Whether it is a CD drive.
    #[must_use]
    pub fn is_cdrom(&self) -> bool {
        matches!(self, Self::CdromImage | Self::CdromRaw | Self::AtapiCdrom)
    }

    /// Whether it is a disk.
    #[must_use]
    pub fn is_disk(&self) -> bool {
        matches!(
            self,
            Self::ScsiDisk | Self::AtaDisk | Self::Disk | Self::PlainDisk | Self::RawDisk
        )
    }
}

impl<D: Borrow<Document>> Controller<D> {
    /// The class of the device in the API; that of SCSI without a model depends on
    /// the guest.
    #[must_use]
    pub fn api_type(&self) -> &'static str {
        match (self.device.class(), self.model()) {
            (Class::Sata, _) => "VirtualAHCIController",
            (Class::Nvme, _) => "VirtualNVMEController",
            (Class::Ide, _) => "VirtualIDEController",
            (_, Ok(Some(ControllerModel::BusLogic))) => "VirtualBusLogicController",
            (_, Ok(Some(ControllerModel::LsiLogic))) => "VirtualLsiLogicController",
            (_, Ok(Some(ControllerModel::LsiLogicSas))) => "VirtualLsiLogicSASController",
            (_, Ok(Some(ControllerModel::ParaVirtual))) => "ParaVirtualSCSIController",
            _ => "VirtualSCSIController",
        }
    }
}

impl<D: Borrow<Document>> Drive<D> {
    /// The class of the device in the API.
    #[must_use]
    pub fn api_type(&self) -> &'static str {
        match self.drive_type() {
            Ok(kind) if kind.is_disk() => "VirtualDisk",
            Ok(kind) if kind.is_cdrom() => "VirtualCdrom",
            Ok(DriveType::ScsiPassthrough) => "VirtualSCSIPassthrough",
            _ => "VirtualDevice",
        }
    }

    /// The class of the backing in the API, as far as the file tells.
    #[must_use]
    pub fn api_backing(&self) -> Option<&'static str> {
        let client = self.client_device() == Ok(true);
        Some(match self.drive_type().ok()? {
            DriveType::CdromImage if client => "VirtualCdromRemotePassthroughBackingInfo",
            DriveType::CdromImage => "VirtualCdromIsoBackingInfo",
            DriveType::CdromRaw if client => "VirtualCdromRemotePassthroughBackingInfo",
            DriveType::CdromRaw => "VirtualCdromPassthroughBackingInfo",
            DriveType::AtapiCdrom if client => "VirtualCdromRemoteAtapiBackingInfo",
            DriveType::AtapiCdrom => "VirtualCdromAtapiBackingInfo",
            DriveType::ScsiPassthrough => "VirtualSCSIPassthroughDeviceBackingInfo",
            kind if kind.is_disk() => "VirtualDiskFlatVer2BackingInfo",
            _ => return None,
        })
    }
}
