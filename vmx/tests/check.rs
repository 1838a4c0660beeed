//! Findings of `check` in whole files; `disagreements` tests single lines.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use vmx::Reader::{Gns3, Guest, Libvirt, VirtV2v, Vmware};
use vmx::{Construct, Document, EditError, Effect, Encoding, FileKind, ParseOptions};

fn constructs(file: &str) -> Vec<(Construct, Vec<usize>)> {
    let mut found: Vec<_> = Document::parse_lenient(file)
        .unwrap()
        .check()
        .into_iter()
        .map(|finding| (finding.construct, finding.lines))
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn sizes_are_findings() {
    let head = ".encoding = \"UTF-8\"\nconfig.version = \"8\"\nvirtualhw.version = \"20\"\nguestos = \"dos\"\n";
    assert_eq!(constructs(head), []);
    let long = format!("{head}guestinfo.a = \"{}\"\n", "x".repeat(65 * 1024));
    assert_eq!(constructs(&long), [(Construct::LongValue, vec![5])]);
    let large = format!("{head}note = \"{}\"\n", "x".repeat(1024 * 1024));
    assert_eq!(constructs(&large), [(Construct::TooLarge, vec![])]);
    let raised = format!("{large}tools.setinfo.sizelimit = \"2000000\"\n");
    assert_eq!(constructs(&raised), []);
    let lowered = format!("{head}tools.setinfo.sizelimit = \"10\"\n");
    let findings = Document::parse(lowered).unwrap().check();
    assert_eq!(findings[0].reader, Guest);
}

#[test]
fn a_machine_without_its_settings() {
    let found = constructs(
        "displayname = \"x\"\nscsi0:0.filename = \"a\"\nmemsize = \"5\"\nnumvcpus = \"x\"\n",
    );
    assert_eq!(
        found,
        [
            (Construct::OtherCase, vec![3]),
            (Construct::WrongType, vec![4]),
            (Construct::NoVersion, vec![]),
            (Construct::NoGuestOs, vec![]),
            (Construct::OddMemory, vec![3]),
            (Construct::Inert, vec![2]),
            (Construct::NoEncoding, vec![]),
        ]
    );
}

#[test]
fn charsets_that_others_do_not_read() {
    let file = b".encoding = \"windows-949-2000\"\na = \"\xBD\xC7\"\n.foo = \"x\"\n";
    let found: Vec<_> = Document::parse(&file[..])
        .unwrap()
        .check()
        .into_iter()
        .map(|finding| (finding.reader, finding.construct))
        .collect();
    assert!(found.contains(&(Libvirt, Construct::ForeignEncodingName)));
    assert!(found.contains(&(VirtV2v, Construct::ForeignText)));
    assert!(found.contains(&(Vmware, Construct::Metavariable)));
}

#[test]
fn whatever_vmware_refuses_has_a_remedy() {
    let file = b"= 1\nprose\na b = \"x\"\na = b c\na = \"x\nb = \"x\"y\"\nc = \"x\";d = \"y\"\n\
        e = \"\xFF\"\nE = \"1\"\nmemSize = \"4\"\n.encoding = \"UTF-8\"\n.encoding = \"GBK\"\n";
    let document = Document::parse_lenient(&file[..]).unwrap();
    let mut refused = 0;
    for finding in document.check() {
        if (finding.reader, finding.effect) == (Vmware, Effect::Refuses) {
            assert!(finding.construct.remedy().is_some(), "{finding}");
            refused += 1;
        }
    }
    assert_eq!(refused, 11);
}

#[test]
fn devices_that_an_importer_leaves_out() {
    let file = "config.version = \"8\"\nvirtualHW.version = \"20\"\nguestOS = \"dos\"\n\
        firmware = \"EFI\"\nide0:0.present = \"TRUE\"\nide0:0.fileName = \"a.vmdk\"\n\
        ide0:1.present = \"TRUE\"\nide0:1.deviceType = \"ata-hardDisk\"\n\
        ide1:0.present = \"TRUE\"\nide1:0.deviceType = \"cdrom-image\"\n\
        ide1:1.present = \"FALSE\"\nsata0.present = \"TRUE\"\n\
        sata0:1.present = \"TRUE\"\nsata0:1.deviceType = \"cdrom-image\"\n";
    let found: Vec<_> = Document::parse(file)
        .unwrap()
        .check()
        .into_iter()
        .filter(|finding| finding.reader == VirtV2v)
        .map(|finding| (finding.construct, finding.lines))
        .collect();
    assert_eq!(
        found,
        [
            (Construct::PlainIdeDisk, vec![5]),
            (Construct::CdromBesideIde, vec![13]),
            (Construct::OddFirmware, vec![4]),
        ]
    );
}

#[test]
fn an_encoding_below_a_shebang_is_not_seen_by_all() {
    let text = |file: &[u8]| {
        let findings = Document::parse(file).unwrap().check();
        findings
            .iter()
            .any(|f| (f.reader, f.construct) == (Gns3, Construct::LateEncoding))
    };
    assert!(text(
        b"#!/usr/bin/vmware\n.encoding = \"GBK\"\na = \"\xCE\xBB\"\n"
    ));
    assert!(!text(b".encoding = \"GBK\"\na = \"\xCE\xBB\"\n"));
    assert!(!text(
        b"#!/usr/bin/vmware\n.encoding = \"GBK\"\na = \"x\"\n"
    ));
}

/// Returns the findings for VMware, in a machine that is correct except for these lines.
fn of_vmware(lines: &str) -> Vec<(Effect, Construct)> {
    let file = format!(
        ".encoding = \"UTF-8\"\nconfig.version = \"8\"\nvirtualHW.version = \"20\"\n\
         guestOS = \"other\"\nscsi0.present = \"TRUE\"\n{lines}"
    );
    let mut document = Document::parse_lenient(file).unwrap();
    document.remove_duplicates();
    let findings = document.check_as(FileKind::Machine);
    let of_vmware = findings.into_iter().filter(|f| f.reader == Vmware);
    of_vmware.map(|f| (f.effect, f.construct)).collect()
}

#[test]
fn what_keeps_a_machine_from_powering_on() {
    use Construct::{CpusOutOfRange, ImpossibleFile, MemoryOutOfRange, StaticAddressOutOfRange};

    let disk = |name: &str| format!("scsi0:0.present = TRUE\nscsi0:0.fileName = \"{name}\"\n");
    let cd = |name: &str| format!("{}scsi0:0.deviceType = \"cdrom-image\"\n", disk(name));
    let card = |address: &str| {
        format!(
            "ethernet0.present = TRUE\nethernet0.addressType = static\n\
             ethernet0.address = \"{address}\"\n"
        )
    };
    for (lines, expected) in [
        (String::new(), None),
        ("memSize = \"0\"\n".into(), Some(MemoryOutOfRange)),
        ("memSize = \"4\"\n".into(), None),
        ("memSize = \"26000000\"\n".into(), Some(MemoryOutOfRange)),
        ("numvcpus = \"0\"\n".into(), Some(CpusOutOfRange)),
        ("numvcpus = \"769\"\n".into(), Some(CpusOutOfRange)),
        (
            "numvcpus = \"3\"\ncpuid.coresPerSocket = \"2\"\n".into(),
            Some(CpusOutOfRange),
        ),
        (
            "numvcpus = \"3\"\ncpuid.coresPerSocket = \"0\"\n".into(),
            Some(CpusOutOfRange),
        ),
        (
            "numvcpus = \"4\"\ncpuid.coresPerSocket = \"2\"\n".into(),
            None,
        ),
        (disk("a.vmdk"), None),
        (disk("/vmfs/volumes/ds/a/A.VMDK"), None),
        (disk(""), Some(ImpossibleFile)),
        (disk("a.iso"), Some(ImpossibleFile)),
        (disk("folder/"), Some(ImpossibleFile)),
        (disk("a|0Ab.vmdk"), Some(ImpossibleFile)),
        ("scsi0:0.present = TRUE\n".into(), Some(ImpossibleFile)),
        ("scsi0:0.present = FALSE\n".into(), None),
        (cd("tools.iso"), None),
        (cd("image.dmg"), None),
        (cd(""), Some(ImpossibleFile)),
        (cd("a.vmdk"), Some(ImpossibleFile)),
        (card("00:50:56:3f:ff:ff"), None),
        (card("00:50:56:40:00:00"), Some(StaticAddressOutOfRange)),
        (card("00:0c:29:00:00:01"), Some(StaticAddressOutOfRange)),
        (
            card("00:0c:29:00:00:01") + "ethernet0.checkMACAddress = FALSE\n",
            None,
        ),
        (
            card("00:0c:29:00:00:01").replace("static", "generated"),
            None,
        ),
        ("managedVM.autoAddVTPM = \"software\"\n".into(), None),
    ] {
        let expected: Vec<_> = expected
            .map(|construct| (Effect::FailsAtPowerOn, construct))
            .into_iter()
            .collect();
        assert_eq!(of_vmware(&lines), expected, "{lines}");
    }
}

#[test]
fn guest_systems_that_vmware_does_not_know() {
    for guest in ["dos 397", "", "ubuntoo-64"] {
        let file =
            format!("config.version = \"8\"\nvirtualHW.version = \"20\"\nguestOS = \"{guest}\"\n");
        let findings = Document::parse(file).unwrap().check();
        assert_eq!(findings[0].construct, Construct::UnknownGuestOs);
        assert_eq!(findings[0].effect, Effect::FailsAtPowerOn);
        assert_eq!(findings[0].lines, [3]);
        assert_eq!(
            findings[0].to_string(),
            "VMware does not power the machine on: a guestOS that VMware does not know"
        );
    }
}

#[test]
fn encrypted_settings_need_their_key() {
    let found = constructs(".encoding = \"UTF-8\"\nencryption.data = \"AAAA\"\n");
    assert!(found.contains(&(Construct::NoKeySafe, vec![2])));
    let found = constructs("encryption.keySafe = \"x\"\nencryption.data = \"AAAA\"\n");
    assert!(
        !found
            .iter()
            .any(|(found, _)| *found == Construct::NoKeySafe)
    );
}

#[test]
fn files_that_only_vmware_reads_say_nothing_of_others() {
    let file = "snapshot.lastUID = \"1\"\nsnapshot0.displayName = 'x'\nsnapshot/a = b\n";
    let findings = Document::parse(file).unwrap().check();
    assert!(!findings.is_empty());
    assert!(findings.iter().all(|finding| finding.reader == Vmware));
    let machine = Document::parse(file).unwrap().check_as(FileKind::Machine);
    assert!(machine.iter().any(|finding| finding.reader == Libvirt));
}

/// Bytes that only some hosts can read are not reported as refused, and no encoding is
/// declared over them.
#[test]
fn what_depends_on_the_host_is_said_to() {
    let file = &b"config.version = \"8\"\nvirtualHW.version = \"20\"\nguestOS = \"other\"\n\
        displayName = \"caf\xE9\"\n"[..];
    let mut document = Document::parse_lenient(file).unwrap();
    assert!(document.problems()[0].depends_on_host());
    let findings = document.check();
    let of_vmware = |construct| {
        findings
            .iter()
            .find(|f| f.reader == Vmware && f.construct == construct)
            .map(|f| f.effect)
    };
    assert_eq!(of_vmware(Construct::HostText), Some(Effect::Notes));
    assert_eq!(of_vmware(Construct::Undecodable), None);
    assert_eq!(of_vmware(Construct::WrongType), None);

    let error = document.set("annotation", "\u{fc}").unwrap_err();
    assert!(matches!(&error, EditError::Undeclared { other, .. } if other == "displayName"));
    assert!(
        document
            .insert_after("guestOS", "annotation", "\u{fc}")
            .is_err()
    );
    assert_eq!(document.to_bytes(), file);
    document.set("memSize", "64").unwrap();

    // Once the encoding is given, the file can be edited.
    let western = Encoding::for_label("windows-1252").unwrap();
    let options = ParseOptions::new().default_encoding(western);
    let mut document = options.parse(file).unwrap();
    document.set("annotation", "\u{fc}").unwrap();
    assert_eq!(document.problems(), []);
    assert_eq!(document.encoding(), Ok(western));
}

#[test]
fn an_edit_is_compared_with_what_was_there() {
    let before = Document::parse(
        "config.version = \"8\"\nvirtualHW.version = \"20\"\nguestOS = \"other\"\n\
         numvcpus = \"x\"\nethernet0.present = \"TRUE\"\n",
    )
    .unwrap();
    let worse = |edit: fn(&mut Document)| {
        let mut after = before.clone();
        edit(&mut after);
        let worse = after.made_worse(&before);
        worse.into_iter().map(|f| f.construct).collect::<Vec<_>>()
    };
    assert_eq!(worse(|_| {}), []);
    assert_eq!(worse(|d| drop(d.set("memSize", "64"))), []);
    assert_eq!(
        worse(|d| drop(d.set("memSize", "abc"))),
        [Construct::WrongType]
    );
    assert_eq!(
        worse(|d| drop(d.set("ethernet0.present", "maybe"))),
        [Construct::WrongType]
    );
    assert_eq!(worse(|d| drop(d.set("numvcpus", "y"))), []);
    assert_eq!(
        worse(|d| drop(d.set("guestOS", "dos 397"))),
        [Construct::UnknownGuestOs]
    );
    assert_eq!(
        worse(|d| drop(d.remove("config.version"))),
        [Construct::NoVersion]
    );
}
