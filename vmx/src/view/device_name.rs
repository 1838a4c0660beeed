//! Names of devices: the part of an entry's name before its first dot.

use std::fmt;

/// A class of devices, identified by the letters with which their names begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Class {
    /// `ideN:M`, N 0-1, M 0-1.
    Ide,
    /// `scsiN` and `scsiN:M`, N 0-3, M 0-15 except 7, or up to 64 on newer pvscsi
    /// controllers.
    Scsi,
    /// `sataN` and `sataN:M`, N 0-3, M 0-29.
    Sata,
    /// `nvmeN` and `nvmeN:M`, N 0-3, M 0-63.
    Nvme,
    /// `ethernetN`, N 0-9.
    Ethernet,
    /// `serialN`, N 0-3.
    Serial,
    /// `parallelN`, N 0-2.
    Parallel,
    /// `floppyN`, N 0-1.
    Floppy,
    /// `usb`, the UHCI controller, and `usb:N`, a port.
    Usb,
    /// `ehci`, the USB 2 controller.
    Ehci,
    /// `usb_xhci`, the USB 3 controller, and `usb_xhci:N`, a port.
    Xhci,
    /// `sound`
    Sound,
    /// `svga`
    Svga,
    /// `vmciN`, N 0.
    Vmci,
    /// `pciBridgeN`, N 0, 4-7.
    PciBridge,
    /// `pciPassthruN`, a PCI device of the host.
    PciPassthrough,
    /// `nvdimmN`, a controller, and `nvdimmN:M`, a module on it.
    Nvdimm,
    /// `sharedFolderN`, a folder of the host.
    SharedFolder,
    /// `vtpm`
    Tpm,
    /// `precisionclockN`, N 0.
    PrecisionClock,
    /// `watchdogN`, N 0.
    Watchdog,
}

const CLASSES: &[(&str, Class)] = &[
    ("ide", Class::Ide),
    ("scsi", Class::Scsi),
    ("sata", Class::Sata),
    ("nvme", Class::Nvme),
    ("ethernet", Class::Ethernet),
    ("serial", Class::Serial),
    ("parallel", Class::Parallel),
    ("floppy", Class::Floppy),
    ("usb", Class::Usb),
    ("ehci", Class::Ehci),
    ("usb_xhci", Class::Xhci),
    ("sound", Class::Sound),
    ("svga", Class::Svga),
    ("vmci", Class::Vmci),
    ("pciBridge", Class::PciBridge),
    ("pciPassthru", Class::PciPassthrough),
    ("nvdimm", Class::Nvdimm),
    ("sharedFolder", Class::SharedFolder),
    ("vtpm", Class::Tpm),
    ("precisionclock", Class::PrecisionClock),
    ("watchdog", Class::Watchdog),
];

/// The name of a device: `scsi0:1`, `ethernet0`, `svga`.
///
/// `Display` prints it as it appears in the names of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceName {
    class: Class,
    bus: Option<u32>,
    unit: Option<u32>,
}

impl Class {
    /// Returns the word with which names of its devices begin.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        CLASSES
            .iter()
            .find(|(_, class)| *class == self)
            .map_or("", |(word, _)| word)
    }

    /// Whether device names of the class contain a number.
    const fn is_numbered(self) -> bool {
        !matches!(
            self,
            Self::Usb | Self::Ehci | Self::Xhci | Self::Sound | Self::Svga | Self::Tpm
        )
    }

    /// Whether this is a class of controllers whose devices have a number of their own:
    /// drives, memory modules.
    const fn has_units(self) -> bool {
        matches!(
            self,
            Self::Ide | Self::Scsi | Self::Sata | Self::Nvme | Self::Nvdimm
        )
    }

    /// Whether this is a class of USB controllers whose ports have names.
    const fn has_ports(self) -> bool {
        matches!(self, Self::Usb | Self::Xhci)
    }
}

impl DeviceName {
    /// Returns the name of a device, such as `ethernet0`, or of a controller, such as
    /// `scsi0`. The number is ignored for classes without numbers (`usb`, `svga`, ..).
    #[must_use]
    pub const fn of(class: Class, number: u32) -> Self {
        Self {
            class,
            bus: if class.is_numbered() {
                Some(number)
            } else {
                None
            },
            unit: None,
        }
    }

    /// Returns the name of a drive on a controller, `scsi0:1`, or of a memory module,
    /// `nvdimm0:1`. Other classes have no units.
    #[must_use]
    pub const fn drive(class: Class, bus: u32, unit: u32) -> Self {
        Self {
            class,
            bus: Some(bus),
            unit: if class.has_units() { Some(unit) } else { None },
        }
    }

    /// Returns the name of a USB controller's port: `usb:1`, `usb_xhci:4`. Other classes
    /// have no ports.
    #[must_use]
    pub const fn port(class: Class, number: u32) -> Self {
        let mut name = Self::of(class, 0);
        if class.has_ports() {
            name.unit = Some(number);
        }
        name
    }

    /// Splits an entry's name into the device that it refers to and the rest of the name.
    pub(crate) fn split(name: &str) -> Option<(Self, &str)> {
        let (group, key) = name.split_once('.')?;
        let letters = group
            .find(|c: char| c.is_ascii_digit() || c == ':')
            .unwrap_or(group.len());
        let (word, numbers) = group.split_at(letters);
        let class = CLASSES
            .iter()
            .find(|(known, _)| word.eq_ignore_ascii_case(known))?
            .1;
        let number = |digits: &str| {
            // Only numbers as VMware writes them are accepted: `scsi00` names no device.
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits.len() == 1 || !digits.starts_with('0'));
            if plain { digits.parse().ok() } else { None }
        };
        let name = match numbers.split_once(':') {
            Some((bus, unit)) if class.has_units() => {
                Self::drive(class, number(bus)?, number(unit)?)
            }
            Some(("", unit)) if class.has_ports() => Self::port(class, number(unit)?),
            None if numbers.is_empty() && !class.is_numbered() => Self::of(class, 0),
            None if class.is_numbered() => Self::of(class, number(numbers)?),
            _ => return None,
        };
        Some((name, key))
    }

    /// Returns the class of the device.
    #[must_use]
    pub const fn class(self) -> Class {
        self.class
    }

    /// Returns the number of the device, or of the controller to which it is attached.
    #[must_use]
    pub const fn bus(self) -> Option<u32> {
        self.bus
    }

    /// Returns the number on the controller, for a drive, a module or a port.
    #[must_use]
    pub const fn unit(self) -> Option<u32> {
        self.unit
    }

    /// Returns the controller of a drive, a module or a port. IDE controllers always
    /// exist, so `None` is returned for them.
    #[must_use]
    pub fn controller(self) -> Option<Self> {
        match (self.class, self.bus, self.unit) {
            (Class::Ide, ..) | (_, _, None) => None,
            (class, bus, Some(_)) => Some(Self::of(class, bus.unwrap_or_default())),
        }
    }

    /// Returns the key of the device in the API, if it follows a rule: IDE 200+N, SCSI
    /// 1000+N, AHCI 15000+N, NVMe 31000+N; drives on IDE 3000+2·N+M, on SCSI 2000+16·N+M,
    /// on AHCI 16000+30·N+M; network 4000+N, floppy 8000+N, serial 9000+N, parallel
    /// 10000+N; USB 7000, xHCI 14000, video 500, VMCI 12000.
    #[must_use]
    pub fn device_key(self) -> Option<u32> {
        let bus = self.bus.unwrap_or_default();
        if let Some(unit) = self.unit {
            let (first, units) = match self.class {
                Class::Ide => (3000, 2),
                Class::Scsi => (2000, 16),
                Class::Sata => (16_000, 30),
                _ => return None,
            };
            let number = bus.checked_mul(units)?.checked_add(unit)?;
            return if unit < units {
                number.checked_add(first)
            } else {
                None
            };
        }
        let first = match self.class {
            Class::Ide => 200,
            Class::Scsi => 1000,
            Class::Sata => 15_000,
            Class::Nvme => 31_000,
            Class::Ethernet => 4000,
            Class::Serial => 9000,
            Class::Parallel => 10_000,
            Class::Floppy => 8000,
            Class::Usb => 7000,
            Class::Xhci => 14_000,
            Class::Svga => 500,
            Class::Vmci => 12_000,
            Class::Sound
            | Class::Ehci
            | Class::PciBridge
            | Class::PciPassthrough
            | Class::Nvdimm
            | Class::SharedFolder
            | Class::Tpm
            | Class::PrecisionClock
            | Class::Watchdog => return None,
        };
        bus.checked_add(first)
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.class.as_str())?;
        if let Some(bus) = self.bus {
            write!(f, "{bus}")?;
        }
        if let Some(unit) = self.unit {
            write!(f, ":{unit}")?;
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for DeviceName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_devices() {
        for (entry, expected) in [
            ("scsi0:15.fileName", Some("scsi0:15")),
            ("SCSI1.present", Some("scsi1")),
            ("ethernet0.dvs.portId", Some("ethernet0")),
            ("svga.vramSize", Some("svga")),
            ("usb_xhci.present", Some("usb_xhci")),
            ("usb:0.present", Some("usb:0")),
            ("usb_xhci:4.present", Some("usb_xhci:4")),
            ("usb0:1.present", None),
            ("usb:.present", None),
            ("ehci:1.present", None),
            ("nvdimm0:1.fileName", Some("nvdimm0:1")),
            ("pcipassthru2.id", Some("pciPassthru2")),
            ("sharedFolder0.guestName", Some("sharedFolder0")),
            ("sharedFolder.maxNum", None),
            ("VTPM.present", Some("vtpm")),
            ("watchdog0.present", Some("watchdog0")),
            ("svga0.x", None),
            ("scsi.present", None),
            ("scsi00.present", None),
            ("scsi0:.present", None),
            ("scsi:0.present", None),
            ("ethernet0:1.present", None),
            ("ethernet+1.present", None),
            ("scsi99999999999.present", None),
            ("sched.scsi0:0.shares", None),
            ("scsi0", None),
        ] {
            let found = DeviceName::split(entry).map(|(name, _)| name.to_string());
            assert_eq!(found.as_deref(), expected, "{entry}");
        }
    }

    #[test]
    fn keys_of_the_interface() {
        assert_eq!(DeviceName::of(Class::Ide, 1).device_key(), Some(201));
        assert_eq!(
            DeviceName::drive(Class::Scsi, 1, 2).device_key(),
            Some(2018)
        );
        assert_eq!(DeviceName::drive(Class::Scsi, 0, 16).device_key(), None);
        assert_eq!(DeviceName::drive(Class::Ide, 1, 0).device_key(), Some(3002));
        assert_eq!(
            DeviceName::drive(Class::Sata, 0, 0).device_key(),
            Some(16_000)
        );
        assert_eq!(DeviceName::drive(Class::Nvme, 0, 0).device_key(), None);
        assert_eq!(DeviceName::port(Class::Usb, 0).device_key(), None);
        assert_eq!(
            DeviceName::drive(Class::Scsi, u32::MAX, 2).device_key(),
            None
        );
        assert_eq!(DeviceName::of(Class::Serial, u32::MAX).device_key(), None);
    }
}
