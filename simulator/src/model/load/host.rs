//! The systems of a loaded host, which are those of the simulator.

use vim25::types::{HostNetworkInfo, HostRuntimeInfo, HostSystemConnectionState};
use vim25::{Any, AnyRef, Fault, Ref, mo};

use crate::layout::HostLayout;
use crate::load::LoadedObject;
use crate::model::{host_managers, host_network};
use crate::object::{Object, Retype};
use crate::world::Transaction;

/// Creates the systems of a host. Of the saved ones, the network's configuration is taken over.
pub(super) fn complete(tx: &mut Transaction<'_>, saved: &LoadedObject) -> Result<(), Fault> {
    let host: Ref<mo::HostSystem> = saved.reference.retype();
    if tx
        .object(&host)?
        .read::<HostRuntimeInfo>("runtime")
        .is_err()
    {
        // The server knew nothing about a host that was not connected.
        let runtime = HostRuntimeInfo {
            connection_state: HostSystemConnectionState::NotResponding,
            ..Default::default()
        };
        tx.edit(&host)?.put("runtime", &runtime);
    }
    let Some(layout) = HostLayout::of_host(host.value()) else {
        return Ok(());
    };
    host_managers::build(tx, &layout);
    let network: Option<HostNetworkInfo> = tx.object(&host)?.read("config.network").ok();
    host_network::build(tx, &layout);
    let is_valid = |network: &HostNetworkInfo| Any::new(network).check().is_ok();
    if let Some(network) = network.filter(is_valid) {
        let object = tx.edit(&layout.network_system())?;
        object.put("networkInfo", &network);
        tx.edit(&host)?.set("config.network", &network)?;
    }
    let datastores: Vec<AnyRef> = tx.object(&host)?.list("datastore")?;
    tx.edit(&layout.datastore_system())?
        .put("datastore", &datastores);
    let mut browser = Object::new::<mo::HostDatastoreBrowser>(layout.browser().value());
    browser.put("datastore", &datastores);
    tx.insert(browser);
    let object = tx.edit(&host)?;
    object.put("configManager", &host_managers::references(&layout));
    object.put("datastoreBrowser", &layout.browser());
    Ok(())
}
