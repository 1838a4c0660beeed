//! Lines that readers disagree on: this crate reads what VMware reads, and `check`
//! reports what each other reader makes of the line.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use vmx::Reader::{
    self, Dissect, Gns3, Govmx, Libvirt, Packer, Proxmox, Vagrant, Veeam, VirtV2v, Vmware,
    XenOrchestra,
};
use vmx::{Construct, Document, Effect};

/// The columns of the table.
const READERS: [Reader; 10] = [
    Vmware,
    Libvirt,
    VirtV2v,
    Packer,
    Govmx,
    Vagrant,
    Dissect,
    Gns3,
    Proxmox,
    XenOrchestra,
];

/// The entries that VMware reads; empty if it refuses the file.
type Read = &'static [(&'static str, &'static str)];

/// A file, what VMware reads from it, and the result of each reader: `=` reads the same
/// or what was meant, `E` refuses the file, `s` skips the line, `x` reads something else.
#[rustfmt::skip]
const TABLE: &[(&str, Read, &str)] = &[
    //                                                     V l v P g V d G p X
    ("memSize = \"1024\"\n", &[("memSize", "1024")],      "= = = = = = = = = ="),
    ("memSize=1024\n", &[("memSize", "1024")],            "= E s = = = = = = x"),
    ("memSize = 1024\n", &[("memSize", "1024")],          "= E s = = = = = = x"),
    ("memSize = \"4\"\nmemSize = \"8\"\n", &[],           "E = = x x x x x x x"),
    ("a = \"x\" # comment\n", &[("a", "x")],              "= = s x x x x x x x"),
    ("a = \"x # y\"\n", &[("a", "x # y")],                "= = = = = = = = = ="),
    ("a = x # y\n", &[("a", "x")],                        "= E s x x x x x x x"),
    ("a = x#y\n", &[("a", "x")],                          "= E s x x x x x x x"),
    ("a = two words\n", &[],                              "E E s = = = = = = x"),
    ("a = \"\"\n", &[("a", "")],                          "= = = = = = = = = ="),
    ("a =\n", &[("a", "")],                               "= E s = = = = = s x"),
    ("a\n", &[],                                          "E E s s E s x s s x"),
    ("a = \"b|22c\"\n", &[("a", "b\"c")],                 "= x = x x x x x x x"),
    ("a = \"x||22y\"\n", &[("a", "x||22y")],              "= = x = = = = = = ="),
    ("a = \"50|\"\n", &[("a", "50|")],                    "= = = = = = = = = ="),
    ("annotation = \"50|\"\n", &[("annotation", "50|")],  "= E = = = = = = = ="),
    ("displayName = \"1%\"\n", &[("displayName", "1%")],  "= E = = = = = = = ="),
    ("annotation = \"|41\"\n", &[("annotation", "A")],    "= = = x x x x x x x"),
    ("a = \"x|00y\"\n", &[("a", "x")],                    "x x x x x x x x x x"),
    ("a = \"x\"y\"\n", &[],                               "E E x x x x x x x x"),
    ("a = \"x\n", &[],                                    "E E s x x x x x x x"),
    ("a = 'x'\n", &[("a", "'x'")],                        "= x s = x = = = x x"),
    ("a = \"x=y\"\n", &[("a", "x=y")],                    "= = = = E = = = = ="),
    (" a = \"x\"\n", &[("a", "x")],                       "= = s x = = = = = x"),
    ("a = \"x\"  \n", &[("a", "x")],                      "= = s = = = = = = x"),
    ("a = \"x\"\r\n", &[("a", "x")],                      "= = = = = = = = = x"),
    ("a = \"x\"\rb = \"y\"\n", &[("a", "x"), ("b", "y")], "= = x x E = x = x x"),
    ("\"a\" = \"x\"\n", &[("\"a\"", "x")],                "= E = = = = = = = ="),
    ("a b = \"x\"\n", &[],                                "E E s x x x x x s x"),
    ("\u{FEFF}.encoding = \"UTF-8\"\na = \"é\"\n",
        &[(".encoding", "UTF-8"), ("a", "é")],            "= E x x x x x x x x"),
    ("// note\n", &[],                                    "E E s s E s x s s x"),
    ("; note\n", &[],                                     "E E s s E s x s s x"),
    ("a = \"x\";b = \"y\"\n", &[],                        "E x x x E x x x x x"),
    ("guestinfo./s|ab/cmd/Path = \"/hello\"\n",
        &[("guestinfo./s|ab/cmd/Path", "/hello")],        "= E = = = = = = = ="),
    ("a = \"x\\ny\"\n", &[("a", "x\\ny")],                "= = = = x = = = = ="),
    ("#a = \"x\"\n", &[],                                 "= = = x = = = x x x"),
    ("  #a = \"x\"\n", &[],                               "= = = x x x = x x x"),
    ("a\t=\t\"x\"\n", &[("a", "x")],                      "= = = = = = x x = x"),
    ("guestOS = \"dos\"\nguestOS.detailed.data = \"y\"\n",
        &[("guestOS", "dos"), ("guestOS.detailed.data", "y")], "= = s = = = = = = s"),
    (".foo = \"x\"\n", &[(".foo", "x")],                  "s = = = = = = = = s"),
];

fn effects(file: &str) -> BTreeMap<Reader, Effect> {
    let document = Document::parse_lenient(file).unwrap();
    let mut worst = BTreeMap::new();
    for finding in document.check() {
        // The rows are not about missing settings of a machine.
        let whole = matches!(
            finding.construct,
            Construct::NoVersion | Construct::NoGuestOs
        );
        if !whole && finding.effect != Effect::Notes {
            let effect = worst.entry(finding.reader).or_insert(finding.effect);
            *effect = finding.effect.min(*effect);
        }
    }
    worst
}

#[test]
fn the_table() {
    for (file, read, row) in TABLE {
        let strict = Document::parse(*file);
        if row.starts_with('E') {
            assert!(strict.is_err(), "{file:?}");
        } else {
            let document = strict.unwrap();
            let found: Vec<_> = document
                .entries()
                .map(|e| (e.name().to_string(), e.value().text().unwrap().into_owned()))
                .collect();
            let found: Vec<_> = found
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect();
            assert_eq!(found, *read, "{file:?}");
        }
        let effects = effects(file);
        let found = READERS.map(|reader| match effects.get(&reader) {
            Some(Effect::Refuses) => "E",
            Some(Effect::Skips) => "s",
            Some(_) => "x",
            None => "=",
        });
        assert_eq!(found.join(" "), *row, "{file:?}");
    }
}

#[test]
fn a_file_that_everyone_reads_alike_is_possible() {
    let file = ".encoding = \"UTF-8\"\nconfig.version = \"8\"\nvirtualhw.version = \"20\"\n\
        guestos = \"ubuntu-64\"\nmemsize = \"64\"\n";
    let others: Vec<_> = effects(file).into_keys().collect();
    assert_eq!(others, [Proxmox], "it looks for memSize");
    assert!(effects(&file.replace("memsize", "memSize")).is_empty());
}

#[test]
fn backups_refuse_what_containers_write() {
    let effects = effects("guestinfo./repo = \"busybox\"\n");
    assert_eq!(effects.get(&Veeam), Some(&Effect::Refuses));
    assert_eq!(effects.get(&Libvirt), Some(&Effect::Refuses));
    assert_eq!(effects.get(&Vmware), None);
}
