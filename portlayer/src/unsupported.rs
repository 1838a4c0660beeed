//! The parts that a back end lacks.

use std::net::IpAddr;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;

use crate::archive::{Archive, Change, FileStat, TarStream};
use crate::event::{Event, Events};
use crate::image::{Image, ImageId, ImageInfo, ImageListing, ImageUsage, Images, ImportOptions};
use crate::network::{EndpointInfo, EndpointSpec, Networks, ScopeInfo, ScopeSpec};
use crate::store::{Expect, Revision, Store, Versioned};
use crate::stream::{AttachOptions, Attached, LogOptions, LogStream, Streams, WindowSize};
use crate::volume::{VolumeInfo, VolumeSpec, Volumes};
use crate::{Capability, ContainerId, Error, Resource, ResourceKind, Result};

/// Stands in for every missing part: all of its methods return `Unsupported`.
#[derive(Debug)]
pub(crate) struct Missing;

fn missing<T>(resource: Resource, capability: Capability) -> Result<T> {
    Err(Error::unsupported(resource, capability))
}

fn images() -> Resource {
    Resource::new(ResourceKind::Endpoint, "images")
}

#[async_trait]
impl Images for Missing {
    async fn import(&self, image: Image, _: ImportOptions) -> Result<ImageInfo> {
        missing(Resource::image(image.id()), Capability::Images)
    }

    async fn export(&self, id: &ImageId) -> Result<TarStream> {
        missing(Resource::image(id), Capability::Images)
    }

    async fn inspect(&self, id: &ImageId) -> Result<ImageInfo> {
        missing(Resource::image(id), Capability::Images)
    }

    async fn list(&self) -> Result<ImageListing> {
        missing(images(), Capability::Images)
    }

    async fn remove(&self, id: &ImageId) -> Result<()> {
        missing(Resource::image(id), Capability::Images)
    }

    async fn usage(&self) -> Result<ImageUsage> {
        missing(images(), Capability::Images)
    }

    async fn prune(&self) -> Result<Vec<String>> {
        missing(images(), Capability::Images)
    }
}

#[async_trait]
impl Volumes for Missing {
    async fn create(&self, spec: VolumeSpec) -> Result<VolumeInfo> {
        missing(Resource::volume(spec.name), Capability::Volumes)
    }

    async fn inspect(&self, name: &str) -> Result<VolumeInfo> {
        missing(Resource::volume(name), Capability::Volumes)
    }

    async fn list(&self) -> Result<Vec<VolumeInfo>> {
        let volumes = Resource::new(ResourceKind::Endpoint, "volumes");
        missing(volumes, Capability::Volumes)
    }

    async fn remove(&self, name: &str) -> Result<()> {
        missing(Resource::volume(name), Capability::Volumes)
    }
}

#[async_trait]
impl Networks for Missing {
    async fn create(&self, spec: ScopeSpec) -> Result<ScopeInfo> {
        missing(Resource::network(spec.name), Capability::Networks)
    }

    async fn inspect(&self, name: &str) -> Result<ScopeInfo> {
        missing(Resource::network(name), Capability::Networks)
    }

    async fn list(&self) -> Result<Vec<ScopeInfo>> {
        let networks = Resource::new(ResourceKind::Endpoint, "networks");
        missing(networks, Capability::Networks)
    }

    async fn remove(&self, name: &str) -> Result<()> {
        missing(Resource::network(name), Capability::Networks)
    }

    async fn resolve(&self, scope: &str, _: Option<&ContainerId>, _: &str) -> Result<Vec<IpAddr>> {
        missing(Resource::network(scope), Capability::Networks)
    }

    async fn reverse(&self, scope: &str, _: IpAddr) -> Result<Vec<String>> {
        missing(Resource::network(scope), Capability::Networks)
    }

    async fn connect(&self, container: &ContainerId, _: EndpointSpec) -> Result<EndpointInfo> {
        missing(Resource::container(container), Capability::Networks)
    }

    async fn disconnect(&self, container: &ContainerId, _: &str) -> Result<()> {
        missing(Resource::container(container), Capability::Networks)
    }
}

#[async_trait]
impl Streams for Missing {
    async fn attach(&self, id: &ContainerId, _: AttachOptions) -> Result<Attached> {
        missing(Resource::container(id), Capability::Attach)
    }

    async fn resize(&self, id: &ContainerId, _: WindowSize) -> Result<()> {
        missing(Resource::container(id), Capability::Attach)
    }

    async fn logs(&self, id: &ContainerId, _: LogOptions) -> Result<LogStream> {
        missing(Resource::container(id), Capability::Logs)
    }
}

#[async_trait]
impl Archive for Missing {
    async fn export(&self, id: &ContainerId, _: &str) -> Result<TarStream> {
        missing(Resource::container(id), Capability::Archive)
    }

    async fn import(&self, id: &ContainerId, _: &str, _: TarStream) -> Result<()> {
        missing(Resource::container(id), Capability::Archive)
    }

    async fn diff(&self, id: &ContainerId) -> Result<Vec<Change>> {
        missing(Resource::container(id), Capability::Archive)
    }

    async fn stat(&self, id: &ContainerId, _: &str) -> Result<FileStat> {
        missing(Resource::container(id), Capability::Archive)
    }
}

#[async_trait]
impl Events for Missing {
    async fn subscribe(&self) -> Result<BoxStream<'static, Event>> {
        let events = Resource::new(ResourceKind::Endpoint, "events");
        missing(events, Capability::Events)
    }
}

#[async_trait]
impl Store for Missing {
    async fn get(&self, key: &str) -> Result<Option<Versioned>> {
        missing(
            Resource::new(ResourceKind::StoredValue, key),
            Capability::Store,
        )
    }

    async fn put(&self, key: &str, _: Bytes, _: Expect) -> Result<Revision> {
        missing(
            Resource::new(ResourceKind::StoredValue, key),
            Capability::Store,
        )
    }

    async fn delete(&self, key: &str, _: Expect) -> Result<()> {
        missing(
            Resource::new(ResourceKind::StoredValue, key),
            Capability::Store,
        )
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        missing(
            Resource::new(ResourceKind::StoredValue, prefix),
            Capability::Store,
        )
    }
}
