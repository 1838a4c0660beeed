//! The addresses behind the ports of a segment.

use std::collections::HashMap;

use super::frame::{Frame, Mac};

/// Identifies a connection of a card. Never used again.
pub(super) type PortId = u64;

/// The number of addresses that are remembered for a port, in addition to that of its card.
const LEARNED: usize = 64;

/// The receivers of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Nobody,
    Port(PortId),
    /// All ports except the sender's.
    Others,
}

/// The ports of a segment, with the addresses behind each.
#[derive(Debug, Default)]
pub(super) struct Table {
    ports: HashMap<PortId, Port>,
    /// The ports of the cards with an address. If there are several, the first one has it.
    owners: HashMap<Mac, Vec<PortId>>,
    /// Addresses that were learned from senders.
    learned: HashMap<Mac, PortId>,
}

#[derive(Debug)]
struct Port {
    /// The address of the card.
    mac: Mac,
    /// The number of addresses that were learned from it.
    learned: usize,
}

impl Table {
    pub(super) fn connect(&mut self, id: PortId, mac: Mac) {
        self.forget(mac);
        self.ports.insert(id, Port { mac, learned: 0 });
        self.owners.entry(mac).or_default().push(id);
    }

    pub(super) fn disconnect(&mut self, id: PortId) {
        if let Some(Port { mac, .. }) = self.ports.remove(&id)
            && let Some(owners) = self.owners.get_mut(&mac)
        {
            owners.retain(|owner| *owner != id);
            if owners.is_empty() {
                self.owners.remove(&mac);
            }
        }
        self.learned.retain(|_, port| *port != id);
    }

    /// Returns the receivers of a frame, and learns the address of its sender.
    pub(super) fn target(&mut self, from: PortId, frame: &Frame) -> Target {
        if !self.ports.contains_key(&from) {
            return Target::Nobody;
        }
        self.learn(from, frame.source);
        if frame.is_to_group() {
            return Target::Others;
        }
        match self.find(frame.destination) {
            Some(port) if port == from => Target::Nobody,
            Some(port) => Target::Port(port),
            None => Target::Others,
        }
    }

    fn find(&self, mac: Mac) -> Option<PortId> {
        let learned = || self.learned.get(&mac).copied();
        self.owner(mac).or_else(learned)
    }

    /// Returns the port of the card with an address.
    fn owner(&self, mac: Mac) -> Option<PortId> {
        self.owners.get(&mac)?.first().copied()
    }

    fn learn(&mut self, from: PortId, mac: Mac) {
        if self.learned.get(&mac) == Some(&from) || self.owner(mac).is_some() {
            return;
        }
        let is_full = self
            .ports
            .get(&from)
            .is_none_or(|port| port.learned >= LEARNED);
        if is_full {
            return;
        }
        self.forget(mac);
        self.learned.insert(mac, from);
        if let Some(port) = self.ports.get_mut(&from) {
            port.learned += 1;
        }
    }

    fn forget(&mut self, mac: Mac) {
        if let Some(port) = self.learned.remove(&mac)
            && let Some(port) = self.ports.get_mut(&port)
        {
            port.learned = port.learned.saturating_sub(1);
        }
    }

    #[cfg(test)]
    fn learned(&self) -> usize {
        self.learned.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> Mac {
        [2, 0, 0, 0, 0, last]
    }

    fn table() -> Table {
        let mut table = Table::default();
        for id in 1..=3 {
            table.connect(id, mac(u8::try_from(id).expect("a small number")));
        }
        table
    }

    fn frame(source: Mac, destination: Mac) -> Frame {
        Frame {
            destination,
            source,
        }
    }

    #[test]
    fn a_frame_reaches_the_card_with_its_address_from_the_first_one() {
        let mut table = table();
        let target = table.target(1, &frame(mac(1), mac(3)));
        assert_eq!(target, Target::Port(3));
        assert_eq!(table.target(1, &frame(mac(1), [0xff; 6])), Target::Others);
        assert_eq!(table.target(1, &frame(mac(1), mac(9))), Target::Others);
        assert_eq!(table.target(1, &frame(mac(1), mac(1))), Target::Nobody);
        assert_eq!(table.target(7, &frame(mac(1), mac(3))), Target::Nobody);
    }

    #[test]
    fn addresses_are_learned_move_and_end_with_their_port() {
        let mut table = table();
        table.target(1, &frame(mac(9), mac(2)));
        assert_eq!(table.target(2, &frame(mac(2), mac(9))), Target::Port(1));
        table.target(3, &frame(mac(9), mac(2)));
        assert_eq!(table.target(2, &frame(mac(2), mac(9))), Target::Port(3));
        table.disconnect(3);
        assert_eq!(table.target(2, &frame(mac(2), mac(9))), Target::Others);
        assert_eq!(table.target(2, &frame(mac(2), mac(3))), Target::Others);
    }

    #[test]
    fn a_sender_cannot_take_the_address_of_another_card() {
        let mut table = table();
        table.target(1, &frame(mac(2), mac(3)));
        assert_eq!(table.target(3, &frame(mac(3), mac(2))), Target::Port(2));
        // Not even if it has used the address before.
        table.target(1, &frame(mac(8), mac(3)));
        table.connect(8, mac(8));
        assert_eq!(table.target(3, &frame(mac(3), mac(8))), Target::Port(8));
    }

    #[test]
    fn a_sender_of_many_addresses_is_bounded() {
        let mut table = table();
        for number in 0..100_000_u32 {
            let [a, b, c, d] = number.to_be_bytes();
            table.target(1, &frame([6, 0, a, b, c, d], mac(2)));
        }
        assert_eq!(table.learned(), LEARNED);
        // The others can still be learned.
        table.target(2, &frame(mac(9), mac(1)));
        assert_eq!(table.target(3, &frame(mac(3), mac(9))), Target::Port(2));
        table.disconnect(1);
        assert_eq!(table.learned(), 1);
    }
}
