//! The main loop of a container's first process, which starts the other processes and reaps
//! them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket as open_socket,
};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::error::reason;
use crate::fork::SingleThreaded;
use crate::kernel_log::KernelLog;
use crate::launch::Launch;
use crate::message::{Event, Exit, Request, Transport};
use crate::rootfs::Files;
use crate::socket::{receive_request, send_event};

/// The processes that a signal to all processes reaches.
pub(crate) enum Reach {
    /// All processes of a namespace whose first process is the supervisor.
    Everything,
    /// The process groups of the sessions that the supervisor started.
    Sessions,
    /// Everything in the machine except the supervisor and the agent. The directory is a `/proc`
    /// that the container cannot unmount. Without a log, it is unknown which processes the kernel
    /// killed because memory ran out.
    Machine {
        agent: i32,
        proc: Dir,
        log: Option<KernelLog>,
    },
}

const KILL: i32 = Signal::SIGKILL as i32;
/// How often the processes are listed and killed again, because they may start others.
const ROUNDS: usize = 10;

struct Supervisor<'a> {
    socket: &'a OwnedFd,
    alone: &'a SingleThreaded,
    reach: Reach,
    files: Files,
    owners: Option<File>,
    sessions: BTreeSet<i32>,
}

/// Serves until the agent closes its end. `files` are those that the agent may change;
/// `owners` contains the owners that archives show.
pub(crate) fn supervise(
    socket: &OwnedFd,
    alone: &SingleThreaded,
    reach: Reach,
    files: Files,
    owners: Option<File>,
) {
    let mut supervisor = Supervisor {
        socket,
        alone,
        reach,
        files,
        owners,
        sessions: BTreeSet::new(),
    };
    // An error of the socket or a signal means that the agent has ended.
    drop(supervisor.serve());
    supervisor
        .kill_all(Signal::SIGKILL as i32)
        .unwrap_or_default();
}

impl Supervisor<'_> {
    fn serve(&mut self) -> io::Result<()> {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGCHLD);
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&mask), None)?;
        let children = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        loop {
            let mut ready = [
                PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
                PollFd::new(children.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut ready, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                done => done?,
            };
            let [orders, ended] = ready.map(|file| file.any().unwrap_or(true));
            if ended {
                while children.read_signal()?.is_some() {}
                self.reap()?;
            }
            if orders {
                match receive_request(self.socket)? {
                    Some(request) => self.handle(request)?,
                    None => return Ok(()),
                }
            }
        }
    }

    /// Reaps all processes that have ended, including orphans.
    fn reap(&mut self) -> io::Result<()> {
        loop {
            let (pid, exit) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Exit::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Exit::Signal(signal as i32)),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if self.sessions.remove(&pid.as_raw()) {
                let pid = pid.as_raw();
                let exit = match &mut self.reach {
                    Reach::Machine { log: Some(log), .. } if exit == Exit::Signal(KILL) => {
                        if log.has_killed(pid) {
                            Exit::OutOfMemory
                        } else {
                            exit
                        }
                    }
                    _ => exit,
                };
                send_event(self.socket, &Event::Exited { pid, exit }, &[])?;
            }
        }
    }

    fn handle(&mut self, request: Request) -> io::Result<()> {
        let failed = |id, reason| (Event::Failed { id, reason }, Vec::new());
        let (event, files) = match request {
            Request::SetUp(_) => failed(0, "the container already exists".to_owned()),
            Request::Launch { id, launch } => match self.launch(&launch) {
                Ok((pid, files)) => (Event::Launched { id, pid }, files),
                Err(reason) => failed(id, reason),
            },
            Request::Signal { id, pid, signal } => match self.signal(pid, signal) {
                Ok(()) => (Event::Done { id }, Vec::new()),
                Err(error) => failed(id, format!("signal {signal}: {}", reason(&error.into()))),
            },
            Request::WriteFile { id, path, content } => match self.files.write(&path, &content) {
                Ok(()) => (Event::Done { id }, Vec::new()),
                Err(error) => failed(id, format!("write {path}: {}", reason(&error))),
            },
            Request::Dial {
                id,
                transport,
                address,
            } => match dial(transport, address) {
                Ok(socket) => (Event::Done { id }, vec![socket]),
                Err(error) => failed(id, format!("connect to {address}: {}", reason(&error))),
            },
            Request::Archive { id, archive } => {
                match archive.start(self.alone, self.owners.as_ref()) {
                    Ok((pid, files)) => {
                        self.sessions.insert(pid.as_raw());
                        let pid = pid.as_raw();
                        (Event::Launched { id, pid }, files)
                    }
                    Err(error) => failed(id, error.line()),
                }
            }
        };
        send_event(self.socket, &event, &files)
    }

    fn launch(&mut self, launch: &Launch) -> Result<(i32, Vec<OwnedFd>), String> {
        if let Reach::Machine { log: Some(log), .. } = &mut self.reach {
            // Best effort: an earlier process that had the same id may be mistaken for this one.
            let _ = log.skip();
        }
        let (pid, files) = launch.start(self.alone)?;
        self.sessions.insert(pid.as_raw());
        Ok((pid.as_raw(), files))
    }

    fn signal(&mut self, pid: i32, signal: i32) -> nix::Result<()> {
        match pid {
            0 => self.kill_all(signal),
            pid if self.sessions.contains(&pid) => raw_kill(pid, signal),
            _ => Err(Errno::ESRCH),
        }
    }

    fn kill_all(&mut self, signal: i32) -> nix::Result<()> {
        match &mut self.reach {
            Reach::Everything if Pid::this().as_raw() == 1 => {
                return match raw_kill(-1, signal) {
                    // No process is left.
                    Err(Errno::ESRCH) => Ok(()),
                    done => done,
                };
            }
            Reach::Machine { agent, proc, .. } => {
                let rounds = if signal == Signal::SIGKILL as i32 {
                    ROUNDS
                } else {
                    1
                };
                for _ in 0..rounds {
                    if !kill_but(*agent, proc, signal) {
                        break;
                    }
                }
                return Ok(());
            }
            Reach::Everything | Reach::Sessions => {}
        }
        for session in &self.sessions {
            // Each session leads a process group.
            let _ = raw_kill(-session, signal);
        }
        Ok(())
    }
}

/// Sends a signal to all processes except the first one and the agent. Returns whether any existed.
fn kill_but(agent: i32, proc: &mut Dir, signal: i32) -> bool {
    let mut any = false;
    for entry in proc.iter().flatten() {
        let Ok(Ok(pid)) = entry.file_name().to_str().map(str::parse::<i32>) else {
            continue;
        };
        // The kernel's threads ignore signals.
        if pid != 1 && pid != agent {
            any |= raw_kill(pid, signal).is_ok();
        }
    }
    any
}

/// Sends a signal by its number, which also supports real-time signals.
fn raw_kill(pid: i32, signal: i32) -> nix::Result<()> {
    if let Ok(signal) = Signal::try_from(signal) {
        return kill(Pid::from_raw(pid), signal);
    }
    #[expect(
        unsafe_code,
        reason = "nix does not support real-time signals; the call takes two numbers"
    )]
    // SAFETY: the call does not access our memory.
    let done = unsafe { nix::libc::kill(pid, signal) };
    Errno::result(done).map(drop)
}

/// Starts a connection; the caller waits for it.
fn dial(transport: Transport, address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let kind = match transport {
        Transport::Tcp => SockType::Stream,
        Transport::Udp => SockType::Datagram,
    };
    let socket = open_socket(family, kind, flags, None)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}
