//! Bad input and failures in the middle of an import.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use portlayer::exec::{Command, ContainerSpec, RootFs};
use portlayer::image::{Image, ImageConfig, ImportLimits, ImportOptions};
use portlayer::vsphere::{Dialect, Hosts, Options};
use portlayer::{Error, ErrorKind};
use simulator::{Platform, Reaction, Simulator, Topology};
use vsphere_client::{Client, Credentials};

use super::{another, causes, cleared, files, image, layer, options, start};
use crate::{Endpoint, spec};

/// Returns options with limits that are changed from the defaults.
fn limited(change: impl FnOnce(&mut ImportLimits)) -> ImportOptions {
    let mut limits = ImportLimits::default();
    change(&mut limits);
    options().limits(limits)
}

#[tokio::test]
async fn the_caller_sets_the_limits_of_an_import() {
    let (endpoint, layer_, before) = start().await;
    let images = layer_.images();
    let image = image(
        &[layer("a/b/c/file", &[7; 100_000]), layer("other", b"x")],
        "/a",
    );
    for refused in [
        limited(|limits| limits.entries = 1),
        limited(|limits| limits.unpacked_bytes = 50_000),
        limited(|limits| limits.depth = 2),
    ] {
        let error = images.import(image.clone(), refused).await.unwrap_err();
        let kind = ErrorKind::InvalidArgument { field: "layers" };
        assert_eq!(error.kind, kind, "{error:?}");
        assert_eq!(files(&endpoint), before);
    }
    let raised = limited(|limits| {
        limits.entries = 100;
        limits.unpacked_bytes = 1 << 20;
        limits.depth = 10;
    });
    images.import(image, raised).await.unwrap();
}

#[tokio::test]
async fn a_bomb_and_an_encrypted_layer_are_refused() {
    let (endpoint, layer_, before) = start().await;
    let images = layer_.images();
    // The ratio counts from 64 MiB.
    let (diff_id, tar) = layer("zeros", &vec![0; 80 << 20]);
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(&tar).unwrap();
    let bomb: Arc<[u8]> = bomb.finish().unwrap().into();
    let bomb = image(&[(diff_id, bomb)], "/a");
    let low = limited(|limits| limits.ratio = 500).capacity(128 << 20);
    let error = images.import(bomb.clone(), low).await.unwrap_err();
    let kind = ErrorKind::InvalidArgument { field: "layers" };
    assert_eq!(error.kind, kind, "{error:?}");
    let words = causes(&error);
    assert!(words.contains("500"), "the limit is named: {words}");
    assert!(words.contains(&diff_id.to_string()), "{words}");

    // Without its key, an encrypted layer is noise.
    let mut state = 1_u32;
    let noise: Arc<[u8]> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(tar.len().min(1 << 20))
    .collect();
    let encrypted = image(&[(diff_id, noise)], "/a");
    let error = images.import(encrypted, options()).await.unwrap_err();
    assert_eq!(error.kind, kind, "{error:?}");
    assert_eq!(files(&endpoint), before);

    let raised = limited(|limits| limits.ratio = 100_000).capacity(128 << 20);
    images.import(bomb, raised).await.unwrap();
}

#[tokio::test]
async fn an_image_whose_configuration_names_no_command_is_for_callers_that_name_one() {
    let (_endpoint, layer_, _) = start().await;
    let (diff_id, tar) = layer("hello", b"hello");
    let with_command = image(&[(diff_id, tar)], "/hello");
    let config = format!(r#"{{"os":"linux","rootfs":{{"diff_ids":["{diff_id}"]}}}}"#);
    let config = ImageConfig::parse(config).unwrap();
    let image = Image::new(config, with_command.layers().iter().cloned());
    let info = layer_.images().import(image, options()).await.unwrap();
    assert!(info.config.process().cmd.is_empty());
    let create = |command: &str| {
        let spec = ContainerSpec::new("hello", Command::new(command))
            .root(RootFs::image(info.id, "hello"));
        layer_.exec().create(spec)
    };
    let error = create("").await.unwrap_err();
    assert!(
        matches!(error.kind, ErrorKind::InvalidArgument { .. }),
        "{error:?}"
    );
    create("/exit").await.unwrap();
}

/// Kills the port layer while the request with this name is in progress.
#[test]
fn what_a_killed_import_left_is_removed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (endpoint, _layer, before) = runtime.block_on(start());
    for method in ["POST /nfc", "PUT /folder"] {
        let image = image(&[layer("hello", method.as_bytes())], "/hello");
        let script = endpoint.simulator.script();
        script.next(method, Reaction::Delay(Duration::from_millis(200)));
        let (url, pin) = (endpoint.simulator.url(), endpoint.simulator.thumbprint());
        let (url, pin) = (url.to_owned(), pin.parse().unwrap());
        let killed = tokio::runtime::Runtime::new().unwrap();
        killed.spawn({
            let image = image.clone();
            async move {
                let client = Client::builder(url)
                    .credentials(Credentials::password("root", "vmware"))
                    .thumbprint(pin)
                    .connect()
                    .await
                    .unwrap();
                let hosts = Hosts::new(client, Options::default());
                let layer = hosts.open("vch").await.unwrap();
                let _ = layer.images().import(image, options()).await;
            }
        });
        runtime.block_on(async {
            while script.pending() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        killed.shutdown_background();
        runtime.block_on(async {
            let other = another(&endpoint).await;
            // The endpoint may still complete the request; then the image is incomplete.
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(other.images().list().await.unwrap().images.is_empty());
            cleared(&endpoint, &other, &before, method).await;
            other
                .images()
                .import(image.clone(), options())
                .await
                .unwrap();
            other.images().remove(&image.id()).await.unwrap();
            cleared(&endpoint, &other, &before, method).await;
        });
    }
}

#[tokio::test]
async fn a_host_that_fails_during_an_import_leaves_nothing_that_counts_as_an_image() {
    const HOST: &str = "DC0_C0_H0";
    let simulator = Simulator::builder()
        .platform(Platform::default())
        .topology(Topology::vcenter().standalone_hosts(0).cluster_hosts(1))
        .start();
    let host = spec("vch").compute("DC0_C0").bridge_network("DC0_DVPG0");
    let endpoint = Endpoint::install(simulator.await.unwrap(), Dialect::Vic1, host).await;
    let layer_ = another(&endpoint).await;
    let before = files(&endpoint);
    let image = image(&[layer("hello", b"hello")], "/hello");
    for method in ["POST /nfc", "HttpNfcLeaseComplete"] {
        let script = endpoint.simulator.script();
        script.next(method, Reaction::Delay(Duration::from_millis(100)));
        let fail = async {
            while script.pending() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            endpoint.simulator.set_host_responding(HOST, false).unwrap();
        };
        let (imported, ()) = tokio::join!(layer_.images().import(image.clone(), options()), fail);
        let listed = layer_.images().list().await.unwrap().images;
        if let Err(Error { kind, .. }) = &imported {
            assert!(listed.is_empty(), "{method}: {kind:?}");
        }
        endpoint.simulator.set_host_responding(HOST, true).unwrap();
        // The abort of the lease was not delivered.
        endpoint.simulator.time_out_leases();
        let imported = layer_.images().import(image.clone(), options()).await;
        imported.unwrap();
        layer_.images().remove(&image.id()).await.unwrap();
        cleared(&endpoint, &layer_, &before, method).await;
    }
}
