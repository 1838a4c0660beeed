//! The builder of a simulator, and its settings.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api_version;
use crate::datastore::Store;
use crate::datastore::spec::Datastore;
use crate::guest::{Guest, Tether};
use crate::ids::Ids;
use crate::layout::Layout;
use crate::load::{LoadError, Loaded};
use crate::platform::Platform;
use crate::saved::{self, Saved, Saver};
use crate::script::Script;
use crate::server::tls;
use crate::session::Sessions;
use crate::shared::Shared;
use crate::simulator::Simulator;
use crate::topology::Topology;
use crate::world::Registry;

/// The default names of the first datastore, of an ESXi host and of a vCenter.
const NAMES: [&str; 2] = ["datastore1", "LocalDS_0"];

/// The settings of a simulator, as the builder collected them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) user: String,
    pub(crate) password: Secret,
    pub(crate) platform: Platform,
    pub(crate) topology: Topology,
    pub(crate) layout: Layout,
    /// The API version that the server reports.
    pub(crate) api_version: String,
    pub(crate) page_size: usize,
    pub(crate) filters: usize,
    /// Entries that a session selects, see `property::selection`.
    pub(crate) selection: usize,
    pub(crate) request_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) idle: Duration,
    pub(crate) read: Duration,
    pub(crate) lease: Duration,
    pub(crate) machines_per_host: Option<usize>,
}

impl Settings {
    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// A password, which `Debug` does not print.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A builder that configures and starts a simulator; created by [`Simulator::builder`].
///
/// Each setter replaces the previous value; its documentation states the default.
#[derive(Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct SimulatorBuilder {
    settings: Settings,
    port: u16,
    seed: u64,
    sessions: usize,
    session_idle: Duration,
    datastore: Datastore,
    other_datastores: Vec<Datastore>,
    load: Option<PathBuf>,
    guest: Arc<dyn Guest>,
}

/// The reason why a simulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The port is not available.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The requested port.
        port: u16,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The directory of a datastore could not be created or opened, or two datastores have the same
    /// one.
    #[error("cannot use {} as a datastore", directory.display())]
    Datastore {
        /// The path of the directory.
        directory: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Two datastores of a datacenter have the same name, a name cannot be written in a path, or a
    /// datastore is for a datacenter that does not exist.
    #[error("cannot name a datastore `{name}`: {reason}")]
    DatastoreName {
        /// The name.
        name: String,
        /// Why it was refused.
        reason: &'static str,
    },
    /// The API version is not one that a server can have.
    #[error(
        "cannot report the API version `{version}`: use one from {} to {}",
        api_version::OLDEST,
        vim25::ApiVersion::LATEST
    )]
    ApiVersion {
        /// The requested version.
        version: String,
    },
    /// The saved inventory could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The certificate could not be created.
    #[error("cannot create the certificate")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The inventory could not be created.
    #[error("cannot create the inventory")]
    Inventory(#[source] Box<vim25::Fault>),
}

impl SimulatorBuilder {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings {
                user: "root".into(),
                password: Secret("vmware".into()),
                platform: Platform::default(),
                topology: Topology::default(),
                layout: Layout::esx(),
                api_version: api_version::DEFAULT.to_owned(),
                page_size: 1_000,
                filters: 1_000,
                selection: 4_000_000,
                request_bytes: 64 << 20,
                connections: 256,
                idle: Duration::from_secs(300),
                read: Duration::from_secs(30),
                lease: Duration::from_secs(300),
                machines_per_host: None,
            },
            port: 0,
            seed: 0,
            sessions: 100,
            session_idle: Duration::from_secs(30 * 60),
            datastore: Datastore::vmfs(NAMES[0]),
            other_datastores: Vec::new(),
            load: None,
            guest: Arc::new(Tether::new()),
        }
    }

    /// Sets the user who can log in. Default `root`.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.settings.user = user.into();
        self
    }

    /// Sets the user's password. Default `vmware`.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.settings.password = Secret(password.into());
        self
    }

    /// Sets the port on 127.0.0.1. Default 0: any free port.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets the seed of UUIDs and other identifiers: the same calls in the
    /// same order generate the same identifiers. Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets the first datastore of each datacenter: its name, type, capacity and directory. Default: a VMFS datastore
    /// with the name `datastore1` on an ESXi host, `LocalDS_0` in a vCenter.
    ///
    /// Machines whose specification names no datastore are created on the first one of their
    /// datacenter.
    pub fn datastore(mut self, datastore: Datastore) -> Self {
        self.datastore = datastore;
        self
    }

    /// Adds another datastore, which is mounted on all hosts of its datacenter. With several
    /// datacenters, each has its own, unless [`Datastore::datacenter`] names one.
    pub fn add_datastore(mut self, datastore: Datastore) -> Self {
        self.other_datastores.push(datastore);
        self
    }

    /// Sets the name of the first datastore. Default `datastore1` on an ESXi host, `LocalDS_0` in a
    /// vCenter.
    pub fn datastore_name(mut self, name: impl Into<String>) -> Self {
        self.datastore.name = name.into();
        self
    }

    /// Sets the directory of the first datastore's files; it is created if it does not exist, and
    /// kept. Default: a temporary directory, removed with the simulator. There, the files of new
    /// machines are kept in memory until somebody uses them, which makes large inventories cheaper; in a
    /// directory that is kept, every file is written before its operation ends.
    ///
    /// Starting a simulator on the directory of a previous one restarts the same host. The
    /// certificate, machines (powered off), pools, switches and port groups are restored;
    /// machines and pools keep their references. Sessions and tasks are not restored. The
    /// state is persisted in the subdirectory `.vsphere-simulator`, which clients cannot
    /// access. It is written within 100 ms of each change and at shutdown, so a killed process
    /// may lose the most recent changes. A directory must not be used by two simulators at a
    /// time.
    pub fn datastore_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.datastore.directory = Some(directory.into());
        self
    }

    /// Sets the [capacity](Datastore::capacity) of the first datastore in bytes.
    pub const fn datastore_capacity(mut self, bytes: u64) -> Self {
        self.datastore.capacity = Some(bytes);
        self
    }

    /// Sets the initial inventory. Default: [`Topology::esx`].
    ///
    /// If the [datastore's directory](Self::datastore_directory) is that of a previous ESXi
    /// host, that host is restored instead. The inventory of a vCenter does not survive a
    /// restart, but its files do.
    pub fn topology(mut self, topology: Topology) -> Self {
        if NAMES.contains(&&*self.datastore.name) {
            let name = if topology.vcenter { NAMES[1] } else { NAMES[0] };
            name.clone_into(&mut self.datastore.name);
        }
        self.settings.layout = match topology.vcenter {
            true => Layout::vcenter(topology.datacenters),
            false => Layout::esx(),
        };
        self.settings.topology = topology;
        self
    }

    /// Sets a directory with an inventory that `govc object.save` saved, from a real server or from a
    /// simulator. It is the initial inventory instead of the [topology](Self::topology).
    ///
    /// Folders, datacenters, compute resources, hosts, pools, datastores, networks and machines are
    /// loaded with their references and properties. The managers of the server and of the hosts are
    /// the simulator's own. Files were not saved: datastores contain only the `.vmx` files and the
    /// disks of the machines, which are empty. Machines that were on are powered on. Snapshots, tasks
    /// and alarms are not loaded. An object whose parent was not saved is put into the first
    /// datacenter. The datastores replace those of [`datastore`](Self::datastore) and
    /// [`add_datastore`](Self::add_datastore), and the inventory is not persisted.
    pub fn load_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.load = Some(directory.into());
        self
    }

    /// Sets the API version of the server and its hosts, such as `7.0.3.0`: `about.apiVersion`, and the
    /// newest version in `vimServiceVersions.xml`, which is followed by the older ones. Default
    /// `8.0.3.0`.
    ///
    /// Clients adapt to it, so that a test can show what they do with an older or newer server. The
    /// simulator itself does the same whatever the version, and the version of the product
    /// (`about.version`) stays. Versions before 2.5 and after the schema of [`vim25`] are refused when
    /// the simulator starts.
    ///
    /// ```
    /// use simulator::Simulator;
    ///
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// let old = Simulator::builder().api_version("6.7").start().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.settings.api_version = version.into();
        self
    }

    /// Sets undocumented platform behaviour.
    pub fn platform(mut self, platform: Platform) -> Self {
        self.settings.platform = platform;
        self
    }

    /// Sets the guest of machines that are powered on. Default: a [`Tether`].
    pub fn guest(mut self, guest: impl Guest) -> Self {
        self.guest = Arc::new(guest);
        self
    }

    /// Sets the maximum number of objects per page of `RetrievePropertiesEx`, even if the
    /// client requests more. Default 1,000.
    pub fn page_size(mut self, objects: usize) -> Self {
        self.settings.page_size = objects.max(1);
        self
    }

    /// Sets the idle time after which a session ends. Default 30 minutes.
    pub fn session_idle(mut self, idle: Duration) -> Self {
        self.session_idle = idle;
        self
    }

    /// Sets the maximum number of sessions. Default 100.
    pub fn session_limit(mut self, sessions: usize) -> Self {
        self.sessions = sessions;
        self
    }

    /// Sets the maximum number of property filters, of collectors, and of views, per session. Default
    /// 1,000.
    pub fn filter_limit(mut self, filters: usize) -> Self {
        self.settings.filters = filters;
        self
    }

    /// Sets how much the filters of a session select at most, and each call that reads properties: the
    /// number of start objects, of objects that each traversal visits with their references to others,
    /// and of selected objects with each of their properties, so that the names and states of 10,000
    /// machines are about 50,000. Also limits the members of the list views of a session. Default
    /// 4,000,000.
    pub fn selection_limit(mut self, entries: usize) -> Self {
        self.settings.selection = entries;
        self
    }

    /// Sets the maximum number of connections. Default 256.
    ///
    /// At the limit, a new connection replaces the connection that has been idle for the
    /// longest. If all are in use, the new connection waits for 5 seconds, or for
    /// [`read_timeout`](Self::read_timeout) if that is less, and then receives status 503.
    pub fn connection_limit(mut self, connections: usize) -> Self {
        self.settings.connections = connections.max(1);
        self
    }

    /// Sets the time after which a connection without requests is closed. Default 5 minutes.
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.settings.idle = time;
        self
    }

    /// Sets the time limit for the header of a request, and for each pause in its body. The
    /// limit for a whole SOAP request is four times as long. Default 30 seconds.
    pub fn read_timeout(mut self, time: Duration) -> Self {
        self.settings.read = time;
        self
    }

    /// Sets the time after which an import or export lease times out unless the client reports
    /// progress. Clients see it in whole seconds, at least one. Default 5 minutes.
    pub fn lease_timeout(mut self, time: Duration) -> Self {
        self.settings.lease = time;
        self
    }

    /// Sets the maximum number of registered machines of each host, which hosts report as
    /// `capability.maxRegisteredVMs`. At the limit, creating, importing, cloning and registering
    /// machines fails with `OutOfBounds`, as on ESXi. Default: no limit; hosts of ESXi 6 have a
    /// limit of 512.
    pub fn machines_per_host(mut self, machines: usize) -> Self {
        self.settings.machines_per_host = Some(machines);
        self
    }

    /// Sets the maximum size of a SOAP request in bytes; datastore uploads have no limit. Default
    /// 64 MiB.
    pub fn request_limit(mut self, bytes: usize) -> Self {
        self.settings.request_bytes = bytes;
        self
    }

    /// Reads the saved inventory, and replaces the settings that it determines.
    fn load(&mut self) -> Result<Option<Loaded>, StartError> {
        let Some(directory) = &self.load else {
            return Ok(None);
        };
        let loaded = Loaded::read(directory)?;
        self.settings.topology = match loaded.is_vcenter {
            true => Topology::vcenter(),
            false => Topology::esx(),
        };
        self.settings.layout = Layout::of_loaded(&loaded);
        let mut datastores = loaded.datastores()?.into_iter();
        if let Some(first) = datastores.next() {
            let directory = self.datastore.directory.take();
            self.datastore = Datastore { directory, ..first };
        }
        self.other_datastores = datastores.collect();
        Ok(Some(loaded))
    }

    /// Checks that the names of the datastores are valid and unique in each datacenter.
    fn check_names(&self) -> Result<(), StartError> {
        let all = || std::iter::once(&self.datastore).chain(&self.other_datastores);
        for (at, datastore) in all().enumerate() {
            let meets = |other: &Datastore| {
                let is_common = other.datacenter.is_none_or(|own| datastore.is_in(own));
                other.name == datastore.name && is_common
            };
            let is_taken = all().take(at).any(meets);
            let last = self.settings.layout.datacenters().len();
            let is_lost = datastore.datacenter.is_some_and(|own| own >= last);
            let reason = match (datastore.has_valid_name(), is_taken) {
                (true, false) if is_lost => "no datacenter has the number that it is for",
                (true, false) => continue,
                (true, true) => "another datastore has this name",
                (false, _) => {
                    "use up to 80 characters, without brackets, slashes and percent signs"
                }
            };
            let name = datastore.name.clone();
            return Err(StartError::DatastoreName { name, reason });
        }
        Ok(())
    }

    /// Starts the simulator.
    ///
    /// # Errors
    /// [`StartError`] when the port, the directory or a certificate is not available, or a setting is
    /// not valid.
    ///
    /// # Panics
    /// When called outside a tokio runtime.
    pub async fn start(mut self) -> Result<Simulator, StartError> {
        if !api_version::is_valid(&self.settings.api_version) {
            return Err(StartError::ApiVersion {
                version: self.settings.api_version,
            });
        }
        let loaded = self.load()?;
        let port = self.port;
        let listen = |source| StartError::Listen { port, source };
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        self.check_names()?;
        let store = Store::open(
            &self.datastore,
            &self.other_datastores,
            self.settings.layout.datacenters().len(),
            self.seed,
        )
        .map_err(|(directory, source)| StartError::Datastore { directory, source })?;
        let own = store.first().directory.clone();
        let kept = self.datastore.directory.as_ref().map(|_| own.clone());
        let refused = |source| StartError::Datastore {
            directory: own.clone(),
            source,
        };
        let is_host = !self.settings.topology.vcenter && loaded.is_none();
        let saved = match kept.as_ref().filter(|_| is_host) {
            Some(directory) => Saved::read(directory).map_err(refused)?,
            None => None,
        };
        let private = kept
            .as_ref()
            .map(|directory| directory.join(saved::DIRECTORY));
        let identity = tls::Identity::of(private.as_deref()).map_err(StartError::Certificate)?;
        let shared = Arc::new(Shared {
            registry: Registry::new(
                Ids::new(self.seed),
                Sessions::new(self.sessions, self.session_idle),
            ),
            settings: self.settings,
            address,
            store,
            script: Script::new(),
            guest: self.guest,
            saver: Saver::new(kept.filter(|_| is_host)),
            resolver: Arc::default(),
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
            runtime: tokio::runtime::Handle::current(),
        });
        crate::model::build(
            &shared,
            &identity.thumbprint,
            saved.as_ref(),
            loaded.as_ref(),
        )
        .map_err(|fault| StartError::Inventory(Box::new(fault)))?;
        shared.spawn(Saver::run(Arc::clone(&shared)));
        crate::server::serve(&shared, listener, identity.acceptor);
        Ok(Simulator::new(
            shared,
            address,
            identity.thumbprint,
            identity.certificate_pem,
        ))
    }
}
