//! What `check` finds in whole files; single lines are in `disagreements`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use vmx::Reader::{Gns3, Guest, Libvirt, VirtV2v, Vmware};
use vmx::{Construct, Document, Effect};

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
    let head = ".encoding = \"UTF-8\"\nconfig.version = \"8\"\nvirtualhw.version = \"20\"\nguestos = \"x\"\n";
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
    let file = "config.version = \"8\"\nvirtualHW.version = \"20\"\nguestOS = \"x\"\n\
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
