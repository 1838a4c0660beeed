//! The managed objects, one file per family.

mod compute_resource;
mod datacenter;
pub(crate) mod datastore;
pub(crate) mod entity;
mod event;
mod file_manager;
mod folder;
mod host_network;
mod host_system;
pub(crate) mod network;
mod resource_pool;
mod search_index;
mod service_instance;
pub(crate) mod session_manager;
mod view_manager;
mod virtual_disk_manager;
pub(crate) mod virtual_machine;

use std::sync::Arc;

use vim25::Fault;

use crate::core::Core;
use crate::invocation::{Answer, Invocation};
use crate::object::Object;
use crate::property;
use crate::world::Transaction;

/// Makes the inventory of a host without machines.
pub(crate) fn build(core: &Arc<Core>, thumbprint: &str) -> Result<(), Fault> {
    let mut tx = Transaction::begin(core)?;
    service_instance::build(&mut tx);
    session_manager::build(&mut tx);
    event::build(&mut tx);
    folder::build(&mut tx);
    datacenter::build(&mut tx);
    compute_resource::build(&mut tx);
    host_system::build(&mut tx, thumbprint);
    host_network::build(&mut tx);
    resource_pool::build(&mut tx);
    datastore::build(&mut tx);
    network::build(&mut tx, "VM Network", 0, "vSwitch0")?;
    tx.commit();
    Ok(())
}

/// Carries out a method of an object; `None` when it is not provided.
pub(crate) fn call(inv: &mut Invocation<'_, '_>, object: &Object) -> Option<Answer> {
    match object.reference().type_name() {
        "ServiceInstance" => service_instance::call(inv),
        "SessionManager" => session_manager::call(inv),
        "PropertyCollector" | "PropertyFilter" => property::call(inv),
        "ViewManager" | "ContainerView" | "ListView" => view_manager::call(inv),
        "SearchIndex" => search_index::call(inv),
        "Folder" => folder::call(inv),
        "ResourcePool" => resource_pool::call(inv),
        "VirtualMachine" => virtual_machine::call(inv),
        "HostNetworkSystem" => host_network::call(inv),
        "HostDatastoreBrowser" => datastore::call(inv),
        "Datastore" => datastore::call(inv),
        "FileManager" => file_manager::call(inv),
        "VirtualDiskManager" => virtual_disk_manager::call(inv),
        "OptionManager" => service_instance::options(inv),
        _ => None,
    }
}
