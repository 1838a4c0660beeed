//! Calls every reader of the typed view.

use std::hint::black_box;

use vmx::Document;
use vmx::view::{Presence, VirtualMachineFile};

/// Reads everything that the view can read. `faults` reads every setting.
pub(crate) fn read(document: &Document) {
    let machine = VirtualMachineFile::new(document);
    for fault in machine.faults() {
        assert!(document.contains(fault.name()), "a fault is an entry's");
        black_box((fault.to_string(), fault.reason().to_string()));
    }
    for device in machine.devices() {
        assert_eq!(device.presence, machine.presence(device.place));
        black_box((device.place.device_key(), device.place.to_string()));
    }
    macro_rules! all {
        ($($views:ident)*) => {$(
            for view in machine.$views() {
                assert_eq!(view.presence(), machine.presence(view.place()));
                black_box(view.present().is_ok());
                // A device whose `present` cannot be read is not in effect.
                assert!(view.present().is_ok() || view.presence() == Presence::Absent);
            }
        )*};
    }
    all!(
        controllers drives disks cdroms network_cards serial_ports parallel_ports floppies
        pci_bridges usb_controllers usb_ports pci_passthroughs nvdimm_controllers nvdimms
        shared_folders
    );
    for drive in machine.drives() {
        black_box((drive.io_shares().is_ok(), drive.throughput_cap().is_ok()));
        black_box((drive.api_type(), drive.api_backing()));
    }
    for card in machine.network_cards() {
        black_box((
            card.mac_address().is_ok(),
            card.api_type(),
            card.api_backing(),
        ));
        for part in card.filters().parts() {
            assert!(!matches!(card.filters().get(part), Ok(None)));
        }
    }
    for (leaf, register) in machine.cpuid_masks() {
        match machine.cpuid_mask(leaf, register) {
            Ok(mask) => black_box(mask.expect("it is in the list").to_string()),
            Err(error) => black_box(error.to_string()),
        };
    }
    black_box(machine.instance_uuid().is_ok());
    macro_rules! families {
        ($($family:ident)*) => {$(
            for part in machine.$family().parts() {
                assert!(!matches!(machine.$family().get(part), Ok(None)), "{part:?}");
            }
        )*};
    }
    families!(
        answers isolated_tools monitor_controls usb_auto_connect usb_generic
        shared_folder_options
    );
}
