//! Clients of a simulator.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support; each test uses a part of it"
)]

use simulator::Simulator;
use vsphere_client::{Client, ClientBuilder, Credentials};

/// Returns a client with a session.
pub(crate) async fn client(simulator: &Simulator) -> Client {
    builder(simulator).connect().await.unwrap()
}

/// Returns the builder of a client that trusts the simulator's certificate.
pub(crate) fn builder(simulator: &Simulator) -> ClientBuilder {
    Client::builder(simulator.url())
        .tls_roots(simulator.certificate_pem())
        .credentials(Credentials::password(
            simulator.user(),
            simulator.password(),
        ))
}
