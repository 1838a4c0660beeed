//! The agent's binary as the first process of a machine under QEMU. The tests are ignored, because
//! they require the environment variables `TETHER_KERNEL` and `TETHER_INITRAMFS`, paths of files for
//! QEMU. The initramfs contains the agent as `/init` and the kernel's modules in `/modules`. One test
//! also requires `TETHER_BUSYBOX`, the path of a static busybox.

mod failures;
mod power_button;

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use disk_image::{FileLayer, FsOptions, LayerDigests, Limits, Merge, Monitor};
use guest_io::Stream;
use guest_io::log::{Decoder, End, Format, Item, Outcome};
use guest_io::ssh::client::{Attach, Connector, Event, Session};
use guest_io::ssh::{Exit, PrivateKey};
use tempfile::TempDir;
use tether::guestinfo::rpc::{GuestRpc as _, Memory};
use tether::guestinfo::vic::{
    Command, ContainerNetwork, ExecutorConfig, NetworkEndpoint, Redacted, SessionConfig, Started,
};
use tether::guestinfo::{Dialect, decode, encode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// How long a machine may take until it powers off. A boot takes two seconds on an idle processor.
const PATIENCE: Duration = Duration::from_secs(120);

/// The PCI slot of the machine's network card.
const SLOT: u32 = 5;

/// A machine's keys, at the host.
type Keys = Arc<Mutex<Memory>>;

#[derive(Debug)]
struct Machine {
    folder: TempDir,
    keys: Keys,
    host_key: PrivateKey,
    client_key: PrivateKey,
    /// The options of the machine's network in QEMU.
    network: &'static str,
    /// The machine's memory in MiB.
    memory: u32,
    /// Options for the kernel.
    kernel_options: &'static str,
    /// Whether QEMU connects its monitor to the listener `monitor`.
    has_monitor: bool,
}

impl Machine {
    fn new(command: Command) -> Self {
        let (host_key, client_key) = (key(), key());
        let session = SessionConfig {
            command,
            attach: true,
            active: true,
            open_stdin: true,
            run_block: true,
            ..SessionConfig::default()
        };
        let network = ContainerNetwork {
            gateway: Some("10.0.2.2/24".parse().expect("a gateway")),
            is_default: true,
            nameservers: vec!["10.0.2.3".parse().expect("an address")],
            ..ContainerNetwork::default()
        };
        let address: ipnet::IpNet = "10.0.2.15/24".parse().expect("an address");
        let mut endpoint = NetworkEndpoint {
            address: Some(address.into()),
            network,
            ..NetworkEndpoint::default()
        };
        endpoint.common.id = SLOT.to_string();
        let config = ExecutorConfig {
            sessions: [("main".to_owned(), session)].into(),
            networks: [("bridge".to_owned(), endpoint)].into(),
            key: Redacted(host_key.to_openssh().expect("a key").into_bytes()),
            client_key: Some(client_key.public().to_string()),
            hostname: "booted".to_owned(),
            ..ExecutorConfig::default()
        };
        let keys = encode(&config, Dialect::Vic1).expect("keys");
        Self {
            folder: TempDir::new().expect("a directory"),
            keys: Arc::new(Mutex::new(Memory::from_iter(keys))),
            host_key,
            client_key,
            network: "user,id=n0,restrict=on",
            memory: 256,
            kernel_options: "",
            has_monitor: false,
        }
    }

    /// Creates a machine whose program starts at once, changed by `change`.
    fn running(path: &str, change: impl FnOnce(&mut ExecutorConfig)) -> Self {
        let command = Command {
            path: path.to_owned(),
            ..Command::default()
        };
        let machine = Self::new(command);
        let mut config = machine.config();
        config.key = Redacted(machine.host_key.to_openssh().expect("a key").into_bytes());
        if let Some(session) = config.sessions.get_mut("main") {
            (session.run_block, session.open_stdin) = (false, false);
        }
        change(&mut config);
        let keys = encode(&config, Dialect::Vic1).expect("keys");
        *machine.keys.lock().expect("keys") = Memory::from_iter(keys);
        machine
    }

    /// Boots the machine with its disk, and waits until it is off. Returns what it reported.
    async fn run(&self) -> ExecutorConfig {
        make_disk(self.folder.path());
        let _control = UnixListener::bind(self.path("control")).expect("a socket");
        let port = UnixListener::bind(self.path("keys")).expect("a socket");
        let qemu = self.start(true);
        let (port, _) = port.accept().await.expect("a port");
        tokio::spawn(serve_keys(port, Arc::clone(&self.keys)));
        self.off(qemu).await;
        self.config()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Starts the machine. QEMU connects to the listeners, so they must exist.
    fn start(&self, with_disk: bool) -> tokio::process::Child {
        let kernel = std::env::var_os("TETHER_KERNEL").expect("TETHER_KERNEL is a kernel");
        let initramfs = std::env::var_os("TETHER_INITRAMFS").expect("TETHER_INITRAMFS");
        let mut qemu = tokio::process::Command::new("qemu-system-x86_64");
        // `-cpu max` has a random number generator. Without it, the kernel has too little entropy
        // for keys.
        qemu.args("-accel tcg -cpu max -machine pc -smp 1 -nodefaults -no-user-config".split(' '))
            .args(["-m", &self.memory.to_string()])
            .args("-display none -no-reboot".split(' '));
        for (id, device) in [("control", "socket"), ("console", "file"), ("log", "file")] {
            let more = if device == "socket" {
                ",reconnect=1"
            } else {
                ""
            };
            let backing = format!("{device},id={id},path={}{more}", self.path(id));
            qemu.args(["-chardev", &backing]);
            qemu.args(["-device", &format!("isa-serial,chardev={id}")]);
        }
        let keys = format!("socket,id=keys,path={}", self.path("keys"));
        qemu.args(["-chardev", &keys, "-device", "virtio-serial-pci", "-device"]);
        qemu.arg("virtserialport,chardev=keys,name=com.vmware.guestinfo");
        if with_disk {
            let drive = format!("if=none,id=d0,format=raw,file={}", self.path("disk"));
            qemu.args(["-drive", &drive, "-device", "pvscsi,id=scsi0"]);
            qemu.args(["-device", "scsi-hd,bus=scsi0.0,drive=d0"]);
        }
        if self.has_monitor {
            let monitor = format!("socket,id=monitor,path={}", self.path("monitor"));
            qemu.args(["-chardev", &monitor, "-mon", "chardev=monitor,mode=control"]);
        }
        let card = format!("vmxnet3,netdev=n0,addr={SLOT:#x}");
        qemu.args(["-netdev", self.network, "-device", &card]);
        qemu.arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs);
        let options = format!("console=ttyS1 quiet panic=-1 {}", self.kernel_options);
        qemu.args(["-append", &options]);
        qemu.stdin(Stdio::null()).kill_on_drop(true);
        qemu.spawn().expect("QEMU")
    }

    fn console(&self) -> String {
        let text = fs::read(self.path("console")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until the machine is off.
    async fn off(&self, mut qemu: tokio::process::Child) {
        match timeout(PATIENCE, qemu.wait()).await {
            Ok(ended) => assert!(ended.expect("an end").success(), "{}", self.console()),
            Err(_elapsed) => panic!("the machine stays on: {}", self.console()),
        }
    }

    /// Returns what the program has written to its standard output, from the log.
    fn stdout(&self) -> String {
        let mut decoder = Decoder::new(Format::Records);
        decoder.push(&fs::read(self.path("log")).unwrap_or_default());
        let mut stdout = Vec::new();
        while let Some(item) = decoder.next() {
            if let Item::Record(record) = item
                && record.stream == Stream::Stdout
            {
                stdout.extend_from_slice(&record.data);
            }
        }
        String::from_utf8_lossy(&stdout).into_owned()
    }

    fn config(&self) -> ExecutorConfig {
        decode(self.keys.lock().expect("keys").keys()).value
    }
}

fn key() -> PrivateKey {
    PrivateKey::generate().expect("a key")
}

/// Creates a disk with the programs of these tests.
fn make_disk(folder: &Path) {
    let layer = folder.join("layer.tar");
    let mut tar = tar::Builder::new(File::create(&layer).expect("a file"));
    let mut add = |path: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, path, content).expect("a file");
    };
    add("echo", &guest_programs::x86_64::echoes());
    add("fill", &guest_programs::x86_64::fills_memory());
    add("etc/hostname", b"image\n");
    if let Some(busybox) = std::env::var_os("TETHER_BUSYBOX") {
        add("busybox", &fs::read(busybox).expect("a busybox"));
    }
    tar.finish().expect("a layer");
    let monitor = Monitor::new();
    let mut merge = Merge::new(Limits::default());
    let source = Arc::new(FileLayer::new(&layer));
    merge
        .layer(source, LayerDigests::none(), &monitor)
        .expect("a layer");
    let options = FsOptions::new(64 << 20, uuid::Uuid::from_u128(1)).label("containerfs");
    let plan = merge.plan(&options, &monitor).expect("a file system");
    let disk = File::create(folder.join("disk")).expect("a file");
    disk.set_len(64 << 20).expect("a length");
    plan.write_file(&disk, &monitor).expect("a disk");
}

/// Responds to the guest's requests for keys, with the messages of VMware's sockets.
async fn serve_keys(mut port: UnixStream, keys: Keys) -> std::io::Result<()> {
    loop {
        let length = port.read_u32().await?;
        let mut fields = vec![0; usize::try_from(length).expect("a length")];
        port.read_exact(&mut fields).await?;
        // A 16-byte number, then the message: type, field, length, text.
        let message = fields.split_off(16 + 8);
        let length = u32::from_be_bytes(message[..4].try_into().expect("a length"));
        let message = &message[4..4 + usize::try_from(length).expect("a length")];
        let answer = answer(&keys, &String::from_utf8_lossy(message));
        let mut fields = Vec::new();
        for word in [
            1,
            1,
            1,
            0,
            2,
            2,
            u32::try_from(answer.len()).expect("a length"),
        ] {
            fields.extend(u32::to_be_bytes(word));
        }
        fields.extend(answer.as_bytes());
        port.write_u32(u32::try_from(fields.len()).expect("a length"))
            .await?;
        port.write_all(&fields).await?;
    }
}

fn answer(keys: &Keys, message: &str) -> String {
    let mut keys = keys.lock().expect("keys");
    let words: Vec<_> = message.splitn(3, ' ').collect();
    match words.as_slice() {
        ["info-get", key] => match keys.get(key) {
            Ok(Some(value)) => format!("1 {value}"),
            _ => "0 No value found".to_owned(),
        },
        ["info-set", key, value] => match keys.set(key, value) {
            Ok(()) => "1 ".to_owned(),
            Err(error) => format!("0 {error}"),
        },
        _ => "0 Unknown command".to_owned(),
    }
}

async fn expect(attach: &mut Attach, wanted: &str) {
    let mut text = String::new();
    while text != wanted {
        match timeout(PATIENCE, attach.output.next())
            .await
            .expect("output")
        {
            Some(Event::Data(Stream::Stdout, data)) => {
                text.push_str(std::str::from_utf8(&data).expect("a text"));
            }
            Some(Event::Data(..)) => {}
            other => panic!("{other:?} after {text:?}"),
        }
        assert!(wanted.starts_with(&text), "{text:?}");
    }
}

/// Copies a file into the machine and out again. The agent's own root, the initramfs, is out of
/// reach.
async fn archives_pass_the_line(session: &Session) {
    let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o4750);
    header.set_uid(1_000);
    header.set_gid(2_000);
    tar.append_data(&mut header, "put/file", &*content)
        .expect("a file");
    let tar = tar.into_inner().expect("an archive");
    let mut archive = session.archive_in("/").await.expect("an archive");
    archive.send(tar.into()).await.expect("it is read");
    let notes = archive.finish().await.expect("a complete archive");
    assert_eq!(notes, [""; 0]);

    let mut archive = session.archive_out("/put/file").await.expect("an archive");
    let mut tar = Vec::new();
    while let Some(chunk) = archive.next().await.expect("a complete archive") {
        tar.extend_from_slice(&chunk);
    }
    let (read, mode, owner) = first_file(&tar);
    assert!(read == content, "{} bytes", read.len());
    assert_eq!((mode, owner), (0o4750, (1_000, 2_000)));

    for path in ["/init", "/../init", "/proc/1/root/init"] {
        let mut archive = session.archive_out(path).await.expect("an archive");
        let copied = archive.next().await;
        assert!(copied.is_err(), "{path}: {copied:?}");
    }
}

/// Returns the content, the mode and the owner of the first file in an archive.
fn first_file(tar: &[u8]) -> (Vec<u8>, u32, (u64, u64)) {
    let mut tar = tar::Archive::new(tar);
    let file = tar.entries().expect("entries").next().expect("a file");
    let mut file = file.expect("a file");
    let header = file.header();
    let owner = (
        header.uid().expect("a user"),
        header.gid().expect("a group"),
    );
    let mode = header.mode().expect("a mode");
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut content).expect("data");
    (content, mode, owner)
}

#[tokio::test]
#[ignore = "needs QEMU, a kernel and the agent's static binary"]
async fn a_machine_runs_its_program_is_attached_to_and_powers_off() {
    let command = Command {
        path: "/echo".to_owned(),
        ..Command::default()
    };
    let machine = Machine::new(command);
    make_disk(machine.folder.path());
    let control = UnixListener::bind(machine.path("control")).expect("a socket");
    let port = UnixListener::bind(machine.path("keys")).expect("a socket");
    let qemu = machine.start(true);
    let (port, _) = port.accept().await.expect("a port");
    tokio::spawn(serve_keys(port, Arc::clone(&machine.keys)));

    let (line, _) = control.accept().await.expect("a line");
    let connector = Connector::new(machine.client_key.clone())
        .handshake_timeout(PATIENCE)
        .ssh_timeout(PATIENCE);
    let pinned = machine.host_key.fingerprint();
    let session = connector
        .connect(line, move |found| std::future::ready(found == pinned))
        .await;
    let session = session.unwrap_or_else(|error| panic!("{error:?}\n{}", machine.console()));
    let mut attach = session.attach("main").await.expect("a session");
    attach.control.unblock().expect("a line");
    expect(&mut attach, "ready\n").await;
    attach.input.send("hello\n".into()).await.expect("input");
    expect(&mut attach, "hello\n").await;
    archives_pass_the_line(&session).await;
    let Attach { input, output, .. } = attach;
    input.close().await.expect("an end of the input");
    let mut output = output;
    let mut rest = Vec::new();
    let exit = loop {
        match timeout(PATIENCE, output.next()).await.expect("an end") {
            Some(Event::Data(Stream::Stdout, data)) => rest.extend_from_slice(&data),
            Some(Event::Exit(exit)) => break exit,
            Some(_) => {}
            None => panic!("the line was lost"),
        }
    };
    assert_eq!((rest.as_slice(), exit), (&b"bye\n"[..], Exit::Code(7)));
    // The machine waits for clients that have not read the end.
    drop((output, session));
    machine.off(qemu).await;

    let config = machine.config();
    let session = &config.sessions["main"];
    assert_eq!(session.started, Started::Yes);
    assert_eq!(session.exit_status, Some(7));
    let notes: Vec<_> = config
        .diagnostics
        .exit_logs
        .iter()
        .map(|log| &log.message)
        .collect();
    assert_eq!(
        config.networks["bridge"].assigned, config.networks["bridge"].address,
        "{notes:?}"
    );
    assert!(notes.is_empty(), "{notes:?}");
    let log = fs::read(machine.path("log")).expect("a log");
    let end = End::at_end(&log, true).expect("a final record");
    assert_eq!(end.outcome, Outcome::Code(7));
    assert_eq!(machine.stdout(), "ready\nhello\nbye\n");
}

#[tokio::test]
#[ignore = "needs QEMU, a kernel and the agent's static binary"]
async fn a_machine_without_its_disk_says_so_and_powers_off() {
    let machine = Machine::new(Command::default());
    let _control = UnixListener::bind(machine.path("control")).expect("a socket");
    let port = UnixListener::bind(machine.path("keys")).expect("a socket");
    let qemu = machine.start(false);
    let (port, _) = port.accept().await.expect("a port");
    tokio::spawn(serve_keys(port, Arc::clone(&machine.keys)));
    machine.off(qemu).await;
    let Started::Failed(reason) = &machine.config().sessions["main"].started else {
        panic!("{:?}", machine.config().sessions["main"].started);
    };
    assert!(reason.contains("containerfs"), "{reason}");
    let log = fs::read(machine.path("log")).expect("a log");
    let end = End::at_end(&log, true).expect("a final record");
    assert_eq!((end.outcome, &end.reason), (Outcome::NotStarted, reason));
}

#[tokio::test]
#[ignore = "needs QEMU, a kernel and the agent's static binary"]
async fn a_machine_without_a_fixed_address_obtains_one_by_dhcp() {
    let mut machine = Machine::running("/echo", |config| {
        let endpoint = config.networks.get_mut("bridge").expect("a network");
        endpoint.address = None;
        endpoint.network.gateway = None;
        endpoint.network.nameservers.clear();
    });
    // The server of a restricted network names no gateway.
    machine.network = "user,id=n0";
    let config = machine.run().await;
    let notes = &config.diagnostics.exit_logs;
    assert!(notes.is_empty(), "{notes:?}");
    let endpoint = &config.networks["bridge"];
    let address = endpoint.assigned.and_then(|address| address.net());
    let address = address.expect("an address");
    let network: ipnet::IpNet = "10.0.2.0/24".parse().expect("a network");
    assert_eq!(address.trunc(), network, "{address}");
    let leased = endpoint.network.assigned.as_ref().expect("a lease");
    assert_eq!(
        leased.gateway,
        Some("10.0.2.2/24".parse().expect("a gateway"))
    );
    assert_eq!(
        leased.nameservers,
        ["10.0.2.3".parse::<std::net::IpAddr>().expect("an address")]
    );
    assert_eq!(config.sessions["main"].exit_status, Some(7));
}

#[tokio::test]
#[ignore = "needs QEMU, a kernel and the agent's static binary"]
async fn a_machine_whose_program_cannot_start_says_why_and_powers_off() {
    let missing_program = Machine::running("/missing", |_| {});
    let missing_user = Machine::running("/echo", |config| {
        let session = config.sessions.get_mut("main").expect("a session");
        session.user = "nobody-here".to_owned();
    });
    for (machine, wanted) in [
        (missing_program, "no such file"),
        (missing_user, "nobody-here"),
    ] {
        let config = machine.run().await;
        let Started::Failed(reason) = &config.sessions["main"].started else {
            panic!("{:?}", config.sessions["main"].started);
        };
        assert!(reason.contains(wanted), "{reason}");
    }
}

#[tokio::test]
#[ignore = "needs QEMU, a kernel and the agent's static binary"]
async fn a_process_that_uses_all_memory_is_reported_as_out_of_memory() {
    let machine = Machine::running("/fill", |config| {
        let session = config.sessions.get_mut("main").expect("a session");
        // More than the default, so that only root may set it.
        session.limits = Some("nofile=20000:20000".parse().expect("limits"));
    });
    let config = machine.run().await;
    let session = &config.sessions["main"];
    assert_eq!(session.started, Started::Yes, "{}", machine.console());
    assert_eq!(session.exit_status, Some(137), "{}", machine.console());
    let keys = machine.keys.lock().expect("keys");
    for (name, expected) in [("signal", "9"), ("oom", "true")] {
        let key = format!("guestinfo.vice..sessions|main.{name}");
        assert_eq!(keys.keys().get(&key).map(String::as_str), Some(expected));
    }
}

/// The port layer reports such a machine as `NeverOn`, as soon as it is off.
#[tokio::test]
#[ignore = "needs QEMU, a kernel and the agent's static binary"]
async fn a_machine_whose_boot_fails_powers_off_without_a_report() {
    for (memory, kernel_options, wanted) in [
        // Without a first process and a disk for another one.
        (256, "rdinit=/missing", "Kernel panic"),
        // Too little memory for the kernel and its initramfs.
        (48, "", ""),
    ] {
        let mut machine = Machine::running("/echo", |_| {});
        (machine.memory, machine.kernel_options) = (memory, kernel_options);
        let config = machine.run().await;
        assert_eq!(config.sessions["main"].started, Started::No);
        let console = machine.console();
        assert!(console.contains(wanted), "{console}");
    }
}

/// The resident memory of the agent's two processes, counting what they share twice. The bound is
/// that of a binary of the profile `tether`; a debug build takes 11 MB and is not what is measured.
#[tokio::test]
#[ignore = "needs QEMU, a kernel, busybox and the agent's static binary"]
async fn the_agent_takes_less_than_ten_megabytes_of_its_machine() {
    let machine = Machine::running("/busybox", |config| {
        let session = config.sessions.get_mut("main").expect("a session");
        // A thread of the kernel may end between the listing and the reading.
        let script = "cat /proc/[0-9]*/status; exit 0";
        session.command.args = ["busybox", "sh", "-c", script].map(str::to_owned).to_vec();
    });
    let config = machine.run().await;
    assert_eq!(config.sessions["main"].exit_status, Some(0));
    let status = machine.stdout();
    let mut kilobytes = Vec::new();
    for process in status.split("Name:").skip(1) {
        let resident = process.lines().find(|line| line.starts_with("VmRSS:"));
        if let (true, Some(line)) = (process.trim_start().starts_with("init"), resident) {
            let number = line.split_whitespace().nth(1).expect("a number");
            kilobytes.push(number.parse::<u64>().expect("a number"));
        }
    }
    eprintln!("resident memory of the agent's processes in KiB: {kilobytes:?}");
    assert_eq!(kilobytes.len(), 2, "{status}");
    assert!(
        kilobytes.iter().sum::<u64>() * 1024 < 10_000_000,
        "{kilobytes:?}"
    );
}
