//! The port layer of one host, built from its parts.

use std::sync::Arc;

use crate::archive::Archive;
use crate::event::Events;
use crate::image::Images;
use crate::network::Networks;
use crate::store::Store;
use crate::stream::Streams;
use crate::unsupported::Missing;
use crate::volume::Volumes;
use crate::{Capabilities, Capability, Exec};

/// The port layer of one virtual container host: a handle that bundles its traits and is cheap to
/// clone.
///
/// It is built from parts. The methods of a missing part return
/// [`Unsupported`](crate::ErrorKind::Unsupported), with the missing [`Capability`].
#[derive(Clone, Debug)]
pub struct PortLayer {
    exec: Arc<dyn Exec>,
    images: Arc<dyn Images>,
    volumes: Arc<dyn Volumes>,
    networks: Arc<dyn Networks>,
    streams: Arc<dyn Streams>,
    archive: Arc<dyn Archive>,
    events: Arc<dyn Events>,
    store: Arc<dyn Store>,
    given: Capabilities,
}

macro_rules! part {
    ($with:ident, $get:ident, $part:ident, $capability:ident, $what:literal) => {
        #[doc = concat!("Adds the part for ", $what, ".")]
        #[must_use]
        pub fn $with(mut self, part: Arc<dyn $part>) -> Self {
            self.$get = part;
            self.given = self.given.with(Capability::$capability);
            self
        }

        #[doc = concat!("The part for ", $what, ".")]
        #[must_use]
        pub fn $get(&self) -> &dyn $part {
            &*self.$get
        }
    };
}

impl PortLayer {
    /// Creates a port layer with containers only.
    pub fn new(exec: impl Exec) -> Self {
        Self::from_shared(Arc::new(exec))
    }

    /// Creates a port layer with containers only, from an implementation that is shared with other
    /// owners.
    #[must_use]
    pub fn from_shared(exec: Arc<dyn Exec>) -> Self {
        let missing = Arc::new(Missing);
        Self {
            exec,
            images: Arc::clone(&missing) as _,
            volumes: Arc::clone(&missing) as _,
            networks: Arc::clone(&missing) as _,
            streams: Arc::clone(&missing) as _,
            archive: Arc::clone(&missing) as _,
            events: Arc::clone(&missing) as _,
            store: missing,
            given: Capabilities::none(),
        }
    }

    /// Returns the part that manages containers.
    #[must_use]
    pub fn exec(&self) -> &dyn Exec {
        &*self.exec
    }

    part!(with_images, images, Images, Images, "images");
    part!(with_volumes, volumes, Volumes, Volumes, "volumes");
    part!(with_networks, networks, Networks, Networks, "networks");
    part!(with_streams, streams, Streams, Logs, "streams");
    part!(
        with_archive,
        archive,
        Archive,
        Archive,
        "files in containers"
    );
    part!(with_events, events, Events, Events, "events");
    part!(with_store, store, Store, Store, "a front end's values");

    /// Adds an images part that stores the content of images, so that they can be exported. For a
    /// part that stores only descriptions, use [`with_images`](Self::with_images).
    #[must_use]
    pub fn with_exportable_images(mut self, part: Arc<dyn Images>) -> Self {
        self.given = self.given.with(Capability::DiskContents);
        self.with_images(part)
    }

    /// Adds a streams part that supports attaching as well as logs. For a part with logs only, use
    /// [`with_streams`](Self::with_streams).
    #[must_use]
    pub fn with_attachable_streams(mut self, part: Arc<dyn Streams>) -> Self {
        self.given = self.given.with(Capability::Attach);
        self.with_streams(part)
    }

    /// Returns the capabilities of this port layer, combined from all of its parts.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.exec
            .capabilities()
            .iter()
            .fold(self.given, Capabilities::with)
    }
}
