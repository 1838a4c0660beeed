//! Finds hosts by the keys of their appliances.

use futures_util::{StreamExt, TryStreamExt, stream};
use vim25::{Poly, Ref, mo};
use vsphere_client::{Datastore, DatastorePath};

use super::Shared;
use super::{HostInfo, HostState};
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::{Home, Machine};
use crate::vsphere::host_objects::HostObjects;
use crate::vsphere::host_record::HostRecord;
use crate::vsphere::kind;
use crate::vsphere::machine_spec::MachineDefaults;
use crate::{Error, Result, StateKind};

/// Name of the appliance's boot image in the host's directory.
pub(super) const APPLIANCE_ISO: &str = "appliance.iso";
/// Name of the containers' boot image in the host's directory.
pub(super) const BOOTSTRAP_ISO: &str = "bootstrap.iso";

/// Maximum number of concurrent look-ups of hosts.
const AT_A_TIME: usize = 8;

/// A host that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) record: HostRecord,
    pub(super) machine: Machine,
}

impl Found {
    pub(super) fn read(machine: Machine) -> Option<Self> {
        let record = HostRecord::read(&machine.keys)?;
        Some(Self { record, machine })
    }

    fn is_finished(&self) -> bool {
        self.record.appliance.is_some() && !self.record.unfinished
    }

    pub(super) fn info(&self) -> HostInfo {
        let directory = self.machine.directory();
        let directory = datastore_path(&directory);
        HostInfo {
            name: self.machine.name.clone(),
            state: match self.machine.power {
                _ if !self.is_finished() => HostState::Unfinished,
                Power::On => HostState::Running,
                Power::Off | Power::Suspended | Power::Unknown => HostState::Off,
            },
            datastore: directory.datastore().to_owned(),
            directory: directory.path().to_owned(),
            bridge_network: self.record.bridge_network.clone(),
            bridge_range: self.record.bridge_range,
            scope_networks: self.record.scope_networks.clone(),
            scope_vlans: self.record.scope_vlans,
            address: self.record.address.clone(),
        }
    }
}

/// Parses `[datastore] path`; other text is a path without a datastore.
pub(super) fn datastore_path(text: &str) -> DatastorePath {
    text.parse()
        .unwrap_or_else(|_| DatastorePath::new("", text))
}

impl Shared {
    /// Finds the host whose appliance has this name.
    pub(super) async fn find(&self, name: &str) -> Result<Found> {
        let folders = self.endpoint.machine_folders().await?;
        let found = self.find_in(&folders, name).await?;
        found.ok_or_else(|| Error::not_found(kind::host(name)))
    }

    async fn find_in(&self, folders: &[Ref<mo::Folder>], name: &str) -> Result<Option<Found>> {
        let host = kind::host(name);
        for vm in self.endpoint.machines_named(folders, name, &host).await? {
            match self.endpoint.machine(&vm, &host).await {
                // It was removed concurrently.
                Err(error) if error.is_not_found() => {}
                machine => {
                    if let Some(found) = Found::read(machine?) {
                        return Ok(Some(found));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Lists all hosts. The pool and the appliance of a host have the host's name. So the names of
    /// the pools suffice to find all appliances, regardless of the number of machines.
    pub(super) async fn list(&self) -> Result<Vec<HostInfo>> {
        let (names, folders) =
            tokio::try_join!(self.endpoint.pool_names(), self.endpoint.machine_folders())?;
        let lookups: Vec<_> = names
            .iter()
            .map(|name| self.find_in(&folders, name))
            .collect();
        let found: Vec<_> = stream::iter(lookups)
            .buffered(AT_A_TIME)
            .try_collect()
            .await?;
        Ok(found.iter().flatten().map(Found::info).collect())
    }

    /// Returns a host with the objects that its containers use.
    pub(super) async fn objects(&self, name: &str) -> Result<(Found, HostObjects)> {
        let found = self.find(name).await?;
        if !found.is_finished() {
            return Err(
                Error::invalid_state(kind::host(name), StateKind::Broken, &[]).with_source(
                    "its installation was not finished: install it again to resume, or delete it",
                ),
            );
        }
        let home = self
            .endpoint
            .home(&found.machine.vm, &kind::host(name))
            .await?;
        let network = &found.record.bridge_network;
        let bridge = self.endpoint.network(&home.datacenter, network).await?;
        let mut objects = self.objects_of(&found, home).await?;
        objects.bridge = bridge;
        objects.image_folder = self
            .endpoint
            .image_folder(&objects.folder, name, &objects.host())
            .await?;
        Ok((found, objects))
    }

    /// Returns the datastore that contains the appliance of a host.
    pub(super) async fn datastore_of(&self, found: &Found, home: &Home) -> Result<Datastore> {
        let directory = datastore_path(&found.machine.directory());
        self.endpoint
            .datastore(&home.datacenter, Some(directory.datastore()))
            .await
    }

    /// Returns the objects of a host that will be deleted and that may be incomplete.
    pub(super) async fn objects_of(&self, found: &Found, home: Home) -> Result<HostObjects> {
        let host = kind::host(&found.machine.name);
        let directory = found.machine.directory();
        let datastore = self.datastore_of(found, &home).await?;
        let namespace = found.machine.uuid.ok_or_else(|| {
            Error::internal(
                host,
                "the endpoint did not return the UUID of its appliance",
            )
        })?;
        let defaults = MachineDefaults {
            datastore: datastore.reference().clone(),
            datastore_name: datastore.name().to_owned(),
            bootstrap_iso: format!("{directory}/{BOOTSTRAP_ISO}"),
            address: found.record.address.clone(),
            client_key: found.record.client_key.clone(),
            namespace,
        };
        Ok(HostObjects {
            name: found.machine.name.clone(),
            appliance: found.machine.vm.clone(),
            pool: home.pool,
            folder: home.folder,
            image_folder: None,
            datacenter: home.datacenter,
            datastore,
            bridge_network: found.record.bridge_network.clone(),
            bridge: Poly::default(),
            scope_networks: found.record.scope_networks.clone(),
            scope_vlans: found.record.scope_vlans,
            bridge_range: found.record.bridge_range,
            defaults,
        })
    }
}
