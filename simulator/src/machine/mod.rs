//! Virtual machines, without their devices: configuration, files, and power cycles.

pub(crate) mod config;
pub(crate) mod file;
mod guest_ids;
mod hardware_version;
mod layout;
pub(crate) mod properties;
pub(crate) mod read;

pub(crate) use guest_ids::GUEST_IDS;
pub(crate) use hardware_version::HardwareVersion;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use vim25::types::{
    VirtualMachineConfigInfo, VirtualMachineConfigInfoDatastoreUrlPair, VirtualMachinePowerState,
};
use vim25::{Fault, Ref, mo};
use vmx::{Document, ExtraConfig};

use crate::datastore::path::DatastorePath;
use crate::datastore::{Store, Volume};
use crate::device;
use crate::fault;
use crate::guest::{Cards, Programs};
use crate::object::{Hidden, Object};
use crate::serial::Ports;
use crate::snapshot::Snapshots;
use crate::world::Transaction;

/// State of a machine that the API does not show.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// The machine's `.vmx` file.
    pub(crate) vmx: DatastorePath,
    /// Content of the file as last written.
    pub(crate) document: Arc<Document>,
    /// All keys that no field of the configuration represents, including those that the API
    /// hides.
    pub(crate) extra: ExtraConfig,
    /// For each disk, its descriptor followed by those of its parents.
    pub(crate) chains: Vec<Vec<String>>,
    /// The snapshots of the machine.
    pub(crate) snapshots: Arc<Snapshots>,
    /// Whether the machine was cloned so that its disks have parents which other machines use.
    pub(crate) is_linked: bool,
    /// The disks among them whose writes are discarded.
    pub(crate) nonpersistent: Vec<String>,
    /// The current power cycle; `None` while the machine is off.
    pub(crate) cycle: Option<Cycle>,
    /// Cancelled when the machine's most recent guest has ended.
    pub(crate) ended: Option<CancellationToken>,
}

/// The time between power-on and power-off.
#[derive(Clone, Debug)]
pub(crate) struct Cycle {
    /// Identifies the cycle.
    pub(crate) number: u64,
    /// Ends the guest.
    pub(crate) stop: CancellationToken,
    /// Requests a shutdown from the guest.
    pub(crate) shutdown: CancellationToken,
    /// The keys as they were at power-on.
    pub(crate) before: ExtraConfig,
    /// Folded keys that the guest wrote.
    pub(crate) by_guest: BTreeSet<String>,
    /// Folded keys that were written through the API.
    pub(crate) by_api: BTreeSet<String>,
    /// Whether the guest's tools are running.
    pub(crate) tools: bool,
    /// The machine's serial ports.
    pub(crate) ports: Ports,
    /// The machine's network cards.
    pub(crate) cards: Cards,
    /// Requests of clients to start programs in the guest.
    pub(crate) programs: Programs,
}

impl Machine {
    /// Creates a machine that is off and has no disks, given its file and its keys.
    pub(crate) fn new(vmx: DatastorePath, document: Document, extra: ExtraConfig) -> Self {
        Self {
            vmx,
            document: Arc::new(document),
            extra,
            chains: Vec::new(),
            snapshots: Arc::default(),
            is_linked: false,
            nonpersistent: Vec::new(),
            cycle: None,
            ended: None,
        }
    }

    pub(crate) fn of(object: &Object) -> Result<&Arc<Self>, Fault> {
        match &object.hidden {
            Hidden::Machine(machine) => Ok(machine),
            _ => Err(fault::not_found(object.reference())),
        }
    }

    /// Iterates over the files of the machine's disks and their parents, now and in snapshots.
    pub(crate) fn disk_files(&self) -> impl Iterator<Item = &String> {
        self.chains.iter().flatten().chain(self.snapshots.files())
    }

    /// Returns the machine of an object for modification.
    pub(crate) fn edit(object: &mut Object) -> Result<&mut Self, Fault> {
        let reference = object.reference().clone();
        match &mut object.hidden {
            Hidden::Machine(machine) => Ok(Arc::make_mut(machine)),
            _ => Err(fault::not_found(&reference)),
        }
    }
}

pub(crate) fn power_state(object: &Object) -> Result<VirtualMachinePowerState, Fault> {
    object.read("runtime.powerState")
}

/// Returns the datastores that a machine uses, that of its `.vmx` file first.
fn datastores<'s>(
    store: &'s Store,
    machine: &Machine,
    config: &VirtualMachineConfigInfo,
) -> Vec<&'s Volume> {
    let devices = config.hardware.device.iter().flat_map(device::chain);
    let files = devices.chain(machine.snapshots.files().cloned());
    let paths = files.filter_map(|file| DatastorePath::parse(machine.vmx.site(), &file));
    let mut found: Vec<&Volume> = Vec::new();
    for path in std::iter::once(machine.vmx.clone()).chain(paths) {
        if let Some(volume) = store.named(path.site(), path.datastore())
            && found.iter().all(|other| other.name != volume.name)
        {
            found.push(volume);
        }
    }
    found
}

/// Returns a change version later than `last`: the time, as on real hosts, but unique.
pub(crate) fn next_version(last: &str) -> String {
    let now = Timestamp::now();
    let next = match last.parse::<Timestamp>() {
        Ok(last) if last >= now => last + SignedDuration::from_micros(1),
        _ => now,
    };
    format!("{next:.6}")
}

/// Applies a changed configuration to the machine's properties and file.
///
/// The machine must already contain `extra`.
pub(crate) fn store(
    tx: &mut Transaction<'_>,
    vm: &Ref<mo::VirtualMachine>,
    config: &mut VirtualMachineConfigInfo,
    moves_version: bool,
) -> Result<(), Fault> {
    if moves_version {
        config.change_version = next_version(&config.change_version);
        config.modified = Timestamp::now();
    }
    let store = &tx.shared().store;
    let object = tx.edit(vm)?;
    let machine = Machine::edit(object)?;
    machine.chains = device::chains(&config.hardware.device);
    machine.nonpersistent = device::nonpersistent(&config.hardware.device);
    config.extra_config = config::visible(&machine.extra);
    config.datastore_url = datastores(store, machine, config)
        .into_iter()
        .map(|volume| VirtualMachineConfigInfoDatastoreUrlPair {
            name: volume.name.clone(),
            url: volume.url(),
        })
        .collect();
    let document = Arc::make_mut(&mut machine.document);
    file::update(document, config, &machine.extra, &machine.vmx, store)?;
    let (path, document) = (machine.vmx.clone(), Arc::clone(&machine.document));
    object.put("config", config);
    object.put("name", &config.name);
    // The properties contain the size of the file.
    tx.shared().store.write_document(&path, &document)?;
    properties::refresh(tx, vm)
}
