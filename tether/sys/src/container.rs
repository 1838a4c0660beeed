//! Turns the calling process into the supervisor of a new container.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, chdir, chroot, pipe2, setgid, setgroups, setuid};

use crate::capability;
use crate::error::{Step, SysError};
use crate::fork::{Forked, SingleThreaded, leave};
use crate::kernel_log::KernelLog;
use crate::message::{Event, Request};
use crate::netlink::{LOOPBACK, Netlink};
use crate::rootfs::{self, Files};
use crate::setup::{ContainerSetup, Isolation, RootDirectory};
use crate::socket::{receive_request, send_event};
use crate::sub_ids::USER_NAMESPACE;
use crate::supervisor::{Reach, supervise};
use crate::tap::{self, Taps};

/// Runs a container controlled by a socket from [`pair`](crate::pair):
/// creates it as the first request specifies, starts processes in it, reports how they end,
/// and returns when the other end of the socket is closed. Then the kernel kills
/// whatever is left in the container.
///
/// The calling process must be single-threaded and have no other purpose.
///
/// # Errors
/// Fails when the process has several threads or the file is not a socket; failures of the
/// set-up are reported over the socket.
pub fn run_container(socket: OwnedFd) -> Result<(), SysError> {
    let alone = SingleThreaded::verify()?;
    serve(&socket, &alone, None)
}

/// Serves the agent at the other end of a socket until it has ended. `agent` is its process
/// id, if both run in a machine of their own.
pub(crate) fn serve(
    socket: &OwnedFd,
    alone: &SingleThreaded,
    agent: Option<i32>,
) -> Result<(), SysError> {
    let Some(first) = receive_request(socket).step("receive the first request")? else {
        return Ok(());
    };
    let Request::SetUp(setup) = first else {
        let error = std::io::Error::from(std::io::ErrorKind::InvalidData);
        return Err(SysError::new(
            "accept a first request other than the set-up",
            error,
        ));
    };
    let made = match setup.isolation {
        Isolation::Chroot => enter_chroot(&setup).map(|notes| {
            ready(socket, notes, Vec::new());
            supervise(socket, alone, Reach::Sessions, Files::default(), None);
        }),
        Isolation::Namespaces => enter_namespaces(&setup, socket, alone),
        Isolation::Machine => enter_machine(&setup, agent).map(|(reach, files, notes)| {
            ready(socket, notes, Vec::new());
            supervise(socket, alone, reach, files, None);
        }),
    };
    if let Err(error) = made {
        let (id, reason) = (0, error.line());
        send_event(socket, &Event::Failed { id, reason }, &[]).step("report a failure")?;
    }
    Ok(())
}

fn ready(socket: &OwnedFd, notes: Vec<String>, cards: Vec<(u32, OwnedFd)>) {
    let (cards, files): (Vec<_>, Vec<_>) = cards.into_iter().unzip();
    // If the agent has ended, the next read of the socket reports it.
    drop(send_event(socket, &Event::Ready { notes, cards }, &files));
}

fn enter_chroot(setup: &ContainerSetup) -> Result<Vec<String>, SysError> {
    let RootDirectory::Plain(root) = &setup.root else {
        let error = std::io::Error::from(std::io::ErrorKind::InvalidInput);
        return Err(SysError::new("change the root to an overlay", error));
    };
    prctl::set_child_subreaper(true).step("adopt orphans")?;
    chdir(&setup.base).step(format_args!("enter {}", setup.base.display()))?;
    chroot(root).step("change the root directory")?;
    chdir("/").step("enter the root")?;
    Ok(vec![
        "no namespaces: processes of the host are visible, /proc and /dev are those of the \
         image, the host name and the network are those of the host"
            .to_owned(),
    ])
}

/// Makes the disk's file system the root. The agent's root is still the initramfs, so that the
/// container cannot access its files.
fn enter_machine(
    setup: &ContainerSetup,
    agent: Option<i32>,
) -> Result<(Reach, Files, Vec<String>), SysError> {
    let Some(agent) = agent else {
        let other = std::io::Error::other("this is not the first process of a machine");
        return Err(SysError::new("use the machine as a container", other));
    };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let proc = Dir::open("/proc", flags, Mode::empty()).step("open /proc")?;
    let log = KernelLog::open().step("report processes that run out of memory as such");
    unshare(CloneFlags::CLONE_NEWNS).step("make a mount namespace")?;
    let (files, mut notes) = rootfs::enter(setup, false)?;
    let log = log.map_err(|error| notes.push(error.line())).ok();
    Ok((Reach::Machine { agent, proc, log }, files, notes))
}

/// The ids of this process, and those that it may map into a namespace.
struct Identity {
    uid: Uid,
    gid: Gid,
    uid_map: String,
    gid_map: String,
}

impl Identity {
    fn new() -> Result<Self, SysError> {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}"));
        Ok(Self {
            uid: Uid::effective(),
            gid: Gid::effective(),
            uid_map: identity_map(&read("uid_map").step("read the ids of the namespace")?),
            gid_map: identity_map(&read("gid_map").step("read the ids of the namespace")?),
        })
    }
}

/// Returns the map of a child namespace in which all ids are the same as in this one.
fn identity_map(map: &str) -> String {
    let lines = map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace();
        let (inside, _, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some(format!("{inside} {inside} {count}\n"))
    });
    lines.collect()
}

fn enter_namespaces(
    setup: &ContainerSetup,
    socket: &OwnedFd,
    alone: &SingleThreaded,
) -> Result<(), SysError> {
    let identity = Identity::new()?;
    let root = identity.uid.is_root();
    if let Some(ids) = setup.sub_ids.as_ref().filter(|_| !root) {
        ids.enter(alone)?;
    } else if !root {
        unshare(CloneFlags::CLONE_NEWUSER).step(USER_NAMESPACE)?;
        // Without privileges, only the caller's own id can be mapped, as root.
        write("/proc/self/setgroups", "deny")?;
        write("/proc/self/uid_map", &format!("0 {} 1", identity.uid))?;
        write("/proc/self/gid_map", &format!("0 {} 1", identity.gid))?;
    }
    unshare(CloneFlags::CLONE_NEWPID).step("make a process namespace")?;
    let (asked, ask) = pipe2(OFlag::O_CLOEXEC).step("make a pipe")?;
    let (answered, answer) = pipe2(OFlag::O_CLOEXEC).step("make a pipe")?;
    match alone.fork().step("make the first process of a container")? {
        Forked::Child => {
            drop((asked, answer));
            let mapper = root.then_some(Mapper { ask, answered });
            let done = first_process(setup, socket, alone, mapper);
            if let Err(error) = done {
                let (id, reason) = (0, error.line());
                drop(send_event(socket, &Event::Failed { id, reason }, &[]));
            }
            leave(0)
        }
        Forked::Parent(child) => {
            drop((ask, answered));
            if root {
                map_ids(child, &identity, asked, answer);
            }
            wait_for(child);
            Ok(())
        }
    }
}

/// Maps the ids of the child's namespace when the child requests it. Runs in the parent.
fn map_ids(child: Pid, identity: &Identity, asked: OwnedFd, answer: OwnedFd) {
    let mut byte = [0];
    if File::from(asked).read_exact(&mut byte).is_err() {
        // The child did not request a mapping, or has ended.
        return;
    }
    let mapped = write(&format!("/proc/{child}/uid_map"), &identity.uid_map)
        .and_then(|()| write(&format!("/proc/{child}/gid_map"), &identity.gid_map));
    drop(File::from(answer).write_all(&[mapped.is_ok().into()]));
}

/// Waits for the end of a child.
pub(crate) fn wait_for(child: Pid) {
    loop {
        match waitpid(child, None) {
            Err(Errno::EINTR) | Ok(WaitStatus::StillAlive) => {}
            _ => return,
        }
    }
}

fn write(path: &str, text: &str) -> Result<(), SysError> {
    // These files must be written with one call.
    fs::write(path, text).step(format_args!("write {path}"))
}

/// The child's ends of the pipes to its parent.
struct Mapper {
    ask: OwnedFd,
    answered: OwnedFd,
}

impl Mapper {
    fn map(self) -> Result<(), SysError> {
        File::from(self.ask).write_all(&[1]).step("ask for ids")?;
        let mut done = [0];
        File::from(self.answered)
            .read_exact(&mut done)
            .step("ask for ids")?;
        if done == [1] {
            return Ok(());
        }
        let error = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        Err(SysError::new("map the ids of a user namespace", error))
    }
}

fn first_process(
    setup: &ContainerSetup,
    socket: &OwnedFd,
    alone: &SingleThreaded,
    mapper: Option<Mapper>,
) -> Result<(), SysError> {
    let taps = Taps::find();
    let owners = setup.owners.as_ref();
    let owners = owners.map(|path| File::open(setup.base.join(path)));
    let owners = owners.transpose().step("open the owners of the image")?;
    unshare(CloneFlags::CLONE_NEWNS).step("make a mount namespace")?;
    let (files, mut notes) = rootfs::enter(setup, mapper.is_none())?;
    if let Some(mapper) = mapper {
        // The user namespace is created after the mounts, so that root in the container can
        // neither change them nor add others.
        match unshare(CloneFlags::CLONE_NEWUSER) {
            Ok(()) => {
                mapper.map()?;
                setgroups(&[]).step("leave the groups of the host")?;
                setgid(Gid::from_raw(0)).step("become root of the container")?;
                setuid(Uid::from_raw(0)).step("become root of the container")?;
            }
            Err(error) => {
                capability::limit()?;
                notes.push(format!(
                    "no user namespace ({}): root in it is root of the host, with fewer \
                     capabilities",
                    error.desc()
                ));
            }
        }
    }
    let own = CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNET;
    unshare(own).step("make namespaces for host name, IPC and network")?;
    crate::hostname::set_host_name(&setup.hostname, &setup.domainname)?;
    let mut network = Netlink::open()?;
    network.link_up(LOOPBACK, None)?;
    for (address, prefix) in &setup.addresses {
        if let Err(error) = network.add_address(LOOPBACK, *address, *prefix) {
            notes.push(error.line());
        }
    }
    let cards = tap::connect(setup, &taps, &mut network, &mut notes);
    drop((taps, network));
    // The container must not read /proc/1/exe, which is a program of the host.
    prctl::set_dumpable(false).step("hide the supervisor")?;
    prctl::set_pdeathsig(Signal::SIGKILL).step("end with the parent")?;
    let _ = prctl::set_name(c"tether");
    ready(socket, notes, cards);
    supervise(socket, alone, Reach::Everything, files, owners);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_namespace_has_the_ids_of_the_outer_one() {
        let map = "         0     100000      65536\n     65536       1000          1\n";
        assert_eq!(identity_map(map), "0 0 65536\n65536 65536 1\n");
        assert_eq!(identity_map("0 0 4294967295\n"), "0 0 4294967295\n");
    }
}
