//! Measures time and memory of the client, next to govc and pyvmomi in the same run:
//!
//! ```console
//! $ GOVC=target/peers/bin/govc PYTHON=target/peers/venv/bin/python cargo bench -p vsphere-client
//! ```
//!
//! The peers are those that `cargo xtask bench-peers` installs; a missing one is printed as
//! not measured. The server is our simulator or, with `SERVER_URL` (user and password
//! included), a running one, such as vcsim; machines are only read there. `MACHINES` and
//! `FILE_MB` change the sizes. Numbers of calls are tests: `tests/figures.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench fails where it unwraps, and prints its results"
)]

#[path = "servers/load.rs"]
mod load;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::{join_all, try_join_all};
use simulator::{Simulator, Topology};
use vim25::types::{VirtualMachineConfigSpec, VirtualMachinePowerState};
use vim25::{Property, Ref, mo, props};
use vsphere_client::{Change, Client};

use load::load;

/// The properties that every program reads.
const PATHS: [&str; 7] = [
    "name",
    "runtime.powerState",
    "config.uuid",
    "summary.config.numCpu",
    "summary.config.memorySizeMB",
    "guest.ipAddress",
    "parent",
];
const ANNOTATION: Property<mo::VirtualMachine, String> = Property::new("config.annotation");
const POWER: Property<mo::VirtualMachine, VirtualMachinePowerState> =
    Property::new("runtime.powerState");
/// How often each program runs; the table has the median.
const ROUNDS: usize = 5;

/// The same retrieval for pyvmomi. Arguments: host, port, user, password, paths.
const PYVMOMI: &str = "
import ssl, sys
from pyVim.connect import SmartConnect, Disconnect
from pyVmomi import vim, vmodl
host, port, user, password = sys.argv[1:5]
si = SmartConnect(host=host, port=int(port), user=user, pwd=password, disableSslCertValidation=True)
content = si.RetrieveContent()
view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
pc = vmodl.query.PropertyCollector
spec = pc.FilterSpec(
    objectSet=[pc.ObjectSpec(obj=view, skip=True, selectSet=[
        pc.TraversalSpec(type=vim.view.ContainerView, path='view', skip=False)])],
    propSet=[pc.PropertySpec(type=vim.VirtualMachine, pathSet=sys.argv[5:])])
page = content.propertyCollector.RetrievePropertiesEx([spec], pc.RetrieveOptions())
count = 0
while page:
    for item in page.objects:
        count += len({p.name: p.val for p in item.propSet}) > 0
    page = page.token and content.propertyCollector.ContinueRetrievePropertiesEx(page.token)
print(count)
Disconnect(si)
";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    match std::env::var("FIGURES_CHILD") {
        Ok(work) => runtime.block_on(child(&work)),
        Err(_) => runtime.block_on(measure()),
    }
}

/// Returns a number from the environment.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

async fn connect(url: &str) -> Client {
    let builder = Client::builder(url).danger_accept_invalid_certs(true);
    builder.connect().await.unwrap()
}

/// Does one piece of work in a process of its own, whose CPU time and memory are the client's.
async fn child(work: &str) {
    let url = std::env::var("FIGURES_URL").unwrap();
    let client = connect(&url).await;
    match work {
        "retrieve" => println!("{}", retrieve(&client).await),
        "waits" => {
            let vm = first(&client).await;
            let before = memory("VmRSS");
            let waits = (0..1_000).map(|_| client.wait_for(&vm, POWER, |_| false));
            let all = join_all(waits);
            let _ = tokio::time::timeout(Duration::from_secs(3), all).await;
            println!("{}", memory("VmHWM").saturating_sub(before));
        }
        _ => {
            let (verb, file) = work.split_once(' ').unwrap();
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

async fn retrieve(client: &Client) -> usize {
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

async fn first(client: &Client) -> Ref<mo::VirtualMachine> {
    let query = client.retrieve::<mo::VirtualMachine>();
    let query = query.property(props::virtual_machine::NAME);
    let mut items = query.within(&client.service_content().root_folder).stream();
    loop {
        if let vsphere_client::Item::Object(object) = items.next().await.unwrap().unwrap() {
            return object.object().clone();
        }
    }
}

/// Returns a size of this process in KiB, by its name in the process's status.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    let size = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    size.unwrap_or(0)
}

/// What a program cost.
struct Cost {
    printed: String,
    cpu: f64,
    elapsed: f64,
}

/// Runs a program several times; returns the run with the median CPU time.
fn run(command: &dyn Fn() -> Command) -> Cost {
    let mut costs: Vec<Cost> = (0..ROUNDS).map(|_| run_once(&command())).collect();
    costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    costs.swap_remove(ROUNDS / 2)
}

/// Runs a program under a shell, which tells the CPU time of its children.
fn run_once(command: &Command) -> Cost {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "\"$@\" && times", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    let start = Instant::now();
    let output = shell.output().unwrap();
    let elapsed = start.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{command:?}: {text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (printed, times) = text.trim_end().rsplit_once('\n').unwrap();
    let seconds = |text: &str| {
        let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    Cost {
        printed: printed.lines().next().unwrap_or_default().to_owned(),
        cpu: times.split_whitespace().map(seconds).sum(),
        elapsed,
    }
}

/// Returns this program as a child that does one piece of work.
fn ours(url: &str, work: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("FIGURES_CHILD", work).env("FIGURES_URL", url);
    command
}

fn govc(program: &str, url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command.env("GOVC_URL", url).env("GOVC_INSECURE", "1");
    command
}

fn pyvmomi(program: &str, url: &str) -> Command {
    let url = url::Url::parse(url).unwrap();
    let mut command = Command::new(program);
    command.args(["-c", PYVMOMI]).args([
        url.host_str().unwrap(),
        &url.port_or_known_default().unwrap().to_string(),
        url.username(),
        url.password().unwrap_or_default(),
    ]);
    command.args(PATHS);
    command
}

async fn measure() {
    let machines = setting("MACHINES", 5_000);
    let builder = Simulator::builder().topology(Topology::esx().machines(machines));
    let simulator = builder.user("user").password("pass").start().await.unwrap();
    let url = simulator.url().replace("://", "://user:pass@");
    let given = std::env::var("SERVER_URL").ok();
    println!("load {}", load());
    reading(given.as_deref().unwrap_or(&url)).await;
    few_calls(&simulator, &url).await;
    waiting(&url).await;
    changes(&url).await;
    tasks(&simulator, &url).await;
    println!("a container's life: measured by `CALLS=1 cargo bench -p portlayer --bench exec`");
    transfers(&url);
    println!("load {}", load());
    simulator.shutdown().await;
}

/// CPU time of a process that reads seven properties of all machines.
async fn reading(url: &str) {
    let own = tokio::task::block_in_place(|| run(&|| ours(url, "retrieve")));
    println!(
        "7 properties of {} machines: {:.3} s of CPU, {:.3} s",
        own.printed, own.cpu, own.elapsed
    );
    let mut arguments = vec!["collect", "-json", "-type", "m", "/"];
    arguments.extend(PATHS);
    let peers = [
        ("govc", std::env::var("GOVC").ok()),
        ("pyvmomi", std::env::var("PYTHON").ok()),
    ];
    for (name, program) in peers {
        let Some(program) = program else {
            println!("  {name}: NOT MEASURED");
            continue;
        };
        let peer = tokio::task::block_in_place(|| match name {
            "govc" => run(&|| govc(&program, url, &arguments)),
            _ => run(&|| pyvmomi(&program, url)),
        });
        let times = peer.cpu / own.cpu;
        println!("  {name}: {:.3} s of CPU, {times:.1} times ours", peer.cpu);
    }
}

/// Calls of a login to its first answer, of a literal path and of a pattern. vcsim does not count its
/// calls, so they are always those on our simulator.
async fn few_calls(simulator: &Simulator, url: &str) {
    let calls = || simulator.script().calls().values().sum::<u64>();
    let before = calls();
    let client = connect(url).await;
    let root = client.service_content().root_folder.clone();
    client.get(&root, props::folder::NAME).await.unwrap();
    println!("login to first answer: {} calls", calls() - before);
    let inventory = client.inventory();
    let path = inventory.path_of(&first(&client).await).await.unwrap();
    let before = calls();
    inventory
        .find_as::<mo::VirtualMachine>(&path)
        .await
        .unwrap();
    println!("literal path: {} calls", calls() - before);
    let before = calls();
    let pattern = format!("{}*", &path[..path.len() - 1]);
    let found = inventory.find_all::<mo::VirtualMachine>(&pattern).await;
    let (found, calls) = (found.unwrap().len(), calls() - before);
    println!("pattern: {calls} calls for {found} machines");
    client.close().await.unwrap();
}

/// Memory of 1,000 waits for one machine.
async fn waiting(url: &str) {
    let waits = tokio::task::block_in_place(|| run_once(&ours(url, "waits")));
    println!("1,000 concurrent waits: {} KiB of memory", waits.printed);
}

/// Time from the end of a call that changes a machine until a watch reports the change. The
/// server's time to report it is included.
async fn changes(url: &str) {
    let client = connect(url).await;
    let vm = first(&client).await;
    let query = client.retrieve().property(ANNOTATION).objects([vm.clone()]);
    let mut changes = query.watch();
    while !matches!(changes.next().await.unwrap().unwrap(), Change::Complete) {}
    let mut times = Vec::new();
    for number in 0..100 {
        let spec = VirtualMachineConfigSpec {
            annotation: Some(format!("change {number}")),
            ..Default::default()
        };
        let start = Instant::now();
        let _ = client.call(vm.reconfig_vm(&spec)).await.unwrap();
        changes.next().await.unwrap().unwrap();
        times.push(start.elapsed());
        // The task may take longer than its change.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    times.sort();
    let (median, late) = (times[50], times[98]);
    println!("a change, from its call to its report: median {median:?}, 99 of 100 {late:?}");
    drop(changes);
    client.close().await.unwrap();
}

/// Calls and time of many tasks that start together.
async fn tasks(simulator: &Simulator, url: &str) {
    let client = connect(url).await;
    let query = client.retrieve::<mo::VirtualMachine>();
    let query = query.property(props::virtual_machine::NAME);
    let all = query
        .within(&client.service_content().root_folder)
        .collect();
    let all = all.await.unwrap();
    let spec = VirtualMachineConfigSpec::default();
    let calls = || simulator.script().calls().values().sum::<u64>();
    let (before, start) = (calls(), Instant::now());
    let tasks = all.iter().take(1_000).map(|vm| vm.object());
    let tasks = tasks.map(|vm| client.run(vm.reconfig_vm(&spec)).into_future());
    let done = try_join_all(tasks).await.unwrap().len() as u64;
    println!(
        "{done} tasks started together: {} calls beyond their own, {:.3} s",
        calls() - before - done,
        start.elapsed().as_secs_f64()
    );
    let polls = || simulator.script().calls()["WaitForUpdatesEx"];
    let (before, polled) = (calls(), polls());
    let vm = all.first().unwrap().object();
    client.run(vm.reconfig_vm(&spec)).await.unwrap();
    let polled = polls() - polled;
    println!(
        "one task alone: {} calls beyond its own, and {polled} polls",
        calls() - before - polled - 1
    );
    client.close().await.unwrap();
}

/// Rates of one large file in both directions.
fn transfers(url: &str) {
    let megabytes = setting("FILE_MB", 1_024);
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("big.iso");
    let piece: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
    let mut file = std::fs::File::create(&source).unwrap();
    for _ in 0..megabytes {
        std::io::Write::write_all(&mut file, &piece).unwrap();
    }
    drop(file);
    let target = folder.path().join("back.iso");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (source, target) = (text(&source), text(&target));
    let rate = |cost: &Cost| megabytes as f64 / cost.elapsed;
    let program = std::env::var("GOVC").ok();
    for (verb, file) in [("upload", &source), ("download", &target)] {
        let own = tokio::task::block_in_place(|| run_once(&ours(url, &format!("{verb} {file}"))));
        println!(
            "{verb} of {megabytes} MiB: {:.0} MiB/s, {} KiB of memory",
            rate(&own),
            own.printed
        );
        let Some(program) = &program else {
            println!("  govc: NOT MEASURED");
            continue;
        };
        let verb = format!("datastore.{verb}");
        let arguments = match verb.ends_with("upload") {
            true => [verb.as_str(), file, "peer.iso"],
            false => [verb.as_str(), "peer.iso", file],
        };
        let peer = tokio::task::block_in_place(|| run_once(&govc(program, url, &arguments)));
        println!("  govc: {:.0} MiB/s", rate(&peer));
    }
}
