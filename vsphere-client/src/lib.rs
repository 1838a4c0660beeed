//! Async client for the vSphere Web Services API of ESXi hosts and vCenter.
//!
//! A [`Client`] sends the calls and reads the properties that the crate [`vim25`] describes.
//! It handles connections, sessions, and slow or unreachable servers, and is independent of
//! what the calls are used for.
//!
//! # Where to start
//! [`Client::builder`] and [`ClientBuilder::scope`] open and close a session;
//! [`Client::call`] sends a call, [`Client::run`] also waits for its task;
//! [`Client::get`] and [`Client::try_get`] read properties of one object,
//! [`Client::retrieve`] those of many; [`Client::wait_for`] and [`Query::watch`]
//! observe changes, and [`Query::cache`] keeps many objects current as structs; [`Client::inventory`] finds objects by name and by pattern;
//! [`Client::files`] transfers files, [`Client::virtual_disks`] manages disks,
//! [`Client::machine`] has the everyday operations of a virtual machine, and
//! [`device`] edits its hardware; [`Client::esxcli`] runs commands on a host; [`ovf`] imports
//! and exports machines as OVF packages.
//!
#![doc = include_str!("../FAILURES.md")]

mod address;
mod builder;
mod call_class;
mod client;
mod credentials;
mod datastore;
pub mod device;
mod error;
mod escape;
mod esxcli;
mod exchange;
mod inventory;
mod machine;
pub mod nfc;
pub mod ovf;
mod property;
mod retry;
mod route;
mod session;
mod task;
mod tls;
mod transport;
mod update;
#[cfg(test)]
mod wire_tests;

pub use builder::ClientBuilder;
pub use client::Client;
pub use credentials::Credentials;
pub use datastore::{
    DatastorePath, DiskFormat, DiskInfo, Download, FileEntry, FilePart, Files, FromLocal, ToLocal,
    TransferProgress, Transferred, Upload, VirtualDisks,
};
pub use error::{
    EntityKind, Error, LoginProblem, Operation, RequestPhase, Result, SearchScope, TlsProblem,
    TransportProblem, UntrustedCertificate,
};
pub use esxcli::{EsxCli, EsxCliRow};
pub use inventory::{Datacenter, Datastore, Found, Inventory, InventoryDefaults};
pub use machine::{ConsoleKind, ConsoleTicket, Machine, Snapshot};
pub use property::{Item, Items, ObjectProperties, Properties, PropertySet, PropertyState, Query};
pub use vsphere_client_derive::Properties;

/// What `#[derive(Properties)]` expands to.
#[doc(hidden)]
pub mod __derive {
    pub use vim25::{Property, mo};
}
pub use retry::RetryPolicy;
pub use task::{Run, TaskProgress};
pub use tls::Thumbprint;
pub use update::{Cache, CacheLookup, CacheState, Change, Changes};
