//! Transfers archives out of a container, and into it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::SessionError;
use super::attach::{Attach, Control, Event, Input, Output};
use crate::Stream;
use crate::ssh::reload::one_line;
use crate::ssh::{ArchiveDirection, Exit};

/// The maximum number of bytes that are kept of what the guest says about an archive.
const MAX_TEXT: usize = 16 * 1024;
/// The maximum length of a reason or a note, in bytes.
const MAX_LINE: usize = 1024;
/// The maximum number of bytes that the guest may say about an archive. There is no reason to say
/// more, and the transfer would never end.
const MAX_SAID: usize = 1024 * 1024;

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
///
/// The guest determines the length of the archive, which may be endless; the caller limits it.
#[derive(Debug)]
pub struct ArchiveOut {
    guest: Guest,
    /// Keep the channel open for the guest's end of the transfer.
    _input: Input,
    ended: bool,
}

/// An archive that is being copied into a container. Dropping it ends the transfer: what the guest
/// has unpacked by then remains.
#[derive(Debug)]
pub struct ArchiveIn {
    guest: Guest,
    input: Input,
}

impl ArchiveOut {
    pub(super) fn new(path: &str, attach: Attach, patience: Duration) -> Self {
        let (guest, input) = Guest::new(ArchiveDirection::Out, path, attach, patience);
        Self {
            guest,
            _input: input,
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
    /// [`ArchiveError`] if the archive is incomplete, also if the guest has sent nothing for the time
    /// of [`Connector::answer_timeout`](super::Connector::answer_timeout). What was returned before
    /// must not be relied on.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        if self.ended {
            return Ok(None);
        }
        match self.guest.next().await {
            Ok(None) => {
                self.ended = true;
                Ok(None)
            }
            Ok(data) => Ok(data),
            Err(cause) => Err(self.guest.error(cause)),
        }
    }

    /// Returns one line for each property that was not preserved. Complete after the last chunk.
    /// The lines come from the guest and are not trusted.
    pub fn notes(&self) -> Vec<String> {
        self.guest.said.lines()
    }
}

impl ArchiveIn {
    pub(super) fn new(path: &str, attach: Attach, patience: Duration) -> Self {
        let (guest, input) = Guest::new(ArchiveDirection::In, path, attach, patience);
        Self { guest, input }
    }

    /// Sends a chunk of the tar archive; waits if the guest does not keep up.
    ///
    /// Cancel safe: either the whole chunk is sent or nothing.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] with the reason of the guest if it has stopped reading, also if it has read
    /// nothing for the time of [`Connector::answer_timeout`](super::Connector::answer_timeout).
    pub async fn send(&mut self, data: Bytes) -> Result<(), ArchiveError> {
        let after = self.guest.patience;
        match self.input.send_unless_stalled(data, after).await {
            Ok(()) => return Ok(()),
            Err(error @ SessionError::NoAnswer { .. }) => {
                return Err(self.guest.error(error));
            }
            Err(_) => {}
        }
        let cause = match self.guest.end().await {
            Ok(()) => ArchiveCause::Ended,
            Err(cause) => cause,
        };
        Err(self.guest.error(cause))
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
        let ended = self.input.end_unless_stalled(self.guest.patience).await;
        if let Err(error @ SessionError::NoAnswer { .. }) = ended {
            return Err(self.guest.error(error));
        }
        match self.guest.end().await {
            Ok(()) => Ok(self.guest.said.lines()),
            Err(cause) => Err(self.guest.error(cause)),
        }
    }
}

/// The guest's end of a transfer.
#[derive(Debug)]
struct Guest {
    direction: ArchiveDirection,
    path: String,
    output: Output,
    _control: Control,
    said: Said,
    /// How long the guest may send nothing.
    patience: Duration,
}

impl Guest {
    fn new(
        direction: ArchiveDirection,
        path: &str,
        attach: Attach,
        patience: Duration,
    ) -> (Self, Input) {
        let Attach {
            input,
            output,
            control,
        } = attach;
        let guest = Self {
            direction,
            path: path.to_owned(),
            output,
            _control: control,
            said: Said::default(),
            patience,
        };
        (guest, input)
    }

    /// Waits for the next data. Returns `None` when the guest has ended successfully. Cancel safe.
    async fn next(&mut self) -> Result<Option<Bytes>, ArchiveCause> {
        let after = self.patience;
        loop {
            let event = timeout(after, self.output.next()).await;
            match event.map_err(|_elapsed| SessionError::NoAnswer { after })? {
                Some(Event::Data(Stream::Stdout, data)) => return Ok(Some(data)),
                Some(Event::Data(Stream::Stderr, data)) => self.said.add(&data)?,
                Some(Event::Exit(Exit::Code(0))) => return Ok(None),
                Some(Event::Exit(exit)) => return Err(self.said.cause(&exit)),
                None => return Err(SessionError::Lost.into()),
            }
        }
    }

    /// Waits until the guest, which receives an archive, ends.
    async fn end(&mut self) -> Result<(), ArchiveCause> {
        match self.next().await? {
            None => Ok(()),
            // The receiver of an archive has nothing to send, and could send forever.
            Some(_) => Err(SessionError::Invalid.into()),
        }
    }

    fn error(&self, cause: impl Into<ArchiveCause>) -> ArchiveError {
        error(self.direction, &self.path, cause)
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
struct Said {
    start: Vec<u8>,
    /// The number of bytes that were said in total.
    bytes: usize,
}

impl Said {
    fn add(&mut self, data: &[u8]) -> Result<(), SessionError> {
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes > MAX_SAID {
            return Err(SessionError::Invalid);
        }
        let room = MAX_TEXT - self.start.len();
        self.start.extend_from_slice(&data[..data.len().min(room)]);
        Ok(())
    }

    fn cause(&self, exit: &Exit) -> ArchiveCause {
        let said = one_line(&String::from_utf8_lossy(&self.start), MAX_LINE);
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
        let text = String::from_utf8_lossy(&self.start);
        let lines = text.lines().map(|line| one_line(line, MAX_LINE));
        lines.filter(|line| !line.is_empty()).collect()
    }
}
