//! A simulator whose containers are processes, and a port layer that uses it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use guest_programs::x86_64;
use portlayer::PortLayer;
use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, Iso, LineServer, Options};
use simulator::{Guest, GuestDisk, GuestMachine, Simulator};
use simulator_guests::ProcessGuest;
use tempfile::TempDir;
use vsphere_client::{Client, Credentials};

/// A process guest that measures how long its machines run.
#[derive(Clone, Debug)]
pub(crate) struct Timed {
    guest: ProcessGuest,
    pub(crate) ran: Arc<Mutex<Vec<Duration>>>,
}

#[async_trait]
impl Guest for Timed {
    async fn run(&self, machine: GuestMachine) {
        let begun = Instant::now();
        self.guest.run(machine).await;
        self.ran.lock().unwrap().push(begun.elapsed());
    }

    async fn flush(&self, disk: &GuestDisk) -> std::io::Result<()> {
        self.guest.flush(disk).await
    }

    async fn release(&self, disk: &GuestDisk) -> std::io::Result<()> {
        self.guest.release(disk).await
    }

    async fn forget(&self, disk: &GuestDisk) {
        self.guest.forget(disk).await;
    }
}

/// A simulator with a host called `vch`.
pub(crate) struct Endpoint {
    pub(crate) simulator: Simulator,
    pub(crate) guest: Timed,
    pub(crate) url: String,
    pub(crate) thumbprint: String,
    _image: TempDir,
}

impl Endpoint {
    /// Starts a simulator whose serial lines connect to `lines`.
    pub(crate) async fn start(lines: &str) -> Self {
        let image = TempDir::new().unwrap();
        for (name, content) in [
            ("exit", x86_64::exits_with_argument()),
            ("echo", x86_64::echoes()),
        ] {
            let path = image.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let guest = ProcessGuest::builder()
            .image_directory(image.path())
            .start()
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let guest = Timed {
            guest,
            ran: Arc::default(),
        };
        let simulator = Simulator::builder().guest(guest.clone()).start();
        let simulator = simulator.await.unwrap();
        let (url, thumbprint) = (simulator.url(), simulator.thumbprint());
        let (url, thumbprint) = (url.to_string(), thumbprint.to_owned());
        let hosts = hosts(&url, &thumbprint).await;
        let spec = HostSpec::new("vch", Iso::bytes("appliance"), Iso::bytes("bootstrap"));
        hosts
            .install(spec.address(lines), &|_: InstallProgress| {})
            .await
            .unwrap();
        Self {
            simulator,
            guest,
            url,
            thumbprint,
            _image: image,
        }
    }
}

async fn hosts(url: &str, thumbprint: &str) -> Hosts {
    let client = Client::builder(url)
        .credentials(Credentials::password("root", "vmware"))
        .thumbprint(thumbprint.parse().unwrap())
        .connect()
        .await
        .unwrap();
    Hosts::new(client, Options::default())
}

/// Opens the host with this server of its serial lines.
pub(crate) async fn open(url: &str, thumbprint: &str, lines: LineServer) -> PortLayer {
    let hosts = hosts(url, thumbprint).await;
    hosts.open_with_lines("vch", lines).await.unwrap()
}
