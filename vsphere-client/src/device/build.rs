//! Builders for new devices. [`DeviceList::add`](super::DeviceList::add) assigns keys
//! and unit numbers.

use vim25::types::{
    VirtualCdrom, VirtualCdromIsoBackingInfo, VirtualDevice, VirtualDeviceBackingInfo,
    VirtualDeviceConnectInfo, VirtualDeviceFileBackingInfo, VirtualDeviceURIBackingInfo,
    VirtualDeviceURIBackingOptionDirection, VirtualDisk, VirtualDiskFlatVer2BackingInfo,
    VirtualDiskMode, VirtualEthernetCard, VirtualSerialPort, VirtualSerialPortFileBackingInfo,
    VirtualSerialPortURIBackingInfo, VirtualVmxnet, VirtualVmxnet3,
};
use vim25::{Poly, Ref, mo};

/// A disk to create. By default, it is thin and persistent; the server chooses its name in the
/// machine's directory.
#[derive(Clone, Debug)]
#[must_use = "give it to `DeviceList::add_disk`"]
pub struct NewDisk {
    bytes: u64,
    file: String,
    datastore: Option<Ref<mo::Datastore>>,
    mode: VirtualDiskMode,
    thin: bool,
    parent: Option<String>,
}

impl NewDisk {
    /// Creates a disk of this many bytes, rounded up to whole KiB.
    pub fn new(bytes: u64) -> Self {
        Self {
            bytes,
            file: String::new(),
            datastore: None,
            mode: VirtualDiskMode::Persistent,
            thin: true,
            parent: None,
        }
    }

    /// Sets the file: `[datastore] path/disk.vmdk`. Its directory must exist.
    pub fn file(mut self, path: impl Into<String>) -> Self {
        self.file = path.into();
        // A name without the extension would be treated as a directory.
        if !self.file.is_empty() && !self.file.ends_with(".vmdk") {
            self.file.push_str(".vmdk");
        }
        self
    }

    /// Sets the datastore. Default: the datastore of the machine.
    pub fn datastore(mut self, datastore: &Ref<mo::Datastore>) -> Self {
        self.datastore = Some(datastore.clone());
        self
    }

    /// Sets how the disk takes part in snapshots, and whether writes persist.
    pub fn mode(mut self, mode: VirtualDiskMode) -> Self {
        self.mode = mode;
        self
    }

    /// Allocates all space at creation.
    pub const fn thick(mut self) -> Self {
        self.thin = false;
        self
    }

    /// Makes the new disk a child of this disk, `[datastore] path/disk.vmdk`, so that it
    /// stores only the differences. Both must have the same capacity.
    pub fn child_of(mut self, parent: impl Into<String>) -> Self {
        self.parent = Some(parent.into());
        self
    }

    pub(super) fn into_device(self) -> VirtualDisk {
        let backing = VirtualDiskFlatVer2BackingInfo {
            base: VirtualDeviceFileBackingInfo {
                file_name: self.file,
                datastore: self.datastore,
                ..VirtualDeviceFileBackingInfo::default()
            },
            disk_mode: self.mode.as_str().to_owned(),
            thin_provisioned: Some(self.thin),
            parent: self.parent.map(|parent| {
                Box::new(VirtualDiskFlatVer2BackingInfo {
                    base: VirtualDeviceFileBackingInfo {
                        file_name: parent,
                        ..VirtualDeviceFileBackingInfo::default()
                    },
                    disk_mode: VirtualDiskMode::Persistent.as_str().to_owned(),
                    ..VirtualDiskFlatVer2BackingInfo::default()
                })
            }),
            ..VirtualDiskFlatVer2BackingInfo::default()
        };
        VirtualDisk {
            base: VirtualDevice {
                backing: Some(Poly::new(backing)),
                ..VirtualDevice::default()
            },
            capacity_in_kb: i64::try_from(self.bytes.div_ceil(1024)).unwrap_or(i64::MAX),
            ..VirtualDisk::default()
        }
    }
}

/// Returns a `vmxnet3` network card with this backing, connected at power on.
#[must_use]
pub fn nic(backing: impl Into<Poly<VirtualDeviceBackingInfo>>) -> VirtualVmxnet3 {
    let card = VirtualEthernetCard {
        base: connected(backing.into()),
        ..VirtualEthernetCard::default()
    };
    VirtualVmxnet3 {
        base: VirtualVmxnet { base: card },
        ..VirtualVmxnet3::default()
    }
}

/// Returns a CD drive with this image: `[datastore] path/boot.iso`.
#[must_use]
pub fn cdrom(image: &str) -> VirtualCdrom {
    let backing = VirtualCdromIsoBackingInfo { base: file(image) };
    VirtualCdrom {
        base: connected(Poly::new(backing)),
    }
}

/// Returns a serial port that connects to a URI such as `tcp://192.0.2.1:2377`. The guest
/// cannot disconnect the port.
#[must_use]
pub fn serial_uri(uri: &str) -> VirtualSerialPort {
    let direction = VirtualDeviceURIBackingOptionDirection::Client;
    let backing = VirtualSerialPortURIBackingInfo {
        base: VirtualDeviceURIBackingInfo {
            service_uri: uri.to_owned(),
            direction: direction.as_str().to_owned(),
            ..VirtualDeviceURIBackingInfo::default()
        },
    };
    let mut base = connected(Poly::new(backing));
    if let Some(connectable) = &mut base.connectable {
        connectable.allow_guest_control = false;
    }
    serial(base)
}

/// Returns a serial port that appends to a file: `[datastore] path/log`.
#[must_use]
pub fn serial_file(path: &str) -> VirtualSerialPort {
    let backing = VirtualSerialPortFileBackingInfo { base: file(path) };
    serial(connected(Poly::new(backing)))
}

const fn serial(base: VirtualDevice) -> VirtualSerialPort {
    VirtualSerialPort {
        base,
        // Without this, a guest that polls the port uses a whole CPU.
        yield_on_poll: true,
    }
}

fn connected(backing: Poly<VirtualDeviceBackingInfo>) -> VirtualDevice {
    VirtualDevice {
        backing: Some(backing),
        connectable: Some(Box::new(VirtualDeviceConnectInfo {
            start_connected: true,
            allow_guest_control: true,
            connected: true,
            ..VirtualDeviceConnectInfo::default()
        })),
        ..VirtualDevice::default()
    }
}

fn file(name: &str) -> VirtualDeviceFileBackingInfo {
    VirtualDeviceFileBackingInfo {
        file_name: name.to_owned(),
        ..VirtualDeviceFileBackingInfo::default()
    }
}
