//! Queue of program requests for one guest.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};

use super::GuestProgram;

/// Maximum number of requests in the queue. Requests go on without their clients, so their number is
/// not bound by that of the connections.
const WAITING: usize = 64;

/// The queue of program requests for one guest, with both ends.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    // Requests are boxed, because a channel allocates room for 32 of its items at once.
    sender: mpsc::Sender<Box<GuestProgram>>,
    receiver: Arc<Mutex<mpsc::Receiver<Box<GuestProgram>>>>,
}

impl Programs {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self {
            sender,
            receiver: Arc::new(Mutex::new(receiver)),
        }
    }

    pub(crate) fn sender(&self) -> mpsc::Sender<Box<GuestProgram>> {
        self.sender.clone()
    }

    pub(super) async fn next(&self) -> GuestProgram {
        let mut receiver = self.receiver.lock().await;
        loop {
            match receiver.recv().await {
                // The client was told that the guest does not respond.
                Some(program) if program.is_late() => {}
                Some(program) => return *program,
                // Unreachable: `self` holds a sender, so the channel is open.
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::guest::Order;

    fn order(path: &str) -> Order {
        Order {
            user: String::new(),
            password: String::new(),
            path: path.to_owned(),
            arguments: String::new(),
            working_directory: None,
            environment: Vec::new(),
        }
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_skips_requests_that_were_given_up() {
        let programs = Programs::new();
        let sender = programs.sender();
        let mut answers = Vec::new();
        for _ in 0..WAITING {
            let (program, answer) = GuestProgram::new(order("late"));
            sender.try_send(Box::new(program)).unwrap();
            answers.push(answer);
        }
        let (program, _answer) = GuestProgram::new(order("more"));
        assert!(sender.try_send(Box::new(program)).is_err());
        drop(answers.split_off(1));
        assert_eq!(programs.next().await.path, "late");
        let next = tokio::spawn(async move { programs.next().await.path });
        tokio::task::yield_now().await;
        let (program, _answer) = GuestProgram::new(order("new"));
        sender.send(Box::new(program)).await.unwrap();
        assert_eq!(next.await.unwrap(), "new");
    }
}
