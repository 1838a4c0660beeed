//! USB: controllers and what hangs at their ports.

use std::borrow::Borrow;

use crate::document::Document;

use super::device_name::Class;
use super::typed_setting::{device, settings, words};

device! {
    /// A USB controller: `usb`, `ehci`, `usb_xhci`.
    ///
    /// API: `VirtualUSBController`, of which `ehci` is the property `ehciEnabled`;
    /// `VirtualUSBXHCIController`.
    UsbController
}

settings! { UsbController {
    /// Whether the controller is there.
    present set_present: bool = "present" or false;
    /// The PCI slot; API: `VirtualDevice.slotInfo.pciSlotNumber`.
    pci_slot set_pci_slot: i32 = "pciSlotNumber";
} }

impl<D: Borrow<Document>> UsbController<D> {
    /// The class of the device in the API.
    #[must_use]
    pub fn api_type(&self) -> &'static str {
        match self.device.class() {
            Class::Xhci => "VirtualUSBXHCIController",
            _ => "VirtualUSBController",
        }
    }
}

words! {
    /// The kind of device at a port of a USB controller.
    pub enum UsbDeviceType {
        /// A hub that the product emulates.
        Hub = "hub",
        /// A keyboard or mouse that the product emulates.
        Hid = "hid",
    }
}

device! {
    /// The device at a port of a USB controller: `usb:1`, `usb_xhci:4`. The product
    /// writes these entries at run time.
    ///
    /// API: `VirtualUSB`, for devices that are not emulated.
    UsbPort
}

settings! { UsbPort {
    /// Whether a device is there.
    present set_present: bool = "present" or false;
    /// The kind of device. The API does not show those that are emulated.
    device_type set_device_type: UsbDeviceType = "deviceType";
    /// The speed, in numbers of the product's own; API: `VirtualUSB.speed`, in words.
    speed set_speed: i32 = "speed";
    /// The port of the parent. The API does not show it.
    port set_port: i32 = "port";
    /// The number of the hub that it is attached to, -1 for the controller itself. The API
    /// does not show it.
    parent set_parent: i32 = "parent";
} }

impl<D: Borrow<Document>> UsbPort<D> {
    /// The class of the device in the API, `-` for a device that is emulated: the API
    /// does not show those.
    #[must_use]
    pub fn api_type(&self) -> &'static str {
        match self.device_type() {
            Ok(Some(UsbDeviceType::Hub | UsbDeviceType::Hid)) => "-",
            _ => "VirtualUSB",
        }
    }
}
