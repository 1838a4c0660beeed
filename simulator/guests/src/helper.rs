//! Executes this program again, as the first process of a container.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use tether::Supervisor;
use tether::sys::SubIds;
use tokio::process::{Child, Command};

use crate::file_job::FileJob;
use crate::platform::causes;

/// The program name that makes [`init`] run a supervisor.
const NAME: &str = "vsphere-simulator-guest";

/// Whether [`init`] was called; otherwise this program must not be executed again.
static READY: AtomicBool = AtomicBool::new(false);

/// Allows this program to be the first process of containers. Call it first in `main`, before
/// any thread is started and before arguments are parsed. It does not return in a process that
/// was started for a container.
///
/// In a `main` with `#[tokio::main]`, threads are already running. Write
/// `fn main() { simulator_guests::init(); … }` and create the runtime afterwards.
#[expect(
    clippy::disallowed_methods,
    reason = "a container's first process must not run the program's own main"
)]
pub fn init() {
    if std::env::args_os().next().as_deref() != Some(OsStr::new(NAME)) {
        READY.store(true, Ordering::Release);
        return;
    }
    if std::env::args_os().len() > 1 {
        std::process::exit(i32::from(!run_job()));
    }
    let socket = io::stdin().as_fd().try_clone_to_owned();
    let done = match socket {
        // The parent process detects a failure by the closed socket.
        Ok(socket) => tether::sys::run_container(socket).is_ok(),
        Err(_) => false,
    };
    std::process::exit(i32::from(!done));
}

/// Does the work on files that the arguments describe. Returns whether it succeeded.
fn run_job() -> bool {
    let Some((ids, job)) = FileJob::parse(std::env::args_os().skip(1)) else {
        return false;
    };
    let done = job.run_in_namespace(&ids);
    if let Err(error) = &done {
        // Without the text, the parent process reports the exit status.
        drop(io::stderr().write_all(causes(error).as_bytes()));
    }
    done.is_ok()
}

/// The program that is executed as the first process of containers.
#[derive(Clone, Debug)]
pub(crate) struct Helper(PathBuf);

impl Helper {
    /// Returns `other`, which must call [`init`], or by default the current program; `None` if
    /// the current program has not called it.
    pub(crate) fn find(other: Option<&Path>) -> Option<Self> {
        match other {
            Some(path) => Some(Self(path.to_owned())),
            None => READY
                .load(Ordering::Acquire)
                .then(|| Self(PathBuf::from("/proc/self/exe"))),
        }
    }

    /// Starts a supervisor. The child ends when the supervisor is dropped. When it has ended,
    /// all processes of the container have ended.
    pub(crate) fn start(&self) -> io::Result<(Supervisor, Child)> {
        let (ours, theirs): (OwnedFd, OwnedFd) = tether::sys::pair()?;
        let supervisor = Supervisor::new(ours)?;
        let child = Command::new(&self.0)
            .arg0(NAME)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal from the keyboard, such as Ctrl-C, must reach only the simulator, which then
            // ends its guests.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok((supervisor, child))
    }

    /// Does work on files in a process of its own, which has these ids. Blocks until it is done.
    ///
    /// # Errors
    /// Fails when the work fails, with the reason as text.
    pub(crate) fn run(&self, ids: &SubIds, job: &FileJob) -> io::Result<()> {
        let ran = std::process::Command::new(&self.0)
            .arg0(NAME)
            .args(job.arguments(ids))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .output()?;
        if ran.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&ran.stderr);
        Err(io::Error::other(if text.is_empty() {
            format!("the helper process ended: {}", ran.status)
        } else {
            text.into_owned()
        }))
    }
}
