//! The endpoint, in a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, Iso, Options};
use simulator::Simulator;
use vsphere_client::{Client, Credentials};

/// A running simulator with a host; it ends when this value is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) thumbprint: String,
    /// The directory of the datastore's files.
    pub(crate) datastore: PathBuf,
    program: Child,
    stdin: Option<ChildStdin>,
}

impl Server {
    pub(crate) fn start(folder: &Path) -> Self {
        let datastore = folder.join("datastore");
        let mut program = Command::new(std::env::current_exe().unwrap())
            .arg("serve")
            .arg(&datastore)
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
            datastore,
            program,
            stdin,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.program.wait();
    }
}

/// Connects to a simulator.
pub(crate) async fn connect(url: &str, thumbprint: &str) -> Client {
    Client::builder(url)
        .credentials(Credentials::password("root", "vmware"))
        .thumbprint(thumbprint.parse().unwrap())
        .connect()
        .await
        .unwrap()
}

/// Runs in the child: serves until the standard input is closed.
#[tokio::main]
pub(crate) async fn run(datastore: &Path) {
    let simulator = Simulator::builder().datastore_directory(datastore);
    let simulator = simulator.start().await.unwrap();
    let client = connect(simulator.url(), simulator.thumbprint()).await;
    let hosts = Hosts::new(client.clone(), Options::default());
    let spec = HostSpec::new("vch", Iso::bytes("appliance"), Iso::bytes("bootstrap"));
    hosts.install(spec, &|_: InstallProgress| {}).await.unwrap();
    println!("{} {}", simulator.url(), simulator.thumbprint());
    let closed = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    closed.await.unwrap().unwrap();
    simulator.shutdown().await;
}
