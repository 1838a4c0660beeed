//! Flows with files and disks.

use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use vim25::{Property, mo};
use vsphere_client::{Client, Datastore, DiskFormat, Error};

const HOST_NAME: Property<mo::HostSystem, String> = Property::new("name");

async fn place(url: &str) -> (Client, Datastore) {
    let client = super::client(url).await;
    let inventory = client.inventory();
    let datacenter = inventory.datacenter(None).await.unwrap();
    let datastore = inventory.datastore(&datacenter, None).await.unwrap();
    (client, datastore)
}

pub(crate) async fn files_are_copied_and_moved(url: &str) {
    let (client, datastore) = place(url).await;
    let files = client.files(&datastore);
    files.make_directory("copies", true).await.unwrap();
    files.upload_bytes("copies/a b.txt", "one").await.unwrap();

    let entry = files.stat("copies/a b.txt").await.unwrap();
    assert_eq!((entry.name.as_str(), entry.size), ("a b.txt", Some(3)));
    assert!(files.stat("copies").await.unwrap().is_directory);
    assert!(files.stat("").await.unwrap().is_directory);

    let second = datastore.path("copies/b.txt");
    files.copy("copies/a b.txt", &second, false).await.unwrap();
    assert!(files.exists("copies/a b.txt").await.unwrap());
    let refused = files.copy("copies/a b.txt", &second, false).await;
    let refused = refused.unwrap_err();
    assert!(
        refused.is_fault::<vim25::types::FileAlreadyExists>(),
        "{refused}"
    );
    files.copy("copies/a b.txt", &second, true).await.unwrap();
    let third = datastore.path("copies/c.txt");
    files.rename("copies/b.txt", &third, false).await.unwrap();
    assert!(!files.exists("copies/b.txt").await.unwrap());
    let read = files.download("copies/c.txt").await.unwrap();
    assert_eq!(read.read_to_end(10).await.unwrap(), "one");

    for missing in [
        files.stat("copies/nothing").await.map(drop),
        files.stat("nowhere/nothing").await.map(drop),
        files.copy("copies/nothing", &second, false).await,
        files.rename("copies/nothing", &second, false).await,
    ] {
        let missing = missing.unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    }
    files.delete("copies").await.unwrap();
    client.close().await.unwrap();
}

/// A file goes straight to a host only if vCenter gives the host a name that is known here, and otherwise
/// through vCenter, with a warning. vcsim's hosts have made-up names, such as `DC0_H0`.
pub(crate) async fn a_file_is_transferred_directly_if_possible(url: &str) {
    let log = Log::default();
    let writer = log.clone();
    let collected = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    let _collecting = tracing::subscriber::set_default(collected);
    let (client, datastore) = place(url).await;
    let files = client.files(&datastore).direct(true);
    let content = vec![3_u8; 100_000];
    files
        .upload_bytes("direct.bin", content.clone())
        .await
        .unwrap();
    let download = files.download("direct.bin").await.unwrap();
    assert_eq!(download.read_to_end(1 << 20).await.unwrap(), content);
    files.delete("direct.bin").await.unwrap();

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let count = |text| log.matches(text).count();
    let direct = count("transfer without vCenter");
    let through = count("so files go through vCenter");
    match client.is_vcenter() {
        true if are_hosts_known(&client).await => assert_eq!(direct + through, 2, "{log}"),
        true => assert_eq!((direct, through), (0, 2), "{log}"),
        // The server is the host.
        false => assert_eq!((direct, through), (0, 0), "{log}"),
    }
    client.close().await.unwrap();
}

/// Returns whether the name of a host has an address here.
async fn are_hosts_known(client: &Client) -> bool {
    let hosts = client
        .retrieve::<mo::HostSystem>()
        .property(HOST_NAME)
        .within(&client.service_content().root_folder)
        .collect();
    for host in hosts.await.unwrap() {
        let name = host.value(HOST_NAME).unwrap();
        if tokio::net::lookup_host((name.as_str(), 443)).await.is_ok() {
            return true;
        }
    }
    false
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) async fn a_file_goes_from_path_to_path(url: &str) {
    let (client, datastore) = place(url).await;
    let files = client.files(&datastore);
    files.make_directory("paths", true).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 249) as u8).collect();
    let sum: [u8; 32] = Sha256::digest(&content).into();
    let source = folder.path().join("source");
    std::fs::write(&source, &content).unwrap();

    let seen = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&seen);
    let sent = files
        .upload_file(&source, "paths/a.iso")
        .checksum()
        .on_progress(move |progress| listener.lock().unwrap().push(progress.bytes))
        .await
        .unwrap();
    assert_eq!((sent.bytes, sent.sha256), (300_000, Some(sum)));
    assert_eq!(seen.lock().unwrap().last(), Some(&300_000));

    // Download the whole file, resume a partial download, resume a complete one, resume over a
    // longer file, and replace another file.
    let target = folder.path().join("target");
    for (before, resume) in [
        (None, false),
        (Some(&content[..100_000]), true),
        (Some(&content[..]), true),
        (Some(&[7_u8; 400_000][..]), true),
        (Some(&[7_u8; 10][..]), false),
    ] {
        match before {
            Some(before) => std::fs::write(&target, before).unwrap(),
            None => assert!(!target.exists()),
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&seen);
        let mut download = files
            .download_file("paths/a.iso", &target)
            .sha256(sum)
            .on_progress(move |progress| listener.lock().unwrap().push(progress));
        if resume {
            download = download.resume();
        }
        let received = download.await.unwrap();
        assert_eq!(received, sent);
        assert!(std::fs::read(&target).unwrap() == content);
        let seen = seen.lock().unwrap();
        if let Some(last) = seen.last() {
            assert_eq!((last.bytes, last.total), (300_000, Some(300_000)));
        }
    }

    // Resuming after the beginning of another file is detected by the checksum.
    std::fs::write(&target, [7; 10]).unwrap();
    let wrong = files
        .download_file("paths/a.iso", &target)
        .resume()
        .sha256(sum)
        .await
        .unwrap_err();
    assert!(matches!(wrong, Error::Decode { .. }), "{wrong}");
    let missing = folder.path().join("nothing");
    let wrong = files.upload_file(&missing, "paths/b").await.unwrap_err();
    assert!(matches!(wrong, Error::LocalFile { .. }), "{wrong}");
    assert!(wrong.to_string().contains("nothing"), "{wrong}");
    let wrong = files
        .download_file("paths/nothing", &target)
        .await
        .unwrap_err();
    assert!(matches!(wrong, Error::NotFound { .. }), "{wrong}");
    let nowhere = folder.path().join("nowhere/target");
    let wrong = files
        .download_file("paths/a.iso", &nowhere)
        .await
        .unwrap_err();
    assert!(
        matches!(wrong, Error::LocalFile { what: "write", .. }),
        "{wrong}"
    );
    files.delete("paths").await.unwrap();
    client.close().await.unwrap();
}

pub(crate) async fn virtual_disks_are_files_of_their_own(url: &str) {
    let (client, datastore) = place(url).await;
    let files = client.files(&datastore);
    files.make_directory("disks", true).await.unwrap();
    let disks = client.virtual_disks(datastore.datacenter());
    let first = datastore.path("disks/a.vmdk");
    let second = datastore.path("disks/b.vmdk");
    disks
        .create(&first, 1 << 20, DiskFormat::Thin)
        .await
        .unwrap();
    assert!(files.exists("disks/a.vmdk").await.unwrap());
    assert!(!disks.uuid(&first).await.unwrap().is_empty());
    disks.extend(&first, 2 << 20, false).await.unwrap();
    disks.copy(&first, &second, false).await.unwrap();
    disks.delete(&first).await.unwrap();
    disks.rename(&second, &first, false).await.unwrap();
    assert!(!files.exists("disks/b.vmdk").await.unwrap());
    disks.delete(&first).await.unwrap();
    assert!(!files.exists("disks/a.vmdk").await.unwrap());
    let missing = disks.delete(&first).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    files.delete("disks").await.unwrap();
    client.close().await.unwrap();
}

pub(crate) async fn a_disk_is_described(url: &str) {
    let (client, datastore) = place(url).await;
    let files = client.files(&datastore);
    files.make_directory("described", true).await.unwrap();
    let disks = client.virtual_disks(datastore.datacenter());
    let disk = datastore.path("described/a.vmdk");
    disks
        .create(&disk, 1 << 20, DiskFormat::Thin)
        .await
        .unwrap();
    let info = disks.info(&disk, true).await.unwrap();
    let [info] = info.as_slice() else {
        panic!("{info:?}");
    };
    assert_eq!(
        (&info.path, info.kind.as_str(), &info.parent),
        (&disk, "thin", &None)
    );
    disks.delete(&disk).await.unwrap();
    files.delete("described").await.unwrap();
    client.close().await.unwrap();
}

/// vcsim has neither of the methods.
pub(crate) async fn disks_are_inflated_and_continued(url: &str) {
    let (client, datastore) = place(url).await;
    let files = client.files(&datastore);
    files.make_directory("chains", true).await.unwrap();
    let disks = client.virtual_disks(datastore.datacenter());
    let base = datastore.path("chains/base.vmdk");
    let child = datastore.path("chains/child.vmdk");
    disks
        .create(&base, 1 << 20, DiskFormat::Thin)
        .await
        .unwrap();
    disks.inflate(&base).await.unwrap();
    disks.create_child(&base, &child).await.unwrap();
    let info = disks.info(&child, true).await.unwrap();
    let found: Vec<_> = info
        .iter()
        .map(|info| (&info.path, info.kind.as_str(), info.parent.as_ref()))
        .collect();
    assert_eq!(
        found,
        [
            (&child, "delta", Some(&base)),
            (&base, "preallocated", None)
        ]
    );
    let alone = disks.info(&child, false).await.unwrap();
    assert_eq!(alone.first(), info.first());
    assert_eq!(alone.len(), 1);

    // The server refuses to inflate a child, and to continue one disk in a file that exists.
    let refused = disks.inflate(&child).await.unwrap_err();
    assert!(
        refused.is_fault::<vim25::types::NotSupported>(),
        "{refused}"
    );
    let refused = disks.create_child(&base, &child).await.unwrap_err();
    assert!(
        refused.is_fault::<vim25::types::FileAlreadyExists>(),
        "{refused}"
    );
    let nothing = datastore.path("chains/nothing.vmdk");
    let other = datastore.path("chains/other.vmdk");
    for missing in [
        disks.inflate(&nothing).await,
        disks.info(&nothing, true).await.map(drop),
        disks.create_child(&nothing, &other).await,
        disks.extend(&nothing, 2 << 20, false).await,
        disks.rename(&nothing, &other, false).await,
    ] {
        let missing = missing.unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    }
    disks.delete(&child).await.unwrap();
    disks.delete(&base).await.unwrap();
    files.delete("chains").await.unwrap();
    client.close().await.unwrap();
}
