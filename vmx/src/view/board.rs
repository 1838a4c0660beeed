//! Devices on the board: PCI bridges, video, sound, VMCI, TPM, clock, watchdog.

use std::borrow::Borrow;

use crate::document::Document;

use super::typed_setting::{device, settings, words};

device! {
    /// A PCI bridge, `pciBridgeN`, where N is 0 or 4 to 7. The API has no device for it:
    /// all its settings are part of extraConfig.
    PciBridge
}

settings! { PciBridge {
    /// Whether the bridge exists.
    present set_present: bool = "present" or false;
    /// The model: `pcieRootPort`, or a plain bridge if absent.
    model set_model: String = "virtualDev";
    /// The number of functions.
    functions set_functions: u32 = "functions" or 1;
    /// The PCI slot, or -1 if none is assigned yet.
    pci_slot set_pci_slot: i32 = "pciSlotNumber";
} }

device! {
    /// The video card, `svga`; API: `VirtualMachineVideoCard`. It is always there.
    ///
    /// 3D acceleration is a setting of the machine, see
    /// [`enable_3d`](crate::view::VirtualMachineFile::enable_3d).
    Video
}

settings! { Video {
    /// Whether the card exists. Part of extraConfig.
    present set_present: bool = "present" or true;
    /// Video memory in bytes; API: `videoRamSizeInKB`.
    memory set_memory: u64 = "vramSize" or 4_194_304;
    /// Whether the product chooses the settings; API: `useAutoDetect`.
    auto_detect set_auto_detect: bool = "autodetect" or false;
    /// The number of screens; API: `numDisplays`.
    displays set_displays: u32 = "numDisplays" or 1;
    /// Memory for 3D in KB; API: `graphicsMemorySizeInKB`.
    graphics_memory_kb set_graphics_memory_kb: u64 = "graphicsMemoryKB";
} }

words! {
    /// The model of a sound card.
    pub enum SoundModel {
        /// `VirtualEnsoniq1371`.
        Ensoniq1371 = "es1371",
        /// `VirtualHdAudioCard`.
        HdAudio = "hdaudio",
        /// `VirtualSoundBlaster16`.
        SoundBlaster16 = "sb16",
    }
}

device! {
    /// The sound card, `sound`; API: a subclass of `VirtualSoundCard`, depending on
    /// [`SoundModel`].
    Sound
}

settings! { Sound {
    /// Whether the card exists.
    present set_present: bool = "present" or false;
    /// The model; API: the class of the device.
    model set_model: SoundModel = "virtualDev";
    /// The host's device, -1 for the host's default; API: `deviceName` of the backing.
    file_name set_file_name: String = "fileName";
    /// Whether the product searches for the host's device; API: `useAutoDetect` of the
    /// backing.
    auto_detect set_auto_detect: bool = "autoDetect" or false;
    /// The PCI slot; API: `VirtualDevice.slotInfo.pciSlotNumber`.
    pci_slot set_pci_slot: i32 = "pciSlotNumber";
} }

impl<D: Borrow<Document>> Sound<D> {
    /// Returns the class of the device in the API.
    #[must_use]
    pub fn api_type(&self) -> &'static str {
        match self.model() {
            Ok(Some(SoundModel::Ensoniq1371)) => "VirtualEnsoniq1371",
            Ok(Some(SoundModel::HdAudio)) => "VirtualHdAudioCard",
            Ok(Some(SoundModel::SoundBlaster16)) => "VirtualSoundBlaster16",
            _ => "VirtualSoundCard",
        }
    }
}

device! {
    /// The machine communication interface, `vmci0`; API: `VirtualMachineVMCIDevice`.
    Vmci
}

settings! { Vmci {
    /// Whether the device exists.
    present set_present: bool = "present" or false;
    /// The address, as a signed number; API: `VirtualMachineVMCIDevice.id`.
    id set_id: i64 = "id";
    /// Whether the device can communicate with other machines; API:
    /// `allowUnrestrictedCommunication`.
    unrestricted set_unrestricted: bool = "unrestricted" or false;
    /// The PCI slot; API: `VirtualDevice.slotInfo.pciSlotNumber`.
    pci_slot set_pci_slot: i32 = "pciSlotNumber";
} }

device! {
    /// A TPM, `vtpm`; API: `VirtualTPM`. In hosted products, a machine with a TPM is
    /// encrypted.
    Tpm
}

settings! { Tpm {
    /// Whether the device exists.
    present set_present: bool = "present" or false;
} }

device! {
    /// A clock that follows the host's clock precisely, `precisionclock0`; API:
    /// `VirtualPrecisionClock`.
    PrecisionClock
}

settings! { PrecisionClock {
    /// Whether the device exists.
    present set_present: bool = "present" or false;
    /// The PCI slot; API: `VirtualDevice.slotInfo.pciSlotNumber`.
    pci_slot set_pci_slot: i32 = "pciSlotNumber";
} }

device! {
    /// A timer that resets the machine if it hangs, `watchdog0`; API: `VirtualWDT`.
    Watchdog
}

settings! { Watchdog {
    /// Whether the device exists.
    present set_present: bool = "present" or false;
    /// The PCI slot; API: `VirtualDevice.slotInfo.pciSlotNumber`.
    pci_slot set_pci_slot: i32 = "pciSlotNumber";
} }
