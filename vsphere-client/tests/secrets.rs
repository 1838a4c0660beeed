//! Checks that neither passwords nor session cookies appear in logs or errors.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io;
use std::sync::{Arc, Mutex};

use vim25::{Ref, mo};
use vsphere_client::{Client, Credentials, Thumbprint};

mod peer;

use peer::{COOKIE, PASSWORD, Peer};

/// A writer that collects everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn at_the_level_trace_neither_password_nor_cookie_appears() {
    let log = Log::default();
    let writer = log.clone();
    // The `log` records of libraries are collected, too.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let peer = Peer::start().await;
    let mut shown = String::new();

    let builder = Client::builder(&peer.url).tls_roots(peer.pem.as_str());
    let builder = builder.credentials(Credentials::password("root", PASSWORD));
    shown.push_str(&format!("{builder:?}"));
    let client = builder.connect().await.unwrap();
    let instance: Ref<mo::ServiceInstance> = Ref::new("ServiceInstance");
    client.call(instance.current_time()).await.unwrap();
    shown.push_str(&format!("{client:?} {client:#?}"));
    // The peer does not accept this password.
    let error = client
        .call(Ref::<mo::Folder>::new("group-1").create_folder("x"))
        .await
        .unwrap_err();
    shown.push_str(&format!("{error} {error:?}"));
    client.close().await.unwrap();

    let wrong = format!("{PASSWORD}-not");
    let wrong = Client::builder(
        peer.url
            .replace("https://", &format!("https://root:{wrong}@")),
    );
    let error = wrong
        .thumbprint(Thumbprint::sha256(&[]))
        .connect()
        .await
        .unwrap_err();
    shown.push_str(&format!("{error} {error:?}"));

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("CurrentTime") && log.contains("logged in"),
        "{log}"
    );
    for text in [&log, &shown] {
        assert!(!text.contains(PASSWORD) && !text.contains(COOKIE), "{text}");
    }
    let sent = peer.requests.lock().unwrap();
    assert!(sent.iter().any(|request| request.contains(PASSWORD)));
    assert!(sent.iter().any(|request| request.contains(COOKIE)));
}
