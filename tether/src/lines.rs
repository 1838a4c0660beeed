//! The serial lines of a container machine.

use std::fmt;
use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// A bidirectional line.
pub trait Line: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// The serial lines of the machine.
#[async_trait]
pub trait Lines: fmt::Debug + Send + Sync + 'static {
    /// Opens the line over which clients attach; `None` if the machine has none. It is
    /// called again after the previous line has ended or failed, and may wait until the
    /// other end is connected. Cancel-safe.
    ///
    /// # Errors
    /// Fails when the device cannot be opened. The agent continues without it.
    async fn control(&self) -> io::Result<Option<Box<dyn Line>>>;

    /// Opens the line for the output of the processes; `None` if the
    /// machine has none. Called once.
    ///
    /// # Errors
    /// Fails when the device cannot be opened. The agent continues without it.
    async fn log(&self) -> io::Result<Option<Box<dyn AsyncWrite + Send + Unpin>>>;
}
