//! The list of all devices, and whether each is in effect.

use std::borrow::{Borrow, BorrowMut};
use std::collections::HashSet;
use std::fmt;

use crate::document::Document;

use super::device_name::{Class, DeviceName};
use super::storage::io_faults;
use super::{
    Controller, Drive, Floppy, NetworkCard, Nvdimm, ParallelPort, PciBridge, PciPassthrough,
    PrecisionClock, SerialPort, SettingError, SharedFolder, Sound, Tpm, UsbController, UsbPort,
    Video, VirtualMachineFile, Vmci, Watchdog, device_names,
};

/// Whether a device is in effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Presence {
    /// The machine has the device.
    Present,
    /// `present` is FALSE, missing or unreadable, so all settings of the device are
    /// ignored.
    Absent,
    /// The device is present, but its controller is not.
    NoController,
}

/// A summary of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Device {
    /// The name of the device, such as `scsi0:0`.
    pub name: DeviceName,
    /// Whether the device is in effect.
    pub presence: Presence,
    /// The class of the device in the vSphere API, as far as the file determines it.
    ///
    /// `-` if the API has no class for the device.
    pub api_type: &'static str,
    /// The class of the device's backing in the API, as far as the file determines it.
    pub api_backing: Option<&'static str>,
    /// The key of the device in the API, if it follows from the name.
    pub key: Option<u32>,
    /// The most informative setting: file, network or model.
    pub summary: Option<String>,
}

impl Presence {
    /// Determines whether a device of a document is in effect.
    pub(super) fn of(document: &Document, name: DeviceName) -> Self {
        let present = |name: DeviceName| {
            let default = matches!(name.class(), Class::Floppy | Class::Svga);
            let value = document.get(format!("{name}.present"));
            value.map_or(default, |value| value.boolean().unwrap_or(false))
        };
        match name.controller() {
            _ if !present(name) => Self::Absent,
            Some(controller) if !present(controller) => Self::NoController,
            _ => Self::Present,
        }
    }
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::NoController => "no controller",
        })
    }
}

impl<D: Borrow<Document>> VirtualMachineFile<D> {
    /// Returns the disks: drives whose type is a disk, or that have no type.
    pub fn disks(&self) -> Vec<Drive<&Document>> {
        self.drives_where(|drive| drive.drive_type().is_ok_and(|kind| kind.is_disk()))
    }

    /// Returns the CD drives.
    pub fn cdroms(&self) -> Vec<Drive<&Document>> {
        self.drives_where(|drive| drive.drive_type().is_ok_and(|kind| kind.is_cdrom()))
    }

    fn drives_where(&self, condition: impl Fn(&Drive<&Document>) -> bool) -> Vec<Drive<&Document>> {
        let mut drives = self.drives();
        drives.retain(condition);
        drives
    }

    /// Determines whether a device is in effect: it and its controller must be present.
    pub fn presence(&self, name: DeviceName) -> Presence {
        Presence::of(self.document.borrow(), name)
    }

    /// Returns all devices that the file mentions, ordered by class and number.
    ///
    /// Floppy drive 0 is included even if the file does not mention it, because VMware
    /// adds floppy drive 0 unless the file says otherwise.
    pub fn devices(&self) -> Vec<Device> {
        let mut device_names = device_names(self.document.borrow());
        device_names.insert(DeviceName::of(Class::Floppy, 0));
        device_names
            .into_iter()
            .map(|name| self.device(name))
            .collect()
    }

    fn device(&self, name: DeviceName) -> Device {
        let document: &Document = self.document.borrow();
        let (api_type, api_backing, summary) = match name.class() {
            Class::Ide | Class::Scsi | Class::Sata | Class::Nvme if name.unit().is_some() => {
                let drive = Drive::at(document, name);
                (
                    drive.api_type(),
                    drive.api_backing(),
                    said(drive.file_name()),
                )
            }
            Class::Ide | Class::Scsi | Class::Sata | Class::Nvme => {
                let controller = Controller::at(document, name);
                let model = said(controller.model()).map(|model| model.to_string());
                (controller.api_type(), None, model)
            }
            Class::Ethernet => {
                let card = NetworkCard::at(document, name);
                let network = said(card.network_name()).or_else(|| said(card.port_group_id()));
                let hosted = || said(card.connection_type().map(|kind| Some(kind.to_string())));
                (card.api_type(), card.api_backing(), network.or_else(hosted))
            }
            Class::Serial => {
                let port = SerialPort::at(document, name);
                (
                    "VirtualSerialPort",
                    port.api_backing(),
                    said(port.file_name()),
                )
            }
            Class::Parallel => {
                let port = ParallelPort::at(document, name);
                (
                    "VirtualParallelPort",
                    port.api_backing(),
                    said(port.file_name()),
                )
            }
            Class::Floppy => {
                let floppy = Floppy::at(document, name);
                (
                    "VirtualFloppy",
                    floppy.api_backing(),
                    said(floppy.file_name()),
                )
            }
            Class::Usb | Class::Xhci if name.unit().is_some() => {
                let port = UsbPort::at(document, name);
                let kind = said(port.device_type()).map(|kind| kind.to_string());
                (port.api_type(), None, kind)
            }
            Class::Usb | Class::Ehci | Class::Xhci => {
                (UsbController::at(document, name).api_type(), None, None)
            }
            Class::Sound => {
                let sound = Sound::at(document, name);
                (
                    sound.api_type(),
                    None,
                    said(sound.model()).map(|model| model.to_string()),
                )
            }
            Class::Svga => {
                let memory = Video::at(document, name).memory();
                let summary = memory.ok().map(|bytes| format!("{} KiB", bytes / 1024));
                ("VirtualMachineVideoCard", None, summary)
            }
            Class::Vmci => ("VirtualMachineVMCIDevice", None, None),
            Class::PciBridge => ("-", None, said(PciBridge::at(document, name).model())),
            Class::PciPassthrough => {
                let device = PciPassthrough::at(document, name);
                let summary = said(device.vgpu()).or_else(|| said(device.id()));
                ("VirtualPCIPassthrough", device.api_backing(), summary)
            }
            Class::Nvdimm => {
                let memory = Nvdimm::at(document, name);
                (
                    memory.api_type(),
                    memory.api_backing(),
                    said(memory.file_name()),
                )
            }
            Class::SharedFolder => {
                let folder = SharedFolder::at(document, name);
                ("-", None, said(folder.host_path()))
            }
            Class::Tpm => ("VirtualTPM", None, None),
            Class::PrecisionClock => ("VirtualPrecisionClock", None, None),
            Class::Watchdog => ("VirtualWDT", None, None),
        };
        let presence = self.presence(name);
        Device {
            name,
            presence,
            api_type,
            api_backing,
            key: name.device_key(),
            summary,
        }
    }

    /// Returns an error for every setting known to the views whose value is not of its
    /// type, each once.
    pub fn faults(&self) -> Vec<SettingError> {
        let document: &Document = self.document.borrow();
        let mut faults = self.setting_faults();
        faults.extend(self.instance_uuid().err());
        faults.extend(self.cpuid_faults());
        faults.extend(self.scheduling().setting_faults());
        faults.extend(io_faults(document));
        faults.extend(self.family_faults());
        for name in device_names(document) {
            faults.extend(match name.class() {
                Class::Ide | Class::Scsi | Class::Sata | Class::Nvme if name.unit().is_some() => {
                    Drive::at(document, name).setting_faults()
                }
                Class::Ide | Class::Scsi | Class::Sata | Class::Nvme => {
                    Controller::at(document, name).setting_faults()
                }
                Class::Ethernet => {
                    let card = NetworkCard::at(document, name);
                    let mut faults = card.setting_faults();
                    faults.extend(card.filters().faults());
                    faults
                }
                Class::Serial => SerialPort::at(document, name).setting_faults(),
                Class::Parallel => ParallelPort::at(document, name).setting_faults(),
                Class::Floppy => Floppy::at(document, name).setting_faults(),
                Class::Usb | Class::Xhci if name.unit().is_some() => {
                    UsbPort::at(document, name).setting_faults()
                }
                Class::Usb | Class::Ehci | Class::Xhci => {
                    UsbController::at(document, name).setting_faults()
                }
                Class::Sound => Sound::at(document, name).setting_faults(),
                Class::Svga => Video::at(document, name).setting_faults(),
                Class::Vmci => Vmci::at(document, name).setting_faults(),
                Class::PciBridge => PciBridge::at(document, name).setting_faults(),
                Class::PciPassthrough => PciPassthrough::at(document, name).setting_faults(),
                Class::Nvdimm => Nvdimm::at(document, name).setting_faults(),
                Class::SharedFolder => SharedFolder::at(document, name).setting_faults(),
                Class::Tpm => Tpm::at(document, name).setting_faults(),
                Class::PrecisionClock => PrecisionClock::at(document, name).setting_faults(),
                Class::Watchdog => Watchdog::at(document, name).setting_faults(),
            });
        }
        // A setting that has its own reader can also belong to a family.
        let mut seen = HashSet::new();
        faults.retain(|fault| seen.insert(fault.name().to_ascii_lowercase()));
        faults
    }
}

/// Accessors for devices of which a machine has at most one.
macro_rules! single_devices {
    ($($(#[$doc:meta])* $get:ident $edit:ident: $view:ident, $class:ident;)*) => {
        impl<D: Borrow<Document>> VirtualMachineFile<D> {
            $(
                $(#[$doc])*
                pub fn $get(&self) -> $view<&Document> {
                    $view::at(self.document.borrow(), DeviceName::of(Class::$class, 0))
                }
            )*
        }

        impl<D: BorrowMut<Document>> VirtualMachineFile<D> {
            $(
                #[doc = concat!("Like [`", stringify!($get), "`](Self::", stringify!($get), "), for editing.")]
                pub fn $edit(&mut self) -> $view<&mut Document> {
                    $view::at(self.document.borrow_mut(), DeviceName::of(Class::$class, 0))
                }
            )*
        }
    };
}

single_devices! {
    /// Returns the video card.
    video video_mut: Video, Svga;
    /// Returns the sound card.
    sound sound_mut: Sound, Sound;
    /// Returns the machine communication interface.
    vmci vmci_mut: Vmci, Vmci;
    /// Returns the TPM.
    tpm tpm_mut: Tpm, Tpm;
    /// Returns the clock that follows the host's clock.
    precision_clock precision_clock_mut: PrecisionClock, PrecisionClock;
    /// Returns the watchdog timer.
    watchdog watchdog_mut: Watchdog, Watchdog;
}

/// Returns the value of a setting; `None` if it is invalid.
fn said<T>(setting: Result<Option<T>, SettingError>) -> Option<T> {
    setting.ok().flatten()
}
