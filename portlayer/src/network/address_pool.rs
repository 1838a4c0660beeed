//! Assignment of a subnet's addresses.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;

use super::ranges::Ranges;

/// The maximum number of freed addresses that are tracked individually after their rest time is
/// over. Addresses that were freed earlier count as equally long unused, so that memory grows with
/// the number of addresses in use, not with the number ever used.
pub(super) const REMEMBERED: usize = 4096;

/// The addresses of one IPv4 subnet: which are in use, and which is assigned next.
///
/// - Addresses that were never assigned come first, beginning at a starting point that the caller
///   chooses at random and wrapping around. After those, the address that was freed longest ago
///   comes first.
/// - A freed address is not assigned again before its rest time is over, so that neighbours' ARP
///   caches do not send its traffic to the wrong container. A caller that requests a specific
///   address gets it immediately, even if it is resting.
/// - The network address, the broadcast address and the reserved ones are never assigned.
///
/// Memory grows with the ranges of addresses in use. All operations take logarithmic time.
///
/// ```
/// use std::time::{Duration, Instant};
/// use portlayer::network::{AddressPool, AddressError};
///
/// let now = Instant::now();
/// let rest = Duration::from_secs(60);
/// let mut pool = AddressPool::new("10.0.0.0/30".parse()?, rest).reserve("10.0.0.1".parse()?);
/// let address = pool.assign(now)?;
/// assert_eq!(address.to_string(), "10.0.0.2");
/// pool.release(address, now);
/// assert!(matches!(pool.assign(now), Err(AddressError::Exhausted { resting: 1, .. })));
/// assert_eq!(pool.assign(now + rest)?, address);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct AddressPool {
    subnet: Ipv4Net,
    /// The assignable addresses: those of the pools, or of the whole subnet, except the reserved
    /// ones.
    assignable: Ranges,
    reserved: Ranges,
    /// The addresses of `assignable` that are free and were not freed recently.
    unused: Ranges,
    /// Where the search among the unused addresses starts.
    cursor: u32,
    /// Freed addresses, the longest unused first. An entry is out of date if its number differs
    /// from the address's number in `numbers`.
    freed: VecDeque<Freed>,
    numbers: HashMap<u32, u64>,
    next_number: u64,
    /// Addresses in use that are in the subnet but not assignable; they were claimed explicitly.
    outside: Ranges,
    rest: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Freed {
    address: u32,
    number: u64,
    at: Instant,
}

/// The reason why an address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The address is not in the subnet.
    #[error("{address} is not in the subnet {subnet}")]
    OutsideSubnet {
        /// The address.
        address: Ipv4Addr,
        /// The subnet.
        subnet: Ipv4Net,
    },
    /// The address is reserved: it is the network address, the broadcast address, or that of the
    /// gateway or a name server.
    #[error("{address} is reserved in the subnet {subnet}: it is {purpose}")]
    Reserved {
        /// The address.
        address: Ipv4Addr,
        /// The subnet.
        subnet: Ipv4Net,
        /// What the address is reserved for.
        purpose: &'static str,
    },
    /// The address is in use.
    #[error("{0} is already in use")]
    Taken(Ipv4Addr),
    /// No address is left.
    #[error("all of its {total} addresses are in use or resting: {}", relief(*.resting, *.next))]
    Exhausted {
        /// The number of assignable addresses.
        total: u64,
        /// How many of the assignable addresses were freed and are resting.
        resting: u64,
        /// How long until the first resting address can be assigned; `None` if none is resting.
        next: Option<Duration>,
    },
}

/// Formats a hint on how addresses become available.
fn relief(resting: u64, next: Option<Duration>) -> String {
    match next {
        Some(next) => format!(
            "remove a container connected to it, or retry in {} s, when the first of the {resting} \
             freed of late can be assigned again",
            next.as_secs() + u64::from(next.subsec_nanos() > 0)
        ),
        None => "remove a container connected to it".to_owned(),
    }
}

impl AddressPool {
    /// Creates a pool of all addresses of the subnet except the network and broadcast addresses,
    /// with this rest time for freed addresses.
    #[must_use]
    pub fn new(subnet: Ipv4Net, rest: Duration) -> Self {
        let subnet = subnet.trunc();
        let (network, broadcast) = (u32::from(subnet.network()), u32::from(subnet.broadcast()));
        let (mut assignable, mut reserved) = (Ranges::default(), Ranges::default());
        assignable.insert_range(network, broadcast);
        for end in [network, broadcast] {
            assignable.remove(end);
            reserved.insert(end);
        }
        Self {
            subnet,
            unused: assignable.clone(),
            assignable,
            reserved,
            cursor: network,
            freed: VecDeque::new(),
            numbers: HashMap::new(),
            next_number: 0,
            outside: Ranges::default(),
            rest,
        }
    }

    /// Restricts assignment to those addresses of these ranges that are in the subnet. Other
    /// addresses of the subnet can still be [claimed](Self::claim). Must be called before any
    /// address is in use.
    #[must_use]
    pub fn only(mut self, ranges: impl IntoIterator<Item = (Ipv4Addr, Ipv4Addr)>) -> Self {
        let (low, high) = self.bounds();
        self.assignable = Ranges::default();
        for (first, last) in ranges {
            let (first, last) = (u32::from(first).max(low), u32::from(last).min(high));
            self.assignable.insert_range(first, last);
        }
        for (first, last) in self.reserved.clone().iter() {
            for address in first..=last {
                self.assignable.remove(address);
            }
        }
        self.unused = self.assignable.clone();
        self
    }

    /// Reserves an address, such as the gateway's. Must be called before any address is in use.
    #[must_use]
    pub fn reserve(mut self, address: Ipv4Addr) -> Self {
        let number = u32::from(address);
        if self.subnet.contains(&address) {
            self.assignable.remove(number);
            self.unused.remove(number);
            self.reserved.insert(number);
        }
        self
    }

    /// Starts assigning at the address that this random number selects, so that a restarted program
    /// does not assign addresses that were freed just before it ended.
    #[must_use]
    pub fn begin_at(mut self, random: u64) -> Self {
        if let Some(position) = random.checked_rem(self.assignable.len())
            && let Some(address) = self.assignable.nth(position)
        {
            self.cursor = address;
        }
        self
    }

    fn bounds(&self) -> (u32, u32) {
        let (network, broadcast) = (self.subnet.network(), self.subnet.broadcast());
        (network.into(), broadcast.into())
    }

    /// Returns the subnet.
    #[must_use]
    pub fn subnet(&self) -> Ipv4Net {
        self.subnet
    }

    /// Returns the number of assignable addresses.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.assignable.len()
    }

    /// Returns the number of assignable addresses that are free, including resting ones.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.unused.len() + self.numbers.len() as u64
    }

    /// Returns the number of entries that the pool keeps in memory.
    #[must_use]
    pub fn entries(&self) -> usize {
        [
            &self.assignable,
            &self.reserved,
            &self.unused,
            &self.outside,
        ]
        .map(Ranges::count)
        .iter()
        .sum::<usize>()
            + self.freed.len()
    }

    /// Assigns the address that has been unused for longest.
    ///
    /// # Errors
    /// [`AddressError::Exhausted`] if no address can be assigned now.
    pub fn assign(&mut self, now: Instant) -> Result<Ipv4Addr, AddressError> {
        let unused = self.unused.at_or_after(self.cursor);
        if let Some(address) = unused.or_else(|| self.unused.at_or_after(0)) {
            self.unused.remove(address);
            self.cursor = address.wrapping_add(1);
            return Ok(address.into());
        }
        while let Some(freed) = self.freed.front().copied() {
            if self.numbers.get(&freed.address) == Some(&freed.number) {
                let rested = now.saturating_duration_since(freed.at);
                if rested < self.rest {
                    return Err(AddressError::Exhausted {
                        total: self.total(),
                        resting: self.numbers.len() as u64,
                        next: Some(self.rest - rested),
                    });
                }
                self.freed.pop_front();
                self.numbers.remove(&freed.address);
                return Ok(freed.address.into());
            }
            self.freed.pop_front();
        }
        Err(AddressError::Exhausted {
            total: self.total(),
            resting: 0,
            next: None,
        })
    }

    /// Claims a specific address. It may be any unreserved address in the subnet, even one that is
    /// not assignable or is resting.
    ///
    /// # Errors
    /// Any [`AddressError`] except [`AddressError::Exhausted`].
    pub fn claim(&mut self, address: Ipv4Addr) -> Result<(), AddressError> {
        let number = u32::from(address);
        let subnet = self.subnet;
        if !subnet.contains(&address) {
            return Err(AddressError::OutsideSubnet { address, subnet });
        }
        if self.reserved.contains(number) {
            let purpose = match address {
                _ if address == subnet.network() => "the network's own address",
                _ if address == subnet.broadcast() => "the broadcast address",
                _ => "the gateway or a name server",
            };
            return Err(AddressError::Reserved {
                address,
                subnet,
                purpose,
            });
        }
        let is_free = if self.assignable.contains(number) {
            self.unused.remove(number) || self.numbers.remove(&number).is_some()
        } else {
            self.outside.insert(number)
        };
        self.compact();
        is_free.then_some(()).ok_or(AddressError::Taken(address))
    }

    /// Frees an address, which then rests. Returns whether it was in use.
    pub fn release(&mut self, address: Ipv4Addr, now: Instant) -> bool {
        let number = u32::from(address);
        if !self.is_held(address) {
            return false;
        }
        if self.outside.remove(number) {
            return true;
        }
        self.numbers.insert(number, self.next_number);
        self.freed.push_back(Freed {
            address: number,
            number: self.next_number,
            at: now,
        });
        self.next_number += 1;
        while self.freed.len() > REMEMBERED
            && let Some(oldest) = self.freed.front().copied()
            && now.saturating_duration_since(oldest.at) >= self.rest
        {
            self.freed.pop_front();
            if self.numbers.get(&oldest.address) == Some(&oldest.number) {
                self.numbers.remove(&oldest.address);
                self.unused.insert(oldest.address);
            }
        }
        true
    }

    /// Frees an assigned address that no container has used, so that it need not rest. Returns
    /// whether it was in use.
    pub fn release_unused(&mut self, address: Ipv4Addr) -> bool {
        let number = u32::from(address);
        if !self.is_held(address) {
            return false;
        }
        self.outside.remove(number) || self.unused.insert(number)
    }

    /// Iterates over the freed addresses, the longest unused first, with the time at which each was
    /// freed.
    pub(super) fn freed(&self) -> impl Iterator<Item = (Ipv4Addr, Instant)> + '_ {
        let is_current = |freed: &&Freed| self.numbers.get(&freed.address) == Some(&freed.number);
        let freed = self.freed.iter().filter(is_current);
        freed.map(|freed| (freed.address.into(), freed.at))
    }

    /// Returns whether this address is in use.
    #[must_use]
    pub fn is_held(&self, address: Ipv4Addr) -> bool {
        let number = u32::from(address);
        if self.assignable.contains(number) {
            !self.unused.contains(number) && !self.numbers.contains_key(&number)
        } else {
            self.outside.contains(number)
        }
    }

    /// Drops out-of-date entries once they make up most of the queue.
    fn compact(&mut self) {
        if self.freed.len() > 2 * self.numbers.len() + 64 {
            let numbers = &self.numbers;
            self.freed
                .retain(|freed| numbers.get(&freed.address) == Some(&freed.number));
        }
    }
}

#[cfg(test)]
mod tests;
