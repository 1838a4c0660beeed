//! A minimal server for tests: HTTPS on loopback with its own certificate, and enough of the
//! API to log in. It records the requests.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// The value of the session cookie.
pub(crate) const COOKIE: &str = "5217c0ffee5217c0ffee";
/// The correct password.
pub(crate) const PASSWORD: &str = "correct-horse-battery";

pub(crate) struct Peer {
    pub(crate) url: String,
    /// The certificate in DER form.
    pub(crate) certificate: Vec<u8>,
    pub(crate) pem: String,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, log) = (acceptor.clone(), Arc::clone(&log));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, &log).await;
                    }
                });
            }
        });
        Self {
            url,
            certificate: certificate.to_vec(),
            pem: made.cert.pem(),
            requests,
            serving,
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers the requests of one connection.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, log: &Mutex<Vec<String>>) {
    let mut buffer = Vec::new();
    loop {
        let request = loop {
            if let Some(length) = complete(&buffer) {
                let request: Vec<u8> = buffer.drain(..length).collect();
                break String::from_utf8_lossy(&request).into_owned();
            }
            match stream.read_buf(&mut buffer).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        };
        let (status, headers, body) = answer(&request);
        log.lock().unwrap().push(request);
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        if stream.write_all((head + &body).as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Returns the length of the first request; `None` if it is not complete yet.
fn complete(buffer: &[u8]) -> Option<usize> {
    let text = String::from_utf8_lossy(buffer);
    let head = text.find("\r\n\r\n")? + 4;
    let length = text[..head].lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = head + length.unwrap_or(0);
    (buffer.len() >= whole).then_some(whole)
}

fn answer(request: &str) -> (u16, String, String) {
    let envelope = |body: &str| {
        format!(
            "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
        )
    };
    if request.starts_with("GET") {
        return (404, String::new(), String::new());
    }
    if request.contains("<RetrieveServiceContent") {
        let body = include_str!("../../src/wire_tests/golden/service_content.xml");
        return (200, String::new(), envelope(body));
    }
    if request.contains("<Login ") && request.contains(PASSWORD) {
        let cookie =
            format!("Set-Cookie: vmware_soap_session=\"{COOKIE}\"; Path=/; HttpOnly; Secure\r\n");
        let body = include_str!("../../src/wire_tests/golden/login.xml");
        return (200, cookie, envelope(body));
    }
    if request.contains("<Login ") {
        let body = "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>Cannot complete login due to an incorrect user name or password.</faultstring><detail><InvalidLoginFault xmlns=\"urn:vim25\" xsi:type=\"InvalidLogin\"></InvalidLoginFault></detail></soapenv:Fault>";
        return (500, String::new(), envelope(body));
    }
    if request.contains("<Logout") {
        return (
            200,
            String::new(),
            envelope("<LogoutResponse xmlns=\"urn:vim25\"/>"),
        );
    }
    if request.contains(COOKIE) && request.contains("<CurrentTime") {
        let body = "<CurrentTimeResponse xmlns=\"urn:vim25\"><returnval>2026-11-23T16:11:33.8Z</returnval></CurrentTimeResponse>";
        return (200, String::new(), envelope(body));
    }
    (503, String::new(), String::new())
}
