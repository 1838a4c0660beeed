//! The host behind the front end: on a simulator in this process, or on a vSphere endpoint.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use docker_front_end::{PortLayer, Settings, scripted};
use portlayer::ErrorKind;
use portlayer::network::forward::{Forwarder, Publisher};
use portlayer::vsphere::{Dialect, HostSpec, Hosts, InstallProgress, Iso, LineServer, Options};
use simulator::Simulator;
use vsphere_client::{Client, Credentials};

/// The content of the boot images, which the machines of the simulator do not boot.
const STAND_IN: &[u8] = b"a stand-in for a boot image\n";

/// The port layer behind the front end. Dropping it stops the simulator, if there is one.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) layer: PortLayer,
    pub(crate) settings: Settings,
    client: Option<Client>,
    simulator: Option<Simulator>,
}

impl Backend {
    /// Creates a back end with scripted containers, which run no processes.
    pub(crate) fn scripted() -> Self {
        let mut settings = Settings::new("scripted");
        settings.operating_system = "scripted containers".into();
        settings.publisher = Some(Arc::new(Forwarder::new(scripted::EchoDialer)));
        Self {
            layer: scripted::port_layer(),
            settings,
            client: None,
            simulator: None,
        }
    }

    /// Opens the host `name` on a simulator that stores everything in this directory, and installs
    /// the host if it does not exist.
    pub(crate) async fn simulated(directory: &Path, name: &str, dialect: Dialect) -> Result<Self> {
        let (simulator, publisher) = start(directory).await?;
        let client = Client::builder(simulator.url())
            .credentials(Credentials::password(
                simulator.user(),
                simulator.password(),
            ))
            .thumbprint(simulator.thumbprint().parse()?)
            .connect()
            .await?;
        let lines = lines(directory).await?;
        let options = Options {
            dialect,
            architecture: architecture().to_owned(),
            ..Options::default()
        };
        let mut backend = Self::on(client, name, options, Some(lines), true).await?;
        let datastore = simulator.datastore_directory().display().to_string();
        backend
            .settings
            .status
            .push(("Datastore".into(), datastore));
        backend.settings.publisher = publisher;
        backend.simulator = Some(simulator);
        Ok(backend)
    }

    /// Opens the host `name` on an endpoint; its machines connect their serial lines to `lines`.
    /// With `install`, installs the host if it does not exist.
    pub(crate) async fn on(
        client: Client,
        name: &str,
        options: Options,
        lines: Option<LineServer>,
        install: bool,
    ) -> Result<Self> {
        let hosts = Hosts::new(client.clone(), options);
        match hosts.find(name).await {
            Ok(_) => {}
            Err(error) if install && *error.kind() == ErrorKind::NotFound => {
                let mut spec = HostSpec::new(name, Iso::bytes(STAND_IN), Iso::bytes(STAND_IN));
                if let Some(lines) = &lines {
                    spec = spec.address(lines.local_addr()?.to_string());
                }
                let observer = |progress: InstallProgress| tracing::info!(?progress, "installing");
                hosts
                    .install(spec, &observer)
                    .await
                    .with_context(|| format!("cannot install the host {name}"))?;
            }
            Err(error) => return Err(error.into()),
        }
        let opened = match lines {
            Some(lines) => hosts.open_with_lines(name, lines).await,
            None => hosts.open(name).await,
        };
        let layer = opened.with_context(|| format!("cannot open the host {name}"))?;
        let about = &client.service_content().about;
        let mut settings = Settings::new(name);
        settings.operating_system = about.full_name.clone();
        settings.status = vec![("Endpoint".into(), client.server().to_string())];
        Ok(Self {
            layer,
            settings,
            client: Some(client),
            simulator: None,
        })
    }

    /// Logs out and stops the simulator.
    pub(crate) async fn close(self) {
        if let Some(client) = self.client
            && let Err(error) = client.close().await
        {
            tracing::warn!(%error, "cannot log out");
        }
        if let Some(simulator) = self.simulator {
            simulator.shutdown().await;
        }
    }
}

/// Returns the architecture of this system, which is that of the simulator's guests, in Go's terms.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Starts the simulator with guests that run real processes. Where that is not possible, the guests
/// are scripted and have no ports to publish.
async fn start(directory: &Path) -> Result<(Simulator, Option<Arc<dyn Publisher>>)> {
    let mut builder = Simulator::builder().datastore_directory(directory.join("datastore"));
    #[allow(unused_mut, reason = "assigned only where guests run processes")]
    let mut publisher: Option<Arc<dyn Publisher>> = None;
    #[cfg(target_os = "linux")]
    match simulator_guests::ProcessGuest::builder()
        .work_dir(directory.join("guests"))
        .start()
        .await
    {
        Ok(guest) => {
            for limitation in guest.limitations() {
                tracing::warn!(limitation, "containers on this host lack something");
            }
            let dialer = super::dialer::GuestDialer(guest.dialer());
            publisher = Some(Arc::new(Forwarder::new(dialer)));
            builder = builder.guest(guest);
        }
        Err(error) => tracing::warn!(%error, "containers run no processes on this host"),
    }
    let simulator = builder.start().await;
    Ok((simulator.context("cannot start the simulator")?, publisher))
}

/// Listens for the containers' serial lines, at the same port after each restart: the machines
/// connect to the address with which the host was installed.
async fn lines(directory: &Path) -> Result<LineServer> {
    let kept = directory.join("lines");
    let address = match std::fs::read_to_string(&kept) {
        Ok(address) => address.trim().to_owned(),
        Err(_) => "127.0.0.1:0".to_owned(),
    };
    let lines = LineServer::bind(&address)
        .await
        .with_context(|| format!("cannot listen for serial lines on {address}"))?;
    std::fs::write(&kept, lines.local_addr()?.to_string())?;
    Ok(lines)
}
