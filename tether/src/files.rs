//! The host name of a container, and the files in `/etc` for name resolution.

use std::fmt::Write as _;

use guestinfo::vic::ExecutorConfig;

/// The number of characters of a container's id that are used as its host name.
const SHORT_ID: usize = 12;

/// Returns the host name of a container: the configured one, or the first 12 characters of its id.
#[must_use]
pub fn host_name(config: &ExecutorConfig) -> String {
    if config.hostname.is_empty() {
        config.common.id.chars().take(SHORT_ID).collect()
    } else {
        config.hostname.clone()
    }
}

/// Returns the files with which an agent replaces those of the image, as path and content:
/// `/etc/hostname`, `/etc/hosts` and, if there are name servers, `/etc/resolv.conf`.
#[must_use]
pub fn container_files(config: &ExecutorConfig) -> Vec<(String, Vec<u8>)> {
    let host_name = host_name(config);
    let addresses = config.networks.values().filter_map(|endpoint| {
        // Without a fixed address, the one that was assigned by DHCP.
        let address = endpoint.address.or(endpoint.assigned)?;
        Some(address.net()?.addr())
    });
    let mut hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned();
    for address in addresses {
        let _ = writeln!(hosts, "{address}\t{host_name}");
    }
    let mut files = vec![
        (
            "/etc/hostname".to_owned(),
            format!("{host_name}\n").into_bytes(),
        ),
        ("/etc/hosts".to_owned(), hosts.into_bytes()),
    ];
    let networks = || config.networks.values().map(|endpoint| &endpoint.network);
    let servers = distinct(networks().flat_map(|network| match &network.assigned {
        // Those that were assigned by DHCP.
        Some(assigned) if network.nameservers.is_empty() => &assigned.nameservers,
        _ => &network.nameservers,
    }));
    let domains = distinct(networks().filter_map(|network| network.search_domain.as_deref()));
    let mut resolver = String::new();
    if !domains.is_empty() {
        let _ = writeln!(resolver, "search {}", domains.join(" "));
    }
    for server in servers {
        let _ = writeln!(resolver, "nameserver {server}");
    }
    if !resolver.is_empty() {
        files.push(("/etc/resolv.conf".to_owned(), resolver.into_bytes()));
    }
    files
}

/// Returns each value once, in the order of their first appearance.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use guestinfo::vic::{ContainerNetwork, NetworkEndpoint};

    #[test]
    fn name_servers_and_search_domains_reach_the_resolver() {
        let network = ContainerNetwork {
            nameservers: vec!["10.0.0.53".parse().unwrap()],
            search_domain: Some("team.example".into()),
            ..ContainerNetwork::default()
        };
        let endpoint = NetworkEndpoint {
            network,
            ..NetworkEndpoint::default()
        };
        let config = ExecutorConfig {
            // Two networks with the same servers.
            networks: ["bridge", "backend"]
                .map(|name| (name.to_owned(), endpoint.clone()))
                .into(),
            ..ExecutorConfig::default()
        };
        let files = container_files(&config);
        let resolver = files.iter().find(|(path, _)| path == "/etc/resolv.conf");
        let expected = b"search team.example\nnameserver 10.0.0.53\n";
        assert_eq!(resolver.unwrap().1, expected);
        assert!(
            container_files(&ExecutorConfig::default())
                .iter()
                .all(|(path, _)| path != "/etc/resolv.conf"),
            "the image's file is kept"
        );
    }
}
