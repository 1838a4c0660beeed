//! Images count towards the maximum number of machines of an ESXi host.

use portlayer::exec::{Command, ContainerSpec, Exec, RootFs};
use portlayer::image::Images;
use portlayer::vsphere::Dialect;
use portlayer::{Error, ErrorKind};
use simulator::Simulator;

use super::{files, image, layer, options};
use crate::{Endpoint, spec};

/// Asserts that an error names the limit, and how many machines are images.
fn assert_full(error: &Error, images: usize) {
    let ErrorKind::Exhausted { what } = &error.kind else {
        panic!("{error:?}");
    };
    assert!(what.contains("4 of at most 4"), "{what}");
    assert!(
        what.contains(&format!("{images} of them hold images")),
        "{what}"
    );
    assert!(what.contains("prune"), "{what}");
}

#[tokio::test]
async fn a_host_that_is_full_of_machines_says_how_many_are_images() {
    let simulator = Simulator::builder().machines_per_host(4).start();
    let endpoint = Endpoint::install(simulator.await.unwrap(), Dialect::Vic1, spec("vch")).await;
    let exec = endpoint.hosts.exec("vch").await.unwrap();
    let images = exec.images();
    let (one, two) = (
        image(&[layer("one", b"one")], "/one"),
        image(&[layer("two", b"two")], "/two"),
    );
    let container = |name: &str| {
        ContainerSpec::new(name, Command::new("/one")).root(RootFs::image(one.id(), "one"))
    };
    images.import(one.clone(), options()).await.unwrap();
    let first = exec.create(container("first")).await.unwrap();
    exec.create(container("second")).await.unwrap();
    // The fourth machine is the appliance.
    let before = files(&endpoint);
    assert_full(&exec.create(container("third")).await.unwrap_err(), 1);
    assert_full(&images.import(two.clone(), options()).await.unwrap_err(), 1);
    assert_eq!(files(&endpoint), before);

    exec.remove(&first).await.unwrap();
    images.import(two.clone(), options()).await.unwrap();
    assert_full(&exec.create(container("third")).await.unwrap_err(), 2);
    images.remove(&two.id()).await.unwrap();
    exec.create(container("third")).await.unwrap();
}
