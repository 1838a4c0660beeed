//! Waits for the guest to report its addresses or VMware Tools.

use std::net::IpAddr;

use vim25::types::GuestNicInfo;
use vim25::{Property, mo, path};

use super::Machine;
use crate::error::Result;

const ADDRESS: Property<mo::VirtualMachine, String> = path!(VirtualMachine, guest.ipAddress);
const CARDS: Property<mo::VirtualMachine, Vec<GuestNicInfo>> = path!(VirtualMachine, guest.net);
const TOOLS: Property<mo::VirtualMachine, String> = path!(VirtualMachine, guest.toolsRunningStatus);

impl Machine<'_> {
    /// Waits until the guest reports a routable address, and returns it. The guest's primary
    /// address is preferred, then those of its network cards in order. There is no timeout:
    /// wrap it in [`tokio::time::timeout`].
    ///
    /// # Errors
    /// As for [`Client::wait_for`](crate::Client::wait_for).
    pub async fn wait_for_ip(&self) -> Result<IpAddr> {
        let mut found = None;
        self.client
            .wait_for(self.vm, (ADDRESS, CARDS), |(address, cards)| {
                found = reachable(address.as_deref(), cards.as_deref().unwrap_or_default());
                found.is_some()
            })
            .await?;
        // Unreachable, because the condition holds only if there is an address.
        found.ok_or_else(|| crate::Error::Unset {
            object: Box::new(self.vm.upcast()),
            property: ADDRESS.path().into(),
        })
    }

    /// Waits until VMware Tools run in the guest. There is no timeout: wrap it in
    /// [`tokio::time::timeout`].
    ///
    /// # Errors
    /// As for [`Client::wait_for`](crate::Client::wait_for).
    pub async fn wait_for_tools(&self) -> Result<()> {
        let running = |status: &Option<String>| status.as_deref() == Some("guestToolsRunning");
        let wait = self.client.wait_for(self.vm, TOOLS, running);
        wait.await.map(drop)
    }
}

/// Returns the first address that is neither loopback nor link-local.
fn reachable(address: Option<&str>, cards: &[GuestNicInfo]) -> Option<IpAddr> {
    let of_cards = cards.iter().flat_map(|card| &card.ip_address);
    address
        .into_iter()
        .chain(of_cards.map(String::as_str))
        .filter_map(|text| text.parse().ok())
        .find(|address: &IpAddr| {
            let own = match address {
                IpAddr::V4(address) => address.is_link_local(),
                IpAddr::V6(address) => address.is_unicast_link_local(),
            };
            !own && !address.is_loopback() && !address.is_unspecified()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_the_link_is_not_reachable() {
        let card = |addresses: &[&str]| GuestNicInfo {
            ip_address: addresses.iter().map(|&address| address.into()).collect(),
            ..GuestNicInfo::default()
        };
        let address = |text: &str| text.parse::<IpAddr>().ok();
        assert_eq!(reachable(None, &[]), None);
        assert_eq!(reachable(Some("192.0.2.1"), &[]), address("192.0.2.1"));
        let cards = [
            card(&["fe80::1", "169.254.3.4"]),
            card(&["nonsense", "2001:db8::7"]),
        ];
        assert_eq!(
            reachable(Some("169.254.3.4"), &cards),
            address("2001:db8::7")
        );
        assert_eq!(reachable(Some("127.0.0.1"), &cards[..1]), None);
    }
}
