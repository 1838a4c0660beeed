//! A vCenter or an ESXi host that clients can connect to, with the flags of vcsim.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the output of a command"
)]

use std::error::Error;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde::Deserialize;
use simulator::{Datastore, Program, Simulator, Tether, Topology};
use tokio::io::AsyncReadExt as _;

/// Serves a simulated vCenter, or with -esx an ESXi host, on 127.0.0.1 until it is
/// interrupted or terminated.
///
/// The flags are those of vcsim, with one hyphen or two. The objects of the inventory have the
/// same names as in vcsim.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Address to listen on, only on 127.0.0.1; port 0 chooses a free port.
    #[arg(short = 'l', default_value = "127.0.0.1:8989")]
    listen: String,
    /// Port to listen on, instead of the port in -l.
    #[arg(long)]
    port: Option<u16>,
    /// File to write the environment of govc to.
    #[arg(short = 'E')]
    environment: Option<PathBuf>,
    /// Serves an ESXi host instead of a vCenter.
    #[arg(long)]
    esx: bool,
    /// Number of datacenters, each with what the other options describe.
    #[arg(long, default_value_t = 1)]
    dc: usize,
    /// Number of clusters in each datacenter.
    #[arg(long, default_value_t = 1)]
    cluster: usize,
    /// Number of hosts in each cluster.
    #[arg(long, default_value_t = 3)]
    host: usize,
    /// Number of hosts outside of clusters in each datacenter.
    #[arg(long, default_value_t = 1)]
    standalone_host: usize,
    /// Number of machines on each host outside of clusters, and in each pool and vApp.
    #[arg(long, default_value_t = 2)]
    vm: usize,
    /// Number of datastores in each datacenter. If there are several, their names are LocalDS_0,
    /// LocalDS_1 and so on.
    #[arg(long, default_value_t = 1)]
    ds: usize,
    /// Directory with an inventory that `govc object.save` saved, instead of the inventory that the
    /// other options describe.
    #[arg(long, value_name = "DIR")]
    load: Option<PathBuf>,
    /// Type of the datastores.
    #[arg(long, value_enum, default_value_t = DatastoreType::Vmfs)]
    ds_type: DatastoreType,
    /// Number of resource pools in each cluster, in addition to its root pool.
    #[arg(long, default_value_t = 0)]
    pool: usize,
    /// Number of datacenters, from the last one, that are in a folder; their machines, hosts, datastores
    /// and networks are in folders of the same name.
    #[arg(long, default_value_t = 0)]
    folder: usize,
    /// Number of distributed port groups in each datacenter.
    #[arg(long, default_value_t = 1)]
    pg: usize,
    /// Number of vApps in each cluster.
    #[arg(long, default_value_t = 0)]
    app: usize,
    /// API version that the server and its hosts report, such as 7.0.3.0. Default: 8.0.3.0.
    #[arg(long, value_name = "VERSION")]
    api_version: Option<String>,
    /// Powers the machines on; -autostart=false leaves them off.
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    autostart: bool,
    /// Serves HTTPS; false is not supported.
    #[arg(
        long,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    tls: bool,
    /// Exits when standard input is closed.
    #[arg(long)]
    stdinexit: bool,
    /// User name for logging in.
    #[arg(long, alias = "username", default_value = "root")]
    user: String,
    /// Password for logging in.
    #[arg(
        long,
        default_value = "vmware",
        env = "SIMULATOR_PASSWORD",
        hide_env_values = true
    )]
    password: String,
    /// Directory for the files of the first datastore, which is kept; the other datastores are kept
    /// in a subdirectory. Default: temporary directories, in which the files of a machine appear when
    /// a client uses one of them.
    #[arg(long)]
    datastore: Option<PathBuf>,
    /// JSON file with the programs that containers can run: a list of objects with
    /// `path`, and optionally `status` (exit status), `seconds` (run time) and `ignores` (signal numbers).
    /// A program without a status runs until a signal ends it.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Address of the control interface for fault injection, only on 127.0.0.1; port 0 chooses a
    /// free port. Prints its address and its token.
    #[arg(long, value_name = "ADDRESS")]
    control: Option<SocketAddr>,
    /// Token that requests to the control interface must have. Default: a random one.
    #[arg(long, env = "SIMULATOR_CONTROL_TOKEN", hide_env_values = true)]
    control_token: Option<String>,
    /// Maximum number of connections.
    #[arg(long, default_value_t = 256)]
    connections: usize,
    /// Maximum number of sessions.
    #[arg(long, default_value_t = 100)]
    sessions: usize,
    /// Seed for generated identifiers.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Converts arguments to the parser's form: long flags may have one hyphen, as in vcsim.
fn arguments(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let long = |argument: OsString| match argument.to_str() {
        Some(text) if text.starts_with('-') && !text.starts_with("--") => {
            let name = text.trim_start_matches('-');
            let name = name.split('=').next().unwrap_or_default();
            if name.len() > 1 {
                format!("-{text}").into()
            } else {
                argument
            }
        }
        _ => argument,
    };
    given.map(long).collect()
}

impl Options {
    /// Returns the port to listen on.
    fn listen_port(&self) -> Result<u16, String> {
        if let Some(port) = self.port {
            return Ok(port);
        }
        let refused = || format!("cannot listen on {}: use 127.0.0.1 and a port", self.listen);
        let (host, port) = self.listen.rsplit_once(':').ok_or_else(refused)?;
        if !matches!(host, "" | "127.0.0.1" | "localhost") {
            return Err(refused());
        }
        port.parse().map_err(|_| refused())
    }

    /// Returns one of the datastores.
    fn datastore(&self, number: usize) -> Datastore {
        let name = match (self.esx, self.ds) {
            (true, 1) => "datastore1".to_owned(),
            _ => format!("LocalDS_{number}"),
        };
        match self.ds_type {
            DatastoreType::Vmfs => Datastore::vmfs(name),
            DatastoreType::Nfs => {
                let path = format!("/exports/{name}");
                Datastore::nfs(name, "nfs.example.com", path)
            }
            DatastoreType::Vsan => Datastore::vsan(name),
        }
    }

    /// Returns the inventory to start with.
    fn topology(&self) -> Result<Topology, String> {
        if self.ds == 0 {
            return Err("-ds must be at least 1".to_owned());
        }
        if self.dc == 0 {
            return Err("-dc must be at least 1".to_owned());
        }
        if !self.tls {
            return Err("-tls can only be true".to_owned());
        }
        let topology = if self.esx {
            Topology::esx()
        } else {
            Topology::vcenter()
                .datacenters(self.dc)
                .datacenter_folders(self.folder)
                .clusters(self.cluster)
                .cluster_hosts(self.host)
                .standalone_hosts(self.standalone_host)
                .pools(self.pool)
                .apps(self.app)
                .port_groups(self.pg)
        };
        Ok(topology.machines(self.vm).autostart(self.autostart))
    }
}

/// The type of the datastores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum DatastoreType {
    Vmfs,
    Nfs,
    Vsan,
}

/// Escapes a user or password for use in a URL.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// A program in the file that `--programs` names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scripted {
    path: String,
    status: Option<i32>,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    ignores: Vec<i32>,
}

/// Creates a guest that runs the programs listed in a file.
fn tether(file: &Path) -> Result<Tether, Box<dyn Error>> {
    let refused = |error: &dyn std::fmt::Display| format!("cannot use {}: {error}", file.display());
    let text = std::fs::read(file).map_err(|error| refused(&error))?;
    let programs: Vec<Scripted> = serde_json::from_slice(&text).map_err(|error| refused(&error))?;
    let mut tether = Tether::new();
    for scripted in programs {
        let time = Duration::try_from_secs_f64(scripted.seconds).map_err(|error| {
            refused(&format!(
                "the run time of {} is not valid: {error}",
                scripted.path
            ))
        })?;
        let program = scripted
            .status
            .map_or_else(Program::forever, Program::exits);
        let ignores = scripted.ignores.into_iter();
        let program = ignores.fold(program.after(time), Program::ignores);
        tether = tether.program(scripted.path, program);
    }
    Ok(tether)
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vsphere-simulator: {}", words(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Returns an error with its causes.
fn words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        text.push_str(&format!(": {below}"));
        cause = below.source();
    }
    text
}

async fn serve() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse_from(arguments(std::env::args_os()));
    let mut builder = Simulator::builder()
        .topology(options.topology()?)
        .port(options.listen_port()?)
        .user(&options.user)
        .password(&options.password)
        .connection_limit(options.connections)
        .session_limit(options.sessions)
        .seed(options.seed);
    builder = builder.datastore(options.datastore(0));
    for number in 1..options.ds {
        builder = builder.add_datastore(options.datastore(number));
    }
    if let Some(version) = &options.api_version {
        builder = builder.api_version(version);
    }
    if let Some(directory) = options.datastore {
        builder = builder.datastore_directory(directory);
    }
    if let Some(directory) = &options.load {
        builder = builder.load_directory(directory);
    }
    if let Some(file) = &options.programs {
        builder = builder.guest(tether(file)?);
    }
    let simulator = builder.start().await?;
    let address = simulator.url().trim_start_matches("https://");
    let (user, password) = (escaped(&options.user), escaped(&options.password));
    let environment = format!(
        "export GOVC_URL=https://{user}:{password}@{address} GOVC_SIM_PID={}",
        std::process::id()
    );
    println!("{environment}");
    if let Some(file) = &options.environment {
        std::fs::write(file, format!("{environment}\n"))?;
    }
    println!("url {}", simulator.url());
    println!("thumbprint {}", simulator.thumbprint());
    let datastores =
        || (0..simulator.datacenters()).map(|number| simulator.datastore_locations_of(number));
    let is_only = datastores().flatten().count() == 1;
    let has_one_datacenter = simulator.datacenters() == 1;
    for (datacenter, datastores) in datastores().enumerate() {
        for (name, directory) in datastores {
            match (is_only, has_one_datacenter) {
                (true, _) => println!("datastore {}", directory.display()),
                (_, true) => println!("datastore {name} {}", directory.display()),
                _ => println!("datastore DC{datacenter}/{name} {}", directory.display()),
            }
        }
    }
    if let Some(address) = options.control {
        let token = options.control_token.unwrap_or_else(random_token);
        let address = simulator.serve_control(address, &token).await;
        let address = address.map_err(|error| format!("cannot serve -control: {error}"))?;
        println!("control http://{address}");
        println!("control-token {token}");
    }
    tokio::select! {
        ended = interrupted() => ended?,
        () = simulator.stopped() => {}
        () = closed(), if options.stdinexit => {}
    }
    simulator.shutdown().await;
    Ok(())
}

/// Returns a token that cannot be guessed.
fn random_token() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Waits until standard input is closed.
async fn closed() {
    let mut rest = [0; 64];
    let mut input = tokio::io::stdin();
    while input.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

/// Waits until the command is interrupted or terminated.
async fn interrupted() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut end = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = end.recv() => Ok(()),
            interrupt = tokio::signal::ctrl_c() => interrupt,
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::{Options, Parser as _, arguments, escaped, tether, words};

    fn options(line: &str) -> Options {
        let line = line.split(' ').map(Into::into);
        Options::parse_from(arguments(line))
    }

    #[test]
    fn an_error_is_printed_with_its_causes_and_without_its_structure() {
        let error = std::io::Error::other("no space");
        let error: Box<dyn std::error::Error> = std::io::Error::other(StartError(error)).into();
        assert_eq!(words(&*error), "cannot start: no space");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct StartError(#[source] std::io::Error);

    #[test]
    fn the_flags_are_those_of_vcsim() {
        let line = "x -l 127.0.0.1:0 -esx -vm 3 -autostart=false -username u -password p";
        let esx = options(line);
        assert_eq!((esx.listen_port(), esx.esx, esx.vm), (Ok(0), true, 3));
        assert!(!esx.autostart);
        assert_eq!((&*esx.user, &*esx.password), ("u", "p"));
        let line =
            "x -dc 2 -cluster 2 -standalone-host=0 -pool 1 -app 2 --port 7 -api-version 7.0.3.0";
        let vcenter = options(line);
        assert_eq!(vcenter.app, 2);
        assert_eq!(vcenter.api_version.as_deref(), Some("7.0.3.0"));
        assert_eq!((vcenter.listen_port(), vcenter.esx), (Ok(7), false));
        assert!(vcenter.topology().is_ok());
        for refused in ["x -dc 0", "x -tls=false", "x -ds 0"] {
            assert!(options(refused).topology().is_err(), "{refused}");
        }
        assert!(options("x -l 0.0.0.0:80").listen_port().is_err());
    }

    #[test]
    fn an_address_holds_any_password() {
        assert_eq!(escaped("V1!&"), "V1%21%26");
    }

    #[test]
    fn programs_are_read_from_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("programs.json");
        let text = r#"[{"path": "/bin/job", "status": 3, "seconds": 0.5, "ignores": [15]},
                       {"path": "/bin/serve"}]"#;
        std::fs::write(&file, text).unwrap();
        let debug = format!("{:?}", tether(&file).unwrap());
        assert!(
            debug.contains("/bin/job") && debug.contains("/bin/serve"),
            "{debug}"
        );
        for bad in [
            "",
            "{}",
            r#"[{"status": 3}]"#,
            r#"[{"path": "/a", "code": 3}]"#,
            r#"[{"path": "/a", "seconds": -1}]"#,
        ] {
            std::fs::write(&file, bad).unwrap();
            let error = tether(&file).unwrap_err().to_string();
            assert!(error.contains("programs.json"), "{error}");
        }
    }
}
