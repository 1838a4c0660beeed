//! Addresses and networks, as the base64 of their bytes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::codec::{Decoder, Describer, Encoder, Field, GuestInfo};

const BAD_ADDRESS: &str = "expected 4 or 16 bytes in base64";
const BAD_MASK: &str = "expected a network mask of 4 or 16 bytes in base64";
const MASK_MISMATCH: &str = "the mask is not of the address's family";

/// Stored in 16 bytes, as Go parses addresses. An IPv4 address mapped into IPv6 has the
/// same bytes and is read as IPv4.
impl GuestInfo for IpAddr {
    fn encode(&self, encoder: &mut Encoder) {
        let bytes = match self {
            Self::V4(v4) => v4.to_ipv6_mapped().octets(),
            Self::V6(v6) => v6.octets(),
        };
        encoder.text(STANDARD.encode(bytes));
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        decode_address(decoder)
    }

    fn describe(describer: &mut Describer) {
        describer.text();
    }
}

/// Stored as an [`IpAddr`].
impl GuestInfo for Ipv4Addr {
    fn encode(&self, encoder: &mut Encoder) {
        IpAddr::V4(*self).encode(encoder);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        match decode_address(decoder)? {
            IpAddr::V4(v4) => Some(v4),
            IpAddr::V6(_) => {
                decoder.malformed("expected an IPv4 address");
                None
            }
        }
    }

    fn describe(describer: &mut Describer) {
        describer.text();
    }
}

/// Stored in 16 bytes. An IPv4 address is read as an IPv4-mapped IPv6 address.
impl GuestInfo for Ipv6Addr {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(STANDARD.encode(self.octets()));
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        Some(match decode_address(decoder)? {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        })
    }

    fn describe(describer: &mut Describer) {
        describer.text();
    }
}

/// Stored in 4 (IPv4) or 16 bytes, including the host bits, as Go parses networks.
impl GuestInfo for IpNet {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.field(&IP, &Octets::of(self.addr()));
        encoder.field(&MASK, &Octets::of(self.netmask()));
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        match NicAddress::decode(decoder)? {
            NicAddress::Net(net) => Some(net),
            NicAddress::Bare(_) => {
                decoder.malformed("expected both an address and a mask");
                None
            }
        }
    }

    fn describe(describer: &mut Describer) {
        describer.field::<IpAddr>(&IP);
        describer.field::<Mask>(&MASK);
    }
}

/// The address of a network card, with the prefix of its network if it is known.
///
/// VIC stores the bridge card of its appliance as [`NicAddress::MANAGED_ELSEWHERE`].
///
/// ```
/// use guestinfo::vic::NicAddress;
///
/// let address = NicAddress::Net("172.16.0.2/16".parse().unwrap());
/// assert_eq!(address.to_string(), "172.16.0.2/16");
/// assert_eq!(address.net().unwrap().prefix_len(), 16);
/// assert_eq!(NicAddress::MANAGED_ELSEWHERE.to_string(), "0.0.0.0");
/// assert_eq!(NicAddress::MANAGED_ELSEWHERE.net(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NicAddress {
    /// An address with the prefix of its network.
    Net(IpNet),
    /// An address without a stored mask.
    Bare(IpAddr),
}

impl NicAddress {
    /// A static address that is assigned elsewhere: 0.0.0.0 without a mask.
    pub const MANAGED_ELSEWHERE: Self = Self::Bare(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

    /// Returns the address without its prefix.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        match self {
            Self::Net(net) => net.addr(),
            Self::Bare(ip) => *ip,
        }
    }

    /// Returns the address with its prefix, or `None` if no mask is stored.
    #[must_use]
    pub fn net(&self) -> Option<IpNet> {
        match self {
            Self::Net(net) => Some(*net),
            Self::Bare(_) => None,
        }
    }
}

impl From<IpNet> for NicAddress {
    fn from(net: IpNet) -> Self {
        Self::Net(net)
    }
}

impl fmt::Display for NicAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) => net.fmt(f),
            Self::Bare(ip) => ip.fmt(f),
        }
    }
}

impl GuestInfo for NicAddress {
    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::Net(net) => net.encode(encoder),
            Self::Bare(ip) => encoder.field(&IP, ip),
        }
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        let unusable = decoder.unusable();
        let address = decoder.optional_field(&IP, || None::<IpAddr>);
        let mask = decoder.optional_field(&MASK, || None::<Mask>);
        let net = match (address, mask) {
            _ if decoder.unusable() > unusable => return None,
            (None, None) => return None,
            (Some(address), None) => return Some(Self::Bare(address)),
            (None, Some(_)) => {
                decoder.malformed("expected an address with the mask");
                return None;
            }
            (Some(IpAddr::V4(v4)), Some(mask)) => mask
                .prefix_v4()
                .and_then(|len| Ipv4Net::new(v4, len).ok())
                .map(IpNet::V4),
            (Some(IpAddr::V6(v6)), Some(mask)) => mask
                .prefix_v6()
                .and_then(|len| Ipv6Net::new(v6, len).ok())
                .map(IpNet::V6),
        };
        if net.is_none() {
            decoder.malformed(MASK_MISMATCH);
        }
        net.map(Self::Net)
    }

    fn describe(describer: &mut Describer) {
        IpNet::describe(describer);
    }
}

const IP: Field = Field::new("IP", None);
const MASK: Field = Field::new("Mask", None);

/// The bytes of an address, in the length of its own family; only used for writing.
struct Octets(Vec<u8>);

impl Octets {
    fn of(address: IpAddr) -> Self {
        Self(match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        })
    }
}

impl GuestInfo for Octets {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.text(STANDARD.encode(&self.0));
    }

    fn decode(_: &mut Decoder<'_>) -> Option<Self> {
        None
    }

    fn describe(describer: &mut Describer) {
        describer.text();
    }
}

/// A contiguous mask: the number of ones, and the number of bits.
#[derive(Clone, Copy)]
struct Mask {
    ones: u8,
    bits: u8,
}

impl Mask {
    fn of(bytes: &[u8]) -> Option<Self> {
        let ones: u32 = bytes.iter().map(|b| b.leading_ones()).sum();
        let set: u32 = bytes.iter().map(|b| b.count_ones()).sum();
        // The sum of the leading ones of all bytes is valid only if no one follows a
        // zero.
        let leading: u32 = match bytes.iter().position(|b| *b != 0xff) {
            Some(at) => at as u32 * 8 + bytes[at].leading_ones(),
            None => bytes.len() as u32 * 8,
        };
        (ones == set && leading == set).then_some(Self {
            ones: u8::try_from(set).ok()?,
            bits: u8::try_from(bytes.len() * 8).ok()?,
        })
    }

    fn prefix_v4(self) -> Option<u8> {
        match self.bits {
            32 => Some(self.ones),
            // The mask of an IPv4 network that is mapped into IPv6.
            _ => self.ones.checked_sub(96),
        }
    }

    fn prefix_v6(self) -> Option<u8> {
        (self.bits == 128).then_some(self.ones)
    }
}

impl GuestInfo for Mask {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.unstorable("a mask is written with its network");
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<Self> {
        let text = decoder.text()?;
        if text.is_empty() {
            return None;
        }
        let mask = STANDARD
            .decode(text.as_bytes())
            .ok()
            .filter(|bytes| matches!(bytes.len(), 4 | 16))
            .and_then(|bytes| Self::of(&bytes));
        if mask.is_none() {
            decoder.malformed(BAD_MASK);
        }
        mask
    }

    fn describe(describer: &mut Describer) {
        describer.text();
    }
}

fn decode_address(decoder: &mut Decoder<'_>) -> Option<IpAddr> {
    let text = decoder.text()?;
    if text.is_empty() {
        return None;
    }
    let address = STANDARD
        .decode(text.as_bytes())
        .ok()
        .and_then(|bytes| address(&bytes));
    if address.is_none() {
        decoder.malformed(BAD_ADDRESS);
    }
    address
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    let v6 = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
    Some(v6.to_ipv4_mapped().map_or(v6.into(), IpAddr::V4))
}
