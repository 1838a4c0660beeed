//! A simulator with a host, and port layers that can be killed.

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use portlayer::PortLayer;
use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, Iso, Options, VsphereExec};
use simulator::{Platform, Program, Simulator, Tether, Topology};
use tokio::runtime::{Handle, Runtime};
use vim25::{Ref, mo, props};
use vsphere_client::{Client, Credentials, RetryPolicy};

use crate::random::Random;

/// The kind of endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Esxi,
    Vcenter,
    /// A vCenter with a cluster whose DRS is off, so that the host has no pool of its own.
    WithoutDrs,
}

impl Target {
    pub(crate) const ALL: [Self; 3] = [Self::Esxi, Self::Vcenter, Self::WithoutDrs];
}

pub(crate) struct World {
    pub(crate) simulator: Simulator,
    /// A connection without injected faults.
    pub(crate) observer: Client,
    pub(crate) sole_writer: bool,
    pub(crate) platform: Platform,
    target: Target,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("target", &self.target)
            .field("sole_writer", &self.sole_writer)
            .field("platform", &self.platform)
            .finish()
    }
}

impl World {
    pub(crate) async fn start(random: &mut Random, target: Target) -> Self {
        let usual = Platform::default();
        let platform = Platform {
            guest_keys_survive_power_off: random.chance(70),
            api_keys_written_while_on_survive: random.chance(50),
            guest_write_bumps_change_version: random.chance(50),
            power_change_bumps_change_version: random.chance(50),
            destroy_deletes_parent_disks: random.chance(50),
            ..usual
        };
        let exit = Program::new(|process| async move {
            let code = process.args().last().and_then(|code| code.parse().ok());
            code.unwrap_or(0)
        });
        let guest = Tether::new()
            .program("/exit", exit)
            .program("/run", Program::forever());
        let cluster = Topology::vcenter().standalone_hosts(0).cluster_hosts(1);
        let topology = match target {
            Target::Esxi => Topology::esx(),
            Target::Vcenter => cluster,
            Target::WithoutDrs => cluster.drs(false),
        };
        let simulator = Simulator::builder()
            .topology(topology)
            .platform(platform.clone())
            .guest(guest)
            // Programs that are killed leave their sessions.
            .session_limit(10_000)
            .start()
            .await
            .unwrap();
        let observer = connect(&simulator).await.unwrap();
        let spec = HostSpec::new("vch", Iso::bytes("appliance"), Iso::bytes("bootstrap"));
        let spec = match target {
            Target::Esxi => spec,
            _ => spec.compute("DC0_C0").bridge_network("DC0_DVPG0"),
        };
        let hosts = Hosts::new(observer.clone(), Options::default());
        let installed = hosts.install(spec, &|_: InstallProgress| {});
        Box::pin(installed).await.unwrap();
        Self {
            simulator,
            observer,
            sole_writer: random.chance(75),
            platform,
            target,
        }
    }

    /// Switches the appliance off, and on again.
    pub(crate) async fn cycle_appliance(&self) {
        let name = props::virtual_machine::NAME;
        let root = &self.observer.service_content().root_folder;
        let all = self.observer.retrieve().property(name).within(root);
        let all = all.collect().await.unwrap();
        let mut named = all
            .iter()
            .filter(|vm| vm.value(name).as_deref() == Some("vch"));
        let vm: Ref<mo::VirtualMachine> = named.next().unwrap().object().clone();
        self.observer.run(vm.power_off_vm()).await.unwrap();
        self.observer.run(vm.power_on_vm(None)).await.unwrap();
    }

    /// Opens the host in a separate runtime, as another program would.
    pub(crate) async fn open(&self) -> portlayer::Result<Writer> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let options = Options {
            sole_writer: self.sole_writer,
            takeover_timeout: Duration::from_millis(200),
            import_patience: Duration::from_millis(300),
            settle_timeout: Duration::from_millis(300),
            guest_timeout: Duration::from_secs(2),
            start_timeout: Duration::from_secs(20),
            task_timeout: Duration::from_secs(20),
            left_behind_after: Duration::ZERO,
            ..Options::default()
        };
        let (url, user, password, pin) = (
            self.simulator.url().to_owned(),
            self.simulator.user().to_owned(),
            self.simulator.password().to_owned(),
            self.simulator.thumbprint().parse().unwrap(),
        );
        let open = runtime.spawn(async move {
            let mut retry = RetryPolicy::default();
            retry.budget = Duration::from_secs(2);
            retry.pause = Duration::from_millis(10);
            retry.longest_pause = Duration::from_millis(100);
            let client = Client::builder(url)
                .credentials(Credentials::password(user, password))
                .thumbprint(pin)
                .request_timeout(Duration::from_secs(10))
                .retry(retry)
                .connect()
                .await
                .unwrap();
            let hosts = Hosts::new(client, options);
            // Both are handles of the same opened host.
            let exec = hosts.exec("vch").await?;
            Ok((exec, hosts.open("vch").await?))
        });
        let (exec, layer) = open.await.unwrap()?;
        Ok(Writer {
            handle: runtime.handle().clone(),
            alive: Mutex::new(Some((runtime, exec, layer))),
        })
    }
}

async fn connect(simulator: &Simulator) -> vsphere_client::Result<Client> {
    let credentials = Credentials::password(simulator.user(), simulator.password());
    let client = Client::builder(simulator.url())
        .credentials(credentials)
        .thumbprint(simulator.thumbprint().parse().unwrap());
    client.connect().await
}

/// A port layer in its own runtime.
#[derive(Debug)]
pub(crate) struct Writer {
    handle: Handle,
    alive: Mutex<Option<(Runtime, VsphereExec, PortLayer)>>,
}

impl Writer {
    /// Performs an operation; returns `None` if the port layer was killed before it completed.
    pub(crate) async fn run<T, F>(&self, work: impl FnOnce(VsphereExec) -> F + Send) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let exec = {
            let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
            alive.as_ref()?.1.clone()
        };
        self.handle.spawn(work(exec)).await.ok()
    }

    /// Returns the port layer as front ends see it; `None` if it was killed.
    pub(crate) fn layer(&self) -> Option<PortLayer> {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        Some(alive.as_ref()?.2.clone())
    }

    /// Kills the port layer: it does not write, release or log out anything afterwards.
    pub(crate) fn kill(&self) {
        let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((runtime, exec, layer)) = alive.take() {
            runtime.shutdown_background();
            drop((exec, layer));
        }
    }

    /// Closes the port layer in an orderly way.
    pub(crate) async fn close(&self) {
        let taken = {
            let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
            alive.take()
        };
        if let Some((runtime, exec, layer)) = taken {
            drop((exec, layer));
            tokio::time::sleep(Duration::from_millis(100)).await;
            runtime.shutdown_background();
        }
    }
}
