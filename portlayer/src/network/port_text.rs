//! Port mappings as text.

use std::net::IpAddr;
use std::str::FromStr;

use super::{PortMapping, Protocol};

/// The reason why a text is not a list of port mappings. Each variant contains the invalid part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePortError {
    /// A port is not a number from 1 to 65535.
    #[error("{0:?} is not a port from 1 to 65535")]
    Port(String),
    /// The first port of a range is above the last.
    #[error("the range {0:?} is reversed")]
    Reversed(String),
    /// The ranges of host and container differ in length.
    #[error("the ranges {host:?} and {container:?} differ in length")]
    Lengths {
        /// The host's ports.
        host: String,
        /// The container's ports.
        container: String,
    },
    /// The protocol is neither `tcp` nor `udp`.
    #[error("{0:?} is not a protocol: use tcp or udp")]
    Protocol(String),
    /// The host's address is not an IP address.
    #[error("{0:?} is not an IP address")]
    Address(String),
    /// A single mapping was expected and a range was given.
    #[error("{0:?} is a range where one port was expected")]
    Range(String),
}

impl PortMapping {
    /// Parses `[[address:]host:]container[/protocol]`, where host and container are a port or a
    /// range of ports, and an IPv6 address is in brackets: `8080:80`,
    /// `127.0.0.1:8000-8002:80-82/udp`, `[::1]:53:53/udp`, `80/tcp`. A range yields a mapping for
    /// each port.
    ///
    /// # Errors
    /// Returns a [`ParsePortError`] for any other text.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, ParsePortError> {
        let (text, protocol) = match text.rsplit_once('/') {
            Some((rest, protocol)) => (rest, protocol.parse()?),
            None => (text, Protocol::Tcp),
        };
        let (host, container) = match text.rsplit_once(':') {
            Some((host, container)) => (host, container),
            None => ("", text),
        };
        let (address, host) = match host.rsplit_once(':') {
            Some((address, host)) => (Some(parse_address(address)?), host),
            None => (None, host),
        };
        let ports = parse_range(container)?;
        let host_ports = match host {
            "" => None,
            range => Some(parse_range(range)?),
        };
        if let Some(host_ports) = &host_ports
            && host_ports.len() != ports.len()
        {
            return Err(ParsePortError::Lengths {
                host: host.to_owned(),
                container: container.to_owned(),
            });
        }
        let first_host = host_ports.map(|ports| *ports.start());
        let mapping = |(offset, container_port)| Self {
            container_port,
            protocol,
            host_address: address,
            host_port: first_host.map(|first| first.saturating_add(offset)),
        };
        Ok((0..).zip(ports).map(mapping).collect())
    }
}

impl FromStr for PortMapping {
    type Err = ParsePortError;

    /// Parses one mapping, like [`PortMapping::parse_all`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match *Self::parse_all(text)? {
            [mapping] => Ok(mapping),
            _ => Err(ParsePortError::Range(text.to_owned())),
        }
    }
}

impl std::fmt::Display for PortMapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host_address {
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            None => {}
        }
        match (self.host_port, self.host_address) {
            (Some(port), _) => write!(f, "{port}:")?,
            (None, Some(_)) => f.write_str(":")?,
            (None, None) => {}
        }
        write!(f, "{}/{}", self.container_port, self.protocol)
    }
}

impl FromStr for Protocol {
    type Err = ParsePortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            _ => Err(ParsePortError::Protocol(text.to_owned())),
        }
    }
}

fn parse_address(text: &str) -> Result<IpAddr, ParsePortError> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let parsed = bare.parse();
    parsed.map_err(|_| ParsePortError::Address(text.to_owned()))
}

fn parse_range(text: &str) -> Result<std::ops::RangeInclusive<u16>, ParsePortError> {
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse() {
            Ok(port) if digits && port > 0 => Ok(port),
            _ => Err(ParsePortError::Port(text.to_owned())),
        }
    };
    let Some((first, last)) = text.split_once('-') else {
        let port = port(text)?;
        return Ok(port..=port);
    };
    let (first, last) = (port(first)?, port(last)?);
    if first > last {
        return Err(ParsePortError::Reversed(text.to_owned()));
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    #[test]
    fn texts_are_read() {
        let web = PortMapping::new(80);
        for (text, expected) in [
            ("80", vec![web]),
            ("80/udp", vec![web.protocol(Protocol::Udp)]),
            ("8080:80/tcp", vec![web.host_port(8080)]),
            (
                "127.0.0.1::80",
                vec![web.host_address(Ipv4Addr::LOCALHOST.into())],
            ),
            (
                "[::1]:8080:80",
                vec![web.host_port(8080).host_address("::1".parse().unwrap())],
            ),
            (
                "8000-8001:80-81",
                vec![web.host_port(8000), PortMapping::new(81).host_port(8001)],
            ),
        ] {
            assert_eq!(PortMapping::parse_all(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_mapping_is_refused_with_the_part() {
        use ParsePortError::{Address, Port, Protocol, Reversed};
        for (text, expected) in [
            ("", Port(String::new())),
            ("0", Port("0".into())),
            ("65536", Port("65536".into())),
            ("+80", Port("+80".into())),
            ("9-8:8-9", Reversed("9-8".into())),
            ("82-80", Reversed("82-80".into())),
            ("80/sctp", Protocol("sctp".into())),
            ("host:80:80", Address("host".into())),
        ] {
            // The container's side is parsed first.
            assert_eq!(PortMapping::parse_all(text), Err(expected), "{text}");
        }
        let error = PortMapping::parse_all("8000-8001:80").unwrap_err();
        assert!(matches!(error, ParsePortError::Lengths { .. }), "{error}");
        assert!("80-81".parse::<PortMapping>().is_err());
    }

    proptest! {
        #[test]
        fn text_round_trips(
            container in 1..=u16::MAX,
            host in prop::option::of(1..=u16::MAX),
            address: Option<IpAddr>,
            udp: bool,
        ) {
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            let mapping = PortMapping {
                container_port: container,
                protocol,
                host_address: address,
                host_port: host,
            };
            prop_assert_eq!(mapping.to_string().parse(), Ok(mapping));
        }

        #[test]
        fn any_text_is_answered_without_panic(text: String) {
            let _ = PortMapping::parse_all(&text);
        }
    }
}
