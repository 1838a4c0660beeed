//! The work of this client that is measured as a process of its own.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use vim25::types::VirtualMachinePowerState;
use vim25::{Property, mo};
use vsphere_client::Client;

use crate::read::PATHS;
use crate::{connect, machines, setting};

const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");

/// Does one piece of work and prints its result.
pub(crate) async fn run(work: &str) {
    let url = std::env::var("FIGURES_URL").unwrap();
    let client = connect(&url).await;
    match work.split_once(' ') {
        None if work == "read" => println!("{}", read(&client).await),
        None => waits(&client).await,
        Some((verb, file)) => {
            let place = client.defaults().await.unwrap();
            let files = client.files(&place.datastore);
            let before = memory("VmRSS");
            match verb {
                "upload" => files.upload_file(file, "big.iso").await.unwrap(),
                _ => files.download_file("big.iso", file).await.unwrap(),
            };
            println!("{}", memory("VmHWM").saturating_sub(before));
        }
    }
    client.close().await.unwrap();
}

async fn read(client: &Client) -> usize {
    let mut query = client.retrieve::<mo::VirtualMachine>();
    for path in PATHS {
        query = query.path(path);
    }
    let mut items = query.within(&client.service_content().root_folder).stream();
    let mut count = 0;
    while let Some(item) = items.next().await {
        item.unwrap();
        count += 1;
    }
    count
}

/// Waits for the same machine many times; prints the memory of that while the waits are pending.
async fn waits(client: &Client) {
    let vm = machines(client).await.remove(0);
    let before = memory("VmRSS");
    let waits = (0..setting("WAITS", 1_000)).map(|_| client.wait_for(&vm, POWER, |_| false));
    let mut all = std::pin::pin!(join_all(waits));
    let mut some_time = std::pin::pin!(tokio::time::sleep(Duration::from_secs(3)));
    std::future::poll_fn(|cx| {
        assert!(all.as_mut().poll(cx).is_pending());
        match some_time.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    println!("{}", memory("VmHWM").saturating_sub(before));
    // The waits are pending until the connections have been counted.
    let next = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    next.await.unwrap().unwrap();
}

/// Returns a size of this process in KiB, by its name in the process's status.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let size = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    size.unwrap_or(0)
}
