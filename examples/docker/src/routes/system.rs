//! The engine itself: ping, version, info, events, usage.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use image_source::Credentials;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use crate::FrontEnd;
use crate::error::{ApiError, Result};
use crate::reply::{self, Reply};
use crate::request::{API_VERSION, API_VERSION_MIN, Call, Query};
use crate::view::Phase;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn ping(head: bool) -> Reply {
    let text = if head { "" } else { "OK" };
    let mut reply = reply::content(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        Bytes::from_static(text.as_bytes()),
    );
    let headers = reply.headers_mut();
    let uncached = HeaderValue::from_static("no-cache, no-store, must-revalidate");
    headers.insert(CACHE_CONTROL, uncached);
    headers.insert("Swarm", HeaderValue::from_static("inactive"));
    headers.insert("Builder-Version", HeaderValue::from_static("1"));
    reply
}

pub(crate) fn version() -> Reply {
    let api = format!("1.{API_VERSION}");
    let oldest = format!("1.{API_VERSION_MIN}");
    reply::json(&json!({
        "Platform": { "Name": "portlayer" },
        "Components": [{
            "Name": "Engine",
            "Version": VERSION,
            "Details": { "ApiVersion": api, "MinAPIVersion": oldest, "Os": "linux", "Arch": "amd64" },
        }],
        "Version": VERSION,
        "ApiVersion": api,
        "MinAPIVersion": oldest,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": "",
        "BuildTime": "",
    }))
}

pub(crate) async fn info(front_end: &FrontEnd) -> Result<Reply> {
    let containers = front_end.containers().await?;
    let images = front_end.layer().images().list().await?;
    let count = |phase: Phase| containers.iter().filter(|c| c.phase() == phase).count();
    let settings = front_end.settings();
    let networks = ["bridge", "external"];
    let missing = front_end.layer().capabilities();
    let warnings: Vec<String> = missing
        .missing()
        .map(|capability| format!("WARNING: this host lacks {capability}"))
        .collect();
    Ok(reply::json(&json!({
        "ID": settings.id,
        "Name": settings.name,
        "Containers": containers.len(),
        "ContainersRunning": count(Phase::Running),
        "ContainersPaused": count(Phase::Paused),
        "ContainersStopped": containers.len() - count(Phase::Running) - count(Phase::Paused),
        "Images": images.images.len(),
        "Driver": "vSphere",
        "DriverStatus": settings.status,
        "Plugins": { "Volume": [], "Network": networks, "Authorization": null, "Log": ["json-file"] },
        "MemoryLimit": true,
        "SwapLimit": false,
        "CpuCfsPeriod": false,
        "CpuCfsQuota": false,
        "CPUShares": false,
        "CPUSet": false,
        "PidsLimit": false,
        "IPv4Forwarding": true,
        "OomKillDisable": false,
        "Debug": false,
        "NFd": 0,
        "NGoroutines": 0,
        "SystemTime": Timestamp::now().to_string(),
        "LoggingDriver": "json-file",
        "CgroupDriver": "none",
        "NEventsListener": 0,
        "KernelVersion": "",
        "OperatingSystem": settings.operating_system,
        "OSVersion": "",
        "OSType": "linux",
        "Architecture": "x86_64",
        "NCPU": settings.cpus,
        "MemTotal": settings.memory_bytes,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128"], "IndexConfigs": {}, "Mirrors": [],
        },
        "GenericResources": null,
        "DockerRootDir": "",
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Labels": [],
        "ExperimentalBuild": false,
        "ServerVersion": VERSION,
        "Runtimes": { "machine": { "path": "" } },
        "DefaultRuntime": "machine",
        "Swarm": { "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive",
            "ControlAvailable": false, "Error": "", "RemoteManagers": null },
        "LiveRestoreEnabled": true,
        "Isolation": "",
        "InitBinary": "tether",
        "ContainerdCommit": { "ID": "" },
        "RuncCommit": { "ID": "" },
        "InitCommit": { "ID": "" },
        "SecurityOptions": [],
        "Warnings": warnings,
    })))
}

/// Streams the events from now on, until the client disconnects or `until` has passed.
pub(crate) fn events(front_end: &FrontEnd, query: &Query) -> Result<Reply> {
    let filters = query.filters()?;
    filters.only(&["type", "event", "container", "image", "network", "label"])?;
    let until = match query.get("until") {
        None => None,
        Some(text) => Some(crate::time::parse(text)?),
    };
    let left = until.map(|until| {
        let left = until.duration_since(Timestamp::now());
        std::time::Duration::try_from(left).unwrap_or_default()
    });
    let receiver = front_end.bus().subscribe();
    let lines = stream::unfold(receiver, |mut receiver| async move {
        loop {
            match receiver.recv().await {
                Ok(event) => return Some((event, receiver)),
                Err(RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "a client of events does not keep up");
                }
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let lines = lines.filter_map(move |event| {
        let line = event.fits(&filters).then(|| {
            let line = format!("{}\n", event.json());
            Ok(Bytes::from(line))
        });
        std::future::ready(line)
    });
    let ended = async move {
        match left {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    };
    Ok(reply::stream(reply::JSON, lines.take_until(ended)))
}

pub(crate) async fn usage(front_end: &FrontEnd) -> Result<Reply> {
    let usage = front_end.layer().images().usage().await?;
    let images = front_end.image_summaries().await?;
    Ok(reply::json(&json!({
        "LayersSize": usage.bytes,
        "Images": images,
        "Containers": [],
        "Volumes": [],
        "BuildCache": [],
    })))
}

/// `docker login`: verifies the credentials at their registry. The docker command stores them and
/// sends them with each pull.
pub(crate) async fn auth(front_end: &FrontEnd, call: Call) -> Result<Reply> {
    #[derive(serde::Deserialize)]
    struct Login {
        #[serde(default)]
        username: String,
        #[serde(default)]
        password: String,
        #[serde(default)]
        serveraddress: String,
    }
    let login: Login = call.json().await?;
    let registry = registry(&login.serveraddress);
    let credentials = Credentials::basic(login.username, login.password);
    let registries = front_end.registries(None, registry)?;
    match registries.login(registry, credentials).await {
        Ok(()) => Ok(reply::json(
            &json!({ "Status": "Login Succeeded", "IdentityToken": "" }),
        )),
        Err(error @ image_source::Error::Denied { .. }) => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            format!("Get \"{registry}/v2/\": unauthorized: {error}"),
        )),
        Err(error) => Err(error.into()),
    }
}

/// Returns the registry's name in the address that `docker login` sends: `host`, or a URL. The
/// default is Docker's own registry.
fn registry(address: &str) -> &str {
    let bare = address.split_once("://").map_or(address, |(_, rest)| rest);
    match bare.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

/// `docker builder prune`: there is no build cache, so nothing is removed.
pub(crate) fn prune_builds() -> Reply {
    reply::json(&json!({ "CachesDeleted": [], "SpaceReclaimed": 0 }))
}

#[cfg(test)]
mod tests {
    use super::registry;

    #[test]
    fn a_registry_is_named_by_its_host() {
        assert_eq!(registry("https://index.docker.io/v1/"), "docker.io");
        assert_eq!(registry(""), "docker.io");
        assert_eq!(registry("127.0.0.1:5000"), "127.0.0.1:5000");
        assert_eq!(registry("https://r.example/v2/"), "r.example");
    }
}
