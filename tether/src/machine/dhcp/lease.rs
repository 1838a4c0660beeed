//! A lease, and when to extend it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use guestinfo::vic::AssignedNetwork;
use ipnet::{IpNet, Ipv4Net};
use tokio::time::Instant;

use super::message::Terms;
use crate::platform::NetworkChange;

/// The minimum duration of a lease. A server that grants less is asked this often only.
const MIN_LEASE: Duration = Duration::from_secs(60);

/// A lease of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Lease {
    terms: Terms,
    obtained: Instant,
    /// When it was last attempted to extend the lease.
    attempted: Option<Instant>,
}

/// The next attempt to extend a lease.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) begins: Instant,
    pub(super) expires: Instant,
    /// The server to ask; `None` for any.
    pub(super) server: Option<Ipv4Addr>,
}

impl Lease {
    /// A lease that begins now.
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            obtained: Instant::now(),
            attempted: None,
        }
    }

    pub(super) const fn address(&self) -> Ipv4Addr {
        self.terms.address
    }

    /// Returns the address with the prefix of its network.
    pub(in super::super) fn net(&self) -> IpNet {
        let Terms {
            address, prefix, ..
        } = self.terms;
        match Ipv4Net::new(address, prefix) {
            Ok(net) => net.into(),
            Err(_invalid) => IpAddr::V4(address).into(),
        }
    }

    pub(in super::super) fn gateway(&self) -> Option<IpAddr> {
        self.terms.gateway.map(IpAddr::V4)
    }

    /// Returns what the lease assigns for the network with this name.
    pub(in super::super) fn change(&self, network: String) -> NetworkChange {
        NetworkChange {
            network,
            address: Some(self.net()),
            leased: Some(self.assigned()),
            domain: self.terms.domain.clone(),
        }
    }

    fn assigned(&self) -> AssignedNetwork {
        let prefix = self.terms.prefix;
        let gateway = self.terms.gateway;
        let gateway = gateway.and_then(|address| Ipv4Net::new(address, prefix).ok());
        let nameservers = self.terms.nameservers.iter().copied();
        AssignedNetwork {
            gateway: gateway.map(IpNet::V4),
            nameservers: nameservers.map(IpAddr::V4).collect(),
        }
    }

    /// Returns whether the terms are the same, apart from their durations.
    pub(super) fn has_terms_of(&self, other: &Self) -> bool {
        let (own, other) = (&self.terms, &other.terms);
        (own.address, own.prefix, own.gateway) == (other.address, other.prefix, other.gateway)
            && own.nameservers == other.nameservers
            && own.domain == other.domain
    }

    /// Records an attempt to extend the lease that was not answered.
    pub(super) fn attempted(&mut self) {
        self.attempted = Some(Instant::now());
    }

    /// Returns when to extend the lease; `None` if it never expires. After an attempt, half of the
    /// remaining time is waited, but at least `pause`.
    pub(super) fn next_attempt(&self, pause: Duration) -> Option<Attempt> {
        let lease = self.terms.lease?.max(MIN_LEASE);
        let (renewal, rebinding) = match (self.terms.renewal, self.terms.rebinding) {
            (Some(renewal), Some(rebinding))
                if MIN_LEASE / 2 <= renewal && renewal < rebinding && rebinding < lease =>
            {
                (renewal, rebinding)
            }
            _ => (lease / 2, lease / 8 * 7),
        };
        // The durations have 32 bits, so the sums do not overflow.
        let (rebinds, expires) = (self.obtained + rebinding, self.obtained + lease);
        let begins = match self.attempted {
            None => self.obtained + renewal,
            Some(last) => {
                let limit = if last < rebinds { rebinds } else { expires };
                let half = limit.saturating_duration_since(last) / 2;
                last + half.max(pause)
            }
        };
        let server = (begins < rebinds).then_some(self.terms.server);
        Some(Attempt {
            begins,
            expires,
            server,
        })
    }
}
