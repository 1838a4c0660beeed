//! How a DHCP client reaches servers.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use tokio::net::UdpSocket;

/// The port of DHCP servers.
const SERVERS: u16 = 67;

/// Sends messages to servers and receives their replies.
#[async_trait]
pub(in super::super) trait Wire: fmt::Debug + Send + Sync {
    async fn send(&self, message: &[u8], to: Ipv4Addr) -> io::Result<()>;

    /// Waits for a message, and returns its length. Cancel-safe.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A socket on one card, which needs no address.
#[derive(Debug)]
pub(in super::super) struct Socket(UdpSocket);

impl Socket {
    /// Opens the socket on a device that is switched on.
    pub(in super::super) fn open(device: &str) -> io::Result<Self> {
        let socket = tether_sys::dhcp_socket(device)?;
        UdpSocket::from_std(socket).map(Self)
    }
}

#[async_trait]
impl Wire for Socket {
    async fn send(&self, message: &[u8], to: Ipv4Addr) -> io::Result<()> {
        self.0.send_to(message, (to, SERVERS)).await.map(drop)
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let (length, from) = self.0.recv_from(buffer).await?;
            if from.port() == SERVERS {
                return Ok(length);
            }
        }
    }
}
