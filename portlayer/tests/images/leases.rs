//! Leases that time out, and leases that are kept alive.

use std::time::Duration;

use portlayer::vsphere::{Dialect, Hosts, Options};
use portlayer::{Error, ErrorKind};
use simulator::{Reaction, Simulator};
use vsphere_client::{Client, Credentials};

use super::{causes, cleared, files, image, layer, options, start};
use crate::{Endpoint, spec};

/// Asserts that an error says that the endpoint heard nothing of the import.
fn assert_timed_out(error: &Error) {
    let ErrorKind::Timeout { phase } = error.kind else {
        panic!("{error:?}");
    };
    assert!(phase.contains("progress report"), "{phase}");
    let causes = causes(error);
    assert!(causes.contains("timed out"), "{causes}");
}

#[tokio::test]
async fn a_lease_that_times_out_before_the_upload_is_named_as_the_reason() {
    let (endpoint, layer_, before) = start().await;
    let image = image(&[layer("hello", b"hello")], "/hello");
    let script = endpoint.simulator.script();
    script.next("POST /nfc", Reaction::Delay(Duration::from_millis(200)));
    let time_out = async {
        while script.pending() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        endpoint.simulator.time_out_leases();
    };
    let import = layer_.images().import(image.clone(), options());
    let (imported, ()) = tokio::join!(import, time_out);
    assert_timed_out(&imported.unwrap_err());
    cleared(&endpoint, &layer_, &before, "timed out").await;
    layer_.images().import(image, options()).await.unwrap();
}

#[tokio::test]
async fn an_upload_that_hangs_ends_when_its_lease_has_timed_out() {
    let simulator = Simulator::builder().lease_timeout(Duration::from_secs(1));
    let simulator = simulator.start().await.unwrap();
    let endpoint = Endpoint::install(simulator, Dialect::Vic1, spec("vch")).await;
    let layer_ = endpoint.hosts.open("vch").await.unwrap();
    let before = files(&endpoint);
    let image = image(&[layer("hello", b"hello")], "/hello");
    let script = endpoint.simulator.script();
    script.next("POST /nfc", Reaction::Delay(Duration::from_secs(3600)));
    script.always("HttpNfcLeaseProgress", Reaction::HttpStatus(503));
    let is_created = || files(&endpoint) != before;
    let restore = async {
        for wanted in [true, false] {
            while is_created() != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        // The lease has timed out, and the next report is answered.
        script.clear();
    };
    let import = layer_.images().import(image, options());
    let both = async { tokio::join!(import, restore) };
    let both = tokio::time::timeout(Duration::from_secs(60), both).await;
    let (imported, ()) = both.unwrap();
    assert_timed_out(&imported.unwrap_err());
    assert_eq!(files(&endpoint), before);
}

#[tokio::test]
async fn an_upload_may_take_longer_than_the_timeout_of_its_lease() {
    const TIMEOUT: Duration = Duration::from_secs(5);
    let simulator = Simulator::builder().lease_timeout(TIMEOUT).start();
    let endpoint = Endpoint::install(simulator.await.unwrap(), Dialect::Vic1, spec("vch")).await;
    let layer_ = endpoint.hosts.open("vch").await.unwrap();
    let image = image(&[layer("hello", b"hello")], "/hello");
    let script = endpoint.simulator.script();
    script.next("POST /nfc", Reaction::Delay(TIMEOUT + TIMEOUT / 5));
    layer_.images().import(image, options()).await.unwrap();
    assert!(script.calls().contains_key("HttpNfcLeaseProgress"));
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up() {
    let (endpoint, _layer, before) = start().await;
    let (url, pin) = (endpoint.simulator.url(), endpoint.simulator.thumbprint());
    let client = Client::builder(url)
        .credentials(Credentials::password("root", "vmware"))
        .thumbprint(pin.parse().unwrap())
        .idle_timeout(Duration::from_millis(300))
        .connect()
        .await
        .unwrap();
    let hosts = Hosts::new(client, Options::default());
    let layer_ = hosts.open("vch").await.unwrap();
    let image = image(&[layer("hello", b"hello")], "/hello");
    let script = endpoint.simulator.script();
    script.next("POST /nfc", Reaction::Delay(Duration::from_secs(3600)));
    let import = layer_.images().import(image, options());
    let imported = tokio::time::timeout(Duration::from_secs(60), import).await;
    let error = imported.unwrap().unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Timeout { .. }), "{error:?}");
    cleared(&endpoint, &layer_, &before, "stalled").await;
}
