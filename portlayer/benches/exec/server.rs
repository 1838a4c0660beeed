//! The endpoint, in a process of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, Iso, Options, VsphereExec};
use simulator::{Program, Simulator, Tether, Topology};
use vsphere_client::{Client, Credentials};

use super::table::processor_time_of;

/// Number of calls by method.
pub(crate) type Calls = BTreeMap<String, u64>;

/// The program of a process that ends by itself; `/run` never ends.
pub(crate) const ENDS: &str = "/ends";

/// A running simulator with a host; it ends when this value is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) thumbprint: String,
    program: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts an endpoint: `esx`, or `vcenter` for a vCenter with a cluster of one host.
    pub(crate) fn start(kind: &str) -> Self {
        let mut program = Command::new(std::env::current_exe().unwrap())
            .args(["serve", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = program.stdin.take();
        let mut line = String::new();
        let mut stdout = BufReader::new(program.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let (url, thumbprint) = line.trim().split_once(' ').expect("the server starts");
        Self {
            url: url.to_owned(),
            thumbprint: thumbprint.to_owned(),
            program,
            stdin,
            stdout,
        }
    }

    /// Returns the processor time that the endpoint has used.
    pub(crate) fn processor_time(&self) -> Duration {
        processor_time_of(&self.program.id().to_string())
    }

    /// Opens the host.
    pub(crate) async fn open(&self) -> VsphereExec {
        open(&self.url, &self.thumbprint).await
    }

    /// Opens the host as its only writer.
    pub(crate) async fn open_alone(&self) -> VsphereExec {
        let options = Options {
            sole_writer: true,
            ..Options::default()
        };
        open_with(&self.url, &self.thumbprint, options).await
    }

    /// Returns how often each method was called so far.
    pub(crate) fn calls(&mut self) -> Calls {
        self.stdin.as_mut().unwrap().write_all(b"calls\n").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        // Transfers of files are counted too, by names that contain blanks.
        let mut words = line.trim_end().split('\t');
        let mut calls = Calls::new();
        while let (Some(method), Some(count)) = (words.next(), words.next()) {
            calls.insert(method.to_owned(), count.parse().unwrap());
        }
        calls
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.program.wait();
    }
}

async fn connect(url: &str, thumbprint: &str) -> Client {
    Client::builder(url)
        .credentials(Credentials::password("root", "vmware"))
        .thumbprint(thumbprint.parse().unwrap())
        .connect()
        .await
        .unwrap()
}

/// Opens the host of a simulator.
pub(crate) async fn open(url: &str, thumbprint: &str) -> VsphereExec {
    open_with(url, thumbprint, Options::default()).await
}

async fn open_with(url: &str, thumbprint: &str, options: Options) -> VsphereExec {
    let hosts = Hosts::new(connect(url, thumbprint).await, options);
    hosts.exec("vch").await.unwrap()
}

/// Runs in the child: serves until the standard input is closed.
#[tokio::main]
pub(crate) async fn run(kind: &str) {
    let guest = Tether::new()
        .program("/run", Program::forever())
        .program(ENDS, Program::exits(0));
    let mut simulator = Simulator::builder().guest(guest);
    let mut spec = HostSpec::new("vch", Iso::bytes("appliance"), Iso::bytes("bootstrap"));
    if kind == "vcenter" {
        simulator = simulator.topology(Topology::vcenter().standalone_hosts(0).cluster_hosts(1));
        spec = spec.compute("DC0_C0").bridge_network("DC0_DVPG0");
    }
    let simulator = simulator.start().await.unwrap();
    let client = connect(simulator.url(), simulator.thumbprint()).await;
    let hosts = Hosts::new(client, Options::default());
    hosts.install(spec, &|_: InstallProgress| {}).await.unwrap();
    println!("{} {}", simulator.url(), simulator.thumbprint());
    tokio::task::block_in_place(|| {
        for _request in std::io::stdin().lines() {
            for (method, count) in simulator.script().calls() {
                print!("{method}\t{count}\t");
            }
            println!();
        }
    });
    simulator.shutdown().await;
}
