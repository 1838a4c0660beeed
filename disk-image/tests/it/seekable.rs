//! Layers that can seek are read in part until they are written, and verified then.

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use disk_image::{
    Digest, Error, FileLayer, LayerDigests, LayerProblem, LayerSource, LimitKind, Limits, Merge,
    Monitor, ReadSeek, UnpackOptions,
};
use proptest::prelude::*;

use crate::support::{Tar, disk, options, raw};

const BLOCK: usize = 4096;

/// A layer in memory that can seek, and whose bytes can be replaced.
struct Seekable {
    bytes: Mutex<Arc<[u8]>>,
    /// Number of bytes that were read.
    read: Arc<AtomicU64>,
}

impl Seekable {
    fn new(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            bytes: Mutex::new(bytes.into()),
            read: Arc::default(),
        })
    }

    fn replace(&self, bytes: &[u8]) {
        *self.bytes.lock().unwrap() = bytes.into();
    }

    fn cursor(&self) -> Counted {
        Counted {
            inner: Cursor::new(Arc::clone(&self.bytes.lock().unwrap())),
            read: Arc::clone(&self.read),
        }
    }
}

impl LayerSource for Seekable {
    fn open(&self) -> std::io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(self.cursor()))
    }

    fn open_seekable(&self) -> std::io::Result<Option<Box<dyn ReadSeek>>> {
        Ok(Some(Box::new(self.cursor())))
    }
}

struct Counted {
    inner: Cursor<Arc<[u8]>>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buf)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

fn digest_of(layer: &[u8]) -> LayerDigests {
    LayerDigests::none().diff_id(Digest::of(layer))
}

fn try_merge(layer: Arc<dyn LayerSource>, digests: LayerDigests) -> Result<Merge, Error> {
    let mut merge = Merge::new(Limits::default());
    let summary = merge.layer(layer, digests, &Monitor::new())?;
    assert!(!summary.is_verified);
    Ok(merge)
}

/// Merges a layer that is expected to have these digests, without reading it in full.
fn merge(layer: &Arc<Seekable>, digests: LayerDigests) -> Merge {
    try_merge(Arc::clone(layer) as Arc<dyn LayerSource>, digests).unwrap()
}

/// Returns the problems of writing the disk, and of unpacking into a directory.
fn problems(merge: &Merge) -> [Result<(), Error>; 3] {
    let monitor = Monitor::new();
    let plan = merge.plan(&options(64 << 20), &monitor).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stream = disk_image::StreamOptions::new();
    let plain = UnpackOptions::new().owners(false);
    [
        plan.write_raw(std::io::sink(), &monitor).map(drop),
        plan.write_stream_optimized(std::io::sink(), &stream, &monitor)
            .map(drop),
        merge.unpack(folder.path(), &plain, &monitor).map(drop),
    ]
}

fn problem(result: Result<(), Error>) -> LayerProblem {
    match result {
        Err(Error::Layer { layer: 0, source }) => {
            // Errors are not clones, but their texts are enough here.
            match source.problem() {
                LayerProblem::Changed => LayerProblem::Changed,
                LayerProblem::Truncated => LayerProblem::Truncated,
                LayerProblem::WrongDigest {
                    what,
                    expected,
                    found,
                } => LayerProblem::WrongDigest {
                    what,
                    expected: expected.clone(),
                    found: found.clone(),
                },
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other:?}"),
    }
}

/// Returns a file whose blocks are zero or not.
fn blocks(pattern: impl IntoIterator<Item = bool>, rest: usize) -> Vec<u8> {
    let mut file = Vec::new();
    for is_data in pattern {
        let end = file.len() + BLOCK;
        if is_data {
            file.resize(end - 1, 0);
            file.push(1);
        }
        file.resize(end, 0);
    }
    file.extend(std::iter::repeat_n(1, rest));
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Holes are found although most of the data is not read.
    #[test]
    fn the_disk_is_the_same_as_that_of_a_layer_that_cannot_seek(
        files in prop::collection::vec(
            // Runs of zeros and of data.
            (prop::collection::vec((any::<bool>(), 1..40usize), 0..8), 0..BLOCK),
            1..4,
        ),
    ) {
        let mut tar = Tar::new();
        for (number, (runs, rest)) in files.iter().enumerate() {
            let pattern = runs.iter().flat_map(|&(is_data, count)| vec![is_data; count]);
            tar = tar.file(&number.to_string(), &blocks(pattern, *rest));
        }
        let tar = tar.done();
        let merge = merge(&Seekable::new(&tar), digest_of(&tar));
        let plan = merge.plan(&options(16 << 20), &Monitor::new()).unwrap();
        prop_assert!(raw(&plan) == disk([tar]));
    }
}

#[test]
fn little_is_read_to_plan_a_disk() {
    let tar = Tar::new()
        .dir("d")
        .file("d/a", &[1; 10 << 20])
        .file("d/b", b"small")
        .done();
    let layer = Seekable::new(&tar);
    let merge = merge(&layer, digest_of(&tar));
    let read = layer.read.load(Ordering::Relaxed);
    assert!(read < tar.len() as u64 / 10, "{read}");
    let plan = merge.plan(&options(64 << 20), &Monitor::new()).unwrap();
    layer.read.store(0, Ordering::Relaxed);
    plan.write_raw(std::io::sink(), &Monitor::new()).unwrap();
    assert_eq!(layer.read.load(Ordering::Relaxed), tar.len() as u64);
}

#[test]
fn a_file_that_is_not_compressed_is_verified_when_it_is_written() {
    let tar = Tar::new().file("a", &[7; 200_000]).done();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("layer.tar");
    std::fs::write(&path, &tar).unwrap();
    let file = || Arc::new(FileLayer::new(&path)) as Arc<dyn LayerSource>;
    let merge = try_merge(file(), digest_of(&tar)).unwrap();
    let plan = merge.plan(&options(16 << 20), &Monitor::new()).unwrap();
    assert!(raw(&plan) == disk([tar.clone()]));

    let wrong = Digest::of(b"other");
    for (digests, what) in [
        (
            LayerDigests::none().diff_id(wrong),
            "the digest of the unpacked layer is",
        ),
        (
            LayerDigests::none().blob(wrong),
            "the digest of the blob is",
        ),
    ] {
        let merge = try_merge(file(), digests).unwrap();
        for result in problems(&merge) {
            let problem = problem(result);
            assert!(problem.to_string().starts_with(what), "{problem}");
            let LayerProblem::WrongDigest {
                expected, found, ..
            } = problem
            else {
                panic!("{problem}")
            };
            assert_eq!((*expected, *found), (wrong, Digest::of(&tar)));
        }
    }
}

#[test]
fn a_layer_is_verified_even_if_nothing_of_it_is_written() {
    let tar = Tar::new().dir("d").symlink("l", "d").done();
    let merge = merge(&Seekable::new(&tar), digest_of(b"other"));
    for result in problems(&merge) {
        assert!(matches!(problem(result), LayerProblem::WrongDigest { .. }));
    }
}

#[test]
fn layers_that_cannot_be_verified_later_are_verified_at_once() {
    let tar = Tar::new().file("a", b"x").done();
    let packed = zstd::encode_all(&tar[..], 1).unwrap();
    let (right, wrong) = (Digest::of(&tar), Digest::of(b""));
    let add = |bytes: &[u8], digests| {
        let mut merge = Merge::new(Limits::default());
        merge.layer(Seekable::new(bytes), digests, &Monitor::new())
    };
    for (bytes, digests) in [
        (&tar, LayerDigests::none()),
        (&packed, LayerDigests::none().diff_id(right)),
    ] {
        let summary = add(bytes, digests).unwrap();
        assert!(summary.is_verified);
        assert_eq!(summary.diff_id, right);
    }
    for (bytes, digests) in [
        (&packed, LayerDigests::none().diff_id(wrong)),
        // One of both is wrong, whatever the layer contains.
        (&tar, LayerDigests::none().diff_id(right).blob(wrong)),
    ] {
        let error = add(bytes, digests).unwrap_err();
        assert!(matches!(
            problem(Err(error)),
            LayerProblem::WrongDigest { .. }
        ));
    }
}

/// The digest of what is written is right, but the plan is of something else.
#[test]
fn a_layer_with_the_right_digest_that_was_not_planned_is_refused() {
    let holes = |data: [bool; 4]| blocks(data.into_iter().flat_map(|data| [data; 20]), 5);
    let file = |data: &[u8]| Tar::new().file("a", data).done();
    let genuine = file(&holes([true, false, true, false]));
    let owned = Tar::new().add(
        "a",
        tar::EntryType::Regular,
        "",
        &holes([true, false, true, false]),
        |header| header.set_mode(0o4755),
    );
    for planned in [
        owned.done(),
        file(&holes([true, false, false, false])),
        file(&holes([true, true, true, false])),
        // All of it is a hole, so that none of its data is wanted.
        file(&vec![0; 80 * BLOCK + 5]),
        Tar::new().dir("d").done(),
        [genuine.clone(), vec![0; 512]].concat(),
    ] {
        let layer = Seekable::new(&planned);
        let merge = merge(&layer, digest_of(&genuine));
        layer.replace(&genuine);
        for result in problems(&merge) {
            assert!(matches!(problem(result), LayerProblem::Changed));
        }
        layer.replace(&planned);
        for result in problems(&merge) {
            assert!(matches!(problem(result), LayerProblem::WrongDigest { .. }));
        }
    }
}

#[test]
fn a_layer_that_changes_after_it_was_planned_is_refused() {
    let tar = Tar::new().file("a", &[1; 300_000]).done();
    let layer = Seekable::new(&tar);
    let merge = merge(&layer, digest_of(&tar));
    let mut other = tar.clone();
    other[512 + 100_000] = 2;
    layer.replace(&other);
    for result in problems(&merge) {
        assert!(matches!(problem(result), LayerProblem::WrongDigest { .. }));
    }
    layer.replace(&[tar.clone(), vec![0; 512]].concat());
    for result in problems(&merge) {
        assert!(matches!(problem(result), LayerProblem::Changed));
    }
    layer.replace(&tar);
    assert!(problems(&merge).into_iter().all(|result| result.is_ok()));
}

#[test]
fn truncated_layers_say_which_entry_and_where() {
    let whole = Tar::new()
        .file("whole", &[1; 100_000])
        .file("cut", &[1; 1_000_000])
        .done();
    let digests = digest_of(&whole);
    for length in [101_888 + 100, 600_000, 1_000_000] {
        let cut = &whole[..length];
        let position = |result: Result<(), Error>| {
            let Err(Error::Layer { source, .. }) = &result else {
                panic!("{result:?}")
            };
            let position = (source.entry().map(<[u8]>::to_vec), source.offset());
            assert!(matches!(problem(result), LayerProblem::Truncated));
            position
        };
        let expected = (Some(b"cut".to_vec()), length as u64);
        let planned = try_merge(Seekable::new(cut), digests).map(drop);
        assert_eq!(position(planned), expected);
        let layer = Seekable::new(&whole);
        let merge = merge(&layer, digests);
        layer.replace(cut);
        for result in problems(&merge) {
            assert_eq!(position(result), expected);
        }
    }
}

#[test]
fn limits_apply_to_data_that_is_not_read() {
    let tar = Tar::new().file("a", &[1; 1 << 20]).done();
    let mut merge = Merge::new(Limits::default().unpacked(1 << 19));
    let layer = Seekable::new(&tar);
    let result = merge.layer(layer, digest_of(&tar), &Monitor::new());
    let Err(Error::Layer { source, .. }) = result else {
        panic!("{result:?}")
    };
    let LayerProblem::Limit { kind, .. } = source.problem() else {
        panic!("{source:?}")
    };
    assert_eq!(*kind, LimitKind::Unpacked);
    assert_eq!(source.entry(), Some(&b"a"[..]));
}

#[test]
fn progress_is_the_same_as_for_a_layer_that_cannot_seek() {
    let tar = Tar::new()
        .file("a", &[1; 1_000_000])
        .dir("d")
        .file("d/b", b"22")
        .done();
    let monitor = Monitor::new();
    let mut merge = Merge::new(Limits::default());
    let layer = Seekable::new(&tar);
    merge.layer(layer, digest_of(&tar), &monitor).unwrap();
    assert_eq!((monitor.entries(), monitor.bytes()), (3, 1_000_002));
}
