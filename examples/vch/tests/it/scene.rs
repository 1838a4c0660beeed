//! The environment of a test: a simulator, a working directory, and the command.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};

use simulator::{Guest, GuestAddress, GuestMachine, GuestNicAddresses, Simulator, Topology};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use vim25::{mo, props};
use vsphere_client::{Client, Credentials};

/// A guest that plays the appliance: it reports an address, if it has one, and the states of its
/// components.
#[derive(Debug)]
struct Appliance {
    address: Option<[u8; 4]>,
    /// The states of the components, by name; all others are started.
    components: &'static [(&'static str, &'static str)],
}

#[async_trait::async_trait]
impl Guest for Appliance {
    async fn run(&self, machine: GuestMachine) {
        let card = machine.hardware().nics.first().map(|card| card.mac.clone());
        if let (Some(mac), Some(address)) = (card, self.address) {
            let address = GuestAddress::new(address.into(), 24);
            machine.set_network_info(&[GuestNicAddresses::new(mac).address(address)]);
            for name in ["vicadmin", "docker-personality", "port-layer"] {
                let mut states = self.components.iter();
                let state = states.find(|(component, _)| *component == name);
                let state = state.map_or("true", |(_, state)| state);
                let key = format!("guestinfo.vice..init.sessions|{name}.started");
                machine.set(&key, state).unwrap();
            }
        }
        std::future::pending::<()>().await;
    }
}

pub(crate) struct Scene {
    pub(crate) simulator: Simulator,
    pub(crate) directory: TempDir,
    pub(crate) client: Client,
}

/// The result and the output of a run of the command.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Scene {
    pub(crate) async fn esxi() -> Self {
        Self::start(Topology::esx(), Some([192, 168, 1, 144])).await
    }

    pub(crate) async fn vcenter(drs: bool) -> Self {
        let topology = Topology::vcenter().drs(drs).standalone_hosts(0);
        Self::start(topology, Some([192, 168, 1, 144])).await
    }

    pub(crate) async fn start(topology: Topology, address: Option<[u8; 4]>) -> Self {
        Self::with_components(topology, address, &[]).await
    }

    /// Starts an endpoint whose appliances report these states of components.
    pub(crate) async fn with_components(
        topology: Topology,
        address: Option<[u8; 4]>,
        components: &'static [(&'static str, &'static str)],
    ) -> Self {
        let simulator = Simulator::builder()
            .topology(topology)
            .guest(Appliance {
                address,
                components,
            })
            .start()
            .await
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        for image in ["appliance.iso", "bootstrap.iso"] {
            std::fs::write(directory.path().join(image), image).unwrap();
        }
        let credentials = Credentials::password(simulator.user(), simulator.password());
        let client = Client::builder(simulator.url())
            .credentials(credentials)
            .thumbprint(simulator.thumbprint().parse().unwrap())
            .connect()
            .await
            .unwrap();
        Self {
            simulator,
            directory,
            client,
        }
    }

    /// Returns the simulator's address, as `host:port`.
    pub(crate) fn server(&self) -> String {
        let url = self.simulator.url();
        let place = url.trim_start_matches("https://");
        place.split('/').next().unwrap().to_owned()
    }

    /// Runs the command with arguments for target, user, password and thumbprint.
    pub(crate) async fn vch(&self, arguments: &[&str]) -> Said {
        said(self.command(arguments).output().await.unwrap())
    }

    /// Runs the command on the endpoint with the name of a datacenter in `--target`.
    pub(crate) async fn vch_in(&self, datacenter: &str, arguments: &[&str]) -> Said {
        let target = format!("{}/{datacenter}", self.server());
        self.vch(&[arguments, &["--target", &target]].concat())
            .await
    }

    /// Runs the command with a standard output that nobody reads.
    pub(crate) async fn unread(&self, arguments: &[&str]) -> Said {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = self.command(arguments);
        command.stdout(writer).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        // It keeps the writer open.
        drop(command);
        said(child.wait_with_output().await.unwrap())
    }

    /// Starts the command, and does not wait for it.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        let (stdout, stderr) = (Stdio::null(), Stdio::null());
        command.stdout(stdout).stderr(stderr).spawn().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let server = self.server();
        let thumbprint = self.simulator.thumbprint();
        let mut all = arguments.to_vec();
        if !all.contains(&"-t") && !all.contains(&"--target") {
            all.extend(["--target", &server]);
        }
        if !all.contains(&"--thumbprint") {
            all.extend(["--thumbprint", thumbprint]);
        }
        let user = ("GOVC_USERNAME", self.simulator.user());
        let password = ("GOVC_PASSWORD", self.simulator.password());
        self.bare_command(&all, &[user, password])
    }

    /// Runs the command with only these arguments and environment variables.
    pub(crate) async fn bare(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        said(
            self.bare_command(arguments, variables)
                .output()
                .await
                .unwrap(),
        )
    }

    pub(crate) fn bare_command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vch"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Returns everything on the endpoint, read without the port layer: entities by type and
    /// name, switches, and files of the datastore.
    pub(crate) async fn inventory(&self) -> BTreeSet<String> {
        let root = &self.client.service_content().root_folder;
        let mut all = BTreeSet::new();
        let entities = self
            .client
            .retrieve::<mo::ManagedEntity>()
            .property(props::managed_entity::NAME)
            .within(root)
            .collect()
            .await
            .unwrap();
        for entity in &entities {
            let name = entity.value(props::managed_entity::NAME).unwrap();
            all.insert(format!("{:?} {name}", entity.object()));
        }
        let hosts = self
            .client
            .retrieve::<mo::HostSystem>()
            .property(props::host_system::CONFIG)
            .within(root)
            .collect()
            .await
            .unwrap();
        for host in &hosts {
            let config = host.value(props::host_system::CONFIG).unwrap();
            for switch in &config.network.unwrap().vswitch {
                all.insert(format!("{:?} switch {}", host.object(), switch.name));
            }
        }
        files(self.simulator.datastore_directory(), &mut all);
        all
    }
}

fn said(output: Output) -> Said {
    Said {
        success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn files(directory: &Path, all: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        all.insert(path.display().to_string());
        if path.is_dir() {
            files(&path, all);
        }
    }
}

impl Said {
    /// Panics unless the command succeeded.
    pub(crate) fn ok(self) -> Self {
        assert!(self.success, "{self:#?}");
        self
    }

    /// Panics unless the command failed.
    pub(crate) fn failed(self) -> Self {
        assert!(!self.success, "{self:#?}");
        self
    }

    /// Panics unless the log has these lines in this order. The prefixes of the log lines are
    /// ignored.
    pub(crate) fn has(&self, lines: &[&str]) {
        let mut log = self.stdout.lines();
        for line in lines {
            let found = log.any(|logged| logged.ends_with(line));
            assert!(found, "{line:?} is not there, or not in order: {self:#?}");
        }
    }
}
