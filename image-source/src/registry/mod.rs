//! Images from registries (OCI distribution-spec, and docker's registry API version 2).

mod challenge;
mod credentials;
mod fetch;
mod http;
mod progress;
mod tls;
mod token;

use std::collections::HashMap;
use std::sync::Arc;

use portlayer::image::{Digest, ImageConfig, ImageId};

use crate::files::verify;
use crate::manifest::{Descriptor, Document, Manifest, read_config};
use crate::{Error, Limits, Platform, Reference, Result};

pub use credentials::{Credentials, DockerConfig};
pub use progress::{LayerProgress, LayerStage, ObserveFetch};
pub use tls::Transport;

use http::Http;
use token::Access;

/// The default number of layers to fetch concurrently; docker has the same default.
const CONCURRENT_LAYERS: usize = 3;

/// Options of a client for registries.
#[derive(Debug)]
#[non_exhaustive]
pub struct RegistryOptions {
    /// The platform to choose if there are several.
    pub platform: Platform,
    /// Limits for hostile registries and images.
    pub limits: Limits,
    /// The number of layers of one image to fetch concurrently.
    pub concurrent_layers: usize,
    /// The transports of registries, by `host` or `host:port`. Default: verified
    /// HTTPS.
    pub transports: HashMap<String, Transport>,
    /// Mirrors to try before a registry, by registry. Unless the reference has a digest,
    /// content from a mirror cannot be verified against the registry: only add mirrors that
    /// you trust like the registry.
    pub mirrors: HashMap<String, Vec<String>>,
    /// Certificate authorities in PEM form, in addition to those of the system.
    pub authorities: Vec<Vec<u8>>,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            platform: Platform::default(),
            limits: Limits::default(),
            concurrent_layers: CONCURRENT_LAYERS,
            transports: HashMap::new(),
            mirrors: HashMap::new(),
            authorities: Vec::new(),
        }
    }
}

impl RegistryOptions {
    /// Creates options for `linux/amd64`, verified HTTPS, and no mirrors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the platform.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// Sets the limits.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the transport for one registry, `host` or `host:port`.
    #[must_use]
    pub fn transport(mut self, registry: impl Into<String>, transport: Transport) -> Self {
        self.transports.insert(registry.into(), transport);
        self
    }

    /// Tries `mirror` before `registry`. Mirrors are tried in the order they were added.
    #[must_use]
    pub fn mirror(mut self, registry: impl Into<String>, mirror: impl Into<String>) -> Self {
        let mirrors = self.mirrors.entry(registry.into()).or_default();
        mirrors.push(mirror.into());
        self
    }

    /// Trusts an additional certificate authority, in PEM form. A server's own self-signed
    /// certificate is not an authority: pin it with [`Transport::Pinned`].
    #[must_use]
    pub fn authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(pem.into());
        self
    }
}

/// A client for registries. Cheap to clone; clones share connections and tokens.
#[derive(Clone, Debug)]
pub struct Registries {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: RegistryOptions,
    http: Http,
}

impl Registries {
    /// Creates a client with these options, without connecting.
    #[must_use]
    pub fn new(options: RegistryOptions) -> Self {
        Self {
            inner: Arc::new(Inner {
                http: Http::default(),
                options,
            }),
        }
    }

    /// Resolves a reference without credentials.
    ///
    /// # Errors
    /// Those of [`resolve_as`](Self::resolve_as).
    pub async fn resolve(&self, reference: &Reference) -> Result<ResolvedImage> {
        self.resolve_as(reference, Credentials::Anonymous).await
    }

    /// Resolves a reference: fetches the manifest for the platform and the config, and verifies
    /// both. Mirrors are tried first, without the credentials.
    ///
    /// Dropping the future ends the requests.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::NoSuchPlatform`], [`Error::Unsupported`]
    /// for an image that cannot become a container's disk, or an error of the registry or
    /// the image.
    #[tracing::instrument(skip_all, fields(%reference))]
    pub async fn resolve_as(
        &self,
        reference: &Reference,
        credentials: Credentials,
    ) -> Result<ResolvedImage> {
        let mirrors = self.inner.options.mirrors.get(reference.registry());
        for mirror in mirrors.into_iter().flatten() {
            match self.try_at(mirror, reference, Credentials::Anonymous).await {
                Ok(found) => return Ok(found),
                Err(error) => {
                    tracing::debug!(%mirror, %error, "the mirror did not serve the image");
                }
            }
        }
        self.try_at(reference.registry(), reference, credentials)
            .await
    }

    /// Checks that a registry, `host` or `host:port`, accepts these credentials, as `docker
    /// login` does. A registry that does not require credentials accepts any.
    ///
    /// # Errors
    /// [`Error::Denied`], or an error of the connection.
    #[tracing::instrument(skip_all, fields(registry))]
    pub async fn login(&self, registry: &str, credentials: Credentials) -> Result<()> {
        self.access(registry, "", credentials)?.check().await
    }

    fn access(&self, registry: &str, repository: &str, credentials: Credentials) -> Result<Access> {
        let options = &self.inner.options;
        let transport = options.transports.get(registry).cloned();
        self.inner.http.access(
            registry,
            repository,
            transport.unwrap_or_default(),
            credentials,
            &options.authorities,
        )
    }

    async fn try_at(
        &self,
        registry: &str,
        reference: &Reference,
        credentials: Credentials,
    ) -> Result<ResolvedImage> {
        let options = &self.inner.options;
        let limits = &options.limits;
        let access = self.access(registry, reference.repository(), credentials)?;
        let (bytes, media_type) = access
            .manifest(&reference.version(), limits.document_bytes)
            .await?;
        let digest = Digest::of(&bytes);
        if let Some(expected) = reference.digest() {
            verify("the manifest", &bytes, expected)?;
        }
        let manifest = match Document::parse(&bytes, &media_type)? {
            Document::Manifest(manifest) => manifest,
            Document::Index(index) => {
                let entry = index.choose(&options.platform)?;
                let version = entry.digest.to_string();
                let (bytes, media_type) = access.manifest(&version, limits.document_bytes).await?;
                verify("the manifest", &bytes, &entry.digest)?;
                match Document::parse(&bytes, &media_type)? {
                    Document::Manifest(manifest) => manifest,
                    Document::Index(_) => {
                        return Err(Error::document("index", "it points at another index"));
                    }
                }
            }
        };
        manifest.check(limits)?;
        let bytes = access
            .small_blob(&manifest.config, limits.config_bytes)
            .await?;
        verify("the config", &bytes, &manifest.config.digest)?;
        let config = read_config(bytes, manifest.layers.len(), &options.platform)?;
        Ok(ResolvedImage {
            access,
            concurrent_layers: options.concurrent_layers.max(1),
            digest,
            manifest,
            config,
        })
    }
}

/// Converts the error of a writer thread that panicked or was cancelled.
fn blocking_io(error: tokio::task::JoinError) -> Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Error::io("write", "the spool")(std::io::Error::other(error)),
    }
}

/// An image in a registry: everything but its layers.
#[derive(Debug)]
pub struct ResolvedImage {
    access: Access,
    concurrent_layers: usize,
    digest: Digest,
    manifest: Manifest,
    config: ImageConfig,
}

impl ResolvedImage {
    /// Returns the identity of the image.
    #[must_use]
    pub fn id(&self) -> ImageId {
        self.config.id()
    }

    /// Returns the digest of what the reference resolves to in the registry: the image's manifest,
    /// or the index that contains it.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns the image's config.
    #[must_use]
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// Iterates over the digests and sizes in bytes of the layers as transferred, lowest first.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = (Digest, u64)> {
        let layer = |layer: &Descriptor| (layer.digest, layer.size);
        self.manifest.layers.iter().map(layer)
    }
}
