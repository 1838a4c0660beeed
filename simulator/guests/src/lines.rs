//! The serial lines of the agent, from a machine's serial ports.

use std::io;

use async_trait::async_trait;
use simulator::GuestMachine;
use tether::{Line, Lines};
use tokio::io::AsyncWrite;

/// The lines of a container machine. The first serial port is the control line; if there are
/// several, the last one is the log line.
#[derive(Debug)]
pub(crate) struct MachineLines(pub(crate) GuestMachine);

#[async_trait]
impl Lines for MachineLines {
    async fn control(&self) -> io::Result<Option<Box<dyn Line>>> {
        let Some(port) = self.0.serial(0) else {
            return Ok(None);
        };
        port.carrier_is(true).await;
        Ok(Some(Box::new(port)))
    }

    async fn log(&self) -> io::Result<Option<Box<dyn AsyncWrite + Send + Unpin>>> {
        let last = self.0.hardware().serial_ports.saturating_sub(1);
        let port = (last > 0).then(|| self.0.serial(last)).flatten();
        Ok(port.map(|port| Box::new(port) as Box<dyn AsyncWrite + Send + Unpin>))
    }
}
