//! The serial lines of a container machine.

use std::fmt;
use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// A line that carries bytes both ways.
pub trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// The serial lines that the host gave the machine.
#[async_trait]
pub trait Lines: fmt::Debug + Send + Sync + 'static {
    /// The line over which clients attach; `None` if the machine has none. It is
    /// asked for again when the last one has failed, and may wait until
    /// somebody is at the other end. Cancel-safe.
    ///
    /// # Errors
    /// When the device cannot be opened. The agent goes on without.
    async fn control(&self) -> io::Result<Option<Box<dyn Line>>>;

    /// The line to which the output of the processes is written; `None` if the
    /// machine has none. Asked for once.
    ///
    /// # Errors
    /// When the device cannot be opened. The agent goes on without.
    async fn log(&self) -> io::Result<Option<Box<dyn AsyncWrite + Send + Unpin>>>;
}
