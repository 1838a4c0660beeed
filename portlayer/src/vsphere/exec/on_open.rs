//! Finishes interrupted operations in the background after a program opens a host.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::{Shared, VsphereExec, WeakExec};
use crate::image::ChainId;
use crate::vsphere::index::Seen;
use crate::vsphere::{kind, probe};
use crate::{ContainerId, Resource, Result};

/// Maximum number of concurrent recoveries of one kind.
const AT_A_TIME: usize = 4;

/// The kinds of leftovers to look for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Removals,
    Images,
    Files,
    Probes,
    Scopes,
}

/// Something that an interrupted operation left.
#[derive(Debug)]
enum Leftover {
    Removal(ContainerId),
    Image(ChainId),
    /// Files of a container or an image that has no machine.
    Files(String),
    /// The machine of an interrupted probe.
    Probe(Arc<Seen>),
    /// A scope that was being created or removed.
    Scope(String),
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
            let scopes = recover(&exec, Kind::Scopes);
            tokio::join!(containers, images, probes, scopes);
        });
    }
}

async fn recover(exec: &WeakExec, kind: Kind) {
    let Some(VsphereExec { shared }) = exec.upgrade() else {
        return;
    };
    let found = shared.leftovers(kind).await;
    drop(shared);
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            tracing::debug!(?kind, %error, "cannot look for leftovers");
            return;
        }
    };
    let finish = |leftover: Leftover| async move {
        let Some(VsphereExec { shared }) = exec.upgrade() else {
            return;
        };
        match shared.finish(&leftover).await {
            Ok(()) => tracing::info!(?leftover, "completed an interrupted operation"),
            Err(error) => {
                tracing::warn!(?leftover, %error, "cannot complete an interrupted operation");
            }
        }
    };
    let found = stream::iter(found);
    found.for_each_concurrent(AT_A_TIME, finish).await;
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
                chains.map(Leftover::Image).collect()
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
            Kind::Scopes if is_only_writer => {
                let names = self.networks.unfinished_scopes().await?.into_iter();
                names.map(Leftover::Scope).collect()
            }
            Kind::Images | Kind::Files | Kind::Probes | Kind::Scopes => Vec::new(),
        })
    }

    async fn finish(&self, leftover: &Leftover) -> Result<()> {
        match leftover {
            Leftover::Removal(id) => self.remove(id).await,
            Leftover::Image(chain) => self.images.give_up(chain).await,
            Leftover::Files(directory) => self.delete_left_behind(directory).await,
            Leftover::Scope(name) => self.networks.finish_scope(name).await,
            Leftover::Probe(seen) => {
                let resource = Resource::new(kind::VIRTUAL_MACHINE, &seen.machine.name);
                self.endpoint.destroy(&seen.vm, &resource).await?;
                self.index.destroyed(&seen.vm);
                Ok(())
            }
        }
    }
}
