//! Connects an example to its endpoint: the one that the environment names, or a simulated
//! ESXi host in this process. On Linux, the guests of the simulated host run real processes in
//! namespaces.

use anyhow::{Context, Result};
use simulator::Simulator;
use vsphere_client::{Client, Credentials};

use crate::endpoint::{Endpoint, Trust};

/// A connection to an endpoint, and the simulator behind it if there is one.
///
/// Dropping it also stops the simulator.
#[derive(Debug)]
pub struct Stage {
    client: Client,
    simulator: Option<Simulator>,
    guests: Option<String>,
}

impl Stage {
    /// Connects to `endpoint`, or to a simulator that it starts.
    ///
    /// # Errors
    /// Fails when the simulator does not start or the endpoint cannot be reached.
    pub async fn open(endpoint: Option<&Endpoint>) -> Result<Self> {
        let Some(endpoint) = endpoint else {
            return Self::simulated().await;
        };
        let mut builder = Client::builder(endpoint.url.as_str()).credentials(
            Credentials::password(&endpoint.user, endpoint.password.clone()),
        );
        match &endpoint.trust {
            Trust::Roots => {}
            Trust::Thumbprint(thumbprint) => {
                let pin = thumbprint
                    .parse()
                    .context("read the thumbprint in GOVC_TLS_KNOWN_HOSTS")?;
                builder = builder.thumbprint(pin);
            }
            Trust::Insecure => builder = builder.danger_accept_invalid_certs(true),
        }
        Ok(Self {
            client: builder.connect().await?,
            simulator: None,
            guests: None,
        })
    }

    /// Starts a simulator and connects to it, pinning its certificate.
    async fn simulated() -> Result<Self> {
        let (builder, guests) = with_guests(Simulator::builder()).await;
        let simulator = builder.start().await.context("start the simulator")?;
        let client = Client::builder(simulator.url())
            .credentials(Credentials::password(
                simulator.user(),
                simulator.password(),
            ))
            .thumbprint(simulator.thumbprint().parse()?)
            .connect()
            .await?;
        Ok(Self {
            client,
            simulator: Some(simulator),
            guests: Some(guests),
        })
    }

    /// Returns the client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Describes the guests of the simulated machines; `None` on an endpoint
    /// that is not simulated.
    #[must_use]
    pub fn guests(&self) -> Option<&str> {
        self.guests.as_deref()
    }

    /// Describes the endpoint in one line.
    #[must_use]
    pub fn about(&self) -> String {
        let about = &self.client.service_content().about;
        let whose = if self.simulator.is_some() {
            ", simulated in this process"
        } else {
            ""
        };
        format!("{} at {}{whose}", about.full_name, self.client.server())
    }

    /// Returns shell commands for a user who wants to inspect the simulator with govc.
    #[must_use]
    pub fn for_govc(&self) -> Option<String> {
        let simulator = self.simulator.as_ref()?;
        Some(format!(
            "export GOVC_URL={} GOVC_USERNAME={} GOVC_PASSWORD={} GOVC_INSECURE=true",
            simulator.url(),
            simulator.user(),
            simulator.password()
        ))
    }

    /// Logs out, and stops the simulator.
    ///
    /// # Errors
    /// Fails when logging out fails; the simulator is stopped in any case.
    pub async fn close(self) -> Result<()> {
        let logged_out = self.client.close().await;
        if let Some(simulator) = self.simulator {
            simulator.shutdown().await;
        }
        Ok(logged_out?)
    }
}

/// Lets machines run real processes if this system supports it; otherwise the simulator's
/// scripted guest imitates a few programs.
#[cfg(target_os = "linux")]
async fn with_guests(
    builder: simulator::SimulatorBuilder,
) -> (simulator::SimulatorBuilder, String) {
    match simulator_guests::ProcessGuest::builder().start().await {
        Ok(guest) => (
            builder.guest(guest),
            "real processes of this system, each in namespaces of its own".to_owned(),
        ),
        Err(error) => (builder, format!("scripted, because {error}")),
    }
}

/// Uses the simulator's scripted guest, which imitates a few programs, because only Linux has
/// namespaces.
#[cfg(not(target_os = "linux"))]
async fn with_guests(
    builder: simulator::SimulatorBuilder,
) -> (simulator::SimulatorBuilder, String) {
    (builder, "scripted, because this is not Linux".to_owned())
}
