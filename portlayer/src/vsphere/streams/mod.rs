//! The streams of containers on vSphere.
//!
//! The output of processes is stored in the log of their machine, `serial1`, and is read from the
//! datastore. Attaching uses `serial0`, which connects to the `LineServer` and needs the feature
//! `attach`.
//!
//! The path of a log is that of the serial port's file. vSphere leaves that file where it is when it
//! moves the other files of a machine to another datastore, but it may be moved by hand, and then the
//! port's path is changed. So readers that find the file missing look the path up again, and so does
//! the reader of the followers when the machine was moved. They continue at the same offset if the
//! file has the bytes that were read last before it. Otherwise it is a new file of the same log.
//!
//! The line may connect too late for the first output. VIC 0.4 has no key that makes a process wait
//! for the line. So a caller that attaches to such a container before its start receives the output
//! from the log as it grows. If the machine powers off while a caller is waiting for the line, the
//! caller receives what was logged since it attached.

#[cfg(feature = "attach")]
mod attach;
#[cfg(feature = "attach")]
mod hub;
#[cfg(feature = "attach")]
mod joins;
#[cfg(feature = "attach")]
mod lines;
mod log_place;
mod log_source;
mod logs;
#[cfg(feature = "attach")]
mod member;
#[cfg(feature = "attach")]
mod output;
mod recent_blocks;
#[cfg(feature = "attach")]
mod run_events;
#[cfg(feature = "attach")]
mod run_log;
mod tailer;
#[cfg(feature = "attach")]
mod unread;

use std::sync::Arc;

use async_trait::async_trait;

#[cfg(feature = "attach")]
pub use lines::LineServer;

use self::tailer::Tailers;
use super::exec::VsphereExec;
use crate::stream::{AttachOptions, Attached, LogOptions, LogStream, Streams, WindowSize};
#[cfg(not(feature = "attach"))]
use crate::{Capability, Error, Resource};
use crate::{ContainerId, Result};

/// The streams of one host's containers.
#[derive(Clone, Debug)]
pub(super) struct VsphereStreams {
    exec: VsphereExec,
    tailers: Arc<Tailers>,
    #[cfg(feature = "attach")]
    lines: Option<Arc<lines::Lines>>,
}

impl VsphereStreams {
    /// Creates streams with logs only.
    pub(super) fn new(exec: VsphereExec) -> Self {
        Self {
            exec,
            tailers: Arc::default(),
            #[cfg(feature = "attach")]
            lines: None,
        }
    }

    /// Creates streams with logs, and with the lines of this server.
    #[cfg(feature = "attach")]
    pub(super) fn with_lines(exec: VsphereExec, server: LineServer) -> Result<Self> {
        Ok(Self {
            lines: Some(Arc::new(lines::Lines::serve(exec.clone(), server)?)),
            ..Self::new(exec)
        })
    }
}

#[async_trait]
impl Streams for VsphereStreams {
    #[cfg(feature = "attach")]
    async fn attach(&self, id: &ContainerId, options: AttachOptions) -> Result<Attached> {
        self.attach_to(id, options).await
    }

    #[cfg(not(feature = "attach"))]
    async fn attach(&self, id: &ContainerId, _options: AttachOptions) -> Result<Attached> {
        Err(Error::unsupported(
            Resource::container(id),
            Capability::Attach,
        ))
    }

    #[cfg(feature = "attach")]
    async fn resize(&self, id: &ContainerId, size: WindowSize) -> Result<()> {
        self.resize_terminal(id, size).await
    }

    #[cfg(not(feature = "attach"))]
    async fn resize(&self, id: &ContainerId, _size: WindowSize) -> Result<()> {
        Err(Error::unsupported(
            Resource::container(id),
            Capability::Attach,
        ))
    }

    async fn logs(&self, id: &ContainerId, options: LogOptions) -> Result<LogStream> {
        self.read_logs(id, options).await
    }
}
