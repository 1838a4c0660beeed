//! A small program that uses the bindings: it reads a reply, edits a disk,
//! builds a machine, inspects a fault and prepares calls, with 20 types and 5 methods.

use std::error::Error;

use vim25::soap::{self, Header, Response};
use vim25::types::{
    InvalidPowerState, ManagedEntityStatus, NotAuthenticated, OptionValue, ParaVirtualSCSIController,
    PropertyFilterSpec, PropertySpec, ResourceAllocationInfo, RetrieveOptions, RetrieveResult,
    SharesInfo, SharesLevel, VirtualDeviceConfigSpec, VirtualDeviceConfigSpecOperation, VirtualDisk,
    VirtualDiskFlatVer2BackingInfo, VirtualEthernetCard, VirtualMachineConfigInfo,
    VirtualMachineConfigSpec, VirtualMachineFileInfo, VirtualMachinePowerState, VirtualVmxnet3,
};
use vim25::{Any, Limits, Poly, Ref, mo};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("the path of a reply")?;
    let reply = std::fs::read(path)?;
    let collector: Ref<mo::PropertyCollector> = Ref::new("propertyCollector");
    let filter = PropertyFilterSpec {
        prop_set: vec![PropertySpec {
            type_: "VirtualMachine".into(),
            path_set: vec!["config".into()],
            ..Default::default()
        }],
        ..Default::default()
    };
    let call = collector.retrieve_properties_ex(&[filter], &RetrieveOptions::default());
    send(&call)?;
    match soap::decode_response(&call, &reply, &Limits::default())? {
        Response::Value(value) => machines(&value)?,
        Response::Fault(fault) if fault.is::<NotAuthenticated>() => println!("log in first"),
        Response::Fault(fault) => match fault.get::<InvalidPowerState>()? {
            Some(state) => println!("it is {}", state.existing_state),
            None => println!("{}", fault.message()),
        },
    }
    Ok(())
}

fn machines(value: &Any) -> Result<(), Box<dyn Error>> {
    let page: RetrieveResult = value.get()?;
    for object in &page.objects {
        let vm: Ref<mo::VirtualMachine> = object.obj.downcast().ok_or("a virtual machine")?;
        for property in &object.prop_set {
            match property.name.as_str() {
                "config" => reconfigure(&vm, &property.val.get()?)?,
                "runtime.powerState" => {
                    if property.val.get::<VirtualMachinePowerState>()?
                        == VirtualMachinePowerState::PoweredOff
                    {
                        send(&vm.power_on_vm(None))?;
                    }
                }
                "overallStatus" if property.val.get::<ManagedEntityStatus>()? == ManagedEntityStatus::Red => {
                    send(&vm.power_off_vm())?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn reconfigure(
    vm: &Ref<mo::VirtualMachine>,
    config: &VirtualMachineConfigInfo,
) -> Result<(), Box<dyn Error>> {
    let mut spec = VirtualMachineConfigSpec {
        name: Some(format!("{}-1", config.name)),
        files: Some(Box::new(VirtualMachineFileInfo::default())),
        cpu_allocation: Some(Box::new(ResourceAllocationInfo {
            shares: Some(Box::new(SharesInfo::new(2_000, SharesLevel::Custom))),
            ..Default::default()
        })),
        extra_config: vec![
            OptionValue {
                key: "guestinfo.role".into(),
                value: Some(Any::new(&"web".to_owned())),
            }
            .into(),
        ],
        ..Default::default()
    };
    for device in &config.hardware.device {
        if let Some(mut disk) = device.get::<VirtualDisk>()? {
            let flat = disk.backing.as_ref().map(|b| b.get::<VirtualDiskFlatVer2BackingInfo>());
            if let Some(Some(file)) = flat.transpose()? {
                println!("{} is {} KB", file.file_name, disk.capacity_in_kb);
            }
            disk.capacity_in_kb *= 2;
            spec.device_change.push(
                VirtualDeviceConfigSpec {
                    operation: Some(VirtualDeviceConfigSpecOperation::Edit),
                    device: Poly::new(disk),
                    ..Default::default()
                }
                .into(),
            );
        } else if let Some(card) = device.base::<VirtualEthernetCard>()? {
            println!("{} {:?}", device.is::<VirtualVmxnet3>(), card.mac_address);
        } else if device.is::<ParaVirtualSCSIController>() {
            println!("a paravirtual controller");
        }
    }
    send(&vm.reconfig_vm(&spec))?;
    send(&vm.destroy())
}

/// Takes the place of the client in a real program.
fn send<R>(call: &vim25::Call<R>) -> Result<(), Box<dyn Error>> {
    let message = soap::encode_request(call, &Header::default())?;
    println!("{}: {} bytes", call.method(), message.len());
    Ok(())
}
