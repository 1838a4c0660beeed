//! Where readers disagree, line by line: what VMware reads is what we read, and
//! `check` names the readers that see something else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use vmx::Reader::{
    self, Dissect, Gns3, Govmx, Guest, Libvirt, Packer, Proxmox, Vagrant, Veeam, VirtV2v, Vmware,
    XenOrchestra,
};
use vmx::{Construct, Document, Effect};

/// A row of the table: a file, what VMware reads (`None`: it refuses the file), and
/// who else does not read the same.
struct Row {
    file: &'static str,
    vmware: Option<&'static [(&'static str, &'static str)]>,
    others: &'static [Reader],
}

const TABLE: &[Row] = &[
    Row {
        file: "memSize = \"1024\"\n",
        vmware: Some(&[("memSize", "1024")]),
        others: &[],
    },
    Row {
        file: "memSize=1024\n",
        vmware: Some(&[("memSize", "1024")]),
        others: &[Libvirt, VirtV2v, XenOrchestra],
    },
    Row {
        file: "memSize = 1024\n",
        vmware: Some(&[("memSize", "1024")]),
        others: &[Libvirt, VirtV2v, XenOrchestra],
    },
    Row {
        file: "memSize = \"4\"\nmemSize = \"8\"\n",
        vmware: None,
        others: &[Packer, Govmx, Vagrant, Dissect, Gns3, Proxmox, XenOrchestra],
    },
    Row {
        file: "a = \"x\" # comment\n",
        vmware: Some(&[("a", "x")]),
        others: &[
            VirtV2v,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "a = \"x # y\"\n",
        vmware: Some(&[("a", "x # y")]),
        others: &[],
    },
    Row {
        file: "a = x#y\n",
        vmware: Some(&[("a", "x")]),
        others: &[
            Libvirt,
            VirtV2v,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "a = two words\n",
        vmware: None,
        others: &[Libvirt, VirtV2v, XenOrchestra],
    },
    Row {
        file: "a = \"\"\n",
        vmware: Some(&[("a", "")]),
        others: &[],
    },
    Row {
        file: "a =\n",
        vmware: Some(&[("a", "")]),
        others: &[Libvirt, VirtV2v, Proxmox, XenOrchestra],
    },
    Row {
        file: "a\n",
        vmware: None,
        others: &[
            Libvirt,
            VirtV2v,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "a = \"b|22c\"\n",
        vmware: Some(&[("a", "b\"c")]),
        others: &[
            Libvirt,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "a = \"x||22y\"\n",
        vmware: Some(&[("a", "x||22y")]),
        others: &[VirtV2v],
    },
    Row {
        file: "a = \"50|\"\n",
        vmware: Some(&[("a", "50|")]),
        others: &[],
    },
    Row {
        file: "annotation = \"50|\"\n",
        vmware: Some(&[("annotation", "50|")]),
        others: &[Libvirt],
    },
    Row {
        file: "displayName = \"100%\"\n",
        vmware: Some(&[("displayName", "100%")]),
        others: &[Libvirt],
    },
    Row {
        file: "a = \"x|00y\"\n",
        vmware: Some(&[("a", "x")]),
        others: &[
            Vmware,
            VirtV2v,
            Libvirt,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "a = \"x\"y\"\n",
        vmware: None,
        others: &[
            Libvirt,
            VirtV2v,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "a = \"x\n",
        vmware: None,
        others: &[
            Libvirt,
            VirtV2v,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "a = 'x'\n",
        vmware: Some(&[("a", "'x'")]),
        others: &[Libvirt, VirtV2v, Govmx, Proxmox, XenOrchestra],
    },
    Row {
        file: "a = \"x=y\"\n",
        vmware: Some(&[("a", "x=y")]),
        others: &[Govmx],
    },
    Row {
        file: " a = \"x\"\n",
        vmware: Some(&[("a", "x")]),
        others: &[VirtV2v, Packer, XenOrchestra],
    },
    Row {
        file: "a = \"x\"  \n",
        vmware: Some(&[("a", "x")]),
        others: &[VirtV2v, XenOrchestra],
    },
    Row {
        file: "a = \"x\"\r\n",
        vmware: Some(&[("a", "x")]),
        others: &[XenOrchestra],
    },
    Row {
        file: "a = \"x\"\rb = \"y\"\n",
        vmware: Some(&[("a", "x"), ("b", "y")]),
        others: &[VirtV2v, Packer, Govmx, Dissect, Proxmox, XenOrchestra],
    },
    Row {
        file: "\"a\" = \"x\"\n",
        vmware: Some(&[("\"a\"", "x")]),
        others: &[Libvirt],
    },
    Row {
        file: "a b = \"x\"\n",
        vmware: None,
        others: &[
            Libvirt,
            VirtV2v,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "\u{FEFF}a = \"x\"\n",
        vmware: Some(&[("a", "x")]),
        others: &[
            Libvirt,
            VirtV2v,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "// note\n",
        vmware: None,
        others: &[
            Libvirt,
            VirtV2v,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "; note\n",
        vmware: None,
        others: &[
            Libvirt,
            VirtV2v,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "a = \"x\";b = \"y\"\n",
        vmware: None,
        others: &[
            Libvirt,
            VirtV2v,
            Packer,
            Govmx,
            Vagrant,
            Dissect,
            Gns3,
            Proxmox,
            XenOrchestra,
        ],
    },
    Row {
        file: "guestinfo./s|ab/cmd/Path = \"/hello\"\n",
        vmware: Some(&[("guestinfo./s|ab/cmd/Path", "/hello")]),
        others: &[Libvirt, Veeam],
    },
    Row {
        file: "a = \"x\\ny\"\n",
        vmware: Some(&[("a", "x\\ny")]),
        others: &[Govmx],
    },
    Row {
        file: "#a = \"x\"\n",
        vmware: Some(&[]),
        others: &[Packer, Gns3, Proxmox, XenOrchestra],
    },
    Row {
        file: "  #a = \"x\"\n",
        vmware: Some(&[]),
        others: &[Packer, Govmx, Vagrant, Gns3, Proxmox, XenOrchestra],
    },
    Row {
        file: "a\t=\t\"x\"\n",
        vmware: Some(&[("a", "x")]),
        others: &[Dissect, Gns3, XenOrchestra],
    },
    Row {
        file: "guestOS = \"x\"\nguestOS.detailed.data = \"y\"\n",
        vmware: Some(&[("guestOS", "x"), ("guestOS.detailed.data", "y")]),
        others: &[VirtV2v, XenOrchestra],
    },
];

#[test]
fn the_table() {
    for row in TABLE {
        let strict = Document::parse(row.file);
        match row.vmware {
            None => assert!(strict.is_err(), "{:?}", row.file),
            Some(entries) => {
                let document = strict.unwrap();
                let read: Vec<_> = document
                    .entries()
                    .map(|e| (e.name().to_string(), e.value().text().unwrap().into_owned()))
                    .collect();
                let read: Vec<_> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                assert_eq!(read, entries, "{:?}", row.file);
            }
        }
        let document = Document::parse_lenient(row.file).unwrap();
        let mut others: Vec<_> = document
            .check()
            .into_iter()
            // That a machine lacks its settings is not what the rows are about.
            .filter(|f| !matches!(f.construct, Construct::NoVersion | Construct::NoGuestOs))
            .filter(|f| f.effect != Effect::Notes)
            .map(|f| f.reader)
            .filter(|&reader| reader != Vmware || row.vmware.is_some())
            .collect();
        others.sort();
        others.dedup();
        let mut expected = row.others.to_vec();
        expected.sort();
        assert_eq!(others, expected, "{:?}", row.file);
    }
}

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
