//! Measures the cost of creating a machine, of its life cycle, and of a change that a client
//! watches, in inventories of several sizes: `cargo bench -p vsphere-simulator`.
//!
//! The figures include the time of the client, HTTPS and the files. A figure that grows with
//! the inventory shows that the cost of a call depends on objects that it does not touch.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::field_reassign_with_default,
    reason = "a bench"
)]

#[path = "../tests/it/client/mod.rs"]
mod client;

use std::time::{Duration, Instant};

use client::Client;
use simulator::{Simulator, Topology};
use vim25::types::{
    ObjectSpec, PropertyFilterSpec, PropertySpec, TraversalSpec, VirtualMachineConfigSpec,
    VirtualMachineFileInfo,
};
use vim25::{Poly, Ref, mo};

/// The number of calls that each figure is the average of.
const CALLS: u32 = 50;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    println!("machines   start  create  rename  rename seen by a watcher");
    for machines in [500, 5_000, 10_000] {
        runtime.block_on(measure(machines));
    }
}

async fn measure(machines: usize) {
    let start = Instant::now();
    let simulator = Simulator::builder()
        .topology(Topology::esx().machines(machines))
        .start()
        .await
        .unwrap();
    let started = start.elapsed();
    let client = Client::login(&simulator).await;
    let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
    let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
    let mut made = Vec::new();
    let start = Instant::now();
    for number in 0..CALLS {
        let spec = VirtualMachineConfigSpec {
            name: Some(format!("made-{number}")),
            files: Some(Box::new(VirtualMachineFileInfo {
                vm_path_name: Some("[datastore1]".into()),
                ..Default::default()
            })),
            ..Default::default()
        };
        let vm: Ref<mo::VirtualMachine> = client
            .run(folder.create_vm(&spec, &pool, None))
            .await
            .unwrap();
        made.push(vm);
    }
    let create = start.elapsed() / CALLS;
    let rename = async |round: &str| {
        let start = Instant::now();
        for (number, vm) in made.iter().enumerate() {
            let name = format!("{round}-{number}");
            client.run(vm.rename(&name)).await.unwrap();
        }
        start.elapsed() / CALLS
    };
    let alone = rename("alone").await;
    let watched = watched(&client, &made).await;
    println!(
        "{machines:>8} {:>7.2?} {:>7.2?} {:>7.2?} {:>7.2?}",
        started, create, alone, watched
    );
    simulator.shutdown().await;
}

/// Returns the time from a rename to the update that reports it, with all machines watched.
async fn watched(client: &Client, made: &[Ref<mo::VirtualMachine>]) -> Duration {
    let shared = &client.content.property_collector;
    let collector = client
        .call(shared.create_property_collector())
        .await
        .unwrap();
    let filter = PropertyFilterSpec {
        prop_set: vec![PropertySpec {
            type_: "VirtualMachine".into(),
            path_set: vec!["name".into(), "runtime.powerState".into()],
            ..Default::default()
        }],
        object_set: vec![ObjectSpec {
            obj: Ref::<mo::Folder>::new("ha-folder-vm").upcast(),
            skip: Some(true),
            select_set: vec![Poly::new(TraversalSpec {
                type_: "Folder".into(),
                path: "childEntity".into(),
                ..Default::default()
            })],
        }],
        ..Default::default()
    };
    client
        .call(collector.create_filter(&filter, false))
        .await
        .unwrap();
    let mut version = String::new();
    loop {
        let set = client
            .call(collector.wait_for_updates_ex(Some(&version), None))
            .await
            .unwrap()
            .unwrap();
        version = set.version;
        if set.truncated != Some(true) {
            break;
        }
    }
    let start = Instant::now();
    for (number, vm) in made.iter().enumerate() {
        client
            .run(vm.rename(&format!("seen-{number}")))
            .await
            .unwrap();
        let set = client
            .call(collector.wait_for_updates_ex(Some(&version), None))
            .await
            .unwrap()
            .unwrap();
        version = set.version;
    }
    start.elapsed() / CALLS
}
