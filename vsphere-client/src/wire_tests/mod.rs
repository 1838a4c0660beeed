//! Tests of the client's messages, without a network. The responses in `golden` have the form
//! of vCenter's responses, taken from public traces and captures.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod machines;
mod names;
mod namespaces;
mod pages;
mod repeating;
mod services;
mod sessions;
mod updates;

use std::sync::Arc;

use vim25::{Ref, mo};

use crate::transport::replay::Replay;
use crate::{Client, Credentials};

/// Connects a client and logs in.
pub(crate) async fn connect(replay: &Arc<Replay>) -> Client {
    Client::builder("https://vc.example.com")
        .transport(Arc::clone(replay) as Arc<_>)
        .credentials(Credentials::password("root", "hunter2"))
        .connect()
        .await
        .unwrap()
}

fn vm() -> Ref<mo::VirtualMachine> {
    Ref::new("vm-62")
}
