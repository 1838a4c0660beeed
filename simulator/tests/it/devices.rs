//! Tests of a machine's devices from the view of its guest: hardware, serial ports, addresses.

use std::sync::Arc;
use std::time::Duration;

use simulator::{
    DiskMode, Guest, GuestAddress, GuestHardware, GuestMachine, GuestNicAddresses, Simulator,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use vim25::types::{
    GuestInfo, VirtualDeviceConfigSpec, VirtualDeviceConfigSpecOperation, VirtualMachineConfigSpec,
    VirtualMachinePowerState, VirtualSerialPort, VirtualSerialPortFileBackingInfo,
    VirtualSerialPortURIBackingInfo,
};
use vim25::{Poly, Ref, mo};

use crate::client::Client;
use crate::client::container::{add, spec};

/// A guest whose actions the test carries out: it sends its machine to the test and waits.
#[derive(Debug)]
pub(crate) struct Played(mpsc::Sender<GuestMachine>);

impl Played {
    pub(crate) fn new() -> (Self, mpsc::Receiver<GuestMachine>) {
        let (sender, machines) = mpsc::channel(4);
        (Self(sender), machines)
    }
}

#[async_trait::async_trait]
impl Guest for Played {
    async fn run(&self, machine: GuestMachine) {
        let _ = self.0.send(machine).await;
        std::future::pending::<()>().await;
    }
}

struct Bench {
    simulator: Simulator,
    client: Client,
    machines: mpsc::Receiver<GuestMachine>,
}

async fn bench() -> Bench {
    let (guest, machines) = Played::new();
    let simulator = Simulator::builder().guest(guest).start().await.unwrap();
    let iso = simulator.datastore_directory().join("vch");
    std::fs::create_dir(&iso).unwrap();
    std::fs::write(iso.join("bootstrap.iso"), b"iso").unwrap();
    let client = Client::login(&simulator).await;
    Bench {
        simulator,
        client,
        machines,
    }
}

impl Bench {
    async fn on(
        &mut self,
        spec: &VirtualMachineConfigSpec,
    ) -> (Ref<mo::VirtualMachine>, GuestMachine) {
        let folder: Ref<mo::Folder> = Ref::new("ha-folder-vm");
        let pool: Ref<mo::ResourcePool> = Ref::new("ha-root-pool");
        let vm = folder.create_vm(spec, &pool, None);
        let vm = self.client.run(vm).await.unwrap();
        self.client.run(vm.power_on_vm(None)).await.unwrap();
        let machine = self.machines.recv().await.unwrap();
        (vm, machine)
    }
}

/// Returns the specification of a machine whose only added device is a serial port.
fn with_port(port: VirtualSerialPort) -> VirtualMachineConfigSpec {
    let mut spec = spec("a", &[].into());
    spec.device_change = vec![add(port, None)];
    spec
}

fn client_port(address: &str) -> VirtualSerialPort {
    let mut backing = VirtualSerialPortURIBackingInfo::default();
    backing.service_uri = format!("tcp://{address}");
    backing.direction = "client".into();
    let mut port = VirtualSerialPort::default();
    port.key = -5;
    port.yield_on_poll = true;
    port.backing = Some(Poly::new(backing));
    port
}

fn file_port(file: &str) -> VirtualSerialPort {
    let mut backing = VirtualSerialPortFileBackingInfo::default();
    backing.file_name = file.into();
    let mut port = VirtualSerialPort::default();
    port.key = -6;
    port.backing = Some(Poly::new(backing));
    port
}

#[tokio::test]
async fn a_guest_finds_the_hardware_that_was_configured() {
    let mut bench = bench().await;
    let mut spec = spec("a", &[].into());
    spec.uuid = Some("564d0000-0000-4000-8000-000000000001".into());
    let (_, machine) = bench.on(&spec).await;
    let directory = bench.simulator.datastore_directory();
    let hardware: &GuestHardware = machine.hardware();
    assert_eq!(hardware.uuid, "564d0000-0000-4000-8000-000000000001");
    assert_eq!((hardware.cpus, hardware.memory_mib), (2, 2_048));
    assert_eq!(hardware.cdroms, [directory.join("vch/bootstrap.iso")]);
    assert_eq!(hardware.serial_ports, 1);
    let [disk] = hardware.disks.as_slice() else {
        panic!("{hardware:?}");
    };
    assert_eq!((disk.key, disk.bus, disk.unit), (2_000, 0, 0));
    assert_eq!(disk.capacity_bytes, 1 << 30);
    assert_eq!(disk.chain, [directory.join("a/a.vmdk")]);
    assert_eq!(disk.mode, DiskMode::Persistent);
    let [nic] = hardware.nics.as_slice() else {
        panic!("{hardware:?}");
    };
    assert_eq!(nic.network, "VM Network");
    assert!(nic.mac.starts_with("00:0c:29:"), "{}", nic.mac);
    assert!(machine.serial(0).is_some());
    assert!(machine.serial(1).is_none());
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_guest_tells_its_name_and_addresses() {
    let mut bench = bench().await;
    let (vm, machine) = bench.on(&spec("a", &[].into())).await;
    let mac = machine.hardware().nics[0].mac.clone();
    machine.set_tools_running(true);
    machine.set_host_name("box");
    let address = GuestAddress::new([10, 0, 0, 7].into(), 24);
    machine.set_network_info(&[GuestNicAddresses::new(mac.clone()).address(address)]);
    let guest: GuestInfo = bench.client.get(&vm, "guest").await;
    assert_eq!(guest.host_name.as_deref(), Some("box"));
    assert_eq!(guest.ip_address.as_deref(), Some("10.0.0.7"));
    assert_eq!(
        guest.tools_running_status.as_deref(),
        Some("guestToolsRunning")
    );
    let [nic] = guest.net.as_slice() else {
        panic!("{guest:?}");
    };
    assert_eq!(nic.mac_address, Some(mac));
    assert_eq!(nic.network.as_deref(), Some("VM Network"));
    assert_eq!(nic.device_config_id, 4_000);
    let shown: String = bench.client.get(&vm, "summary.guest.ipAddress").await;
    assert_eq!(shown, "10.0.0.7");
    bench.client.run(vm.power_off_vm()).await.unwrap();
    let guest: GuestInfo = bench.client.get(&vm, "guest").await;
    assert!(
        guest.net.is_empty() && guest.ip_address.is_none(),
        "{guest:?}"
    );
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_serial_port_connects_at_power_on_and_again_after_a_drop() {
    let mut bench = bench().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (vm, machine) = bench.on(&with_port(client_port(&address))).await;
    let mut port = machine.serial(0).unwrap();
    // Bytes written before the connection is accepted are not lost.
    port.write_all(b"first\n").await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    let mut read = [0; 6];
    peer.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"first\n");
    peer.write_all(b"answer").await.unwrap();
    port.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"answer");
    assert!(port.carrier());

    drop(peer);
    port.carrier_is(false).await;
    port.write_all(b"to nobody").await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    port.carrier_is(true).await;
    port.write_all(b"second").await.unwrap();
    peer.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"second");

    // Bytes written before power-off arrive, followed by the end of the stream.
    port.write_all(b"last").await.unwrap();
    bench.client.run(vm.power_off_vm()).await.unwrap();
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"last");
    assert_eq!(port.read(&mut read).await.unwrap(), 0);
    let gone = port.write_all(b"x").await.unwrap_err();
    assert_eq!(gone.kind(), std::io::ErrorKind::BrokenPipe);
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_serial_port_waits_for_a_listener() {
    let mut bench = bench().await;
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = reserved.local_addr().unwrap().to_string();
    drop(reserved);
    let (_, machine) = bench.on(&with_port(client_port(&address))).await;
    let mut port = machine.serial(0).unwrap();
    // Without a listener, writes of the guest do not block.
    port.write_all(&vec![0; 1 << 20]).await.unwrap();
    assert!(!port.carrier());
    let listener = TcpListener::bind(&address).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    port.carrier_is(true).await;
    port.write_all(b"now").await.unwrap();
    let mut read = [0; 3];
    peer.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"now");
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_slow_reader_holds_the_guest_up() {
    let mut bench = bench().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (_, machine) = bench.on(&with_port(client_port(&address))).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    let mut port = machine.serial(0).unwrap();
    let sent: Vec<u8> = (0..16 << 20).map(|n: u32| (n % 251) as u8).collect();
    let expected = sent.clone();
    let written = Arc::new(Mutex::new(false));
    let done = Arc::clone(&written);
    let writing = tokio::spawn(async move {
        port.write_all(&sent).await.unwrap();
        *done.lock().await = true;
    });
    // The data exceeds all buffers on the way, so the write must block until the peer reads.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!*written.lock().await);
    let mut read = vec![0; expected.len()];
    peer.read_exact(&mut read).await.unwrap();
    assert!(read == expected, "the bytes came out of order");
    writing.await.unwrap();
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_serial_port_is_disconnected_and_connected_by_reconfiguration() {
    let mut bench = bench().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (vm, machine) = bench.on(&with_port(client_port(&address))).await;
    let (mut peer, _) = listener.accept().await.unwrap();
    let port = machine.serial(0).unwrap();
    let devices = "config.hardware.device[9000]";
    for connected in [false, true] {
        let mut device: VirtualSerialPort = bench.client.get(&vm, devices).await;
        device.connectable.as_mut().unwrap().connected = connected;
        let spec = VirtualMachineConfigSpec {
            device_change: vec![Poly::new(VirtualDeviceConfigSpec {
                operation: Some(VirtualDeviceConfigSpecOperation::Edit),
                device: Poly::new(device),
                ..Default::default()
            })],
            ..Default::default()
        };
        bench.client.run(vm.reconfig_vm(&spec)).await.unwrap();
        port.carrier_is(connected).await;
        if !connected {
            assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
        }
    }
    listener.accept().await.unwrap();
    bench.simulator.shutdown().await;
}

#[tokio::test]
async fn a_serial_port_writes_a_file_that_can_be_read_while_it_grows() {
    let mut bench = bench().await;
    let file = file_port("[datastore1] a/output.log");
    let (vm, machine) = bench.on(&with_port(file)).await;
    let mut port = machine.serial(0).unwrap();
    let get = |range: &'static str| {
        let request = bench
            .client
            .http()
            .get(bench.client.file_url("a/output.log"));
        let request = request.basic_auth("root", Some("vmware"));
        async move {
            let response = request.header("Range", range).send().await.unwrap();
            let status = response.status().as_u16();
            let range = response.headers().get("content-range").cloned();
            let range = range.map(|range| range.to_str().unwrap().to_owned());
            (status, range, response.text().await.unwrap())
        }
    };
    port.write_all(b"one\n").await.unwrap();
    assert_eq!(get("none").await, (200, None, "one\n".into()));
    port.write_all(b"two\n").await.unwrap();
    let part = (206, Some("bytes 4-7/8".into()), "two\n".into());
    assert_eq!(get("bytes=4-").await, part);
    assert_eq!(get("bytes=-4").await, part);
    let part = (206, Some("bytes 2-4/8".into()), "e\nt".into());
    assert_eq!(get("bytes=2-4").await, part);
    let none = (416, Some("bytes */8".into()), String::new());
    assert_eq!(get("bytes=8-").await, none);
    bench.client.run(vm.power_off_vm()).await.unwrap();
    bench.client.run(vm.power_on_vm(None)).await.unwrap();
    let machine = bench.machines.recv().await.unwrap();
    let mut port = machine.serial(0).unwrap();
    port.write_all(b"three\n").await.unwrap();
    assert_eq!(get("none").await, (200, None, "one\ntwo\nthree\n".into()));
    let state: VirtualMachinePowerState = bench.client.get(&vm, "runtime.powerState").await;
    assert_eq!(state, VirtualMachinePowerState::PoweredOn);
    bench.simulator.shutdown().await;
}
