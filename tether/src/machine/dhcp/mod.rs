//! A DHCP client for a network card without a fixed address.

mod lease;
mod message;
mod wire;

use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout_at};

pub(super) use self::lease::Lease;
pub(super) use self::message::Mac;
use self::message::{Kind, MAX_MESSAGE, Query, Reply};
pub(super) use self::wire::{Socket, Wire};

/// The pause before a lost message is sent again. It doubles up to the second value.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(16));
/// The minimum pause between two attempts to extend a lease.
const EXTEND: Duration = Duration::from_secs(10);

/// A client for one card.
#[derive(Debug)]
pub(super) struct Client<W> {
    wire: W,
    mac: Mac,
    host_name: String,
}

/// The next event of a lease that changes the card's configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The server has changed the terms, other than their duration.
    Changed(Lease),
    /// The lease has expired, or the server has withdrawn it.
    Lost,
}

impl<W: Wire> Client<W> {
    pub(super) const fn new(wire: W, mac: Mac, host_name: String) -> Self {
        Self {
            wire,
            mac,
            host_name,
        }
    }

    /// Obtains a lease, however long it takes.
    pub(super) async fn acquire(&self) -> Lease {
        let mut pause = RETRY.0;
        loop {
            let until = Instant::now() + pause;
            match self.attempt(until).await {
                Ok(Some(lease)) => return lease,
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "a DHCP message was not sent or received"),
            }
            // Also limits the rate at which a server can refuse what it has offered.
            sleep_until(until).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    async fn attempt(&self, until: Instant) -> io::Result<Option<Lease>> {
        let transaction = transaction();
        let discover = self.query(Kind::Discover, transaction, None);
        let offer = |reply| match reply {
            Reply::Offer(terms) => Some(terms),
            _ => None,
        };
        let to = Ipv4Addr::BROADCAST;
        let Some(offer) = self.exchange(&discover, to, until, offer).await? else {
            return Ok(None);
        };
        let accept = Kind::Accept(offer.server);
        let accept = self.query(accept, transaction, Some(offer.address));
        let answer = |reply| match reply {
            Reply::Granted(terms) if terms.server == offer.server => Some(Some(terms)),
            Reply::Refused(server) if server == offer.server => Some(None),
            _ => None,
        };
        let terms = self.exchange(&accept, to, until, answer).await?.flatten();
        Ok(terms.map(Lease::new))
    }

    /// Extends a lease in time, until its terms change or it is lost.
    pub(super) async fn keep(&self, mut lease: Lease) -> Change {
        loop {
            let Some(next) = lease.next_attempt(EXTEND) else {
                return std::future::pending().await;
            };
            if next.begins >= next.expires {
                sleep_until(next.expires).await;
                return Change::Lost;
            }
            sleep_until(next.begins).await;
            let until = (next.begins + EXTEND).min(next.expires);
            match self.extend(&lease, next.server, until).await {
                Ok(Some(Some(renewed))) => {
                    let is_same = renewed.has_terms_of(&lease);
                    lease = renewed;
                    if !is_same {
                        return Change::Changed(lease);
                    }
                }
                Ok(Some(None)) => return Change::Lost,
                Ok(None) => lease.attempted(),
                Err(error) => {
                    tracing::debug!(%error, "a DHCP lease could not be extended");
                    sleep(until - Instant::now()).await;
                    lease.attempted();
                }
            }
        }
    }

    /// Extends a lease by its server, or by any server if `server` is `None`.
    async fn extend(
        &self,
        lease: &Lease,
        server: Option<Ipv4Addr>,
        until: Instant,
    ) -> io::Result<Option<Option<Lease>>> {
        let extend = self.query(Kind::Extend, transaction(), Some(lease.address()));
        let answer = |reply| match reply {
            Reply::Granted(terms) => Some(Some(Lease::new(terms))),
            Reply::Refused(_) => Some(None),
            Reply::Offer(_) => None,
        };
        let to = server.unwrap_or(Ipv4Addr::BROADCAST);
        self.exchange(&extend, to, until, answer).await
    }

    fn query(&self, kind: Kind, transaction: u32, address: Option<Ipv4Addr>) -> Query<'_> {
        Query {
            kind,
            transaction,
            mac: self.mac,
            address,
            host_name: &self.host_name,
        }
    }

    /// Sends a query, and waits for the reply that `wanted` accepts. Other messages are ignored.
    async fn exchange<T>(
        &self,
        query: &Query<'_>,
        to: Ipv4Addr,
        until: Instant,
        wanted: impl Fn(Reply) -> Option<T>,
    ) -> io::Result<Option<T>> {
        self.wire.send(&query.encode(), to).await?;
        let mut buffer = [0; MAX_MESSAGE];
        loop {
            let Some(length) = before(until, self.wire.receive(&mut buffer)).await? else {
                return Ok(None);
            };
            let reply = Reply::decode(&buffer[..length], query.transaction, self.mac);
            if let Some(found) = reply.and_then(&wanted) {
                return Ok(Some(found));
            }
        }
    }
}

async fn before<T>(
    until: Instant,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<Option<T>> {
    timeout_at(until, work).await.ok().transpose()
}

/// Returns an unpredictable number, which a server that cannot read our messages does not know.
fn transaction() -> u32 {
    let hash = std::hash::RandomState::new().build_hasher().finish();
    u32::try_from(hash >> 32).unwrap_or_default()
}

#[cfg(test)]
mod tests;
