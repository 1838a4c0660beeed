//! Acquires tickets for the console of a machine.

use std::fmt;

use secrecy::SecretString;

use super::Machine;
use crate::error::{Error, Result};

/// The protocol of a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsoleKind {
    /// `webmks`: screen, keyboard and mouse over a WebSocket, for browsers.
    WebMks,
    /// `mks`: screen, keyboard and mouse for VMware's own client.
    Mks,
}

/// A ticket that allows opening a machine's console once, within about a minute.
///
/// It is a credential: `Debug` prints neither the ticket nor the URL.
#[derive(Clone)]
#[non_exhaustive]
pub struct ConsoleTicket {
    /// The ticket.
    pub ticket: SecretString,
    /// The URL to open, which contains the ticket; for [`ConsoleKind::WebMks`], with the
    /// scheme `wss`.
    pub url: Option<SecretString>,
    /// The ESXi host to connect to; `None` means the server that issued the ticket.
    pub host: Option<String>,
    /// The port of the host.
    pub port: Option<u16>,
    /// The SHA-1 thumbprint of the host's certificate, `AB:CD:…`.
    pub thumbprint: Option<String>,
}

impl fmt::Debug for ConsoleTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsoleTicket")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

impl ConsoleKind {
    const fn wire(self) -> &'static str {
        match self {
            Self::WebMks => "webmks",
            Self::Mks => "mks",
        }
    }
}

impl Machine<'_> {
    /// Acquires a ticket for the machine's console. The machine has to be on.
    ///
    /// # Errors
    /// `InvalidState` when the machine is not on; `InvalidArgument` when the server does not
    /// have consoles of this kind; otherwise see [`Error`].
    pub async fn console_ticket(&self, kind: ConsoleKind) -> Result<ConsoleTicket> {
        let call = self.vm.acquire_ticket(kind.wire());
        let ticket = self.client.call(call).await?;
        let port = ticket.port.map(u16::try_from).transpose();
        let port = port.map_err(|_| {
            let operation = self
                .client
                .operation("AcquireTicket", Some(&self.vm.upcast()));
            Error::senseless(operation, format!("{:?} is not a port", ticket.port))
        })?;
        let url = match (&ticket.url, kind, &ticket.host, port) {
            (Some(url), ..) => Some(url.clone()),
            // Servers before 7.0 return no URL, so the client has to build it.
            (None, ConsoleKind::WebMks, Some(host), port) => {
                let port = port.unwrap_or(443);
                Some(format!("wss://{host}:{port}/ticket/{}", ticket.ticket))
            }
            _ => None,
        };
        Ok(ConsoleTicket {
            ticket: ticket.ticket.into(),
            url: url.map(SecretString::from),
            host: ticket.host,
            port,
            thumbprint: ticket.ssl_thumbprint,
        })
    }
}
