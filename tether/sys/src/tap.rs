//! Network cards of a container: tap devices, whose frames a process outside of it transfers.

use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::libc;
use nix::net::if_::if_nametoindex;
use nix::sys::stat::Mode;

use crate::error::{Step, SysError};
use crate::netlink::{LOOPBACK, Netlink};
use crate::setup::ContainerSetup;
use crate::wire::{Reader, Writer};

/// The highest number of network cards of a container, which is that of a machine.
pub(crate) const MAX_CARDS: usize = 10;

/// A network card of a container with a network namespace, and its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CardSetup {
    /// The MAC address.
    pub mac: [u8; 6],
    /// The MTU in bytes; `None` for Ethernet's default, 1500.
    pub mtu: Option<u32>,
    /// The addresses with prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Networks with prefix lengths, and the gateway to each.
    pub routes: Vec<((IpAddr, u8), IpAddr)>,
}

impl CardSetup {
    /// Creates the configuration of a card without an address.
    #[must_use]
    pub fn new(mac: [u8; 6]) -> Self {
        Self {
            mac,
            ..Self::default()
        }
    }

    pub(crate) fn encode(&self, to: &mut Writer) {
        for octet in self.mac {
            to.u8(octet);
        }
        to.bool(self.mtu.is_some())
            .u32(self.mtu.unwrap_or_default());
        to.list(&self.addresses, |to, (address, prefix)| {
            to.text(&address.to_string()).u8(*prefix);
        });
        to.list(&self.routes, |to, ((network, prefix), gateway)| {
            to.text(&network.to_string()).u8(*prefix);
            to.text(&gateway.to_string());
        });
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let mut mac = [0; 6];
        for octet in &mut mac {
            *octet = from.u8()?;
        }
        let (has_mtu, mtu) = (from.bool()?, from.u32()?);
        Some(Self {
            mac,
            mtu: has_mtu.then_some(mtu),
            addresses: from.list(|from| Some((from.ip()?, from.u8()?)))?,
            routes: from.list(|from| Some(((from.ip()?, from.u8()?), from.ip()?)))?,
        })
    }
}

/// The host's directory with the device that creates taps. It is opened before the root directory
/// changes, because containers do not have the device.
pub(crate) struct Taps(nix::Result<OwnedFd>);

impl Taps {
    pub(crate) fn find() -> Self {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Self(open("/dev/net", flags, Mode::empty()))
    }

    /// Creates a device in the network namespace of the calling process. It exists while the file
    /// is open.
    fn create(&self, name: &str) -> Result<OwnedFd, SysError> {
        let action = "create a tap device with /dev/net/tun";
        let directory = match &self.0 {
            Ok(directory) => directory,
            Err(error) => return Err(SysError::new(action, *error)),
        };
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        // The device belongs to the namespace in which the file was opened.
        let file = openat(directory, "tun", flags, Mode::empty()).step(action)?;
        set_interface(&file, name).step(action)?;
        Ok(file)
    }
}

/// `struct ifreq` of linux/if.h, with flags.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: i16,
    /// The size of the union is at most 24 bytes.
    rest: [u8; 22],
}

/// Makes an open `/dev/net/tun` a new tap device with this name.
fn set_interface(file: impl AsFd, name: &str) -> nix::Result<()> {
    const FLAGS: libc::c_int = libc::IFF_TAP | libc::IFF_NO_PI;
    let mut request = InterfaceRequest {
        name: [0; libc::IFNAMSIZ],
        flags: i16::try_from(FLAGS).map_err(|_| Errno::EINVAL)?,
        rest: [0; 22],
    };
    let (name, end) = (name.as_bytes(), libc::IFNAMSIZ - 1);
    // The name ends with a NUL.
    let place = request.name[..end].get_mut(..name.len());
    place.ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(name);
    #[expect(unsafe_code, reason = "nix has no safe wrapper of this request")]
    // SAFETY: the kernel reads and writes one `struct ifreq`, which is not larger than ours. The
    // file is open, and a file of another kind refuses the request.
    let done = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    Errno::result(done).map(drop)
}

/// Creates and configures the cards of a container in the network namespace of the calling process.
/// Returns the files of the devices, with the number of the card each. The addresses of a card that
/// cannot be created are assigned to the loopback device. Adds a note for each failure.
pub(crate) fn connect(
    setup: &ContainerSetup,
    taps: &Taps,
    network: &mut Netlink,
    notes: &mut Vec<String>,
) -> Vec<(u32, OwnedFd)> {
    let mut made = Vec::new();
    for (number, card) in (0_u32..).zip(&setup.cards) {
        let name = format!("eth{number}");
        let created = if made.len() < MAX_CARDS {
            taps.create(&name)
        } else {
            let text = "a container has at most 10";
            Err(SysError::new("create a card", std::io::Error::other(text)))
        };
        match created {
            Ok(file) => {
                configure(card, &name, network, notes);
                made.push((number, file));
            }
            Err(error) => {
                notes.push(format!(
                    "the network card {name} is missing: {}",
                    error.line()
                ));
                for (address, _) in &card.addresses {
                    // Without its network, whose addresses the loopback device would take too.
                    let prefix = if address.is_ipv4() { 32 } else { 128 };
                    if let Err(error) = network.add_address(LOOPBACK, *address, prefix) {
                        notes.push(error.line());
                    }
                }
            }
        }
    }
    made
}

fn configure(card: &CardSetup, name: &str, network: &mut Netlink, notes: &mut Vec<String>) {
    let mut note = |done: Result<(), SysError>| {
        if let Err(error) = done {
            notes.push(format!("the network card {name}: {}", error.line()));
        }
    };
    let link = match if_nametoindex(name).step("find the device") {
        Ok(link) => link,
        Err(error) => return note(Err(error)),
    };
    note(network.set_mac(link, card.mac));
    note(network.link_up(link, card.mtu));
    for (address, prefix) in &card.addresses {
        note(network.add_unique_address(link, *address, *prefix));
    }
    for (destination, gateway) in &card.routes {
        note(network.add_route(link, *destination, *gateway));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_survives_the_wire() {
        let mut card = CardSetup::new([2, 0, 0, 0, 0, 7]);
        card.addresses = vec![([10, 0, 0, 7].into(), 24)];
        card.routes = vec![(([0, 0, 0, 0].into(), 0), [10, 0, 0, 1].into())];
        for mtu in [None, Some(9000)] {
            card.mtu = mtu;
            let mut bytes = Writer::default();
            card.encode(&mut bytes);
            let mut from = Reader(&bytes.0);
            assert_eq!(CardSetup::decode(&mut from), Some(card.clone()));
            assert!(from.0.is_empty());
            for length in 0..bytes.0.len() {
                assert_eq!(CardSetup::decode(&mut Reader(&bytes.0[..length])), None);
            }
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let null = std::fs::File::open("/dev/null").expect("a file");
        let name = "x".repeat(libc::IFNAMSIZ);
        assert_eq!(set_interface(&null, &name), Err(Errno::ENAMETOOLONG));
        // Another kind of file refuses the request.
        assert_eq!(set_interface(&null, "eth0"), Err(Errno::ENOTTY));
    }
}
