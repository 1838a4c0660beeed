//! Exports: the files of an image are read back from its disk.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use portlayer::Result;
use portlayer::image::{Digest, ImageId, Images};
use simulator::Reaction;
use tar::{EntryType, Header};
use vim25::types::{NotSupported, TaskInProgress};
use vim25::{Fault, Ref};

use super::protection::machine;
use super::templates::{is_template, vcenter};
use super::{files, full, image, layer, options, start};

async fn export(images: &dyn Images, id: &ImageId) -> Result<Vec<u8>> {
    let pieces: Vec<_> = images.export(id).await?.try_collect().await?;
    Ok(pieces.concat())
}

/// All that a tar says about a file.
#[derive(Clone, Debug, PartialEq)]
struct Facts {
    kind: EntryType,
    mode: u32,
    owner: (u64, u64),
    time: String,
    link: Vec<u8>,
    device: (u32, u32),
    attributes: BTreeMap<String, Vec<u8>>,
    content: Vec<u8>,
}

/// Returns the files in a tar by their path.
fn facts(tar: &[u8]) -> BTreeMap<String, Facts> {
    let mut archive = tar::Archive::new(tar);
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path_bytes();
        let path = String::from_utf8(path.to_vec()).unwrap();
        let mut time = entry.header().mtime().unwrap().to_string();
        let mut attributes = BTreeMap::new();
        for record in entry.pax_extensions().unwrap().into_iter().flatten() {
            let record = record.unwrap();
            let (key, value) = (record.key().unwrap(), record.value_bytes());
            if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                attributes.insert(name.to_owned(), value.to_vec());
            } else if key == "mtime" {
                time = String::from_utf8(value.to_vec()).unwrap();
            }
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        let facts = Facts {
            kind: header.entry_type(),
            mode: header.mode().unwrap(),
            owner: (header.uid().unwrap(), header.gid().unwrap()),
            time,
            link: entry.link_name_bytes().unwrap_or_default().to_vec(),
            device: match header.entry_type() {
                EntryType::Char | EntryType::Block => (
                    header.device_major().unwrap().unwrap(),
                    header.device_minor().unwrap().unwrap(),
                ),
                _ => (0, 0),
            },
            attributes,
            content,
        };
        let path = path.trim_end_matches('/').to_owned();
        assert!(found.insert(path.clone(), facts).is_none(), "twice: {path}");
    }
    found
}

#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn add(mut self, path: &str, kind: EntryType, change: impl FnOnce(&mut Header)) -> Self {
        let mut header = Header::new_ustar();
        header.set_path(path).unwrap();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(0);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self
    }

    fn data(mut self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, data: &[u8], change: impl FnOnce(&mut Header)) -> Self {
        self.add(path, EntryType::Regular, |header| {
            header.set_size(data.len() as u64);
            change(header);
        })
        .data(data)
    }

    fn link(self, path: &str, kind: EntryType, target: &str, mode: u32) -> Self {
        self.add(path, kind, |header| {
            header.set_link_name(target).unwrap();
            header.set_mode(mode);
        })
    }

    /// Appends PAX records for the next entry.
    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest + 1..).find(|n| rest + n.to_string().len() == *n);
            data.extend_from_slice(format!("{} {key}=", length.unwrap()).as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.add("PaxHeader", EntryType::XHeader, |header| {
            header.set_size(data.len() as u64);
        })
        .data(&data)
    }

    fn done(mut self) -> (Digest, Arc<[u8]>) {
        self.0.resize(self.0.len() + 1024, 0);
        (Digest::of(&self.0), self.0.into())
    }
}

#[tokio::test]
async fn what_the_layers_put_in_comes_out() {
    let (endpoint, layer_, before) = start().await;
    let images = layer_.images();
    let noise: Vec<u8> = (0..300_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let long = format!("dir/{}", "long-name-".repeat(20));
    let lower = Tar::default()
        .add("dir", EntryType::Directory, |header| {
            header.set_mode(0o1777);
            header.set_uid(33);
            header.set_gid(44);
        })
        .pax(&[("mtime", b"1500000000.123456789")])
        .file("dir/program", b"content", |header| {
            header.set_mode(0o6755);
            header.set_uid(70_000);
            header.set_gid(2_000_000);
        })
        .pax(&[
            ("SCHILY.xattr.user.note", b"a=b\0c"),
            ("SCHILY.xattr.user.empty", b""),
            (
                "SCHILY.xattr.security.capability",
                b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            ),
        ])
        .file("dir/attributes", b"x", |header| header.set_mode(0o400))
        .pax(&[("path", long.as_bytes())])
        .file("x", &noise, |_| {})
        .link("absolute", EntryType::Symlink, "/dir/program", 0o777)
        .link("dangling", EntryType::Symlink, "../no/where", 0o777)
        .add("null", EntryType::Char, |header| {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        })
        .add("disk", EntryType::Block, |header| {
            header.set_device_major(259).unwrap();
            header.set_device_minor(70_000).unwrap();
            header.set_mode(0o660);
        })
        .add("pipe", EntryType::Fifo, |header| header.set_mode(0o600))
        .add("empty", EntryType::Directory, |header| {
            header.set_mode(0o700);
        })
        .file("hard", b"linked", |header| header.set_mode(0o640))
        .link("hard-too", EntryType::Link, "hard", 0o640)
        .file("replaced", b"below", |_| {})
        .file("removed", b"below", |_| {})
        .done();
    let upper = Tar::default()
        .file("replaced", b"above", |header| header.set_uid(5))
        .file(".wh.removed", b"", |_| {})
        .done();
    let mut expected = facts(&lower.1);
    assert!(expected.remove("removed").is_some());
    let above = facts(&upper.1);
    expected.insert("replaced".into(), above["replaced"].clone());
    assert_eq!(expected.len(), 13);

    let image = image(&[lower, upper], "/dir/program");
    images.import(image.clone(), options()).await.unwrap();
    let exported = export(images, &image.id()).await.unwrap();
    let mut found = facts(&exported);
    let root = found.remove(".").unwrap();
    assert_eq!((root.kind, root.mode), (EntryType::Directory, 0o755));
    for (path, facts) in &expected {
        assert_eq!(found.remove(path).as_ref(), Some(facts), "{path}");
    }
    assert_eq!(found, BTreeMap::new());

    images.remove(&image.id()).await.unwrap();
    assert_eq!(files(&endpoint), before);
}

/// The export of an image stays the same when it is imported again as one layer.
#[tokio::test]
async fn an_export_is_a_layer_with_the_same_files() {
    let (_endpoint, layer_, _) = start().await;
    let images = layer_.images();
    let two = image(&[layer("a/one", b"1"), layer("b/two", b"2")], "/a/one");
    images.import(two.clone(), options()).await.unwrap();
    let exported = export(images, &two.id()).await.unwrap();
    let one = image(&[(Digest::of(&exported), exported.clone().into())], "/a");
    images.import(one.clone(), options()).await.unwrap();
    let again = export(images, &one.id()).await.unwrap();
    assert!(again == exported);
}

#[tokio::test]
async fn an_export_that_fails_can_be_repeated_and_leaves_the_image_alone() {
    let (endpoint, layer_, before) = start().await;
    let images = layer_.images();
    let image = image(&[layer("hello", &[7; 300_000])], "/hello");
    images.import(image.clone(), options()).await.unwrap();
    let expected = export(images, &image.id()).await.unwrap();
    let mut troubles = Vec::new();
    for method in ["ExportVm", "HttpNfcLeaseComplete"] {
        troubles.extend([
            (method, Reaction::Disconnect),
            (method, Reaction::LoseAnswer),
            (method, Reaction::LoseSession),
            (method, Reaction::HttpStatus(503)),
            (method, Reaction::Fault(full())),
        ]);
    }
    troubles.extend([
        ("ExportVm", Reaction::TaskFault(full())),
        ("GET /nfc", Reaction::Disconnect),
        ("GET /nfc", Reaction::HttpStatus(500)),
        ("HttpNfcLeaseAbort", Reaction::Disconnect),
    ]);
    for (method, reaction) in troubles {
        let what = format!("{method} {reaction:?}");
        let script = endpoint.simulator.script();
        if method == "HttpNfcLeaseAbort" {
            script.next("GET /nfc", Reaction::HttpStatus(500));
        }
        script.next(method, reaction);
        let first = export(images, &image.id()).await;
        assert_eq!(script.pending(), 0, "{what}: the fault was not injected");
        if let Ok(exported) = first {
            assert!(exported == expected, "{what}");
        }
        // A lease whose end was not delivered times out.
        let repeated = async {
            loop {
                endpoint.simulator.time_out_leases();
                match export(images, &image.id()).await {
                    Ok(exported) => return exported,
                    Err(error) => assert!(error.is_conflict(), "{what}: {error:?}"),
                }
            }
        };
        let repeated = tokio::time::timeout(Duration::from_secs(20), repeated).await;
        assert!(repeated.unwrap() == expected, "{what}");
    }
    images.remove(&image.id()).await.unwrap();
    assert_eq!(files(&endpoint), before);
}

#[tokio::test]
async fn an_export_waits_for_that_of_another_program() {
    let (endpoint, layer_, _) = start().await;
    let images = layer_.images();
    let image = image(&[layer("hello", b"hello")], "/hello");
    images.import(image.clone(), options()).await.unwrap();
    let busy = TaskInProgress {
        task: Ref::new("task-1"),
        ..TaskInProgress::default()
    };
    let busy = Fault::new("another task runs", busy);
    let script = endpoint.simulator.script();
    script.next("ExportVm", Reaction::Fault(busy));
    export(images, &image.id()).await.unwrap();
    assert_eq!(script.pending(), 0);
}

#[tokio::test]
async fn a_removal_waits_for_exports_also_for_dropped_ones() {
    let (endpoint, layer_, before) = start().await;
    let images = layer_.images();
    let image = image(&[layer("hello", &[7; 300_000])], "/hello");
    for is_dropped in [false, true] {
        images.import(image.clone(), options()).await.unwrap();
        let script = endpoint.simulator.script();
        let delay = Duration::from_millis(300);
        script.next("GET /nfc", Reaction::Delay(delay));
        let id = image.id();
        let begun = async {
            while script.pending() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let mut exporting = Box::pin(export(images, &id));
        tokio::select! {
            exported = &mut exporting => panic!("{:?}", exported.map(drop)),
            () = begun => {}
        }
        if is_dropped {
            drop(exporting);
            images.remove(&id).await.unwrap();
        } else {
            let (exported, removed) = tokio::join!(exporting, images.remove(&id));
            removed.unwrap();
            assert!(facts(&exported.unwrap()).contains_key("hello"));
        }
        assert_eq!(files(&endpoint), before);
    }
}

#[tokio::test]
async fn a_vcenter_need_not_export_templates() {
    let endpoint = vcenter().await;
    let layer_ = endpoint.hosts.open("vch").await.unwrap();
    let images = layer_.images();
    let image = image(&[layer("hello", b"hello")], "/hello");
    images.import(image.clone(), options()).await.unwrap();
    let vm = machine(&endpoint, "vch.image.").await;
    let expected = export(images, &image.id()).await.unwrap();
    assert!(is_template(&endpoint, &vm).await);

    let script = endpoint.simulator.script();
    let refused = Fault::new("not of a template", NotSupported::default());
    script.next("ExportVm", Reaction::Fault(refused));
    assert!(export(images, &image.id()).await.unwrap() == expected);
    assert_eq!(script.pending(), 0);
    assert!(is_template(&endpoint, &vm).await);
    images.remove(&image.id()).await.unwrap();
}
