//! Ports of scripted containers.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use portlayer::network::forward::{Connection, Datagrams, Dialer};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Mutex, mpsc};

/// Connects to ports that return what they receive, over TCP and UDP.
#[derive(Clone, Copy, Debug, Default)]
pub struct EchoDialer;

#[async_trait]
impl Dialer for EchoDialer {
    async fn connect(&self, _: SocketAddr) -> io::Result<Box<dyn Connection>> {
        let (near, far) = tokio::io::duplex(4096);
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(far);
            let _ended = tokio::io::copy(&mut reader, &mut writer).await;
            let _ended = writer.shutdown().await;
        });
        Ok(Box::new(near))
    }

    async fn datagrams(&self, _: SocketAddr) -> io::Result<Box<dyn Datagrams>> {
        let (sender, receiver) = mpsc::channel(16);
        Ok(Box::new(Echo {
            sender,
            receiver: Mutex::new(receiver),
        }))
    }
}

struct Echo {
    sender: mpsc::Sender<Vec<u8>>,
    receiver: Mutex<mpsc::Receiver<Vec<u8>>>,
}

#[async_trait]
impl Datagrams for Echo {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        // The queue is full: drop it, as a network does.
        let _sent = self.sender.try_send(datagram.to_vec());
        Ok(())
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(datagram) = self.receiver.lock().await.recv().await else {
            return std::future::pending().await;
        };
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(length)
    }
}
