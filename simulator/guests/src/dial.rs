//! Connections to servers in containers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tether::SupervisorError;
use tokio::net::TcpStream;

use crate::guest::Shared;

/// Connects to servers in containers, for front ends that publish ports.
#[derive(Clone, Debug)]
pub struct Dialer(pub(crate) Arc<Shared>);

/// The reason why a connection into a container failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// No machine with this name or UUID runs a container.
    #[error("no container runs in a machine {machine:?}")]
    NoContainer {
        /// The name or UUID.
        machine: String,
    },
    /// The connection failed.
    #[error("no connection to port {port} in the machine {machine:?}")]
    Failed {
        /// The machine's name or UUID.
        machine: String,
        /// The port.
        port: u16,
        /// The cause.
        #[source]
        source: SupervisorError,
    },
}

impl Dialer {
    /// Connects to a TCP port of the container in a machine, by the machine's
    /// name or BIOS UUID. In the container the connection comes from itself, to its first
    /// address, or to its loopback address if it has none.
    ///
    /// # Errors
    /// Fails when no container runs in the machine or nothing listens on the port.
    pub async fn dial(&self, machine: &str, port: u16) -> Result<TcpStream, DialError> {
        let nobody = || DialError::NoContainer {
            machine: machine.to_owned(),
        };
        let platform = self.0.machine(machine).ok_or_else(nobody)?;
        let (supervisor, address) = platform.inside().ok_or_else(nobody)?;
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let stream = supervisor.dial(SocketAddr::new(address, port)).await;
        stream.map_err(|source| DialError::Failed {
            machine: machine.to_owned(),
            port,
            source,
        })
    }
}
