//! Images in the index: how they can be looked up, and how many calls that takes.

use std::time::Duration;

use portlayer::ErrorKind;
use portlayer::exec::{Command, ContainerSpec, Exec, RootFs};
use portlayer::image::{Image, Images};
use portlayer::vsphere::{Dialect, Hosts, Options, VsphereExec};
use simulator::Platform;

use super::{calls, calls_since, other};
use crate::Endpoint;
use crate::images::{image, layer, options};

fn child(name: &str, image: &Image) -> ContainerSpec {
    let root = RootFs::image(image.id(), "hello");
    ContainerSpec::new(name, Command::new("/run")).root(root)
}

/// Starts a host with an image and two containers of it.
async fn start(options: Options) -> (Endpoint, VsphereExec, Image) {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let hosts = Hosts::new(endpoint.client.clone(), options);
    let exec = hosts.exec("vch").await.unwrap();
    let image = image(&[layer("hello", b"hello")], "/run");
    let import = exec
        .images()
        .import(image.clone(), self::options().label("a", "b"));
    import.await.unwrap();
    for name in ["one", "two"] {
        exec.create(child(name, &image)).await.unwrap();
    }
    (endpoint, exec, image)
}

#[tokio::test]
async fn questions_about_images_are_answered_without_the_endpoint() {
    let (endpoint, exec, image) = start(Options::default()).await;
    let images = exec.images();
    let before = endpoint.simulator.script().calls();
    for _ in 0..3 {
        assert_eq!(images.list().await.unwrap().images.len(), 1);
        assert_eq!(images.inspect(&image.id()).await.unwrap().labels["a"], "b");
        let error = images.remove(&image.id()).await.unwrap_err();
        assert!(matches!(&error.kind, ErrorKind::InUse { by } if by.contains("one, two")));
        // Importing an existing image does not read its layers.
        images.import(image.clone(), options()).await.unwrap();
    }
    assert_eq!(calls_since(&endpoint, &before), calls(&[]));

    // The index does not contain file sizes.
    let usage = images.usage().await.unwrap();
    assert_eq!(usage.users[&image.id()].len(), 2);
    let once = calls(&[("RetrievePropertiesEx", 1)]);
    assert_eq!(calls_since(&endpoint, &before), once);
}

#[tokio::test]
async fn a_container_of_an_image_is_made_without_looking_for_the_image() {
    for sole_writer in [false, true] {
        let (endpoint, exec, image) = start(Options {
            sole_writer,
            ..Options::default()
        })
        .await;
        let before = endpoint.simulator.script().calls();
        exec.create(child("three", &image)).await.unwrap();
        let mut expected = calls(&[("CreateVM_Task", 1), ("ModifyListView", 1)]);
        if !sole_writer {
            // Checks whether another program removed the image concurrently.
            expected.insert("RetrievePropertiesEx".to_owned(), 1);
        }
        assert_eq!(calls_since(&endpoint, &before), expected);
    }
}

#[tokio::test]
async fn containers_are_found_by_name_and_prefix_without_the_endpoint() {
    let (endpoint, exec, image) = start(Options::default()).await;
    let id = exec.create(child("three", &image)).await.unwrap();
    let before = endpoint.simulator.script().calls();
    for text in ["three", &id.to_string(), &id.short(), &id.to_string()[..31]] {
        assert_eq!(exec.resolve(text).await.unwrap(), id);
    }
    for text in ["", "thre", "no such one", "xyz", &"0".repeat(65)] {
        assert!(exec.resolve(text).await.unwrap_err().is_not_found());
    }
    // A digit resolves if exactly one id begins with it.
    let mut found = 0;
    for digit in "0123456789abcdef".chars() {
        match exec.resolve(&digit.to_string()).await {
            Ok(_) => found += 1,
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::InvalidArgument { field: "id" });
                found += 2;
            }
        }
    }
    assert!((2..=3).contains(&found), "{found} of 3 containers");
    assert_eq!(calls_since(&endpoint, &before), calls(&[]));
}

#[tokio::test]
async fn what_others_do_with_images_is_seen() {
    let (endpoint, exec, image) = start(Options::default()).await;
    let other = other(&endpoint).await;
    assert_eq!(other.images().list().await.unwrap().images.len(), 1);
    // A new container keeps its image, whether or not the endpoint has reported the container.
    for name in ["one", "two"] {
        let id = exec.resolve(name).await.unwrap();
        exec.remove(&id).await.unwrap();
    }
    for round in 0..5 {
        let id = exec.create(child("kept", &image)).await.unwrap();
        let error = other.images().remove(&image.id()).await.unwrap_err();
        assert!(
            matches!(error.kind, ErrorKind::InUse { .. }),
            "round {round}: {error:?}"
        );
        exec.remove(&id).await.unwrap();
    }
    let gone = async {
        while other.images().remove(&image.id()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .unwrap();
    let error = exec.create(child("late", &image)).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    // An image imported by another program is found, whether or not it was reported.
    other
        .images()
        .import(image.clone(), options())
        .await
        .unwrap();
    exec.images().inspect(&image.id()).await.unwrap();
}
