//! Opens and configures terminals.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::{fs, io};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::pty::{PtyMaster, ptsname_r, unlockpt};
use nix::sys::termios;

use crate::error::{Step, SysError};
use crate::message::TerminalSize;

/// Sets the size of a terminal; its foreground processes receive `SIGWINCH`.
///
/// # Errors
/// Fails when the file is not a terminal.
pub fn set_terminal_size(terminal: impl AsFd, size: TerminalSize) -> io::Result<()> {
    let size = libc::winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let file = terminal.as_fd().as_raw_fd();
    #[expect(
        unsafe_code,
        reason = "nix has no safe wrapper of this request, which reads one winsize"
    )]
    // SAFETY: the descriptor is borrowed, so it is open; the pointer is to a value of the type
    // that this request reads, and the value lives during the call.
    let done = unsafe { libc::ioctl(file, libc::TIOCSWINSZ, &raw const size) };
    Errno::result(done).map(drop).map_err(Into::into)
}

/// Sets a serial line to raw mode, in which all bytes are transferred unchanged, at 115200 baud.
///
/// # Errors
/// Fails when the file is not a terminal.
pub fn set_raw(terminal: impl AsFd) -> io::Result<()> {
    let mut settings = termios::tcgetattr(&terminal)?;
    termios::cfmakeraw(&mut settings);
    // cfsetospeed cannot be linked statically, because libc binds it to a versioned symbol of the
    // shared library.
    let speed = termios::ControlFlags::from_bits_retain(libc::B115200);
    settings.control_flags -= termios::ControlFlags::from_bits_retain(libc::CBAUD);
    settings.control_flags |= termios::ControlFlags::CLOCAL | termios::ControlFlags::CREAD | speed;
    Ok(termios::tcsetattr(
        &terminal,
        termios::SetArg::TCSANOW,
        &settings,
    )?)
}

/// Opens a terminal of the container's own `devpts`. Returns the master and the slave.
pub(crate) fn open(size: TerminalSize) -> Result<(OwnedFd, OwnedFd), SysError> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = posix_openpt(flags).step("open a terminal")?;
    unlockpt(&master).step("unlock a terminal")?;
    let name = ptsname_r(&master).step("find the name of a terminal")?;
    let slave = fs::OpenOptions::new();
    let slave = open_slave(slave, &name).step(format_args!("open the terminal {name}"))?;
    let master: OwnedFd = master.into();
    set_terminal_size(&master, size).step("set the size of a terminal")?;
    Ok((master, slave))
}

fn posix_openpt(flags: OFlag) -> nix::Result<PtyMaster> {
    nix::pty::posix_openpt(flags)
}

fn open_slave(mut options: fs::OpenOptions, name: &str) -> io::Result<OwnedFd> {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.read(true).write(true);
    options.custom_flags(OFlag::O_NOCTTY.bits());
    Ok(options.open(name)?.into())
}

/// Makes a terminal the controlling terminal of the calling process, which must lead a session.
pub(crate) fn control(terminal: BorrowedFd<'_>) -> io::Result<()> {
    let none: c_int = 0;
    #[expect(
        unsafe_code,
        reason = "nix has no safe wrapper of this request, which takes a number"
    )]
    // SAFETY: the descriptor is borrowed, so it is open, and the request does not access our
    // memory.
    let done = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, none) };
    Errno::result(done).map(drop).map_err(Into::into)
}
