//! Lossless reader, editor and writer of VMX files, the configuration files of
//! VMware virtual machines, and of every other file in the same grammar
//! (`.vmtx`, `.vmsd`, preferences).
//!
//! * [`Document`] keeps a file as bytes: what was not edited is printed byte for
//!   byte as it was read, whatever it held. It reads by VMware's own rules.
//! * [`ExtraConfig`] is the vSphere API's view of the settings without a property
//!   of their own, with the server's merge rules.
//! * [`view::VirtualMachineFile`] reads and edits the settings as Rust types.
//! * [`Document::check`] tells what VMware, libvirt and others would make of a file,
//!   [`Document::diff`] what differs between two.
//! * [`FileKind`] tells a `.vmx` from its neighbours, [`Snapshots`] reads a `.vmsd`.
//! * [`Encoding`] knows the charset names of `.encoding`.
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
