//! The front end: its settings, and the state that all handlers share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use image_source::{Registries, RegistryOptions, Spool, Transport};
use portlayer::image::ImageId;
use portlayer::network::forward::Publisher;
use portlayer::{ContainerId, ExitStatus, PortLayer};

use crate::catalog::Catalog;
use crate::error::{ApiError, Result};
use crate::events::Bus;
use crate::ports::Ports;
use crate::view::{View, exit_code};

/// How long the exit code of a removed container is kept.
const EXIT_KEPT: Duration = Duration::from_secs(5);

/// The description of a front end's host, and where the front end stores its state.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Settings {
    /// The host's name.
    pub name: String,
    /// The host's unique id.
    pub id: String,
    /// A description of the host's operating system.
    pub operating_system: String,
    /// The number of processors.
    pub cpus: u32,
    /// The memory in bytes.
    pub memory_bytes: u64,
    /// Additional names and values for `docker info`.
    pub status: Vec<(String, String)>,
    /// A directory for state that the host cannot store. `None`: this state is lost at the end.
    pub directory: Option<PathBuf>,
    /// Registries, as `host` or `host:port`, to connect to by plain HTTP.
    pub insecure_registries: Vec<String>,
    /// Certificate authorities of registries, in PEM format.
    pub registry_authorities: Vec<Vec<u8>>,
    /// Publishes ports of containers. `None`: `docker run -p` is refused.
    pub publisher: Option<Arc<dyn Publisher>>,
}

impl Settings {
    /// Creates the settings of a host with this name, without a directory.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            cpus: 1,
            ..Self::default()
        }
    }
}

/// A Docker front end for one host. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FrontEnd {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    layer: PortLayer,
    settings: Settings,
    catalog: Catalog,
    spool: Spool,
    bus: Bus,
    ports: Ports,
    /// Exit codes of recently removed containers, for clients that wait for the removal.
    exits: Mutex<HashMap<ContainerId, i32>>,
    /// New names of containers that were renamed while they ran: a back end may lose them when the
    /// machine powers off.
    renames: Mutex<HashMap<ContainerId, String>>,
}

impl FrontEnd {
    /// Creates a front end on a port layer, and watches the containers that are running already.
    ///
    /// # Errors
    /// Fails when the stored state cannot be read, or the containers cannot be listed.
    pub async fn new(layer: PortLayer, settings: Settings) -> anyhow::Result<Self> {
        let file = settings.directory.as_ref().map(|d| d.join("images.json"));
        let catalog = Catalog::open(&layer, file.as_deref()).await?;
        let front_end = Self {
            inner: Arc::new(Inner {
                catalog,
                spool: Spool::temporary()?,
                bus: Bus::default(),
                ports: Ports::new(settings.publisher.clone()),
                exits: Mutex::default(),
                renames: Mutex::default(),
                layer,
                settings,
            }),
        };
        for container in front_end.inner.layer.exec().list().await?.containers {
            let view = View::from(container);
            if view.is_running() {
                front_end.reopen_ports(&view).await;
                let run = front_end.ports().run(&view.id);
                front_end.watch(view, run);
            }
        }
        Ok(front_end)
    }

    pub(crate) fn layer(&self) -> &PortLayer {
        &self.inner.layer
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    pub(crate) fn spool(&self) -> &Spool {
        &self.inner.spool
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.inner.bus
    }

    pub(crate) fn ports(&self) -> &Ports {
        &self.inner.ports
    }

    /// Returns a handle that does not keep the front end alive.
    pub(crate) fn downgrade(&self) -> WeakFrontEnd {
        WeakFrontEnd(Arc::downgrade(&self.inner))
    }

    /// Returns a client for a registry. Like docker, it connects to loopback by plain HTTP.
    pub(crate) fn registries(&self, platform: Option<&str>, registry: &str) -> Result<Registries> {
        let mut options = RegistryOptions::new();
        if let Some(text) = platform {
            let parsed = serde_json::from_str(text)
                .ok()
                .or_else(|| text.parse().ok());
            options = options.platform(
                parsed
                    .ok_or_else(|| ApiError::bad_request(format!("{text:?} is not a platform")))?,
            );
        }
        let settings = self.settings();
        for pem in &settings.registry_authorities {
            options = options.authority(pem.clone());
        }
        let insecure = settings.insecure_registries.iter().any(|r| r == registry);
        if insecure || is_loopback(registry) {
            options = options.transport(registry, Transport::PlainHttp);
        }
        Ok(Registries::new(options))
    }

    fn exits(&self) -> MutexGuard<'_, HashMap<ContainerId, i32>> {
        let exits = self.inner.exits.lock();
        exits.unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the new names that are assigned again after the end of their containers.
    pub(crate) fn renames(&self) -> MutexGuard<'_, HashMap<ContainerId, String>> {
        let renames = self.inner.renames.lock();
        renames.unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists all containers.
    pub(crate) async fn containers(&self) -> Result<Vec<View>> {
        let listing = self.layer().exec().list().await?;
        Ok(listing.containers.into_iter().map(View::from).collect())
    }

    /// Finds a container by its name, its id, or a prefix of its id.
    pub(crate) async fn container(&self, name: &str) -> Result<View> {
        let exec = self.layer().exec();
        let bare = name.strip_prefix('/').unwrap_or(name);
        let id = match bare.parse() {
            Ok(id) => id,
            Err(_) => exec.resolve(bare).await.map_err(|error| {
                let several = matches!(error.kind(), portlayer::ErrorKind::InvalidArgument { .. });
                if several {
                    ApiError::bad_request(format!(
                        "multiple IDs found with provided prefix: {name}"
                    ))
                } else if error.is_not_found() {
                    ApiError::no_such_container(name)
                } else {
                    error.into()
                }
            })?,
        };
        match exec.inspect(&id).await {
            Ok(info) => Ok(info.into()),
            Err(error) if error.is_not_found() => Err(ApiError::no_such_container(name)),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the containers that use an image.
    pub(crate) async fn users_of(&self, image: &ImageId) -> Result<Vec<View>> {
        let mut containers = self.containers().await?;
        containers.retain(|container| container.info.root.image_id() == Some(image));
        Ok(containers)
    }

    /// Publishes an event of a container.
    pub(crate) fn publish(&self, container: &View, action: &'static str) {
        let bus = self.bus();
        bus.publish("container", action, container.id, container.attributes());
    }

    /// Publishes the end of a container, and keeps its exit code for clients that wait.
    pub(crate) async fn ended(&self, container: &View, exit: ExitStatus) {
        let code = self.exit_code(&container.id, exit).await;
        self.exits().insert(container.id, code);
        let mut attributes = container.attributes();
        attributes.insert("exitCode".into(), code.to_string());
        self.bus()
            .publish("container", "die", container.id, attributes);
    }

    /// Returns the exit code of a run. If the process was not launched, the code depends on the
    /// reason, which is then looked up.
    pub(crate) async fn exit_code(&self, id: &ContainerId, exit: ExitStatus) -> i32 {
        let failure = match exit {
            ExitStatus::NotLaunched => {
                let info = self.layer().exec().inspect(id).await.ok();
                info.and_then(|info| info.failure)
            }
            _ => None,
        };
        exit_code(exit, failure.as_deref())
    }

    /// Returns the exit code of a container's last run, if the front end observed its end.
    pub(crate) fn last_exit(&self, id: &ContainerId) -> Option<i32> {
        self.exits().get(id).copied()
    }

    /// Closes the ports of a removed container, and publishes its removal.
    pub(crate) async fn removed(&self, container: &View) {
        let id = container.id;
        self.close_ports(&id, self.ports().run(&id)).await;
        self.renames().remove(&id);
        self.publish(container, "destroy");
        // Clients that wait for the removal read the exit code afterwards.
        let front_end = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(EXIT_KEPT).await;
            front_end.exits().remove(&id);
        });
    }
}

/// A handle to a front end that does not keep it alive.
#[derive(Clone, Debug)]
pub(crate) struct WeakFrontEnd(Weak<Inner>);

impl WeakFrontEnd {
    pub(crate) fn upgrade(&self) -> Option<FrontEnd> {
        self.0.upgrade().map(|inner| FrontEnd { inner })
    }
}

/// Returns whether a registry is on this machine.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    };
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
