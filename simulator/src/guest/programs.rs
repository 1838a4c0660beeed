//! Queue of program requests for one guest.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};

use super::GuestProgram;

/// Maximum number of requests in the queue.
const WAITING: usize = 16;

/// The queue of program requests for one guest, with both ends.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    sender: mpsc::Sender<GuestProgram>,
    receiver: Arc<Mutex<mpsc::Receiver<GuestProgram>>>,
}

impl Programs {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self {
            sender,
            receiver: Arc::new(Mutex::new(receiver)),
        }
    }

    pub(crate) fn sender(&self) -> mpsc::Sender<GuestProgram> {
        self.sender.clone()
    }

    pub(super) async fn next(&self) -> GuestProgram {
        match self.receiver.lock().await.recv().await {
            Some(program) => program,
            // Unreachable: `self` holds a sender, so the channel is open.
            None => std::future::pending().await,
        }
    }
}
