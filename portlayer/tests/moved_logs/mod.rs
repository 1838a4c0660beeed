//! Logs that are read while their files move to another directory or datastore.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use portlayer::stream::LogStream;
use portlayer::vsphere::LogRotation;
use simulator::Topology;
use tokio::sync::watch;
use tokio::task::JoinSet;
use vim25::types::{
    VirtualDevice, VirtualDeviceConfigSpec, VirtualDeviceConfigSpecOperation,
    VirtualDeviceFileBackingInfo, VirtualMachineConfigSpec, VirtualMachineRelocateSpec,
    VirtualSerialPort, VirtualSerialPortFileBackingInfo,
};
use vim25::{Poly, Property, mo};

use super::*;

const DEVICES: Property<mo::VirtualMachine, Vec<Poly<VirtualDevice>>> =
    Property::new("config.hardware.device");
const VMX: Property<mo::VirtualMachine, String> = Property::new("config.files.vmPathName");
/// The host's datastore, and another one.
const DATASTORES: [&str; 2] = ["first", "second"];
/// The interval at which a log that is followed is read.
const INTERVAL: Duration = Duration::from_millis(500);

/// What a process has to have done.
#[derive(Debug, Default)]
struct Orders {
    lines: u32,
    exit: bool,
}

/// A guest whose process writes numbered lines as ordered, of 1,001 bytes each. The next process
/// continues with the next number.
#[derive(Clone, Debug)]
struct Scribe {
    orders: watch::Receiver<Orders>,
    written: Arc<AtomicU32>,
}

#[async_trait]
impl Guest for Scribe {
    async fn run(&self, machine: GuestMachine) {
        let config = configuration(&machine);
        let Some(id) = config.sessions.keys().next() else {
            machine.shutdown_requested().await;
            return;
        };
        let key = |leaf: &str| format!("guestinfo.vice..sessions|{id}.{leaf}");
        machine.set(&key("started"), "true").unwrap();
        let mut log = machine.serial(1).unwrap();
        let mut orders = self.orders.clone();
        loop {
            let written = self.written.load(Ordering::Relaxed);
            let (lines, exit) = {
                let orders = orders.wait_for(|orders| orders.lines > written || orders.exit);
                let orders = orders.await.unwrap();
                (orders.lines, orders.exit)
            };
            for line in written..lines {
                let mut record = Vec::new();
                let text = format!("{line:01000}\n");
                guest_io::log::encode(Stream::Stdout, 1, text.as_bytes(), &mut record);
                log.write_all(&record).await.unwrap();
            }
            self.written.store(lines, Ordering::Relaxed);
            if exit {
                break;
            }
        }
        machine.set(&key("status"), "0").unwrap();
        machine.set(&key("detail.stoptime"), "1").unwrap();
        machine.power_off();
    }
}

/// A container that writes to its log, on a vCenter with two datastores.
struct Scribing {
    endpoint: Endpoint,
    orders: watch::Sender<Orders>,
    id: ContainerId,
    /// `[datastore] path` of the log.
    path: Mutex<String>,
}

impl Scribing {
    async fn start() -> Self {
        let (orders, receiver) = watch::channel(Orders::default());
        let [first, second] = DATASTORES.map(Datastore::vmfs);
        let simulator = Simulator::builder()
            .topology(Topology::vcenter().standalone_hosts(0).cluster_hosts(1))
            .datastore(first)
            .add_datastore(second)
            .guest(Scribe {
                orders: receiver,
                written: Arc::default(),
            });
        let simulator = simulator.start().await.unwrap();
        let lines = LineServer::bind("127.0.0.1:0").await.unwrap();
        let address = lines.local_addr().unwrap();
        let spec = HostSpec::new("vch", Iso::bytes("appliance"), Iso::bytes("bootstrap"))
            .compute("DC0_C0")
            .datastore(DATASTORES[0])
            .bridge_network("DC0_DVPG0");
        let options = Options {
            log_rotation: Some(LogRotation::new(1, 1)),
            ..Options::default()
        };
        let endpoint = Endpoint::install(simulator, spec, options, lines, address).await;
        let exec = endpoint.layer.exec();
        let spec = ContainerSpec::new("scribe", Command::new("/write"));
        let id = exec.create(spec).await.unwrap();
        exec.start(&id, StartOptions::default()).await.unwrap();
        let path = format!("[{}] {id}/{id}.log", DATASTORES[0]);
        Self {
            endpoint,
            orders,
            id,
            path: Mutex::new(path),
        }
    }

    /// Orders the process to write up to this number of lines.
    fn write_to(&self, lines: u32) {
        self.orders.send_modify(|orders| orders.lines = lines);
    }

    /// Orders the process to exit.
    fn exit(&self) {
        self.orders.send_modify(|orders| orders.exit = true);
    }

    async fn logs(&self, options: LogOptions) -> LogStream {
        let streams = self.endpoint.layer.streams();
        streams.logs(&self.id, options).await.unwrap()
    }

    async fn follow(&self) -> LogStream {
        self.logs(LogOptions::new().follow()).await
    }

    /// Returns the file at `[datastore] path`.
    fn file(&self, path: &str) -> PathBuf {
        let (datastore, path) = path[1..].split_once("] ").unwrap();
        let mut all = self.endpoint.simulator.datastores();
        let (_, directory) = all.find(|(name, _)| *name == datastore).unwrap();
        directory.join(path)
    }

    fn log_file(&self) -> PathBuf {
        self.file(&self.path.lock().unwrap())
    }

    /// Moves the files of the machine to another datastore. Returns its new directory.
    async fn relocate(&self, datastore: &str) -> String {
        let client = &self.endpoint.client;
        let vm = self.endpoint.machine(&self.id).await;
        let inventory = client.inventory();
        let datacenter = inventory.datacenter(None).await.unwrap();
        let datastore = inventory.datastore(&datacenter, Some(datastore));
        let spec = VirtualMachineRelocateSpec {
            datastore: Some(datastore.await.unwrap().reference().clone()),
            ..Default::default()
        };
        client.run(vm.relocate_vm(&spec, None)).await.unwrap();
        let vmx = client.get(&vm, VMX).await.unwrap();
        vmx.rsplit_once('/').unwrap().0.to_owned()
    }

    /// Makes the serial port of the log write to another file.
    async fn set_backing(&self, path: &str) {
        let client = &self.endpoint.client;
        let vm = self.endpoint.machine(&self.id).await;
        let devices = client.get(&vm, DEVICES).await.unwrap();
        let is_log = |port: &VirtualSerialPort| {
            let backing = port.backing.as_ref().unwrap();
            backing.is::<VirtualSerialPortFileBackingInfo>()
        };
        let mut ports = devices
            .iter()
            .filter_map(|device| device.get::<VirtualSerialPort>().ok().flatten());
        let mut port = ports.find(is_log).unwrap();
        port.base.backing = Some(Poly::new(VirtualSerialPortFileBackingInfo {
            base: VirtualDeviceFileBackingInfo {
                file_name: path.to_owned(),
                ..Default::default()
            },
        }));
        let change = VirtualMachineConfigSpec {
            device_change: vec![Poly::new(VirtualDeviceConfigSpec {
                operation: Some(VirtualDeviceConfigSpecOperation::Edit),
                device: Poly::new(port),
                ..Default::default()
            })],
            ..Default::default()
        };
        client.run(vm.reconfig_vm(&change)).await.unwrap();
        path.clone_into(&mut self.path.lock().unwrap());
    }

    /// Moves the files of the log. For a moment, the log is at neither path.
    async fn move_file(&self, path: &str) {
        let old = self.path.lock().unwrap().clone();
        std::fs::create_dir_all(self.file(path).parent().unwrap()).unwrap();
        for part in ["", ".1"] {
            let [old, new] = [&*old, path].map(|log| self.file(&format!("{log}{part}")));
            if old.exists() {
                // The guest has it open, and goes on writing to it.
                std::fs::rename(old, new).unwrap();
            }
        }
        self.set_backing(path).await;
    }

    async fn stop(self) {
        self.endpoint.simulator.shutdown().await;
    }
}

/// Reads lines until the next one has this number.
async fn read_to(log: &mut LogStream, next: &mut u32, end: u32) {
    while *next < end {
        let record = timeout(LIMIT, log.next()).await.unwrap();
        let record = record.unwrap_or_else(|| panic!("it ends before line {next}"));
        let text = String::from_utf8(record.unwrap().bytes.to_vec()).unwrap();
        assert_eq!(text.trim_end().parse(), Ok(*next));
        *next += 1;
    }
}

async fn assert_ends(log: &mut LogStream) {
    let next = timeout(LIMIT, log.next()).await.unwrap();
    assert!(next.is_none(), "{next:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_followed_while_the_files_of_its_machine_move_to_another_datastore() {
    let scribing = Scribing::start().await;
    let (mut log, mut next) = (scribing.follow().await, 0);
    let mut written = 0;
    for datastore in [DATASTORES[1], DATASTORES[0], DATASTORES[1]] {
        written += 10;
        scribing.write_to(written);
        read_to(&mut log, &mut next, written).await;
        scribing.relocate(datastore).await;
        written += 10;
        scribing.write_to(written);
        read_to(&mut log, &mut next, written).await;
    }
    scribing.exit();
    assert_ends(&mut log).await;
    scribing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_followed_to_its_new_path() {
    let scribing = Scribing::start().await;
    let (mut log, mut next) = (scribing.follow().await, 0);
    let paths = ["[first] moved/new.log", "[second] moved/again.log"];
    for (path, written) in paths.into_iter().zip([10, 30]) {
        scribing.write_to(written);
        read_to(&mut log, &mut next, written).await;
        scribing.move_file(path).await;
        scribing.write_to(written + 10);
        read_to(&mut log, &mut next, written + 10).await;
    }
    // What is written before a move and not read yet is not lost either.
    scribing.write_to(50);
    scribing.move_file("[first] moved/last.log").await;
    scribing.write_to(60);
    scribing.exit();
    read_to(&mut log, &mut next, 60).await;
    assert_ends(&mut log).await;
    scribing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_in_the_middle_of_a_large_log_continue_where_it_was_moved_to() {
    const LINES: u32 = 6000;
    let scribing = Scribing::start().await;
    scribing.write_to(LINES);
    let exec = scribing.endpoint.layer.exec();
    let (mut first, mut next) = (scribing.follow().await, 0);
    read_to(&mut first, &mut next, LINES).await;

    // Much more than what is buffered is left.
    let (mut followed, mut followed_next) = (scribing.follow().await, 0);
    read_to(&mut followed, &mut followed_next, 100).await;
    let (mut once, mut once_next) = (scribing.logs(LogOptions::new()).await, 0);
    read_to(&mut once, &mut once_next, 100).await;
    scribing.move_file("[second] moved/new.log").await;
    scribing.write_to(LINES + 10);
    read_to(&mut once, &mut once_next, LINES).await;
    read_to(&mut followed, &mut followed_next, LINES + 10).await;
    read_to(&mut first, &mut next, LINES + 10).await;

    // The process ends while a reader is in the middle.
    let (mut late, mut late_next) = (scribing.follow().await, 0);
    read_to(&mut late, &mut late_next, 100).await;
    scribing.move_file("[first] moved/new.log").await;
    scribing.write_to(LINES + 20);
    scribing.exit();
    exec.wait(&scribing.id).await.unwrap();
    for (log, next) in [
        (&mut followed, &mut followed_next),
        (&mut first, &mut next),
        (&mut late, &mut late_next),
    ] {
        read_to(log, next, LINES + 20).await;
        assert_ends(log).await;
    }
    scribing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_part_of_a_log_is_read_where_it_was_moved_to() {
    const OLDER: u32 = 3000;
    let scribing = Scribing::start().await;
    let exec = scribing.endpoint.layer.exec();
    scribing.write_to(OLDER);
    scribing.exit();
    exec.wait(&scribing.id).await.unwrap();
    scribing.orders.send_modify(|orders| orders.exit = false);
    let start = exec.start(&scribing.id, StartOptions::default());
    start.await.unwrap();
    scribing.write_to(OLDER + 10);
    let (mut log, mut next) = (scribing.follow().await, 0);
    read_to(&mut log, &mut next, 100).await;
    scribing.move_file("[second] moved/new.log").await;
    scribing.write_to(OLDER + 20);
    read_to(&mut log, &mut next, OLDER + 20).await;
    scribing.exit();
    assert_ends(&mut log).await;
    scribing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_continues_in_a_new_file_after_a_move_is_followed() {
    let scribing = Scribing::start().await;
    let (mut log, mut next) = (scribing.follow().await, 0);
    scribing.write_to(10);
    read_to(&mut log, &mut next, 10).await;
    scribing.write_to(20);
    scribing.set_backing("[second] moved/new.log").await;
    scribing.write_to(30);
    scribing.relocate(DATASTORES[1]).await;
    scribing.write_to(40);
    read_to(&mut log, &mut next, 40).await;
    // A late follower reads both files.
    let (mut late, mut late_next) = (scribing.follow().await, 0);
    read_to(&mut late, &mut late_next, 40).await;
    scribing.write_to(50);
    scribing.exit();
    for (log, next) in [(&mut log, &mut next), (&mut late, &mut late_next)] {
        read_to(log, next, 50).await;
        assert_ends(log).await;
    }
    scribing.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_removal_of_a_container_that_was_moved_ends_its_log_and_deletes_it() {
    for is_moved in [false, true] {
        let scribing = Scribing::start().await;
        let (mut log, mut next) = (scribing.follow().await, 0);
        scribing.write_to(10);
        read_to(&mut log, &mut next, 10).await;
        let directory = scribing.relocate(DATASTORES[1]).await;
        if is_moved {
            // The log follows the machine.
            let path = format!("{directory}/{}.log", scribing.id);
            scribing.move_file(&path).await;
        }
        scribing.write_to(20);
        read_to(&mut log, &mut next, 20).await;
        assert!(scribing.log_file().exists());
        let exec = scribing.endpoint.layer.exec();
        scribing.exit();
        exec.wait(&scribing.id).await.unwrap();
        exec.remove(&scribing.id).await.unwrap();
        assert_ends(&mut log).await;
        assert!(!scribing.log_file().exists());
        scribing.stop().await;
    }
}

/// Returns the number of requests for the log, apart from those that only waiting costs, while
/// `count` readers follow it during a move.
async fn requests(count: usize) -> u64 {
    const LINES: u32 = 1000;
    let scribing = Scribing::start().await;
    let script = scribing.endpoint.simulator.script();
    let requests = || {
        let calls = script.calls();
        let folder = calls.iter().filter(|(name, _)| name.ends_with(" /folder"));
        folder.map(|(_, count)| count).sum::<u64>()
    };
    scribing.write_to(LINES);
    let (before, begun) = (requests(), Instant::now());
    let mut readers = Vec::new();
    for _ in 0..count {
        readers.push((scribing.follow().await, 0));
    }
    for end in [LINES, 2 * LINES] {
        let mut followers = JoinSet::new();
        for (mut log, mut next) in readers {
            followers.spawn(async move {
                read_to(&mut log, &mut next, end).await;
                (log, next)
            });
        }
        readers = followers.join_all().await;
        if end == LINES {
            scribing.move_file("[second] moved/new.log").await;
            scribing.write_to(2 * LINES);
        }
    }
    let (made, waited) = (requests() - before, begun.elapsed());
    scribing.stop().await;
    let polls = u64::try_from(waited.as_millis() / INTERVAL.as_millis()).unwrap();
    made.saturating_sub(polls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_followers_of_a_log_that_moves_cost_the_requests_of_one() {
    let (one, hundred) = (requests(1).await, requests(100).await);
    assert!(hundred <= one + 10, "{hundred} requests instead of {one}");
}
