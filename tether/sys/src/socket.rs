//! Sends messages with open files over a Unix socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockFlag, SockType,
    recvmsg, sendmsg, shutdown, socketpair,
};

use crate::message::{Event, Request};
use crate::tap::MAX_CARDS;
use crate::wire::MAX_MESSAGE;

/// The maximum number of files in a message. A message about a process contains three, and one about
/// a container a file for each network card.
const MAX_FILES: usize = MAX_CARDS;

/// Creates two connected sockets that preserve message boundaries and are closed on `exec`.
///
/// # Errors
/// Fails when the system is out of file descriptors.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    );
    Ok(pair?)
}

/// Makes reads and writes of a file fail with
/// [`WouldBlock`](io::ErrorKind::WouldBlock) instead of waiting.
///
/// # Errors
/// Fails when the file does not support it.
pub fn set_nonblocking(file: impl AsFd) -> io::Result<()> {
    let flags = fcntl(&file, FcntlArg::F_GETFL)?;
    let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
    fcntl(&file, FcntlArg::F_SETFL(flags))?;
    Ok(())
}

/// Shuts a socket down, even if other processes have it open. The other end immediately reads
/// the end of the stream.
///
/// # Errors
/// Fails when it has already been shut down.
pub fn hang_up(socket: impl AsFd) -> io::Result<()> {
    Ok(shutdown(socket.as_fd().as_raw_fd(), Shutdown::Both)?)
}

/// Sends a request to a supervisor.
///
/// # Errors
/// Fails for a request of more than 160 KiB, if the supervisor has ended, and with
/// [`WouldBlock`](io::ErrorKind::WouldBlock) on a non-blocking socket.
pub fn send_request(socket: impl AsFd, request: &Request) -> io::Result<()> {
    send(socket, &request.encode(), &[])
}

/// Receives the next report of a supervisor, with its files; `None` when the supervisor has
/// ended.
///
/// # Errors
/// Fails for an invalid message, and with [`WouldBlock`](io::ErrorKind::WouldBlock) on a
/// non-blocking socket.
pub fn receive_event(socket: impl AsFd) -> io::Result<Option<(Event, Vec<OwnedFd>)>> {
    let Some((bytes, files)) = receive(socket)? else {
        return Ok(None);
    };
    match Event::decode(&bytes) {
        Some(event) => Ok(Some((event, files))),
        None => Err(malformed()),
    }
}

/// Sends an event, which the agent receives with [`receive_event`].
pub(crate) fn send_event(socket: impl AsFd, event: &Event, files: &[OwnedFd]) -> io::Result<()> {
    send(socket, &event.encode(), files)
}

/// Receives a request, which the agent sends with [`send_request`]; `None` when the agent has
/// ended.
pub(crate) fn receive_request(socket: impl AsFd) -> io::Result<Option<Request>> {
    match receive(socket)? {
        None => Ok(None),
        Some((bytes, _)) => Request::decode(&bytes).map(Some).ok_or_else(malformed),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a malformed message")
}

fn send(socket: impl AsFd, bytes: &[u8], files: &[OwnedFd]) -> io::Result<()> {
    if bytes.len() > MAX_MESSAGE {
        let text = format!(
            "a message of {} bytes exceeds the limit of {MAX_MESSAGE}",
            bytes.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let files: Vec<_> = files.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&files)];
    let control: &[_] = if files.is_empty() { &[] } else { &rights };
    let socket = socket.as_fd().as_raw_fd();
    let flags = MsgFlags::MSG_NOSIGNAL;
    loop {
        match sendmsg::<()>(socket, &[IoSlice::new(bytes)], control, flags, None) {
            Err(Errno::EINTR) => {}
            sent => return Ok(sent.map(drop)?),
        }
    }
}

fn receive(socket: impl AsFd) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = cmsg_space!([std::os::fd::RawFd; MAX_FILES]);
    let socket = socket.as_fd().as_raw_fd();
    let (length, cut, raw) = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = match recvmsg::<()>(socket, &mut parts, Some(&mut space), flags) {
            Err(Errno::EINTR) => continue,
            message => message?,
        };
        let mut raw = Vec::new();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(files) = control {
                raw.extend(files);
            }
        }
        let cut = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
        break (message.bytes, message.flags.intersects(cut), raw);
    };
    let files = raw.into_iter().map(|file| {
        #[expect(
            unsafe_code,
            reason = "the kernel has just created this descriptor for SCM_RIGHTS, and nothing else uses it"
        )]
        // SAFETY: the descriptor is open, and nothing else owns it: see above.
        unsafe {
            OwnedFd::from_raw_fd(file)
        }
    });
    let files: Vec<_> = files.collect();
    if cut {
        return Err(malformed());
    }
    // Messages are never empty, so length 0 is the end of the stream.
    if length == 0 {
        return Ok(None);
    }
    bytes.truncate(length);
    Ok(Some((bytes, files)))
}
