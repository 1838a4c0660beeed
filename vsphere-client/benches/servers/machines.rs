//! The cost of creating machines, of their lives, and of reading them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use vim25::types::{VirtualMachineConfigSpec, VirtualMachineFileInfo};
use vim25::{Ref, mo, props};
use vsphere_client::{Client, InventoryDefaults};

use crate::server::Server;
use crate::table::{self, Table};
use crate::{median, milliseconds};

const CREATES: u32 = 200;
const CLIENTS: usize = 16;
const LIVES_FOR: Duration = Duration::from_secs(10);
const READS: u32 = 5;

/// Returns the CPU time of the server for each of some creations, in milliseconds.
pub(crate) async fn create(server: &Server) -> f64 {
    let client = server.connect().await;
    let place = client.defaults().await.unwrap();
    made(&client, &place, "first").await;
    let before = server.cpu();
    for number in 0..CREATES {
        made(&client, &place, &format!("made-{number}")).await;
    }
    let cost = server.cpu().saturating_sub(before) / CREATES;
    client.close().await.unwrap();
    milliseconds(cost)
}

/// Creates a machine without devices.
async fn made(client: &Client, place: &InventoryDefaults, name: &str) -> Ref<mo::VirtualMachine> {
    let spec = VirtualMachineConfigSpec {
        name: Some(name.to_owned()),
        guest_id: Some("otherGuest64".to_owned()),
        num_cpus: Some(1),
        memory_mb: Some(64),
        files: Some(Box::new(VirtualMachineFileInfo {
            vm_path_name: Some(format!("[{}]", place.datastore.name())),
            ..Default::default()
        })),
        ..Default::default()
    };
    let folder = place.datacenter.vm_folder();
    let call = folder.create_vm(&spec, &place.resource_pool, None);
    client.run(call).await.unwrap()
}

/// Measures lives of machines: one client for the CPU time, several for the rate.
pub(crate) async fn lives(server: &Server, table: &mut Table) {
    let (cost, _) = lives_of(server, 1).await;
    table.put(table::LIFE_CPU, milliseconds(cost));
    let (_, rate) = lives_of(server, CLIENTS).await;
    table.put(table::LIFE_RATE, rate);
}

/// Returns the CPU time of the server for each life, and the lives per second.
async fn lives_of(server: &Server, clients: usize) -> (Duration, f64) {
    let clients = join_all((0..clients).map(|_| server.connect())).await;
    let place = clients[0].defaults().await.unwrap();
    let lived = AtomicU64::new(0);
    let (before, start) = (server.cpu(), Instant::now());
    let each = clients.iter().enumerate().map(async |(number, client)| {
        let mut life = 0;
        while start.elapsed() < LIVES_FOR {
            let name = format!("life-{number}-{life}");
            let vm = made(client, &place, &name).await;
            client.run(vm.power_on_vm(None)).await.unwrap();
            client.run(vm.power_off_vm()).await.unwrap();
            client.run(vm.destroy()).await.unwrap();
            lived.fetch_add(1, Ordering::Relaxed);
            life += 1;
        }
    });
    join_all(each).await;
    let (lived, elapsed) = (lived.into_inner(), start.elapsed());
    let cost = (server.cpu().saturating_sub(before)).div_f64(lived as f64);
    join_all(clients.iter().map(Client::close)).await;
    (cost, lived as f64 / elapsed.as_secs_f64())
}

/// Measures reading the name and the power state of all machines.
pub(crate) async fn read(server: &Server, table: &mut Table) {
    let client = server.connect().await;
    let mut times = Vec::new();
    let before = server.cpu();
    for _ in 0..READS {
        let start = Instant::now();
        let query = client.retrieve::<mo::VirtualMachine>();
        let query = query
            .property(props::virtual_machine::NAME)
            .path("runtime.powerState");
        let root = &client.service_content().root_folder;
        let mut items = query.within(root).stream();
        while let Some(item) = items.next().await {
            item.unwrap();
        }
        times.push(start.elapsed());
    }
    let cost = server.cpu().saturating_sub(before) / READS;
    table.put(table::READ, milliseconds(median(times)));
    table.put(table::READ_CPU, milliseconds(cost));
    client.close().await.unwrap();
}
