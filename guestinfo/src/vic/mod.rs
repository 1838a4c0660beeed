//! The state of a container machine and of the appliance, as VIC 0.4 and VIC 1.x store
//! it.
//!
//! One set of types reads and writes both dialects; the attributes of the fields describe
//! the differences. A field that does not exist in a dialect has its default after
//! decoding, and is not written.
//!
//! | type | where it is stored |
//! | --- | --- |
//! | [`ExecutorConfig`] | at the root of a container's machine, below `init` in the appliance's |
//! | [`SessionConfig`] | one process: `sessions\|<id>`, `execs\|<id>` |
//! | [`MountSpec`] | one volume: `mounts\|<volume>` |
//! | [`NetworkEndpoint`] | one NIC: `networks\|<scope>` |
//! | [`VirtualContainerHostConfig`] | at the root of the appliance's machine |
//!
//! Machines of early releases of 1.x store some values elsewhere: [`migrate`] converts
//! their keys to the newest form.
//!
//! # Writing a container's state
//! ```
//! use guestinfo::vic::{Command, Common, ExecutorConfig, Identity, SessionConfig};
//! use guestinfo::{Dialect, encode};
//!
//! let id = "4e01c2";
//! let container = ExecutorConfig {
//!     common: Identity { id: id.into(), name: "jovial_ride".into(), ..Default::default() },
//!     sessions: [(
//!         id.to_owned(),
//!         SessionConfig {
//!             common: Common { id: id.into(), name: "jovial_ride".into(), ..Default::default() },
//!             command: Command { path: "/hello".into(), ..Default::default() },
//!             ..Default::default()
//!         },
//!     )]
//!     .into(),
//!     repo_name: "hello-world".into(),
//!     ..Default::default()
//! };
//! let keys = encode(&container, Dialect::Vic04)?;
//! assert_eq!(keys["guestinfo./common/name"], "jovial_ride");
//! assert_eq!(keys["guestinfo./sessions|4e01c2/cmd/Path"], "/hello");
//! assert_eq!(keys["guestinfo./repo"], "hello-world");
//! # Ok::<(), guestinfo::EncodeError>(())
//! ```
//!
//! # Reading it back
//! ```
//! use std::collections::BTreeMap;
//! use guestinfo::decode;
//! use guestinfo::vic::{ExecutorConfig, Started};
//!
//! let keys: BTreeMap<String, String> = [
//!     ("guestinfo./common/id", "4e01c2"),
//!     ("guestinfo./sessions", "4e01c2"),
//!     ("guestinfo./sessions|4e01c2/common/id", "4e01c2"),
//!     ("guestinfo..sessions|4e01c2.started", "true"),
//!     ("guestinfo..sessions|4e01c2.status", "0"),
//! ]
//! .map(|(key, value)| (key.to_owned(), value.to_owned()))
//! .into();
//! let container = decode::<ExecutorConfig>(&keys).value;
//! let session = &container.sessions["4e01c2"];
//! assert_eq!(session.started, Started::Yes);
//! assert_eq!(session.exit_status, Some(0));
//! ```
//!
//! # In the guest
//! The guest sees only keys that begin with `guestinfo.`, and writes only those
//! without a `/`:
//! ```
//! use guestinfo::vic::{ExecutorConfig, SessionConfig, Started};
//! use guestinfo::{Decode, Dialect, Key, View, encode};
//!
//! let mut container = ExecutorConfig::default();
//! container.sessions.insert("4e01c2".into(), SessionConfig::default());
//! let machine = encode(&container, Dialect::Vic1)?;
//! let visible = machine.iter().filter(|(key, _)| key.starts_with("guestinfo."));
//!
//! let mut seen: ExecutorConfig = Decode::new().view(View::Guest).strict(visible)?;
//! let session = seen.sessions.get_mut("4e01c2").expect("the host named it");
//! session.started = Started::Yes;
//! session.exit_status = Some(3);
//!
//! let writes: Vec<_> = encode(&seen, Dialect::Vic1)?
//!     .into_iter()
//!     .filter(|(key, value)| machine.get(key) != Some(value))
//!     .filter(|(key, _)| Key::parse(key).is_ok_and(|key| key.guest_may_write()))
//!     .collect();
//! assert_eq!(
//!     writes,
//!     [
//!         ("guestinfo.vice..sessions|4e01c2.started".to_owned(), "true".to_owned()),
//!         ("guestinfo.vice..sessions|4e01c2.status".to_owned(), "3".to_owned()),
//!     ],
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod container;
mod host;
mod limits;
mod migrate;
mod network;
mod redacted;
mod session;

pub use crate::value::NicAddress;
pub use container::{Build, CopyMode, CreateTime, ExecutorConfig, Identity, MountSpec};
pub use host::{
    Certificates, ComputeResource, Connection, Containers, HostNetworks, RawCertificate,
    Registries, Storage, Target, VirtualContainerHostConfig,
};
pub use limits::{Limit, Limits, ParseLimitError};
pub use migrate::{NEWEST_DATA_VERSION, migrate};
pub use network::{AssignedNetwork, ContainerNetwork, IpRange, NetworkEndpoint, TrustLevel};
pub use redacted::Redacted;
pub use session::{
    Command, Common, Diagnostics, ExitLog, SessionConfig, SessionDetail, Started, SyslogConfig,
};
