//! Async client of the vSphere Web Services API of ESXi hosts and vCenter.
//!
//! A [`Client`] sends the calls and reads the properties that the crate
//! [`vim25`] describes; it knows about connections, sessions and servers that
//! are slow or gone, and nothing about what the calls are for.
//!
//! # Where to start
//! [`Client::builder`] and [`ClientBuilder::scope`] open and close a session;
//! [`Client::call`] sends a call, [`Client::run`] waits for its task;
//! [`Client::get`] and [`Client::try_get`] read properties of one object,
//! [`Client::retrieve`] those of many; [`Client::wait_for`] and [`Query::watch`]
//! learn of changes; [`Client::inventory`] finds things by name and
//! [`Client::files`] moves contents.
//!
//! # What a failure looks like
//!
//! | what happens | what the caller sees |
//! | --- | --- |
//! | connection refused, 502, 503, 504 | sent again within the [`RetryPolicy`]'s budget, unless it may have been carried out; then [`Error::Transport`] |
//! | connection lost before an answer came | a read is sent again; a change is [`Error::OutcomeUnknown`] |
//! | an answer that is not XML, or not the API's | [`Error::Decode`], or [`Error::Transport`] with the HTTP status |
//! | an answer longer than [`Limits`](vim25::Limits), also once decompressed | [`Error::Transport`] with [`TransportProblem::TooLong`] |
//! | slower than the timeouts of the [`ClientBuilder`] | [`Error::Timeout`], for a change [`Error::OutcomeUnknown`] |
//! | a certificate that nothing vouches for | [`Error::Tls`]; [`Error::untrusted`] has the thumbprint to verify and pin |
//! | wrong password, closed client, missing permission | [`Error::NotAuthenticated`] with a [`LoginProblem`] |
//! | the session expired | one login for all calls that were refused, then they are sent again; see [`Client::on_login_again`] |
//! | … between two pages of a query | the query starts again and leaves out what it gave before |
//! | … during a watch, or the server restarted | [`Change::Resync`], then every object again; a wait goes on |
//! | the server is away for long during a watch or wait | [`Error::Transport`] after ten times the retry budget |
//! | the object that was asked for was deleted | [`Error::is_gone`]; in a query [`Item::Vanished`]; in a watch [`Change::Left`] |
//! | a property cannot be read | [`PropertyState::Missing`] or [`Invalid`](PropertyState::Invalid) for that one, or its fault from [`Client::try_get`] |
//! | a task fails | [`Error::Fault`] with the task's typed fault |
//! | a task vanishes, or its end cannot be learnt | [`Error::OutcomeUnknown`] with the task |
//! | an upload without an answer | [`Error::OutcomeUnknown`]: a part of the file may be there |
//! | a future is dropped | what was sent goes on at the server; what it held there is freed |

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
pub use inventory::{Datacenter, Datastore, Defaults, Inventory};
pub use property::{Item, Items, ObjectProperties, PropertySet, PropertyState, Query};
pub use retry::RetryPolicy;
pub use task::{Run, TaskProgress};
pub use tls::Thumbprint;
pub use update::{Change, Changes};
