//! Connections to ports of containers.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};

/// A bidirectional stream of bytes.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// A socket for datagrams to and from one port of a container.
#[async_trait]
pub trait Datagrams: Send + Sync {
    /// Sends one datagram.
    ///
    /// # Errors
    /// Returns the errors of the network.
    async fn send(&self, datagram: &[u8]) -> io::Result<()>;

    /// Waits for the next datagram and returns its length. Cancel safe.
    ///
    /// # Errors
    /// Returns the errors of the network.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Connects to ports of containers.
#[async_trait]
pub trait Dialer: fmt::Debug + Send + Sync + 'static {
    /// Connects to a TCP port. Dropping the future cancels it.
    ///
    /// # Errors
    /// Returns the errors of the network.
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Connection>>;

    /// Opens a socket for datagrams to and from a UDP port.
    ///
    /// # Errors
    /// Returns the errors of the network.
    async fn datagrams(&self, to: SocketAddr) -> io::Result<Box<dyn Datagrams>>;
}

/// Connects to containers through the local kernel, which must have a route to them.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelDialer;

#[async_trait]
impl Dialer for KernelDialer {
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Connection>> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    async fn datagrams(&self, to: SocketAddr) -> io::Result<Box<dyn Datagrams>> {
        let any: SocketAddr = match to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(to).await?;
        Ok(Box::new(socket))
    }
}

#[async_trait]
impl Datagrams for UdpSocket {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        Self::send(self, datagram).await.map(drop)
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer).await
    }
}
