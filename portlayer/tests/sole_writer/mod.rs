//! A host has only one writer at a time.

use std::time::{Duration, Instant};

use portlayer::exec::{Command, ContainerSpec, Exec};
use portlayer::vsphere::{Dialect, Hosts, Options, VsphereExec};
use portlayer::{Error, ErrorKind, Result};
use simulator::Platform;
use vim25::Poly;
use vim25::types::{OptionValue, VirtualMachineConfigSpec};

use crate::Endpoint;

/// The takeover timeout.
const PATIENCE: Duration = Duration::from_millis(400);

/// Opens the host as another program would.
async fn open(endpoint: &Endpoint) -> Result<VsphereExec> {
    let options = Options {
        sole_writer: true,
        takeover_timeout: PATIENCE,
        ..Options::default()
    };
    Hosts::new(endpoint.client.clone(), options)
        .exec("vch")
        .await
}

async fn create(exec: &VsphereExec, name: &str) -> Result<()> {
    let spec = ContainerSpec::new(name, Command::new("/run"));
    exec.create(spec).await.map(drop)
}

/// Writes the key as a program does that has crashed or does not follow the protocol.
async fn write(endpoint: &Endpoint, writer: &str) {
    let appliances = endpoint
        .client
        .retrieve::<vim25::mo::VirtualMachine>()
        .property(vim25::props::virtual_machine::NAME)
        .within(&endpoint.client.service_content().root_folder)
        .collect()
        .await
        .unwrap();
    let name = vim25::props::virtual_machine::NAME;
    let mut appliances = appliances.iter();
    let appliance = appliances.find(|vm| vm.value(name).as_deref() == Some("vch"));
    let change = VirtualMachineConfigSpec {
        extra_config: vec![Poly::new(OptionValue::new("portlayer/writer", writer))],
        ..Default::default()
    };
    let vm = appliance.unwrap().object().clone();
    let change = vm.reconfig_vm(&change);
    endpoint.client.run(change).await.unwrap();
}

fn is_in_use<T: std::fmt::Debug>(result: &Result<T>) -> bool {
    matches!(
        result,
        Err(Error {
            kind: ErrorKind::InUse { .. },
            ..
        })
    )
}

#[tokio::test]
async fn a_second_writer_is_refused_while_the_first_lives() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let first = open(&endpoint).await.unwrap();
    let (second, third) = tokio::join!(open(&endpoint), open(&endpoint));
    assert!(
        is_in_use(&second) && is_in_use(&third),
        "{second:?} {third:?}"
    );
    create(&first, "mine").await.unwrap();
    // Readers are not affected.
    let reader = endpoint.hosts.exec("vch").await.unwrap();
    assert_eq!(reader.list().await.unwrap().containers.len(), 1);
    // A writer that shuts down releases the host.
    drop(first);
    let second = open(&endpoint).await.unwrap();
    create(&second, "ours").await.unwrap();
}

#[tokio::test]
async fn a_writer_that_does_not_answer_is_replaced() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    write(&endpoint, "7 dead").await;
    let begun = Instant::now();
    let (first, second) = tokio::join!(open(&endpoint), open(&endpoint));
    assert!(begun.elapsed() >= PATIENCE);
    // Of two concurrent claims, one wins.
    assert!(
        is_in_use(&first) != is_in_use(&second),
        "{first:?} {second:?}"
    );
    let winner = first.or(second).unwrap();
    create(&winner, "mine").await.unwrap();
}

#[tokio::test]
async fn a_writer_that_was_replaced_changes_nothing_more() {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let exec = open(&endpoint).await.unwrap();
    create(&exec, "before").await.unwrap();
    write(&endpoint, "9 other").await;
    let mut number = 0;
    let refused = loop {
        number += 1;
        match create(&exec, &format!("n{number}")).await {
            // The takeover has not been reported yet.
            Ok(()) if number < 1000 => {}
            refused => break refused,
        }
    };
    assert!(is_in_use(&refused), "{refused:?}");
    assert!(is_in_use(&create(&exec, "again").await));
    // Reading still works.
    assert!(!exec.list().await.unwrap().containers.is_empty());
}
