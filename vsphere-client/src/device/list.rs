//! An editable list of devices.

use vim25::types::{
    VirtualCdrom, VirtualDevice, VirtualDeviceConfigSpec, VirtualDeviceConfigSpecFileOperation,
    VirtualDeviceConfigSpecOperation, VirtualDisk, VirtualEthernetCard,
};
use vim25::{Base, ConvertError, DataObject, IsA, Poly};

use super::build::NewDisk;
use super::bus::{self, Bus};
use crate::error::{EntityKind, Error, Operation, Result, SearchScope};

/// The maximum number of network cards of a machine.
const CARDS: usize = 10;

/// The devices of a virtual machine, with pending changes.
///
/// Types and fields that this crate does not know, because the server is newer, are preserved
/// by every edit.
#[derive(Clone, Debug, Default)]
pub struct DeviceList {
    devices: Vec<Poly<VirtualDevice>>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
struct Change {
    key: i32,
    operation: VirtualDeviceConfigSpecOperation,
    files: Option<VirtualDeviceConfigSpecFileOperation>,
    /// For a removal, the device as it was read. For other changes, the device is in the list.
    removed: Option<Poly<VirtualDevice>>,
}

/// What to do with the files of a removed device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// Keep the files.
    Keep,
    /// Delete the files. For a disk the server may also delete its parents.
    Delete,
}

impl DeviceList {
    /// Creates a list from the property `config.hardware.device` of a machine.
    #[must_use]
    pub const fn new(devices: Vec<Poly<VirtualDevice>>) -> Self {
        Self {
            devices,
            changes: Vec::new(),
        }
    }

    /// Iterates over the devices, including the changes so far.
    pub fn iter(&self) -> impl Iterator<Item = &Poly<VirtualDevice>> {
        self.devices.iter()
    }

    /// Iterates over the devices of a type or of its subtypes.
    pub fn of_type<T>(&self) -> impl Iterator<Item = Base<T>>
    where
        T: DataObject + IsA<VirtualDevice>,
    {
        self.devices.iter().filter_map(Poly::view)
    }

    /// Returns the device with a key.
    #[must_use]
    pub fn by_key(&self, key: i32) -> Option<&Poly<VirtualDevice>> {
        self.devices
            .iter()
            .find(|device| key_of(device) == Some(key))
    }

    /// Returns the device with a label, such as `Hard disk 1`.
    #[must_use]
    pub fn by_label(&self, label: &str) -> Option<&Poly<VirtualDevice>> {
        self.devices.iter().find(|device| {
            let found = device.node().path("deviceInfo.label");
            found.and_then(vim25::Node::as_str) == Some(label)
        })
    }

    /// Adds a device and returns its key, which is valid until the change is sent. A disk
    /// without a controller is assigned a free unit on a SCSI controller, a CD drive on an IDE
    /// controller; a controller is added if necessary. The file of a disk must exist;
    /// [`add_disk`](Self::add_disk) creates a new file.
    ///
    /// # Errors
    /// [`Error::Config`] when no unit is free, or a required field is not set.
    pub fn add<T>(&mut self, device: T) -> Result<i32>
    where
        T: DataObject + IsA<VirtualDevice>,
    {
        self.add_with(Poly::new(device), None)
    }

    /// Adds a disk whose file is created with the change. See [`add`](Self::add).
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn add_disk(&mut self, disk: NewDisk) -> Result<i32> {
        let create = VirtualDeviceConfigSpecFileOperation::Create;
        self.add_with(Poly::new(disk.into_device()), Some(create))
    }

    fn add_with(
        &mut self,
        mut device: Poly<VirtualDevice>,
        files: Option<VirtualDeviceConfigSpecFileOperation>,
    ) -> Result<i32> {
        let cards = || self.of_type::<VirtualEthernetCard>().count();
        if device.is::<VirtualEthernetCard>() && cards() >= CARDS {
            return Err(Error::config(format!(
                "a machine has at most {CARDS} network cards"
            )));
        }
        let is_placed = device
            .view::<VirtualDevice>()
            .is_some_and(|device| device.controller_key.is_some());
        let bus = if device.is::<VirtualDisk>() {
            Some(Bus::Scsi)
        } else if device.is::<VirtualCdrom>() {
            Some(Bus::Ide)
        } else {
            None
        };
        let unit = match bus.filter(|_| !is_placed) {
            Some(bus) => Some(self.unit(bus)?),
            None => None,
        };
        let key = bus::free_key(&self.devices);
        let placed = device.modify::<VirtualDevice>(|device| {
            device.key = key;
            if let Some((controller, unit)) = unit {
                device.controller_key = Some(controller);
                device.unit_number = Some(unit);
            }
        });
        placed.map_err(|error| unreadable("the new device", error))?;
        self.devices.push(device);
        self.changes.push(Change {
            key,
            operation: VirtualDeviceConfigSpecOperation::Add,
            files,
            removed: None,
        });
        Ok(key)
    }

    /// Returns a free unit, on a new controller if necessary.
    fn unit(&mut self, bus: Bus) -> Result<(i32, i32)> {
        if let Some(free) = bus::free_unit(&self.devices, bus) {
            return Ok(free);
        }
        let Some(number) = bus::free_bus(&self.devices, bus) else {
            return Err(Error::config(format!(
                "no room on the machine's {} controllers, and no further one is possible",
                bus.name()
            )));
        };
        let key = self.add_with(bus.controller(number), None)?;
        Ok((key, 0))
    }

    /// Edits a device. Everything in it that is not part of `T` is preserved.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such device, [`Error::WrongType`] when it is not a
    /// `T`, [`Error::Decode`] when the server sent it incomplete.
    pub fn edit<T>(&mut self, key: i32, change: impl FnOnce(&mut T)) -> Result<()>
    where
        T: DataObject + IsA<VirtualDevice>,
    {
        let missing = self.missing(key);
        let mut devices = self.devices.iter_mut();
        let device = devices.find(|device| key_of(device) == Some(key));
        let device = device.ok_or(missing)?;
        let changed = device.modify::<T>(change);
        let operation = || Operation::new(&format!("editing device {key}"), None, "");
        match changed.map_err(|error| Error::unconvertible(&operation(), error))? {
            true => {}
            false => {
                return Err(Error::WrongType {
                    name: format!("device {key}").into(),
                    found: device.type_name().into(),
                    expected: T::type_name(),
                });
            }
        }
        if !self.changes.iter().any(|change| change.key == key) {
            self.changes.push(Change {
                key,
                operation: VirtualDeviceConfigSpecOperation::Edit,
                files: None,
                removed: None,
            });
        }
        Ok(())
    }

    /// Removes a device. The removal of a device added to this list cancels the addition.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such device.
    pub fn remove(&mut self, key: i32, files: Files) -> Result<()> {
        let position = self
            .devices
            .iter()
            .position(|device| key_of(device) == Some(key))
            .ok_or_else(|| self.missing(key))?;
        let device = self.devices.remove(position);
        let before = self.changes.iter().position(|change| change.key == key);
        let before = before.map(|position| self.changes.remove(position));
        let was_added =
            before.is_some_and(|change| change.operation == VirtualDeviceConfigSpecOperation::Add);
        if !was_added {
            let delete = files == Files::Delete && device.is::<VirtualDisk>();
            self.changes.push(Change {
                key,
                operation: VirtualDeviceConfigSpecOperation::Remove,
                files: delete.then_some(VirtualDeviceConfigSpecFileOperation::Destroy),
                removed: Some(device),
            });
        }
        Ok(())
    }

    /// Returns whether the list has no pending changes.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns the changes, in the order in which they were made, for
    /// `VirtualMachineConfigSpec::device_change`.
    #[must_use]
    pub fn into_changes(self) -> Vec<Poly<VirtualDeviceConfigSpec>> {
        let Self { devices, changes } = self;
        let find = |key| devices.iter().find(|device| key_of(device) == Some(key));
        changes
            .into_iter()
            .filter_map(|change| {
                let device = change.removed.or_else(|| find(change.key).cloned())?;
                Some(Poly::new(VirtualDeviceConfigSpec {
                    operation: Some(change.operation),
                    file_operation: change.files,
                    device,
                    ..VirtualDeviceConfigSpec::default()
                }))
            })
            .collect()
    }

    #[cold]
    fn missing(&self, key: i32) -> Error {
        let there = self.devices.iter().map(|device| {
            let key = key_of(device).unwrap_or_default();
            format!("{} {key}", device.type_name())
        });
        let place = SearchScope::new("the machine", there.collect());
        Error::not_found(EntityKind::Device, key.to_string(), place)
    }
}

/// Returns the key of a device, even if its type is unknown.
fn key_of(device: &Poly<VirtualDevice>) -> Option<i32> {
    let key = device.node().get("key")?.as_i64()?;
    i32::try_from(key).ok()
}

fn unreadable(what: &str, error: ConvertError) -> Error {
    Error::Config {
        what: format!("{what} cannot be changed").into(),
        source: Some(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use vim25::types::{
        ParaVirtualSCSIController, VirtualController, VirtualEthernetCardNetworkBackingInfo,
        VirtualIDEController, VirtualSCSIController,
    };

    use super::super::{cdrom, nic};
    use super::*;

    fn disk_at(key: i32, controller: i32, unit: i32) -> Poly<VirtualDevice> {
        Poly::new(VirtualDisk {
            base: VirtualDevice {
                key,
                controller_key: Some(controller),
                unit_number: Some(unit),
                ..VirtualDevice::default()
            },
            capacity_in_kb: 1024,
            ..VirtualDisk::default()
        })
    }

    fn place(list: &DeviceList, key: i32) -> (i32, i32) {
        let device = list.by_key(key).unwrap().view::<VirtualDevice>().unwrap();
        (device.controller_key.unwrap(), device.unit_number.unwrap())
    }

    fn operations(list: DeviceList) -> Vec<(String, Option<String>, i64)> {
        let changes = list.into_changes();
        let operation = |change: &Poly<VirtualDeviceConfigSpec>| {
            change.check().unwrap();
            let text = |name| {
                change
                    .node()
                    .get(name)
                    .and_then(vim25::Node::as_str)
                    .map(str::to_owned)
            };
            let key = change.node().path("device.key").unwrap().as_i64().unwrap();
            (text("operation").unwrap(), text("fileOperation"), key)
        };
        changes.iter().map(operation).collect()
    }

    #[test]
    fn sixty_disks_fill_four_controllers_and_leave_their_own_units_out() {
        let mut list = DeviceList::default();
        let mut places = Vec::new();
        for _ in 0..60 {
            let key = list.add_disk(NewDisk::new(1 << 20)).unwrap();
            places.push(place(&list, key));
        }
        assert!(places.iter().all(|(_, unit)| *unit != 7 && *unit < 16));
        let mut distinct = places.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 60);
        let buses: Vec<i32> = list
            .of_type::<VirtualController>()
            .map(|controller| controller.bus_number)
            .collect();
        assert_eq!(buses, [0, 1, 2, 3]);
        let error = list.add_disk(NewDisk::new(1)).unwrap_err();
        assert!(error.to_string().contains("SCSI"), "{error}");
        assert_eq!(list.into_changes().len(), 64);
    }

    #[test]
    fn a_gap_on_a_controller_that_is_there_is_filled_first() {
        let scsi = ParaVirtualSCSIController {
            base: VirtualSCSIController {
                base: VirtualController {
                    base: VirtualDevice {
                        key: 1000,
                        ..VirtualDevice::default()
                    },
                    ..VirtualController::default()
                },
                shared_bus: vim25::types::VirtualSCSISharing::NoSharing,
                scsi_ctlr_unit_number: Some(1),
                ..VirtualSCSIController::default()
            },
        };
        let devices = vec![
            Poly::new(scsi),
            disk_at(2000, 1000, 0),
            disk_at(2003, 1000, 3),
        ];
        let mut list = DeviceList::new(devices);
        let key = list
            .add_disk(NewDisk::new(1).child_of("[ds] a.vmdk"))
            .unwrap();
        assert_eq!(place(&list, key), (1000, 2));
        let key = list.add_disk(NewDisk::new(1)).unwrap();
        assert_eq!(place(&list, key), (1000, 4));
    }

    #[test]
    fn drives_go_on_ide_and_cards_where_the_server_likes() {
        let mut list = DeviceList::default();
        let first = list.add(cdrom("[ds] a.iso")).unwrap();
        let second = list.add(cdrom("[ds] b.iso")).unwrap();
        let third = list.add(cdrom("[ds] c.iso")).unwrap();
        assert_eq!(place(&list, first).0, place(&list, second).0);
        assert_ne!(place(&list, first).0, place(&list, third).0);
        assert_eq!(list.of_type::<VirtualIDEController>().count(), 2);
        for _ in 0..10 {
            let backing = VirtualEthernetCardNetworkBackingInfo::default();
            list.add(nic(backing)).unwrap();
        }
        let backing = VirtualEthernetCardNetworkBackingInfo::default();
        let error = list.add(nic(backing)).unwrap_err();
        assert!(error.to_string().contains("at most 10"), "{error}");
    }

    #[test]
    fn what_is_done_to_a_device_becomes_one_change() {
        let mut list = DeviceList::new(vec![
            disk_at(2000, 1000, 0),
            disk_at(2001, 1000, 1),
            disk_at(2002, 1000, 2),
        ]);
        assert!(list.is_unchanged());
        for _ in 0..2 {
            list.edit::<VirtualDisk>(2000, |disk| disk.capacity_in_kb *= 2)
                .unwrap();
        }
        list.edit::<VirtualDisk>(2001, |disk| disk.capacity_in_kb = 1)
            .unwrap();
        list.remove(2001, Files::Keep).unwrap();
        list.remove(2002, Files::Delete).unwrap();
        let added = list.add(cdrom("[ds] a.iso")).unwrap();
        list.remove(added, Files::Keep).unwrap();
        let error = list.edit::<VirtualCdrom>(2000, |_| {}).unwrap_err();
        assert!(matches!(error, Error::WrongType { .. }), "{error}");
        let error = list.remove(2001, Files::Keep).unwrap_err();
        assert!(error.to_string().contains("VirtualDisk 2000"), "{error}");
        let controller = i64::from(bus::free_key(&[]));
        assert_eq!(
            operations(list),
            [
                ("edit".into(), None, 2000),
                ("remove".into(), None, 2001),
                ("remove".into(), Some("destroy".into()), 2002),
                // This controller was added for the drive.
                ("add".into(), None, controller),
            ]
        );
    }

    /// Returns a card of a type that only a newer server knows.
    fn unknown_card() -> Poly<VirtualDevice> {
        const PAGE: &str = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
            xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\"><s:Body>\
            <RetrievePropertiesResponse xmlns=\"urn:vim25\"><returnval><obj type=\"VirtualMachine\">vm-1</obj>\
            <propSet><name>p</name><val i:type=\"ArrayOfVirtualDevice\"><VirtualDevice i:type=\"VirtualVmxnet9\">\
            <key>4000</key><warp>9</warp></VirtualDevice></val></propSet></returnval>\
            </RetrievePropertiesResponse></s:Body></s:Envelope>";
        let collector: vim25::Ref<vim25::mo::PropertyCollector> = vim25::Ref::new("pc");
        let call = collector.retrieve_properties(&[]);
        let limits = vim25::Limits::default();
        let answer = vim25::soap::decode_response(&call, PAGE.as_bytes(), &limits).unwrap();
        let vim25::soap::Response::Value(value) = answer else {
            panic!("a fault");
        };
        let devices = value.node().path("[0].propSet[0].val").unwrap();
        devices.to::<Vec<Poly<VirtualDevice>>>().unwrap().remove(0)
    }

    #[test]
    fn an_edit_keeps_what_nobody_here_knows() {
        let mut list = DeviceList::new(vec![unknown_card()]);
        list.edit::<VirtualEthernetCard>(4000, |card| card.mac_address = Some("00:50".into()))
            .unwrap();
        let changes = list.into_changes();
        let device = changes[0].node().get("device").unwrap();
        assert_eq!(device.type_name(), "VirtualVmxnet9");
        let text = |name| device.get(name).and_then(vim25::Node::as_str);
        assert_eq!(text("macAddress"), Some("00:50"));
        assert_eq!(text("warp"), Some("9"));
    }
}
