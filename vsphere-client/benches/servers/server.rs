//! A server in a process of its own.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use vsphere_client::Client;

/// A server program.
pub(crate) struct Program {
    path: PathBuf,
    /// Whether it is our simulator, whose limits must allow 1,000 clients.
    ours: bool,
    /// Time to become ready.
    limit: Duration,
}

/// A running server, which is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    /// URL with user and password.
    url: String,
    /// Time from the start of the process until it printed its address.
    pub(crate) ready: Duration,
}

impl Program {
    pub(crate) const fn new(path: PathBuf, ours: bool, limit: Duration) -> Self {
        Self { path, ours, limit }
    }

    /// Starts the server as an ESXi host with machines. Returns the reason if it is not ready in
    /// time.
    pub(crate) async fn start(&self, machines: usize, on: bool) -> Result<Server, String> {
        let mut command = Command::new(&self.path);
        command
            .args(["-esx", "-l", "127.0.0.1:0", "-vm", &machines.to_string()])
            .arg(format!("-autostart={on}"));
        if self.ours {
            command.args(["--connections", "4096", "--sessions", "4096"]);
        }
        command.stdout(Stdio::piped()).kill_on_drop(true);
        let start = Instant::now();
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let words = line.split_whitespace();
                let mut value = words.filter_map(|word| word.strip_prefix("GOVC_URL="));
                if let Some(url) = value.next_back() {
                    return Some(url.to_owned());
                }
            }
            None
        };
        match tokio::time::timeout(self.limit, address).await {
            Ok(Some(url)) => {
                // Nobody reads more, but the pipe must stay open.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                let ready = start.elapsed();
                Ok(Server { child, url, ready })
            }
            Ok(None) => Err("the server ended before it was ready".to_owned()),
            Err(_) => Err(format!(
                "{machines} machines were not ready after {} s",
                self.limit.as_secs()
            )),
        }
    }
}

impl Server {
    /// Returns the URL with user and password.
    pub(crate) fn url(&self) -> String {
        match self.url.contains('@') {
            true => self.url.clone(),
            false => self.url.replace("://", "://user:pass@"),
        }
    }

    /// Opens a session.
    pub(crate) async fn connect(&self) -> Client {
        let builder = Client::builder(self.url()).danger_accept_invalid_certs(true);
        builder.connect().await.unwrap()
    }

    /// Returns the CPU time of the server so far: of its living threads, exact to the
    /// microsecond, where the total in `stat` counts hundredths of a second.
    pub(crate) fn cpu(&self) -> Duration {
        let folder = format!("/proc/{}/task", self.child.id().unwrap());
        let threads = std::fs::read_dir(folder).unwrap();
        let nanoseconds = threads.filter_map(|thread| {
            let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }

    /// Returns the resident memory of the server in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let file = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(file).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS"));
        let size = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        size.unwrap()
    }
}
