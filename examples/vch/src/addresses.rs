//! The options for the static addresses of the appliance.

use std::net::IpAddr;

use anyhow::anyhow;
use clap::Args;
use ipnet::IpNet;
use portlayer::vsphere::{ApplianceNetworks, HostSpec, NetworkRole, StaticAddress};

use crate::options::DEFAULT_NETWORK;
use crate::problems::Problems;

#[derive(Debug, Args)]
pub(crate) struct Addresses {
    /// The appliance's address on the public network: `ADDRESS/PREFIX`. Default: by DHCP.
    #[arg(
        long,
        value_name = "ADDRESS/PREFIX",
        requires = "public_network_gateway"
    )]
    public_network_ip: Option<IpNet>,
    /// The gateway of the public network, which is the default route.
    #[arg(long, value_name = "ADDRESS", requires = "public_network_ip", value_parser = gateway)]
    public_network_gateway: Option<Gateway>,
    /// The appliance's address on the client network: `ADDRESS/PREFIX`. Default: by DHCP.
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    client_network_ip: Option<IpNet>,
    /// The networks that are reached through a gateway of the client network, and the gateway:
    /// `NETWORK/PREFIX,...:ADDRESS`.
    #[arg(long, value_name = "ROUTE", requires = "client_network_ip", value_parser = gateway)]
    client_network_gateway: Option<Gateway>,
    /// The appliance's address on the management network: `ADDRESS/PREFIX`. Default: by DHCP.
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    management_network_ip: Option<IpNet>,
    /// The networks that are reached through a gateway of the management network, and the gateway:
    /// `NETWORK/PREFIX,...:ADDRESS`.
    #[arg(long, value_name = "ROUTE", requires = "management_network_ip", value_parser = gateway)]
    management_network_gateway: Option<Gateway>,
    /// A name server of the appliance. Repeat the option for each. Default: by DHCP.
    #[arg(long, value_name = "ADDRESS")]
    dns_server: Vec<IpAddr>,
}

/// A gateway, and the networks that are reached through it.
#[derive(Clone, Debug)]
struct Gateway {
    destinations: Vec<IpNet>,
    address: IpAddr,
    /// The prefix length, if it is given.
    prefix_len: Option<u8>,
}

impl Addresses {
    /// Sets the addresses in the specification. It is a problem if the prefix length of a gateway is
    /// not that of its address.
    pub(crate) fn apply(&self, spec: &mut HostSpec, problems: &mut Problems) {
        let mut network = |(role, field), address: Option<IpNet>, gateway: Option<&Gateway>| {
            let address = address?;
            let mut network = StaticAddress::new(address);
            if let Some(gateway) = gateway {
                let given = gateway.prefix_len;
                if given.is_some_and(|len| len != address.prefix_len()) {
                    let wrong = anyhow!(
                        "--{role}-network-gateway has another prefix length than \
                         --{role}-network-ip {address}"
                    );
                    let remedy = "omit the prefix length of the gateway, or correct it";
                    problems.keep::<()>(field, Err(wrong), remedy);
                }
                network = network.gateway(gateway.address);
                network.destinations.clone_from(&gateway.destinations);
            }
            Some(network)
        };
        spec.public_address = network(
            ("public", "public_address"),
            self.public_network_ip,
            self.public_network_gateway.as_ref(),
        );
        spec.client_address = network(
            ("client", "client_address"),
            self.client_network_ip,
            self.client_network_gateway.as_ref(),
        );
        spec.management_address = network(
            ("management", "management_address"),
            self.management_network_ip,
            self.management_network_gateway.as_ref(),
        );
        spec.name_servers.clone_from(&self.dns_server);
    }
}

/// Parses `[NETWORK/PREFIX,...:]ADDRESS[/PREFIX]`, as vic-machine does.
fn gateway(text: &str) -> Result<Gateway, String> {
    let refuse = || format!("{text:?} is no gateway: write 10.0.0.1, or 10.1.0.0/16:10.0.0.1");
    // The addresses of IPv6 contain colons, too.
    let (networks, address) = match text.rsplit_once(':') {
        Some((networks, address)) if networks.contains('/') => (networks, address),
        _ => ("", text),
    };
    let destinations = networks.split(',').filter(|network| !network.is_empty());
    let destinations: Result<Vec<IpNet>, _> = destinations.map(str::parse).collect();
    let (address, prefix_len) = match address.split_once('/') {
        Some((address, len)) => (address, Some(len.parse().map_err(|_unparsable| refuse())?)),
        None => (address, None),
    };
    Ok(Gateway {
        destinations: destinations.map_err(|_unparsable| refuse())?,
        address: address.parse().map_err(|_unparsable| refuse())?,
        prefix_len,
    })
}

/// Returns the options, with their values, that give an appliance its networks. A default value is
/// left out.
pub(crate) fn options(networks: &ApplianceNetworks) -> Vec<(String, String)> {
    let mut options = Vec::new();
    let public = networks
        .roles
        .iter()
        .find(|n| n.role == NetworkRole::Public);
    for network in &networks.roles {
        let role = network.role;
        let default = match public {
            Some(public) if role != NetworkRole::Public => &public.network,
            _ => DEFAULT_NETWORK,
        };
        let shares = network.network == default;
        if !shares {
            options.push((format!("{role}-network"), network.network.clone()));
        }
        let inherits = role != NetworkRole::Public && shares;
        let Some(address) = &network.address else {
            continue;
        };
        // A role that shares the public network has its address, too.
        if inherits && public.is_some_and(|public| public.address.as_ref() == Some(address)) {
            continue;
        }
        options.push((format!("{role}-network-ip"), address.address.to_string()));
        if let Some(gateway) = address.gateway {
            let networks: Vec<_> = address.destinations.iter().map(IpNet::to_string).collect();
            let gateway = match networks.as_slice() {
                [] => gateway.to_string(),
                networks => format!("{}:{gateway}", networks.join(",")),
            };
            options.push((format!("{role}-network-gateway"), gateway));
        }
    }
    let servers = networks.name_servers.iter();
    options.extend(servers.map(|server| ("dns-server".to_owned(), server.to_string())));
    options
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn gateways_are_read_as_vic_machine_wrote_them() {
        for (text, destinations, address, prefix_len) in [
            ("10.0.0.1", 0, "10.0.0.1", None),
            ("10.0.0.1/24", 0, "10.0.0.1", Some(24)),
            ("10.1.0.0/16,10.2.0.0/16:10.0.0.1", 2, "10.0.0.1", None),
            ("fd00::1", 0, "fd00::1", None),
        ] {
            let read = gateway(text).unwrap();
            assert_eq!(read.destinations.len(), destinations, "{text}");
            assert_eq!(read.address.to_string(), address);
            assert_eq!(read.prefix_len, prefix_len);
        }
        for bad in [
            "",
            "lan",
            "10.1.0.0/99:10.0.0.1",
            "10.0.0.1/x",
            "10.1.0.0/16:",
        ] {
            assert!(gateway(bad).unwrap_err().contains("is no gateway"), "{bad}");
        }
    }
}
