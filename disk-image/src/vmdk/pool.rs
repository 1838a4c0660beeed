//! Runs jobs on several threads, with bounded memory, and returns the results in the jobs' order.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Jobs in flight for each thread.
const QUEUE: usize = 16;

/// Returns the default number of threads: one per processor, at most 8.
pub(super) fn default_threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    processors.min(8)
}

struct Worker<J, R> {
    jobs: SyncSender<J>,
    results: Receiver<R>,
    thread: JoinHandle<()>,
}

/// A pool of threads.
pub(super) struct Pool<J, R> {
    workers: Vec<Worker<J, R>>,
    /// The worker of each job in flight, oldest first.
    in_flight: VecDeque<usize>,
    next: usize,
    /// Works on the caller's thread if there are no workers.
    own: Box<dyn FnMut(J) -> R + Send>,
    name: &'static str,
}

impl<J: Send + 'static, R: Send + 'static> Pool<J, R> {
    /// Starts this many threads, each of which works with a function of its own. Without threads
    /// the caller's thread does the work.
    pub(super) fn new<F: FnMut(J) -> R + Send + 'static>(
        name: &'static str,
        threads: usize,
        work: impl Fn() -> F,
    ) -> io::Result<Self> {
        let mut pool = Self {
            workers: Vec::new(),
            in_flight: VecDeque::new(),
            next: 0,
            own: Box::new(work()),
            name,
        };
        for index in 0..threads {
            // Both queues have room for everything in flight, so sending never blocks.
            let (jobs, job_receiver) = sync_channel(QUEUE);
            let (result_sender, results) = sync_channel(QUEUE);
            let mut work = work();
            let thread = std::thread::Builder::new()
                .name(format!("{name} {index}"))
                .spawn(move || {
                    for job in job_receiver {
                        if result_sender.send(work(job)).is_err() {
                            break;
                        }
                    }
                })?;
            pool.workers.push(Worker {
                jobs,
                results,
                thread,
            });
        }
        Ok(pool)
    }

    /// Submits a job. If the maximum number of jobs is in flight, waits for the oldest and returns
    /// its result.
    pub(super) fn push(&mut self, job: J) -> io::Result<Option<R>> {
        if self.workers.is_empty() {
            return Ok(Some((self.own)(job)));
        }
        let done = if self.in_flight.len() >= QUEUE * self.workers.len() {
            self.pop()?
        } else {
            None
        };
        let index = self.next;
        self.next = (index + 1) % self.workers.len();
        if self.workers[index].jobs.send(job).is_err() {
            return Err(self.failure());
        }
        self.in_flight.push_back(index);
        Ok(done)
    }

    /// Waits for the oldest job in flight and returns its result; `None` if there is none.
    pub(super) fn pop(&mut self) -> io::Result<Option<R>> {
        let Some(index) = self.in_flight.pop_front() else {
            return Ok(None);
        };
        match self.workers[index].results.recv() {
            Ok(result) => Ok(Some(result)),
            Err(_) => Err(self.failure()),
        }
    }

    fn failure(&self) -> io::Error {
        io::Error::other(format!("a thread failed: {}", self.name))
    }
}

impl<J, R> Drop for Pool<J, R> {
    fn drop(&mut self) {
        let workers = std::mem::take(&mut self.workers);
        let threads: Vec<_> = workers
            .into_iter()
            .map(
                |Worker {
                     jobs,
                     results,
                     thread,
                 }| {
                    drop((jobs, results));
                    thread
                },
            )
            .collect();
        for thread in threads {
            // A panic was already reported to the caller by `pop`.
            _ = thread.join();
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn squares(threads: usize) -> Pool<u64, u64> {
        Pool::new("squares", threads, || |number: u64| number * number).unwrap()
    }

    #[test]
    fn results_are_returned_in_the_order_of_the_jobs() {
        for threads in [0, 1, 3] {
            let mut pool = squares(threads);
            let mut found = Vec::new();
            for number in 0..100 {
                found.extend(pool.push(number).unwrap());
                assert!(pool.in_flight.len() <= QUEUE * threads);
            }
            while let Some(result) = pool.pop().unwrap() {
                found.push(result);
            }
            let expected: Vec<u64> = (0..100).map(|number| number * number).collect();
            assert_eq!(found, expected, "{threads}");
        }
    }

    #[test]
    fn the_end_of_a_worker_is_an_error_and_not_a_hang() {
        let mut pool = squares(2);
        // As if the first worker had panicked: it receives no jobs and sends no results.
        pool.workers[0].jobs = sync_channel(1).0;
        pool.push(0).map(drop).unwrap_err();
        let mut pool = squares(2);
        pool.push(0).unwrap();
        pool.workers[0].results = sync_channel(1).1;
        let error = pool.pop().unwrap_err();
        assert_eq!(error.to_string(), "a thread failed: squares");
    }
}
