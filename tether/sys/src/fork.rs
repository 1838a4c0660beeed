//! Forking, which is sound only in a single-threaded process.

use std::{fs, io};

use nix::unistd::{ForkResult, Pid};

use crate::error::{Step, SysError};

/// Evidence that the process had one thread when it was looked at. A caller that holds
/// it starts no thread.
#[derive(Debug)]
pub(crate) struct SingleThreaded(());

/// The side of a fork that returns.
pub(crate) enum Forked {
    Child,
    Parent(Pid),
}

impl SingleThreaded {
    /// Looks at the process.
    pub(crate) fn verify() -> Result<Self, SysError> {
        let threads = fs::read_dir("/proc/self/task").step("count the threads in /proc")?;
        if threads.count() == 1 {
            return Ok(Self(()));
        }
        let text = "it must be called first in main, before any thread starts";
        Err(SysError::new(
            "become the supervisor of a container in a process with threads",
            io::Error::other(text),
        ))
    }

    pub(crate) fn fork(&self) -> nix::Result<Forked> {
        #[expect(unsafe_code, reason = "fork is unsafe in a process with threads")]
        // SAFETY: the process has one thread, `self` says. So no lock is held by
        // a thread that the child lacks, and the child may do all that we may do.
        let forked = unsafe { nix::unistd::fork() }?;
        Ok(match forked {
            ForkResult::Child => Forked::Child,
            ForkResult::Parent { child } => Forked::Parent(child),
        })
    }
}

/// Ends the process at once: without destructors and without flushing what the
/// parent has buffered.
pub(crate) fn leave(status: i32) -> ! {
    #[expect(unsafe_code, reason = "there is no safe wrapper of _exit")]
    // SAFETY: the call takes a number and does not come back.
    unsafe {
        nix::libc::_exit(status)
    }
}
