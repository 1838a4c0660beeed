//! The managed objects, one file per family.

pub(crate) mod compute_resource;
mod datacenter;
pub(crate) mod datastore;
pub(crate) mod disabled_methods;
mod disk_upkeep;
pub(crate) mod distributed_switch;
pub(crate) mod entity;
mod environment_browser;
mod esxcli;
mod event;
mod file_argument;
mod file_manager;
mod folder;
pub(crate) mod guest_operations;
pub(crate) mod host_connection;
mod host_managers;
mod host_network;
mod host_system;
mod inventory;
pub(crate) mod lease;
mod load;
mod machines;
mod managers;
mod namespace_manager;
pub(crate) mod network;
mod ovf;
mod resource_pool;
pub(crate) mod restore;
mod search_index;
mod service_instance;
pub(crate) mod session_manager;
mod storage_objects;
mod view_manager;
mod virtual_app;
mod virtual_disk_manager;
pub(crate) mod virtual_machine;

use std::sync::Arc;

use vim25::Fault;

use crate::invocation::{Answer, Invocation};
use crate::load::Loaded;
use crate::object::Object;
use crate::property;
use crate::saved::Saved;
use crate::shared::Shared;
use crate::task;
use crate::world::Transaction;

pub(crate) use disabled_methods::DisabledMethod;

/// Returns the root pool of an ESXi host.
pub(crate) const ROOT_POOL: &str = "ha-root-pool";

/// Creates the inventory of a topology or, if an inventory was persisted, restores the host in
/// it.
pub(crate) fn build(
    shared: &Arc<Shared>,
    thumbprint: &str,
    saved: Option<&Saved>,
    loaded: Option<&Loaded>,
) -> Result<(), Fault> {
    let mut tx = Transaction::begin(shared)?;
    if let Some(saved) = saved {
        tx.ids().resume(saved.numbers, saved.drawn);
    }
    service_instance::build(&mut tx);
    session_manager::build(&mut tx);
    managers::build(&mut tx);
    event::build(&mut tx);
    guest_operations::build(&mut tx);
    if let Some(loaded) = loaded {
        let running = load::build(&mut tx, loaded)?;
        tx.commit();
        for vm in running {
            let mut tx = Transaction::begin(shared)?;
            match virtual_machine::power_on(&mut tx, &vm) {
                Ok(()) => tx.commit(),
                Err(fault) => tracing::warn!(%vm, %fault, "a loaded machine is left off"),
            }
        }
        return Ok(());
    }
    folder::build(&mut tx);
    let machines = inventory::build(&mut tx, thumbprint, saved)?;
    tx.commit();
    machines::make(shared, &machines)
}

/// Carries out a method of an object; `None` if the simulator does not implement the method.
pub(crate) fn call(inv: &mut Invocation<'_, '_>, object: &Object) -> Option<Answer> {
    match object.reference().type_name() {
        "ServiceInstance" => service_instance::call(inv),
        "SessionManager" => session_manager::call(inv),
        "PropertyCollector" | "PropertyFilter" => property::call(inv),
        "ViewManager" | "ContainerView" | "ListView" => view_manager::call(inv),
        "SearchIndex" => search_index::call(inv),
        "Datacenter" => datacenter::call(inv),
        "EnvironmentBrowser" => environment_browser::call(inv),
        "Folder" => folder::call(inv),
        "HttpNfcLease" => lease::call(inv),
        "Task" => task::call(inv),
        "ResourcePool" => resource_pool::call(inv),
        "VirtualApp" => virtual_app::call(inv),
        "VirtualMachine" => virtual_machine::call(inv),
        "VirtualMachineSnapshot" => virtual_machine::call_snapshot(inv),
        "VmwareDistributedVirtualSwitch" => distributed_switch::call(inv),
        "DistributedVirtualPortgroup" => distributed_switch::call_group(inv),
        "HostSystem" | "ReflectManagedMethodExecuter" => esxcli::call(inv),
        "HostNetworkSystem" => host_network::call(inv),
        "HostDatastoreBrowser" => datastore::call(inv),
        "Datastore" => datastore::call(inv),
        "FileManager" => file_manager::call(inv),
        "DatastoreNamespaceManager" => namespace_manager::call(inv),
        "OvfManager" => ovf::call(inv),
        "VcenterVStorageObjectManager" | "HostVStorageObjectManager" => storage_objects::call(inv),
        "VirtualDiskManager" => virtual_disk_manager::call(inv),
        "OptionManager" => service_instance::options(inv),
        "AuthorizationManager"
        | "UserDirectory"
        | "PerformanceManager"
        | "ServiceManager"
        | "LicenseManager"
        | "LicenseAssignmentManager"
        | "DiagnosticManager" => managers::call(inv),
        "HostFirewallSystem"
        | "HostDateTimeSystem"
        | "HostServiceSystem"
        | "HostHealthStatusSystem"
        | "HostStorageSystem" => host_managers::call(inv),
        _ => None,
    }
}
