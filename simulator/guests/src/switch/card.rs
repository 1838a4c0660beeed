//! The network card of a container, as the switch sees it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;

use super::frame::{Mac, longest};
use super::{Plug, Switch};

/// The MTU of Ethernet.
const MTU: usize = 1500;

/// The outer end of a card: a tap device.
#[derive(Debug)]
pub(super) struct Tap {
    file: AsyncFd<OwnedFd>,
    mac: Mac,
    /// The size of the longest frame.
    limit: usize,
}

impl Tap {
    pub(super) fn mac(&self) -> Mac {
        self.mac
    }

    /// Writes a frame to the card. Drops it if the card is not able to receive it now.
    pub(super) fn deliver(&self, frame: &[u8]) {
        if frame.len() > self.limit {
            return;
        }
        if let Err(error) = rustix::io::write(self.file.get_ref(), frame) {
            tracing::trace!(%error, "a container did not receive a frame");
        }
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.file.readable().await?;
            let read = ready.try_io(|file| Ok(rustix::io::read(file.get_ref(), &mut *buffer)?));
            if let Ok(read) = read {
                return read;
            }
        }
    }
}

/// A card of a container. It is removed from the switch when this is dropped.
#[derive(Debug)]
pub(crate) struct Card {
    switch: Arc<Switch>,
    tap: Arc<Tap>,
    plug: Arc<Mutex<Option<Plug>>>,
    reader: AbortHandle,
}

impl Card {
    /// Takes the non-blocking file of a tap device. The card is not connected yet. Spawns a task on
    /// the current runtime.
    pub(crate) fn new(
        switch: &Arc<Switch>,
        file: OwnedFd,
        mac: Mac,
        mtu: Option<u32>,
    ) -> io::Result<Self> {
        let mtu = mtu.and_then(|mtu| usize::try_from(mtu).ok());
        #[expect(
            deprecated,
            reason = "its successor is an unsafe function; an OwnedFd keeps its descriptor open, as it requires"
        )]
        let file = AsyncFd::new(file)?;
        let tap = Arc::new(Tap {
            file,
            mac,
            limit: longest(mtu.unwrap_or(MTU)),
        });
        let plug = Arc::default();
        let reading = carry(Arc::clone(switch), Arc::clone(&tap), Arc::clone(&plug));
        let reader = tokio::spawn(reading).abort_handle();
        Ok(Self {
            switch: Arc::clone(switch),
            tap,
            plug,
            reader,
        })
    }

    /// Connects the card to a segment, or disconnects it. A card that is not connected neither sends
    /// nor receives.
    pub(crate) fn plug_into(&self, segment: Option<&str>) {
        let mut plug = self.plug.lock().unwrap_or_else(PoisonError::into_inner);
        if plug.as_ref().map(|plug| &*plug.segment) == segment {
            return;
        }
        if let Some(old) = plug.take() {
            self.switch.disconnect(&old);
        }
        *plug = segment.map(|segment| self.switch.connect(segment, &self.tap));
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        self.plug_into(None);
        self.reader.abort();
    }
}

/// Forwards the frames that a card sends until the card is gone.
async fn carry(switch: Arc<Switch>, tap: Arc<Tap>, plug: Arc<Mutex<Option<Plug>>>) {
    // One more byte, by which a frame that is too long is recognized.
    let mut buffer = vec![0; tap.limit.saturating_add(1)];
    loop {
        let length = match tap.read(&mut buffer).await {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) => {
                tracing::debug!(%error, "the network card of a container has ended");
                return;
            }
        };
        let Some(frame) = buffer.get(..length.min(tap.limit)) else {
            return;
        };
        if length > tap.limit {
            continue;
        }
        let plug = plug.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(plug) = plug {
            switch.forward(&plug, frame);
        }
    }
}
