//! Layers are merged by the rules of the OCI image specification.

use std::io::Write;

use tar::EntryType;

use crate::support::{Tar, disk, expect, merged, tree};

#[test]
fn whiteouts_hide_lower_layers_only_whatever_their_order() {
    let lower = Tar::new()
        .file("a/x", b"1")
        .file("a/y", b"1")
        .file("b/x", b"1")
        .done();
    let upper = Tar::new()
        .file("a/x", b"2")
        .file("a/.wh.x", b"")
        .file("b/.wh.x", b"");
    let upper = upper.file("b/x", b"2").file("a/.wh.y", b"").done();
    let expected = expect(&[("a", "d"), ("a/x", "f:2"), ("b", "d"), ("b/x", "f:2")]);
    assert_eq!(merged([lower, upper]), expected);
}

#[test]
fn opaque_directories_keep_what_their_own_layer_has() {
    let lower = Tar::new()
        .file("a/x", b"1")
        .file("a/sub/y", b"1")
        .file("a/sub/z", b"1")
        .done();
    let upper = Tar::new().file("a/new", b"2").file("a/sub/z", b"2");
    let upper = upper
        .file("a/.wh..wh..opq", b"")
        .file("a/later", b"2")
        .done();
    let expected = expect(&[
        ("a", "d"),
        ("a/later", "f:2"),
        ("a/new", "f:2"),
        ("a/sub", "d"),
        ("a/sub/z", "f:2"),
    ]);
    assert_eq!(merged([lower, upper]), expected);
}

#[test]
fn a_hidden_directory_that_is_made_again_has_only_new_files() {
    let lower = Tar::new().file("a/x", b"1").done();
    let upper = Tar::new().file("a/y", b"2").file(".wh.a", b"").done();
    assert_eq!(
        merged([lower, upper]),
        expect(&[("a", "d"), ("a/y", "f:2")])
    );
}

#[test]
fn files_replace_directories_and_back() {
    let lower = Tar::new()
        .file("d/x", b"1")
        .file("f", b"1")
        .symlink("l", "f")
        .done();
    let upper = Tar::new()
        .file("d", b"2")
        .dir("f")
        .file("f/x", b"2")
        .dir("l")
        .done();
    let expected = expect(&[("d", "f:2"), ("f", "d"), ("f/x", "f:2"), ("l", "d")]);
    assert_eq!(merged([lower, upper]), expected);
}

#[test]
fn hard_links_reach_across_layers_and_outlive_their_first_name() {
    let lower = Tar::new().file("d/a", b"data").done();
    let upper = Tar::new()
        .hard_link("b", "d/a")
        .file(".wh.d", b"")
        .hard_link("c", "b")
        .done();
    let disk = disk([lower, upper]);
    assert_eq!(tree(&disk), expect(&[("b", "f:data"), ("c", "f:data")]));
    let reader = disk_image::ext4::Reader::open(&disk).unwrap();
    let [b, c] = ["b", "c"].map(|name| reader.lookup(name.as_bytes()).unwrap());
    assert_eq!((b.number(), b.links()), (c.number(), 2));
}

#[test]
fn symbolic_links_of_parents_are_resolved_inside_the_tree() {
    let lower = Tar::new()
        .dir("real")
        .symlink("to", "real")
        .symlink("out", "../../etc");
    let lower = lower.symlink("abs", "/real/sub").done();
    let upper = Tar::new()
        .file("to/x", b"1")
        .file("out/passwd", b"2")
        .file("abs/y", b"3")
        .done();
    let expected = expect(&[
        ("abs", "l:/real/sub"),
        ("etc", "d"),
        ("etc/passwd", "f:2"),
        ("out", "l:../../etc"),
        ("real", "d"),
        ("real/sub", "d"),
        ("real/sub/y", "f:3"),
        ("real/x", "f:1"),
        ("to", "l:real"),
    ]);
    assert_eq!(merged([lower, upper]), expected);
}

#[test]
fn compressed_layers_make_the_same_disk_as_plain_ones() {
    let plain = Tar::new().file("a", &[7; 100_000]).done();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain[..1024]).unwrap();
    let mut gzip = gzip.finish().unwrap();
    // Several gzip members form one stream.
    let mut more = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    more.write_all(&plain[1024..]).unwrap();
    gzip.extend(more.finish().unwrap());
    let zstd = zstd::encode_all(&plain[..], 1).unwrap();
    // As pzstd writes it, beginning with a skippable frame.
    let parallel = [b"\x50\x2a\x4d\x18\x04\0\0\0size".as_slice(), &zstd].concat();
    let expected = disk([plain]);
    assert!(disk([gzip]) == expected);
    assert!(disk([zstd]) == expected);
    assert!(disk([parallel]) == expected);
}

#[test]
fn names_are_bytes_and_records_win_over_headers() {
    let name = b"n\xff\xfe\x80";
    let tar = Tar::new()
        .pax(&[("path", name), ("uid", b"3000000000")])
        .file("ignored", b"x")
        .done();
    assert_eq!(merged([tar]), expect(&[("n\\xff\\xfe\\x80", "f:x")]));
}

#[test]
fn every_form_of_sparse_file_is_expanded() {
    let size = 1_000_000u64;
    let chunks: [(u64, &[u8]); 2] = [(4096, b"first"), (500_000, b"second")];
    let mut content = vec![0; size as usize];
    let mut packed = Vec::new();
    for (offset, data) in chunks {
        content[offset as usize..offset as usize + data.len()].copy_from_slice(data);
        packed.extend_from_slice(data);
    }
    let numbers = |separator: &str| {
        let pairs = chunks
            .iter()
            .map(|(o, d)| format!("{o}{separator}{}", d.len()));
        pairs.collect::<Vec<_>>().join(separator)
    };
    let size_text = size.to_string();
    let real = size_text.as_bytes();
    let old = Tar::new().add("f", EntryType::GNUSparse, "", &packed, |header| {
        header.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0");
        let gnu = header.as_gnu_mut().unwrap();
        for (slot, (offset, data)) in gnu.sparse.iter_mut().zip(chunks) {
            slot.offset
                .copy_from_slice(format!("{offset:011o}\0").as_bytes());
            slot.numbytes
                .copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
        }
        gnu.realsize
            .copy_from_slice(format!("{size:011o}\0").as_bytes());
    });
    let lens = chunks.map(|(o, d)| [o.to_string(), d.len().to_string()]);
    let v00 = Tar::new()
        .pax(&[
            ("GNU.sparse.size", real),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", lens[0][0].as_bytes()),
            ("GNU.sparse.numbytes", lens[0][1].as_bytes()),
            ("GNU.sparse.offset", lens[1][0].as_bytes()),
            ("GNU.sparse.numbytes", lens[1][1].as_bytes()),
        ])
        .file("f", &packed);
    let v01 = Tar::new()
        .pax(&[
            ("GNU.sparse.size", real),
            ("GNU.sparse.name", b"f"),
            ("GNU.sparse.map", numbers(",").as_bytes()),
        ])
        .file("GNUSparseFile.1/f", &packed);
    let mut with_map = format!("2\n{}\n", numbers("\n")).into_bytes();
    with_map.resize(512, 0);
    with_map.extend_from_slice(&packed);
    let v10 = Tar::new()
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"f"),
            ("GNU.sparse.realsize", real),
        ])
        .file("GNUSparseFile.1/f", &with_map);
    for (form, tar) in [("old", old), ("0.0", v00), ("0.1", v01), ("1.0", v10)] {
        let disk = disk([tar.done()]);
        let reader = disk_image::ext4::Reader::open(&disk).unwrap();
        let inode = reader.lookup(b"f").unwrap();
        let mut found = Vec::new();
        std::io::Read::read_to_end(&mut reader.file(&inode).unwrap(), &mut found).unwrap();
        assert!(found == content, "{form}");
        let mut file = reader.file(&inode).unwrap();
        assert_eq!(
            file.seek_data().unwrap(),
            Some(4096),
            "{form}: the hole is kept"
        );
    }
}

/// The map continues in blocks after the header, 21 ranges in each.
#[test]
fn old_sparse_maps_of_many_ranges_are_read() {
    let ranges = 4 + 21 + 3;
    let field = |number: usize| format!("{number:011o}\0").into_bytes();
    let range = |index: usize| [field(index * 8192), field(100)].concat();
    let data: Vec<u8> = (0..ranges).flat_map(|n| [n as u8 + 1; 100]).collect();
    let mut tar = Tar::new().add("f", EntryType::GNUSparse, "", b"", |header| {
        header.as_mut_bytes()[257..265].copy_from_slice(b"ustar  \0");
        let map: Vec<u8> = (0..4).flat_map(range).collect();
        let bytes = header.as_mut_bytes();
        bytes[386..386 + map.len()].copy_from_slice(&map);
        bytes[482] = 1;
        bytes[483..495].copy_from_slice(&field(300_000));
        header.set_size(data.len() as u64);
    });
    for (block, is_last) in [(4..25, false), (25..ranges, true)] {
        let mut map: Vec<u8> = block.flat_map(range).collect();
        map.resize(512, 0);
        map[504] = u8::from(!is_last);
        tar = tar.raw(&map);
    }
    let disk = disk([tar.raw(&data).pad().done()]);
    let reader = disk_image::ext4::Reader::open(&disk).unwrap();
    let mut found = Vec::new();
    let file = reader.lookup(b"f").unwrap();
    std::io::Read::read_to_end(&mut reader.file(&file).unwrap(), &mut found).unwrap();
    let mut expected = vec![0; 300_000];
    for (index, data) in data.chunks(100).enumerate() {
        expected[index * 8192..][..100].copy_from_slice(data);
    }
    assert!(found == expected);
}

#[test]
fn the_last_entry_may_end_without_its_padding() {
    for padding in [0, 1, 500] {
        let mut layer = Tar::new().dir("d").file("d/x", b"12345").unfinished();
        layer.truncate(3 * 512);
        layer.truncate(2 * 512 + 5 + padding);
        let expected = expect(&[("d", "d"), ("d/x", "f:12345")]);
        assert_eq!(merged([layer]), expected, "{padding} bytes of padding");
    }
}
