//! A datastore or a directory for temporary files without space: whatever the stage of the import,
//! the error says so, and nothing is left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portlayer::exec::{Command, ContainerSpec, RootFs};
use portlayer::image::Image;
use portlayer::vsphere::{Dialect, Hosts, Options};
use portlayer::{Error, ErrorKind, PortLayer};
use simulator::{Reaction, Simulator};
use vim25::Fault;
use vim25::types::NoDiskSpace;

use super::{causes, files, image, layer, options, start};
use crate::{Endpoint, spec};

/// The capacity of the datastore.
const CAPACITY: u64 = 32 << 20;
/// File systems allocate space in blocks of this size.
const BLOCK: u64 = 4096;

/// Returns an image that occupies a little more than 2 MiB.
fn large() -> Image {
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    image(
        &[layer("large", &noise.take(2 << 20).collect::<Vec<_>>())],
        "/large",
    )
}

/// A datastore that is as full as a test needs it.
struct Filled {
    endpoint: Endpoint,
    layer: PortLayer,
    filler: PathBuf,
}

impl Filled {
    async fn start() -> Self {
        let simulator = Simulator::builder().datastore_capacity(CAPACITY).start();
        let endpoint = Endpoint::install(simulator.await.unwrap(), Dialect::Vic1, spec("vch"));
        let endpoint = endpoint.await;
        let layer = endpoint.hosts.open("vch").await.unwrap();
        let filler = endpoint.simulator.datastore_directory().join("filler");
        Self {
            endpoint,
            layer,
            filler,
        }
    }

    /// Leaves this number of bytes free.
    fn leave(&self, free: u64) {
        std::fs::write(&self.filler, b"").unwrap();
        let used: u64 = files(&self.endpoint).iter().map(|file| size(file)).sum();
        let filler = vec![7; usize::try_from(CAPACITY - used - free).unwrap()];
        std::fs::write(&self.filler, filler).unwrap();
    }

    /// Waits until there are no other files, without a cleanup.
    async fn settled(&self, before: &[PathBuf], what: &str) {
        let settled = async {
            while files(&self.endpoint) != before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let settled = tokio::time::timeout(Duration::from_secs(20), settled).await;
        assert!(settled.is_ok(), "{what}: left {:?}", files(&self.endpoint));
    }
}

/// Returns the space that a file occupies.
fn size(file: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata().unwrap();
    if metadata.is_dir() {
        0
    } else {
        metadata.blocks() * 512
    }
}

/// Asserts that an error names the datastore, and what to do.
fn assert_full(error: &Error, what: &str) {
    let ErrorKind::Exhausted { what: text } = &error.kind else {
        panic!("{what}: {error:?}");
    };
    let datastore = "space on datastore \"datastore1\"";
    assert!(text.starts_with(datastore), "{what}: {text}");
    assert!(
        text.contains("removing containers or unused images"),
        "{text}"
    );
}

/// The requests of an import that store something, in order.
const STAGES: [&str; 4] = [
    "ImportVApp",
    "POST /nfc",
    "HttpNfcLeaseComplete",
    "ReconfigVM_Task",
];

/// Imports an image with this number of free blocks. Returns the stage that failed for lack of
/// space, if one did.
async fn attempt(
    filled: &Filled,
    image: &Image,
    before: &[PathBuf],
    free: u64,
) -> Option<&'static str> {
    let what = format!("{free} blocks are free");
    filled.leave(free * BLOCK);
    let images = filled.layer.images();
    let script = filled.endpoint.simulator.script();
    let earlier = script.calls();
    let imported = images.import(image.clone(), options()).await;
    let calls = script.calls();
    let called = |method: &&str| calls.get(*method) != earlier.get(*method);
    let stage = STAGES.into_iter().rev().find(called).unwrap();
    let Err(error) = imported else {
        // A removal needs some space, too.
        filled.leave(1 << 20);
        images.remove(&image.id()).await.unwrap();
        filled.settled(before, &what).await;
        return None;
    };
    assert_full(&error, &what);
    assert!(error.to_string().contains("its files need"), "{error}");
    filled.settled(before, &what).await;
    assert!(images.list().await.unwrap().images.is_empty());
    Some(stage)
}

#[tokio::test]
async fn an_import_says_at_which_datastore_it_failed_at_whatever_stage_space_is_missing() {
    let filled = Filled::start().await;
    let image = large();
    filled.leave(0);
    let before = files(&filled.endpoint);
    let mut stages = BTreeSet::from([attempt(&filled, &image, &before, 0).await.unwrap()]);
    // Looks for the space that an import needs, so the last failures are those of its last stages.
    let (mut fails, mut fits) = (0, CAPACITY / BLOCK / 2);
    while fits - fails > 1 {
        let free = fails.midpoint(fits);
        match attempt(&filled, &image, &before, free).await {
            Some(stage) => {
                stages.insert(stage);
                fails = free;
            }
            None => fits = free,
        }
    }
    assert!(fits < CAPACITY / BLOCK / 2, "it never succeeded");
    assert_eq!(
        stages,
        ["ImportVApp", "POST /nfc", "ReconfigVM_Task"].into()
    );
}

#[tokio::test]
async fn a_container_on_a_full_datastore_is_refused() {
    let filled = Filled::start().await;
    let image = large();
    let import = filled.layer.images().import(image.clone(), options());
    import.await.unwrap();
    filled.leave(0);
    let before = files(&filled.endpoint);
    let spec = || {
        ContainerSpec::new("container", Command::new("/exit"))
            .root(RootFs::image(image.id(), "large"))
    };
    let error = filled.layer.exec().create(spec()).await.unwrap_err();
    assert_full(&error, "create");
    filled.settled(&before, "create").await;
    assert!(
        filled
            .layer
            .exec()
            .list()
            .await
            .unwrap()
            .containers
            .is_empty()
    );
    filled.leave(1 << 20);
    filled.layer.exec().create(spec()).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_does_not_say_why_an_upload_failed_is_asked_for_its_free_space() {
    let filled = Filled::start().await;
    let image = large();
    let script = filled.endpoint.simulator.script();
    for (free, is_full) in [(1 << 20, true), (24 << 20, false)] {
        filled.leave(free);
        let before = files(&filled.endpoint);
        script.next("POST /nfc", Reaction::HttpStatus(500));
        let imported = filled.layer.images().import(image.clone(), options()).await;
        let error = imported.unwrap_err();
        let is_exhausted = matches!(error.kind, ErrorKind::Exhausted { .. });
        assert_eq!(is_exhausted, is_full, "{error:?}");
        if is_full {
            assert_full(&error, "upload");
            let ErrorKind::Exhausted { what } = &error.kind else {
                unreachable!()
            };
            assert!(what.contains("are free"), "{what}");
        }
        filled.settled(&before, "upload").await;
    }
}

#[tokio::test]
async fn the_fault_names_the_datastore() {
    let (endpoint, layer_, before) = start().await;
    let image = image(&[layer("hello", b"hello")], "/hello");
    let full = Fault::new("full", NoDiskSpace::default());
    for method in ["ImportVApp", "ReconfigVM_Task"] {
        let script = endpoint.simulator.script();
        script.next(method, Reaction::TaskFault(full.clone()));
        let imported = layer_.images().import(image.clone(), options()).await;
        assert_full(&imported.unwrap_err(), method);
        assert_eq!(files(&endpoint), before, "{method}");
    }
}

#[tokio::test]
async fn a_directory_for_temporary_files_that_cannot_be_used_is_named() {
    let (endpoint, _layer, before) = start().await;
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing");
    let options_of = |temporary: &Path| Options {
        temporary_directory: Some(temporary.to_owned()),
        ..Options::default()
    };
    let image = image(&[layer("hello", b"hello")], "/hello");
    let hosts = Hosts::new(endpoint.client.clone(), options_of(&missing));
    let layer_ = hosts.open("vch").await.unwrap();
    let error = layer_.images().import(image.clone(), options()).await;
    let error = error.unwrap_err();
    let causes = causes(&error);
    assert!(causes.contains(missing.to_str().unwrap()), "{causes}");
    assert_eq!(files(&endpoint), before);

    let hosts = Hosts::new(endpoint.client.clone(), options_of(directory.path()));
    let layer_ = hosts.open("vch").await.unwrap();
    let info = layer_.images().import(image, options()).await.unwrap();
    drop(layer_);
    let hosts = Hosts::new(endpoint.client.clone(), options_of(&missing));
    let layer_ = hosts.open("vch").await.unwrap();
    let error = layer_.images().export(&info.id).await.err().unwrap();
    let causes = self::causes(&error);
    assert!(causes.contains(missing.to_str().unwrap()), "{causes}");
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0);
}
