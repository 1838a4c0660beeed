//! Clients of a simulator.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support; each test uses a part of it"
)]

use simulator::{Reaction, Simulator};
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

/// What can go wrong with a call without a fault of the server.
pub(crate) const TROUBLES: [Reaction; 4] = [
    Reaction::Disconnect,
    Reaction::LoseAnswer,
    Reaction::LoseSession,
    Reaction::HttpStatus(503),
];

/// Runs `check` once for each of these methods and each trouble with its next call, with a new client
/// and the name of the run. Each trouble must happen.
pub(crate) async fn in_trouble(
    simulator: &Simulator,
    methods: &[&str],
    check: impl AsyncFn(&Client, &str),
) {
    for method in methods {
        for reaction in TROUBLES {
            let what = format!("{method} {reaction:?}");
            let client = client(simulator).await;
            simulator.script().next(method, reaction);
            check(&client, &what).await;
            assert_eq!(simulator.script().pending(), 0, "{what}");
            client.close().await.unwrap();
        }
    }
}
