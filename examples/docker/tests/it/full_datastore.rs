//! Images for which the datastore has no space.

use portlayer::image::Digest;
use portlayer::vsphere::{HostSpec, Hosts, InstallProgress, Iso, Options};
use serde_json::{Value, json};
use simulator::Simulator;
use vsphere_client::{Client, Credentials};

use crate::client::{Server, tar, tar_with};
use crate::pull::{Layer, registry_of};

/// Starts the front end on a host whose datastore has 2 MiB.
async fn start() -> (Simulator, Server) {
    let simulator = Simulator::builder().datastore_capacity(2 << 20).start();
    let simulator = simulator.await.unwrap();
    let client = Client::builder(simulator.url())
        .credentials(Credentials::password(
            simulator.user(),
            simulator.password(),
        ))
        .thumbprint(simulator.thumbprint().parse().unwrap())
        .connect()
        .await
        .unwrap();
    let hosts = Hosts::new(client, Options::default());
    let iso = || Iso::bytes(&b"a stand-in for a boot image"[..]);
    hosts
        .install(HostSpec::new("vch", iso(), iso()), &|_: InstallProgress| {})
        .await
        .unwrap();
    let layer = hosts.open("vch").await.unwrap();
    let server = Server::on(layer, tempfile::tempdir().unwrap()).await;
    (simulator, server)
}

/// Returns a layer of 4 MiB that cannot be compressed.
fn large() -> Vec<u8> {
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    let content: Vec<u8> = noise.take(4 << 20).collect();
    let mut layer = tar_with("large", &content);
    layer.extend_from_slice(&tar());
    layer
}

/// Returns an archive as `docker save` makes it.
fn saved(layer: &[u8]) -> Vec<u8> {
    let config = json!({
        "os": "linux", "architecture": "amd64", "config": { "Cmd": ["/hello"] },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(layer)] },
    });
    let manifest =
        json!([{ "Config": "config.json", "RepoTags": ["a:1"], "Layers": ["layer.tar"] }]);
    let mut archive = tar_with("config.json", config.to_string().as_bytes());
    archive.extend(tar_with("layer.tar", layer));
    archive.extend(tar_with("manifest.json", manifest.to_string().as_bytes()));
    archive.extend(tar());
    archive
}

#[tokio::test]
async fn import_load_and_pull_name_the_datastore_that_is_full() {
    let (simulator, server) = start().await;
    let layer = large();
    let address = registry_of(Layer::Complete, layer.clone()).await;
    let pull = format!("/images/create?fromImage={address}/slow&tag=latest");
    let import = "/images/create?fromSrc=-&repo=big".to_owned();
    for (path, body) in [
        (import, layer.clone()),
        ("/images/load".to_owned(), saved(&layer)),
        (pull, Vec::new()),
    ] {
        let (status, lines) = server.post_bytes(&path, &body).await;
        // The response has begun, so the error is its last line.
        let lines = String::from_utf8(lines).unwrap();
        assert_eq!(status, 200, "{path}: {lines}");
        let last = lines.trim_end().lines().last().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        let message = last["error"].as_str().unwrap_or_default();
        for part in [
            "no space on datastore \"datastore1\"",
            "its files need",
            "removing containers or unused images makes room",
        ] {
            assert!(message.contains(part), "{path}: {lines}");
        }
        let (_, images) = server.get("/images/json").await;
        assert_eq!(images, json!([]), "{path}");
    }
    // Nothing is left of them, so a small image fits.
    server.import().await;
    drop(server);
    simulator.shutdown().await;
}
