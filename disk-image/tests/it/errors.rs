//! Bad input results in an error with its position.

use std::error::Error as _;

use disk_image::{
    Digest, Error, LayerDigests, LayerProblem, LayerSource, LimitKind, Limits, Merge, Monitor,
};
use tar::EntryType;

use crate::support::{Tar, merge, options, raw, source, tree, try_merge};

fn problem(layer: Vec<u8>) -> String {
    match try_merge([layer]) {
        Err(Error::Layer { layer: 0, source }) => source.problem().to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths_and_links_that_leave_the_tree_are_refused() {
    assert_eq!(
        problem(Tar::new().file("../../etc/evil", b"").done()),
        "the path leaves the tree"
    );
    assert_eq!(
        problem(Tar::new().hard_link("a", "../x").done()),
        "the path leaves the tree"
    );
    let looped = Tar::new()
        .symlink("a", "b")
        .symlink("b", "a")
        .file("a/x", b"");
    assert_eq!(
        problem(looped.done()),
        "the path leads through too many or too long symbolic links"
    );
}

#[test]
fn hard_links_to_nothing_to_themselves_and_to_directories_are_refused() {
    let link = |tar: Tar, target| problem(tar.hard_link("a", target).done());
    assert_eq!(
        link(Tar::new(), "b"),
        "the target of the hard link does not exist"
    );
    assert_eq!(
        link(Tar::new().file("a", b""), "a"),
        "the target of the hard link is itself"
    );
    assert_eq!(
        link(Tar::new().dir("d"), "d"),
        "the target of the hard link is a directory"
    );
}

#[test]
fn a_file_cannot_be_a_parent() {
    let tar = Tar::new().file("a", b"").file("a/b", b"").done();
    assert_eq!(problem(tar), "the parent is not a directory");
}

#[test]
fn truncated_layers_say_which_entry_and_where() {
    let mut tar = Tar::new()
        .file("whole", b"x")
        .file("cut", &[1; 5000])
        .unfinished();
    tar.truncate(4000);
    let error = try_merge([tar]).unwrap_err();
    let Error::Layer { source, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(source.entry(), Some(&b"cut"[..]));
    assert_eq!(source.offset(), 4000);
    assert!(matches!(source.problem(), LayerProblem::Truncated));
    assert_eq!(error.to_string(), "cannot read layer 0");
    assert_eq!(source.to_string(), "entry \"cut\" at byte 4000");
}

#[test]
fn damaged_headers_are_refused() {
    let mut tar = Tar::new().file("a", b"").done();
    tar[0] = b'b';
    assert_eq!(problem(tar), "malformed tar: header checksum");
    let huge = Tar::new().add("a", EntryType::Regular, "", b"", |header| {
        header.as_old_mut().size = *b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff";
    });
    assert_eq!(problem(huge.done()), "malformed tar: size");
    let sparse = Tar::new()
        .pax(&[("GNU.sparse.major", b"9")])
        .file("a", b"")
        .done();
    assert_eq!(
        problem(sparse),
        "this version of GNU.sparse is not supported"
    );
    // Otherwise the file would have the packed data as its content.
    let global = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n";
    let global = Tar::new().add("g", EntryType::XGlobalHeader, "", global, |_| {});
    assert_eq!(
        problem(global.file("a", b"1\n0\n1\n").done()),
        "GNU.sparse in a global header is not supported"
    );
}

/// Other values would silently become those of root, or of another device.
#[test]
fn numbers_of_a_header_that_are_none_are_refused() {
    let with = |kind, field: std::ops::Range<usize>, text: &[u8]| {
        Tar::new().add("a", kind, "", b"", |header| {
            header.as_mut_bytes()[field].copy_from_slice(text);
        })
    };
    let file = EntryType::Regular;
    for (layer, text) in [
        (with(file, 100..108, b"x000644\0"), "mode"),
        (with(file, 108..116, b"1000\x0a99\0"), "owner"),
        (with(file, 116..124, b"8888888\0"), "owner"),
        (with(file, 124..136, b"-0000000001\0"), "size"),
        (
            with(EntryType::Char, 337..345, b"nothing\0"),
            "device number",
        ),
    ] {
        assert_eq!(problem(layer.done()), format!("malformed tar: {text}"));
    }
    let blank = with(file, 100..148, &[[0; 24], [b' '; 24]].concat());
    let time = with(file, 136..148, b"yesterday\0\0\0");
    let merge = merge([blank.done(), time.done()]);
    let notes: Vec<_> = merge.notes().iter().map(|n| (n.layer, n.what)).collect();
    assert_eq!(notes, [(1, "the modification time is not a number")]);
}

#[test]
fn checksums_of_signed_bytes_are_accepted() {
    let mut layer = Tar::new().file("a", b"").done();
    layer[1] = 0xff;
    layer[148..156].fill(b' ');
    let bytes = layer[..512].iter();
    let sum: i64 = bytes.map(|byte| i64::from(byte.cast_signed())).sum();
    layer[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert_eq!(tree(&crate::support::disk([layer])).len(), 1);
}

/// The tar in each of them ends before the damage does.
#[test]
fn truncated_and_damaged_compression_is_refused() {
    let tar = Tar::new().file("a", &[1; 100_000]).done();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &tar).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
    zstd.include_checksum(true).unwrap();
    std::io::Write::write_all(&mut zstd, &tar).unwrap();
    let zstd = zstd.finish().unwrap();
    for whole in [gzip, zstd] {
        try_merge([whole.clone()]).unwrap();
        for length in [7, whole.len() / 2, whole.len() - 4, whole.len() - 1] {
            let text = problem(whole[..length].to_vec());
            assert_eq!(text, "the source failed", "{length} of {}", whole.len());
        }
        // The checksum is near the end.
        let mut damaged = whole.clone();
        let at = whole.len() - if whole.starts_with(b"\x1f\x8b") { 8 } else { 1 };
        damaged[at] ^= 1;
        assert_eq!(problem(damaged), "the source failed");
    }
    assert_eq!(problem(b"BZh91AY".to_vec()), "the source failed");
}

#[test]
fn names_that_cannot_be_stored_are_refused() {
    let long = "n".repeat(256);
    let tar = Tar::new()
        .pax(&[("path", long.as_bytes())])
        .file("x", b"")
        .done();
    assert_eq!(problem(tar), "more than 255 bytes in a name");
    assert_eq!(
        problem(Tar::new().file("a/.wh.", b"").done()),
        "the name is a whiteout without a name"
    );
    assert_eq!(
        problem(Tar::new().symlink("a", "").done()),
        "malformed tar: symbolic link without a target"
    );
}

#[test]
fn digests_are_verified() {
    let layer = Tar::new().file("a", b"x").done();
    let right = Digest::of(&layer);
    let wrong = Digest::of(b"");
    let read = |digests| {
        let mut merge = Merge::new(Limits::default());
        merge.layer(source(layer.clone()), digests, &Monitor::new())
    };
    let summary = read(LayerDigests::none().blob(right).diff_id(right)).unwrap();
    assert_eq!(
        (summary.blob, summary.diff_id, summary.entries),
        (right, right, 1)
    );
    for digests in [
        LayerDigests::none().blob(wrong),
        LayerDigests::none().diff_id(wrong),
    ] {
        let error = read(digests).unwrap_err();
        let Error::Layer { source, .. } = error else {
            panic!("{error:?}")
        };
        assert!(matches!(source.problem(), LayerProblem::WrongDigest { .. }));
    }
}

#[test]
fn limits_are_kept() {
    let exceeded = |limits: Limits, layer: Vec<u8>| {
        let mut merge = Merge::new(limits);
        match merge.layer(source(layer), LayerDigests::none(), &Monitor::new()) {
            Err(Error::Layer { source, .. }) => match source.problem() {
                LayerProblem::Limit { kind, .. } => Some(*kind),
                other => panic!("{other:?}"),
            },
            other => other.map(|_| None).unwrap(),
        }
    };
    let layer = || Tar::new().file("a/b/c", &[1; 2000]).file("d", b"").done();
    let limits = Limits::default;
    assert_eq!(exceeded(limits(), layer()), None);
    assert_eq!(
        exceeded(limits().entries(3), layer()),
        Some(LimitKind::Entries)
    );
    assert_eq!(
        exceeded(limits().unpacked(2000), layer()),
        Some(LimitKind::Unpacked)
    );
    assert_eq!(exceeded(limits().depth(2), layer()), Some(LimitKind::Depth));
    assert_eq!(exceeded(limits().path(4), layer()), Some(LimitKind::Path));
    let name = Tar::new().file("abc", b"").done();
    assert_eq!(exceeded(limits().name(2), name), Some(LimitKind::Name));
    let sparse = Tar::new()
        .pax(&[("GNU.sparse.size", b"9"), ("GNU.sparse.map", b"0,1,2,1")])
        .file("a", b"xy");
    assert_eq!(
        exceeded(limits().sparse(1), sparse.done()),
        Some(LimitKind::Sparse)
    );
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(0), 100 << 20), 1).unwrap();
    assert_eq!(exceeded(limits().ratio(100), bomb), Some(LimitKind::Ratio));
    let pax = Tar::new()
        .pax(&[("SCHILY.xattr.user.a", &[b'v'; 5000])])
        .file("a", b"")
        .done();
    assert_eq!(
        exceeded(limits().xattrs(4000), pax.clone()),
        Some(LimitKind::Xattrs)
    );
    assert_eq!(
        exceeded(limits().extension(4000), pax),
        Some(LimitKind::Extension)
    );
}

#[test]
fn a_disk_that_is_too_small_says_how_large_it_has_to_be() {
    let merge = merge([Tar::new().file("a", &[1; 5 << 20]).done()]);
    let Err(Error::DiskTooSmall { size, needed }) = merge.plan(&options(1 << 20), &Monitor::new())
    else {
        panic!("the content does not fit")
    };
    assert_eq!(size, 1 << 20);
    assert!(needed > 5 << 20 && needed < 12 << 20, "{needed}");
    let plan = merge.plan(&options(needed), &Monitor::new()).unwrap();
    assert_eq!(plan.image_len(), needed);
    assert!(
        merge
            .plan(&options(needed - (64 << 10)), &Monitor::new())
            .is_err()
    );
}

#[test]
fn what_ext4_cannot_hold_is_named() {
    let value = [b'v'; 5000];
    let tar = Tar::new()
        .pax(&[("SCHILY.xattr.user.big", &value)])
        .file("dir/a", b"")
        .done();
    let error = merge([tar])
        .plan(&options(16 << 20), &Monitor::new())
        .unwrap_err();
    let text = "cannot store \"dir/a\" in ext4: its extended attributes need more than a block";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_layer_that_changes_between_two_reads_is_noticed() {
    struct Changing(std::sync::Mutex<u8>);
    impl LayerSource for Changing {
        fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
            let mut count = self.0.lock().unwrap();
            *count += 1;
            let layer = Tar::new().file("a", &[*count; 10]).done();
            Ok(Box::new(std::io::Cursor::new(layer)))
        }
    }
    let mut merge = Merge::new(Limits::default());
    let changing = std::sync::Arc::new(Changing(std::sync::Mutex::new(0)));
    merge
        .layer(changing, LayerDigests::none(), &Monitor::new())
        .unwrap();
    let plan = merge.plan(&options(16 << 20), &Monitor::new()).unwrap();
    let error = plan
        .write_raw(std::io::sink(), &Monitor::new())
        .unwrap_err();
    let Error::Layer { source, .. } = error else {
        panic!("{error:?}")
    };
    assert!(matches!(source.problem(), LayerProblem::Changed));
}

/// A layer whose bytes may differ each time it is opened.
struct Versions(std::sync::Mutex<std::vec::IntoIter<Vec<u8>>>);

impl Versions {
    fn new(versions: Vec<Vec<u8>>) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self(std::sync::Mutex::new(versions.into_iter())))
    }
}

impl LayerSource for Versions {
    fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        let version = self.0.lock().unwrap().next();
        Ok(Box::new(std::io::Cursor::new(version.unwrap())))
    }
}

#[test]
fn a_compressed_layer_that_changes_between_two_reads_is_noticed() {
    let gzip = |tar: &[u8], level| {
        let level = flate2::Compression::new(level);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        std::io::Write::write_all(&mut gzip, tar).unwrap();
        gzip.finish().unwrap()
    };
    let tars = [1, 2].map(|byte| Tar::new().file("a", &[byte; 10_000]).done());
    let [first, second] = &tars;
    for (packed, other) in [
        (gzip(first, 6), gzip(second, 6)),
        // Verified by the stored bytes: the content may be the same.
        (gzip(first, 6), gzip(first, 0)),
        (gzip(first, 6), second.clone()),
        (
            zstd::encode_all(&first[..], 1).unwrap(),
            zstd::encode_all(&second[..], 1).unwrap(),
        ),
    ] {
        let mut merge = Merge::new(Limits::default());
        let layer = Versions::new(vec![packed.clone(), packed, other]);
        let monitor = Monitor::new();
        merge.layer(layer, LayerDigests::none(), &monitor).unwrap();
        let plan = merge.plan(&options(16 << 20), &Monitor::new()).unwrap();
        let sink = || std::io::sink();
        plan.write_raw(sink(), &monitor).unwrap();
        let Err(Error::Layer { source, .. }) = plan.write_raw(sink(), &monitor) else {
            panic!("the layer has changed");
        };
        assert!(matches!(source.problem(), LayerProblem::Changed));
    }
}

#[test]
fn a_spooled_layer_is_opened_once_and_gives_the_same_disk() {
    let tar = Tar::new().file("a", &[7; 1_000_000]).file("b", b"x").done();
    let packed = zstd::encode_all(&tar[..], 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::new();
    // Opening it a second time would panic.
    let layer = Versions::new(vec![packed]);
    let mut merge = Merge::new(Limits::default()).spool(folder.path());
    merge.layer(layer, LayerDigests::none(), &monitor).unwrap();
    let plan = merge.plan(&options(16 << 20), &Monitor::new()).unwrap();
    drop(merge);
    let expected = raw(&crate::support::merge([tar])
        .plan(&options(16 << 20), &Monitor::new())
        .unwrap());
    for _ in 0..2 {
        assert!(plan.write_raw(Vec::new(), &monitor).unwrap() == expected);
    }
    drop(plan);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn layers_beyond_the_limit_of_the_spool_are_read_again() {
    let tars = [1, 2, 3].map(|byte| {
        let name = byte.to_string();
        Tar::new().file(&name, &vec![byte; 1_000_000]).done()
    });
    let folder = tempfile::tempdir().unwrap();
    let monitor = Monitor::new();
    let limit = (tars[0].len() + tars[2].len()) as u64;
    let mut merge = Merge::new(Limits::default())
        .spool(folder.path())
        .spool_limit(limit);
    // Only the second is too long for what is left, and the third fits.
    for (tar, more, readings) in [(&tars[0], 0, 1), (&tars[1], 4096, 2), (&tars[2], 0, 1)] {
        let long = [tar.clone(), vec![0; more]].concat();
        let packed = zstd::encode_all(&long[..], 1).unwrap();
        // Opening it more often would panic.
        let layer = Versions::new(vec![packed; readings]);
        merge.layer(layer, LayerDigests::none(), &monitor).unwrap();
    }
    let plan = merge.plan(&options(16 << 20), &monitor).unwrap();
    assert!(raw(&plan) == crate::support::disk(tars));
    drop((merge, plan));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_spool_that_cannot_be_created_is_named() {
    let packed = zstd::encode_all(&Tar::new().file("a", b"x").done()[..], 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut merge = Merge::new(Limits::default()).spool(folder.path().join("missing"));
    let result = merge.layer(source(packed), LayerDigests::none(), &Monitor::new());
    let Err(Error::Layer { source, .. }) = result else {
        panic!("{result:?}")
    };
    assert!(matches!(source.problem(), LayerProblem::Spool(_)));
}

/// Otherwise files of the failed layer would get the data of the next one.
#[test]
fn nothing_is_made_of_a_merge_with_half_a_layer() {
    let whole = Tar::new().file("a", &[1; 10]).file("b", &[2; 10]).done();
    let mut half = whole.clone();
    half.truncate(1024 + 100);
    let mut merge = Merge::new(Limits::default());
    let monitor = Monitor::new();
    let mut add = |layer| merge.layer(source(layer), LayerDigests::none(), &monitor);
    assert!(matches!(add(half), Err(Error::Layer { .. })));
    assert!(matches!(add(whole), Err(Error::IncompleteMerge)));
    let plan = merge.plan(&options(16 << 20), &Monitor::new());
    assert!(matches!(plan, Err(Error::IncompleteMerge)));
    let folder = tempfile::tempdir().unwrap();
    let unpacked = merge.unpack(
        folder.path(),
        &disk_image::UnpackOptions::new(),
        &Monitor::new(),
    );
    assert!(matches!(unpacked, Err(Error::IncompleteMerge)));
}

/// A layer that continues with zeros, and cancels the operation when they are read.
struct Endless {
    head: Vec<u8>,
    zeros: u64,
    monitor: Monitor,
}

impl LayerSource for Endless {
    fn open(&self) -> std::io::Result<Box<dyn std::io::Read + Send>> {
        struct Zeros(Monitor);
        impl std::io::Read for Zeros {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.0.cancel();
                buf.fill(0);
                Ok(buf.len())
            }
        }
        let zeros = std::io::Read::take(Zeros(self.monitor.clone()), self.zeros);
        let head = std::io::Cursor::new(self.head.clone());
        Ok(Box::new(std::io::Read::chain(head, zeros)))
    }
}

#[test]
fn skipping_data_and_the_end_of_a_layer_can_be_cancelled() {
    let end = Tar::new().file("a", b"x").done();
    // A volume label, whose data is skipped.
    let label = Tar::new().add("v", EntryType::new(b'V'), "", b"", |header| {
        header.set_size(1 << 30);
    });
    for head in [end, label.unfinished()] {
        let monitor = Monitor::new();
        let layer = std::sync::Arc::new(Endless {
            head,
            zeros: 1 << 30,
            monitor: monitor.clone(),
        });
        // With this limit, an operation that is not cancelled ends soon.
        let mut merge = Merge::new(Limits::default().unpacked(32 << 20));
        let result = merge.layer(layer, LayerDigests::none(), &monitor);
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    }
}

#[test]
fn cancelling_stops_reading_and_writing() {
    let cancelled = Monitor::new();
    cancelled.cancel();
    let mut merge = Merge::new(Limits::default());
    let layer = Tar::new().file("a", b"x").done();
    let result = merge.layer(source(layer), LayerDigests::none(), &cancelled);
    assert!(matches!(result, Err(Error::Cancelled)));
    let plan = crate::support::merge([Tar::new().file("a", b"x").done()]);
    let plan = plan.plan(&options(16 << 20), &Monitor::new()).unwrap();
    assert!(matches!(
        plan.write_raw(std::io::sink(), &cancelled),
        Err(Error::Cancelled)
    ));
}

/// An output that cancels the operation after a number of bytes.
struct Cancelling {
    left: usize,
    monitor: Monitor,
}

impl std::io::Write for Cancelling {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.left = self.left.saturating_sub(buf.len());
        if self.left == 0 {
            self.monitor.cancel();
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn writing_can_be_cancelled_at_any_moment() {
    let mut state = 1u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let noise: Vec<u8> = noise.take(4 << 20).collect();
    let plan = merge([Tar::new().file("a", &noise).done()]);
    let plan = plan.plan(&options(16 << 20), &Monitor::new()).unwrap();
    for left in (0..4 << 20).step_by(500_000) {
        for threads in [0, 2] {
            let monitor = Monitor::new();
            let out = Cancelling {
                left,
                monitor: monitor.clone(),
            };
            let stream = disk_image::StreamOptions::new().threads(threads);
            let result = plan.write_stream_optimized(out, &stream, &monitor);
            assert!(matches!(result, Err(Error::Cancelled)), "{left}");
        }
    }
}

#[test]
fn progress_is_counted_in_entries_and_bytes() {
    let layer = Tar::new()
        .file("a", &[1; 5_000])
        .dir("d")
        .file("d/b", b"22");
    let monitor = Monitor::new();
    let mut merge = Merge::new(Limits::default());
    merge
        .layer(source(layer.done()), LayerDigests::none(), &monitor)
        .unwrap();
    assert_eq!((monitor.entries(), monitor.bytes()), (3, 5_002));
    let plan = merge.plan(&options(16 << 20), &Monitor::new()).unwrap();
    plan.write_raw(std::io::sink(), &monitor).unwrap();
    // Only files have data to write.
    assert_eq!((monitor.entries(), monitor.bytes()), (5, 10_004));
}

#[test]
fn a_sink_that_fails_ends_the_write_with_its_error() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(buf.len())
                .ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let data: Vec<u8> = (0..3_000_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let plan = merge([Tar::new().file("a", &data).done()])
        .plan(&options(32 << 20), &Monitor::new())
        .unwrap();
    for room in [0, 100_000, 2_000_000] {
        let monitor = Monitor::new();
        let stream = disk_image::StreamOptions::new().threads(2);
        for result in [
            plan.write_raw(Full(room), &monitor).map(drop),
            plan.write_stream_optimized(Full(room), &stream, &monitor)
                .map(drop),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Write(_)), "{error:?}");
            assert_eq!(error.source().unwrap().to_string(), "no storage space");
        }
    }
}

#[test]
fn a_disk_with_room_but_too_few_groups_for_its_inodes_is_too_small() {
    let mut tar = Tar::new();
    for index in 0..33_000 {
        tar = tar.file(&index.to_string(), b"");
    }
    let merge = merge([tar.done()]);
    let Err(Error::DiskTooSmall { needed, .. }) = merge.plan(&options(100 << 20), &Monitor::new())
    else {
        panic!("one group has 32,768 inodes")
    };
    let disk = raw(&merge.plan(&options(needed), &Monitor::new()).unwrap());
    assert_eq!(tree(&disk).len(), 33_000);
}

/// Directories emptied by many whiteouts are visited once per layer, not once per whiteout.
#[test]
fn a_layer_of_opaque_markers_takes_no_more_time_than_its_entries() {
    let mut lower = Tar::new();
    let mut upper = Tar::new();
    for index in 0..5_000 {
        lower = lower.file(&format!("d/{index}"), b"");
        upper = upper.file(&format!("d/e/{index}"), b"");
    }
    for _ in 0..5_000 {
        upper = upper.file("d/.wh..wh..opq", b"").file(".wh.d", b"");
    }
    let upper = upper.file("d/.wh.e", b"").done();
    let start = std::time::Instant::now();
    let merge = merge([lower.done(), upper]);
    // Ten thousand visits of five thousand names would take much longer.
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
    let tree = tree(&raw(&merge
        .plan(&options(16 << 20), &Monitor::new())
        .unwrap()));
    assert_eq!(tree.len(), 5_002);
}

#[test]
fn what_is_kept_in_memory_is_limited() {
    let big = [b'v'; 60_000];
    let xattrs = Tar::new()
        .pax(&[("SCHILY.xattr.user.a", &big)])
        .file("a", b"");
    // A global header applies to all following entries.
    let global = {
        let record = [b"60027 SCHILY.xattr.user.a=".as_slice(), &big, b"\n"].concat();
        assert_eq!(record.len(), 60_027);
        let mut tar = Tar::new().add("g", EntryType::XGlobalHeader, "", &record, |_| {});
        for index in 0..100 {
            tar = tar.file(&index.to_string(), b"");
        }
        tar
    };
    let fragments: Vec<u8> = (0..200)
        .flat_map(|_| [vec![1; 4096], vec![0; 16 * 4096]].concat())
        .collect();
    for (layer, limit) in [
        (xattrs, 50_000),
        (global, 3_000_000),
        (Tar::new().file("fragments", &fragments), 2_000),
        (Tar::new().symlink("a", &"t".repeat(90)), 80),
        (Tar::new().file("f", b"").hard_link("long-name", "f"), 5),
    ] {
        let mut merge = Merge::new(Limits::default().metadata(limit));
        let layer = source(layer.done());
        let error = merge.layer(layer, LayerDigests::none(), &Monitor::new());
        let Err(Error::Layer { source, .. }) = error else {
            panic!("{limit} was exceeded");
        };
        let text = source.problem().to_string();
        assert_eq!(
            text,
            format!("more than {limit} bytes of names and attributes")
        );
    }
}

#[test]
fn long_ways_through_symbolic_links_are_refused() {
    let long = "d/../".repeat(1_000);
    let mut layer = Tar::new().dir("d").pax(&[("linkpath", long.as_bytes())]);
    layer = layer.symlink("too-long", "x").file("too-long/a", b"");
    let text = problem(layer.done());
    assert!(text.contains("too long symbolic links"), "{text}");

    let mut layer = Tar::new().dir("d").symlink("l", &"d/../".repeat(18));
    for index in 0..40 {
        layer = layer.file(&format!("l/{index}"), b"");
    }
    let mut merge = Merge::new(Limits::default().followed(1_000));
    let error = merge.layer(source(layer.done()), LayerDigests::none(), &Monitor::new());
    let Err(Error::Layer { source, .. }) = error else {
        panic!("40 times 36 components are more than 1,000");
    };
    let text = source.problem().to_string();
    assert_eq!(text, "more than 1000 path components from symbolic links");
}

/// Go's reader would see a file with content here, others a directory followed by headers.
#[test]
fn directories_with_data_are_refused() {
    let text = problem(Tar::new().file("d/", &[0; 512]).done());
    assert_eq!(text, "malformed tar: directory with data");
}
