//! Time from the server's answer to a poll until its subscriber has the change: the new name of a
//! machine, because vcsim does not report every property that a reconfiguration changes.

use std::time::Duration;

use futures_util::StreamExt;
use vim25::{Ref, mo, props};
use vsphere_client::{Change, Client};

use crate::program::{Peers, Steps};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::table::{self, By, Table};
use crate::{connect, machines};

const CHANGES: usize = 100;
/// Time after which a change that was not reported is one that is never reported.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn measure(server: &Server, peers: &Peers, table: &mut Table) {
    let proxy = Proxy::start(&server.url()).await;
    let writer = server.connect().await;
    let vm = machines(&writer).await.remove(0);
    let name = props::virtual_machine::NAME;
    let original = writer.get(&vm, name).await.unwrap();
    match ours(&proxy, &writer, &vm).await {
        Ok(times) => put(table, By::Ours, times),
        Err(reason) => table.missing(table::CHANGE, By::Ours, &reason),
    }
    let id = format!("{vm:?}");
    let follow = ["collect", "-n=-1", &id, "name"];
    let followed = ["changes", vm.value()];
    for (by, command) in [
        (By::Govc, peers.govc(&proxy.url, &follow)),
        (By::Pyvmomi, peers.pyvmomi(&proxy.url, &followed)),
    ] {
        let result = match command {
            Ok(command) => peer(&proxy, &writer, &vm, by, Steps::start(command)).await,
            Err(reason) => Err(reason),
        };
        match result {
            Ok(times) => put(table, by, times),
            Err(reason) => table.missing(table::CHANGE, by, &reason),
        }
    }
    rename(&writer, &vm, &original).await;
    writer.close().await.unwrap();
}

async fn ours(
    proxy: &Proxy,
    writer: &Client,
    vm: &Ref<mo::VirtualMachine>,
) -> Result<Vec<Duration>, String> {
    let client = connect(&proxy.url).await;
    let query = client.retrieve().property(props::virtual_machine::NAME);
    let mut changes = query.objects([vm.clone()]).watch();
    while !matches!(changes.next().await.unwrap().unwrap(), Change::Complete) {}
    let mut times = Vec::new();
    for number in 0..CHANGES {
        let seen = async {
            changes.next().await.unwrap().unwrap();
            Ok(proxy.polled().elapsed())
        };
        let text = format!("own {number}");
        times.push(tokio::join!(in_time(seen), rename(writer, vm, &text)).0?);
    }
    drop(changes);
    client.close().await.unwrap();
    Ok(times)
}

/// Limits the time in which a change has to be seen.
async fn in_time(seen: impl Future<Output = Result<Duration, String>>) -> Result<Duration, String> {
    let seen = tokio::time::timeout(PATIENCE, seen).await;
    seen.map_err(|_| "failed: the change is not reported".to_owned())?
}

/// Measures a program that prints a line with the new value.
async fn peer(
    proxy: &Proxy,
    writer: &Client,
    vm: &Ref<mo::VirtualMachine>,
    by: By,
    mut steps: Steps,
) -> Result<Vec<Duration>, String> {
    // The value at the beginning.
    steps.line().await?;
    let mut times = Vec::new();
    for number in 0..CHANGES {
        let text = format!("{by} {number}");
        let seen = async {
            while !steps.line().await?.contains(&text) {}
            Ok::<_, String>(proxy.polled().elapsed())
        };
        times.push(tokio::join!(in_time(seen), rename(writer, vm, &text)).0?);
    }
    Ok(times)
}

async fn rename(client: &Client, vm: &Ref<mo::VirtualMachine>, name: &str) {
    client.run(vm.rename(name)).await.unwrap();
}

fn put(table: &mut Table, by: By, mut times: Vec<Duration>) {
    times.sort();
    let (median, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let milliseconds = median.as_secs_f64() * 1e3;
    let text = format!("median {median:.0?}, 99 of 100 {late:.0?}");
    table.put(table::CHANGE, by, milliseconds, text);
}
