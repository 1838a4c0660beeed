//! A proxy between any client and a server, which counts requests and connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The long poll for changes.
pub(crate) const POLL: &str = "WaitForUpdatesEx";

/// Numbers of requests by method; `GET` and the path for those that are no calls.
pub(crate) type Requests = BTreeMap<String, u64>;

/// A running proxy, which ends when it is dropped.
pub(crate) struct Proxy {
    /// URL with user and password.
    pub(crate) url: String,
    seen: Arc<Mutex<Seen>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    requests: Requests,
    /// Connections on which a request waits for its response.
    waiting: u64,
    /// Connections that are open.
    open: u64,
    /// When the last piece of a response to a poll was passed on.
    polled: Option<Instant>,
}

impl Proxy {
    /// Starts a proxy for the server at this URL.
    pub(crate) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut url = url::Url::parse(server).unwrap();
        let target = format!(
            "{}:{}",
            url.host_str().unwrap(),
            url.port_or_known_default().unwrap()
        );
        let port = listener.local_addr().unwrap().port();
        url.set_port(Some(port)).unwrap();
        let (acceptor, connector) = (acceptor(), connector());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let counted = Arc::clone(&seen);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, connector) = (acceptor.clone(), connector.clone());
                let (target, seen) = (target.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let _ = client.set_nodelay(true);
                    seen.lock().unwrap().open += 1;
                    let waits = pass(client, &target, &acceptor, &connector, &seen).await;
                    let mut seen = seen.lock().unwrap();
                    seen.open -= 1;
                    seen.waiting -= u64::from(waits);
                });
            }
        });
        Self {
            url: url.into(),
            seen,
            serving,
        }
    }

    pub(crate) fn requests(&self) -> Requests {
        self.seen.lock().unwrap().requests.clone()
    }

    /// Returns the numbers of connections with a request without response, and of all connections.
    pub(crate) fn connections(&self) -> (u64, u64) {
        let seen = self.seen.lock().unwrap();
        (seen.waiting, seen.open)
    }

    /// Returns when the last piece of a response to a poll was passed on.
    pub(crate) fn polled(&self) -> Instant {
        self.seen.lock().unwrap().polled.unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Returns the requests since `before`.
pub(crate) fn since(before: &Requests, mut now: Requests) -> Requests {
    for (method, count) in before {
        *now.entry(method.clone()).or_default() -= count;
    }
    now.retain(|_, count| *count > 0);
    now
}

/// Passes bytes in both directions until a side closes. Returns whether a request still waits
/// for its response.
async fn pass(
    client: TcpStream,
    target: &str,
    acceptor: &TlsAcceptor,
    connector: &TlsConnector,
    seen: &Mutex<Seen>,
) -> bool {
    let Ok(mut client) = acceptor.accept(client).await else {
        return false;
    };
    let server = TcpStream::connect(target).await.unwrap();
    server.set_nodelay(true).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut server = connector.connect(name, server).await.unwrap();
    let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let (mut request, mut waits, mut polls) = (Vec::new(), false, false);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(read @ 1..) = read else { return waits };
                request.extend_from_slice(&up[..read]);
                while let Some((name, length)) = complete(&request) {
                    request.drain(..length);
                    polls = name == POLL;
                    let mut seen = seen.lock().unwrap();
                    *seen.requests.entry(name).or_default() += 1;
                    seen.waiting += u64::from(!waits);
                    waits = true;
                }
                if server.write_all(&up[..read]).await.is_err() || server.flush().await.is_err() {
                    return waits;
                }
            }
            read = server.read(&mut down) => {
                let Ok(read @ 1..) = read else { return waits };
                {
                    let mut seen = seen.lock().unwrap();
                    seen.waiting -= u64::from(waits);
                    waits = false;
                    if polls {
                        seen.polled = Some(Instant::now());
                    }
                }
                if client.write_all(&down[..read]).await.is_err() || client.flush().await.is_err() {
                    return waits;
                }
            }
        }
    }
}

/// Returns the name and the length of the first request; `None` if it is not complete yet.
fn complete(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    // govc sends chunks; the last one is empty.
    let whole = match head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        true => {
            const LAST: &[u8] = b"\r\n0\r\n\r\n";
            let mut pieces = bytes[end..].windows(LAST.len());
            end + pieces.position(|piece| piece == LAST)? + LAST.len()
        }
        false => end + length.unwrap_or(0),
    };
    let body = String::from_utf8_lossy(bytes.get(end..whole)?);
    let name = match body.split_once("Body>") {
        Some((_, call)) => {
            let call = call.trim_start().trim_start_matches('<');
            let name = call.split([' ', '>', '/']).next().unwrap_or_default();
            name.rsplit(':').next().unwrap_or_default().to_owned()
        }
        None => head.split(" HTTP").next().unwrap_or_default().to_owned(),
    };
    Some((name, whole))
}

fn acceptor() -> TlsAcceptor {
    let names = vec!["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn connector() -> TlsConnector {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Trusts any certificate: the server was started by this bench.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
