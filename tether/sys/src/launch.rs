//! Starts a process: everything between `fork` and `exec`.

use std::ffi::{CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    AccessFlags, Gid, Pid, Uid, access, chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve,
    fchown, pipe2, setgid, setgroups, setsid, setuid, write,
};

use crate::account::Account;
use crate::error::{Step, SysError, reason};
use crate::fork::{Forked, SingleThreaded};
use crate::limit::Limit;
use crate::message::TerminalSize;
use crate::terminal;
use crate::wire::{Reader, Writer};

/// The default of `PATH`.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The maximum size of a reason why a process could not be started, in bytes.
const MAX_REASON: u64 = 4 << 10;

/// A process to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launch {
    /// The program: a path, or a name to look up in `PATH`.
    pub path: String,
    /// The arguments, starting with the program's name.
    pub args: Vec<String>,
    /// The environment, `NAME=value` each. `PATH`, `HOME`, `HOSTNAME` and, with
    /// a terminal, `TERM` are added if they are missing.
    pub env: Vec<String>,
    /// The working directory, which is created if necessary; empty for `/`.
    pub dir: String,
    /// The user, by name or number, optionally as `user:group`; empty for root.
    pub user: String,
    /// The group, by name or number; empty for the user's.
    pub group: String,
    /// The size of its terminal; `None` for pipes.
    pub terminal: Option<TerminalSize>,
    /// Whether standard input is a pipe; otherwise it is empty. Ignored with a terminal.
    pub open_stdin: bool,
    /// The limits of its resources; those that are not listed are the supervisor's.
    pub limits: Vec<Limit>,
}

impl Launch {
    /// Creates a launch of a program with these arguments, in addition to its name, as root,
    /// without a terminal and without input.
    #[must_use]
    pub fn new(path: impl Into<String>, args: impl IntoIterator<Item = String>) -> Self {
        let path = path.into();
        let args = std::iter::once(path.clone()).chain(args).collect();
        Self {
            path,
            args,
            ..Self::default()
        }
    }

    pub(crate) fn encode(&self, to: &mut Writer) {
        to.text(&self.path);
        for list in [&self.args, &self.env] {
            to.list(list, |to, text| {
                to.text(text);
            });
        }
        to.text(&self.dir).text(&self.user).text(&self.group);
        to.bool(self.terminal.is_some());
        let size = self.terminal.unwrap_or_default();
        to.u32(size.columns.into()).u32(size.rows.into());
        to.bool(self.open_stdin);
        to.list(&self.limits, |to, limit| limit.encode(to));
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            path: from.text()?,
            args: from.list(Reader::text)?,
            env: from.list(Reader::text)?,
            dir: from.text()?,
            user: from.text()?,
            group: from.text()?,
            terminal: {
                let (there, columns, rows) = (from.bool()?, from.u32()?, from.u32()?);
                let size = TerminalSize {
                    columns: columns.try_into().ok()?,
                    rows: rows.try_into().ok()?,
                };
                there.then_some(size)
            },
            open_stdin: from.bool()?,
            limits: from.list(Limit::decode)?,
        })
    }

    /// Starts the process in a new session. Returns its id, and the agent's ends of its
    /// streams.
    pub(crate) fn start(&self, alone: &SingleThreaded) -> Result<(Pid, Vec<OwnedFd>), String> {
        let account = Account::find(&self.user, &self.group)?;
        let streams = self.streams(&account).map_err(|error| error.line())?;
        let prepared = self.prepare(&account)?;
        let (read, write) = pipe2(OFlag::O_CLOEXEC)
            .step("make a pipe")
            .map_err(|e| e.line())?;
        match alone
            .fork()
            .step("start a process")
            .map_err(|error| error.line())?
        {
            Forked::Child => {
                let failed = self.become_it(&account, &streams.theirs, &prepared);
                // A failure cannot be reported.
                drop(write_all(&write, failed.as_bytes()));
                crate::fork::leave(127)
            }
            Forked::Parent(child) => {
                drop(write);
                let mut text = Vec::new();
                let read = File::from(read).take(MAX_REASON).read_to_end(&mut text);
                if text.is_empty() && read.is_ok() {
                    return Ok((child, streams.ours));
                }
                let _ = nix::sys::wait::waitpid(child, None);
                Err(String::from_utf8_lossy(&text).into_owned())
            }
        }
    }

    fn streams(&self, account: &Account) -> Result<Streams, SysError> {
        let owner = Some(Uid::from_raw(account.uid));
        if let Some(size) = self.terminal {
            let (master, slave) = terminal::open(size)?;
            // Best effort: it matters only to programs that open the terminal by name.
            let _ = fchown(&slave, owner, None);
            let theirs = [
                slave.try_clone().step("copy a terminal")?,
                slave.try_clone().step("copy a terminal")?,
                slave,
            ];
            return Ok(Streams {
                ours: vec![master],
                theirs,
            });
        }
        let pipe = || pipe2(OFlag::O_CLOEXEC).step("make a pipe");
        let mut ours = Vec::new();
        let stdin = if self.open_stdin {
            let (read, write) = pipe()?;
            ours.push(write);
            read
        } else {
            let null = OpenOptions::new().read(true).open("/dev/null");
            null.step("open /dev/null")?.into()
        };
        let (out_read, out_write) = pipe()?;
        let (err_read, err_write) = pipe()?;
        ours.extend([out_read, err_read]);
        let theirs = [stdin, out_write, err_write];
        for stream in &theirs {
            // Best effort: allows the process to open /dev/stdout.
            let _ = fchown(stream, owner, None);
        }
        Ok(Streams { ours, theirs })
    }

    /// Prepares the environment and the arguments before the fork, because this allocates.
    fn prepare(&self, account: &Account) -> Result<Prepared, String> {
        let mut env = self.env.clone();
        let mut add = |name: &str, value: &str| {
            let there = |entry: &String| entry.split('=').next() == Some(name);
            if !value.is_empty() && !env.iter().any(there) {
                env.push(format!("{name}={value}"));
            }
        };
        add("PATH", PATH);
        add("HOME", &account.home);
        let host = nix::unistd::gethostname().unwrap_or_default();
        add("HOSTNAME", &host.to_string_lossy());
        if self.terminal.is_some() {
            add("TERM", "xterm");
        }
        let text = |text: &String| {
            let inner = |_| format!("exec {:?}: {text:?} contains a NUL", self.path);
            CString::new(text.as_bytes()).map_err(inner)
        };
        let path = env.iter().find_map(|entry| entry.strip_prefix("PATH="));
        Ok(Prepared {
            path: path.unwrap_or_default().to_owned(),
            args: self.args.iter().map(text).collect::<Result<_, _>>()?,
            env: env.iter().map(text).collect::<Result<_, _>>()?,
        })
    }

    /// Executes the program in the calling process. Returns only on failure, with the reason.
    fn become_it(&self, account: &Account, streams: &[OwnedFd; 3], prepared: &Prepared) -> String {
        match self.set_up(account, streams) {
            Ok(()) => {}
            Err(error) => return error.line(),
        }
        // As root, who may raise them.
        let limited = self.limits.iter().try_for_each(Limit::set);
        if let Err(text) = limited.and_then(|()| self.impersonate(account)) {
            return text;
        }
        self.execute(prepared)
    }

    fn set_up(&self, _: &Account, streams: &[OwnedFd; 3]) -> Result<(), SysError> {
        setsid().step("lead a session")?;
        let [stdin, stdout, stderr] = streams;
        if self.terminal.is_some() {
            terminal::control(stdin.as_fd()).step("take the terminal")?;
        }
        dup2_stdin(stdin).step("set standard input")?;
        dup2_stdout(stdout).step("set standard output")?;
        dup2_stderr(stderr).step("set standard error")?;
        umask(Mode::from_bits_truncate(0o022));
        default_signals()?;
        let dir = if self.dir.is_empty() { "/" } else { &self.dir };
        if chdir(Path::new(dir)) == Err(Errno::ENOENT) {
            std::fs::create_dir_all(dir).step(format_args!("make the working directory {dir}"))?;
        }
        Ok(())
    }

    fn impersonate(&self, account: &Account) -> Result<(), String> {
        let groups: Vec<_> = account.groups.iter().copied().map(Gid::from_raw).collect();
        let own = (Uid::effective().as_raw(), Gid::effective().as_raw());
        let wanted = (account.uid, account.gid);
        let failed = |error: Errno| {
            format!(
                "run as user {}, group {}: {}; this requires a simulator that runs as root or has \
                 sub-ids for them, or its option to run all processes as the caller",
                account.uid,
                account.gid,
                reason(&error.into())
            )
        };
        match setgroups(&groups) {
            // In a user namespace with one id, groups cannot be changed.
            Err(Errno::EPERM) if own == wanted => {}
            done => done.map_err(failed)?,
        }
        setgid(Gid::from_raw(account.gid)).map_err(failed)?;
        setuid(Uid::from_raw(account.uid)).map_err(failed)?;
        // Entered after the change of the user, to whom the directory may be restricted.
        let dir = if self.dir.is_empty() { "/" } else { &self.dir };
        chdir(Path::new(dir)).map_err(|error| {
            format!(
                "chdir to the working directory {dir:?}: {}",
                reason(&error.into())
            )
        })
    }

    fn execute(&self, prepared: &Prepared) -> String {
        let name = &self.path;
        if name.is_empty() {
            return "exec: no command is given".to_owned();
        }
        if name.contains('/') {
            return format!("exec {name:?}: {}", self.try_path(name, prepared));
        }
        let mut denied = None;
        for dir in prepared.path.split(':') {
            let dir = if dir.is_empty() { "." } else { dir };
            let path = format!("{dir}/{name}");
            let is_file = Path::new(&path).metadata().is_ok_and(|data| data.is_file());
            if is_file {
                let why = self.try_path(&path, prepared);
                denied.get_or_insert(why);
            }
        }
        let why = denied.unwrap_or_else(|| "executable file not found in $PATH".to_owned());
        format!("exec {name:?}: {why}")
    }

    /// Executes a path. Returns only on failure, with the reason.
    fn try_path(&self, path: &str, prepared: &Prepared) -> String {
        let os = OsStr::from_bytes(path.as_bytes());
        if Path::new(os).is_dir() {
            return "is a directory: permission denied".to_owned();
        }
        if let Err(error) = access(os, AccessFlags::X_OK) {
            return reason(&error.into());
        }
        let Ok(path) = CString::new(path) else {
            return "its path contains a NUL".to_owned();
        };
        match execve(&path, &prepared.args, &prepared.env) {
            Err(Errno::ENOENT) => {
                "no such file or directory: its interpreter or loader is missing".to_owned()
            }
            Err(error) => reason(&error.into()),
            Ok(never) => match never {},
        }
    }
}

/// Both ends of a process's streams.
struct Streams {
    ours: Vec<OwnedFd>,
    theirs: [OwnedFd; 3],
}

struct Prepared {
    path: String,
    args: Vec<CString>,
    env: Vec<CString>,
}

/// Resets the signals for the program: none is blocked or ignored.
fn default_signals() -> Result<(), SysError> {
    for number in Signal::iterator() {
        if matches!(number, Signal::SIGKILL | Signal::SIGSTOP) {
            continue;
        }
        #[expect(unsafe_code, reason = "nix's function to reset a handler is unsafe")]
        // SAFETY: the default disposition does not run our code.
        unsafe { signal(number, SigHandler::SigDfl) }.step("reset a signal")?;
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).step("unblock signals")
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(file, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
