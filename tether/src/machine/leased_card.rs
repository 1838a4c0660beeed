//! A network card whose address is leased by DHCP.

use std::net::IpAddr;

use guestinfo::vic::NetworkEndpoint;
use tether_sys::{configure_link, remove_address};
use tokio::sync::{mpsc, oneshot};

use super::causes;
use super::dhcp::{Change, Client, Lease, Wire};
use super::network::link;
use crate::platform::NetworkChange;

/// A card without a fixed address.
#[derive(Debug)]
pub(super) struct Card {
    network: String,
    endpoint: NetworkEndpoint,
    mtu: Option<u32>,
}

impl Card {
    pub(super) const fn new(network: String, endpoint: NetworkEndpoint, mtu: Option<u32>) -> Self {
        Self {
            network,
            endpoint,
            mtu,
        }
    }

    /// Keeps the card configured with a lease. The first lease, or the reason why the card could not
    /// be configured with it, is sent to `first`. If nobody waits for it any more, it is a change,
    /// as are later ones.
    pub(super) async fn run(
        self,
        client: Client<impl Wire>,
        first: oneshot::Sender<Result<Lease, String>>,
        changes: mpsc::Sender<NetworkChange>,
    ) {
        let mut first = Some(first);
        let mut lease = client.acquire().await;
        loop {
            let configured = self.configure(&lease);
            if let Err(reason) = &configured {
                tracing::warn!(network = self.network, reason, "a lease cannot be used");
            }
            let leased = configured.map(|()| lease.clone());
            let unheard = match first.take() {
                Some(first) => first.send(leased).err(),
                None => Some(leased),
            };
            if let Some(Ok(lease)) = unheard {
                self.report(&changes, Some(&lease)).await;
            }
            let changed = client.keep(lease.clone()).await;
            self.remove(&lease);
            lease = match changed {
                Change::Changed(lease) => lease,
                Change::Lost => {
                    self.report(&changes, None).await;
                    client.acquire().await
                }
            };
        }
    }

    async fn report(&self, changes: &mpsc::Sender<NetworkChange>, lease: Option<&Lease>) {
        let network = self.network.clone();
        let change = match lease {
            Some(lease) => lease.change(network),
            None => NetworkChange {
                network,
                ..NetworkChange::default()
            },
        };
        // Fails only if the agent has ended.
        drop(changes.send(change).await);
    }

    fn configure(&self, lease: &Lease) -> Result<(), String> {
        let mut link = link(&self.endpoint, Some(lease.net()), lease.gateway())?;
        link.mtu = self.mtu;
        configure_link(&link)
            .map(drop)
            .map_err(|error| causes(&error))
    }

    fn remove(&self, lease: &Lease) {
        let net = lease.net();
        let (address, prefix): (IpAddr, u8) = (net.addr(), net.prefix_len());
        let Ok(slot) = self.endpoint.common.id.parse() else {
            return;
        };
        if let Err(error) = remove_address(slot, address, prefix) {
            tracing::warn!(%error, "an address whose lease has ended was not removed");
        }
    }
}
