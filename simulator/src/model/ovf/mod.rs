//! `OvfManager`: reads descriptors of machines, and writes those of existing ones.
//!
//! Machines are read and written with processors, memory, disks and their controllers, network
//! cards and drives for CDs. Collections of machines (vApps) are not supported. What is wrong
//! with a descriptor is part of the result, as it is of real servers; only wrong arguments of a
//! call are faults.

mod descriptor;
mod export;
mod import;
mod xml;

use vim25::types::{
    KeyValue, LocalizableMessage, LocalizedMethodFault, OvfCreateDescriptorParams,
    OvfCreateImportSpecParams, OvfCreateImportSpecResult, OvfDeploymentOption, OvfNetworkInfo,
    OvfOptionInfo, OvfParseDescriptorResult, OvfValidateHostResult, VirtualMachineConfigInfo,
};
use vim25::{Poly, Ref, mo};

use self::descriptor::Descriptor;
use crate::fault;
use crate::invocation::{Answer, Invocation, value};
use crate::model::entity;
use crate::object::Object;

/// The id of the manager.
pub(super) const MANAGER: &str = "ha-ovf-manager";

pub(super) fn build() -> Object {
    let mut manager = Object::new::<mo::OvfManager>(MANAGER);
    let options = export::OPTIONS.map(|(option, words)| OvfOptionInfo {
        option: option.to_owned(),
        description: LocalizableMessage {
            key: format!("ovf.exportOption.{option}"),
            message: Some(words.to_owned()),
            ..LocalizableMessage::default()
        },
    });
    manager.put("ovfExportOption", &options.to_vec());
    manager.put("ovfImportOption", &Vec::<OvfOptionInfo>::new());
    manager
}

pub(super) fn call(inv: &mut Invocation<'_, '_>) -> Option<Answer> {
    Some(match inv.request.method.as_str() {
        "ParseDescriptor" => parse(inv),
        "ValidateHost" => validate(inv),
        "CreateImportSpec" => import(inv),
        "CreateDescriptor" => export(inv),
        _ => return None,
    })
}

fn parse(inv: &mut Invocation<'_, '_>) -> Answer {
    let text: String = inv.arg("ovfDescriptor")?;
    let descriptor = match Descriptor::parse(&text) {
        Ok(descriptor) => descriptor,
        Err(fault) => {
            return value(&OvfParseDescriptorResult {
                error: vec![LocalizedMethodFault::from(&fault)],
                ..OvfParseDescriptorResult::default()
            });
        }
    };
    let networks = descriptor.networks.iter();
    let networks = networks.map(|(name, description)| OvfNetworkInfo {
        name: name.clone(),
        description: description.clone(),
    });
    let options = descriptor.options.iter().map(|option| OvfDeploymentOption {
        key: option.id.clone(),
        label: option.label.clone(),
        description: option.description.clone(),
    });
    let name = KeyValue {
        key: descriptor.id.clone(),
        value: descriptor.default_name().to_owned(),
    };
    let sizes = Sizes::of(&descriptor);
    value(&OvfParseDescriptorResult {
        eula: descriptor.eula.clone(),
        network: networks.collect(),
        property: import::properties(&descriptor),
        product_info: import::product(&descriptor).map(Box::new),
        annotation: descriptor.annotation.clone(),
        approximate_download_size: Some(sizes.download),
        approximate_flat_deployment_size: Some(sizes.flat),
        approximate_sparse_deployment_size: Some(sizes.sparse),
        default_entity_name: descriptor.default_name().to_owned(),
        virtual_app: descriptor.is_collection,
        deployment_option: options.collect(),
        default_deployment_option: descriptor.default_option().to_owned(),
        entity_name: vec![name],
        warning: descriptor.warnings.iter().map(Into::into).collect(),
        ..OvfParseDescriptorResult::default()
    })
}

fn validate(inv: &mut Invocation<'_, '_>) -> Answer {
    let text: String = inv.arg("ovfDescriptor")?;
    inv.object_arg::<mo::HostSystem>("host")?;
    let mut result = OvfValidateHostResult {
        supported_disk_provisioning: import::SUPPORTED.map(str::to_owned).to_vec(),
        ..OvfValidateHostResult::default()
    };
    match Descriptor::parse(&text) {
        Ok(descriptor) => {
            let sizes = Sizes::of(&descriptor);
            result.download_size = Some(sizes.download);
            result.flat_deployment_size = Some(sizes.flat);
            result.sparse_deployment_size = Some(sizes.sparse);
            result.warning = descriptor.warnings.iter().map(Into::into).collect();
        }
        Err(fault) => result.error.push(LocalizedMethodFault::from(&fault)),
    }
    value(&result)
}

fn import(inv: &mut Invocation<'_, '_>) -> Answer {
    let text: String = inv.arg("ovfDescriptor")?;
    let pool: Ref<mo::ResourcePool> = inv.object_arg("resourcePool")?;
    let datastore: Ref<mo::Datastore> = inv.object_arg("datastore")?;
    let site = entity::site(inv.tx, &pool)?;
    let volume = inv.tx.shared().store.referenced(datastore.value());
    let volume = volume.filter(|volume| volume.site == site);
    let datacenter = &inv.tx.layout().at(site).datacenter;
    let volume = volume.ok_or_else(|| {
        fault::other_datacenter("datastore", &entity::any(&datastore), datacenter)
    })?;
    let params: Poly<OvfCreateImportSpecParams> = inv.arg("cisp")?;
    let params = params.base::<OvfCreateImportSpecParams>().ok().flatten();
    let params: OvfCreateImportSpecParams = params
        .map(|params| (*params).clone())
        .ok_or_else(|| fault::invalid_argument("cisp"))?;
    match Descriptor::parse(&text) {
        Ok(descriptor) => value(&import::specification(
            inv.tx,
            &descriptor,
            &params,
            &pool,
            volume,
        )),
        Err(fault) => value(&OvfCreateImportSpecResult {
            error: vec![LocalizedMethodFault::from(&fault)],
            ..OvfCreateImportSpecResult::default()
        }),
    }
}

fn export(inv: &mut Invocation<'_, '_>) -> Answer {
    let params: OvfCreateDescriptorParams = inv.arg("cdp")?;
    let machine: Ref<mo::VirtualMachine> = match inv.object_arg("obj") {
        Ok(machine) => machine,
        // vApps are not supported.
        Err(_) if inv.object_arg::<mo::ManagedEntity>("obj").is_ok() => {
            let method = "CreateDescriptor of a vApp";
            return Err(fault::unimplemented(&inv.this, method));
        }
        Err(fault) => return Err(fault),
    };
    let known = |option: &String| export::OPTIONS.iter().any(|(own, _)| own == option);
    if !params.export_option.iter().all(known) {
        return Err(fault::invalid_argument("cdp.exportOption"));
    }
    let config: VirtualMachineConfigInfo = inv.tx.object(&machine)?.read("config")?;
    value(&export::descriptor(&config, machine.value(), &params))
}

/// The sizes that a descriptor announces, in bytes.
struct Sizes {
    download: i64,
    flat: i64,
    sparse: i64,
}

impl Sizes {
    fn of(descriptor: &Descriptor) -> Self {
        let files = descriptor.files.iter().filter_map(|file| file.size);
        let disks = &descriptor.disks;
        let capacity = |disk: &descriptor::Disk| i64::try_from(disk.capacity).unwrap_or(i64::MAX);
        let add = |sum: i64, size: i64| sum.saturating_add(size);
        Self {
            download: files.fold(0, add),
            flat: disks.iter().map(capacity).fold(0, add),
            sparse: disks
                .iter()
                .map(|disk| disk.populated.unwrap_or_else(|| capacity(disk)))
                .fold(0, add),
        }
    }
}
