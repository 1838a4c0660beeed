//! From a machine to its descriptor.

use std::fmt::Write as _;

use vim25::types::{
    OvfCreateDescriptorParams, OvfCreateDescriptorResult, OvfUnknownDevice,
    OvfUnsupportedDeviceExport, VirtualDevice, VirtualMachineConfigInfo,
};
use vim25::{Fault, Poly};

use super::xml::escape;
use crate::device::{self, Kind};

/// The options of an export that exist; see `OvfManager.ovfExportOption`.
pub(super) const OPTIONS: [(&str, &str); 1] = [(
    "extraconfig",
    "Include the advanced configuration of virtual machines",
)];

/// Makes the descriptor of a machine. `id` is the value of its reference.
pub(super) fn descriptor(
    config: &VirtualMachineConfigInfo,
    id: &str,
    params: &OvfCreateDescriptorParams,
) -> OvfCreateDescriptorResult {
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    let all = &config.hardware.device;
    let mut references = String::new();
    let mut disks = String::new();
    let mut networks: Vec<String> = Vec::new();
    let mut items = String::new();
    let mut number = 2;
    let mut known = Vec::new();

    let of_kind = |kinds: &'static [Kind]| {
        all.iter()
            .filter(move |device| kinds.contains(&Kind::of(device)))
    };
    // A controller is described if something is attached to it that is described.
    let attached: Vec<i32> = of_kind(&[Kind::Disk, Kind::Cdrom])
        .filter_map(|device| device::int(device, "controllerKey"))
        .collect();
    let mut controllers = Vec::new();
    for controller in of_kind(&[Kind::Ide, Kind::Scsi, Kind::Sata, Kind::Nvme]) {
        let key = device::key(controller);
        if !attached.contains(&key) {
            continue;
        }
        number += 1;
        let bus = device::int(controller, "busNumber").unwrap_or(0);
        let (ty, sub_type) = controller_type(controller);
        controllers.push((key, number, format!("{}{bus}", controller.type_name())));
        let sub_type = sub_type.map(str::to_owned);
        items.push_str(&item(
            &[
                ("Address", Some(bus.to_string())),
                ("ElementName", Some(label(controller))),
                ("InstanceID", Some(number.to_string())),
                ("ResourceSubType", sub_type),
                ("ResourceType", Some(ty.to_string())),
            ],
            true,
        ));
    }
    let place = |device: &Poly<VirtualDevice>| {
        let on = device::int(device, "controllerKey")?;
        let (_, number, name) = controllers.iter().find(|(key, ..)| *key == on)?;
        let unit = device::int(device, "unitNumber").unwrap_or(0);
        Some((*number, unit, format!("/{id}/{name}:{unit}")))
    };
    for (index, disk) in of_kind(&[Kind::Disk]).enumerate() {
        let Some((parent, unit, key)) = place(disk) else {
            continue;
        };
        number += 1;
        let index = index + 1;
        let capacity = disk
            .node()
            .get("capacityInBytes")
            .and_then(|bytes| bytes.as_i64());
        let mut file_ref = String::new();
        let mut populated = None;
        if let Some(file) = params.ovf_files.iter().find(|file| file.device_id == key) {
            let _ = writeln!(
                references,
                "    <File ovf:href=\"{}\" ovf:id=\"file{index}\" ovf:size=\"{}\"/>",
                escape(&file.path),
                file.size
            );
            file_ref = format!(" ovf:fileRef=\"file{index}\"");
            populated = file.populated_size;
        }
        known.push(key);
        let populated = populated.map(|bytes| format!(" ovf:populatedSize=\"{bytes}\""));
        let _ = writeln!(
            disks,
            "    <Disk ovf:capacity=\"{}\" ovf:capacityAllocationUnits=\"byte\" \
             ovf:diskId=\"vmdisk{index}\"{file_ref} \
             ovf:format=\"http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized\"{}/>",
            capacity.unwrap_or(0),
            populated.unwrap_or_default()
        );
        items.push_str(&item(
            &[
                ("AddressOnParent", Some(unit.to_string())),
                ("ElementName", Some(label(disk))),
                ("HostResource", Some(format!("ovf:/disk/vmdisk{index}"))),
                ("InstanceID", Some(number.to_string())),
                ("Parent", Some(parent.to_string())),
                ("ResourceType", Some("17".into())),
            ],
            true,
        ));
    }
    for drive in of_kind(&[Kind::Cdrom]) {
        let Some((parent, unit, _)) = place(drive) else {
            continue;
        };
        number += 1;
        items.push_str(&item(
            &[
                ("AddressOnParent", Some(unit.to_string())),
                ("AutomaticAllocation", Some("false".into())),
                ("ElementName", Some(label(drive))),
                ("InstanceID", Some(number.to_string())),
                ("Parent", Some(parent.to_string())),
                (
                    "ResourceSubType",
                    Some("vmware.cdrom.remotepassthrough".into()),
                ),
                ("ResourceType", Some("15".into())),
            ],
            false,
        ));
    }
    for card in of_kind(&[Kind::Network]) {
        number += 1;
        let network = device::text(card, "backing.deviceName")
            .filter(|name| !name.is_empty())
            .or_else(|| device::text(card, "backing.port.portgroupKey"))
            .unwrap_or_else(|| "none".to_owned());
        let connected = card.node().path("connectable.startConnected");
        let connected = connected.and_then(|on| on.as_bool()).unwrap_or(true);
        items.push_str(&item(
            &[
                ("AutomaticAllocation", Some(connected.to_string())),
                ("Connection", Some(network.clone())),
                ("ElementName", Some(label(card))),
                ("InstanceID", Some(number.to_string())),
                (
                    "ResourceSubType",
                    Some(card_type(&card.type_name()).to_owned()),
                ),
                ("ResourceType", Some("10".into())),
            ],
            true,
        ));
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    for device in of_kind(&[
        Kind::Serial,
        Kind::Parallel,
        Kind::Floppy,
        Kind::Usb,
        Kind::Xhci,
    ]) {
        let mut detail = OvfUnsupportedDeviceExport::default();
        detail.base.device = Some(device.clone());
        detail.base.vm_path.clone_from(&config.name);
        let words = format!("The device '{}' is not exported.", label(device));
        warnings.push(Fault::new(&words, detail));
    }
    for file in &params.ovf_files {
        if !known.contains(&file.device_id) {
            let mut detail = OvfUnknownDevice::default();
            detail.vm_name.clone_from(&config.name);
            let words = format!("The machine has no device '{}'.", file.device_id);
            errors.push(Fault::new(&words, detail));
        }
    }

    let name = params
        .name
        .as_deref()
        .filter(|name| !name.is_empty())
        .unwrap_or(&config.name);
    let networks = networks.iter().fold(String::new(), |mut all, network| {
        let network = escape(network);
        let _ = write!(
            all,
            "    <Network ovf:name=\"{network}\">\n      \
             <Description>The {network} network</Description>\n    </Network>\n"
        );
        all
    });
    let annotation = params
        .description
        .as_deref()
        .or(config.annotation.as_deref());
    let annotation = annotation.filter(|text| !text.is_empty()).map(|text| {
        format!(
            "    <AnnotationSection>\n      <Info>A human-readable annotation</Info>\n      \
             <Annotation>{}</Annotation>\n    </AnnotationSection>\n",
            escape(text)
        )
    });
    let mut extra = String::new();
    if params
        .export_option
        .iter()
        .any(|option| option == "extraconfig")
    {
        for option in &config.extra_config {
            let (key, value) = (option.node().get("key"), option.node().get("value"));
            let text = |node: Option<vim25::Node<'_>>| {
                node.and_then(|node| node.as_str().map(str::to_owned))
            };
            let (Some(key), Some(value)) = (text(key), text(value)) else {
                continue;
            };
            let _ = writeln!(
                extra,
                "      <vmw:ExtraConfig ovf:required=\"false\" vmw:key=\"{}\" vmw:value=\"{}\"/>",
                escape(&key),
                escape(&value)
            );
        }
    }
    let processors = config.hardware.num_cpu;
    let cores = config.hardware.num_cores_per_socket.unwrap_or(1);
    let memory = config.hardware.memory_mb;
    let text = format!(
        r##"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <References>
{references}  </References>
  <DiskSection>
    <Info>Virtual disk information</Info>
{disks}  </DiskSection>
  <NetworkSection>
    <Info>The list of logical networks</Info>
{networks}  </NetworkSection>
  <VirtualSystem ovf:id="{id}">
    <Info>A virtual machine</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="1" vmw:osType="{guest}">
      <Info>The kind of installed guest operating system</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware requirements</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>{version}</vssd:VirtualSystemType>
      </System>
      <Item>
        <rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>
        <rasd:Description>Number of Virtual CPUs</rasd:Description>
        <rasd:ElementName>{processors} virtual CPU(s)</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>{processors}</rasd:VirtualQuantity>
        <vmw:CoresPerSocket ovf:required="false">{cores}</vmw:CoresPerSocket>
      </Item>
      <Item>
        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
        <rasd:Description>Memory Size</rasd:Description>
        <rasd:ElementName>{memory}MB of memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>{memory}</rasd:VirtualQuantity>
      </Item>
{items}{extra}    </VirtualHardwareSection>
{annotation}  </VirtualSystem>
</Envelope>
"##,
        id = escape(id),
        name = escape(name),
        guest = escape(&config.guest_id),
        version = escape(&config.version),
        annotation = annotation.unwrap_or_default(),
    );
    let list = |faults: Vec<Fault>| faults.iter().map(Into::into).collect();
    OvfCreateDescriptorResult {
        ovf_descriptor: text,
        error: list(errors),
        warning: list(warnings),
        include_image_files: Some(false),
    }
}

/// Returns an item of the hardware with these elements.
fn item(elements: &[(&str, Option<String>)], is_required: bool) -> String {
    let required = if is_required {
        ""
    } else {
        " ovf:required=\"false\""
    };
    let mut text = format!("      <Item{required}>\n");
    for (name, value) in elements {
        if let Some(value) = value {
            let value = escape(value);
            let _ = writeln!(text, "        <rasd:{name}>{value}</rasd:{name}>");
        }
    }
    text.push_str("      </Item>\n");
    text
}

fn label(device: &Poly<VirtualDevice>) -> String {
    device::text(device, "deviceInfo.label").unwrap_or_else(|| device.type_name().to_owned())
}

/// Returns the resource type and subtype of a controller.
fn controller_type(controller: &Poly<VirtualDevice>) -> (i32, Option<&'static str>) {
    match &*controller.type_name() {
        "VirtualIDEController" => (5, None),
        "VirtualLsiLogicSASController" => (6, Some("lsilogicsas")),
        "VirtualBusLogicController" => (6, Some("buslogic")),
        "ParaVirtualSCSIController" => (6, Some("VirtualSCSI")),
        "VirtualAHCIController" => (20, Some("vmware.sata.ahci")),
        "VirtualNVMEController" => (20, Some("vmware.nvme.controller")),
        _ => (6, Some("lsilogic")),
    }
}

fn card_type(name: &str) -> &'static str {
    match name {
        "VirtualVmxnet3" => "VmxNet3",
        "VirtualVmxnet2" => "VmxNet2",
        "VirtualE1000e" => "E1000e",
        "VirtualPCNet32" => "PCNet32",
        _ => "E1000",
    }
}
