//! Async client for the vSphere Web Services API of ESXi hosts and vCenter.
//!
//! A [`Client`] sends the calls and reads the properties that the crate
//! [`vim25`] describes. It handles connections, sessions, and slow or unreachable
//! servers, and does not know what the calls are for.
//!
//! # Where to start
//! [`Client::builder`] and [`ClientBuilder::scope`] open and close a session;
//! [`Client::call`] sends a call, [`Client::run`] also waits for its task;
//! [`Client::get`] and [`Client::try_get`] read properties of one object,
//! [`Client::retrieve`] those of many; [`Client::wait_for`] and [`Query::watch`]
//! observe changes; [`Client::inventory`] finds objects by name and
//! [`Client::files`] transfers files.
//!
//! # Failures
//!
//! | event | result |
//! | --- | --- |
//! | connection refused, 502, 503, 504 | retried within the [`RetryPolicy`]'s budget, unless it may have been carried out; then [`Error::Transport`] |
//! | connection lost before the response | a read is retried; a change is [`Error::OutcomeUnknown`] |
//! | a response that is not XML, or not the API's | [`Error::Decode`], or [`Error::Transport`] with the HTTP status |
//! | a response longer than [`Limits`](vim25::Limits), also once decompressed | [`Error::Transport`] with [`TransportProblem::TooLong`] |
//! | slower than the timeouts of the [`ClientBuilder`] | [`Error::Timeout`], for a change [`Error::OutcomeUnknown`] |
//! | an untrusted certificate | [`Error::Tls`]; [`Error::untrusted`] has the thumbprint to verify and pin |
//! | wrong password, closed client, missing permission | [`Error::NotAuthenticated`] with a [`LoginProblem`] |
//! | the session expired | one login for all refused calls, which are then retried; see [`Client::on_login_again`] |
//! | … between two pages of a query | the query restarts and skips what it already returned |
//! | … during a watch, or the server restarted | [`Change::Resync`], then every object again; a wait continues |
//! | a long outage during a watch or wait | [`Error::Transport`] after ten times the retry budget |
//! | the requested object was deleted | [`Error::is_gone`]; in a query [`Item::Vanished`]; in a watch [`Change::Left`] |
//! | a property cannot be read | [`PropertyState::Missing`] or [`Invalid`](PropertyState::Invalid) for that one, or its fault from [`Client::try_get`] |
//! | a task fails | [`Error::Fault`] with the task's typed fault |
//! | a task vanishes, or its result cannot be read | [`Error::OutcomeUnknown`] with the task |
//! | an upload without a response | [`Error::OutcomeUnknown`]: part of the file may exist |
//! | a future is dropped | a request that was sent continues on the server; resources held there are freed |

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
pub use inventory::{Datacenter, Datastore, Inventory, InventoryDefaults};
pub use property::{Item, Items, ObjectProperties, PropertySet, PropertyState, Query};
pub use retry::RetryPolicy;
pub use task::{Run, TaskProgress};
pub use tls::Thumbprint;
pub use update::{Change, Changes};
