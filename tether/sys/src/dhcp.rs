//! The socket of a DHCP client.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt,
};

/// The port of DHCP clients.
const CLIENTS: u16 = 68;

/// Opens the socket of a DHCP client, which sends and receives on one network device only. The
/// device needs no address, and must be switched on. The socket is non-blocking.
///
/// # Errors
/// Fails with the system's error.
pub fn dhcp_socket(device: &str) -> io::Result<UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::Broadcast, &true)?;
    setsockopt(&socket, sockopt::BindToDevice, &OsString::from(device))?;
    let all = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENTS);
    bind(socket.as_raw_fd(), &SockaddrIn::from(all))?;
    Ok(socket.into())
}
