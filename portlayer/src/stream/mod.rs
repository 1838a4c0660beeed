//! Streams: input and output of a container's process.

mod attach;
mod input;
mod log;

use async_trait::async_trait;

pub use attach::{AttachOptions, Attached, Chunk, Input, Output, StdStream, WindowSize};
pub(crate) use input::{Hold, Source};
pub use log::{LogOptions, LogRecord, LogStream, LogTail};

use crate::{ContainerId, Result};

/// The streams of the containers of one virtual container host.
///
/// # Guarantees
/// - **Nothing is lost from the first byte to the last.** If a caller attached to a container
///   before its start, the process does not run before its streams are connected, or its output is
///   taken from its log from the first byte on; the output ends only after the process's last
///   byte.
/// - **The end is seen.** The output ends in bounded time after the container has stopped or was
///   removed, even if its streams were never connected.
/// - **Several readers, one writer.** Any number of callers may read one container's output; one
///   at a time holds its input.
/// - **Back-pressure.** A slow reader slows the process down once a bounded amount
///   is buffered; memory never grows without bound.
/// - **Detach by dropping.** Dropping what `attach` returned leaves the container running.
#[async_trait]
pub trait Streams: std::fmt::Debug + Send + Sync + 'static {
    /// Connects to the streams of a container's process, even before it is started.
    ///
    /// For a container that is not on, this returns as soon as the request is registered; the
    /// output starts when the process does. For one that is on, it returns once the serial line to
    /// the guest is connected.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound).
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) for a container that can never run again.
    /// - [`InUse`](crate::ErrorKind::InUse) if input is requested and another caller has it, or
    ///   if its process has not read the input of several earlier callers.
    /// - [`Timeout`](crate::ErrorKind::Timeout) if the line to the guest was not connected in time.
    /// - [`PermissionDenied`](crate::ErrorKind::PermissionDenied) if the guest on the line cannot
    ///   prove which container it is.
    async fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<Attached>;

    /// Sets the size of the terminal of a container's process. While no process runs, the size is
    /// stored for the next start.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound).
    /// - [`InvalidArgument`](crate::ErrorKind::InvalidArgument) if its process has no terminal.
    async fn resize(&self, id: &ContainerId, size: WindowSize) -> Result<()>;

    /// Returns the output of a container's processes, from all runs, oldest first.
    ///
    /// A log that is followed ends when the container is stopped or removed. It continues if the
    /// container's files are moved to another directory or datastore while it is read: every record
    /// is returned once.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound).
    /// - Errors while reading are items of the stream. If the log is deleted before it was read to
    ///   its end, the stream ends with an error.
    async fn logs(&self, id: &ContainerId, options: LogOptions) -> Result<LogStream>;
}
