//! User namespaces with the subordinate ids of a caller that is not root.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Pid, Uid, getpid, pipe2, setgid, setgroups, setuid};

use crate::container::wait_for;
use crate::error::{Step, SysError, reason};
use crate::fork::{Forked, SingleThreaded, leave};
use crate::wire::{Reader, Writer};

/// The maximum size of a reason why ids were not mapped, in bytes.
const MAX_REASON: u64 = 4 << 10;
/// What the process that maps ids writes first if it has mapped them.
const MAPPED: &[u8] = b"+";

/// Consecutive user or group ids of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id.
    pub first: u32,
    /// The number of ids.
    pub count: u32,
}

/// The subordinate ids of the caller, as listed for it in `/etc/subuid` and `/etc/subgid`, and the
/// programs that map them.
///
/// In a user namespace with these ids, root is the caller, and the ids from 1 up to the number of
/// subordinate ids are these. Other ids do not exist in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubIds {
    /// The absolute path of the program `newuidmap`.
    pub newuidmap: PathBuf,
    /// The absolute path of the program `newgidmap`.
    pub newgidmap: PathBuf,
    /// The subordinate user ids.
    pub uids: IdRange,
    /// The subordinate group ids.
    pub gids: IdRange,
}

impl SubIds {
    /// Creates a value of the absolute paths of `newuidmap` and `newgidmap` and the ranges that
    /// they may map.
    #[must_use]
    pub fn new(
        newuidmap: impl Into<PathBuf>,
        newgidmap: impl Into<PathBuf>,
        uids: IdRange,
        gids: IdRange,
    ) -> Self {
        Self {
            newuidmap: newuidmap.into(),
            newgidmap: newgidmap.into(),
            uids,
            gids,
        }
    }

    pub(crate) fn encode(&self, to: &mut Writer) {
        for program in [&self.newuidmap, &self.newgidmap] {
            to.path(program);
        }
        for range in [self.uids, self.gids] {
            to.u32(range.first).u32(range.count);
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let range = |from: &mut Reader<'_>| {
            Some(IdRange {
                first: from.u32()?,
                count: from.u32()?,
            })
        };
        Some(Self {
            newuidmap: from.path()?,
            newgidmap: from.path()?,
            uids: range(from)?,
            gids: range(from)?,
        })
    }

    /// Moves this process into a new user namespace, as root of it.
    pub(crate) fn enter(&self, alone: &SingleThreaded) -> Result<(), SysError> {
        let (process, uid, gid) = (getpid(), Uid::effective(), Gid::effective());
        let (asked, ask) = pipe2(OFlag::O_CLOEXEC).step("make a pipe")?;
        let (answered, answer) = pipe2(OFlag::O_CLOEXEC).step("make a pipe")?;
        // The programs must run in the outer namespace, so another process starts them.
        match alone.fork().step("make a process that maps ids")? {
            Forked::Child => {
                drop((ask, answered));
                if File::from(asked).read_exact(&mut [0]).is_ok() {
                    let mapped = self.map(process, uid, gid);
                    let text = mapped.err().map(String::into_bytes);
                    let text = text.unwrap_or_else(|| MAPPED.to_vec());
                    // A parent that has ended does not need it.
                    drop(File::from(answer).write_all(&text));
                }
                leave(0)
            }
            Forked::Parent(child) => {
                drop((asked, answer));
                let made = unshare(CloneFlags::CLONE_NEWUSER).step(USER_NAMESPACE);
                let text = made.and_then(|()| {
                    File::from(ask).write_all(&[1]).step("ask for ids")?;
                    let mut text = Vec::new();
                    let read = File::from(answered).take(MAX_REASON).read_to_end(&mut text);
                    read.step("ask for ids").map(|_| text)
                });
                wait_for(child);
                let text = text?;
                if text != MAPPED {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    return Err(SysError::new("map subordinate ids", io::Error::other(text)));
                }
                setgroups(&[]).step("leave the groups of the host")?;
                setgid(Gid::from_raw(0)).step("become root of the namespace")?;
                setuid(Uid::from_raw(0)).step("become root of the namespace")
            }
        }
    }

    /// Maps the ids of another process, which is in a namespace without ids.
    fn map(&self, process: Pid, uid: Uid, gid: Gid) -> Result<(), String> {
        map(&self.newuidmap, process, uid.as_raw(), self.uids)?;
        map(&self.newgidmap, process, gid.as_raw(), self.gids)
    }
}

/// The step that makes a user namespace, with what it requires.
pub(crate) const USER_NAMESPACE: &str = "make a user namespace; this requires root, or sysctl \
                                         kernel.unprivileged_userns_clone=1 and a \
                                         user.max_user_namespaces above 0";

fn map(program: &Path, process: Pid, own: u32, range: IdRange) -> Result<(), String> {
    let numbers = [0, own, 1, 1, range.first, range.count];
    let ran = Command::new(program)
        .env_clear()
        .arg(process.to_string())
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output();
    match ran {
        Ok(ran) if ran.status.success() => Ok(()),
        Ok(ran) => {
            let text = String::from_utf8_lossy(&ran.stderr);
            Err(format!(
                "{}: {}: {}",
                program.display(),
                ran.status,
                text.trim()
            ))
        }
        Err(error) => Err(format!("{}: {}", program.display(), reason(&error))),
    }
}

/// Moves the calling process into a new user namespace with these ids, in which it is root and may
/// access files of all of them. The process must be single-threaded; threads that it starts later are
/// in the namespace, too.
///
/// # Errors
/// Fails when the process has several threads, when the system refuses user namespaces, and
/// when the programs cannot be executed or refuse the ranges.
pub fn enter_user_namespace(ids: &SubIds) -> Result<(), SysError> {
    ids.enter(&SingleThreaded::verify()?)
}
