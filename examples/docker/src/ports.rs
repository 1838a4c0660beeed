//! Published ports: opening and closing them, and docker's representation of them.
//!
//! A container's ports are opened before its process starts and closed after its end. Chosen host
//! ports are persisted with the container, so that a restarted front end opens the same ones.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hyper::StatusCode;
use portlayer::exec::Edit;
use portlayer::network::forward::Publisher;
use portlayer::network::{EndpointInfo, PortMapping, Protocol};
use portlayer::{ContainerId, ErrorKind, ResourceKind};
use serde_json::{Value, json};

use crate::FrontEnd;
use crate::error::{ApiError, Result, chain};
use crate::options::PortBinding;
use crate::port_choice::{Choice, PortRange};
use crate::view::View;

/// The annotation that holds the ports of a container's last run.
pub(crate) const ANNOTATION: &str = "docker.ports";

/// The open ports of all containers.
#[derive(Debug)]
pub(crate) struct Ports {
    publisher: Option<Arc<dyn Publisher>>,
    open: Mutex<Open>,
    turns: Mutex<HashMap<ContainerId, Weak<tokio::sync::Mutex<()>>>>,
}

#[derive(Debug, Default)]
struct Open {
    last_run: u64,
    containers: HashMap<ContainerId, (Run, Arc<[PortMapping]>)>,
}

/// Identifies one opening of a container's ports: closing an earlier one leaves a later one open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run(u64);

impl Ports {
    pub(crate) fn new(publisher: Option<Arc<dyn Publisher>>) -> Self {
        Self {
            publisher,
            open: Mutex::default(),
            turns: Mutex::default(),
        }
    }

    /// Returns whether ports can be published at all.
    pub(crate) const fn is_supported(&self) -> bool {
        self.publisher.is_some()
    }

    fn opened(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the lock that serialises the starts of a container with the opening and closing of
    /// its ports. "The caller holds the lock" in this crate means this one.
    pub(crate) fn turn(&self, id: &ContainerId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(id).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(*id, Arc::downgrade(&turn));
        turn
    }

    /// Returns the open ports of a container, and which opening that is.
    fn current(&self, id: &ContainerId) -> Option<(Run, Arc<[PortMapping]>)> {
        self.opened().containers.get(id).cloned()
    }

    /// Returns the current opening of a container's ports, to close it later.
    pub(crate) fn run(&self, id: &ContainerId) -> Option<Run> {
        self.current(id).map(|(run, _)| run)
    }

    /// Returns the open ports of a container.
    pub(crate) fn of(&self, id: &ContainerId) -> Arc<[PortMapping]> {
        self.current(id)
            .map_or_else(|| [].into(), |(_, ports)| ports)
    }

    /// Returns another container with an open port that conflicts with one of these.
    fn rival(&self, id: &ContainerId, wanted: &[PortMapping]) -> Option<ContainerId> {
        let opened = self.opened();
        let clashes = |ports: &[PortMapping]| {
            ports
                .iter()
                .any(|port| wanted.iter().any(|wanted| wanted.conflicts_with(port)))
        };
        opened
            .containers
            .iter()
            .find(|(other, (_, ports))| *other != id && clashes(ports))
            .map(|(other, _)| *other)
    }

    /// Closes the ports of a container that were opened for this run. The caller holds the lock.
    pub(crate) async fn close(&self, id: &ContainerId, run: Option<Run>) {
        let Some(run) = run else { return };
        {
            let mut opened = self.opened();
            match opened.containers.get(id) {
                Some((current, _)) if *current == run => drop(opened.containers.remove(id)),
                _ => return,
            }
        }
        if let Some(publisher) = &self.publisher {
            publisher.withdraw(id).await;
        }
    }

    /// Opens these ports of a container. The caller holds the lock.
    async fn open(
        &self,
        id: ContainerId,
        address: IpAddr,
        wanted: &[PortMapping],
    ) -> portlayer::Result<(Run, Arc<[PortMapping]>)> {
        // Close those of a previous run whose end has not been noticed yet.
        self.close(&id, self.run(&id)).await;
        let published = match &self.publisher {
            Some(publisher) => publisher.publish(id, address, wanted).await?,
            None => Vec::new(),
        };
        let ports: Arc<[PortMapping]> = published.into();
        let mut opened = self.opened();
        opened.last_run += 1;
        let run = Run(opened.last_run);
        opened.containers.insert(id, (run, Arc::clone(&ports)));
        Ok((run, ports))
    }
}

impl FrontEnd {
    /// Opens the published ports of a container that is about to start. The caller holds the lock.
    pub(crate) async fn open_ports(&self, container: &View) -> Result<Option<Run>> {
        let Some((endpoint, address)) = publishing(container) else {
            return Ok(None);
        };
        if !self.ports().is_supported() {
            return Err(ApiError::not_supported("The option --publish"));
        }
        let wanted = &endpoint.spec.ports;
        let mut choice = Choice::new(wanted, &container.extras.port_bindings);
        let (run, ports) = loop {
            let ports = choice.ports();
            match self.ports().open(container.id, address, ports).await {
                Ok(opened) => break opened,
                Err(error) if choice.advance(&error) => {}
                Err(error) => {
                    let by_container = self.ports().rival(&container.id, choice.ports()).is_some();
                    return Err(port_refused(container, error, by_container));
                }
            }
        };
        if *wanted != *ports
            && let Err(error) = self.keep_ports(container, &ports).await
        {
            self.ports().close(&container.id, Some(run)).await;
            return Err(error);
        }
        Ok(Some(run))
    }

    async fn keep_ports(&self, container: &View, ports: &[PortMapping]) -> Result<()> {
        let ports =
            serde_json::to_string(ports).map_err(|error| ApiError::internal(error.to_string()))?;
        // The ports are those of this run.
        let edit = Edit::new().annotation(ANNOTATION, ports).may_be_forgotten();
        self.layer().exec().update(&container.id, edit).await?;
        Ok(())
    }

    /// Opens the ports of a running container again, as they were. If a port cannot be opened any
    /// more, this is logged, and the container continues without it.
    pub(crate) async fn reopen_ports(&self, container: &View) {
        let Some((endpoint, address)) = publishing(container) else {
            return;
        };
        let wanted = endpoint.spec.ports.as_slice();
        let ports = kept(container, wanted).unwrap_or_else(|| wanted.to_vec());
        let turn = self.ports().turn(&container.id);
        let _turn = turn.lock().await;
        if let Err(error) = self.ports().open(container.id, address, &ports).await {
            let error = chain(&error);
            tracing::warn!(id = %container.id, %error, "a running container's ports stay closed");
        }
    }

    /// Closes the ports that were opened for this run of a container.
    pub(crate) async fn close_ports(&self, id: &ContainerId, run: Option<Run>) {
        let turn = self.ports().turn(id);
        let _turn = turn.lock().await;
        self.ports().close(id, run).await;
    }
}

/// Returns docker's error for a port that cannot be opened. The text differs when another
/// container uses the port.
pub(crate) fn port_refused(
    container: &View,
    error: portlayer::Error,
    by_container: bool,
) -> ApiError {
    let resource = error.resource();
    if resource.kind != ResourceKind::Other("host port") {
        return error.into();
    }
    let (at, _) = resource.id.rsplit_once('/').unwrap_or((&resource.id, ""));
    let at = match at.parse::<u16>() {
        Ok(port) => format!("0.0.0.0:{port}"),
        Err(_) => at.to_owned(),
    };
    let reason = match error.kind() {
        ErrorKind::InUse { .. } if by_container => {
            format!("Bind for {at} failed: port is already allocated")
        }
        ErrorKind::InUse { .. } => {
            format!("failed to bind host port for {at}: address already in use")
        }
        ErrorKind::InvalidArgument { .. } => {
            format!("failed to bind host port for {at}: cannot assign requested address")
        }
        ErrorKind::PermissionDenied => {
            format!("failed to bind host port for {at}: permission denied")
        }
        _ => chain(&error),
    };
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        format!(
            "failed to set up container networking: driver failed programming external \
             connectivity on endpoint {} ({}): {reason}",
            container.info.name, container.id
        ),
    )
}

/// Returns the connection whose ports are published, and the container's address in it.
fn publishing(container: &View) -> Option<(&EndpointInfo, IpAddr)> {
    let endpoints = container.info.endpoints.iter();
    let mut publishing = endpoints.filter(|endpoint| !endpoint.spec.ports.is_empty());
    publishing.find_map(|endpoint| Some((endpoint, endpoint.address?.addr())))
}

/// Returns the ports of the last run, if they still satisfy the bindings.
fn kept(container: &View, wanted: &[PortMapping]) -> Option<Vec<PortMapping>> {
    let json = container.info.annotations.get(ANNOTATION)?;
    let kept: Vec<PortMapping> = serde_json::from_str(json).ok()?;
    let same = |(kept, wanted): (&PortMapping, &PortMapping)| {
        kept.container_port == wanted.container_port
            && kept.protocol == wanted.protocol
            && kept.host_address == wanted.host_address
            && (wanted.host_port.is_none() || kept.host_port == wanted.host_port)
    };
    (kept.len() == wanted.len() && kept.iter().zip(wanted).all(same)).then_some(kept)
}

/// Returns the published ports as mappings of the port layer. A host port that is chosen from a
/// range at the start is not set yet.
pub(crate) fn mappings(bindings: &BTreeMap<String, Vec<PortBinding>>) -> Result<Vec<PortMapping>> {
    let wanted = wanted(bindings)?.into_iter();
    Ok(wanted.map(|(mapping, _)| mapping).collect())
}

/// Returns the published ports, each with the range from which the host port is chosen, if any.
pub(crate) fn wanted(
    bindings: &BTreeMap<String, Vec<PortBinding>>,
) -> Result<Vec<(PortMapping, Option<PortRange>)>> {
    let mut mappings = Vec::new();
    for (port, bindings) in bindings {
        let (number, protocol) = exposed(port)?;
        for PortBinding { host_ip, host_port } in bindings {
            let mut mapping = PortMapping::new(number).protocol(protocol);
            if !host_ip.is_empty() {
                let address = host_ip.trim_matches(['[', ']']).parse();
                let address = address.map_err(|_| {
                    ApiError::bad_request(format!("invalid IP address for a port: {host_ip}"))
                })?;
                mapping = mapping.host_address(address);
            }
            let invalid =
                || ApiError::bad_request(format!("invalid host port for {port}: {host_port}"));
            let mut range = None;
            match (host_port.as_str(), host_port.split_once('-')) {
                ("" | "0", _) => {}
                (_, Some((first, last))) => {
                    let first: u16 = first.parse().map_err(|_| invalid())?;
                    let last: u16 = last.parse().map_err(|_| invalid())?;
                    if first == 0 || first > last {
                        return Err(invalid());
                    }
                    range = Some(first..=last);
                }
                (text, None) => {
                    mapping = mapping.host_port(text.parse().map_err(|_| invalid())?);
                }
            }
            mappings.push((mapping, range));
        }
    }
    Ok(mappings)
}

/// Parses a port of a container as docker writes it: `80/tcp`, or `80`.
pub(crate) fn exposed(text: &str) -> Result<(u16, Protocol)> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => {
            return Err(ApiError::not_supported(&format!(
                "Publishing the port {text}"
            )));
        }
        _ => return Err(ApiError::bad_request(format!("invalid protocol: {text}"))),
    };
    match number.parse() {
        Ok(number) if number > 0 => Ok((number, protocol)),
        _ => Err(ApiError::bad_request(format!("invalid port: {text}"))),
    }
}

/// Returns every exposed port of a running container, with the addresses where it is published.
fn by_port(container: &View, open: &[PortMapping]) -> BTreeMap<(u16, Protocol), Vec<SocketAddr>> {
    let mut ports: BTreeMap<(u16, Protocol), Vec<SocketAddr>> = BTreeMap::new();
    if !container.is_running() {
        return ports;
    }
    for port in &container.extras.exposed_ports {
        if let Ok(port) = exposed(port) {
            ports.entry(port).or_default();
        }
    }
    for port in open {
        let address = port.host_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let at = SocketAddr::new(address, port.host_port.unwrap_or_default());
        let key = (port.container_port, port.protocol);
        ports.entry(key).or_default().push(at);
    }
    ports
}

/// Returns the ports in the form of the list of containers.
pub(crate) fn summary(container: &View, open: &[PortMapping]) -> Vec<Value> {
    let mut list = Vec::new();
    for ((port, protocol), published) in by_port(container, open) {
        let protocol = protocol.to_string();
        if published.is_empty() {
            list.push(json!({ "PrivatePort": port, "Type": protocol }));
        }
        for at in published {
            list.push(json!({
                "IP": at.ip(), "PrivatePort": port, "PublicPort": at.port(), "Type": protocol,
            }));
        }
    }
    list
}

/// Returns the ports in the form of `docker inspect` and `docker port`.
pub(crate) fn inspected(container: &View, open: &[PortMapping]) -> Value {
    let ports = by_port(container, open).into_iter();
    let ports = ports.map(|((port, protocol), published)| {
        let bindings: Vec<Value> = published
            .iter()
            .map(|at| json!({ "HostIp": at.ip(), "HostPort": at.port().to_string() }))
            .collect();
        let bindings = if bindings.is_empty() {
            Value::Null
        } else {
            bindings.into()
        };
        (format!("{port}/{protocol}"), bindings)
    });
    Value::Object(ports.collect())
}

/// Returns whether a filter of `docker ps`, such as `80`, `80/udp` or `8000-8010/tcp`, matches this
/// port.
pub(crate) fn fits(filter: &str, port: u16, protocol: &str) -> bool {
    let (range, wanted) = filter.split_once('/').unwrap_or((filter, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>()) else {
        return false;
    };
    wanted == protocol && (first..=last).contains(&port)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    fn bound(port: &str, host_ip: &str, host_port: &str) -> Result<Vec<PortMapping>> {
        let (host_ip, host_port) = (host_ip.to_owned(), host_port.to_owned());
        let binding = PortBinding { host_ip, host_port };
        mappings(&BTreeMap::from([(port.to_owned(), vec![binding])]))
    }

    #[test]
    fn what_docker_sends_becomes_a_mapping() {
        let web = PortMapping::new(80);
        assert_eq!(bound("80", "", "").unwrap(), [web]);
        assert_eq!(bound("80/tcp", "", "0").unwrap(), [web]);
        let local = web.host_address(Ipv4Addr::LOCALHOST.into()).host_port(8080);
        assert_eq!(bound("80/tcp", "127.0.0.1", "8080").unwrap(), [local]);
        let dns = PortMapping::new(53).protocol(Protocol::Udp).host_port(53);
        let six = dns.host_address("::1".parse().unwrap());
        assert_eq!(bound("53/udp", "[::1]", "53").unwrap(), [six]);
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_value() {
        for (port, host_ip, host_port, status, word) in [
            ("0/tcp", "", "", 400, "0/tcp"),
            ("80/x", "", "", 400, "80/x"),
            ("80", "1.2.3", "", 400, "1.2.3"),
            ("80", "", "70000", 400, "70000"),
            ("80", "", "8010-8000", 400, "8010-8000"),
            ("80", "", "0-80", 400, "0-80"),
            ("80", "", "80-", 400, "80-"),
            ("80/sctp", "", "", 501, "80/sctp"),
        ] {
            let error = bound(port, host_ip, host_port).unwrap_err();
            assert_eq!(error.status, status, "{}", error.message);
            assert!(error.message.contains(word), "{}", error.message);
        }
    }

    #[test]
    fn filters_are_ports_or_ranges() {
        assert!(fits("80", 80, "tcp") && fits("53/udp", 53, "udp") && fits("79-81", 80, "tcp"));
        assert!(!fits("80", 80, "udp") && !fits("x", 80, "tcp") && !fits("81-79", 80, "tcp"));
    }
}
