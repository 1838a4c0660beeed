//! Which addresses of a subnet are assigned.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;

use super::ranges::Ranges;

/// How many freed addresses are remembered one by one once their rest is over. Older ones count as
/// equally long unused, so that memory grows with the addresses that are held and not with those
/// that ever were.
const REMEMBERED: usize = 4096;

/// The addresses of one IPv4 subnet: which are held, and which is assigned next.
///
/// - An address that was never assigned since the pool was made comes first, beginning at a place
///   that the caller chooses, at random, and going round; then the one that was freed longest ago.
/// - An address that was freed is not assigned again before its rest time is over, so that
///   neighbours' ARP caches do not send its traffic to the wrong container. A caller who names an
///   address gets it without a rest.
/// - The network's own address, the broadcast address and the reserved ones are never assigned.
///
/// Memory grows with the ranges of addresses that are held. All operations take logarithmic time.
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
    /// What may be assigned: the pools, or all of the subnet, without what is reserved.
    assignable: Ranges,
    reserved: Ranges,
    /// Those of `assignable` that nobody holds and that were not freed of late.
    unused: Ranges,
    /// Where the search among the unused begins.
    cursor: u32,
    /// Freed addresses, the longest unused first. An entry whose number is not the address's in
    /// `numbers` is out of date.
    freed: VecDeque<Freed>,
    numbers: HashMap<u32, u64>,
    next_number: u64,
    /// Held addresses of the subnet that are not assignable, but may be asked for.
    outside: Ranges,
    rest: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Freed {
    address: u32,
    number: u64,
    at: Instant,
}

/// Why an address cannot be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is not in the subnet.
    #[error("{address} is not in the subnet {subnet}")]
    OutsideSubnet {
        /// The address.
        address: Ipv4Addr,
        /// The subnet.
        subnet: Ipv4Net,
    },
    /// It is the network's own address or the broadcast address, the gateway's or a name server's.
    #[error("{address} is reserved in the subnet {subnet}: it is {purpose}")]
    Reserved {
        /// The address.
        address: Ipv4Addr,
        /// The subnet.
        subnet: Ipv4Net,
        /// What it is reserved for.
        purpose: &'static str,
    },
    /// Somebody holds it.
    #[error("{0} is held already")]
    Taken(Ipv4Addr),
    /// None is left.
    #[error("all of its {total} addresses are in use or resting: {}", relief(*.resting, *.next))]
    Exhausted {
        /// How many addresses can be assigned at all.
        total: u64,
        /// How many of them were freed and are resting.
        resting: u64,
        /// When the first of those can be assigned.
        next: Option<Duration>,
    },
}

/// What would free some.
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
    /// A pool of all addresses of the subnet but the network's own and the broadcast address. A
    /// freed address rests this long.
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

    /// Assigns only from these ranges, as far as they are in the subnet; what else is in it can
    /// still be [claimed](Self::claim). Meant for a pool of which nothing is held.
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

    /// Reserves an address, such as the gateway's. Meant for a pool of which nothing is held.
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

    /// Begins with the address that this random number selects, so that a program that was started
    /// again does not assign the addresses that were freed just before it ended.
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

    /// The subnet.
    #[must_use]
    pub fn subnet(&self) -> Ipv4Net {
        self.subnet
    }

    /// How many addresses can be assigned in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.assignable.len()
    }

    /// How many of them nobody holds, with those that are resting.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.unused.len() + self.numbers.len() as u64
    }

    /// How many entries its memory consists of.
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
    /// [`AddressError::Exhausted`], which says what would free some.
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

    /// Takes this address. It need not be among the assignable ones, only in the subnet, and it
    /// may be resting.
    ///
    /// # Errors
    /// All but [`AddressError::Exhausted`].
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

    /// Frees an address, which then rests. Returns whether it was held.
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

    /// Frees an address that nobody used: it does not rest. Returns whether it was held.
    pub fn release_unused(&mut self, address: Ipv4Addr) -> bool {
        let number = u32::from(address);
        if !self.is_held(address) {
            return false;
        }
        self.outside.remove(number) || self.unused.insert(number)
    }

    /// Whether somebody holds this address.
    #[must_use]
    pub fn is_held(&self, address: Ipv4Addr) -> bool {
        let number = u32::from(address);
        if self.assignable.contains(number) {
            !self.unused.contains(number) && !self.numbers.contains_key(&number)
        } else {
            self.outside.contains(number)
        }
    }

    /// Drops entries that are out of date once they are most of the queue.
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
