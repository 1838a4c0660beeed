//! Sets links, addresses and routes with rtnetlink.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use crate::error::{Step, SysError};

/// The index of the loopback device, which is the first device of each network namespace.
pub(crate) const LOOPBACK: u32 = 1;

// linux/rtnetlink.h, linux/netlink.h, linux/if.h, linux/if_addr.h
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const IFF_UP: u32 = 1;
const IFLA_ADDRESS: u16 = 1;
const IFLA_MTU: u16 = 4;
const IFA_F_NODAD: u8 = 2;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_UNICAST: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A netlink connection to the kernel.
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub(crate) fn open() -> Result<Self, SysError> {
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        );
        Ok(Self {
            socket: socket.step("open a netlink socket")?,
            sequence: 0,
        })
    }

    /// Switches a link on, and sets its MTU.
    pub(crate) fn link_up(&mut self, link: u32, mtu: Option<u32>) -> Result<(), SysError> {
        // struct ifinfomsg: family, pad, type, index, flags, change
        let mut body = vec![0; 4];
        body.extend(link.to_ne_bytes());
        body.extend(IFF_UP.to_ne_bytes());
        body.extend(IFF_UP.to_ne_bytes());
        if let Some(mtu) = mtu {
            attribute(&mut body, IFLA_MTU, &mtu.to_ne_bytes());
        }
        self.call(RTM_NEWLINK, 0, &body)
            .step(format_args!("switch on network device {link}"))
    }

    /// Sets the MAC address of a link.
    pub(crate) fn set_mac(&mut self, link: u32, mac: [u8; 6]) -> Result<(), SysError> {
        let mut body = vec![0; 4];
        body.extend(link.to_ne_bytes());
        body.extend([0; 8]);
        attribute(&mut body, IFLA_ADDRESS, &mac);
        self.call(RTM_NEWLINK, 0, &body)
            .step(format_args!("set the MAC address of network device {link}"))
    }

    /// Adds an address that no other system has to a link. It can be used at once, because the
    /// kernel does not look for duplicates.
    pub(crate) fn add_unique_address(
        &mut self,
        link: u32,
        address: IpAddr,
        prefix: u8,
    ) -> Result<(), SysError> {
        let mut body = address_message(link, address, prefix);
        // The flags of struct ifaddrmsg.
        body[2] = IFA_F_NODAD;
        self.call(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body)
            .step(format_args!("add the address {address}/{prefix}"))
    }

    /// Adds an address to a link.
    pub(crate) fn add_address(
        &mut self,
        link: u32,
        address: IpAddr,
        prefix: u8,
    ) -> Result<(), SysError> {
        let body = address_message(link, address, prefix);
        self.call(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body)
            .step(format_args!("add the address {address}/{prefix}"))
    }

    /// Removes an address from a link.
    pub(crate) fn remove_address(
        &mut self,
        link: u32,
        address: IpAddr,
        prefix: u8,
    ) -> Result<(), SysError> {
        let body = address_message(link, address, prefix);
        self.call(RTM_DELADDR, 0, &body)
            .step(format_args!("remove the address {address}/{prefix}"))
    }

    /// Adds a route to a network; the default route if its prefix is 0.
    pub(crate) fn add_route(
        &mut self,
        link: u32,
        (network, prefix): (IpAddr, u8),
        gateway: IpAddr,
    ) -> Result<(), SysError> {
        let (family, bytes) = octets(network);
        // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
        let mut body = vec![
            family,
            prefix,
            0,
            0,
            RT_TABLE_MAIN,
            RTPROT_STATIC,
            0,
            RTN_UNICAST,
        ];
        body.extend(0_u32.to_ne_bytes());
        if prefix > 0 {
            attribute(&mut body, RTA_DST, &bytes);
        }
        attribute(&mut body, RTA_GATEWAY, &octets(gateway).1);
        attribute(&mut body, RTA_OIF, &link.to_ne_bytes());
        self.call(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body)
            .step(format_args!("reach {network}/{prefix} by {gateway}"))
    }

    fn call(&mut self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        self.sequence += 1;
        let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
        let mut message = Vec::new();
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0_u32.to_ne_bytes());
        message.extend(body);
        let kernel = NetlinkAddr::new(0, 0);
        sendto(
            self.socket.as_raw_fd(),
            &message,
            &kernel,
            MsgFlags::empty(),
        )?;
        let mut answer = [0; 4096];
        let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        match error_of(&answer[..length]) {
            Some(0) => Ok(()),
            Some(number) => Err(io::Error::from_raw_os_error(number.saturating_neg())),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the kernel's answer is malformed",
            )),
        }
    }
}

fn address_message(link: u32, address: IpAddr, prefix: u8) -> Vec<u8> {
    let (family, bytes) = octets(address);
    // struct ifaddrmsg: family, prefixlen, flags, scope, index
    let mut body = vec![family, prefix, 0, 0];
    body.extend(link.to_ne_bytes());
    for kind in [IFA_LOCAL, IFA_ADDRESS] {
        attribute(&mut body, kind, &bytes);
    }
    body
}

fn octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(address) => (AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AF_INET6, address.octets().to_vec()),
    }
}

/// Appends an attribute, padded to a multiple of four bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Returns the error number of an acknowledgement, which is negative, or 0 for success.
fn error_of(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
    let number = i32::from_ne_bytes(*answer.get(16..)?.first_chunk()?);
    (kind == NLMSG_ERROR).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_distinguished_from_other_responses() {
        let mut answer = vec![0; 20];
        answer[4] = 2;
        assert_eq!(error_of(&answer), Some(0));
        answer[16..].copy_from_slice(&(-17_i32).to_ne_bytes());
        assert_eq!(error_of(&answer), Some(-17));
        answer[4] = 3;
        assert_eq!(error_of(&answer), None);
        assert_eq!(error_of(&answer[..12]), None);
    }
}
