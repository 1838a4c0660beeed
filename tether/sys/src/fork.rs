//! Forks the process, which is sound only if it is single-threaded.

use std::{fs, io};

use nix::unistd::{ForkResult, Pid};

use crate::error::{Step, SysError};

/// Proof that the process had one thread when this value was created. The owner must not start
/// a thread.
#[derive(Debug)]
pub(crate) struct SingleThreaded(());

/// The process in which a fork returns.
pub(crate) enum Forked {
    Child,
    Parent(Pid),
}

impl SingleThreaded {
    /// Checks that the process has one thread.
    pub(crate) fn verify() -> Result<Self, SysError> {
        let threads = fs::read_dir("/proc/self/task").step("count the threads in /proc")?;
        if threads.count() == 1 {
            return Ok(Self(()));
        }
        let text = "this must be called first in main, before any thread starts";
        Err(SysError::new(
            "become the supervisor of a container in a process with threads",
            io::Error::other(text),
        ))
    }

    pub(crate) fn fork(&self) -> nix::Result<Forked> {
        #[expect(unsafe_code, reason = "fork is unsafe in a process with threads")]
        // SAFETY: `self` proves that the process has one thread. So no lock is held by a
        // thread that the child does not have, and the child may call any function.
        let forked = unsafe { nix::unistd::fork() }?;
        Ok(match forked {
            ForkResult::Child => Forked::Child,
            ForkResult::Parent { child } => Forked::Parent(child),
        })
    }
}

/// Ends the process immediately, without destructors and without flushing buffers that were
/// copied from the parent.
pub(crate) fn leave(status: i32) -> ! {
    #[expect(unsafe_code, reason = "there is no safe wrapper of _exit")]
    // SAFETY: the call takes a number and does not return.
    unsafe {
        nix::libc::_exit(status)
    }
}
