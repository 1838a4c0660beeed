//! USB: controllers and the devices at their ports.

use std::borrow::Borrow;

use crate::document::Document;

use super::device_name::Class;
use super::typed_setting::{device, settings, words};

device! {
    /// A USB controller: `usb`, `ehci`, `usb_xhci`.
    ///
    /// API: `VirtualUSBController`, where `ehci` corresponds to the property
    /// `ehciEnabled`, or `VirtualUSBXHCIController`.
    UsbController
}

settings! { UsbController {
    /// Whether the controller exists.
    present set_present: bool = "present" or false;
    /// The PCI slot; API: `VirtualDevice.slotInfo.pciSlotNumber`.
    pci_slot set_pci_slot: i32 = "pciSlotNumber";
} }

impl<D: Borrow<Document>> UsbController<D> {
    /// Returns the class of the device in the API.
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
    /// writes these entries while the machine runs.
    ///
    /// API: `VirtualUSB`, unless the device is emulated.
    UsbPort
}

settings! { UsbPort {
    /// Whether a device is attached.
    present set_present: bool = "present" or false;
    /// The kind of device. The API does not show emulated devices.
    device_type set_device_type: UsbDeviceType = "deviceType";
    /// The speed, in the product's own numbers; API: `VirtualUSB.speed`, in words.
    speed set_speed: i32 = "speed";
    /// The number of the port on the parent. The API does not show it.
    port set_port: i32 = "port";
    /// The number of the hub to which the device is attached, or -1 for the controller
    /// itself. The API does not show it.
    parent set_parent: i32 = "parent";
} }

impl<D: Borrow<Document>> UsbPort<D> {
    /// Returns the class of the device in the API, or `-` for an emulated device, which
    /// the API does not show.
    #[must_use]
    pub fn api_type(&self) -> &'static str {
        match self.device_type() {
            Ok(Some(UsbDeviceType::Hub | UsbDeviceType::Hid)) => "-",
            _ => "VirtualUSB",
        }
    }
}
