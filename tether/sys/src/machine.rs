//! Runs the first process of a machine.

use std::convert::Infallible;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, sync};

use crate::container::serve;
use crate::error::{Step, SysError};
use crate::fork::{Forked, SingleThreaded, leave};
use crate::socket::pair;

/// The directory of the kernel's modules, which are loaded in the order of their names.
const MODULES: &str = "/modules";
/// How long the agent may take for its last report, after the supervisor has ended.
const LAST_REPORT: Duration = Duration::from_secs(30);
/// The polling interval.
const PAUSE: Duration = Duration::from_millis(10);

/// Runs a machine as its first process: mounts `/proc`, `/sys` and `/dev`, and loads the kernel
/// modules in `/modules` in the order of their names. Then it calls `agent` in a new process, with
/// one end of a socket and a note for each step that failed, and serves the other end as the
/// supervisor. When the agent ends, everything in the machine is killed, and the machine is
/// switched off.
///
/// # Errors
/// Fails in a process other than the first, and when the machine cannot be switched off. Never
/// returns otherwise.
pub fn run_machine(
    agent: impl FnOnce(OwnedFd, Vec<String>) -> i32,
) -> Result<Infallible, SysError> {
    if std::process::id() != 1 {
        let other = std::io::Error::other("this is not the first process of a machine");
        return Err(SysError::new("run a machine", other));
    }
    let mut notes = Vec::new();
    for (kind, path, flags) in [
        (
            "proc",
            "/proc",
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        ),
        (
            "sysfs",
            "/sys",
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC,
        ),
        ("devtmpfs", "/dev", MsFlags::MS_NOSUID),
    ] {
        note(
            &mut notes,
            fs::create_dir_all(path).step(format_args!("make {path}")),
        );
        let mounted = mount(Some(kind), path, Some(kind), flags, None::<&str>);
        note(&mut notes, mounted.step(format_args!("mount {path}")));
    }
    load_modules(&mut notes);
    let ran = run_agent(agent, notes);
    sync();
    // The machine is switched off even after a failure, which the caller can only print.
    let off = reboot(RebootMode::RB_POWER_OFF).step("switch the machine off");
    ran.and(off)
}

fn run_agent(
    agent: impl FnOnce(OwnedFd, Vec<String>) -> i32,
    mut notes: Vec<String>,
) -> Result<(), SysError> {
    let alone = SingleThreaded::verify()?;
    let (ours, theirs) = pair().step("make a pair of sockets")?;
    match alone.fork().step("start the agent")? {
        Forked::Child => {
            drop(ours);
            // When memory runs out, the kernel kills a process of the container instead.
            let exempt = fs::write("/proc/self/oom_score_adj", "-1000");
            note(
                &mut notes,
                exempt.step("protect the agent when memory runs out"),
            );
            leave(agent(theirs, notes))
        }
        Forked::Parent(child) => {
            drop(theirs);
            let served = serve(&ours, &alone, Some(child.as_raw()));
            drop(ours);
            // The agent may still have to report the failure.
            wait_for(child);
            served
        }
    }
}

/// Waits until the agent has ended, for at most [`LAST_REPORT`].
fn wait_for(agent: Pid) {
    let begun = Instant::now();
    while begun.elapsed() < LAST_REPORT {
        match waitpid(agent, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => {}
            _ => return,
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the first process of a machine has one thread and nothing else to do"
        )]
        sleep(PAUSE);
    }
}

fn note(notes: &mut Vec<String>, done: Result<(), SysError>) {
    if let Err(error) = done {
        notes.push(error.line());
    }
}

fn load_modules(notes: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(MODULES) else {
        // A kernel may have all drivers built in.
        return;
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        note(
            notes,
            load(&path).step(format_args!("load {}", path.display())),
        );
    }
}

fn load(path: &Path) -> std::io::Result<()> {
    let file = File::open(path)?;
    Ok(finit_module(&file, c"", ModuleInitFlags::empty())?)
}
