//! From a descriptor to the specification of a machine.

use std::sync::Arc;

use vim25::types::{
    ArrayUpdateOperation, ArrayUpdateSpec, Description, KeyValue, OptionValue,
    OvfCreateImportSpecParams, OvfCreateImportSpecResult, OvfFileItem, OvfInvalidValueReference,
    OvfMappedOsId, OvfNetworkMapping, OvfUnsupportedDeviceBackingInfo,
    OvfUnsupportedDiskProvisioning, OvfUnsupportedElement, OvfUnsupportedSubType,
    OvfUnsupportedType, ParaVirtualSCSIController, VAppConfigSpec, VAppProductInfo,
    VAppProductSpec, VAppPropertyInfo, VAppPropertySpec, VirtualAHCIController,
    VirtualBusLogicController, VirtualCdrom, VirtualCdromRemotePassthroughBackingInfo,
    VirtualController, VirtualDevice, VirtualDeviceBackingInfo, VirtualDeviceConfigSpec,
    VirtualDeviceConfigSpecFileOperation, VirtualDeviceConfigSpecOperation,
    VirtualDeviceConnectInfo, VirtualDisk, VirtualDiskFlatVer2BackingInfo, VirtualE1000,
    VirtualE1000e, VirtualEthernetCard, VirtualEthernetCardDistributedVirtualPortBackingInfo,
    VirtualEthernetCardNetworkBackingInfo, VirtualIDEController, VirtualLsiLogicController,
    VirtualLsiLogicSASController, VirtualMachineConfigSpec, VirtualMachineFileInfo,
    VirtualMachineImportSpec, VirtualNVMEController, VirtualPCNet32, VirtualSCSIController,
    VirtualSCSISharing, VirtualUSBController, VirtualUSBXHCIController, VirtualVmxnet2,
    VirtualVmxnet3,
};
use vim25::{Fault, IsA, Poly, Ref, mo};

use super::descriptor::{Descriptor, Item, Property};
use crate::datastore::Volume;
use crate::datastore::site::Site;
use crate::device::Kind;
use crate::machine;
use crate::model::{entity, network};
use crate::object::{Object, Retype};
use crate::world::Transaction;

/// The disk provisionings that exist; the disks of the simulator are thin in any case.
const PROVISIONINGS: [&str; 9] = [
    "monolithicSparse",
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "thin",
    "thick",
    "seSparse",
    "eagerZeroedThick",
    "flat",
];
pub(super) const SUPPORTED: [&str; 5] = [
    "monolithicFlat",
    "flat",
    "thin",
    "thick",
    "eagerZeroedThick",
];

/// The resource types of CIM that machines have.
mod resource {
    pub(super) const OTHER: i32 = 1;
    pub(super) const CPU: i32 = 3;
    pub(super) const MEMORY: i32 = 4;
    pub(super) const IDE: i32 = 5;
    pub(super) const SCSI: i32 = 6;
    pub(super) const NETWORK: i32 = 10;
    pub(super) const FLOPPY: i32 = 14;
    pub(super) const CDROM: i32 = 15;
    pub(super) const DVD: i32 = 16;
    pub(super) const DISK: i32 = 17;
    pub(super) const STORAGE: i32 = 20;
    pub(super) const SERIAL: i32 = 21;
    pub(super) const USB: i32 = 23;
    pub(super) const VIDEO: i32 = 24;
}

/// A controller that the items refer to.
struct Controller {
    item: String,
    key: i32,
    kind: Kind,
    ty: &'static str,
    bus: i32,
    used: Vec<i32>,
}

struct Import<'a, 'c> {
    tx: &'a Transaction<'c>,
    /// The datacenter of the machine.
    site: Site,
    descriptor: &'a Descriptor,
    params: &'a OvfCreateImportSpecParams,
    spec: VirtualMachineConfigSpec,
    files: Vec<OvfFileItem>,
    controllers: Vec<Controller>,
    next_key: i32,
    errors: Vec<Fault>,
    warnings: Vec<Fault>,
}

/// Makes the specification of the machine that a descriptor describes.
pub(super) fn specification(
    tx: &Transaction<'_>,
    descriptor: &Descriptor,
    params: &OvfCreateImportSpecParams,
    pool: &Ref<mo::ResourcePool>,
    datastore: &Volume,
) -> OvfCreateImportSpecResult {
    let mut import = Import {
        tx,
        site: datastore.site,
        descriptor,
        params,
        spec: VirtualMachineConfigSpec::default(),
        files: Vec::new(),
        controllers: Vec::new(),
        next_key: -100,
        errors: Vec::new(),
        warnings: descriptor.warnings.clone(),
    };
    import.general(&datastore.name);
    let option = match &*params.deployment_option {
        "" => descriptor.default_option(),
        chosen => chosen,
    };
    if !option.is_empty() && descriptor.options.iter().all(|own| own.id != option) {
        import
            .errors
            .push(unknown_reference("DeploymentOption", option));
    }
    for item in &descriptor.items {
        let of = &item.configurations;
        if of.is_empty() || of.iter().any(|own| own == option) {
            import.item(item);
        }
    }
    import.mappings();
    let list = |faults: Vec<Fault>| faults.iter().map(Into::into).collect();
    let is_usable = import.errors.is_empty();
    let spec = VirtualMachineImportSpec {
        config_spec: import.spec,
        res_pool_entity: Some(pool.clone()),
        ..VirtualMachineImportSpec::default()
    };
    OvfCreateImportSpecResult {
        import_spec: is_usable.then(|| Poly::new(spec)),
        file_item: if is_usable { import.files } else { Vec::new() },
        warning: list(import.warnings),
        error: list(import.errors),
    }
}

impl Import<'_, '_> {
    fn name(&self) -> &str {
        match &*self.params.entity_name {
            "" => self.descriptor.default_name(),
            chosen => chosen,
        }
    }

    /// Sets what does not depend on the hardware.
    fn general(&mut self, datastore: &str) {
        let descriptor = self.descriptor;
        if descriptor.is_collection {
            let mut detail = OvfUnsupportedElement::default();
            detail.name = "VirtualSystemCollection".into();
            let words = "Unsupported element 'VirtualSystemCollection'.";
            self.errors.push(Fault::new(words, detail));
        }
        self.spec.name = Some(self.name().to_owned());
        self.spec.annotation = Some(descriptor.annotation.clone());
        self.spec.files = Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(format!("[{datastore}]")),
            ..VirtualMachineFileInfo::default()
        }));
        let guest = descriptor.guest.as_deref().unwrap_or("otherGuest");
        let known = machine::config::is_guest(guest);
        if !known {
            let mut detail = OvfMappedOsId::default();
            detail.ovf_description = guest.to_owned();
            detail.target_description = "otherGuest".into();
            let words = format!(
                "The guest operating system '{guest}' is unknown; it is mapped to 'otherGuest'."
            );
            self.warnings.push(Fault::new(&words, detail));
        }
        self.spec.guest_id = Some(if known { guest } else { "otherGuest" }.to_owned());
        // The newest version that both sides know.
        let number = |version: &&String| version.trim_start_matches("vmx-").parse().unwrap_or(0u32);
        let versions = descriptor
            .versions
            .iter()
            .filter(|version| version.starts_with("vmx-"));
        self.spec.version = versions.max_by_key(number).cloned();
        self.spec.extra_config = descriptor
            .extra_config
            .iter()
            .map(|(key, value)| Poly::new(OptionValue::new(key, value.as_str())))
            .collect();
        self.products();
    }

    /// Sets the product and its properties.
    fn products(&mut self) {
        let descriptor = self.descriptor;
        if descriptor.product.is_none() && descriptor.eula.is_empty() {
            return;
        }
        let mut vapp = VAppConfigSpec::default();
        vapp.base.eula.clone_from(&descriptor.eula);
        if let Some(product) = product(descriptor) {
            vapp.base.product.push(VAppProductSpec {
                base: addition(),
                info: Some(Box::new(product)),
            });
        }
        let mapping = &self.params.property_mapping;
        for (key, mut property) in properties(descriptor).into_iter().enumerate() {
            let id = descriptor.properties.get(key).map(Property::id);
            let set = mapping.iter().find(|own| Some(&own.key) == id.as_ref());
            property.value = set.map(|own| own.value.clone());
            vapp.base.property.push(VAppPropertySpec {
                base: addition(),
                info: Some(Box::new(property)),
            });
        }
        self.spec.vapp_config = Some(Poly::new(vapp));
    }

    /// Checks names that the parameters contain and the descriptor does not.
    fn mappings(&mut self) {
        for KeyValue { key, .. } in &self.params.property_mapping {
            let mut known = self.descriptor.properties.iter();
            match known.find(|property| property.id() == *key) {
                Some(property) if property.is_configurable => {}
                Some(_) => self
                    .warnings
                    .push(unknown_reference("userConfigurable Property", key)),
                None => self.warnings.push(unknown_reference("Property", key)),
            }
        }
        for OvfNetworkMapping { name, network } in &self.params.network_mapping {
            let mut known = self.descriptor.networks.iter();
            if known.all(|(own, _)| own != name) {
                self.warnings.push(unknown_reference("Network", name));
            }
            if self.tx.object(network).is_err() {
                self.errors
                    .push(unknown_reference("Network", network.value()));
            }
        }
        let provisioning = self.params.disk_provisioning.as_deref().unwrap_or_default();
        if !provisioning.is_empty() && !SUPPORTED.contains(&provisioning) {
            let mut detail = OvfUnsupportedDiskProvisioning::default();
            detail.disk_provisioning = provisioning.to_owned();
            detail.supported_disk_provisioning = SUPPORTED.join(",");
            let why = match PROVISIONINGS.contains(&provisioning) {
                true => "Disk provisioning type not supported",
                false => "Unknown disk provisioning type",
            };
            self.errors
                .push(Fault::new(format!("{why}: {provisioning}"), detail));
        }
    }

    fn key(&mut self) -> i32 {
        self.next_key -= 1;
        self.next_key
    }

    fn add<T: IsA<VirtualDevice> + vim25::DataObject>(&mut self, device: T, makes_file: bool) {
        let create = VirtualDeviceConfigSpecFileOperation::Create;
        self.spec
            .device_change
            .push(Poly::new(VirtualDeviceConfigSpec {
                operation: Some(VirtualDeviceConfigSpecOperation::Add),
                file_operation: makes_file.then_some(create),
                device: Poly::new(device),
                ..VirtualDeviceConfigSpec::default()
            }));
    }

    fn item(&mut self, item: &Item) {
        let sub_type = item.sub_type.to_ascii_lowercase();
        match (item.ty, sub_type.as_str()) {
            (resource::CPU, _) => {
                self.spec.num_cpus = item.quantity.and_then(|count| i32::try_from(count).ok());
                self.spec.num_cores_per_socket = item.cores_per_socket;
            }
            (resource::MEMORY, _) => {
                let unit = item
                    .unit
                    .and_then(|unit| i64::try_from(unit).ok())
                    .unwrap_or(1 << 20);
                let bytes = item.quantity.and_then(|count| count.checked_mul(unit));
                self.spec.memory_mb = bytes.map(|bytes| bytes >> 20);
            }
            (resource::IDE | resource::SCSI | resource::STORAGE, sub_type) => {
                self.controller(item, sub_type);
            }
            (resource::NETWORK, sub_type) => self.card(item, sub_type),
            (resource::CDROM | resource::DVD, _) => self.drive(item),
            (resource::DISK, _) => self.disk(item),
            // Every machine has these devices, or the simulator does without.
            (resource::VIDEO, _) | (resource::OTHER, "vmware.vmci") => {}
            (resource::USB, "vmware.usb.xhci") => {
                let mut usb = VirtualUSBXHCIController::default();
                usb.base.base.key = self.key();
                self.add(usb, false);
            }
            (resource::USB, _) => {
                let mut usb = VirtualUSBController::default();
                usb.base.base.key = self.key();
                self.add(usb, false);
            }
            (resource::FLOPPY | resource::SERIAL | resource::OTHER, _) => {
                let what = format!("type {} ({})", item.ty, item.sub_type);
                self.refuse(item, unsupported(item, &what));
            }
            _ => {
                let mut detail = OvfUnsupportedType::default();
                detail.name = item.name.clone();
                detail.instance_id = item.id.clone();
                detail.device_type = item.ty;
                let words = format!(
                    "Hardware item '{}' has the unknown type {}.",
                    item.name, item.ty
                );
                self.refuse(item, Fault::new(&words, detail));
            }
        }
    }

    /// Reports an item that cannot be had: an error, unless the descriptor says that it is not
    /// required.
    fn refuse(&mut self, item: &Item, fault: Fault) {
        if item.is_required {
            self.errors.push(fault);
        } else {
            self.warnings.push(fault);
        }
    }

    fn controller(&mut self, item: &Item, sub_type: &str) {
        let (kind, ty) = match (item.ty, sub_type) {
            (resource::IDE, _) => (Kind::Ide, "VirtualIDEController"),
            (resource::SCSI, "virtualscsi") => (Kind::Scsi, "ParaVirtualSCSIController"),
            (resource::SCSI, "lsilogicsas") => (Kind::Scsi, "VirtualLsiLogicSASController"),
            (resource::SCSI, "buslogic") => (Kind::Scsi, "VirtualBusLogicController"),
            (resource::SCSI, "lsilogic" | "") => (Kind::Scsi, "VirtualLsiLogicController"),
            (resource::STORAGE, "vmware.sata.ahci" | "ahci") => {
                (Kind::Sata, "VirtualAHCIController")
            }
            (resource::STORAGE, "vmware.nvme.controller") => (Kind::Nvme, "VirtualNVMEController"),
            _ => {
                return self.refuse(item, unsupported_sub_type(item));
            }
        };
        // Exports of real servers list IDE 1 before IDE 0: the address is the bus, if it is free.
        let buses: Vec<i32> = self
            .controllers
            .iter()
            .filter(|own| own.kind == kind)
            .map(|own| own.bus)
            .collect();
        let asked = item.address.filter(|bus| (0..kind.buses()).contains(bus));
        let bus = asked
            .into_iter()
            .chain(0..)
            .find(|bus| !buses.contains(bus));
        let bus = bus.unwrap_or(i32::MAX);
        let key = self.key();
        let base = VirtualController {
            base: VirtualDevice {
                key,
                ..VirtualDevice::default()
            },
            bus_number: bus,
            ..VirtualController::default()
        };
        let scsi = || VirtualSCSIController {
            base: base.clone(),
            shared_bus: VirtualSCSISharing::NoSharing,
            ..VirtualSCSIController::default()
        };
        match ty {
            "VirtualIDEController" => self.add(VirtualIDEController { base }, false),
            "ParaVirtualSCSIController" => {
                self.add(ParaVirtualSCSIController { base: scsi() }, false);
            }
            "VirtualLsiLogicSASController" => {
                self.add(VirtualLsiLogicSASController { base: scsi() }, false);
            }
            "VirtualBusLogicController" => {
                self.add(VirtualBusLogicController { base: scsi() }, false);
            }
            "VirtualAHCIController" => {
                let mut ahci = VirtualAHCIController::default();
                ahci.base.base = base;
                self.add(ahci, false);
            }
            "VirtualNVMEController" => {
                let mut nvme = VirtualNVMEController::default();
                nvme.base = base;
                self.add(nvme, false);
            }
            _ => self.add(VirtualLsiLogicController { base: scsi() }, false),
        }
        self.controllers.push(Controller {
            item: item.id.clone(),
            key,
            kind,
            ty,
            bus,
            used: Vec::new(),
        });
    }

    /// Returns the key of an item's controller, the name of its place such as
    /// `VirtualIDEController0:1`, and the unit number there.
    fn place(&mut self, item: &Item) -> Option<(i32, String, i32)> {
        let parent = item.parent.as_deref().unwrap_or_default();
        let controller = self.controllers.iter_mut().find(|own| own.item == parent);
        let Some(controller) = controller else {
            // The controller itself was reported if it is not supported.
            let exists = self.descriptor.items.iter().any(|other| other.id == parent);
            if !exists {
                let fault = unknown_reference("Parent", parent);
                self.refuse(item, fault);
            }
            return None;
        };
        let free = |unit: &i32| !controller.used.contains(unit);
        let asked = item.on_parent.filter(free);
        let unit = asked.or_else(|| controller.kind.units().find(free))?;
        controller.used.push(unit);
        let place = format!("{}{}:{unit}", controller.ty, controller.bus);
        Some((controller.key, place, unit))
    }

    fn disk(&mut self, item: &Item) {
        let resource = item.host_resource.as_deref().unwrap_or_default();
        let id = resource.rsplit('/').next().unwrap_or_default();
        let Some(disk) = self.descriptor.disks.iter().find(|disk| disk.id == id) else {
            return self.refuse(item, unknown_reference("HostResource", resource));
        };
        let Some((controller, place, unit)) = self.place(item) else {
            return;
        };
        if let Some(wanted) = &disk.file {
            let file = self.descriptor.files.iter().find(|file| file.id == *wanted);
            let Some(file) = file else {
                return self.refuse(item, unknown_reference("fileRef", wanted));
            };
            self.files.push(OvfFileItem {
                device_id: format!("/{}/{place}", self.name()),
                path: file.path.clone(),
                compression_method: file.compression.clone(),
                chunk_size: file.chunk_size,
                size: file.size,
                cim_type: item.ty,
                create: false,
            });
        }
        let key = self.key();
        let capacity = i64::try_from(disk.capacity).unwrap_or(i64::MAX);
        let backing = VirtualDiskFlatVer2BackingInfo {
            disk_mode: "persistent".into(),
            thin_provisioned: Some(true),
            ..VirtualDiskFlatVer2BackingInfo::default()
        };
        let device = VirtualDisk {
            base: VirtualDevice {
                key,
                device_info: description(&item.name),
                controller_key: Some(controller),
                unit_number: Some(unit),
                backing: Some(Poly::new(backing)),
                ..VirtualDevice::default()
            },
            capacity_in_kb: capacity / 1_024,
            capacity_in_bytes: Some(capacity),
            ..VirtualDisk::default()
        };
        self.add(device, true);
    }

    /// Adds a CD or DVD drive without a medium.
    fn drive(&mut self, item: &Item) {
        if item.host_resource.is_some() {
            let mut detail = OvfUnsupportedDeviceBackingInfo::default();
            detail.element_name = Some(item.name.clone());
            detail.instance_id = Some(item.id.clone());
            detail.device_name = item.name.clone();
            let words = format!("The medium of '{}' is not supported.", item.name);
            return self.refuse(item, Fault::new(&words, detail));
        }
        let Some((controller, _, unit)) = self.place(item) else {
            return;
        };
        let key = self.key();
        let mut drive = VirtualCdrom::default();
        drive.base = VirtualDevice {
            key,
            controller_key: Some(controller),
            unit_number: Some(unit),
            backing: Some(Poly::new(
                VirtualCdromRemotePassthroughBackingInfo::default(),
            )),
            connectable: Some(Box::new(VirtualDeviceConnectInfo {
                allow_guest_control: true,
                ..VirtualDeviceConnectInfo::default()
            })),
            ..VirtualDevice::default()
        };
        self.add(drive, false);
    }

    fn card(&mut self, item: &Item, sub_type: &str) {
        let network = item.connection.as_deref().unwrap_or_default();
        let Some(backing) = self.network(network) else {
            return self.refuse(item, unknown_reference("Connection", network));
        };
        let key = self.key();
        let base = VirtualEthernetCard {
            base: VirtualDevice {
                key,
                backing: Some(backing),
                connectable: Some(Box::new(VirtualDeviceConnectInfo {
                    start_connected: item.is_connected,
                    allow_guest_control: true,
                    ..VirtualDeviceConnectInfo::default()
                })),
                ..VirtualDevice::default()
            },
            ..VirtualEthernetCard::default()
        };
        // A list names alternatives, the preferred first.
        let first = sub_type.split([' ', ',']).next().unwrap_or_default();
        match first {
            "vmxnet3" => {
                let mut card = VirtualVmxnet3::default();
                card.base.base = base;
                self.add(card, false);
            }
            "vmxnet2" | "vmxnet" => {
                let mut card = VirtualVmxnet2::default();
                card.base.base = base;
                self.add(card, false);
            }
            "e1000e" => self.add(VirtualE1000e { base }, false),
            "pcnet32" => self.add(VirtualPCNet32 { base }, false),
            "e1000" | "" => self.add(VirtualE1000 { base }, false),
            _ => {
                self.refuse(item, unsupported_sub_type(item));
            }
        }
    }

    /// Returns the backing of a card in a network of the descriptor: the mapped network, or the
    /// one with the same name, or the first.
    fn network(&self, name: &str) -> Option<Poly<VirtualDeviceBackingInfo>> {
        let mapped = self
            .params
            .network_mapping
            .iter()
            .find(|own| own.name == name);
        let chosen = match mapped {
            Some(mapped) => mapped.network.clone(),
            None => network::named(self.tx, self.site, name).or_else(|| {
                let here = |network: &&Arc<Object>| {
                    let own = entity::site(self.tx, network.reference());
                    own.is_ok_and(|own| own == self.site)
                };
                self.tx
                    .all("Network")
                    .find(here)
                    .map(|network| network.reference().retype())
            })?,
        };
        let object = self.tx.object(&chosen).ok()?;
        if !object.is_a("DistributedVirtualPortgroup") {
            let device_name: String = object.read("name").ok()?;
            let mut backing = VirtualEthernetCardNetworkBackingInfo::default();
            backing.base.device_name = device_name;
            backing.network = Some(chosen);
            return Some(Poly::new(backing));
        }
        let group: String = object.read("key").ok()?;
        let switch: Ref<mo::DistributedVirtualSwitch> =
            object.read("config.distributedVirtualSwitch").ok()?;
        let uuid: String = self.tx.object(&switch).ok()?.read("uuid").ok()?;
        let mut backing = VirtualEthernetCardDistributedVirtualPortBackingInfo::default();
        backing.port.portgroup_key = Some(group);
        backing.port.switch_uuid = uuid;
        Some(Poly::new(backing))
    }
}

fn unsupported_sub_type(item: &Item) -> Fault {
    unsupported(item, &format!("subtype '{}'", item.sub_type))
}

/// Returns the fault of a hardware item of which a part, named in words, is not supported.
fn unsupported(item: &Item, what: &str) -> Fault {
    let mut detail = OvfUnsupportedSubType::default();
    detail.element_name = item.name.clone();
    detail.instance_id = item.id.clone();
    detail.device_type = item.ty;
    detail.device_sub_type = item.sub_type.clone();
    let words = format!("Hardware item '{}' has the unsupported {what}.", item.name);
    Fault::new(&words, detail)
}

/// Returns the product of a descriptor.
pub(super) fn product(descriptor: &Descriptor) -> Option<VAppProductInfo> {
    let product = descriptor.product.as_ref()?;
    Some(VAppProductInfo {
        class_id: product.class.clone(),
        instance_id: product.instance.clone(),
        name: product.name.clone(),
        vendor: product.vendor.clone(),
        version: product.version.clone(),
        full_version: product.full_version.clone(),
        ..VAppProductInfo::default()
    })
}

/// Returns the properties of a descriptor, without the values that a user chose.
pub(super) fn properties(descriptor: &Descriptor) -> Vec<VAppPropertyInfo> {
    let info = |(key, property): (usize, &Property)| VAppPropertyInfo {
        key: i32::try_from(key).unwrap_or(i32::MAX),
        class_id: property.class.clone(),
        instance_id: property.instance.clone(),
        id: Some(property.key.clone()),
        label: property.label.clone(),
        type_: Some(property.ty.clone()),
        user_configurable: Some(property.is_configurable),
        default_value: property.default.clone(),
        description: property.description.clone(),
        ..VAppPropertyInfo::default()
    };
    descriptor.properties.iter().enumerate().map(info).collect()
}

fn addition() -> ArrayUpdateSpec {
    ArrayUpdateSpec {
        operation: ArrayUpdateOperation::Add,
        ..ArrayUpdateSpec::default()
    }
}

fn description(label: &str) -> Option<Poly<Description>> {
    (!label.is_empty()).then(|| {
        Poly::new(Description {
            label: label.to_owned(),
            summary: label.to_owned(),
        })
    })
}

fn unknown_reference(element: &str, value: &str) -> Fault {
    let mut detail = OvfInvalidValueReference::default();
    detail.base.value = value.to_owned();
    detail.base.base.element_name = element.to_owned();
    let words = format!("Reference '{value}' of '{element}' is unknown.");
    Fault::new(&words, detail)
}
