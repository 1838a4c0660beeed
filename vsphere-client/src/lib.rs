//! Async client of the vSphere Web Services API of ESXi hosts and vCenter.
//!
//! A [`Client`] sends the calls and reads the properties that the crate
//! [`vim25`] describes; it knows about connections, sessions and servers that
//! are slow or gone, and nothing about what the calls are for.

mod address;
mod builder;
mod call_class;
mod client;
mod credentials;
mod datastore;
mod error;
mod escape;
mod exchange;
mod inventory;
pub mod nfc;
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
    DatastorePath, Download, FileEntry, FilePart, Files, TransferProgress, Upload,
};
pub use error::{
    EntityKind, Error, LoginProblem, Operation, RequestPhase, Result, SearchScope, TlsProblem,
    TransportProblem, UntrustedCertificate,
};
pub use inventory::{Datacenter, Datastore, Inventory};
pub use property::{Item, Items, ObjectProperties, PropertySet, PropertyState, Query};
pub use retry::RetryPolicy;
pub use task::{Run, TaskProgress};
pub use tls::Thumbprint;
pub use update::{Change, Changes};
