//! Lossless reader, editor and writer of VMX files, the configuration files of
//! VMware virtual machines, and of every other file in the same grammar
//! (`.vmtx`, `.vmsd`, preferences).
//!
//! * [`Document`] keeps a file as bytes: what was not edited is printed byte for
//!   byte as it was read, whatever it held. It reads by VMware's own rules.
//! * [`ExtraConfig`] is the vSphere API's view of the settings without a property
//!   of their own, with the server's merge rules.
//! * [`view::VirtualMachineFile`] reads and edits the settings as Rust types.
//! * [`Document::check`] reports whether VMware opens a file and powers its machine on, and
//!   what libvirt and others would make of it; [`Document::made_worse`] reports what an edit
//!   broke, [`Document::diff`] the differences between two files.
//! * [`FileKind`] distinguishes a `.vmx` from the other files of a machine, [`Snapshots`]
//!   reads a `.vmsd`.
//! * [`Encoding`] is a charset by its name in `.encoding`.
//!
//! # The grammar in short
//!
//! A line is blank, a comment (`#`), or `name = "value"`; the value may be bare
//! when it holds no blank and no `#`, and anything may follow in a comment. Names
//! are compared without regard to ASCII case and the first of two equal names
//! counts. In values `|XX` is the byte with that hexadecimal number. Everything
//! else is malformed: VMware refuses such a file, [`Document::parse_lenient`]
//! keeps the line and reports it.
//!
//! # Read a file
//!
//! ```
//! use vmx::Document;
//!
//! let downloaded = b".encoding = \"UTF-8\"\n\
//!     displayName = \"my container\"\n\
//!     guestinfo./common/name = \"my container\"\n\
//!     guestinfo./repo = \"busybox\"\n";
//! let document = Document::parse(downloaded)?;
//!
//! let mut state = Vec::new();
//! for entry in document.entries().filter(|e| e.name().starts_with("guestinfo.")) {
//!     state.push(format!("{} = {}", entry.name(), entry.value().text()?));
//! }
//! assert_eq!(state, [
//!     "guestinfo./common/name = my container",
//!     "guestinfo./repo = busybox",
//! ]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Make a file
//!
//! ```
//! use vmx::{Document, ExtraConfig};
//!
//! let mut extra = ExtraConfig::new();
//! extra.apply([("guestinfo./repo", "busybox"), ("answer.msg.serial.file.open", "Replace")])?;
//!
//! let mut document = Document::new();
//! document.set("config.version", "8")?;
//! document.set("displayName", "my container")?;
//! extra.write_to(&mut document)?;
//!
//! assert_eq!(document.to_bytes(), b".encoding = \"UTF-8\"\n\
//!     config.version = \"8\"\n\
//!     displayName = \"my container\"\n\
//!     guestinfo./repo = \"busybox\"\n\
//!     answer.msg.serial.file.open = \"Replace\"\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Edit a machine
//!
//! ```
//! use vmx::Document;
//! use vmx::view::{Class, DeviceName, VirtualMachineFile};
//!
//! let bytes = b"# mine\nmemsize = 512\nethernet0.present = \"TRUE\"\n";
//! let mut machine = VirtualMachineFile::new(Document::parse(&bytes[..])?);
//! machine.set_memory_mb(1024)?;
//! machine.network_card_mut(DeviceName::of(Class::Ethernet, 0)).set_model("vmxnet3")?;
//!
//! assert_eq!(machine.into_document().to_bytes(), b"# mine\nmemsize = \"1024\"\n\
//!     ethernet0.present = \"TRUE\"\n\nethernet0.virtualDev = \"vmxnet3\"\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where this departs from VMware
//!
//! The reference is VMware's own reader, as published in open-vm-tools (single lines)
//! and in a dictionary class of 2010 (whole files). These differences are deliberate:
//!
//! * Lenient parsing opens what VMware refuses, and keeps it.
//! * VMware drops unknown names that begin with `.`. Here they are kept, and
//!   [`Document::check`] reports them; they cannot be written.
//! * VMware writes `.encoding` into every file it saves. Here an edit adds it only if
//!   a value needs it, so that no other line changes.
//! * VMware rewrites all values when the charset changes. Here values that are
//!   ASCII keep their lines.
//! * Hexadecimal floats are not read; an empty value is no number.
//!
//! # Files from strangers
//!
//! Every input below 4 GiB parses leniently in time and memory linear in its size:
//! about 40 bytes a line above the file itself. The index is keyed against chosen
//! names. Errors and `Debug` show no value whose name suggests a secret, and no
//! control character. There is no `unsafe` code. The fuzz target in `fuzz/`,
//! which uses every reader and every editor of documents and views, ran with overflow checks
//! for an hour on 2026-11-26, next to two others on two busy cores: 64,574 executions,
//! and found nothing. An earlier hour had 5,944,147.
//!
//! # Speed
//!
//! `cargo bench -p vmx-config --bench peers`, a file of 1 MiB and 10,000 keys, best of
//! 200 runs (peers: of 100) in one run on two shared, busy cores of an AMD EPYC server:
//!
//! | what | rate | |
//! | --- | --- | --- |
//! | parse | 3,020 MB/s | no allocation for a line |
//! | parse strictly | 980 MB/s | duplicates and charset checked |
//! | parse, then look one name up | 1,670 MB/s | the lookup builds the index |
//! | parse, then a map of all texts | 710 MB/s | what the others give |
//! | print | 36 GB/s | nothing edited: one copy |
//!
//! | other parsers | rate | slower than parse | than strictly | than lookup | than the map |
//! | --- | --- | --- | --- | --- | --- |
//! | a regular expression for each line, Python 3.11 | 57 MB/s | 53 times | 17 | 29 | 12 |
//! | the same in Go 1.26 | 35 MB/s | 85 times | 28 | 47 | 20 |
//! | dissect.hypervisor, Python: splits at `=`, no escapes | 339 MB/s | 8.9 times | 2.9 | 4.9 | 2.1 |
//! | hooklift/govmx; Packer's plugin, Go | not measured: the module proxy does not offer them | | | | |
//!
//! Once the index is there, a lookup takes 49 ns among 100 names and 59 ns among 10,000
//! (`--bench document`).
//!
//! # Features
//!
//! All are off by default.
//!
//! * `serde`: `Serialize` for views, findings, positions.
//! * `diagnostics`: [`ParseError`] rendered as compilers do.
//! * `command`: the command `vmx` (`show`, `get`, `set`, `diff`, `check`, `devices`).

mod check;
#[cfg(feature = "diagnostics")]
mod diagnostics;
mod diff;
mod document;
mod encoding;
mod error;
mod escape;
mod extra_config;
mod kind;
mod line;
mod name;
mod reserved;
mod snapshots;
mod value;
pub mod view;

pub use crate::check::{Construct, Effect, Finding, Reader};
pub use crate::diff::Difference;
pub use crate::document::{
    Change, Document, Entries, Entry, Line, LineKind, Lines, ParseOptions, Policy, Source,
    Unencodable,
};
pub use crate::encoding::{Encoding, EncodingError};
pub use crate::error::{EditError, ParseError, ParseErrorKind, Position, ValueError};
pub use crate::extra_config::{Applied, ExtraConfig, ExtraConfigError};
pub use crate::kind::FileKind;
pub use crate::name::{Name, NameError};
pub use crate::reserved::{has_own_field, is_hidden};
pub use crate::snapshots::{Snapshot, SnapshotDisk, Snapshots};
pub use crate::value::{Tristate, Value};

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
