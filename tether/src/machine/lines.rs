//! The serial lines of a machine, from its serial ports.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lines::{Line, Lines};
use crate::pollable::Pollable;

/// The maximum number of serial ports of a PC.
const PORTS: usize = 4;

/// The lines of a machine. The first serial port is the control line; if there are several, the
/// last one is the log line.
#[derive(Debug)]
pub(super) struct SerialLines {
    control: Option<PathBuf>,
    log: Option<PathBuf>,
}

impl SerialLines {
    pub(super) fn find() -> Self {
        let mut ports: Vec<_> = (0..PORTS).map(|port| format!("ttyS{port}")).collect();
        ports.retain(|port| is_there(&Path::new("/sys/class/tty").join(port)));
        let path = |port: &String| Path::new("/dev").join(port);
        Self {
            control: ports.first().map(path),
            log: ports.get(1..).and_then(<[_]>::last).map(path),
        }
    }
}

/// Returns whether a port exists. The kernel also lists ports that do not, with an unknown type.
fn is_there(port: &Path) -> bool {
    fs::read_to_string(port.join("type")).is_ok_and(|kind| kind.trim() != "0")
}

#[async_trait]
impl Lines for SerialLines {
    async fn control(&self) -> io::Result<Option<Box<dyn Line>>> {
        let port = self.control.as_deref().map(Port::open).transpose()?;
        Ok(port.map(|port| Box::new(port) as Box<dyn Line>))
    }

    async fn log(&self) -> io::Result<Option<Box<dyn AsyncWrite + Send + Unpin>>> {
        let port = self.log.as_deref().map(Port::open).transpose()?;
        Ok(port.map(|port| Box::new(port) as Box<dyn AsyncWrite + Send + Unpin>))
    }
}

/// An open serial port.
#[derive(Debug)]
struct Port(Pollable);

impl Port {
    fn open(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        const NOCTTY: i32 = 0o400;
        const NONBLOCK: i32 = 0o4000;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = options.custom_flags(NOCTTY | NONBLOCK).open(path)?;
        tether_sys::set_raw(&file)?;
        Pollable::new(file.into()).map(Self)
    }
}

impl AsyncRead for Port {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Port {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
