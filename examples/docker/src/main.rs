//! Serves the Docker Engine API for a virtual container host.
//!
//! ```console
//! $ cargo run --release -p docker
//! docker -H unix:///tmp/portlayer-docker/docker.sock info
//! ```
//!
//! Without `VSPHERE_URL` the host is on a simulator in this process, whose datastore is a
//! directory. After a restart on the same directory, the containers are the same.

#![expect(
    clippy::print_stdout,
    reason = "the program tells its user how to reach it"
)]

mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use docker_front_end::FrontEnd;
use portlayer::network::forward::{Forwarder, KernelDialer};
use portlayer::vsphere::{self, Dialect, LineServer};
use tokio::net::{TcpListener, UnixListener};
use vsphere_client::{Client, Credentials};

use serve::certificates;
use serve::host::Backend;

/// A Docker front end on the port layer.
#[derive(Debug, Parser)]
struct Options {
    /// The directory of the socket, the certificates, state that the host does not store, and
    /// the simulator's datastore.
    #[arg(long, default_value = "/tmp/portlayer-docker")]
    directory: PathBuf,
    /// The name of the virtual container host. On the simulator it is installed if it does not
    /// exist.
    #[arg(long, default_value = "vch")]
    host: String,
    /// The VIC version whose keys describe containers. 0.4 cannot let a process wait for its
    /// client, so `docker run` shows the process's output from its log, which does not tell the
    /// two outputs apart.
    #[arg(long, value_enum, default_value = "1.x")]
    dialect: VicVersion,
    /// Serves imitated containers instead, without running processes.
    #[arg(long)]
    scripted: bool,
    /// An address for clients without TLS, such as 127.0.0.1:2375. Anybody who can connect to it
    /// controls the whole host.
    #[arg(long)]
    tcp: Option<SocketAddr>,
    /// An address for clients with TLS, such as 127.0.0.1:2376. The docker command needs only
    /// `--tls`.
    #[arg(long)]
    tls: Option<SocketAddr>,
    /// An address for clients with TLS and a certificate of the same authority.
    #[arg(long)]
    tlsverify: Option<SocketAddr>,
    /// The directory of the certificates, such as the one that an installer generated; generated if
    /// it has none. Default: `certs` in the other directory.
    #[arg(long)]
    certificates: Option<PathBuf>,
    /// An additional name or address in a generated certificate of the server.
    #[arg(long = "tls-name")]
    tls_names: Vec<String>,
    /// With `VSPHERE_URL`: the address to listen on for the containers' serial lines, which the
    /// host was installed with. Without it, attaching to containers is not possible.
    #[arg(long)]
    lines: Option<SocketAddr>,
    /// With `VSPHERE_URL`: publishes ports of containers at addresses of this machine, which must
    /// have a route to the containers' networks. On the simulator ports are always published.
    #[arg(long)]
    forward: bool,
    /// A registry, `host` or `host:port`, to connect to by plain HTTP.
    #[arg(long = "insecure-registry")]
    insecure_registries: Vec<String>,
    /// A file with the certificates of registries' certificate authorities.
    #[arg(long = "registry-ca")]
    registry_authorities: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VicVersion {
    #[value(name = "0.4")]
    Vic04,
    #[value(name = "1.x")]
    Vic1,
}

impl From<VicVersion> for Dialect {
    fn from(version: VicVersion) -> Self {
        match version {
            VicVersion::Vic04 => Self::Vic04,
            VicVersion::Vic1 => Self::Vic1,
        }
    }
}

fn main() -> Result<()> {
    // The simulator starts containers by executing this program again.
    #[cfg(target_os = "linux")]
    simulator_guests::init();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse();
    tokio::runtime::Runtime::new()?.block_on(run(options))
}

async fn run(options: Options) -> Result<()> {
    std::fs::create_dir_all(&options.directory)
        .with_context(|| format!("cannot make {}", options.directory.display()))?;
    let mut backend = backend(&options).await?;
    let settings = &mut backend.settings;
    if options.forward && settings.publisher.is_none() {
        settings.publisher = Some(Arc::new(Forwarder::new(KernelDialer)));
    }
    settings.directory = Some(options.directory.clone());
    settings
        .insecure_registries
        .clone_from(&options.insecure_registries);
    for path in &options.registry_authorities {
        let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        settings.registry_authorities.push(pem);
    }
    let front_end = FrontEnd::new(backend.layer.clone(), backend.settings.clone()).await?;
    let served = serve(&front_end, &options).await;
    backend.close().await;
    served
}

async fn backend(options: &Options) -> Result<Backend> {
    let dialect = options.dialect.into();
    if options.scripted {
        return Ok(Backend::scripted());
    }
    let Ok(url) = std::env::var("VSPHERE_URL") else {
        return Backend::simulated(&options.directory, &options.host, dialect).await;
    };
    let variable = |name: &str| {
        std::env::var(name).with_context(|| format!("{name} is needed with VSPHERE_URL"))
    };
    let mut builder = Client::builder(url.as_str()).credentials(Credentials::password(
        variable("GOVC_USERNAME")?,
        variable("GOVC_PASSWORD")?,
    ));
    if let Ok(thumbprint) = std::env::var("VSPHERE_THUMBPRINT") {
        builder = builder.thumbprint(thumbprint.parse()?);
    }
    let lines = match options.lines {
        None => None,
        Some(address) => Some(
            LineServer::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))?,
        ),
    };
    let client = builder.connect().await?;
    let settings = vsphere::Options {
        dialect,
        ..vsphere::Options::default()
    };
    Backend::on(client, &options.host, settings, lines, false).await
}

/// Serves until the program is asked to exit.
async fn serve(front_end: &FrontEnd, options: &Options) -> Result<()> {
    let socket = options.directory.join("docker.sock");
    // An earlier run may have left its socket.
    let _ = std::fs::remove_file(&socket);
    let unix = UnixListener::bind(&socket)
        .with_context(|| format!("cannot listen on {}", socket.display()))?;
    let plain = listen(options.tcp).await?;
    let tls = listen(options.tls).await?;
    let mutual = listen(options.tlsverify).await?;
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    names.extend(options.tls_names.iter().cloned());
    let directory = match &options.certificates {
        Some(directory) => directory.clone(),
        None => options.directory.join("certs"),
    };
    if tls.is_some() || mutual.is_some() {
        examples::certificates::directory(&directory, &names)?;
    }
    let acceptor = |listener: &Option<TcpListener>, verify| match listener {
        None => Ok(None),
        Some(_) => certificates::acceptor(&directory, verify).map(Some),
    };
    let (server_only, both) = (acceptor(&tls, false)?, acceptor(&mutual, true)?);

    println!("docker -H unix://{} info", socket.display());
    if let Some(listener) = &plain {
        println!("docker -H tcp://{} info", listener.local_addr()?);
    }
    if let Some(listener) = &tls {
        println!("docker -H {} --tls info", listener.local_addr()?);
    }
    if let Some(listener) = &mutual {
        println!(
            "DOCKER_CERT_PATH={} docker -H {} --tlsverify info",
            directory.display(),
            listener.local_addr()?
        );
    }
    let outcome = tokio::select! {
        served = front_end.serve_unix(unix) => served,
        served = serve_tcp(front_end, plain, None) => served,
        served = serve_tcp(front_end, tls, server_only) => served,
        served = serve_tcp(front_end, mutual, both) => served,
        () = stopped() => Ok(()),
    };
    let _ = std::fs::remove_file(&socket);
    Ok(outcome?)
}

async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>> {
    match address {
        None => Ok(None),
        Some(address) => TcpListener::bind(address)
            .await
            .map(Some)
            .with_context(|| format!("cannot listen on {address}")),
    }
}

async fn serve_tcp(
    front_end: &FrontEnd,
    listener: Option<TcpListener>,
    tls: Option<tokio_rustls::TlsAcceptor>,
) -> std::io::Result<()> {
    match listener {
        None => std::future::pending().await,
        Some(listener) => front_end.serve_tcp(listener, tls).await,
    }
}

/// Waits for SIGINT or SIGTERM.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminations) => drop(terminations.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
