//! Connections to containers whose processes run on this system, in network namespaces.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use portlayer::network::forward::{Connection, Datagrams, Dialer};

/// Connects from inside the container's network namespace: outside it, there is no route to the
/// container's addresses.
#[derive(Debug)]
pub(crate) struct GuestDialer(pub(crate) simulator_guests::Dialer);

#[async_trait]
impl Dialer for GuestDialer {
    async fn connect(&self, to: SocketAddr) -> io::Result<Box<dyn Connection>> {
        let stream = self.0.connect(to).await.map_err(io::Error::other)?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }

    async fn datagrams(&self, to: SocketAddr) -> io::Result<Box<dyn Datagrams>> {
        let socket = self.0.datagrams(to).await.map_err(io::Error::other)?;
        Ok(Box::new(socket))
    }
}
