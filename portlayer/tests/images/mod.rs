//! Images on the simulator: what is stored, shared and refused, and how failures are cleaned up.

mod by_hand;
mod capacity;
mod destruction;
mod export;
mod faults;
mod leases;
mod protection;
mod sharing;
mod space;
mod templates;
mod without_drs;

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portlayer::exec::{Command, ContainerSpec, RootFs, StartOptions};
use portlayer::image::{
    Digest, Image, ImageConfig, ImportOptions, ImportPhase, ImportProgress, Layer,
};
use portlayer::vsphere::{ContainerPolicy, Dialect, Hosts, Options};
use portlayer::{ErrorKind, PortLayer};
use simulator::{Platform, Reaction};
use vim25::Fault;
use vim25::types::{CannotAccessFile, ConcurrentAccess, NoDiskSpace};

use super::Endpoint;

/// A small capacity, so that the test disks stay small.
const CAPACITY: u64 = 16 << 20;

/// Returns a layer with one file.
pub(crate) fn layer(path: &str, content: &[u8]) -> (Digest, Arc<[u8]>) {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, path, content).unwrap();
    let tar = tar.into_inner().unwrap();
    (Digest::of(&tar), tar.into())
}

/// Returns an image with these layers and this command.
pub(crate) fn image(layers: &[(Digest, Arc<[u8]>)], command: &str) -> Image {
    let diff_ids: Vec<_> = layers
        .iter()
        .map(|(diff_id, _)| diff_id.to_string())
        .collect();
    let config = serde_json::json!({
        "os": "linux",
        "architecture": "amd64",
        "config": { "Cmd": [command] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = ImageConfig::parse(config.to_string()).unwrap();
    let layers = layers.iter().cloned().map(|(diff_id, tar)| {
        Layer::new(diff_id, move || {
            Ok(Box::new(Cursor::new(Arc::clone(&tar))) as Box<dyn Read + Send>)
        })
    });
    Image::new(config, layers)
}

pub(crate) fn options() -> ImportOptions {
    ImportOptions::new().capacity(CAPACITY)
}

/// Returns all files on the datastore.
pub(crate) fn files(endpoint: &Endpoint) -> Vec<PathBuf> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            }
            found.push(path);
        }
    }
    let mut found = Vec::new();
    walk(endpoint.simulator.datastore_directory(), &mut found);
    found.sort();
    found
}

async fn start() -> (Endpoint, PortLayer, Vec<PathBuf>) {
    let endpoint = Endpoint::start(Dialect::Vic1, Platform::default()).await;
    let layer = endpoint.hosts.open("vch").await.unwrap();
    let before = files(&endpoint);
    (endpoint, layer, before)
}

/// Opens the host as another program would, with a short timeout for other programs.
async fn another(endpoint: &Endpoint) -> PortLayer {
    let options = Options {
        import_patience: Duration::from_millis(200),
        left_behind_after: Duration::ZERO,
        ..Options::default()
    };
    let hosts = Hosts::new(endpoint.client.clone(), options);
    hosts.open("vch").await.unwrap()
}

/// Returns the causes of an error as one text.
fn causes(error: &portlayer::Error) -> String {
    let first = std::error::Error::source(error);
    let causes = std::iter::successors(first, |cause| cause.source());
    causes.map(|cause| format!("{cause}; ")).collect()
}

fn contains(file: &Path, needle: &[u8]) -> bool {
    let content = std::fs::read(file).unwrap();
    content.windows(needle.len()).any(|window| window == needle)
}

#[tokio::test]
async fn an_image_is_stored_described_and_removed_without_a_trace() {
    let (endpoint, layer_, before) = start().await;
    let images = layer_.images();
    let words = b"a text to find on the disk";
    let image = image(
        &[layer("hello", words), layer("etc/more", b"more")],
        "/hello",
    );
    let seen = Arc::new(Mutex::new(Vec::new()));
    let observer = Arc::clone(&seen);
    let imported = images
        .import(
            image.clone(),
            options()
                .label("reference", "hello-world:latest")
                .observer(move |progress: ImportProgress| observer.lock().unwrap().push(progress)),
        )
        .await
        .unwrap();
    assert_eq!(imported.id, image.id());
    assert_eq!(imported.capacity, CAPACITY);
    assert_eq!(&imported.config, image.config());
    assert_eq!(imported.labels["reference"], "hello-world:latest");
    assert!(imported.imported.is_some());
    let phases: Vec<_> = seen.lock().unwrap().iter().map(|seen| seen.phase).collect();
    assert!(matches!(phases.first(), Some(ImportPhase::Verify { .. })));
    assert!(phases.contains(&ImportPhase::Write));
    assert_eq!(phases.last(), Some(&ImportPhase::Record));

    // Another program sees the image, and no containers.
    let other = another(&endpoint).await;
    assert_eq!(other.images().inspect(&image.id()).await.unwrap(), imported);
    let listing = other.images().list().await.unwrap();
    assert_eq!(
        (listing.images, listing.quarantined),
        (vec![imported.clone()], vec![])
    );
    let containers = other.exec().list().await.unwrap();
    assert!(containers.containers.is_empty() && containers.quarantined.is_empty());
    let usage = other.images().usage().await.unwrap();
    assert!(usage.bytes > 0 && usage.bytes == usage.reclaimable && usage.users.is_empty());

    // The disk is an ext4 file system with the files.
    let made: Vec<_> = files(&endpoint)
        .into_iter()
        .filter(|f| !before.contains(f))
        .collect();
    assert!(
        made.iter()
            .any(|file| file.is_file() && contains(file, words)),
        "{made:?}"
    );

    assert_eq!(images.prune().await.unwrap(), [""; 0]);
    images.remove(&image.id()).await.unwrap();
    assert_eq!(files(&endpoint), before);
    let gone = images.remove(&image.id()).await.unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    assert!(
        other
            .images()
            .inspect(&image.id())
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn images_with_the_same_layers_share_one_disk() {
    let (endpoint, layer_, before) = start().await;
    let images = layer_.images();
    let layers = [layer("hello", b"hello")];
    let (one, two) = (image(&layers, "/hello"), image(&layers, "/hello --twice"));
    images.import(one.clone(), options()).await.unwrap();
    let with_one = files(&endpoint);
    let before_second = std::time::Instant::now();
    let second = images.import(two.clone(), options()).await.unwrap();
    tracing::info!(elapsed = ?before_second.elapsed(), "second import");
    assert_eq!(files(&endpoint), with_one);
    assert_eq!(second.size, images.inspect(&one.id()).await.unwrap().size);
    // A third import does not read the layers.
    let unreadable = Layer::new(layers[0].0, || {
        Err(std::io::Error::other("the layer must not be opened"))
    });
    let again = Image::new(two.config().clone(), [unreadable]);
    assert_eq!(images.import(again, options()).await.unwrap(), second);

    images.remove(&one.id()).await.unwrap();
    assert!(images.inspect(&one.id()).await.unwrap_err().is_not_found());
    assert_eq!(images.list().await.unwrap().images, [second]);
    assert_eq!(files(&endpoint), with_one);
    images.remove(&two.id()).await.unwrap();
    assert_eq!(files(&endpoint), before);
}

#[tokio::test]
async fn two_importers_meet() {
    let (endpoint, layer_, _) = start().await;
    let other = endpoint.hosts.open("vch").await.unwrap();
    let image = image(&[layer("hello", &[7; 3_000_000])], "/hello");
    let imports = (0..6).map(|number| {
        let layer = if number % 2 == 0 { &layer_ } else { &other };
        layer.images().import(image.clone(), options())
    });
    for imported in futures_util::future::join_all(imports).await {
        assert_eq!(imported.unwrap().id, image.id());
    }
    assert_eq!(other.images().list().await.unwrap().images.len(), 1);
    let machines = files(&endpoint);
    let machines = machines
        .iter()
        .filter(|file| file.to_string_lossy().ends_with(".vmx"));
    // The machines are the appliance and the image.
    assert_eq!(machines.count(), 2);
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_and_nothing_is_made() {
    let (endpoint, layer_, before) = start().await;
    let images = layer_.images();
    let (diff_id, tar) = layer("hello", b"hello");
    let open = |bytes: &[u8]| {
        let bytes: Arc<[u8]> = bytes.into();
        move || Ok(Box::new(Cursor::new(Arc::clone(&bytes))) as Box<dyn Read + Send>)
    };
    let good = image(&[(diff_id, Arc::clone(&tar))], "/hello");
    let with = |layer| Image::new(good.config().clone(), [layer]);
    let mut damaged = tar.to_vec();
    damaged[600] ^= 1;
    let other = Digest::of(b"another");
    for (image, field) in [
        (with(Layer::new(diff_id, open(&damaged))), "layers"),
        (with(Layer::new(diff_id, open(&tar[..700]))), "layers"),
        (
            with(Layer::new(diff_id, open(&tar)).stored(other, 1)),
            "layers",
        ),
        (with(Layer::new(other, open(&tar))), "layers"),
        (Image::new(good.config().clone(), []), "layers"),
        (
            with(Layer::new(diff_id, || Err(std::io::Error::other("gone")))),
            "layers",
        ),
    ] {
        let error = images.import(image, options()).await.unwrap_err();
        assert_eq!(
            error.kind,
            ErrorKind::InvalidArgument { field },
            "{error:?}"
        );
    }
    let windows = ImageConfig::parse(r#"{"os":"windows"}"#).unwrap();
    let error = images
        .import(Image::new(windows, []), options())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument { field: "os" });
    let small = ImportOptions::new().capacity(1 << 20);
    let large = image(&[layer("large", &[7; 3 << 20])], "/large");
    let error = images.import(large, small).await.unwrap_err();
    assert_eq!(
        error.kind,
        ErrorKind::InvalidArgument { field: "capacity" },
        "{error:?}"
    );
    assert_eq!(files(&endpoint), before);
}

fn full() -> Fault {
    Fault::new("the datastore is full", NoDiskSpace::default())
}

/// A failure of a call.
type Trouble = (&'static str, Reaction);

/// Imports an image once per failure, on one endpoint: afterwards the image is complete, or nothing
/// is left.
async fn fail(troubles: Vec<Trouble>) {
    let (endpoint, layer_, before) = start().await;
    let other = another(&endpoint).await;
    for (n, (method, reaction)) in (1..).zip(troubles) {
        let what = format!("{method} {reaction:?}");
        let image = image(&[layer("hello", &[n; 10_000])], "/hello");
        endpoint.simulator.script().next(method, reaction);
        let imported = layer_.images().import(image.clone(), options()).await;
        let pending = endpoint.simulator.script().pending();
        assert_eq!(pending, 0, "{what}: the fault was not injected");
        endpoint.simulator.script().clear();
        let listed = layer_.images().list().await.unwrap();
        if imported.is_ok() {
            assert_eq!(listed.images.len(), 1, "{what}");
        }
        if listed.images.is_empty() {
            // Leftovers are removed at once, soon, or by the next cleanup.
            cleared(&endpoint, &other, &before, &what).await;
        }
        // In any case, the image can be imported afterwards.
        let image = other.images().import(image, options()).await.unwrap();
        let listed = other.images().list().await.unwrap();
        assert_eq!(listed.images.len(), 1, "{what}");
        other.images().remove(&image.id).await.unwrap();
        cleared(&endpoint, &other, &before, &what).await;
    }
    endpoint.simulator.shutdown().await;
}

/// Waits until all new files are removed.
async fn cleared(endpoint: &Endpoint, layer: &PortLayer, before: &[PathBuf], what: &str) {
    let gone = async {
        loop {
            // Leases of importers that were killed, or did not receive the answer, are still open.
            endpoint.simulator.time_out_leases();
            layer.images().prune().await.unwrap();
            if files(endpoint) == before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(20), gone).await;
    gone.unwrap_or_else(|_| panic!("{what}: left {:?}", files(endpoint)));
}

/// Runs all failures concurrently, because most of the time is spent waiting between retries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_fails_anywhere_leaves_nothing_or_an_image() {
    let changed = Fault::new("changed", ConcurrentAccess::default());
    let of_each = |reaction: fn() -> Reaction| -> Vec<Trouble> {
        ["ImportVApp", "HttpNfcLeaseComplete", "ReconfigVM_Task"]
            .map(|method| (method, reaction()))
            .into()
    };
    let mut troubles = [
        of_each(|| Reaction::Disconnect),
        of_each(|| Reaction::LoseAnswer),
        of_each(|| Reaction::LoseSession),
        of_each(|| Reaction::HttpStatus(503)),
        of_each(|| Reaction::Fault(full())),
        vec![
            ("ImportVApp", Reaction::TaskFault(full())),
            ("ReconfigVM_Task", Reaction::TaskFault(changed)),
            ("ReconfigVM_Task", Reaction::TaskFault(full())),
        ],
    ];
    troubles[0].push(("PUT /folder", Reaction::Disconnect));
    troubles[1].push(("PUT /folder", Reaction::LoseAnswer));
    troubles[0].push(("POST /nfc", Reaction::Disconnect));
    troubles[1].push(("POST /nfc", Reaction::LoseAnswer));
    troubles[5].push(("POST /nfc", Reaction::HttpStatus(500)));
    let running: Vec<_> = troubles
        .into_iter()
        .map(|troubles| tokio::spawn(fail(troubles)))
        .collect();
    for running in running {
        running.await.unwrap();
    }
}

#[tokio::test]
async fn a_dropped_import_leaves_nothing() {
    let (endpoint, layer_, before) = start().await;
    let image = image(&[layer("hello", &[7; 300_000])], "/hello");
    for method in ["ImportVApp", "POST /nfc"] {
        let script = endpoint.simulator.script();
        script.next(method, Reaction::Delay(Duration::from_millis(300)));
        let met = async {
            while script.pending() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            imported = layer_.images().import(image.clone(), options()) => {
                panic!("{method}: {imported:?}")
            }
            () = met => {}
        }
        let gone = async {
            while files(&endpoint) != before {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_a_killed_writer_left_is_taken_over() {
    let (endpoint, layer_, before) = start().await;
    let image = image(&[layer("hello", b"hello")], "/hello");
    let script = endpoint.simulator.script();
    // Neither the mark nor the cleanup can be written.
    let unwritable = || Reaction::Fault(Fault::new("no access", CannotAccessFile::default()));
    script.next("ReconfigVM_Task", unwritable());
    script.nth("ReconfigVM_Task", 2, unwritable());
    layer_
        .images()
        .import(image.clone(), options())
        .await
        .unwrap_err();
    script.clear();
    assert_ne!(files(&endpoint), before);
    let other = another(&endpoint).await;
    assert!(other.images().list().await.unwrap().images.is_empty());
    other
        .images()
        .import(image.clone(), options())
        .await
        .unwrap();
    assert_eq!(layer_.images().list().await.unwrap().images.len(), 1);
    other.images().remove(&image.id()).await.unwrap();
    assert_eq!(files(&endpoint), before);
}

#[tokio::test]
async fn everything_goes_with_the_host() {
    let (endpoint, layer_, _) = start().await;
    let image = image(&[layer("hello", b"hello")], "/hello");
    layer_.images().import(image, options()).await.unwrap();
    endpoint
        .hosts
        .delete("vch", ContainerPolicy::Refuse)
        .await
        .unwrap();
    let left = files(&endpoint);
    assert!(left.iter().all(|path| path.is_dir()), "{left:?}");
}

/// Returns the flat file of the image's disk.
fn flat(endpoint: &Endpoint) -> PathBuf {
    let is_flat = |file: &PathBuf| file.to_string_lossy().ends_with("-flat.vmdk");
    let mut found = files(endpoint).into_iter().filter(is_flat);
    found
        .find(|file| file.to_string_lossy().contains(".image."))
        .unwrap()
}

/// Returns the number of bytes that the files on the datastore occupy.
fn occupied(endpoint: &Endpoint) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = files(endpoint);
    files
        .iter()
        .map(|file| file.metadata().unwrap().blocks() * 512)
        .sum()
}

#[tokio::test]
async fn containers_are_children_of_their_images_disk() {
    let usual = Platform::default();
    for destroy_deletes_parent_disks in [true, false] {
        let platform = Platform {
            destroy_deletes_parent_disks,
            ..usual
        };
        let endpoint = Endpoint::start(Dialect::Vic1, platform).await;
        let layer_ = endpoint.hosts.open("vch").await.unwrap();
        let before = files(&endpoint);
        let image = image(&[layer("hello", &[7; 3_000_000])], "/hello");
        layer_
            .images()
            .import(image.clone(), options())
            .await
            .unwrap();
        let parent = flat(&endpoint);
        let digest = Digest::of(std::fs::read(&parent).unwrap());
        let space = occupied(&endpoint);

        let mut ids = Vec::new();
        for number in 0..10 {
            let spec = ContainerSpec::new(format!("child-{number}"), Command::new("/exit"))
                .root(RootFs::image(image.id(), "hello"));
            ids.push(layer_.exec().create(spec).await.unwrap());
        }
        let grown = occupied(&endpoint) - space;
        assert!(grown < 3_000_000, "10 containers occupy {grown} bytes");
        layer_
            .exec()
            .start(&ids[0], StartOptions::default())
            .await
            .unwrap();
        layer_.exec().wait(&ids[0]).await.unwrap();
        let usage = layer_.images().usage().await.unwrap();
        assert_eq!((usage.users[&image.id()].len(), usage.reclaimable), (10, 0));
        let error = layer_.images().remove(&image.id()).await.unwrap_err();
        let ErrorKind::InUse { by } = &error.kind else {
            panic!("{error:?}");
        };
        assert!(by.contains("child-0") && by.contains("child-9"), "{by}");

        for id in &ids {
            layer_.exec().remove(id).await.unwrap();
        }
        assert_eq!(Digest::of(std::fs::read(&parent).unwrap()), digest);
        layer_.images().remove(&image.id()).await.unwrap();
        assert_eq!(files(&endpoint), before);

        let spec = ContainerSpec::new("orphan", Command::new("/exit"))
            .root(RootFs::image(image.id(), "hello"));
        let error = layer_.exec().create(spec).await.unwrap_err();
        assert!(error.is_not_found(), "{error:?}");
        assert_eq!(files(&endpoint), before);
    }
}

#[tokio::test]
async fn an_image_that_is_removed_while_a_container_is_made() {
    let (endpoint, layer_, before) = start().await;
    let other = endpoint.hosts.open("vch").await.unwrap();
    let image = image(&[layer("hello", b"hello")], "/hello");
    for round in 0..6 {
        layer_
            .images()
            .import(image.clone(), options())
            .await
            .unwrap();
        let spec = ContainerSpec::new(format!("racer-{round}"), Command::new("/exit"))
            .root(RootFs::image(image.id(), "hello"));
        let create = async {
            tokio::time::sleep(Duration::from_millis(round * 4)).await;
            layer_.exec().create(spec).await
        };
        let id = image.id();
        let (created, removed) = tokio::join!(create, other.images().remove(&id));
        match (created, removed) {
            // One operation was first, and the other one noticed it.
            (Ok(id), Err(_)) => {
                layer_.exec().remove(&id).await.unwrap();
                layer_.images().remove(&image.id()).await.unwrap();
            }
            (Err(_), Ok(())) => {}
            // Both noticed each other and gave up.
            (Err(_), Err(_)) => layer_.images().remove(&image.id()).await.unwrap(),
            (Ok(id), Ok(())) => panic!("round {round}: {id} has no image"),
        }
        assert_eq!(files(&endpoint), before, "round {round}");
    }
}
