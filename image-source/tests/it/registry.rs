//! A registry on loopback whose behaviour tests can choose.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use portlayer::image::Digest;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::sample::{config, gzip};

/// The authentication that the registry requires.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Auth {
    #[default]
    Nobody,
    /// User `me`, password `word`.
    Basic,
    /// A token of the registry's own token service, which requires user `me`, password `word`.
    Token,
}

/// The content and the behaviour of the registry.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) auth: Auth,
    /// Manifests by tag or digest.
    pub(crate) manifests: HashMap<String, (String, Vec<u8>)>,
    pub(crate) blobs: HashMap<String, Vec<u8>>,
    /// The number of bytes after which every response with a blob breaks off.
    pub(crate) cut: Option<usize>,
    /// The requests for blobs: digest and start offset.
    pub(crate) asked: Mutex<Vec<(String, usize)>>,
}

pub(crate) const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

impl Registry {
    /// Creates a registry with one image, tagged `latest`, with compressed layers.
    pub(crate) fn with(layers: &[Vec<u8>]) -> Self {
        let mut registry = Self::default();
        let packed: Vec<Value> = layers
            .iter()
            .map(|layer| {
                let media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip";
                registry.blob(media_type, gzip(layer))
            })
            .collect();
        let config = registry.blob(
            "application/vnd.docker.container.image.v1+json",
            config(layers),
        );
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": packed,
        });
        registry.manifest("latest", MANIFEST, &manifest);
        registry
    }

    fn blob(&mut self, media_type: &str, content: Vec<u8>) -> Value {
        let digest = Digest::of(&content).to_string();
        let size = content.len();
        self.blobs.insert(digest.clone(), content);
        json!({ "mediaType": media_type, "digest": digest, "size": size })
    }

    /// Adds a document under a tag and its digest, and returns its descriptor.
    pub(crate) fn manifest(&mut self, tag: &str, media_type: &str, document: &Value) -> Value {
        let bytes = document.to_string().into_bytes();
        let digest = Digest::of(&bytes).to_string();
        let entry = (media_type.to_owned(), bytes.clone());
        self.manifests.insert(tag.to_owned(), entry.clone());
        self.manifests.insert(digest.clone(), entry);
        json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
    }

    /// Serves plain HTTP; returns `host:port`.
    pub(crate) async fn serve(self) -> (String, Arc<Self>) {
        self.serve_with(None).await
    }

    pub(crate) async fn serve_with(
        self,
        tls: Option<tokio_rustls::TlsAcceptor>,
    ) -> (String, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let registry = Arc::new(self);
        let shared = Arc::clone(&registry);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (registry, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => registry.answer(client, address).await,
                        Some(tls) => {
                            if let Ok(client) = tls.accept(client).await {
                                registry.answer(client, address).await;
                            }
                        }
                    }
                });
            }
        });
        (address.to_string(), registry)
    }

    /// Answers one request; each connection has only one.
    async fn answer(&self, client: impl AsyncRead + AsyncWrite + Unpin, address: SocketAddr) {
        let mut client = BufReader::new(client);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if client.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let path = head[0].split(' ').nth(1).unwrap().to_owned();
        let header = |name: &str| {
            head.iter()
                .find_map(|line| line.strip_prefix(name))
                .map(|value| value.trim_start_matches(": ").to_owned())
        };
        let (status, headers, body) = self.reply(
            &path,
            header("authorization").as_deref(),
            header("range").as_deref(),
            address,
        );
        let text = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
            body.len()
        );
        let is_blob = path.contains("/blobs/");
        let sent = match self.cut {
            Some(cut) if is_blob => &body[..cut.min(body.len())],
            _ => &body[..],
        };
        let _ = client.write_all(text.as_bytes()).await;
        let _ = client.write_all(sent).await;
        let _ = client.flush().await;
        let _ = client.shutdown().await;
    }

    fn reply(
        &self,
        path: &str,
        authorization: Option<&str>,
        range: Option<&str>,
        address: SocketAddr,
    ) -> (u16, String, Vec<u8>) {
        let basic = "Basic bWU6d29yZA=="; // me:word
        if path.starts_with("/token") {
            let scope = "scope=repository%3Alab%2Fhello%3Apull";
            let is_login = !path.contains("scope=");
            assert!(path.contains(scope) || is_login, "{path}");
            return if authorization == Some(basic) {
                (
                    200,
                    String::new(),
                    br#"{"token":"abc","expires_in":300}"#.to_vec(),
                )
            } else {
                (401, String::new(), error("UNAUTHORIZED", "wrong password"))
            };
        }
        let (wanted, challenge) = match self.auth {
            Auth::Nobody => (None, String::new()),
            Auth::Basic => (
                Some(basic),
                "WWW-Authenticate: Basic realm=\"r\"\r\n".into(),
            ),
            Auth::Token => (
                Some("Bearer abc"),
                format!(
                    "WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"s\"{}\r\n",
                    if path == "/v2/" {
                        ""
                    } else {
                        ",scope=\"repository:lab/hello:pull\""
                    },
                ),
            ),
        };
        if wanted.is_some() && authorization != wanted {
            return (
                401,
                challenge,
                error("UNAUTHORIZED", "authentication required"),
            );
        }
        if path == "/v2/" {
            return (200, String::new(), b"{}".to_vec());
        }
        let Some(rest) = path.strip_prefix("/v2/lab/hello/") else {
            return (
                404,
                String::new(),
                error("NAME_UNKNOWN", "repository name not known"),
            );
        };
        if let Some(tag) = rest.strip_prefix("manifests/") {
            return match self.manifests.get(tag) {
                Some((media_type, bytes)) => (
                    200,
                    format!("Content-Type: {media_type}\r\n"),
                    bytes.clone(),
                ),
                None => (
                    404,
                    String::new(),
                    error("MANIFEST_UNKNOWN", "manifest unknown"),
                ),
            };
        }
        let digest = rest.strip_prefix("blobs/").unwrap();
        let start = range
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        self.asked.lock().unwrap().push((digest.to_owned(), start));
        match self.blobs.get(digest) {
            Some(bytes) => (
                if start > 0 { 206 } else { 200 },
                String::new(),
                bytes[start..].to_vec(),
            ),
            None => (404, String::new(), error("BLOB_UNKNOWN", "blob unknown")),
        }
    }
}

fn error(code: &str, message: &str) -> Vec<u8> {
    json!({ "errors": [{ "code": code, "message": message }] })
        .to_string()
        .into_bytes()
}
