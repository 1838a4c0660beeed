//! Finishes interrupted operations in the background while a program has a host open.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use vim25::{Ref, mo};

use super::{Shared, VsphereExec, WeakExec};
use crate::image::ChainId;
use crate::vsphere::index::Seen;
use crate::vsphere::networks::Unmatched;
use crate::vsphere::{kind, probe};
use crate::{ContainerId, Resource, Result};

/// Maximum number of concurrent recoveries of one kind.
const AT_A_TIME: usize = 4;

/// The pauses before the attempts to finish a late operation, in units of
/// [`settle_timeout`](crate::vsphere::Options::settle_timeout).
const RETRIES: [u32; 4] = [1, 4, 16, 64];

/// The kinds of leftovers to look for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Removals,
    Images,
    Files,
    Probes,
    ScopeCopies,
    Scopes,
    PortGroups,
}

/// Something that an interrupted operation left.
#[derive(Debug)]
enum Leftover {
    Removal(ContainerId),
    Image(ChainId),
    /// The machine of a complete image that is not a template.
    NoTemplate(Ref<mo::VirtualMachine>),
    /// Files of a container or an image that has no machine.
    Files(String),
    /// The machine of an interrupted probe.
    Probe(Arc<Seen>),
    /// The scopes, whose copy or whose keys are missing.
    ScopeCopies,
    /// A scope that was being created or removed.
    Scope(String),
    /// A port group without a scope, or a scope without its port group.
    PortGroup(Unmatched),
}

impl VsphereExec {
    /// Finishes interrupted operations in the background, for as long as the host is open. Removals
    /// of containers are always finished. Everything else is finished only by the only writer of
    /// the host, because it could be the work of another writer. Readers are not blocked, and a
    /// failure does not stop the rest.
    pub(in crate::vsphere) fn recover(&self) {
        let exec = self.downgrade();
        tokio::spawn(async move {
            let containers = async {
                recover(&exec, Kind::Removals).await;
                // This also finds the files of a machine that the former writer has just destroyed.
                recover(&exec, Kind::Files).await;
            };
            let (images, probes) = (recover(&exec, Kind::Images), recover(&exec, Kind::Probes));
            let scopes = async {
                recover(&exec, Kind::ScopeCopies).await;
                recover(&exec, Kind::Scopes).await;
                recover_port_groups(&exec).await;
            };
            tokio::join!(containers, images, probes, scopes);
        });
        let incomplete = self.shared.index.incomplete();
        tokio::spawn(finish_late_operations(self.downgrade(), incomplete));
    }
}

/// Removes port groups without a scope, and creates those that scopes lack: at once, and again after
/// the timeout of a task, when the endpoint no longer carries out requests of an earlier program.
async fn recover_port_groups(exec: &WeakExec) {
    let pause = match exec.upgrade() {
        Some(exec) if exec.shared.objects.scope_vlans.is_some() => exec.shared.options.task_timeout,
        _ => return,
    };
    recover(exec, Kind::PortGroups).await;
    tokio::time::sleep(pause).await;
    recover(exec, Kind::PortGroups).await;
}

/// Finishes the operations that are interrupted after this program has looked for interrupted ones:
/// its own whose outcome it could not learn, and those of other programs. A request may be carried
/// out when the program that sent it is dead, or this one has taken over the host. Ends when the
/// host is closed.
async fn finish_late_operations(exec: WeakExec, mut started: watch::Receiver<u64>) {
    while started.changed().await.is_ok() {
        for factor in RETRIES {
            let Some(VsphereExec { shared }) = exec.upgrade() else {
                return;
            };
            let pause = shared.options.settle_timeout * factor;
            drop(shared);
            // An operation in progress is usually complete by then.
            tokio::time::sleep(pause).await;
            started.mark_unchanged();
            let (removals, images) = (recover(&exec, Kind::Removals), recover(&exec, Kind::Images));
            let (removals, images) = tokio::join!(removals, images);
            let files = recover(&exec, Kind::Files).await;
            if removals && images && files {
                break;
            }
        }
    }
}

/// Finishes all operations of one kind; returns whether none is left.
async fn recover(exec: &WeakExec, kind: Kind) -> bool {
    let Some(VsphereExec { shared }) = exec.upgrade() else {
        return false;
    };
    let found = shared.leftovers(kind).await;
    drop(shared);
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(?kind, %error, "cannot look for leftovers");
            return false;
        }
    };
    let finish = |leftover: Leftover| async move {
        let Some(VsphereExec { shared }) = exec.upgrade() else {
            return false;
        };
        match shared.finish(&leftover).await {
            Ok(()) => {
                tracing::info!(?leftover, "completed an interrupted operation");
                true
            }
            Err(error) if error.is_not_found() => true,
            Err(error) => {
                tracing::warn!(?leftover, %error, "cannot complete an interrupted operation");
                false
            }
        }
    };
    let finished = stream::iter(found)
        .map(finish)
        .buffer_unordered(AT_A_TIME)
        .fold(true, async |all, one| all && one);
    finished.await
}

impl Shared {
    async fn leftovers(&self, kind: Kind) -> Result<Vec<Leftover>> {
        let is_only_writer = self.options.sole_writer;
        Ok(match kind {
            Kind::Removals => {
                let begun = self.half_removed().await?.into_iter();
                begun.map(|(id, _)| Leftover::Removal(id)).collect()
            }
            // Another writer may be importing these images.
            Kind::Images if is_only_writer => {
                let chains = self.images.half_done().await?.into_iter();
                let machines = self.images.not_templates().await?.into_iter();
                chains
                    .map(Leftover::Image)
                    .chain(machines.map(Leftover::NoTemplate))
                    .collect()
            }
            // A writer that lost the host may still be creating a machine in the directory, so only
            // directories that have not changed for a while are deleted.
            Kind::Files if is_only_writer => {
                let directories = self.left_behind().await?.into_iter();
                directories.map(Leftover::Files).collect()
            }
            Kind::Probes if is_only_writer => {
                let machines = self.containers().await?.into_iter();
                machines
                    .filter(|seen| probe::is_probe(&self.objects, &seen.machine.name))
                    .map(Leftover::Probe)
                    .collect()
            }
            Kind::ScopeCopies if is_only_writer => {
                let problems = self.networks.copy_problems().await?;
                let is_found = !problems.is_empty();
                is_found
                    .then_some(Leftover::ScopeCopies)
                    .into_iter()
                    .collect()
            }
            Kind::Scopes if is_only_writer => {
                let names = self.networks.unfinished_scopes().await?.into_iter();
                names.map(Leftover::Scope).collect()
            }
            Kind::PortGroups if is_only_writer => {
                let unmatched = self.networks.unmatched().await?.into_iter();
                unmatched.map(Leftover::PortGroup).collect()
            }
            Kind::Images
            | Kind::Files
            | Kind::Probes
            | Kind::ScopeCopies
            | Kind::Scopes
            | Kind::PortGroups => Vec::new(),
        })
    }

    async fn finish(&self, leftover: &Leftover) -> Result<()> {
        match leftover {
            Leftover::Removal(id) => self.remove(id).await,
            Leftover::Image(chain) => self.images.give_up(chain).await,
            Leftover::NoTemplate(vm) => {
                self.images.make_template(vm).await;
                Ok(())
            }
            Leftover::Files(directory) => self.delete_left_behind(directory).await,
            Leftover::ScopeCopies => self.networks.repair_scopes().await,
            Leftover::Scope(name) => self.networks.finish_scope(name).await,
            Leftover::PortGroup(unmatched) => self.networks.match_up(unmatched).await,
            Leftover::Probe(seen) => {
                let resource = Resource::new(kind::VIRTUAL_MACHINE, &seen.machine.name);
                probe::remove(&self.endpoint, &seen.vm, &resource).await?;
                self.index.destroyed(&seen.vm);
                Ok(())
            }
        }
    }
}
