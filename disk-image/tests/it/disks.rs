//! Virtual disks in all formats.

use std::fs;
use std::path::Path;

use disk_image::vmdk::{self, ChildForm, CreateType, Disk, FlatDisk, SparseDisk, StreamReader};
use disk_image::{BlockRead, CompressionLevel, Error, Monitor, Plan, Sink, StreamOptions, copy};
use tempfile::tempdir;

use crate::support::{Tar, merge, options, raw};

/// Returns a plan whose data fills several grain tables: 80 MiB, both compressible and not.
fn plan() -> Plan {
    let noise: Vec<u8> = (0..1u32 << 19)
        .flat_map(|n| {
            (n ^ n >> 7)
                .wrapping_mul(2_654_435_761)
                .rotate_left(n % 31)
                .to_le_bytes()
        })
        .collect();
    let tar = Tar::new()
        .file("noise", &noise)
        .file("text", &b"text".repeat(1 << 20))
        .done();
    merge([tar])
        .plan(&options(80 << 20), &Monitor::new())
        .unwrap()
}

fn stream(plan: &Plan, options: &StreamOptions) -> Vec<u8> {
    plan.write_stream_optimized(Vec::new(), options, &Monitor::new())
        .unwrap()
}

fn content(disk: &dyn BlockRead) -> Vec<u8> {
    let mut whole = vec![0; disk.size() as usize];
    disk.read_exact_at(&mut whole, 0).unwrap();
    whole
}

#[test]
fn streams_are_the_same_for_any_number_of_threads_and_their_length_is_known() {
    let plan = plan();
    let monitor = Monitor::new();
    for level in [CompressionLevel::Fast, CompressionLevel::Small] {
        let options = StreamOptions::new().level(level);
        let inline = stream(&plan, &options.clone().threads(0));
        for threads in [1, 2, 8] {
            assert!(
                stream(&plan, &options.clone().threads(threads)) == inline,
                "{threads}"
            );
        }
        let length = plan.stream_optimized_len(&options, &monitor).unwrap();
        assert_eq!(length, inline.len() as u64);
    }
}

#[test]
fn a_stream_carries_entries_of_the_disk_database() {
    let plan = plan();
    let options = StreamOptions::new()
        .database("ddb.deletable", "false")
        .database("ddb.adapterType", "pvscsi");
    let bytes = stream(&plan, &options);
    let reader = StreamReader::new(&bytes[..]).unwrap();
    let descriptor = reader.descriptor().unwrap();
    assert_eq!(descriptor.get("ddb.deletable"), Some("false"));
    assert_eq!(descriptor.get("ddb.adapterType"), Some("pvscsi"));
    // The content is the same as without the entries.
    let plain = stream(&plan, &StreamOptions::new());
    assert!(bytes[64 << 10..] == plain[64 << 10..]);
    for key in ["deletable", "ddb.", "ddb.a=b", "ddb.a\nCID"] {
        let options = StreamOptions::new().database(key, "1");
        let refused = plan.write_stream_optimized(Vec::new(), &options, &Monitor::new());
        assert!(matches!(refused, Err(Error::Vmdk(_))), "{key:?}");
    }
    let long = StreamOptions::new().database("ddb.comment", "x".repeat(20 << 10));
    let refused = plan.write_stream_optimized(Vec::new(), &long, &Monitor::new());
    assert!(matches!(refused, Err(Error::Vmdk(_))));
}

#[test]
fn streams_are_read_again_at_once_and_at_any_place() {
    let plan = plan();
    let bytes = stream(&plan, &StreamOptions::new());
    let expected = raw(&plan);
    let folder = tempdir().unwrap();
    let path = folder.path().join("s.vmdk");
    fs::write(&path, &bytes).unwrap();
    let disk = Disk::open(&path).unwrap();
    assert_eq!(disk.descriptor().create_type(), CreateType::StreamOptimized);
    assert!(content(&disk) == expected);
    let reader = StreamReader::new(&bytes[..]).unwrap();
    assert_eq!(reader.capacity(), 80 << 20);
    let flat_path = folder.path().join("f.vmdk");
    let mut flat = FlatDisk::create(&flat_path, CreateType::Vmfs, reader.capacity(), 7).unwrap();
    reader.copy_to(&mut flat, &Monitor::new()).unwrap();
    assert!(content(&Disk::open(&flat_path).unwrap()) == expected);
    let sparse_path = folder.path().join("m.vmdk");
    let mut sparse = SparseDisk::create(&sparse_path, 80 << 20, 7).unwrap();
    StreamReader::new(&bytes[..])
        .unwrap()
        .copy_to(&mut sparse, &Monitor::new())
        .unwrap();
    let sparse = Disk::open(&sparse_path).unwrap();
    assert!(content(&sparse) == expected);
    // Exporting the imported disk produces the original stream.
    let mut out =
        vmdk::StreamWriter::new(Vec::new(), sparse.capacity(), &StreamOptions::new()).unwrap();
    copy(&sparse, &mut out, &Monitor::new()).unwrap();
    assert!(out.finish().unwrap() == bytes);
    assert!(
        fs::metadata(&sparse_path).unwrap().len() < 12 << 20,
        "zeros are not stored"
    );
}

#[test]
fn truncated_streams_are_refused_at_every_length() {
    let tar = Tar::new().file("a", b"x").done();
    let bytes = stream(
        &merge([tar])
            .plan(&options(9 << 20), &Monitor::new())
            .unwrap(),
        &StreamOptions::new(),
    );
    struct Nowhere;
    impl Sink for Nowhere {
        fn put(&mut self, _: u64, _: &[u8]) -> Result<(), Error> {
            Ok(())
        }
    }
    let read = |bytes: &[u8]| StreamReader::new(bytes)?.copy_to(&mut Nowhere, &Monitor::new());
    read(&bytes).unwrap();
    for length in (0..bytes.len()).step_by(61) {
        let error = read(&bytes[..length]).unwrap_err();
        assert!(matches!(error, Error::Vmdk(_)), "{length}: {error:?}");
    }
}

#[test]
fn of_several_errors_the_first_in_the_stream_is_told() {
    let bytes = stream(&plan(), &StreamOptions::new());
    // The marker of the first grain follows the header and the descriptor.
    let mut first = bytes.clone();
    first[(64 << 10) + 100..][..16].fill(0xff);
    let mut both = first.clone();
    both.truncate((64 << 10) + 4096);
    let folder = tempdir().unwrap();
    let path = folder.path().join("incomplete.vmdk");
    let mut disk = SparseDisk::create(path, 80 << 20, 7).unwrap();
    for damaged in [first, both] {
        for threads in [0, 1, 4] {
            let reader = StreamReader::new(&damaged[..]).unwrap().threads(threads);
            let error = reader.copy_to(&mut disk, &Monitor::new()).unwrap_err();
            let Error::Vmdk(vmdk::Error::Damaged { what, offset }) = error else {
                panic!("{threads}: {error:?}");
            };
            assert_eq!((what, offset), ("compressed grain", 64 << 10), "{threads}");
        }
    }
}

fn child(folder: &Path, parent: &str, name: &str, form: ChildForm) -> SparseDisk {
    let parent_disk = Disk::open(folder.join(parent)).unwrap();
    SparseDisk::create_child(folder.join(name), parent_disk, parent, 0x77, form).unwrap()
}

#[test]
fn children_show_their_parent_where_nothing_was_written() {
    for form in [ChildForm::Monolithic, ChildForm::Delta] {
        let folder = tempdir().unwrap();
        let folder = folder.path();
        let mut base = SparseDisk::create(folder.join("base.vmdk"), 40 << 20, 0x11).unwrap();
        base.write_at(100, b"below").unwrap();
        base.write_at(35 << 20, b"table two").unwrap();
        let before = fs::read(folder.join("base.vmdk")).unwrap();
        let mut first = child(folder, "base.vmdk", "first.vmdk", form);
        assert_eq!(first.stored_bytes().unwrap(), 0);
        first.write_at(103, b"above").unwrap();
        assert_eq!(first.stored_bytes().unwrap(), 64 << 10);
        drop(first);
        let mut second = child(folder, "first.vmdk", "second.vmdk", form);
        second.write_at(1 << 20, b"new").unwrap();
        let disk = Disk::open_within(folder.join("second.vmdk"), folder).unwrap();
        let whole = content(&disk);
        assert_eq!(&whole[98..110], b"\0\0belabove\0\0");
        assert_eq!(&whole[35 << 20..][..9], b"table two");
        assert_eq!(&whole[1 << 20..][..3], b"new");
        assert_eq!(
            fs::read(folder.join("base.vmdk")).unwrap(),
            before,
            "parents are never written"
        );
        let mut ranges = Vec::new();
        while let Some(range) = disk
            .next_data(ranges.last().map_or(0, |r: &std::ops::Range<u64>| r.end))
            .unwrap()
        {
            ranges.push(range);
        }
        assert_eq!(
            ranges,
            [
                0..65536,
                1 << 20..(1 << 20) + 65536,
                35 << 20..(35 << 20) + 65536
            ]
        );
    }
}

#[test]
fn a_parent_that_changed_is_noticed() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    SparseDisk::create(folder.join("base.vmdk"), 1 << 20, 0x11).unwrap();
    child(folder, "base.vmdk", "child.vmdk", ChildForm::Monolithic);
    let mut base = SparseDisk::open(folder.join("base.vmdk")).unwrap();
    Disk::open(folder.join("child.vmdk")).unwrap();
    base.write_at(0, b"x").unwrap();
    let error = Disk::open(folder.join("child.vmdk")).unwrap_err();
    let Error::Vmdk(error) = error else {
        panic!("{error:?}")
    };
    assert!(
        matches!(
            error,
            vmdk::Error::ParentChanged {
                expected: 0x11,
                found: 0x12
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_replaced_child_stores_only_what_differs() {
    let folder = tempdir().unwrap();
    let folder = folder.path();
    let plan = plan();
    let mut flat = FlatDisk::create(
        folder.join("base.vmdk"),
        CreateType::MonolithicFlat,
        80 << 20,
        1,
    )
    .unwrap();
    plan.write(&mut flat, &Monitor::new()).unwrap();
    let mut disk = child(folder, "base.vmdk", "child.vmdk", ChildForm::Monolithic);
    let empty = fs::metadata(folder.join("child.vmdk")).unwrap().len();
    let mut replacement = disk.replace();
    plan.write(&mut replacement, &Monitor::new()).unwrap();
    replacement.finish().unwrap();
    assert_eq!(
        fs::metadata(folder.join("child.vmdk")).unwrap().len(),
        empty
    );
    // Replaces the content by another image: what only the parent has becomes zero.
    let other = merge([Tar::new().file("small", b"s").done()])
        .plan(&options(80 << 20), &Monitor::new())
        .unwrap();
    let mut replacement = disk.replace();
    other.write(&mut replacement, &Monitor::new()).unwrap();
    replacement.finish().unwrap();
    assert!(content(&Disk::open(folder.join("child.vmdk")).unwrap()) == raw(&other));
    assert!(content(&Disk::open(folder.join("base.vmdk")).unwrap()) == raw(&plan));
}

#[test]
fn disks_that_lead_out_of_their_directory_are_refused() {
    let folder = tempdir().unwrap();
    let inside = folder.path().join("in");
    fs::create_dir(&inside).unwrap();
    fs::write(folder.path().join("secret"), [0; 4096]).unwrap();
    let text = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n\
        createType=\"vmfs\"\nRW 8 VMFS \"../secret\"\n";
    fs::write(inside.join("d.vmdk"), text).unwrap();
    Disk::open(inside.join("d.vmdk")).unwrap();
    let error = Disk::open_within(inside.join("d.vmdk"), &inside).unwrap_err();
    assert!(
        matches!(error, Error::Vmdk(vmdk::Error::Outside(_))),
        "{error:?}"
    );
}

#[test]
fn a_disk_in_one_file_is_read_without_a_path_and_others_are_refused() {
    let plan = plan();
    let stream = stream(&plan, &StreamOptions::new());
    let folder = tempdir().unwrap();
    let path = folder.path().join("disk.vmdk");
    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let file = fs::File::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        Disk::from_file(file)
    };
    assert!(content(&open(&stream).unwrap()) == raw(&plan));

    fs::write(folder.path().join("flat"), [0; 4096]).unwrap();
    let flat = folder.path().join("flat").display().to_string();
    let text = format!(
        "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\
        RW 8 VMFS \"{flat}\"\n"
    );
    drop(SparseDisk::create(folder.path().join("base.vmdk"), 1 << 20, 0x11).unwrap());
    drop(child(
        folder.path(),
        "base.vmdk",
        "child.vmdk",
        ChildForm::Monolithic,
    ));
    let child = fs::read(folder.path().join("child.vmdk")).unwrap();
    for bytes in [text.as_bytes(), &child] {
        let error = open(bytes).unwrap_err();
        assert!(
            matches!(error, Error::Vmdk(vmdk::Error::Outside(_))),
            "{error:?}"
        );
    }
}

#[test]
fn a_chain_that_leads_back_to_itself_ends() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("loop.vmdk");
    fs::write(folder.path().join("flat"), [0; 4096]).unwrap();
    let text = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=00000001\n\
        parentFileNameHint=\"loop.vmdk\"\ncreateType=\"vmfs\"\nRW 8 VMFS \"flat\"\n";
    fs::write(&path, text).unwrap();
    let error = Disk::open(&path).unwrap_err();
    assert!(
        matches!(error, Error::Vmdk(vmdk::Error::ChainTooLong(_))),
        "{error:?}"
    );
}

#[test]
fn nothing_is_left_of_a_disk_that_could_not_be_made() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("d.vmdk");
    fs::write(&path, b"mine").unwrap();
    assert!(FlatDisk::create(&path, CreateType::Vmfs, 1 << 20, 1).is_err());
    assert!(SparseDisk::create(&path, 1 << 20, 1).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn disks_of_thousands_of_files_or_of_pipes_are_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("disk.vmdk");
    let head = "# Disk DescriptorFile\nCID=1\nparentCID=ffffffff\ncreateType=\"custom\"\n";
    let extent = "RW 1 FLAT \"disk.vmdk\" 0\n";
    fs::write(&path, format!("{head}{}", extent.repeat(4_096))).unwrap();
    Disk::open_within(&path, folder.path()).unwrap();
    fs::write(&path, format!("{head}{}", extent.repeat(4_097))).unwrap();
    let error = Disk::open_within(&path, folder.path()).unwrap_err();
    assert!(matches!(error, Error::Vmdk(vmdk::Error::Unsupported(_))));

    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    fs::write(&path, format!("{head}RW 1 FLAT \"pipe\" 0\n")).unwrap();
    let error = Disk::open_within(&path, folder.path()).unwrap_err();
    assert!(matches!(error, Error::Vmdk(vmdk::Error::Unsupported(_))));
}

/// A pipe or directory has no size; a raw disk of 0 bytes was made of it.
#[test]
fn raw_disks_are_files_and_devices() {
    let folder = tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let writer = fs::OpenOptions::new().read(true).write(true).open(&pipe);
    for path in [&*pipe, folder.path()] {
        let error = disk_image::RawDisk::open(path).unwrap_err();
        assert!(matches!(error, Error::Vmdk(vmdk::Error::File { .. })));
    }
    drop(writer);
}

#[test]
fn streams_with_a_header_of_any_size_are_refused() {
    let plan = merge([Tar::new().file("a", b"x").done()]);
    let plan = plan.plan(&options(9 << 20), &Monitor::new()).unwrap();
    let mut bytes = stream(&plan, &StreamOptions::new().threads(0));
    bytes[0x40..0x48].fill(0xff);
    let error = StreamReader::new(&bytes[..]).unwrap_err();
    assert!(matches!(error, Error::Vmdk(vmdk::Error::Damaged { .. })));
}
