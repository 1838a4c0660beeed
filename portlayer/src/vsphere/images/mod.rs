//! Images on vSphere.
//!
//! A disk with the layers of an image is attached to a machine of its own. The machine stays
//! registered in the host's pool as the record of the image, and is never powered on; on a vCenter,
//! the machines of complete images are templates. [`record`] describes its keys. The disks of containers are children of the image's disk.

mod export;
mod import;
mod left_behind;
mod lookup;
mod machine;
mod record;
mod remove;
mod template;
mod users;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use vim25::{Ref, mo};

use self::lookup::Roots;
pub(in crate::vsphere) use self::machine::is_directory as is_image_directory;
use super::endpoint::Endpoint;
use super::host_objects::HostObjects;
use super::index::Index;
use super::options::Options;
use super::sole_writer::SoleWriter;
use crate::archive::TarStream;
use crate::image::{
    ChainId, Image, ImageId, ImageInfo, ImageListing, ImageUsage, Images, ImportOptions,
};
use crate::queue::Queues;
use crate::{Capabilities, Error, Resource, Result};

pub(super) use self::lookup::Root;
pub(super) use self::record::ImageRecord;
use self::record::RecordState;

/// Maximum number of disks that are uploaded or downloaded at the same time.
const TRANSFERS: usize = 2;

/// The images of one virtual container host on ESXi or vCenter.
///
/// All state is in vSphere. Each distinct list of layers is one disk, attached to one machine in
/// the host's resource pool; images with the same layers share the disk. Queries for existing and
/// used images are answered from the host's [index](super#the-index).
///
/// # What others do
/// After its import, a disk is marked with `ddb.deletable = "false"` where the endpoint provides its
/// descriptor. Endpoints that honour the mark keep the disk when somebody destroys the machine of
/// the image or of a container. [`prune`](Images::prune) removes the files of an image without a
/// machine once no container uses them.
///
/// Every image occupies one of the registered machines that an ESXi host may have. A host that is
/// full is reported as [`Exhausted`](crate::ErrorKind::Exhausted), with the number of images.
///
/// # Exports
/// The disk is downloaded under an export lease to a temporary file, then its files are read from
/// there. While it is downloaded, the image cannot be changed. A vCenter may refuse to export a
/// template; it is made a machine for the time of the download. An endpoint that does not store the
/// content of disks has nothing to export.
///
/// # What continues on the server when a future is dropped
/// | method | may still happen |
/// | --- | --- |
/// | `import` | the transfer ends and its results are removed; an import that only has to be recorded is recorded |
/// | `export` | the transfer ends |
/// | `remove` | the image is no longer usable; [`prune`](Images::prune) or another `remove` finishes the removal |
/// | `prune` | the object that it was removing is removed |
#[derive(Clone, Debug)]
pub struct VsphereImages {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    endpoint: Endpoint,
    objects: HostObjects,
    options: Options,
    capabilities: Capabilities,
    index: Index,
    roots: Roots,
    chains: Queues<ChainId>,
    transfers: Semaphore,
    live: Arc<import::Live>,
    /// Keeps this process the only writer of the host, as long as containers can be changed or an
    /// import runs.
    _writer: Option<SoleWriter>,
}

impl VsphereImages {
    pub(super) fn new(
        endpoint: Endpoint,
        objects: HostObjects,
        options: Options,
        capabilities: Capabilities,
        index: Index,
        writer: Option<SoleWriter>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                endpoint,
                objects,
                options,
                capabilities,
                index,
                roots: Roots::default(),
                chains: Queues::default(),
                transfers: Semaphore::new(TRANSFERS),
                live: Arc::default(),
                _writer: writer,
            }),
        }
    }

    /// Returns the disk of an image, which is the parent of its containers' disks.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) for an image that does not exist or is not
    /// complete.
    pub(super) async fn root(&self, id: &ImageId) -> Result<Root> {
        self.shared.root(id).await
    }

    /// Checks that an image was not removed while a container was created from it.
    ///
    /// A removal first marks the image and then looks for containers; a creation first creates the
    /// container and then looks for the mark. So at least one of the two notices the other.
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) if the image was removed.
    pub(super) async fn confirm(&self, id: &ImageId, root: &Root) -> Result<()> {
        self.shared.confirm(id, root).await
    }

    /// Returns the labels of incomplete images, for messages.
    pub(super) async fn unfinished(&self) -> Result<Vec<String>> {
        let found = self.shared.machines().await?.into_iter();
        let unfinished = found.filter(|found| !found.is_done());
        Ok(unfinished.map(|found| found.label()).collect())
    }

    /// Returns the layers of incomplete images that this process is not importing.
    pub(super) async fn half_done(&self) -> Result<Vec<ChainId>> {
        self.shared.half_done().await
    }

    /// Returns the machines of complete images that an interrupted operation did not make templates.
    pub(super) async fn not_templates(&self) -> Result<Vec<Ref<mo::VirtualMachine>>> {
        self.shared.not_templates().await
    }

    /// Makes the machine of a complete image a template.
    pub(super) async fn make_template(&self, vm: &Ref<mo::VirtualMachine>) {
        self.shared.make_template(vm, &self.shared.host()).await;
    }

    /// Removes an incomplete image with these layers, unless this process starts to import it.
    pub(super) async fn give_up(&self, chain: &ChainId) -> Result<()> {
        self.shared.give_up(chain).await
    }

    /// Lists the directories of images that have no machine, as [`check`] reports them.
    ///
    /// [`check`]: crate::vsphere::VsphereExec::check
    pub(super) async fn left_behind(&self) -> Result<Vec<String>> {
        let after = self.shared.options.left_behind_after;
        self.shared.left_behind(after).await
    }

    /// Removes all images of a host. The caller has already removed the host's containers.
    pub(super) async fn remove_all(&self) -> Result<()> {
        self.shared.remove_all().await
    }
}

#[async_trait]
impl Images for VsphereImages {
    async fn import(&self, image: Image, options: ImportOptions) -> Result<ImageInfo> {
        import::start(Arc::clone(&self.shared), image, options).await
    }

    async fn export(&self, id: &ImageId) -> Result<TarStream> {
        export::start(Arc::clone(&self.shared), id).await
    }

    async fn inspect(&self, id: &ImageId) -> Result<ImageInfo> {
        let found = self.shared.find(id).await?;
        let info = found.record.image(id).cloned();
        info.ok_or_else(|| Error::not_found(Resource::image(id)))
    }

    async fn list(&self) -> Result<ImageListing> {
        let mut listing = ImageListing::default();
        for seen in self.shared.index.images().await? {
            match seen.image() {
                Some(Ok(record)) if record.state == RecordState::Done => {
                    listing.images.extend_from_slice(&record.images);
                    listing.quarantined.extend_from_slice(&record.broken);
                }
                Some(Err(reason)) => {
                    let broken = (seen.machine.name.clone(), reason.to_owned());
                    listing.quarantined.push(broken);
                }
                _unfinished => {}
            }
        }
        let key = |image: &ImageInfo| (image.imported.unwrap_or(Timestamp::MIN), image.id);
        listing.images.sort_by_key(key);
        listing.quarantined.sort();
        Ok(listing)
    }

    async fn remove(&self, id: &ImageId) -> Result<()> {
        self.shared.remove(id).await
    }

    async fn usage(&self) -> Result<ImageUsage> {
        self.shared.usage().await
    }

    async fn prune(&self) -> Result<Vec<String>> {
        self.shared.prune().await
    }
}
