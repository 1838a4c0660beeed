//! Our own files, which imitate files found in the wild: each construct as the product,
//! person or accident produces it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use vmx::view::{AddressType, CardModel, VirtualMachineFile};
use vmx::{Document, ExtraConfig, FileKind, ParseErrorKind, Snapshots};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap()
}

fn parse(name: &str) -> Document {
    Document::parse(bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text(document: &Document, name: &str) -> String {
    document.get(name).unwrap().text().unwrap().into_owned()
}

#[test]
fn every_file_is_printed_byte_for_byte() {
    let mut count = 0;
    for entry in fs::read_dir(path("")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert_eq!(
            Document::parse_lenient(&bytes[..]).unwrap().to_bytes(),
            bytes
        );
        count += 1;
    }
    assert!(count > 12);
}

#[test]
fn the_first_power_on_is_what_diff_shows() {
    let (old, new) = (
        parse("workstation.vmx"),
        parse("workstation-after-power-on.vmx"),
    );
    let differences = old.diff(&new);
    assert_eq!(differences.len(), 29);
    assert!(
        differences
            .iter()
            .all(|d| matches!(d, vmx::Difference::Added(_)))
    );
    assert_eq!(new.diff(&old).len(), 29);
}

#[test]
fn charsets_by_the_names_of_vmware() {
    assert_eq!(text(&parse("player-crlf.vmx"), "displayName"), "Prüfstand");
    assert_eq!(text(&parse("shift-jis.vmx"), "displayName"), "試験機");
    assert_eq!(text(&parse("shift-jis.vmx"), "annotation"), "表示ソ");
    assert_eq!(text(&parse("gbk.vmx"), "displayName"), "Windows 10 x64 位");
    assert_eq!(text(&parse("korean.vmx"), "displayName"), "실행");
}

#[test]
fn escapes_of_older_writers() {
    let player = parse("player-crlf.vmx");
    assert_eq!(
        text(&player, "annotation"),
        "Line one\r\nLine \"two\"\r\nwith a | pipe"
    );
    assert_eq!(text(&player, "unity.customColor"), "#C0C0C0");
}

#[test]
fn every_charset_becomes_utf_8_on_request() {
    for name in ["player-crlf.vmx", "shift-jis.vmx", "gbk.vmx", "korean.vmx"] {
        let old = parse(name);
        let mut new = old.clone();
        let change = new.transcode(vmx::Encoding::UTF_8).unwrap();
        assert!(
            Document::parse(new.to_bytes()).unwrap().encoding().unwrap() == vmx::Encoding::UTF_8
        );
        let differences = old.diff(&new);
        assert_eq!(differences.len(), 1, "{name}: the declaration alone");
        new.undo(change).unwrap();
        assert_eq!(new.to_bytes(), bytes(name));
    }
}

#[test]
fn a_file_made_by_hand() {
    let document = parse("hand-made.vmx");
    let machine = VirtualMachineFile::new(&document);
    assert!(machine.disks()[0].ssd().unwrap());
    assert_eq!(document.get("rtc.diffFromUTC").unwrap().integer(), Ok(0));
    assert!(
        document
            .entry("ethernet1.present")
            .unwrap()
            .comment()
            .is_some()
    );
    assert!(!document.contains("#ethernet0.present"));
}

#[test]
fn a_file_that_shouts() {
    let document = parse("upper-case.vmx");
    let machine = VirtualMachineFile::new(&document);
    let card = &machine.network_cards()[0];
    assert_eq!(card.model().unwrap(), Some(CardModel::Vmxnet3));
    assert_eq!(card.address_type().unwrap(), AddressType::Static);
    assert_eq!(
        card.mac_address().unwrap().unwrap().to_string(),
        "00:50:56:11:22:33"
    );
    assert_eq!(machine.memory_mb().unwrap(), 64);
}

#[test]
fn a_file_that_whispers() {
    let document = parse("lower-case.vmx");
    let machine = VirtualMachineFile::new(&document);
    assert_eq!(machine.hardware_version().unwrap(), Some(4));
    let disks = machine.disks();
    assert_eq!(disks[0].file_name().unwrap().as_deref(), Some("quiet.vmdk"));
    assert_eq!(
        machine.controllers()[0].api_type(),
        "VirtualBusLogicController"
    );
    assert_eq!(
        machine.presence(disks[0].device_name()),
        vmx::view::Presence::Present
    );
}

#[test]
fn an_encrypted_machine_is_recognised_and_kept() {
    let mut document = parse("encrypted.vmx");
    assert!(document.is_encrypted());
    assert_eq!(document.kind(), FileKind::Machine);
    document.set("displayName", "renamed").unwrap();
    let old = bytes("encrypted.vmx");
    let new = document.to_bytes();
    let sealed = |bytes: &[u8]| {
        bytes
            .split(|&b| b == b'\n')
            .skip(2)
            .collect::<Vec<_>>()
            .concat()
    };
    assert_eq!(sealed(&old), sealed(&new));
    assert!(
        document
            .check()
            .iter()
            .any(|f| f.construct == vmx::Construct::Encrypted)
    );
}

#[test]
fn damaged_files_say_where() {
    for (name, line, kind) in [
        ("prose.vmx", 4, ParseErrorKind::EqualsMissing),
        ("lost-quote.vmx", 6, ParseErrorKind::QuoteUnclosed),
        (
            "two-casings.vmx",
            7,
            ParseErrorKind::Duplicate {
                name: "msg.autoAnswer".into(),
                first: 5,
            },
        ),
    ] {
        let error = Document::parse(bytes(name)).unwrap_err();
        assert_eq!(
            (error.position().line, error.kind()),
            (line, &kind),
            "{name}"
        );
        assert_eq!(
            Document::parse_lenient(bytes(name))
                .unwrap()
                .problems()
                .len(),
            1,
            "{name}"
        );
    }
}

#[test]
fn a_container_tells_its_state() {
    let extra = ExtraConfig::from_document(&parse("container.vmx")).unwrap();
    assert_eq!(extra.get("guestinfo./repo"), Some("busybox"));
    assert_eq!(
        extra.get("guestinfo./sessions|0f5e1c2d3b4a/cmd/Args~"),
        Some("/hello|world")
    );
    assert!(!extra.contains("scsi0.virtualDev") && extra.contains("serial0.hardwareFlowControl"));
}

#[test]
fn neighbours_of_a_machine() {
    assert_eq!(
        FileKind::of(&bytes("one-snapshot.vmsd")),
        FileKind::Snapshots
    );
    assert_eq!(FileKind::of(&bytes("preferences")), FileKind::Preferences);
    assert_eq!(
        FileKind::of(&bytes("web-01.vmxf")),
        FileKind::ExtendedConfig
    );
    assert_eq!(FileKind::of(&bytes("container.vmx")), FileKind::Machine);

    let document = parse("one-snapshot.vmsd");
    let snapshots = Snapshots::new(&document);
    assert_eq!(snapshots.current().unwrap(), Some(2));
    assert!(!snapshots.needs_consolidation().unwrap());
    let all = snapshots.all().unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].description.as_deref(), Some("before\nupdates"));
    assert_eq!(
        all[0].created_micros,
        Some((392_151 << 32) + (4_294_967_296 - 1_427_325_168))
    );
    assert_eq!(all[1].parent, Some(1));
    assert_eq!(
        all[1].disks[0].file_name.as_deref(),
        Some("web-01-000001.vmdk")
    );
}
