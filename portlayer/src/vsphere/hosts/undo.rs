//! Rolls back a failed installation.

use vim25::{Ref, mo};
use vsphere_client::Datastore;

use super::Shared;
use super::install::{Job, Reporter};
use super::lookup::datastore_path;
use super::{InstallStatus, InstallStep};
use crate::vsphere::hardware;
use crate::vsphere::kind;
use crate::{Error, ErrorKind, Resource, Result};

/// The objects created so far, to be removed in reverse order.
#[derive(Default)]
pub(super) struct Made {
    pub(super) datastore: Option<Datastore>,
    pub(super) pool: Option<Ref<mo::ResourcePool>>,
    pub(super) folder: Option<Ref<mo::Folder>>,
    pub(super) appliance: Option<(Ref<mo::VirtualMachine>, String)>,
    /// The host, if an earlier installation created parts of it, which the rollback keeps.
    pub(super) resumed: Option<Resource>,
    /// The common name of the switch and the port group, and the parent pool of their host.
    pub(super) bridge: Option<(String, Ref<mo::ResourcePool>)>,
    pub(super) files: Vec<(InstallStep, String)>,
    /// Whether another installation of the host uses the pool and the folder, too. Then they are
    /// removed only if they are empty.
    pub(super) is_shared: bool,
    /// Objects that may have been created although the response was lost.
    pub(super) unknown: Vec<Resource>,
}

impl Made {
    /// Returns the directory of the appliance: `[datastore] path`.
    pub(super) fn directory(&self) -> String {
        self.appliance
            .as_ref()
            .map(|(_, directory)| directory.clone())
            .unwrap_or_default()
    }

    /// Records, if an object belongs to another installation of the host, that its pool and folder are
    /// those that this one has created.
    pub(super) fn shared<T>(&mut self, found: Result<T>) -> Result<T> {
        self.is_shared |= found
            .as_ref()
            .is_err_and(|error| error.resource().kind == kind::HOST);
        found
    }

    /// Records objects that may have been created although the endpoint did not confirm it.
    pub(super) fn note(&mut self, resource: Resource, error: Error) -> Error {
        if let Error {
            kind: ErrorKind::OutcomeUnknown { .. },
            ..
        }
        | Error {
            kind: ErrorKind::Timeout { .. },
            ..
        } = error
        {
            self.unknown.push(resource);
        }
        error
    }
}

impl Shared {
    /// Removes the created objects in reverse order, and returns those that could not be removed.
    /// Objects of an earlier installation are kept, so that the host can be resumed or deleted.
    pub(super) async fn undo(
        &self,
        made: Made,
        job: &Job<'_>,
        report: &Reporter<'_>,
    ) -> Vec<Resource> {
        let host = &job.host;
        if !self.endpoint.is_reachable().await {
            // Each attempt to remove something would take its own time until it failed.
            return left_unreachable(made, host, report);
        }
        if let Some((vm, _)) = &made.appliance
            && self.is_taken(vm, job).await
        {
            // Everything belongs to the other installation now.
            return Vec::new();
        }
        let mut undo = Undo {
            report,
            left: made.unknown,
        };
        if let Some(host) = made.resumed {
            undo.left.push(host);
            return undo.left;
        }
        if let Some((vm, directory)) = &made.appliance {
            if let Err(error) = self.endpoint.power_off(vm, host).await {
                tracing::warn!(%error, "cannot power off the appliance of a failed installation");
            }
            if let Some(datastore) = &made.datastore {
                for (step, path) in made.files.iter().rev() {
                    let result = self.endpoint.delete_file(datastore, path, host).await;
                    undo.note(*step, Resource::new(kind::FILE, path), result);
                }
            }
            if let Some((name, parent)) = &made.bridge {
                let result = self.remove_bridge(name, parent, vm, host).await;
                undo.note(InstallStep::BridgeNetwork, Resource::network(name), result);
            }
            let result = self.endpoint.destroy(vm, host).await;
            let machine = Resource::new(kind::VIRTUAL_MACHINE, &host.id);
            let destroyed = undo.note(InstallStep::Appliance, machine, result);
            // If the directory has the appliance's name, it was created for the appliance.
            let is_own = datastore_path(directory).path() == &*host.id;
            if let (Some(datastore), true) = (&made.datastore, destroyed && is_own) {
                let result = self.endpoint.delete_file(datastore, directory, host).await;
                undo.left(Resource::new(kind::FILE, directory), result);
            }
        }
        if let Some(folder) = &made.folder {
            let resource = Resource::new(kind::FOLDER, &host.id);
            let content = self.endpoint.delete_empty_folder(folder, host).await;
            let result = content.and_then(|content| match content.as_slice() {
                [] => Ok(()),
                _ if made.is_shared => Ok(()),
                content => Err(Error::in_use(resource.clone(), content.join(", "))),
            });
            undo.note(InstallStep::Folder, resource, result);
        }
        if let Some(pool) = &made.pool {
            let result = self.remove_pool(pool, made.is_shared, host).await;
            let pool = Resource::new(kind::RESOURCE_POOL, &host.id);
            undo.note(InstallStep::ResourcePool, pool, result);
        }
        undo.left
    }

    /// Destroys the pool of a failed installation, unless it contains something.
    async fn remove_pool(
        &self,
        pool: &Ref<mo::ResourcePool>,
        is_shared: bool,
        host: &Resource,
    ) -> Result<()> {
        match self.endpoint.is_empty_pool(pool, host).await? {
            true => self.endpoint.destroy_pool(pool, host).await,
            false if is_shared => Ok(()),
            false => {
                let resource = Resource::new(kind::RESOURCE_POOL, &host.id);
                Err(Error::in_use(resource, "its machines"))
            }
        }
    }

    /// Removes the switch and the port group that the installation created, both with this name,
    /// and disconnects the appliance from them. Absent ones count as success.
    pub(super) async fn remove_bridge(
        &self,
        name: &str,
        pool: &Ref<mo::ResourcePool>,
        vm: &Ref<mo::VirtualMachine>,
        host: &Resource,
    ) -> Result<()> {
        let switches = self.endpoint.switches(pool).await?;
        let foreign: Vec<_> = switches
            .port_groups_of(name)
            .map(|group| group.name.as_str())
            .filter(|group| *group != name)
            .collect();
        if !foreign.is_empty() {
            let switch = Resource::new(kind::VIRTUAL_SWITCH, name);
            return Err(Error::in_use(switch, foreign.join(", ")));
        }
        self.remove_cards(vm, host).await?;
        self.endpoint.remove_port_group(&switches, name).await?;
        self.endpoint.remove_switch(&switches, name).await
    }

    /// Removes the network cards of an appliance that will be destroyed.
    async fn remove_cards(&self, vm: &Ref<mo::VirtualMachine>, host: &Resource) -> Result<()> {
        let devices = self.endpoint.devices(vm, host).await?;
        let cards: Vec<_> = devices
            .iter()
            .filter(|device| device.view::<vim25::types::VirtualEthernetCard>().is_some())
            .map(hardware::detach)
            .collect();
        if cards.is_empty() {
            return Ok(());
        }
        let change = vim25::types::VirtualMachineConfigSpec {
            device_change: cards,
            ..Default::default()
        };
        self.endpoint.reconfigure(vm, &change, host).await
    }
}

/// Reports that nothing can be removed, and returns what is left. The files are in the directory of
/// the appliance.
fn left_unreachable(made: Made, host: &Resource, report: &Reporter<'_>) -> Vec<Resource> {
    let mut left = made.unknown;
    if let Some(host) = made.resumed {
        left.push(host);
        return left;
    }
    let bridge = made.bridge.as_ref();
    for (step, resource) in [
        bridge.map(|(name, _)| (InstallStep::BridgeNetwork, Resource::network(name))),
        made.appliance.as_ref().map(|_| {
            let machine = Resource::new(kind::VIRTUAL_MACHINE, &host.id);
            (InstallStep::Appliance, machine)
        }),
        made.folder.as_ref().map(|_| {
            let folder = Resource::new(kind::FOLDER, &host.id);
            (InstallStep::Folder, folder)
        }),
        made.pool.as_ref().map(|_| {
            let pool = Resource::new(kind::RESOURCE_POOL, &host.id);
            (InstallStep::ResourcePool, pool)
        }),
    ]
    .into_iter()
    .flatten()
    {
        report.tell(step, InstallStatus::LeftBehind);
        if !left.contains(&resource) {
            left.push(resource);
        }
    }
    left
}

/// The progress of a rollback.
struct Undo<'a> {
    report: &'a Reporter<'a>,
    left: Vec<Resource>,
}

impl Undo<'_> {
    /// Reports whether the object of a step was removed, and returns that.
    fn note(&mut self, step: InstallStep, resource: Resource, result: Result<()>) -> bool {
        let gone = self.left(resource, result);
        self.report.tell(
            step,
            if gone {
                InstallStatus::Undone
            } else {
                InstallStatus::LeftBehind
            },
        );
        gone
    }

    /// Records the object if it still exists. Returns whether it is gone.
    fn left(&mut self, resource: Resource, result: Result<()>) -> bool {
        match result {
            Ok(())
            | Err(Error {
                kind: ErrorKind::NotFound,
                ..
            }) => true,
            Err(error) => {
                tracing::warn!(%resource, %error, "left behind by a failed installation");
                self.left.push(resource);
                false
            }
        }
    }
}
