//! Connects to servers in containers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tether::SupervisorError;
use tokio::net::{TcpStream, UdpSocket};

use crate::guest::Shared;

/// Connects to servers in containers by the containers' addresses, for front ends that publish
/// ports. The server sees a connection from its own container.
#[derive(Clone, Debug)]
pub struct Dialer(pub(crate) Arc<Shared>);

/// The reason why a connection into a container failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No running container has this address.
    #[error("no running container has the address {address}")]
    NoContainer {
        /// The address.
        address: IpAddr,
    },
    /// The connection failed.
    #[error("cannot connect to {address} in its container")]
    Failed {
        /// The address and port.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: SupervisorError,
    },
}

impl Dialer {
    /// Connects to a TCP port of the running container with this address.
    ///
    /// # Errors
    /// Fails when no running container has the address or nothing listens on the port.
    pub async fn connect(&self, to: SocketAddr) -> Result<TcpStream, DialError> {
        // The container is not referenced while this waits, so that it can be switched off.
        let dialing = {
            let platform = self.0.at(to.ip()).ok_or_else(|| nobody(to))?;
            let supervisor = platform.supervisor().ok_or_else(|| nobody(to))?;
            supervisor.dial(to).await
        };
        let failed = |error| failed(to, error);
        dialing.map_err(failed)?.connected().await.map_err(failed)
    }

    /// Opens a socket that is connected to a UDP port of the running container with this address.
    ///
    /// # Errors
    /// Fails when no running container has the address.
    pub async fn datagrams(&self, to: SocketAddr) -> Result<UdpSocket, DialError> {
        let platform = self.0.at(to.ip()).ok_or_else(|| nobody(to))?;
        let supervisor = platform.supervisor().ok_or_else(|| nobody(to))?;
        let socket = supervisor.dial_udp(to).await;
        socket.map_err(|error| failed(to, error))
    }
}

fn nobody(to: SocketAddr) -> DialError {
    DialError::NoContainer { address: to.ip() }
}

fn failed(address: SocketAddr, source: SupervisorError) -> DialError {
    DialError::Failed { address, source }
}
