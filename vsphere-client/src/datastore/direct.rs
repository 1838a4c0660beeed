//! Transfers straight from or to a host that mounts the datastore, instead of through vCenter.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;
use vim25::types::{
    HostMountMode, HostSystemConnectionState, HostSystemPowerState,
    SessionManagerHttpServiceRequestSpec, SessionManagerHttpServiceRequestSpecMethod,
};
use vim25::{Poly, Property, Ref, mo, props};

use crate::client::Client;
use crate::error::{Error, Result};
use crate::escape::encode;
use crate::inventory::Datastore;
use crate::tls::Thumbprint;
use crate::transport::{Body, Request, Transport};

const NAME: Property<mo::HostSystem, String> = Property::new("name");
const CONNECTION: Property<mo::HostSystem, HostSystemConnectionState> =
    Property::new("runtime.connectionState");
const POWER: Property<mo::HostSystem, HostSystemPowerState> = Property::new("runtime.powerState");
const THUMBPRINT: Property<mo::HostSystem, String> = Property::new("summary.config.sslThumbprint");
const CERTIFICATE: Property<mo::HostSystem, Vec<i8>> = Property::new("config.certificate");

/// The number of hosts that are tried before the transfer goes through vCenter.
const HOSTS: usize = 3;

/// How long a host may take to answer that it is there.
const PROBE: Duration = Duration::from_secs(5);

/// Where a transfer goes, and what authenticates it.
pub(super) struct Route {
    pub(super) url: Url,
    pub(super) transport: Arc<dyn Transport>,
    /// The session, or a ticket that is valid for one request.
    pub(super) cookie: Option<SecretString>,
}

/// How long the hosts of a datastore are kept. A host that is gone by then is only passed by.
const KEPT: Duration = Duration::from_secs(60);

/// The maximum number of datastores whose hosts are kept.
const DATASTORES: usize = 256;

/// A host that mounts the datastore.
#[derive(Debug)]
struct Host {
    address: String,
    pin: Thumbprint,
}

/// The hosts of datastores, with the time at which they were read, so that they and their
/// certificates are not read again for each transfer.
#[derive(Debug, Default)]
pub(crate) struct KnownHosts {
    hosts: Mutex<HashMap<Ref<mo::Datastore>, ReadHosts>>,
}

/// The hosts of one datastore, and when they were read.
type ReadHosts = (Instant, Arc<[Host]>);

impl KnownHosts {
    /// Returns the hosts of a datastore if they were read recently.
    fn get(&self, datastore: &Datastore) -> Option<Arc<[Host]>> {
        let known = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, hosts) = known.get(datastore.reference())?;
        (read.elapsed() < KEPT).then(|| Arc::clone(hosts))
    }

    fn insert(&self, datastore: &Datastore, hosts: &Arc<[Host]>) {
        let mut known = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= DATASTORES {
            known.clear();
        }
        let read = (Instant::now(), Arc::clone(hosts));
        known.insert(datastore.reference().clone(), read);
    }

    /// Forgets the hosts of a datastore, none of which could be used.
    fn forget(&self, datastore: &Datastore) {
        let mut known = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(datastore.reference());
    }
}

/// Returns the way to a host that mounts the datastore, with a ticket for one request; `None`
/// if the transfer has to go through the server.
pub(super) async fn route(
    client: &Client,
    datastore: &Datastore,
    path: &str,
    method: &Method,
) -> Option<Route> {
    // On ESXi, the server is the host.
    if !client.is_vcenter() {
        return None;
    }
    let known = &client.inner.known_hosts;
    let hosts = match known.get(datastore) {
        Some(hosts) => hosts,
        None => match hosts(client, datastore).await {
            Ok(hosts) => {
                let hosts = hosts.into();
                known.insert(datastore, &hosts);
                hosts
            }
            Err(error) => {
                tracing::warn!(datastore = datastore.name(), %error, "no host of the datastore can be used, so files go through vCenter");
                return None;
            }
        },
    };
    // Spread the transfers over the hosts.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let first = NEXT.fetch_add(1, Ordering::Relaxed) % hosts.len().max(1);
    let ordered = hosts
        .iter()
        .cycle()
        .skip(first)
        .take(hosts.len().min(HOSTS));
    for host in ordered {
        match reach(client, host, datastore, path, method).await {
            Ok(route) => {
                tracing::debug!(host = host.address, "transfer without vCenter");
                return Some(route);
            }
            Err(error) => {
                tracing::warn!(host = host.address, %error, "a host cannot be reached for a transfer");
            }
        }
    }
    known.forget(datastore);
    tracing::warn!(
        datastore = datastore.name(),
        hosts = hosts.len(),
        "no host of the datastore can be reached, so files go through vCenter"
    );
    None
}

/// Returns the hosts that can serve the datastore, and whose certificate vCenter knows.
async fn hosts(client: &Client, datastore: &Datastore) -> Result<Vec<Host>> {
    let mounts = client
        .get(datastore.reference(), props::datastore::HOST)
        .await?;
    let usable = mounts.into_iter().filter(|mount| {
        let info = &mount.mount_info;
        info.access_mode == HostMountMode::ReadWrite.as_str()
            && info.mounted != Some(false)
            && info.accessible != Some(false)
    });
    let found = client
        .retrieve::<mo::HostSystem>()
        .property(NAME)
        .property(CONNECTION)
        .property(POWER)
        .property(THUMBPRINT)
        .property(CERTIFICATE)
        .objects(usable.map(|mount| mount.key))
        .collect()
        .await?;
    let hosts = found.iter().filter_map(|host| {
        let works = host.value(CONNECTION) == Some(HostSystemConnectionState::Connected)
            && host.value(POWER) == Some(HostSystemPowerState::PoweredOn);
        let pin = pin(host.value(CERTIFICATE), host.value(THUMBPRINT))?;
        let address = host.value(NAME)?;
        works.then_some(Host { address, pin })
    });
    Ok(hosts.collect())
}

/// Returns the thumbprint of the certificate that a host must present. The certificate takes
/// precedence over the digest, which servers before 8.0 compute with SHA-1.
fn pin(certificate: Option<Vec<i8>>, thumbprint: Option<String>) -> Option<Thumbprint> {
    let pem: Vec<u8> = certificate
        .unwrap_or_default()
        .into_iter()
        .map(i8::cast_unsigned)
        .collect();
    match CertificateDer::from_pem_slice(&pem) {
        Ok(certificate) => Some(Thumbprint::sha256(&certificate)),
        Err(_) => thumbprint?.parse().ok(),
    }
}

/// Checks that a host responds with the expected certificate, and gets a ticket for a request.
async fn reach(
    client: &Client,
    host: &Host,
    datastore: &Datastore,
    path: &str,
    method: &Method,
) -> Result<Route> {
    let mut url =
        Url::parse(&format!("https://{}/", host.address)).map_err(|error| Error::Config {
            what: format!("the host {:?} cannot be part of an address", host.address).into(),
            source: Some(error.into()),
        })?;
    let transport = client.inner.transport.pinned(&host.pin)?;
    let operation = client.operation(&format!("connect to {}", host.address), None);
    let limit = client.inner.options.connect_timeout.min(PROBE);
    // Without a ticket: every response proves that the host is there. An upload cannot be sent
    // twice, so this has to be known before.
    let probe = Request {
        method: Method::HEAD,
        url: url.clone(),
        headers: Vec::new(),
        cookie: None,
        body: Body::Empty,
        limit: Some(limit),
    };
    let probed = transport.send(probe).await;
    probed.map_err(|error| {
        let failure = crate::exchange::Failure::Transport(error);
        client.inner.explain(operation, failure, true, limit)
    })?;

    let folder = super::transfer::folder_path(path)?;
    url.set_path(&folder);
    // A host has one datacenter, so none is named.
    url.set_query(Some(&format!("dsName={}", encode(datastore.name()))));
    let cookie = ticket(client, &url, method).await?;
    Ok(Route {
        url,
        transport,
        cookie: Some(cookie),
    })
}

/// Gets a ticket for one request, as the value of the header `Cookie`.
async fn ticket(client: &Client, url: &Url, method: &Method) -> Result<SecretString> {
    use SessionManagerHttpServiceRequestSpecMethod as HttpMethod;
    let manager: Option<&Ref<mo::SessionManager>> =
        client.service_content().session_manager.as_ref();
    let manager = manager.ok_or_else(|| Error::unsupported("sessions", client.server()))?;
    let method = match *method {
        Method::PUT => HttpMethod::HttpPut,
        _ => HttpMethod::HttpGet,
    };
    let spec = Poly::new(SessionManagerHttpServiceRequestSpec {
        method: Some(method.as_str().to_owned()),
        url: url.to_string(),
        ..SessionManagerHttpServiceRequestSpec::default()
    });
    let ticket = client
        .call(manager.acquire_generic_service_ticket(&spec))
        .await?;
    Ok(format!("vmware_cgi_ticket={}", ticket.id).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn hosts_without_a_known_certificate_are_not_used() {
        let thumbprint = "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D";
        assert!(pin(None, None).is_none());
        assert!(pin(None, Some(String::new())).is_none());
        assert!(pin(Some(vec![1, 2, 3]), Some("no digits".into())).is_none());
        let read = pin(None, Some(thumbprint.into())).unwrap();
        assert_eq!(read.to_string(), thumbprint);
        let made = rcgen::generate_simple_self_signed(vec!["esx".to_owned()]).unwrap();
        let pem = made.cert.pem().into_bytes();
        let pem = pem.into_iter().map(u8::cast_signed).collect();
        let read = pin(Some(pem), Some(thumbprint.into())).unwrap();
        assert_eq!(read, Thumbprint::sha256(made.cert.der()));
    }
}
