//! Lossless reader, editor and writer of VMX files, the configuration files of
//! VMware virtual machines, and of every other file in the same grammar
//! (`.vmtx`, `.vmsd`, preferences).
//!
//! * [`Document`] keeps a file as bytes: everything that is not edited is written byte
//!   for byte as it was read. It follows VMware's own rules for reading.
//! * [`ExtraConfig`] is the vSphere API's view of the settings without a property
//!   of their own, with the server's merge rules.
//! * [`view::VirtualMachineFile`] reads and edits the settings as Rust types.
//! * [`Document::check`] reports whether VMware opens a file and powers its machine on, and
//!   what libvirt and others would make of it; [`Document::made_worse`] reports what an edit
//!   broke, [`Document::diff`] the differences between two files.
//! * [`FileKind`] distinguishes a `.vmx` from the other files of a machine, and
//!   [`Snapshots`] reads a `.vmsd`.
//! * [`Encoding`] is a charset, identified by its name in `.encoding`.
//!
//! # The grammar in short
//!
//! A line is blank, a comment (`#`), or `name = "value"`. The value may be unquoted if it
//! contains no blank and no `#`, and a comment may follow it. Names are compared ignoring
//! ASCII case, and the first of two equal names counts. In values, `|XX` stands for the
//! byte with that hexadecimal number. Every other line is malformed: VMware refuses the
//! whole file, while [`Document::parse_lenient`] keeps the line and reports it.
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
//! # Differences from VMware
//!
//! The reference is VMware's own reader, as published in open-vm-tools (single lines) and
//! in a dictionary class from 2010 (whole files). These differences are deliberate:
//!
//! * Lenient parsing accepts files that VMware refuses, and keeps their content.
//! * VMware drops unknown names that begin with `.`. This crate keeps them, and
//!   [`Document::check`] reports them; it refuses to write new ones.
//! * VMware writes `.encoding` into every file that it saves. This crate adds it only if
//!   a value needs it, so that no other line changes.
//! * VMware rewrites all values when the charset changes. This crate does not rewrite
//!   lines whose values are ASCII.
//! * Hexadecimal floats are not read, and an empty value is not a number.
//!
//! # Untrusted files
//!
//! Every input below 4 GiB can be parsed leniently, in time and memory linear in its
//! size: about 40 bytes per line in addition to the file itself. The hash of the index is
//! keyed, so chosen names cannot force collisions. Error messages and `Debug` output
//! contain no control characters and no values whose name suggests a secret. There is no
//! `unsafe` code. The fuzz target in `fuzz/` uses every reader and every editor of
//! documents and views. On 2026-11-26 it ran for an hour with overflow checks, next to
//! two other targets on two busy cores: 64,574 executions, no findings. An earlier hour
//! had 5,944,147 executions.
//!
//! # Speed
//!
//! `cargo bench -p vmx-config --bench peers` with a file of 1 MiB and 10,000 keys. Each
//! rate is the best of 200 runs (100 for other parsers), measured together on two shared,
//! busy cores of an AMD EPYC server:
//!
//! | what | rate | |
//! | --- | --- | --- |
//! | parse | 3,020 MB/s | no allocation for a line |
//! | parse strictly | 980 MB/s | duplicates and charset checked |
//! | parse, then look up one name | 1,670 MB/s | the lookup builds the index |
//! | parse, then a map of all texts | 710 MB/s | the result of the other parsers |
//! | print | 36 GB/s | nothing edited: one copy |
//!
//! | other parsers | rate | slower than parse | than strictly | than lookup | than the map |
//! | --- | --- | --- | --- | --- | --- |
//! | a regular expression for each line, Python 3.11 | 57 MB/s | 53 times | 17 | 29 | 12 |
//! | the same in Go 1.26 | 35 MB/s | 85 times | 28 | 47 | 20 |
//! | dissect.hypervisor, Python: splits at `=`, no escapes | 339 MB/s | 8.9 times | 2.9 | 4.9 | 2.1 |
//! | hooklift/govmx; Packer's plugin, Go | not measured: the module proxy does not offer them | | | | |
//!
//! Once the index is built, a lookup takes 49 ns among 100 names and 59 ns among 10,000
//! (`--bench document`).
//!
//! # Features
//!
//! All are off by default.
//!
//! * `serde`: `Serialize` for views, findings, positions.
//! * `diagnostics`: renders [`ParseError`] the way compilers do.
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

/// Runs the examples of the README as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
