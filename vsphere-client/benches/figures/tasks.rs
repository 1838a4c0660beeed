//! Requests of many tasks that start together, and of one alone.

use std::time::Instant;

use futures_util::future::try_join_all;
use vim25::types::VirtualMachineConfigSpec;

use crate::program::{Peers, Steps, cost};
use crate::proxy::{POLL, Proxy, Requests, since};
use crate::server::Server;
use crate::table::{self, By, Table};
use crate::{connect, machines, setting};

pub(crate) async fn measure(server: &Server, peers: &Peers, table: &mut Table) {
    let proxy = Proxy::start(&server.url()).await;
    let tasks = setting("TASKS", 1_000);
    ours(&proxy, tasks, table).await;
    if let Err(reason) = pyvmomi(&proxy, peers, tasks, table).await {
        for row in [table::TASKS, table::TASK_ALONE] {
            table.missing(row, By::Pyvmomi, &reason);
        }
    }
    if let Err(reason) = govc(server, &proxy, peers, tasks, table).await {
        for row in [table::TASKS, table::TASK_ALONE] {
            table.missing(row, By::Govc, &reason);
        }
    }
}

async fn ours(proxy: &Proxy, tasks: usize, table: &mut Table) {
    let client = connect(&proxy.url).await;
    let all = machines(&client).await;
    let spec = VirtualMachineConfigSpec::default();
    let (before, start) = (proxy.requests(), Instant::now());
    let started = all.iter().take(tasks);
    let started = started.map(|vm| client.run(vm.reconfig_vm(&spec)).into_future());
    let done = try_join_all(started).await.unwrap().len();
    let requests = since(&before, proxy.requests());
    let text = format!("in {:.2} s", start.elapsed().as_secs_f64());
    together(table, By::Ours, done, "ReconfigVM_Task", &requests, &text);

    let before = proxy.requests();
    client.run(all[0].reconfig_vm(&spec)).await.unwrap();
    alone(table, By::Ours, &since(&before, proxy.requests()));
    client.close().await.unwrap();
}

async fn pyvmomi(
    proxy: &Proxy,
    peers: &Peers,
    tasks: usize,
    table: &mut Table,
) -> Result<(), String> {
    let number = tasks.to_string();
    let mut steps = Steps::start(peers.pyvmomi(&proxy.url, &["tasks", &number])?);
    steps.line().await?;
    let before = proxy.requests();
    steps.next().await;
    steps.line().await?;
    let requests = since(&before, proxy.requests());
    let text = "with WaitForTasks";
    together(
        table,
        By::Pyvmomi,
        tasks,
        "ReconfigVM_Task",
        &requests,
        text,
    );
    let before = proxy.requests();
    steps.next().await;
    steps.line().await?;
    alone(table, By::Pyvmomi, &since(&before, proxy.requests()));
    steps.end().await;
    Ok(())
}

/// Measures govc, which starts a task when the one before has ended. Its only command that takes
/// many machines is the one for their power.
async fn govc(
    server: &Server,
    proxy: &Proxy,
    peers: &Peers,
    tasks: usize,
    table: &mut Table,
) -> Result<(), String> {
    let client = server.connect().await;
    let all = machines(&client).await;
    client.close().await.unwrap();
    let names: Vec<String> = all.iter().take(tasks).map(|vm| format!("{vm:?}")).collect();
    let mut arguments = vec!["vm.power", "-on"];
    arguments.extend(names.iter().map(String::as_str));
    let before = proxy.requests();
    cost(&peers.govc(&proxy.url, &arguments)?)?;
    let requests = since(&before, proxy.requests());
    let text = "one after the other, login included";
    together(
        table,
        By::Govc,
        names.len(),
        "PowerOnVM_Task",
        &requests,
        text,
    );
    let before = proxy.requests();
    cost(&peers.govc(&proxy.url, &["vm.power", "-off", &names[0]])?)?;
    alone(table, By::Govc, &since(&before, proxy.requests()));
    Ok(())
}

fn together(table: &mut Table, by: By, tasks: usize, own: &str, requests: &Requests, how: &str) {
    let started = requests.get(own).copied().unwrap_or(0);
    assert_eq!(started, tasks as u64, "the tasks of {by}");
    let beyond = requests.values().sum::<u64>() - started;
    let text = format!("{beyond} for {tasks} tasks, {how}");
    table.put(table::TASKS, by, beyond as f64, text);
}

fn alone(table: &mut Table, by: By, requests: &Requests) {
    let polls = requests.get(POLL).copied().unwrap_or(0)
        + requests.get("WaitForUpdates").copied().unwrap_or(0);
    let beyond = requests.values().sum::<u64>() - 1 - polls;
    let text = format!("{beyond} and {polls} polls");
    table.put(table::TASK_ALONE, by, beyond as f64, text);
}
