//! Transfers archives out of a container, and into it.

use std::fmt;

use bytes::Bytes;

use super::SessionError;
use super::attach::{Attach, Control, Event, Input, Output};
use crate::Stream;
use crate::ssh::reload::one_line;
use crate::ssh::{ArchiveDirection, Exit};

/// The maximum number of bytes that are kept of what the guest says about an archive.
const MAX_TEXT: usize = 16 * 1024;
/// The maximum length of a reason or a note, in bytes.
const MAX_LINE: usize = 1024;

/// The error when an archive was not transferred completely.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchiveError {
    /// The direction.
    pub direction: ArchiveDirection,
    /// The path in the container.
    pub path: String,
    /// The reason.
    pub cause: ArchiveCause,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.direction {
            ArchiveDirection::Out => write!(f, "{path:?} cannot be copied out of the container"),
            ArchiveDirection::In => {
                write!(
                    f,
                    "an archive cannot be unpacked into {path:?} of the container"
                )
            }
        }
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// The reason why an archive was not transferred completely.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveCause {
    /// The request was refused, or the line was lost before the end.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The guest reported a failure.
    #[error("the guest reports: {reason}")]
    Guest {
        /// The reason, in one line. It comes from the guest and is not trusted.
        reason: String,
    },
    /// Data was sent for an archive that has already failed or ended.
    #[error("the guest has stopped reading the archive")]
    Ended,
}

/// An archive that is being copied out of a container. Dropping it ends the transfer.
#[derive(Debug)]
pub struct ArchiveOut {
    path: String,
    output: Output,
    /// Keep the channel open for the guest's end of the transfer.
    _input: Input,
    _control: Control,
    said: Said,
    ended: bool,
}

/// An archive that is being copied into a container. Dropping it ends the transfer: what the guest
/// has unpacked by then remains.
#[derive(Debug)]
pub struct ArchiveIn {
    path: String,
    input: Input,
    output: Output,
    _control: Control,
    said: Said,
}

impl ArchiveOut {
    pub(super) fn new(path: &str, attach: Attach) -> Self {
        let Attach {
            input,
            output,
            control,
        } = attach;
        Self {
            path: path.to_owned(),
            output,
            _input: input,
            _control: control,
            said: Said::default(),
            ended: false,
        }
    }

    /// Waits for the next chunk of the tar archive. Returns `None` only after the last chunk of a
    /// complete archive.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] if the archive is incomplete. What was returned before must not be relied
    /// on.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        if self.ended {
            return Ok(None);
        }
        let cause = loop {
            match self.output.next().await {
                Some(Event::Data(Stream::Stdout, data)) => return Ok(Some(data)),
                Some(Event::Data(Stream::Stderr, data)) => self.said.add(&data),
                Some(Event::Exit(Exit::Code(0))) => {
                    self.ended = true;
                    return Ok(None);
                }
                Some(Event::Exit(exit)) => break self.said.cause(&exit),
                None => break SessionError::Lost.into(),
            }
        };
        Err(error(ArchiveDirection::Out, &self.path, cause))
    }

    /// Returns one line for each property that was not preserved. Complete after the last chunk.
    /// The lines come from the guest and are not trusted.
    pub fn notes(&self) -> Vec<String> {
        self.said.lines()
    }
}

impl ArchiveIn {
    pub(super) fn new(path: &str, attach: Attach) -> Self {
        let Attach {
            input,
            output,
            control,
        } = attach;
        Self {
            path: path.to_owned(),
            input,
            output,
            _control: control,
            said: Said::default(),
        }
    }

    /// Sends a chunk of the tar archive; waits if the guest does not keep up.
    ///
    /// Cancel safe: either the whole chunk is sent or nothing.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] with the reason of the guest if it has stopped reading.
    pub async fn send(&mut self, data: Bytes) -> Result<(), ArchiveError> {
        match self.input.send(data).await {
            Ok(()) => Ok(()),
            Err(_) => {
                let cause = match self.end().await {
                    Ok(()) => ArchiveCause::Ended,
                    Err(cause) => cause,
                };
                Err(error(ArchiveDirection::In, &self.path, cause))
            }
        }
    }

    /// Ends the archive, and waits until the guest has unpacked all of it. Returns one line for
    /// each property that was not preserved; the lines come from the guest and are not trusted.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] if the archive was refused or is incomplete. What was unpacked by then
    /// remains.
    pub async fn finish(mut self) -> Result<Vec<String>, ArchiveError> {
        // Fails if the guest has already ended, which its exit explains.
        let _ = self.input.end().await;
        match self.end().await {
            Ok(()) => Ok(self.said.lines()),
            Err(cause) => Err(error(ArchiveDirection::In, &self.path, cause)),
        }
    }

    /// Waits for the exit of the guest's end.
    async fn end(&mut self) -> Result<(), ArchiveCause> {
        loop {
            match self.output.next().await {
                Some(Event::Data(Stream::Stdout, _)) => {}
                Some(Event::Data(Stream::Stderr, data)) => self.said.add(&data),
                Some(Event::Exit(Exit::Code(0))) => return Ok(()),
                Some(Event::Exit(exit)) => return Err(self.said.cause(&exit)),
                None => return Err(SessionError::Lost.into()),
            }
        }
    }
}

pub(super) fn error(
    direction: ArchiveDirection,
    path: &str,
    cause: impl Into<ArchiveCause>,
) -> ArchiveError {
    ArchiveError {
        direction,
        path: path.to_owned(),
        cause: cause.into(),
    }
}

/// What the guest said about an archive, of which only the start is kept.
#[derive(Debug, Default)]
struct Said(Vec<u8>);

impl Said {
    fn add(&mut self, data: &[u8]) {
        let room = MAX_TEXT - self.0.len();
        self.0.extend_from_slice(&data[..data.len().min(room)]);
    }

    fn cause(&self, exit: &Exit) -> ArchiveCause {
        let said = one_line(&String::from_utf8_lossy(&self.0), MAX_LINE);
        let reason = match exit {
            _ if !said.is_empty() => said,
            Exit::Code(code) => format!("exit status {code}"),
            Exit::Signal { name, .. } => {
                format!("ended by the signal {}", one_line(name, MAX_LINE))
            }
        };
        ArchiveCause::Guest { reason }
    }

    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0);
        let lines = text.lines().map(|line| one_line(line, MAX_LINE));
        lines.filter(|line| !line.is_empty()).collect()
    }
}
