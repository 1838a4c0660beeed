//! Runs the vSphere implementation on `vcsim`, an independent server that has no guests, provides
//! no contents of `.vmx` files and does not check `changeVersion`.
//!
//! The tests start the program whose path is in the environment variable `VCSIM`, and are ignored
//! by default:
//! `VCSIM=path/to/vcsim cargo test -p portlayer --features conformance --test vcsim -- --ignored`
#![cfg(all(feature = "conformance", feature = "vsphere"))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is the failure of a test"
)]

mod flows;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command as Program, Stdio};

use async_trait::async_trait;
use flows::Flow;
use portlayer::conformance::{self, Fixture, Process};
use portlayer::exec::Command;
use portlayer::image::{Image, ImageConfig, ImportOptions};
use portlayer::vsphere::{Dialect, HostSpec, Hosts, InstallProgress, InstallStep, Iso, Options};
use portlayer::{Capability, ErrorKind, PortLayer, Result};
use vsphere_client::{Client, Credentials};

/// A running vcsim. It is killed when it is dropped, and ends when this process does.
struct Vcsim {
    url: String,
    program: Child,
    stdin: Option<ChildStdin>,
    esx: bool,
}

impl Vcsim {
    fn start(esx: bool) -> Self {
        let program = std::env::var_os("VCSIM").expect("VCSIM names the program");
        let mut program = Program::new(program)
            .args([
                "-l",
                "127.0.0.1:0",
                "-stdinexit",
                "-username",
                "root",
                "-password",
                "secret",
            ])
            .args(esx.then_some("-esx"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = program.stdin.take();
        let url = BufReader::new(program.stdout.take().unwrap())
            .lines()
            .map_while(std::result::Result::ok)
            .find_map(|line| {
                let (_, address) = line.split_once("GOVC_URL=")?;
                let (_, place) = address.split_whitespace().next()?.rsplit_once('@')?;
                Some(format!("https://{place}"))
            })
            .expect("vcsim prints its address");
        Self {
            url,
            program,
            stdin,
            esx,
        }
    }

    async fn connect(&self) -> Client {
        Client::builder(&self.url)
            .credentials(Credentials::password("root", "secret"))
            .danger_accept_invalid_certs(true)
            .connect()
            .await
            .unwrap()
    }

    fn spec(&self, name: &str) -> HostSpec {
        let spec = HostSpec::new(name, Iso::bytes("appliance"), Iso::bytes("bootstrap"));
        if self.esx {
            spec.bridge_network("VM Network")
        } else {
            spec.compute("DC0_C0").bridge_network("DC0_DVPG0")
        }
    }
}

impl Drop for Vcsim {
    fn drop(&mut self) {
        // When its input is closed, it waits for all requests first, also for those of clients that
        // still exist, and for ever if it has panicked in one of them.
        let _ = self.program.kill();
        let _ = self.program.wait();
        drop(self.stdin.take());
    }
}

struct Endpoint {
    vcsim: Vcsim,
    client: Client,
    hosts: Hosts,
}

impl Endpoint {
    async fn start(esx: bool, dialect: Dialect) -> Self {
        let vcsim = Vcsim::start(esx);
        let options = Options {
            dialect,
            ..Options::default()
        };
        let client = vcsim.connect().await;
        let hosts = Hosts::new(client.clone(), options);
        Self {
            vcsim,
            client,
            hosts,
        }
    }
}

#[async_trait]
impl Fixture for Endpoint {
    async fn open(&self) -> Result<PortLayer> {
        self.hosts.open("vch").await
    }

    fn command(&self, process: Process) -> Command {
        conformance::memory::command(process)
    }
}

async fn conform(esx: bool, dialect: Dialect) {
    let endpoint = Endpoint::start(esx, dialect).await;
    let spec = endpoint.vcsim.spec("vch");
    endpoint
        .hosts
        .install(spec, &|_: InstallProgress| {})
        .await
        .unwrap();
    let missing: Vec<_> = endpoint
        .hosts
        .open("vch")
        .await
        .unwrap()
        .exec()
        .capabilities()
        .missing()
        .collect();
    for absent in [
        Capability::GuestKeys,
        Capability::Signals,
        Capability::VmxContents,
        Capability::StaleChangeVersionRefused,
        Capability::KeyCaseFolding,
        Capability::DiskContents,
    ] {
        assert!(missing.contains(&absent), "{absent}");
    }
    let flow = Flow {
        client: &endpoint.client,
        hosts: &endpoint.hosts,
        spec: &|name| endpoint.vcsim.spec(name),
        skipped: if esx { &[InstallStep::Folder] } else { &[] },
    };
    exports_are_refused_by_name(&endpoint).await;
    flows::a_container_has_what_vic_gave_it(&flow).await;
    flows::removing_keeps_what_is_shared(&flow).await;
    flows::a_failed_installation_leaves_nothing(&flow).await;
    flows::a_broken_container_is_quarantined(&flow).await;
    flows::the_configuration_file_is_readable(&flow).await;
    let report = conformance::run(&endpoint).await;
    eprintln!("{report}");
    assert!(report.is_success(), "{report}");
    let allowed = [
        Capability::DiskContents,
        Capability::GuestKeys,
        Capability::Signals,
        Capability::Store,
        Capability::Events,
        Capability::Attach,
    ];
    assert!(
        report
            .skipped()
            .all(|(_, missing)| allowed.contains(&missing)),
        "{report}"
    );
    flows::hosts::all(&flow).await;
}

/// vcsim discards what is uploaded to disks.
async fn exports_are_refused_by_name(endpoint: &Endpoint) {
    let layer = endpoint.hosts.open("vch").await.unwrap();
    let images = layer.images();
    let config = ImageConfig::parse(r#"{"os":"linux"}"#).unwrap();
    let image = Image::new(config, []);
    let small = ImportOptions::new().capacity(16 << 20);
    let id = images.import(image, small).await.unwrap().id;
    let refused = images.export(&id).await.map(drop).unwrap_err();
    let capability = Capability::DiskContents;
    assert_eq!(refused.kind, ErrorKind::Unsupported { capability });
    images.remove(&id).await.unwrap();
}

#[tokio::test]
#[ignore = "needs vcsim"]
async fn an_esx_host_conforms() {
    conform(true, Dialect::Vic04).await;
}

#[tokio::test]
#[ignore = "needs vcsim"]
async fn a_vcenter_conforms() {
    conform(false, Dialect::Vic1).await;
}
