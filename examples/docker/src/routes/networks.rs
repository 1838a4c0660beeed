//! Networks, which are scopes of the port layer.

use hyper::StatusCode;
use portlayer::image::Digest;
use portlayer::network::{ScopeInfo, ScopeKind, ScopeSpec};
use portlayer::{Capability, ErrorKind};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::FrontEnd;
use crate::connections;
use crate::error::{ApiError, Result};
use crate::options::EndpointConfig;
use crate::reply::{self, Reply};
use crate::request::{Call, Query};

/// Docker's option for the packet size of a network.
const MTU: &str = "com.docker.network.driver.mtu";

/// Returns docker's id of a network. A scope has only a name, from which the id is derived.
pub(crate) fn id(name: &str) -> String {
    Digest::of(format!("network {name}")).hex()
}

/// Lists all scopes; only the bridge, if the host has no networks of its own.
async fn scopes(front_end: &FrontEnd) -> Result<Vec<ScopeInfo>> {
    if front_end
        .layer()
        .capabilities()
        .contains(Capability::Networks)
    {
        return Ok(front_end.layer().networks().list().await?);
    }
    let mut bridge = ScopeInfo::new(ScopeSpec::bridge("bridge"));
    bridge.is_default = true;
    Ok(vec![bridge])
}

async fn scope(front_end: &FrontEnd, name: &str) -> Result<ScopeInfo> {
    let mut scopes = scopes(front_end).await?.into_iter();
    let wanted = |scope: &ScopeInfo| {
        scope.spec.name == name || (name.len() >= 4 && id(&scope.spec.name).starts_with(name))
    };
    scopes
        .find(wanted)
        .ok_or_else(|| ApiError::not_found(format!("network {name} not found")))
}

fn shown(scope: &ScopeInfo) -> Value {
    let spec = &scope.spec;
    let driver = match &spec.kind {
        ScopeKind::Bridge => "bridge",
        _ => "external",
    };
    let pool = match spec.subnet {
        None => json!([]),
        Some(subnet) => json!([{
            "Subnet": subnet.to_string(),
            "Gateway": spec.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
        }]),
    };
    let options: serde_json::Map<String, Value> = spec
        .mtu
        .iter()
        .map(|mtu| (MTU.to_owned(), json!(mtu.to_string())))
        .collect();
    let containers: serde_json::Map<String, Value> = scope
        .containers
        .iter()
        .map(|container| (container.to_string(), json!({ "Name": container.short() })))
        .collect();
    json!({
        "Name": spec.name,
        "Id": id(&spec.name),
        "Created": "0001-01-01T00:00:00Z",
        "Scope": "local",
        "Driver": driver,
        "EnableIPv4": true,
        "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": null, "Config": pool },
        "Internal": spec.internal,
        "Attachable": false,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": containers,
        "Options": options,
        "Labels": spec.labels,
    })
}

pub(crate) async fn list(front_end: &FrontEnd, query: &Query) -> Result<Reply> {
    let filters = query.filters()?;
    filters.only(&["name", "id", "driver", "label", "scope", "type", "dangling"])?;
    let scopes = scopes(front_end).await?;
    let wanted = scopes.iter().filter(|scope| {
        filters.fits("name", |name| scope.spec.name.contains(name))
            && filters.fits("id", |wanted| id(&scope.spec.name).starts_with(wanted))
            && filters.fits("driver", |driver| {
                (driver == "bridge") == (scope.spec.kind == ScopeKind::Bridge)
            })
            && filters.fits("scope", |scope| scope == "local")
            && filters.fits("type", |kind| (kind == "builtin") == scope.is_default)
            && filters.fits("dangling", |wanted| {
                matches!(wanted, "true" | "1") == scope.containers.is_empty()
            })
            && filters.fits_labels(&scope.spec.labels)
    });
    Ok(reply::json(&wanted.map(shown).collect::<Vec<_>>()))
}

pub(crate) async fn inspect(front_end: &FrontEnd, name: &str) -> Result<Reply> {
    Ok(reply::json(&shown(&scope(front_end, name).await?)))
}

#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[derive(Default)]
struct CreateBody {
    name: String,
    driver: String,
    internal: bool,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: Option<Ipam>,
    options: Option<std::collections::BTreeMap<String, String>>,
    labels: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Ipam {
    config: Option<Vec<Pool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Pool {
    subnet: String,
    gateway: String,
    #[serde(rename = "IPRange")]
    ip_range: String,
}

pub(crate) async fn create(front_end: &FrontEnd, call: Call) -> Result<Reply> {
    let body: CreateBody = call.json().await?;
    if !matches!(body.driver.as_str(), "" | "default" | "bridge") {
        return Err(ApiError::not_supported(&format!(
            "The network driver {}",
            body.driver
        )));
    }
    if body.enable_ipv6 {
        return Err(ApiError::not_supported("The option --ipv6"));
    }
    let mut spec = ScopeSpec::bridge(&body.name);
    for (option, value) in body.options.unwrap_or_default() {
        if option != MTU {
            return Err(ApiError::not_supported(&format!(
                "The option --opt {option} of a network"
            )));
        }
        let invalid = |_| ApiError::bad_request(format!("invalid {MTU}: {value}"));
        spec = spec.mtu(value.parse().map_err(invalid)?);
    }
    spec.internal = body.internal;
    spec.labels = body.labels.unwrap_or_default();
    let pools = body.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    if pools.len() > 1 {
        return Err(ApiError::not_supported("A network with several subnets"));
    }
    if let Some(pool) = pools.first() {
        let invalid =
            |what: &str, text: &str| ApiError::bad_request(format!("invalid {what}: {text}"));
        if !pool.ip_range.is_empty() {
            let range = pool.ip_range.parse();
            spec = spec.pool_of(range.map_err(|_| invalid("IP range", &pool.ip_range))?);
        }
        if !pool.subnet.is_empty() {
            let subnet = pool.subnet.parse();
            spec = spec.subnet(subnet.map_err(|_| invalid("subnet", &pool.subnet))?);
        }
        if !pool.gateway.is_empty() {
            let gateway = pool.gateway.parse();
            spec = spec.gateway(gateway.map_err(|_| invalid("gateway", &pool.gateway))?);
        }
    }
    match front_end.layer().networks().create(spec).await {
        Ok(_) => {}
        Err(error) if *error.kind() == ErrorKind::AlreadyExists => {
            return Err(ApiError::conflict(format!(
                "network with name {} already exists",
                body.name
            )));
        }
        Err(error) => return Err(error.into()),
    }
    let name = ("name".to_owned(), body.name.clone());
    front_end
        .bus()
        .publish("network", "create", id(&body.name), [name]);
    let answer = json!({ "Id": id(&body.name), "Warning": "" });
    Ok(reply::json_with(StatusCode::CREATED, &answer))
}

pub(crate) async fn remove(front_end: &FrontEnd, name: &str) -> Result<Reply> {
    let scope = scope(front_end, name).await?;
    if scope.is_default {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            format!(
                "{} is a pre-defined network and cannot be removed",
                scope.spec.name
            ),
        ));
    }
    if let Err(error) = front_end.layer().networks().remove(&scope.spec.name).await {
        let ErrorKind::InUse { by } = error.kind() else {
            return Err(error.into());
        };
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            format!(
                "error while removing network: network {} has active endpoints ({by})",
                scope.spec.name
            ),
        ));
    }
    let name = ("name".to_owned(), scope.spec.name.clone());
    let bus = front_end.bus();
    bus.publish("network", "destroy", id(&scope.spec.name), [name]);
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

pub(crate) async fn prune(front_end: &FrontEnd, query: &Query) -> Result<Reply> {
    let filters = query.filters()?;
    let wanted = filters.prune(&[])?;
    let mut done = Vec::new();
    for scope in scopes(front_end).await? {
        let bridge = scope.spec.kind == ScopeKind::Bridge;
        // The time of a scope's creation is not stored.
        let fits = wanted.fits(&scope.spec.labels, None);
        if scope.is_default || !bridge || !scope.containers.is_empty() || !fits {
            continue;
        }
        match front_end.layer().networks().remove(&scope.spec.name).await {
            Ok(()) => done.push(scope.spec.name),
            Err(error) if matches!(error.kind(), ErrorKind::InUse { .. } | ErrorKind::NotFound) => {
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(reply::json(&json!({ "NetworksDeleted": done })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ConnectBody {
    container: String,
    endpoint_config: Option<EndpointConfig>,
}

pub(crate) async fn connect(front_end: &FrontEnd, name: &str, call: Call) -> Result<Reply> {
    let body: ConnectBody = call.json().await?;
    let container = front_end.container(&body.container).await?;
    let scope = scope(front_end, name).await?;
    let config = body.endpoint_config.unwrap_or_default();
    let endpoint = connections::endpoint(&scope.spec.name, config)?;
    let networks = front_end.layer().networks();
    match networks.connect(&container.id, endpoint).await {
        Err(error) if *error.kind() == ErrorKind::AlreadyExists => {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                format!(
                    "endpoint with name {} already exists in network {}",
                    container.info.name, scope.spec.name
                ),
            ));
        }
        other => other?,
    };
    Ok(reply::empty(StatusCode::OK))
}

pub(crate) async fn disconnect(front_end: &FrontEnd, name: &str, call: Call) -> Result<Reply> {
    let body: ConnectBody = call.json().await?;
    let container = front_end.container(&body.container).await?;
    let scope = scope(front_end, name).await?;
    if !container.scopes().any(|name| name == scope.spec.name) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            format!(
                "container {} is not connected to the network {}",
                container.id, scope.spec.name
            ),
        ));
    }
    let networks = front_end.layer().networks();
    networks.disconnect(&container.id, &scope.spec.name).await?;
    Ok(reply::empty(StatusCode::OK))
}
