//! Transfers tar archives out of a container and into it.
//!
//! A child process of the supervisor does it, so that the root directory and the namespaces are
//! those of the container, and the supervisor does not wait. It treats everything in the container
//! as hostile: each path is resolved inside the root, by the kernel, and the archive's own names are
//! resolved below the destination, without symbolic links and other file systems. Its memory is
//! bounded, whatever the archive contains.

mod entry;
mod notes;
mod pack;
mod reader;
#[cfg(test)]
mod tests;
mod unpack;

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, pipe2, setsid};
use rustix::fs::{CWD, OFlags, ResolveFlags, openat2};

use crate::error::{Step, SysError, reason};
use crate::fork::{Forked, SingleThreaded, leave};
use crate::wire::{Reader, Writer};

/// An archive to transfer, by a process of its own, whose standard output, or input, is the tar
/// archive. It exits with 0 if the archive is complete. Its standard error is then one line for each
/// kind of property that was not preserved, and otherwise the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Archive {
    /// The direction.
    pub direction: ArchiveDirection,
    /// The absolute path in the container: what is copied out of it, or the directory into which
    /// the archive is unpacked.
    pub path: String,
}

/// The direction of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveDirection {
    /// Out of the container.
    Out,
    /// Into the container.
    In,
}

impl Archive {
    /// Creates an archive of a path.
    #[must_use]
    pub fn new(direction: ArchiveDirection, path: impl Into<String>) -> Self {
        Self {
            direction,
            path: path.into(),
        }
    }

    pub(crate) fn encode(&self, to: &mut Writer) {
        to.bool(self.direction == ArchiveDirection::In);
        to.text(&self.path);
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let direction = if from.bool()? {
            ArchiveDirection::In
        } else {
            ArchiveDirection::Out
        };
        let path = from.text()?;
        Some(Self { direction, path })
    }

    /// Starts the transfer. `owners` contains those that an archive shows. Returns the id of its process, and the agent's ends of its streams.
    pub(crate) fn start(
        &self,
        alone: &SingleThreaded,
        owners: Option<&File>,
    ) -> Result<(Pid, Vec<OwnedFd>), SysError> {
        let pipe = || pipe2(OFlag::O_CLOEXEC).step("make a pipe");
        let (mut ours, mut input) = (Vec::new(), None);
        if self.direction == ArchiveDirection::In {
            let (read, write) = pipe()?;
            input = Some(read);
            ours.push(write);
        }
        let (out_read, output) = pipe()?;
        let (err_read, errors) = pipe()?;
        ours.extend([out_read, err_read]);
        match alone.fork().step("start a process")? {
            Forked::Parent(child) => Ok((child, ours)),
            Forked::Child => {
                // Otherwise the end of the input would never be seen.
                drop(ours);
                let streams = (input.map(File::from), File::from(output));
                // A panic must not continue as a second supervisor.
                let done = catch_unwind(AssertUnwindSafe(|| self.run(streams, owners)));
                let (text, status) = match done {
                    Ok(Ok(notes)) => (notes, 0),
                    Ok(Err(failed)) => (format!("{failed}\n"), 1),
                    Err(_panic) => ("a defect of the agent\n".to_owned(), 1),
                };
                // An agent that no longer reads does not need the text.
                let _ = File::from(errors).write_all(text.as_bytes());
                leave(status)
            }
        }
    }

    /// Returns the notes.
    fn run(
        &self,
        (input, output): (Option<File>, File),
        owners: Option<&File>,
    ) -> Result<String, String> {
        let prepared = setsid().step("lead a session").and_then(|_| {
            let none = SigSet::empty();
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&none), None).step("unblock signals")
        });
        prepared.map_err(|error| error.line())?;
        // Modes are those of the archive.
        umask(Mode::empty());
        match input {
            None => pack::pack(&self.path, output, owners),
            Some(input) => unpack::unpack(&self.path, input),
        }
    }
}

/// Opens `opened`, which is `path` or its parent directory, in the container. Symbolic links are resolved inside the root, and those of `/proc`
/// that lead to the files of processes are refused.
fn open_in_root(path: &[u8], opened: &[u8], flags: OFlags) -> Result<OwnedFd, String> {
    let root = openat2(
        CWD,
        c"/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
        ResolveFlags::empty(),
    );
    let opened = root.and_then(|root| {
        openat2(
            &root,
            opened,
            flags | OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    });
    opened.map_err(|error| failed(path, &error.into()))
}

/// Returns the text of a failure that concerns a file.
fn failed(name: &[u8], error: &io::Error) -> String {
    format!("{}: {}", quoted(name), reason(error))
}

/// Returns a name in quotes, for a message.
fn quoted(name: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(name))
}
