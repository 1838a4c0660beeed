//! Publishing ports of containers at addresses of the host, in user space. This needs no privileges
//! or firewall rules, and nothing is left behind when the program ends.
//!
//! Whatever owns the host's address publishes ports by implementing [`Publisher`]. The
//! [`Forwarder`] implements it with sockets of its own process, and connects to containers through
//! a [`Dialer`]. On an appliance, that is the [`KernelDialer`].
//!
//! ```
//! use std::net::{IpAddr, Ipv4Addr};
//! use portlayer::ContainerId;
//! use portlayer::network::PortMapping;
//! use portlayer::network::forward::{Forwarder, KernelDialer, Publisher};
//!
//! # async fn publish(id: ContainerId, address: IpAddr) -> portlayer::Result<()> {
//! let forwarder = Forwarder::new(KernelDialer);
//! let web = PortMapping::new(80).host_address(Ipv4Addr::LOCALHOST.into());
//! let published = forwarder.publish(id, address, &[web]).await?;
//! println!("port 80 is published at {:?}", published[0].host_port);
//! forwarder.withdraw(&id).await;
//! # Ok(())
//! # }
//! ```

mod dialer;
mod tcp;
mod udp;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub use self::dialer::{Connection, Datagrams, Dialer, KernelDialer};
use super::{PortMapping, Protocol};
use crate::{ContainerId, Error, Resource, ResourceKind, Result};

/// Publishes ports of containers at addresses that it owns.
#[async_trait]
pub trait Publisher: fmt::Debug + Send + Sync + 'static {
    /// Publishes either all of these ports or none, for the container with this address. Returns
    /// the mappings in the same order; a mapping without a host port gets the one that was chosen.
    /// If the future is dropped, nothing is published.
    ///
    /// # Errors
    /// - [`InUse`](crate::ErrorKind::InUse) with the owner of a port.
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied) for a port on which this process
    ///   may not listen.
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) for an address that the host does
    ///   not have.
    async fn publish(
        &self,
        container: ContainerId,
        address: IpAddr,
        ports: &[PortMapping],
    ) -> Result<Vec<PortMapping>>;

    /// Withdraws all published ports of a container and closes their connections. The ports are
    /// free when this returns. A no-op if nothing is published.
    async fn withdraw(&self, container: &ContainerId);
}

/// Limits of a [`Forwarder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum number of connections on all ports together; further connections wait in the
    /// kernel's queue. Default: 4096.
    pub connections: usize,
    /// The maximum number of UDP clients per port; datagrams from further clients are dropped.
    /// Default: 1024.
    pub udp_clients: usize,
    /// How long a container may take to accept a connection. Default: 10 seconds.
    pub dial_timeout: Duration,
    /// How long a UDP client may be silent before it is forgotten. Default: 60 seconds.
    pub udp_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            udp_clients: 1024,
            dial_timeout: Duration::from_secs(10),
            udp_idle: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// Sets the maximum number of connections on all ports together.
    #[must_use]
    pub const fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets the maximum number of UDP clients per port.
    #[must_use]
    pub const fn udp_clients(mut self, clients: usize) -> Self {
        self.udp_clients = clients;
        self
    }

    /// Sets how long a container may take to accept a connection.
    #[must_use]
    pub const fn dial_timeout(mut self, timeout: Duration) -> Self {
        self.dial_timeout = timeout;
        self
    }

    /// Sets how long a UDP client may be silent before it is forgotten.
    #[must_use]
    pub const fn udp_idle(mut self, idle: Duration) -> Self {
        self.udp_idle = idle;
        self
    }
}

/// Forwards TCP and UDP through sockets of this process. Dropping the forwarder withdraws
/// everything that it published. Its methods must run within a Tokio runtime with I/O and time
/// enabled.
pub struct Forwarder {
    shared: Arc<Shared>,
    published: Mutex<HashMap<ContainerId, Vec<Published>>>,
}

struct Shared {
    dialer: Arc<dyn Dialer>,
    limits: Limits,
    connections: Arc<Semaphore>,
}

struct Published {
    port: PortMapping,
    task: JoinHandle<()>,
}

impl Drop for Published {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder")
            .field("limits", &self.shared.limits)
            .field("containers", &self.published().len())
            .finish_non_exhaustive()
    }
}

/// The socket on which a published port waits for clients.
enum Listener {
    Tcp(tokio::net::TcpListener),
    Udp(tokio::net::UdpSocket),
}

impl Forwarder {
    /// Creates a forwarder that connects to containers through this dialer.
    pub fn new(dialer: impl Dialer) -> Self {
        Self::with_limits(dialer, Limits::default())
    }

    /// Creates a forwarder with these limits.
    pub fn with_limits(dialer: impl Dialer, limits: Limits) -> Self {
        let connections = limits.connections.min(Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                dialer: Arc::new(dialer),
                limits,
                connections: Arc::new(Semaphore::new(connections)),
            }),
            published: Mutex::default(),
        }
    }

    fn published(&self) -> MutexGuard<'_, HashMap<ContainerId, Vec<Published>>> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the container whose published ports conflict with this one, if there is one.
    fn owner(&self, port: &PortMapping) -> Option<ContainerId> {
        let published = self.published();
        let has = |ports: &Vec<Published>| ports.iter().any(|p| p.port.conflicts_with(port));
        published
            .iter()
            .find(|(_, ports)| has(ports))
            .map(|(id, _)| *id)
    }

    async fn listen(&self, port: &PortMapping) -> Result<(PortMapping, Listener)> {
        let address = port.host_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let at = SocketAddr::new(address, port.host_port.unwrap_or(0));
        let bound = async {
            Ok(match port.protocol {
                Protocol::Tcp => {
                    let listener = tokio::net::TcpListener::bind(at).await?;
                    (listener.local_addr()?, Listener::Tcp(listener))
                }
                Protocol::Udp => {
                    let socket = tokio::net::UdpSocket::bind(at).await?;
                    (socket.local_addr()?, Listener::Udp(socket))
                }
            })
        };
        let (address, listener) = bound
            .await
            .map_err(|error: io::Error| self.refused(port, at, error))?;
        Ok((port.host_port(address.port()), listener))
    }

    fn refused(&self, port: &PortMapping, at: SocketAddr, error: io::Error) -> Error {
        let shown = format!("{at}/{}", port.protocol);
        let resource = Resource::new(ResourceKind::Other("host port"), shown);
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                let owner = self
                    .owner(port)
                    .map(|id| format!("the container {}", id.short()));
                let by = owner.unwrap_or_else(|| "another program of the host".to_owned());
                Error::in_use(resource, by).with_source(error)
            }
            io::ErrorKind::AddrNotAvailable => {
                let field = "endpoints.ports.host_address";
                Error::invalid_argument(resource, field, error)
            }
            io::ErrorKind::PermissionDenied => {
                Error::permission_denied(resource).with_source(error)
            }
            _ => Error::internal(resource, error),
        }
    }
}

#[async_trait]
impl Publisher for Forwarder {
    async fn publish(
        &self,
        container: ContainerId,
        address: IpAddr,
        ports: &[PortMapping],
    ) -> Result<Vec<PortMapping>> {
        let mut listeners = Vec::with_capacity(ports.len());
        for port in ports {
            listeners.push(self.listen(port).await?);
        }
        let mut chosen = Vec::with_capacity(ports.len());
        let mut published = Vec::with_capacity(ports.len());
        for (port, listener) in listeners {
            let to = SocketAddr::new(address, port.container_port);
            let shared = Arc::clone(&self.shared);
            let task = match listener {
                Listener::Tcp(listener) => tokio::spawn(tcp::forward(shared, listener, to)),
                Listener::Udp(socket) => tokio::spawn(udp::forward(shared, socket, to)),
            };
            chosen.push(port);
            published.push(Published { port, task });
        }
        self.published()
            .entry(container)
            .or_default()
            .extend(published);
        Ok(chosen)
    }

    async fn withdraw(&self, container: &ContainerId) {
        let ended = self.published().remove(container).unwrap_or_default();
        for mut published in ended {
            published.task.abort();
            // The task always ends as aborted. Its sockets are closed at that point.
            let _aborted = (&mut published.task).await;
        }
    }
}

#[cfg(test)]
mod tests;
