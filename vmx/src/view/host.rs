//! Resources of the host: PCI devices, persistent memory, shared folders.

use std::borrow::Borrow;

use crate::document::Document;

use super::typed_setting::{device, settings, words};

words! {
    /// The kind of passthrough of a PCI device.
    pub enum PassthroughModel {
        /// Any device that fits; backing `VirtualPCIPassthroughDynamicBackingInfo`.
        Dynamic = "dynamic",
        /// A share of a graphics processor; backing
        /// `VirtualPCIPassthroughVmiopBackingInfo`.
        Vmiop = "vmiop",
    }
}

device! {
    /// A PCI device of the host, `pciPassthruN`; API: `VirtualPCIPassthrough`.
    PciPassthrough
}

settings! { PciPassthrough {
    /// Whether the device exists.
    present set_present: bool = "present" or false;
    /// The kind of passthrough; if absent, one fixed device. API: the class of the
    /// backing.
    model set_model: PassthroughModel = "virtualDev";
    /// The address of the device on the host; API: `id` of the backing.
    id set_id: String = "id";
    /// The PCI device ID; API: `deviceId` of the backing, as text.
    device_id set_device_id: i64 = "deviceId";
    /// The PCI vendor ID; API: `vendorId` of the backing.
    vendor_id set_vendor_id: i64 = "vendorId";
    /// The system ID of the host; API: `systemId` of the backing.
    system_id set_system_id: String = "systemId";
    /// The vGPU profile, for a share of a graphics processor; API: `vgpu` of the backing.
    vgpu set_vgpu: String = "vgpu";
    /// The PCI slot; API: `VirtualDevice.slotInfo.pciSlotNumber`.
    pci_slot set_pci_slot: i32 = "pciSlotNumber";
} }

impl<D: Borrow<Document>> PciPassthrough<D> {
    /// Returns the class of the backing in the API, as far as the file determines it.
    #[must_use]
    pub fn api_backing(&self) -> Option<&'static str> {
        match self.model().ok()? {
            Some(PassthroughModel::Dynamic) => Some("VirtualPCIPassthroughDynamicBackingInfo"),
            Some(PassthroughModel::Vmiop) => Some("VirtualPCIPassthroughVmiopBackingInfo"),
            Some(PassthroughModel::Other(_)) => None,
            None => Some("VirtualPCIPassthroughDeviceBackingInfo"),
        }
    }
}

device! {
    /// Persistent memory: a controller, `nvdimmN`, or a module on it, `nvdimmN:M`.
    ///
    /// API: `VirtualNVDIMMController`, `VirtualNVDIMM` with backing
    /// `VirtualNVDIMMBackingInfo`.
    Nvdimm
}

settings! { Nvdimm {
    /// Whether the device exists; modules of a missing controller are ignored.
    present set_present: bool = "present" or false;
    /// The file of a module; API: `fileName` of the backing.
    file_name set_file_name: String = "fileName";
    /// The PCI slot of a controller; API: `VirtualDevice.slotInfo.pciSlotNumber`.
    pci_slot set_pci_slot: i32 = "pciSlotNumber";
} }

impl<D: Borrow<Document>> Nvdimm<D> {
    /// Returns the class of the device in the API.
    #[must_use]
    pub fn api_type(&self) -> &'static str {
        match self.device.unit() {
            Some(_) => "VirtualNVDIMM",
            None => "VirtualNVDIMMController",
        }
    }

    /// Returns the class of a module's backing in the API.
    #[must_use]
    pub fn api_backing(&self) -> Option<&'static str> {
        self.device.unit().map(|_| "VirtualNVDIMMBackingInfo")
    }
}

device! {
    /// A folder of the host that is shared with the guest, `sharedFolderN`; hosted
    /// products only.
    ///
    /// The API has no device for it; its settings appear in extraConfig only.
    SharedFolder
}

settings! { SharedFolder {
    /// Whether the folder exists.
    present set_present: bool = "present" or false;
    /// Whether the folder is shared.
    enabled set_enabled: bool = "enabled" or false;
    /// Whether the guest may read.
    read_access set_read_access: bool = "readAccess" or false;
    /// Whether the guest may write.
    write_access set_write_access: bool = "writeAccess" or false;
    /// The path on the host.
    host_path set_host_path: String = "hostPath";
    /// The name that the guest sees.
    guest_name set_guest_name: String = "guestName";
    /// When sharing ends, usually `never`.
    expiration set_expiration: String = "expiration";
} }
