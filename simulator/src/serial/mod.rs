//! Serial ports of machines that are on, and the tasks that connect them.

mod line;
mod resolver;

pub(crate) use line::Line;
pub(crate) use resolver::Resolver;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vim25::Poly;
use vim25::types::{
    VirtualDevice, VirtualSerialPort, VirtualSerialPortFileBackingInfo,
    VirtualSerialPortURIBackingInfo,
};

use crate::datastore::site::Site;
use crate::device::{self, Devices, Kind};
use crate::shared::Shared;
use line::End;

/// Delay before reconnecting.
const RETRY: Duration = Duration::from_secs(1);
/// Timeout of one connection attempt.
const CONNECT: Duration = Duration::from_secs(3);
/// Time to deliver bytes that were written before power-off.
const DRAIN: Duration = Duration::from_secs(2);

/// The serial ports of one machine, from power-on to power-off.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    /// The datacenter of the machine.
    site: Site,
    ports: Arc<[Port]>,
    off: CancellationToken,
}

#[derive(Debug)]
struct Port {
    number: usize,
    line: Arc<Line>,
    backing: watch::Sender<Backing>,
}

/// The backing of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backing {
    /// The port is disconnected, or its backing is not supported.
    Nothing,
    /// The port connects to `host:port` by TCP.
    Client(String),
    /// The port appends to a file.
    File(PathBuf),
}

impl Ports {
    /// Creates the ports of a machine in a datacenter that is being powered on. They are not connected yet.
    pub(crate) fn new(shared: &Shared, site: Site, devices: &Devices) -> Self {
        let ports = devices
            .iter()
            .filter(|device| Kind::of(device) == Kind::Serial)
            .map(|device| Port {
                number: number(device),
                line: Arc::new(Line::new()),
                backing: watch::Sender::new(Backing::of(shared, site, device)),
            });
        Self {
            site,
            ports: ports.collect(),
            off: shared.stop.child_token(),
        }
    }

    /// Spawns the task of each port.
    pub(crate) fn serve(&self, shared: &Shared) {
        for port in &*self.ports {
            let (line, backing) = (Arc::clone(&port.line), port.backing.subscribe());
            let resolver = Arc::clone(&shared.resolver);
            shared.spawn(serve(line, backing, resolver, self.off.clone()));
        }
    }

    /// Returns the line of `serialN`.
    pub(crate) fn line(&self, number: usize) -> Option<Arc<Line>> {
        let port = self.ports.iter().find(|port| port.number == number)?;
        Some(Arc::clone(&port.line))
    }

    /// Updates the backings of the ports after a reconfiguration.
    pub(crate) fn rewire(&self, shared: &Shared, devices: &Devices) {
        for device in devices {
            let port = self
                .ports
                .iter()
                .find(|port| Kind::of(device) == Kind::Serial && port.number == number(device));
            if let Some(port) = port {
                let new = Backing::of(shared, self.site, device);
                port.backing.send_if_modified(|old| {
                    let changed = *old != new;
                    *old = new;
                    changed
                });
            }
        }
    }

    /// Returns the token that is cancelled at power-off.
    pub(crate) const fn off(&self) -> &CancellationToken {
        &self.off
    }
}

/// Returns the `N` of `serialN`.
fn number(device: &Poly<VirtualDevice>) -> usize {
    usize::try_from(device::key(device) - Kind::Serial.first_key()).unwrap_or(usize::MAX)
}

impl Backing {
    fn of(shared: &Shared, site: Site, device: &Poly<VirtualDevice>) -> Self {
        let connected = device.node().path("connectable.connected");
        if connected.and_then(|flag| flag.as_bool()) == Some(false) {
            return Self::Nothing;
        }
        let port = device.view::<VirtualSerialPort>();
        let Some(backing) = port.as_ref().and_then(|port| port.backing.as_ref()) else {
            return Self::Nothing;
        };
        if let Ok(Some(uri)) = backing.get::<VirtualSerialPortURIBackingInfo>() {
            let address = uri.service_uri.strip_prefix("tcp://").unwrap_or_default();
            let address = address.trim_end_matches('/');
            return match uri.direction.as_str() {
                "client" if !address.is_empty() => Self::Client(address.to_owned()),
                _ => Self::Nothing,
            };
        }
        if let Ok(Some(file)) = backing.get::<VirtualSerialPortFileBackingInfo>()
            && let Ok(path) = shared.store.parse(site, &file.file_name)
            && !path.is_root()
        {
            return shared.store.file(&path).map_or(Self::Nothing, Self::File);
        }
        Self::Nothing
    }
}

/// Connects a port until its machine is powered off.
async fn serve(
    line: Arc<Line>,
    mut backing: watch::Receiver<Backing>,
    resolver: Arc<Resolver>,
    off: CancellationToken,
) {
    loop {
        let now = backing.borrow_and_update().clone();
        let mut attached = Box::pin(attach(&line, now, &resolver));
        tokio::select! {
            biased;
            () = off.cancelled() => {
                line.close();
                if tokio::time::timeout(DRAIN, attached).await.is_err() {
                    tracing::debug!("bytes of a serial port were not read in time");
                }
                break;
            }
            changed = backing.changed() => if changed.is_err() { break },
            () = &mut attached => break,
        }
    }
    line.set(End::Nobody);
}

/// Keeps a port connected to one backing. Returns after power-off, when all bytes are delivered.
async fn attach(line: &Line, backing: Backing, resolver: &Arc<Resolver>) {
    match backing {
        Backing::Nothing => {
            line.set(End::Nobody);
            line.closed().await;
        }
        Backing::File(path) => {
            match open(path.clone()).await {
                Ok(file) => line.set(End::File(file)),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a serial port has no file");
                    line.set(End::Nobody);
                }
            }
            line.closed().await;
        }
        Backing::Client(address) => loop {
            let connecting = async {
                let addresses = resolver.resolve(&address).await?;
                TcpStream::connect(&*addresses).await
            };
            match tokio::time::timeout(CONNECT, connecting).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    line.set(End::Stream);
                    let ended = carry(line, stream).await;
                    if ended.is_ok() {
                        return;
                    }
                    tracing::debug!(address, "a serial port was disconnected");
                }
                Ok(Err(error)) => {
                    tracing::debug!(address, %error, "a serial port is not connected");
                }
                Err(_) => tracing::debug!(address, "connecting a serial port took too long"),
            }
            line.set(End::Nobody);
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = line.closed() => return,
            }
        },
    }
}

async fn open(path: PathBuf) -> io::Result<std::fs::File> {
    let opening = tokio::task::spawn_blocking(move || {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
    });
    opening.await.map_err(io::Error::other)?
}

/// Copies bytes in both directions until power-off.
///
/// # Errors
/// Fails if the connection was lost.
async fn carry(line: &Line, mut stream: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = stream.split();
    let inbound = async {
        let mut buffer = vec![0; 8 << 10];
        loop {
            match from.read(&mut buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => line.deliver(buffer.get(..length).unwrap_or_default()).await,
            }
        }
    };
    let outbound = async {
        while let Some(bytes) = line.written().await {
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    };
    tokio::select! {
        // Poll the outbound direction first, so that the guest's last bytes are delivered at
        // power-off.
        biased;
        ended = outbound => ended,
        ended = inbound => ended,
    }
}
