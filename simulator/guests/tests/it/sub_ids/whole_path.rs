//! The owner of a file that a user of an image writes, from the image to the container's disk.

use std::io::{Cursor, Read};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use disk_image::ext4::Reader;
use disk_image::vmdk::Disk;
use futures_util::StreamExt as _;
use guest_io::ssh::PrivateKey;
use guest_io::ssh::client::Connector;
use guest_programs::x86_64;
use portlayer::conformance::Fixture as _;
use portlayer::exec::{Command, ContainerSpec, RootFs, StartOptions, StopOptions};
use portlayer::image::{Digest, Image, ImageConfig, ImportOptions, Layer};
use portlayer::stream::LogOptions;
use portlayer::vsphere::Dialect;
use portlayer::{ExitStatus, PortLayer};
use tar::{Builder, EntryType, Header};
use tokio::net::TcpListener;
use tokio::time::timeout;
use vim25::{Ref, mo, props};

use super::with_sub_ids;
use crate::machine::Endpoint;

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn files_of_an_images_user_have_their_owner_in_archives_and_on_the_disk() {
    with_sub_ids("whole_path::owned");
}

/// The owner, group and permissions of a file.
type Owner = (u32, u32, u32);

/// Adds a file of the user 1000, or of root.
fn add(
    tar: &mut Builder<Vec<u8>>,
    name: &str,
    kind: EntryType,
    owner: u64,
    mode: u32,
    text: &[u8],
) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(text.len() as u64);
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_device_major(1).expect("a number");
    header.set_device_minor(7).expect("a number");
    tar.append_data(&mut header, name, text).expect("an entry");
}

/// Returns an image whose user 1000 has a home directory, with a file and a device node in it.
fn image() -> Image {
    let mut tar = Builder::new(Vec::new());
    add(&mut tar, "home", EntryType::Directory, 1_000, 0o700, b"");
    add(
        &mut tar,
        "home/kept",
        EntryType::Regular,
        1_000,
        0o600,
        b"kept",
    );
    add(&mut tar, "home/full", EntryType::Char, 0, 0o666, b"");
    let program = x86_64::creates_file();
    add(&mut tar, "create", EntryType::Regular, 0, 0o755, &program);
    let passwd = b"root:x:0:0::/:\nada:x:1000:1000::/home:\n";
    add(&mut tar, "etc/passwd", EntryType::Regular, 0, 0o644, passwd);
    let layer: Arc<[u8]> = tar.into_inner().expect("a layer").into();
    let digest = Digest::of(&layer);
    let config = format!(
        r#"{{"os":"linux","architecture":"amd64","config":{{"User":"ada"}},
            "rootfs":{{"type":"layers","diff_ids":["{digest}"]}}}}"#
    );
    let layer = Layer::new(digest, move || {
        Ok(Box::new(Cursor::new(Arc::clone(&layer))) as Box<dyn Read + Send>)
    });
    Image::new(
        ImageConfig::parse(config).expect("a configuration"),
        [layer],
    )
}

/// Waits until the container's process has printed its line.
async fn created(layer: &PortLayer, id: &portlayer::ContainerId) {
    let log = layer.streams().logs(id, LogOptions::new().follow()).await;
    let mut log = log.expect("a log");
    let mut text = Vec::new();
    while !text.ends_with(b"created\n") {
        let record = log.next().await.expect("a record").expect("a record");
        text.extend_from_slice(&record.bytes);
    }
}

/// Returns the host's key of serial lines, and the container's machine.
async fn machine(endpoint: &Endpoint) -> (PrivateKey, Ref<mo::VirtualMachine>) {
    let config = props::virtual_machine::CONFIG;
    let root = &endpoint.client.service_content().root_folder;
    let all = endpoint.client.retrieve().property(config).within(root);
    let all = all.collect().await.expect("the machines");
    let (mut key, mut machine) = (None, None);
    for vm in all.iter() {
        let Some(config) = vm.value(config) else {
            continue;
        };
        for option in &config.extra_config {
            if option.key().ends_with("clientkey")
                && let Some(text) = option.text()
                && let Ok(bytes) = STANDARD.decode(text)
                && let Ok(found) = PrivateKey::from_openssh(&bytes)
            {
                key = Some(found);
            }
        }
        if config.name.starts_with("job-") {
            machine = Some(vm.object().clone());
        }
    }
    (key.expect("a key"), machine.expect("the machine"))
}

#[tokio::test]
#[ignore = "is run by another test, as a user with subordinate ids"]
async fn owned() {
    let Some(endpoint) = Endpoint::with_disks(Dialect::Vic1).await else {
        return;
    };
    let layer = endpoint.open().await.expect("the host");
    let options = ImportOptions::new().capacity(16 << 20);
    let imported = layer.images().import(image(), options).await;
    let imported = imported.expect("an image");
    let command = Command::new("/create").arg("/home/new").user("ada");
    let spec = ContainerSpec::new("job", command);
    let spec = spec.root(RootFs::image(imported.id, "users"));
    let id = layer.exec().create(spec).await.expect("a container");
    let started = layer.exec().start(&id, StartOptions::default()).await;
    started.expect("a start");
    timeout(PATIENCE, created(&layer, &id))
        .await
        .expect("a file");

    // The container's line, which carries archives, connects here next.
    let (key, vm) = machine(&endpoint).await;
    let lines = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    endpoint.lines_to(lines.local_addr().expect("an address"));
    let archived = async {
        let (line, _) = lines.accept().await.expect("a line");
        let session = Connector::new(key).connect(line, async |_| true).await;
        let session = session.expect("a session");
        let mut archive = session.archive_out("/home").await.expect("an archive");
        let mut bytes = Vec::new();
        while let Some(piece) = archive.next().await.expect("an archive") {
            bytes.extend_from_slice(&piece);
        }
        bytes
    };
    let archived = timeout(PATIENCE, archived).await.expect("an archive");
    let user = |mode| (1_000, 1_000, mode);
    let mut entries = tar::Archive::new(&*archived);
    let found = entries.entries().expect("an archive").map(|entry| {
        let entry = entry.expect("an entry");
        let header = entry.header();
        let name = entry.path().expect("a name").to_string_lossy().into_owned();
        let (uid, gid) = (header.uid().expect("an id"), header.gid().expect("an id"));
        let mode = header.mode().expect("a mode") & 0o7777;
        let owner: Owner = (uid as u32, gid as u32, mode);
        (name.trim_end_matches('/').to_owned(), owner)
    });
    let mut found: Vec<_> = found.collect();
    found.sort();
    let wanted = [
        ("home", user(0o700)),
        ("home/full", (0, 0, 0o666)),
        ("home/kept", user(0o600)),
        ("home/new", user(0o640)),
    ];
    let wanted = wanted.map(|(name, owner)| (name.to_owned(), owner));
    assert_eq!(found, wanted);

    // What another program reads from the disk.
    let port_layer = endpoint.open().await.expect("the host");
    let exit = port_layer.exec().stop(&id, StopOptions::default()).await;
    assert!(matches!(exit, Ok(ExitStatus::Signal(_))), "{exit:?}");
    let folder = tempfile::tempdir().expect("a directory");
    let ovf = endpoint.client.ovf().expect("the manager");
    let exported = ovf.export(&vm).name("exported").to_directory(folder.path());
    exported.await.expect("an export");
    let disk = std::fs::read_dir(folder.path()).expect("the files");
    let disk = disk.map(|entry| entry.expect("a file").path());
    let disk = disk.filter(|path| path.extension().is_some_and(|end| end == "vmdk"));
    let disk: Vec<_> = disk.collect();
    let [disk] = disk.as_slice() else {
        panic!("{disk:?}");
    };
    let reader = Reader::open(Disk::open(disk).expect("a disk")).expect("a file system");
    for (name, owner) in wanted {
        let inode = reader.lookup(name.as_bytes()).expect("a file");
        let found = (inode.uid(), inode.gid(), inode.permissions());
        assert_eq!(found, owner, "{name}");
    }
    endpoint.simulator.shutdown().await;
}
