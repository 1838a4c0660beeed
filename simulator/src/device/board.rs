//! The devices that every machine has, such as its PCI controller.

use vim25::Poly;
use vim25::types::{
    Description, VirtualController, VirtualDevice, VirtualIDEController, VirtualKeyboard,
    VirtualMachineVMCIDevice, VirtualMachineVideoCard, VirtualPCIController, VirtualPS2Controller,
    VirtualPointingDevice, VirtualSIOController,
};

use super::Devices;

/// Returns the devices of a new machine's board.
pub(crate) fn board() -> Devices {
    let device = |key, label: &str, controller: Option<(i32, i32)>| VirtualDevice {
        key,
        device_info: Some(Poly::new(Description {
            label: label.to_owned(),
            summary: label.to_owned(),
        })),
        controller_key: controller.map(|(key, _)| key),
        unit_number: controller.map(|(_, unit)| unit),
        ..Default::default()
    };
    let controller = |key, label: &str, bus_number, devices: &[i32]| VirtualController {
        base: device(key, label, None),
        bus_number,
        device: devices.to_vec(),
    };
    let mut ide = [
        VirtualIDEController::default(),
        VirtualIDEController::default(),
    ];
    ide[0].base = controller(200, "IDE 0", 0, &[]);
    ide[1].base = controller(201, "IDE 1", 1, &[]);
    let [first, second] = ide;
    let mut ps2 = VirtualPS2Controller::default();
    ps2.base = controller(300, "PS2 controller 0", 0, &[600, 700]);
    let mut pci = VirtualPCIController::default();
    pci.base = controller(100, "PCI controller 0", 0, &[500, 12_000]);
    let mut sio = VirtualSIOController::default();
    sio.base = controller(400, "SIO controller 0", 0, &[]);
    let mut keyboard = VirtualKeyboard::default();
    keyboard.base = device(600, "Keyboard", Some((300, 0)));
    let mut pointing = VirtualPointingDevice::default();
    pointing.base = device(700, "Pointing device", Some((300, 1)));
    let mut video = VirtualMachineVideoCard::default();
    video.base = device(500, "Video card", Some((100, 0)));
    video.video_ram_size_in_kb = Some(4_096);
    video.num_displays = Some(1);
    video.use_auto_detect = Some(false);
    let mut vmci = VirtualMachineVMCIDevice::default();
    vmci.base = device(12_000, "VMCI device", Some((100, 17)));
    vmci.id = Some(-1);
    vmci.allow_unrestricted_communication = Some(false);
    vec![
        Poly::new(first),
        Poly::new(second),
        Poly::new(ps2),
        Poly::new(pci),
        Poly::new(sio),
        Poly::new(keyboard),
        Poly::new(pointing),
        Poly::new(video),
        Poly::new(vmci),
    ]
}
