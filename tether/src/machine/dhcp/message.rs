//! The messages of DHCP for IPv4 (RFC 2131, RFC 2132), as far as a client needs them.
//!
//! Any machine on the network can send messages, so a message is either valid or ignored, lists
//! are bounded, and text that reaches a configuration file consists of the characters of domains.

use std::net::Ipv4Addr;
use std::time::Duration;

/// The maximum size of a message that is read, in bytes: the payload of an Ethernet frame.
pub(super) const MAX_MESSAGE: usize = 1500;
/// The maximum number of name servers that are used.
const MAX_NAMESERVERS: usize = 4;
/// The maximum length of a domain in bytes.
const MAX_DOMAIN: usize = 253;

/// The length of the fields before the options, with the file and server names of BOOTP.
const FIXED: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The minimum size of a message that relays of BOOTP accept.
const MIN_MESSAGE: usize = 300;
const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const ETHERNET: u8 = 1;
/// Asks for broadcast replies: a card without an address receives no other.
const BROADCAST: u16 = 0x8000;

// Options of RFC 2132.
const PAD: u8 = 0;
const SUBNET_MASK: u8 = 1;
const ROUTER: u8 = 3;
const NAMESERVERS: u8 = 6;
const HOST_NAME: u8 = 12;
const DOMAIN: u8 = 15;
const WANTED_ADDRESS: u8 = 50;
const LEASE_TIME: u8 = 51;
const KIND: u8 = 53;
const SERVER: u8 = 54;
const PARAMETERS: u8 = 55;
const RENEWAL_TIME: u8 = 58;
const REBINDING_TIME: u8 = 59;
const END: u8 = 255;

/// The address of a card's hardware.
pub(in super::super) type Mac = [u8; 6];

/// The kind of a client's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Looks for servers.
    Discover,
    /// Accepts the offer of this server.
    Accept(Ipv4Addr),
    /// Extends a lease.
    Extend,
}

/// A message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query<'a> {
    pub(super) kind: Kind,
    pub(super) transaction: u32,
    pub(super) mac: Mac,
    /// The address that was offered, or the one in use when a lease is extended.
    pub(super) address: Option<Ipv4Addr>,
    pub(super) host_name: &'a str,
}

/// A message of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// An address is available.
    Offer(Terms),
    /// The address is leased.
    Granted(Terms),
    /// The address is not leased.
    Refused(Ipv4Addr),
}

/// What a server offers or grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) server: Ipv4Addr,
    pub(super) address: Ipv4Addr,
    pub(super) prefix: u8,
    pub(super) gateway: Option<Ipv4Addr>,
    pub(super) nameservers: Vec<Ipv4Addr>,
    pub(super) domain: Option<String>,
    /// `None` for ever.
    pub(super) lease: Option<Duration>,
    pub(super) renewal: Option<Duration>,
    pub(super) rebinding: Option<Duration>,
}

impl Query<'_> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let extends = self.kind == Kind::Extend;
        let current = self.address.filter(|_| extends);
        let mut bytes = vec![REQUEST, ETHERNET, 6, 0];
        bytes.extend(self.transaction.to_be_bytes());
        bytes.extend([0; 2]);
        let flags = if extends { 0 } else { BROADCAST };
        bytes.extend(flags.to_be_bytes());
        bytes.extend(current.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        bytes.extend([0; 12]);
        bytes.extend(self.mac);
        bytes.resize(FIXED, 0);
        bytes.extend(COOKIE);
        let kind = if self.kind == Kind::Discover { 1 } else { 3 };
        option(&mut bytes, KIND, &[kind]);
        if let (Some(address), false) = (self.address, extends) {
            option(&mut bytes, WANTED_ADDRESS, &address.octets());
        }
        if let Kind::Accept(server) = self.kind {
            option(&mut bytes, SERVER, &server.octets());
        }
        let name = self.host_name.as_bytes();
        if !name.is_empty() && name.len() <= MAX_DOMAIN {
            option(&mut bytes, HOST_NAME, name);
        }
        let wanted = [
            SUBNET_MASK,
            ROUTER,
            NAMESERVERS,
            DOMAIN,
            LEASE_TIME,
            RENEWAL_TIME,
            REBINDING_TIME,
        ];
        option(&mut bytes, PARAMETERS, &wanted);
        bytes.push(END);
        bytes.resize(bytes.len().max(MIN_MESSAGE), 0);
        bytes
    }
}

fn option(bytes: &mut Vec<u8>, code: u8, value: &[u8]) {
    bytes.push(code);
    bytes.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
    bytes.extend(&value[..value.len().min(u8::MAX.into())]);
}

impl Reply {
    /// Reads a server's reply to a transaction of this card; `None` for everything else.
    pub(super) fn decode(bytes: &[u8], transaction: u32, mac: Mac) -> Option<Self> {
        let fixed = bytes.get(..FIXED)?;
        let is_ours = fixed[..3] == [REPLY, ETHERNET, 6]
            && fixed[4..8] == transaction.to_be_bytes()
            && fixed[28..34] == mac;
        let options = bytes[FIXED..].strip_prefix(&COOKIE)?;
        if !is_ours {
            return None;
        }
        let find = |code| find(options, code);
        let server = address(find(SERVER)?)?;
        let [kind] = *find(KIND)? else { return None };
        if kind == 6 {
            return Some(Self::Refused(server));
        }
        let seconds = |code| {
            let seconds = u32::from_be_bytes(find(code)?.try_into().ok()?);
            Some((seconds != u32::MAX).then(|| Duration::from_secs(seconds.into())))
        };
        let own = address(&fixed[16..20]).filter(is_host)?;
        let prefix = match find(SUBNET_MASK) {
            Some(mask) => prefix_of(u32::from_be_bytes(mask.try_into().ok()?))?,
            None => 32,
        };
        let terms = Terms {
            server,
            address: own,
            prefix,
            gateway: find(ROUTER)
                .and_then(|routers| address(routers.get(..4)?))
                .filter(is_host),
            nameservers: find(NAMESERVERS)
                .unwrap_or_default()
                .chunks_exact(4)
                .filter_map(address)
                .filter(is_host)
                .take(MAX_NAMESERVERS)
                .collect(),
            domain: find(DOMAIN).and_then(domain),
            lease: seconds(LEASE_TIME)?,
            renewal: seconds(RENEWAL_TIME).flatten(),
            rebinding: seconds(REBINDING_TIME).flatten(),
        };
        match kind {
            2 => Some(Self::Offer(terms)),
            5 => Some(Self::Granted(terms)),
            _ => None,
        }
    }
}

/// Returns the value of the first option with this code.
fn find(mut options: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        match *options {
            [] | [END, ..] => return None,
            [PAD, ..] => options = &options[1..],
            [code, length, ref rest @ ..] => {
                let (value, others) = rest.split_at_checked(length.into())?;
                if code == wanted {
                    return Some(value);
                }
                options = others;
            }
            [_] => return None,
        }
    }
}

fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    let octets: [u8; 4] = bytes.try_into().ok()?;
    Some(octets.into())
}

/// Returns whether a machine can have this address.
fn is_host(address: &Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first < 224 && !address.is_loopback()
}

fn prefix_of(mask: u32) -> Option<u8> {
    let prefix = mask.leading_ones();
    let is_mask = prefix > 0 && prefix + mask.trailing_zeros() >= 32;
    is_mask.then(|| u8::try_from(prefix).ok()).flatten()
}

fn domain(bytes: &[u8]) -> Option<String> {
    // Some servers end it with a NUL.
    let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
    let is_domain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_valid = !text.is_empty() && text.len() <= MAX_DOMAIN && text.chars().all(is_domain);
    is_valid.then(|| text.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use proptest::prelude::*;

    use super::*;

    pub(in super::super) const MAC: Mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    /// Encodes a server's reply with these options.
    pub(in super::super) fn reply(
        kind: u8,
        transaction: u32,
        address: Ipv4Addr,
        options: &[(u8, &[u8])],
    ) -> Vec<u8> {
        let mut bytes = vec![REPLY, ETHERNET, 6, 0];
        bytes.extend(transaction.to_be_bytes());
        bytes.resize(16, 0);
        bytes.extend(address.octets());
        bytes.resize(28, 0);
        bytes.extend(MAC);
        bytes.resize(FIXED, 0);
        bytes.extend(COOKIE);
        option(&mut bytes, KIND, &[kind]);
        for (code, value) in options {
            option(&mut bytes, *code, value);
        }
        bytes.push(END);
        bytes
    }

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

    fn granted(options: &[(u8, &[u8])]) -> Option<Terms> {
        let mut all: Vec<(u8, &[u8])> = options.to_vec();
        all.extend([(SERVER, &[10, 0, 2, 2][..]), (LEASE_TIME, &[0, 0, 14, 16])]);
        match Reply::decode(&reply(5, 7, ADDRESS, &all), 7, MAC)? {
            Reply::Granted(terms) => Some(terms),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_terms_of_a_lease_are_read() {
        let terms = granted(&[
            (SUBNET_MASK, &[255, 255, 255, 0]),
            (ROUTER, &[10, 0, 2, 2]),
            (NAMESERVERS, &[10, 0, 2, 3, 10, 0, 2, 4]),
            (DOMAIN, b"team.example\0"),
            (RENEWAL_TIME, &[0, 0, 0, 60]),
        ]);
        let terms = terms.unwrap();
        assert_eq!((terms.address, terms.prefix), (ADDRESS, 24));
        assert_eq!(terms.gateway, Some(Ipv4Addr::new(10, 0, 2, 2)));
        assert_eq!(terms.nameservers.len(), 2);
        assert_eq!(terms.domain.as_deref(), Some("team.example"));
        assert_eq!(terms.lease, Some(Duration::from_secs(3600)));
        assert_eq!(terms.renewal, Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_hostile_reply_is_ignored_or_cut() {
        let lines = b"example\nnameserver 6.6.6.6";
        assert_eq!(granted(&[(DOMAIN, lines)]).unwrap().domain, None);
        let many = [8; 252];
        let terms = granted(&[(NAMESERVERS, &many)]).unwrap();
        assert_eq!(terms.nameservers.len(), MAX_NAMESERVERS);
        assert_eq!(granted(&[(SUBNET_MASK, &[255, 0, 255, 0])]), None);
        assert_eq!(granted(&[(ROUTER, &[224, 0, 0, 1])]).unwrap().gateway, None);
        let options: [(u8, &[u8]); 2] = [(SERVER, &[10, 0, 2, 2]), (LEASE_TIME, &[0xff; 4])];
        let loopback = reply(5, 7, Ipv4Addr::LOCALHOST, &options);
        assert_eq!(Reply::decode(&loopback, 7, MAC), None);
        let other = reply(5, 7, ADDRESS, &options);
        assert_eq!(Reply::decode(&other, 8, MAC), None);
        assert_eq!(Reply::decode(&other, 7, [0; 6]), None);
        match Reply::decode(&other, 7, MAC) {
            Some(Reply::Granted(terms)) => assert_eq!(terms.lease, None, "for ever"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_query_has_the_form_of_the_standard() {
        let query = Query {
            kind: Kind::Accept(Ipv4Addr::new(10, 0, 2, 2)),
            transaction: 0x0102_0304,
            mac: MAC,
            address: Some(ADDRESS),
            host_name: "jovial",
        };
        let bytes = query.encode();
        assert_eq!(bytes[..12], [1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0x80, 0]);
        assert_eq!(bytes[12..16], [0; 4], "the address is not in use yet");
        assert_eq!(bytes[28..34], MAC);
        assert!(bytes.len() >= MIN_MESSAGE);
        let options = &bytes[FIXED + 4..];
        assert_eq!(find(options, KIND), Some(&[3][..]));
        assert_eq!(find(options, WANTED_ADDRESS), Some(&ADDRESS.octets()[..]));
        assert_eq!(find(options, SERVER), Some(&[10, 0, 2, 2][..]));
        assert_eq!(find(options, HOST_NAME), Some(&b"jovial"[..]));
        let extend = Query {
            kind: Kind::Extend,
            ..query
        };
        let bytes = extend.encode();
        assert_eq!(bytes[10..16], [0, 0, 10, 0, 2, 15]);
        assert_eq!(find(&bytes[FIXED + 4..], WANTED_ADDRESS), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_reply_or_ignored(
            options in proptest::collection::vec(any::<u8>(), 0..600),
            cut in 0_usize..900,
        ) {
            let mut bytes = reply(5, 7, ADDRESS, &[(SERVER, &[10, 0, 2, 2]), (LEASE_TIME, &[0; 4])]);
            bytes.pop();
            bytes.extend(options);
            bytes.truncate(cut);
            if let Some(Reply::Granted(terms)) = Reply::decode(&bytes, 7, MAC) {
                prop_assert!((1..=32).contains(&terms.prefix));
                prop_assert!(terms.nameservers.len() <= MAX_NAMESERVERS);
                prop_assert!(terms.domain.is_none_or(|text| !text.contains('\n')));
            }
        }
    }
}
