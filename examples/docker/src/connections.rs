//! Converts a container's network settings to connections of the port layer.

use std::fmt::Display;
use std::str::FromStr;

use portlayer::network::{EndpointSpec, PortMapping};

use crate::error::{ApiError, Result};
use crate::options::{EndpointConfig, HostConfig, NetworkingConfig};

/// The network that docker calls `default`.
const BRIDGE: &str = "bridge";

/// Returns the connections of a new container: first the network of its network mode, which has the
/// published ports. Empty for the default network without any settings.
pub(crate) fn endpoints(
    host: &HostConfig,
    networking: Option<NetworkingConfig>,
    ports: Vec<PortMapping>,
) -> Result<Vec<EndpointSpec>> {
    let mode = network(host.network_mode.as_deref())?;
    let configs = networking.and_then(|networking| networking.endpoints_config);
    let mut first = EndpointConfig::default();
    let mut others = Vec::new();
    for (name, config) in configs.unwrap_or_default() {
        let name = network(Some(&name))?;
        let config = config.unwrap_or_default();
        if name == mode {
            first = config;
        } else {
            others.push(endpoint(&name, config)?);
        }
    }
    let mut first = endpoint(&mode, first)?;
    first.links.extend(links(host.links.as_deref()));
    first.ports = ports;
    if others.is_empty() && first == EndpointSpec::new(BRIDGE) {
        return Ok(Vec::new());
    }
    others.insert(0, first);
    Ok(others)
}

/// Returns the connection to a network with these settings.
pub(crate) fn endpoint(network: &str, config: EndpointConfig) -> Result<EndpointSpec> {
    let mut endpoint = EndpointSpec::new(network);
    endpoint.aliases = config.aliases.unwrap_or_default();
    endpoint.links = links(config.links.as_deref()).collect();
    let address = config.ipam_config.and_then(|ipam| ipam.ipv4_address);
    endpoint.address = parsed("address", address)?;
    endpoint.mac = parsed("MAC address", config.mac_address)?;
    Ok(endpoint)
}

/// Parses links: `name:alias`, or just `name`.
fn links(links: Option<&[String]>) -> impl Iterator<Item = (String, String)> {
    links.unwrap_or_default().iter().map(|link| {
        let link = link.trim_start_matches('/');
        let (other, alias) = link.split_once(':').unwrap_or((link, link));
        (other.to_owned(), alias.to_owned())
    })
}

fn parsed<T: FromStr<Err: Display>>(what: &str, text: Option<String>) -> Result<Option<T>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let parsed = text.parse();
    let invalid = |error| ApiError::bad_request(format!("invalid {what} {text}: {error}"));
    parsed.map(Some).map_err(invalid)
}

/// Returns the network's name.
fn network(mode: Option<&str>) -> Result<String> {
    match mode.unwrap_or_default() {
        "" | "default" => Ok(BRIDGE.to_owned()),
        mode if mode == "host" || mode == "none" || mode.starts_with("container:") => {
            Err(ApiError::not_supported(&format!("The network mode {mode}")))
        }
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use serde_json::{Value, json};

    fn endpoints_of(host: Value, networking: Value) -> Result<Vec<EndpointSpec>> {
        let host = serde_json::from_value(host).unwrap();
        endpoints(
            &host,
            serde_json::from_value(networking).unwrap(),
            Vec::new(),
        )
    }

    #[test]
    fn the_network_of_the_mode_comes_first_with_its_settings() {
        for mode in ["", "default", "bridge"] {
            let host = json!({ "NetworkMode": mode });
            let networking = json!({ "EndpointsConfig": { "default": null } });
            assert_eq!(endpoints_of(host, networking).unwrap(), []);
        }
        let host = json!({ "NetworkMode": "web", "Links": ["/first:db", "cache"] });
        let networking = json!({ "EndpointsConfig": {
            "back": { "Links": ["second:b"] },
            "web": {
                "Aliases": ["www"],
                "MacAddress": "00:50:56:00:00:01",
                "IPAMConfig": { "IPv4Address": "10.0.0.9" },
            },
        } });
        let web = EndpointSpec::new("web")
            .alias("www")
            .mac("00:50:56:00:00:01".parse().unwrap())
            .address("10.0.0.9".parse().unwrap())
            .link("first", "db")
            .link("cache", "cache");
        let back = EndpointSpec::new("back").link("second", "b");
        assert_eq!(endpoints_of(host, networking).unwrap(), [web, back]);
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_value() {
        let refused = |config: Value| {
            let networking = json!({ "EndpointsConfig": { "web": config } });
            endpoints_of(json!({}), networking).unwrap_err()
        };
        let error = refused(json!({ "IPAMConfig": { "IPv4Address": "10.0.0" } }));
        assert_eq!(error.status, 400);
        assert!(error.message.contains("10.0.0"), "{}", error.message);
        let error = refused(json!({ "MacAddress": "1:2" }));
        assert!(error.message.contains("1:2"), "{}", error.message);
        for mode in ["host", "none", "container:a"] {
            let error = endpoints_of(json!({ "NetworkMode": mode }), json!({})).unwrap_err();
            assert_eq!(error.status, 501);
        }
    }
}
