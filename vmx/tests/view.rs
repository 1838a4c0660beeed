//! The typed view over a document.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use vmx::Document;
use vmx::view::{
    CardModel, Class, CpuidMask, CpuidOwner, CpuidRegister, DeviceName, DriveType, EndPoint,
    Firmware, Limit, PortType, PowerType, Presence, Shares, UsbDeviceType, VirtualMachineFile,
};

/// A container machine as VIC created it.
const CONTAINER: &str = r#".encoding = "UTF-8"
config.version = "8"
virtualHW.version = "11"
displayName = "c1"
guestOS = "other3xlinux-64"
MEMSIZE = "0x800"
uuid.bios = "56 4d 5b 11 1a 2b 3c 4d-5e 6f 70 81 92 a3 b4 c5"
vc.uuid = ""
powerType.powerOff = "SOFT"
sched.cpu.max = "unlimited"
sched.mem.shares = "2000"
scsi0.present = "TRUE"
scsi0.virtualDev = "pvscsi"
scsi0.pciSlotNumber = "-1"
scsi0:0.present = "TRUE"
scsi0:0.fileName = "c1.vmdk"
scsi1:0.present = "TRUE"
scsi1:0.fileName = "orphan.vmdk"
ide0:0.present = "TRUE"
ide0:0.deviceType = "cdrom-image"
ide0:0.fileName = "/vmfs/volumes/ds/bootstrap.iso"
ethernet0.present = "TRUE"
ethernet0.virtualDev = "vmxnet3"
ethernet0.networkName = "bridge"
ethernet0.generatedAddress = "00:0c:29:aa:bb:cc"
ethernet1.present = "FALSE"
ethernet1.virtualDev = "e1000"
serial0.present = "TRUE"
serial0.fileType = "network"
serial0.fileName = "tcp://10.0.0.2:8080"
serial0.network.endPoint = "client"
serial0.yieldOnMsrRead = "TRUE"
serial0.hardwareFlowControl = "TRUE"
some.unknown = "kept"
"#;

#[test]
fn a_container_machine_is_read() {
    let document = Document::parse(CONTAINER).unwrap();
    let machine = VirtualMachineFile::new(&document);
    assert_eq!(machine.memory_mb().unwrap(), 2048);
    assert_eq!(machine.cpus().unwrap(), 1);
    assert_eq!(machine.firmware().unwrap(), Firmware::Bios);
    assert_eq!(machine.power_off().unwrap(), PowerType::Soft);
    assert_eq!(
        machine.bios_uuid().unwrap().unwrap().to_string(),
        "564d5b11-1a2b-3c4d-5e6f-708192a3b4c5"
    );
    assert_eq!(machine.instance_uuid().unwrap(), None);
    assert_eq!(machine.scheduling().cpu_limit().unwrap(), Limit::Unlimited);
    assert_eq!(
        machine.scheduling().memory_shares().unwrap(),
        Shares::Custom(2000)
    );

    let serial = machine.serial_port(DeviceName::of(Class::Serial, 0));
    assert_eq!(serial.port_type().unwrap(), Some(PortType::Network));
    assert_eq!(serial.network_end_point().unwrap(), EndPoint::Client);
    assert_eq!(
        serial.api_backing(),
        Some("VirtualSerialPortURIBackingInfo")
    );
    assert!(serial.hardware_flow_control().unwrap() && serial.yield_on_poll().unwrap());

    let cards = machine.network_cards();
    assert_eq!(cards.len(), 2);
    assert_eq!(cards[0].model().unwrap(), Some(CardModel::Vmxnet3));
    assert_eq!(
        cards[0].mac_address().unwrap().unwrap().to_string(),
        "00:0c:29:aa:bb:cc"
    );

    let cdroms = machine.cdroms();
    assert_eq!(cdroms[0].drive_type().unwrap(), DriveType::CdromImage);
    assert_eq!(cdroms[0].api_backing(), Some("VirtualCdromIsoBackingInfo"));
    assert_eq!(machine.disks().len(), 2);
    assert!(machine.faults().is_empty());
}

#[test]
fn devices_that_do_not_count_are_flagged() {
    let document = Document::parse(CONTAINER).unwrap();
    let devices = VirtualMachineFile::new(&document).devices();
    let shown: Vec<_> = devices
        .iter()
        .map(|d| (d.name.to_string(), d.presence, d.api_type, d.key))
        .collect();
    assert_eq!(
        shown,
        [
            (
                "ide0:0".into(),
                Presence::Present,
                "VirtualCdrom",
                Some(3000)
            ),
            (
                "scsi0".into(),
                Presence::Present,
                "ParaVirtualSCSIController",
                Some(1000)
            ),
            (
                "scsi0:0".into(),
                Presence::Present,
                "VirtualDisk",
                Some(2000)
            ),
            (
                "scsi1:0".into(),
                Presence::NoController,
                "VirtualDisk",
                Some(2016)
            ),
            (
                "ethernet0".into(),
                Presence::Present,
                "VirtualVmxnet3",
                Some(4000)
            ),
            (
                "ethernet1".into(),
                Presence::Absent,
                "VirtualE1000",
                Some(4001)
            ),
            (
                "serial0".into(),
                Presence::Present,
                "VirtualSerialPort",
                Some(9000)
            ),
            (
                "floppy0".into(),
                Presence::Present,
                "VirtualFloppy",
                Some(8000)
            ),
        ]
    );
}

#[test]
fn editing_the_view_edits_the_document_and_nothing_else() {
    let mut document = Document::parse(CONTAINER).unwrap();
    let mut machine = VirtualMachineFile::new(&mut document);
    machine.set_memory_mb(512).unwrap();
    machine.set_power_off(PowerType::Hard).unwrap();
    machine
        .network_card_mut(DeviceName::of(Class::Ethernet, 0))
        .set_network_name("other")
        .unwrap();
    machine
        .scheduling_mut()
        .set_cpu_limit(Limit::Of(500))
        .unwrap();
    machine
        .drive_mut(DeviceName::drive(Class::Scsi, 1, 0))
        .delete();
    let expected = CONTAINER
        .replace("MEMSIZE = \"0x800\"", "MEMSIZE = \"512\"")
        .replace("\"SOFT\"", "\"hard\"")
        .replace("\"bridge\"", "\"other\"")
        .replace("max = \"unlimited\"", "max = \"500\"")
        .replace(
            "scsi1:0.present = \"TRUE\"\nscsi1:0.fileName = \"orphan.vmdk\"\n",
            "",
        );
    assert_eq!(String::from_utf8(document.to_bytes()).unwrap(), expected);
}

#[test]
fn a_device_is_made_by_its_settings() {
    let mut machine = VirtualMachineFile::new(Document::new());
    let mut controller = machine.controller_mut(DeviceName::of(Class::Scsi, 0));
    controller.set_present(true).unwrap();
    controller.set_model("pvscsi").unwrap();
    let place = DeviceName::drive(Class::Scsi, 0, 0);
    machine.drive_mut(place).set_present(true).unwrap();
    machine.drive_mut(place).set_file_name("a.vmdk").unwrap();
    machine
        .floppy_mut(DeviceName::of(Class::Floppy, 0))
        .set_present(false)
        .unwrap();
    assert_eq!(machine.presence(place), Presence::Present);
    assert_eq!(
        machine.presence(DeviceName::of(Class::Floppy, 0)),
        Presence::Absent
    );
    assert_eq!(
        machine.presence(DeviceName::of(Class::Floppy, 1)),
        Presence::Present
    );
    assert_eq!(
        String::from_utf8(machine.into_document().to_bytes()).unwrap(),
        ".encoding = \"UTF-8\"\nscsi0.present = \"TRUE\"\nscsi0.virtualDev = \"pvscsi\"\n\
         scsi0:0.present = \"TRUE\"\nscsi0:0.fileName = \"a.vmdk\"\nfloppy0.present = \"FALSE\"\n"
    );
}

#[test]
fn settings_that_are_not_of_their_type_say_so() {
    let document = Document::parse(
        "memSize = \"lots\"\nscsi0.present = \"maybe\"\nuuid.bios = \"56\"\nethernet0.address = \"x\"\nsched.cpu.max = \"-5\"\n",
    )
    .unwrap();
    let machine = VirtualMachineFile::new(&document);
    let error = machine.memory_mb().unwrap_err();
    assert_eq!(error.to_string(), "setting `memSize` cannot be read");
    assert_eq!(
        error.reason().to_string(),
        "value \"lots\" is not a whole number of at most 64 bits"
    );
    let faults = machine.faults();
    let names: Vec<_> = faults.iter().map(vmx::view::SettingError::name).collect();
    assert_eq!(
        names,
        [
            "memSize",
            "uuid.bios",
            "sched.cpu.max",
            "scsi0.present",
            "ethernet0.address"
        ]
    );
}

#[test]
fn usb_ports_hang_on_their_controller() {
    let text = "usb.present = \"TRUE\"\n\
        usb:1.present = \"TRUE\"\nusb:1.speed = \"2\"\nusb:1.deviceType = \"hub\"\n\
        usb:1.port = \"1\"\nusb:1.parent = \"-1\"\n\
        usb:2.present = \"FALSE\"\n\
        usb_xhci:4.present = \"TRUE\"\nusb_xhci:4.speed = \"fast\"\n";
    let mut machine = VirtualMachineFile::new(Document::parse(text).unwrap());
    let hub = DeviceName::port(Class::Usb, 1);
    let orphan = DeviceName::port(Class::Xhci, 4);
    assert_eq!(machine.presence(hub), Presence::Present);
    assert_eq!(
        machine.presence(DeviceName::port(Class::Usb, 2)),
        Presence::Absent
    );
    assert_eq!(machine.presence(orphan), Presence::NoController);
    assert_eq!(machine.usb_controllers().len(), 1);
    assert_eq!(machine.usb_ports().len(), 3);
    let port = machine.usb_port(hub);
    assert_eq!(port.device_type().unwrap(), Some(UsbDeviceType::Hub));
    assert_eq!(port.api_type(), "-");
    assert_eq!(port.speed().unwrap(), Some(2));
    assert_eq!(port.parent().unwrap(), Some(-1));
    assert_eq!(machine.faults()[0].name(), "usb_xhci:4.speed");

    machine.usb_port_mut(hub).set_device_type("hid").unwrap();
    machine.usb_port_mut(orphan).delete();
    let expected = text.replace("hub", "hid").replace(
        "usb_xhci:4.present = \"TRUE\"\nusb_xhci:4.speed = \"fast\"\n",
        "",
    );
    let printed = machine.into_document().to_bytes();
    assert_eq!(String::from_utf8(printed).unwrap(), expected);
}

#[test]
fn what_a_machine_has_of_its_host() {
    let text = "pciPassthru0.present = \"TRUE\"\npciPassthru0.id = \"00000:011:00.0\"\n\
        pciPassthru0.deviceId = \"0x1528\"\npciPassthru0.vendorId = \"0x8086\"\n\
        pciPassthru1.virtualDev = \"vmiop\"\npciPassthru1.vgpu = \"grid_p40-1q\"\n\
        nvdimm0.present = \"TRUE\"\nnvdimm0:0.present = \"TRUE\"\n\
        nvdimm0:0.fileName = \"a.vmdk\"\nnvdimm1:0.present = \"TRUE\"\n\
        sharedFolder.maxNum = \"1\"\nsharedFolder0.present = \"TRUE\"\n\
        sharedFolder0.enabled = \"TRUE\"\nsharedFolder0.writeAccess = \"FALSE\"\n\
        sharedFolder0.hostPath = \"/srv\"\n";
    let mut machine = VirtualMachineFile::new(Document::parse(text).unwrap());
    let shown: Vec<_> = machine
        .devices()
        .into_iter()
        .filter(|device| device.name.class() != Class::Floppy)
        .map(|device| {
            let summary = device.summary.unwrap_or_default();
            format!(
                "{} {} {} {summary}",
                device.name, device.presence, device.api_type
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "pciPassthru0 present VirtualPCIPassthrough 00000:011:00.0",
            "pciPassthru1 absent VirtualPCIPassthrough grid_p40-1q",
            "nvdimm0 present VirtualNVDIMMController ",
            "nvdimm0:0 present VirtualNVDIMM a.vmdk",
            "nvdimm1:0 no controller VirtualNVDIMM ",
            "sharedFolder0 present - /srv",
        ]
    );
    let devices = machine.pci_passthroughs();
    assert_eq!(devices[0].vendor_id().unwrap(), Some(0x8086));
    assert_eq!(
        devices[0].api_backing(),
        Some("VirtualPCIPassthroughDeviceBackingInfo")
    );
    assert_eq!(
        devices[1].api_backing(),
        Some("VirtualPCIPassthroughVmiopBackingInfo")
    );
    assert_eq!(machine.max_shared_folders().unwrap(), Some(1));
    let folder = machine.shared_folder(DeviceName::of(Class::SharedFolder, 0));
    assert!(folder.enabled().unwrap() && !folder.read_access().unwrap());

    let mut folder = machine.shared_folder_mut(DeviceName::of(Class::SharedFolder, 0));
    folder.set_write_access(true).unwrap();
    machine
        .nvdimm_mut(DeviceName::drive(Class::Nvdimm, 1, 0))
        .delete();
    let expected = text
        .replace("writeAccess = \"FALSE\"", "writeAccess = \"TRUE\"")
        .replace("nvdimm1:0.present = \"TRUE\"\n", "");
    let printed = machine.into_document().to_bytes();
    assert_eq!(String::from_utf8(printed).unwrap(), expected);
}

#[test]
fn masks_and_records_of_cpuid() {
    let text = "hostCPUID.80000001 = \"00000000000000000000000120100800\"\n\
        guestCPUID.d = \"12\"\n\
        CPUID.80000001.EDX = \"----:----:---0:----:----:----:----:---H\"\n\
        cpuid.1.ecx = \"0\"\ncpuid.coresPerSocket = \"2\"\ncpuid.+1.eax = \"-\"\ncpuid.01.eax = \"-\"\n";
    let mut machine = VirtualMachineFile::new(Document::parse(text).unwrap());
    let leaf = 0x8000_0001;
    let host = machine.cpuid_registers(CpuidOwner::Host, leaf).unwrap();
    let mut host = host.unwrap();
    assert_eq!(
        (host.eax, host.ebx, host.ecx, host.edx),
        (0, 0, 1, 0x2010_0800)
    );
    assert_eq!(
        machine.cpuid_registers(CpuidOwner::User, leaf).unwrap(),
        None
    );
    let mask = machine.cpuid_mask(leaf, CpuidRegister::Edx).unwrap();
    let mask = mask.unwrap();
    assert_eq!(
        (mask.bit(20), mask.bit(0), mask.bit(32)),
        (Some('0'), Some('H'), None)
    );
    assert_eq!(
        machine.cpuid_masks().into_iter().collect::<Vec<_>>(),
        [(1, CpuidRegister::Ecx), (leaf, CpuidRegister::Edx)]
    );
    let faults = machine.faults();
    let names: Vec<_> = faults.iter().map(vmx::view::SettingError::name).collect();
    assert_eq!(names, ["guestCPUID.d", "cpuid.1.ecx"]);

    host.eax = 0xabc;
    machine
        .set_cpuid_registers(CpuidOwner::Host, leaf, host)
        .unwrap();
    let hidden = CpuidMask::parse(&format!("{}1", "-".repeat(31))).unwrap();
    machine
        .set_cpuid_mask(1, CpuidRegister::Ecx, &hidden)
        .unwrap();
    assert_eq!(CpuidMask::parse("01-"), None);
    let expected = text
        .replace("\"00000000", "\"00000abc")
        .replace("\"0\"", "\"----:----:----:----:----:----:----:---1\"");
    let printed = machine.into_document().to_bytes();
    assert_eq!(String::from_utf8(printed).unwrap(), expected);
}

#[test]
fn text_with_quotes_and_equals_signs_is_kept() {
    let text = "guestInfo.detailed.data = \"bitness='64' distroName='Debian'\"\n\
        monitor.virtual_exec = \"hardware\"\nprecisionclock0.present = \"TRUE\"\n";
    let mut machine = VirtualMachineFile::new(Document::parse(text).unwrap());
    assert_eq!(
        machine.guest_details().unwrap().as_deref(),
        Some("bitness='64' distroName='Debian'")
    );
    let execution = machine.virtual_execution().unwrap();
    assert_eq!(execution.as_deref(), Some("hardware"));
    assert!(machine.precision_clock().present().unwrap());
    assert_eq!(machine.watchdog().presence(), Presence::Absent);
    machine.precision_clock_mut().set_present(false).unwrap();
    let printed = machine.into_document().to_bytes();
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        text.replace("TRUE", "FALSE")
    );
}

#[test]
fn settings_whose_names_have_a_free_part() {
    let text = "answer.msg.disk.duplicateUUID = \"Yes\"\nANSWER.MSG.Disk.DuplicateUUID = \"No\"\n\
        answer.msg. = \"x\"\nisolation.tools.copy.disable = \"TRUE\"\n\
        isolation.tools.dnd.disable = \"perhaps\"\nisolation.tools.disable = \"x\"\n\
        hgfs.mapRootShare = \"1\"\nmonitor_control.restrict_backdoor = \"TRUE\"\n\
        usb.present = \"TRUE\"\nusb.autoConnect.device0 = \"0x046d:0xc52b\"\n\
        ethernet0.filter0.name = \"dvfilter\"\nethernet1.filter4.name = \"x\"\n";
    let mut machine = VirtualMachineFile::new(Document::parse_lenient(text).unwrap());
    assert_eq!(machine.answers().parts(), ["disk.duplicateUUID"]);
    let answer = machine.answers().get("DISK.duplicateuuid").unwrap();
    assert_eq!(answer.as_deref(), Some("Yes"));
    assert_eq!(machine.isolated_tools().parts(), ["copy", "dnd"]);
    assert_eq!(machine.isolated_tools().get("copy").unwrap(), Some(true));
    assert_eq!(machine.isolated_tools().get("paste").unwrap(), None);
    let faults = machine.faults();
    assert_eq!(faults.len(), 1, "a setting of two readers is one fault");
    assert_eq!(faults[0].name(), "isolation.tools.dnd.disable");
    let root = machine.shared_folder_options().get("mapRootShare");
    assert_eq!(root.unwrap(), Some(true));
    let control = machine.monitor_controls().get("restrict_backdoor");
    assert_eq!(control.unwrap().as_deref(), Some("TRUE"));
    assert_eq!(machine.usb_auto_connect().parts(), ["0"]);
    let card = DeviceName::of(Class::Ethernet, 0);
    assert_eq!(machine.network_card(card).filters().parts(), ["0"]);

    let before = machine.document().to_bytes();
    let first = machine.answers_mut().set("serial.file.open", "Replace");
    let second = machine.isolated_tools_mut().remove("dnd");
    assert!(machine.answers_mut().set("a b", "x").is_err());
    let document = machine.document_mut();
    assert!(document.contains("answer.msg.serial.file.open"));
    assert!(!document.contains("isolation.tools.dnd.disable"));
    document.undo(second).unwrap();
    document.undo(first.unwrap()).unwrap();
    assert_eq!(document.to_bytes(), before);
}

#[test]
fn a_device_tells_itself_whether_it_counts_and_comes_back_after_it_was_deleted() {
    let mut document = Document::parse(CONTAINER).unwrap();
    let mut machine = VirtualMachineFile::new(&mut document);
    let orphan = DeviceName::drive(Class::Scsi, 1, 0);
    assert_eq!(machine.drive(orphan).presence(), Presence::NoController);
    assert_eq!(machine.disks()[0].presence(), Presence::Present);
    assert_eq!(machine.network_cards()[1].presence(), Presence::Absent);
    assert_eq!(machine.tpm().presence(), Presence::Absent);
    machine.tpm_mut().set_present(true).unwrap();
    assert_eq!(machine.devices().last().unwrap().api_type, "VirtualTPM");
    let change = machine.tpm_mut().delete();
    assert_eq!(machine.tpm().presence(), Presence::Absent);
    machine.document_mut().undo(change).unwrap();
    assert_eq!(machine.tpm().presence(), Presence::Present);
}

#[test]
fn faults_of_storage_scheduling_are_found_without_their_drive() {
    let text = "sched.scsi0:0.shares = \"plenty\"\nsched.scsi0:1.throughputCap = \"500IOps\"\n\
        sched.mem.shares = \"high\"\nscsi0.sasWWID = \"50 05 05\"\n";
    let document = Document::parse(text).unwrap();
    let machine = VirtualMachineFile::new(&document);
    let faults = machine.faults();
    let names: Vec<_> = faults.iter().map(vmx::view::SettingError::name).collect();
    assert_eq!(names, ["sched.scsi0:0.shares", "scsi0.sasWWID"]);
}
