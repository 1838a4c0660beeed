//! Choosing host ports from ranges when a container starts: `-p 8000-8010:80`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use portlayer::network::PortMapping;
use portlayer::{Error, ErrorKind, ResourceKind};

use crate::options::PortBinding;
use crate::ports;

/// A range of host ports, of which one is chosen.
pub(crate) type PortRange = RangeInclusive<u16>;

/// The ports to try next: of each range, the first port that is not known to be in use.
#[derive(Debug)]
pub(crate) struct Choice {
    ports: Vec<PortMapping>,
    ranges: Vec<Option<PortRange>>,
}

impl Choice {
    /// Starts with the first port of each range. The mappings must have been made from these
    /// bindings.
    pub(crate) fn new(
        mappings: &[PortMapping],
        bindings: &BTreeMap<String, Vec<PortBinding>>,
    ) -> Self {
        let wanted = ports::wanted(bindings).unwrap_or_default();
        let mut choice = Self {
            ports: mappings.to_vec(),
            ranges: vec![None; mappings.len()],
        };
        // Mappings that another front end made may not correspond to the bindings.
        if wanted.iter().map(|(mapping, _)| mapping).eq(mappings) {
            choice.ranges = wanted.into_iter().map(|(_, range)| range).collect();
        }
        for (port, range) in choice.ports.iter_mut().zip(&choice.ranges) {
            if let Some(range) = range {
                *port = port.host_port(*range.start());
            }
        }
        while let Some(clash) = choice.own_clash() {
            if !choice.next(clash) {
                break;
            }
        }
        choice
    }

    pub(crate) fn ports(&self) -> &[PortMapping] {
        &self.ports
    }

    /// Advances to the next port of the range whose current port is in use according to the error.
    /// Returns whether there is one.
    pub(crate) fn advance(&mut self, error: &Error) -> bool {
        let resource = error.resource();
        if resource.kind != ResourceKind::Other("host port")
            || !matches!(error.kind(), ErrorKind::InUse { .. })
        {
            return false;
        }
        let (at, protocol) = resource
            .id
            .rsplit_once('/')
            .unwrap_or((&resource.id, "tcp"));
        let number = at.rsplit(':').next().and_then(|port| port.parse().ok());
        let refused = self
            .ports
            .iter()
            .zip(&self.ranges)
            .position(|(port, range)| {
                range.is_some()
                    && number.is_some()
                    && port.host_port == number
                    && port.protocol.to_string() == protocol
            });
        let Some(refused) = refused else {
            return false;
        };
        let mut next = Some(refused);
        while let Some(index) = next {
            if !self.next(index) {
                return false;
            }
            next = self.own_clash();
        }
        true
    }

    /// Advances to the next port of a range.
    fn next(&mut self, index: usize) -> bool {
        let (port, Some(range)) = (&mut self.ports[index], &self.ranges[index]) else {
            return false;
        };
        match port.host_port {
            Some(number) if number < *range.end() => {
                *port = port.host_port(number + 1);
                true
            }
            _ => false,
        }
    }

    /// Returns a port of a range that conflicts with another port of the same container.
    fn own_clash(&self) -> Option<usize> {
        (0..self.ports.len()).find(|&index| {
            let earlier_or_fixed =
                |other: usize| other < index || (other != index && self.ranges[other].is_none());
            self.ranges[index].is_some()
                && (0..self.ports.len()).any(|other| {
                    earlier_or_fixed(other) && self.ports[index].conflicts_with(&self.ports[other])
                })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    fn choice(bindings: &[(&str, &str)]) -> Choice {
        let mut map: BTreeMap<String, Vec<PortBinding>> = BTreeMap::new();
        for (port, host_port) in bindings {
            map.entry((*port).to_owned())
                .or_default()
                .push(PortBinding {
                    host_ip: String::new(),
                    host_port: (*host_port).to_owned(),
                });
        }
        Choice::new(&ports::mappings(&map).unwrap(), &map)
    }

    fn numbers(choice: &Choice) -> Vec<u16> {
        choice.ports().iter().filter_map(|p| p.host_port).collect()
    }

    #[test]
    fn ports_of_one_container_do_not_clash() {
        let chosen = choice(&[
            ("80/tcp", "8000-8003"),
            ("81/tcp", "8000-8003"),
            ("82/tcp", "8002"),
        ]);
        assert_eq!(numbers(&chosen), [8000, 8001, 8002]);
        let udp = choice(&[("80/tcp", "8000-8003"), ("81/udp", "8000-8003")]);
        assert_eq!(numbers(&udp), [8000, 8000]);
    }

    #[test]
    fn a_port_that_was_not_chosen_stays_open() {
        assert_eq!(choice(&[("80/tcp", "")]).ports()[0].host_port, None);
    }
}
