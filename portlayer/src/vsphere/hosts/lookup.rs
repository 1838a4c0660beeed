//! Finds hosts by the keys of their appliances.

use vim25::{Poly, Ref, mo};
use vsphere_client::{Datastore, DatastorePath};

use super::Shared;
use super::{HostInfo, HostState};
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::{Home, Machine, MachineFolder, Parent};
use crate::vsphere::host_objects::HostObjects;
use crate::vsphere::host_record::HostRecord;
use crate::vsphere::kind;
use crate::vsphere::machine_spec::MachineDefaults;
use crate::{Error, Result, StateKind};

/// Name of the appliance's boot image in the host's directory.
pub(super) const APPLIANCE_ISO: &str = "appliance.iso";
/// Name of the containers' boot image in the host's directory.
pub(super) const BOOTSTRAP_ISO: &str = "bootstrap.iso";

/// A host that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) record: HostRecord,
    pub(super) machine: Machine,
}

impl Found {
    pub(super) fn read(machine: Machine) -> Option<Self> {
        let record = HostRecord::read(&machine.keys.unpack())?;
        Some(Self { record, machine })
    }

    /// Returns whether the host is complete except that its appliance may never have been powered on.
    pub(super) fn may_lack_power_on(&self) -> bool {
        self.record.starting && self.machine.power == Power::Off
    }

    pub(super) fn info(&self) -> HostInfo {
        let directory = self.machine.directory();
        let directory = datastore_path(&directory);
        HostInfo {
            name: self.machine.name.clone(),
            state: match self.machine.power {
                _ if !self.record.is_finished() => HostState::Unfinished,
                Power::On => HostState::Running,
                Power::Off | Power::Suspended | Power::Unknown => HostState::Off,
            },
            datastore: directory.datastore().to_owned(),
            directory: directory.path().to_owned(),
            bridge_network: self.record.bridge_network.clone(),
            bridge_range: self.record.bridge_range,
            scope_networks: self.record.scope_networks.clone(),
            scope_vlans: self.record.scope_vlans,
            networks: self.record.networks.clone(),
            address: self.record.address.clone(),
            certificate: self.record.certificate.clone(),
            authorities: self.record.authorities.clone(),
            components: self.record.components.clone(),
            version: self.record.settings.version.clone(),
            user: self.record.settings.user.clone(),
            target_thumbprint: self.record.settings.target_thumbprint.clone(),
            keepalive: self.record.settings.keepalive,
            registries: self.record.settings.registries.clone(),
            volume_stores: self.record.settings.volume_stores.clone(),
            create_options: self.record.settings.create_options.clone(),
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

    /// Finds a host in these folders. Looks into the folders with its name first.
    async fn find_in(&self, folders: &[MachineFolder], name: &str) -> Result<Option<Found>> {
        let (own, others): (Vec<_>, Vec<_>) =
            folders.iter().partition(|folder| folder.name == name);
        match self.find_directly_in(own, name).await? {
            Some(found) => Ok(Some(found)),
            None => self.find_directly_in(others, name).await,
        }
    }

    async fn find_directly_in(
        &self,
        folders: Vec<&MachineFolder>,
        name: &str,
    ) -> Result<Option<Found>> {
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

    /// Lists all hosts, from one retrieval of the machines on the endpoint.
    pub(super) async fn list(&self) -> Result<Vec<HostInfo>> {
        let mut found = self.endpoint.all_machines(Found::read).await?;
        found.sort_by(|one, other| one.machine.name.cmp(&other.machine.name));
        Ok(found.iter().map(Found::info).collect())
    }

    /// Returns a host with the objects that its containers use.
    pub(super) async fn objects(&self, name: &str) -> Result<(Found, HostObjects)> {
        let found = self.find(name).await?;
        if !found.record.is_finished() {
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
        let own_folder = self.own_folder(&found, &home).await?;
        if let (Some(folder), None, None) = (&found.record.folder, &own_folder, home.own_pool(name))
        {
            let reason = format!(
                "its inventory folder {folder:?} was removed, which distinguished its machines \
                 from others: delete it, and install it again"
            );
            let host = kind::host(name);
            return Err(Error::invalid_state(host, StateKind::Broken, &[]).with_source(reason));
        }
        let mut objects = self.objects_of(&found, home, own_folder).await?;
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

    /// Returns the inventory folder that was created for a host, if it still exists.
    pub(super) async fn own_folder(
        &self,
        found: &Found,
        home: &Home,
    ) -> Result<Option<Ref<mo::Folder>>> {
        let Some(recorded) = found.record.folder.as_deref() else {
            return Ok(None);
        };
        if home.folder.value() == recorded {
            return Ok(Some(home.folder.clone()));
        }
        // Somebody moved the appliance.
        let folder = Ref::new(recorded);
        let host = kind::host(&found.machine.name);
        let exists = self.endpoint.has_folder(&folder, &host).await?;
        Ok(exists.then_some(folder))
    }

    /// Returns the objects of a host that will be deleted and that may be incomplete.
    ///
    /// The machines of a host are those in its own pool. A host in a cluster without DRS has none,
    /// and neither has one whose deletion was interrupted; then they are those in its own folder.
    pub(super) async fn objects_of(
        &self,
        found: &Found,
        home: Home,
        own_folder: Option<Ref<mo::Folder>>,
    ) -> Result<HostObjects> {
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
        let parent = match (home.own_pool(&found.machine.name), &own_folder) {
            (None, Some(folder)) => Parent::Folder(folder.clone()),
            _ => Parent::Pool(home.pool.clone()),
        };
        Ok(HostObjects {
            name: found.machine.name.clone(),
            appliance: found.machine.vm.clone(),
            pool: home.pool,
            folder: own_folder.unwrap_or(home.folder),
            parent,
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
