//! Tests of which servers the client trusts, over real TLS.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use vsphere_client::{Client, Error, LoginProblem, RetryPolicy, Thumbprint, TransportProblem};

mod peer;

use peer::{PASSWORD, Peer};

#[tokio::test]
async fn an_unknown_certificate_is_refused_before_anything_is_sent() {
    let peer = Peer::start().await;
    let error = Client::builder(&peer.url).connect().await.unwrap_err();
    let shown = error.untrusted().unwrap().thumbprint();
    assert_eq!(shown, Thumbprint::sha256(&peer.certificate).to_string());
    let text = error.to_string();
    assert!(text.contains(shown) && text.contains("pin"), "{text}");
    assert!(peer.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_pin_admits_its_certificate_only() {
    let peer = Peer::start().await;
    let sha256 = Thumbprint::sha256(&peer.certificate);
    let client = Client::builder(&peer.url)
        .thumbprint(sha256)
        .connect()
        .await
        .unwrap();
    assert_eq!(
        client.server_certificate().as_ref(),
        Some(&peer.certificate)
    );

    let other: Thumbprint = "00:".repeat(32).parse().unwrap();
    let error = Client::builder(&peer.url)
        .thumbprint(other)
        .connect()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not the pinned one"), "{error}");
    // A wrong pin is refused even if a given authority signed the certificate.
    let other: Thumbprint = "11".repeat(20).parse().unwrap();
    let builder = Client::builder(&peer.url)
        .tls_roots(peer.pem.as_str())
        .thumbprint(other);
    assert!(builder.connect().await.unwrap_err().untrusted().is_some());
}

#[tokio::test]
async fn given_roots_are_trusted_and_so_is_anything_when_said_so() {
    let peer = Peer::start().await;
    Client::builder(&peer.url)
        .tls_roots(peer.pem.as_str())
        .connect()
        .await
        .unwrap();
    Client::builder(&peer.url)
        .danger_accept_invalid_certs(true)
        .connect()
        .await
        .unwrap();

    let stranger = Peer::start().await;
    let builder = Client::builder(&peer.url).tls_roots(stranger.pem.as_str());
    assert!(builder.connect().await.unwrap_err().untrusted().is_some());
}

#[tokio::test]
async fn bad_ends_are_told_apart() {
    let peer = Peer::start().await;
    let url = peer.url.replace("https://", "https://root:wrong@");
    let builder = Client::builder(url).danger_accept_invalid_certs(true);
    let error = builder.connect().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotAuthenticated {
                problem: LoginProblem::WrongPassword,
                ..
            }
        ),
        "{error}"
    );

    // Connect to a port on which no server listens.
    let url = peer.url.clone();
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = format!("https://{}", port.local_addr().unwrap());
    drop(port);
    let error = Client::builder(free)
        .retry(RetryPolicy::never())
        .connect()
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Transport {
                problem: TransportProblem::Unreachable,
                ..
            }
        ),
        "{error}"
    );

    let error = Client::builder(url.trim_start_matches("https://"))
        .connect()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("write https:// in front of it"),
        "{error}"
    );

    // Use plain HTTP with a port that expects TLS.
    let plain = url.replace("https://", &format!("http://root:{PASSWORD}@"));
    let error = Client::builder(plain)
        .retry(RetryPolicy::never())
        .connect()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Transport { .. }), "{error}");
}
