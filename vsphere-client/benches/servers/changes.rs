//! The cost of changes that clients wait for.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::mpsc;
use vim25::{Ref, mo, props};
use vsphere_client::{Change, Changes, Client};

use crate::server::Server;
use crate::table::{self, Table};
use crate::{median, milliseconds};

/// How many renames are watched.
const RENAMES: u32 = 100;
/// How many changes of different machines are on their way at a time.
const IN_FLIGHT: usize = 32;
const IDLE_FOR: Duration = Duration::from_secs(10);
const CHANGES_FOR: Duration = Duration::from_secs(10);

/// Measures renames of machines while one client watches the names of all machines.
pub(crate) async fn seen(server: &Server, table: &mut Table) {
    let (client, watcher) = (server.connect().await, server.connect().await);
    let vms = machines(&client, RENAMES as usize).await;
    let query = watcher.retrieve::<mo::VirtualMachine>();
    let query = query.property(props::virtual_machine::NAME);
    let root = &watcher.service_content().root_folder;
    let mut changes = query.within(root).watch();
    complete(&mut changes).await;
    let mut times = Vec::new();
    let before = server.cpu();
    for (number, vm) in vms.iter().enumerate() {
        let start = Instant::now();
        let _task = client
            .call(vm.rename(&format!("seen-{number}")))
            .await
            .unwrap();
        changed(&mut changes).await;
        times.push(start.elapsed());
    }
    let cost = server.cpu().saturating_sub(before) / RENAMES;
    table.put(table::SEEN, milliseconds(median(times)));
    table.put(table::SEEN_CPU, milliseconds(cost));
    drop(changes);
    client.close().await.unwrap();
    watcher.close().await.unwrap();
}

/// Measures a server at which every one of many clients waits for a change of its own machine.
pub(crate) async fn waiters(server: &Server, number: usize, table: &mut Table) {
    let client = server.connect().await;
    let vms = machines(&client, number).await;
    let clients: Vec<Client> = stream::iter(&vms)
        .map(|_| server.connect())
        .buffered(16)
        .collect()
        .await;
    let watches = stream::iter(vms.iter().zip(&clients)).map(async |(vm, client)| {
        let query = client.retrieve().property(props::virtual_machine::NAME);
        let mut changes = query.objects([vm.clone()]).watch();
        complete(&mut changes).await;
        changes
    });
    let watches: Vec<Changes<mo::VirtualMachine>> = watches.buffered(16).collect().await;

    // The last polls are on their way; then nothing happens but that clients wait.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = server.cpu();
    tokio::time::sleep(IDLE_FOR).await;
    let idle = (server.cpu().saturating_sub(before)).div_f64(IDLE_FOR.as_secs_f64());
    table.put(table::WAITERS_IDLE, milliseconds(idle));

    let (before, start) = (server.cpu(), Instant::now());
    let reported = changes(&client, vms, watches).await;
    let rate = f64::from(reported) / start.elapsed().as_secs_f64();
    let cost = (server.cpu().saturating_sub(before)) / reported.max(1);
    table.put(table::WAITERS, rate);
    table.put(table::WAITERS_CPU, milliseconds(cost));
    join_all(clients.iter().map(Client::close)).await;
    client.close().await.unwrap();
}

/// Changes machines for some time, and returns the number of reported changes. A writer renames a machine, and takes the next one
/// when the waiter of the machine has reported the change.
async fn changes(
    client: &Client,
    vms: Vec<Ref<mo::VirtualMachine>>,
    watches: Vec<Changes<mo::VirtualMachine>>,
) -> u32 {
    let (free, mut machines) = mpsc::unbounded_channel();
    for pair in vms.into_iter().zip(watches) {
        free.send(pair).unwrap();
    }
    let (mut at_once, mut reported) = (stream::FuturesUnordered::new(), 0_u32);
    let start = Instant::now();
    while start.elapsed() < CHANGES_FOR {
        while at_once.len() < IN_FLIGHT {
            let Ok((vm, mut changes)) = machines.try_recv() else {
                break;
            };
            let name = format!("changed-{reported}-{}", at_once.len());
            at_once.push(async move {
                let _task = client.call(vm.rename(&name)).await.unwrap();
                changed(&mut changes).await;
                (vm, changes)
            });
        }
        let Some(pair) = at_once.next().await else {
            break;
        };
        reported += 1;
        free.send(pair).unwrap();
    }
    reported
}

/// Waits until a watch has reported its initial objects.
async fn complete(changes: &mut Changes<mo::VirtualMachine>) {
    while !matches!(changes.next().await.unwrap().unwrap(), Change::Complete) {}
}

/// Waits for the next changed object.
async fn changed(changes: &mut Changes<mo::VirtualMachine>) {
    loop {
        if let Change::Changed { .. } = changes.next().await.unwrap().unwrap() {
            return;
        }
    }
}

/// Returns some machines of the server.
async fn machines(client: &Client, number: usize) -> Vec<Ref<mo::VirtualMachine>> {
    let query = client.retrieve::<mo::VirtualMachine>();
    let query = query.property(props::virtual_machine::NAME);
    let root = &client.service_content().root_folder;
    let all = query.within(root).collect().await.unwrap();
    let all = all.iter().take(number);
    all.map(|vm| vm.object().clone()).collect()
}
