//! Runs jobs on several threads, with bounded memory, and returns the results in the jobs' order.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Jobs in flight for each thread.
const QUEUE: usize = 16;

/// Returns the default number of threads: one per processor, at most 8.
pub(super) fn default_threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    processors.min(8)
}

/// The result of the job with this number; `None` if its thread panicked.
type Done<R> = (u64, Option<R>);

/// A pool of threads. A thread takes the next job as soon as it has finished its last, so that a
/// thread that shares its processor holds up no other.
pub(super) struct Pool<J, R> {
    /// `None` only while the pool is dropped.
    jobs: Option<SyncSender<(u64, J)>>,
    results: Receiver<Done<R>>,
    threads: Vec<JoinHandle<()>>,
    /// The jobs in flight, oldest first, with the results that arrived before their turn.
    in_flight: VecDeque<Option<R>>,
    /// The number of the oldest job in flight.
    oldest: u64,
    /// Works on the caller's thread if there are no others.
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
        // With room for everything in flight, sending never blocks.
        let (jobs, job_receiver) = sync_channel(QUEUE * threads);
        let job_receiver = Arc::new(Mutex::new(job_receiver));
        let (result_sender, results) = channel();
        let mut pool = Self {
            jobs: Some(jobs),
            results,
            threads: Vec::new(),
            in_flight: VecDeque::new(),
            oldest: 0,
            own: Box::new(work()),
            name,
        };
        for index in 0..threads {
            let jobs = Arc::clone(&job_receiver);
            let results = result_sender.clone();
            let work = work();
            let thread = std::thread::Builder::new()
                .name(format!("{name} {index}"))
                .spawn(move || run(&jobs, &results, work))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Submits a job. If the maximum number of jobs is in flight, waits for the oldest and returns
    /// its result.
    pub(super) fn push(&mut self, job: J) -> io::Result<Option<R>> {
        if self.threads.is_empty() {
            return Ok(Some((self.own)(job)));
        }
        let done = if self.in_flight.len() >= QUEUE * self.threads.len() {
            self.pop()?
        } else {
            None
        };
        let number = self.oldest + self.in_flight.len() as u64;
        let sent = self.jobs.as_ref().map(|jobs| jobs.send((number, job)));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.failure());
        }
        self.in_flight.push_back(None);
        Ok(done)
    }

    /// Waits for the oldest job in flight and returns its result; `None` if there is none.
    pub(super) fn pop(&mut self) -> io::Result<Option<R>> {
        loop {
            match self.in_flight.front_mut().map(Option::take) {
                None => return Ok(None),
                Some(Some(result)) => {
                    self.in_flight.pop_front();
                    self.oldest += 1;
                    return Ok(Some(result));
                }
                Some(None) => {}
            }
            let Ok((number, Some(result))) = self.results.recv() else {
                return Err(self.failure());
            };
            let place = usize::try_from(number - self.oldest).ok();
            match place.and_then(|place| self.in_flight.get_mut(place)) {
                Some(place) => *place = Some(result),
                None => return Err(self.failure()),
            }
        }
    }

    fn failure(&self) -> io::Error {
        io::Error::other(format!("a thread failed: {}", self.name))
    }
}

/// Does jobs until there are no more, or nobody wants the results.
fn run<J, R>(
    jobs: &Mutex<Receiver<(u64, J)>>,
    results: &Sender<Done<R>>,
    mut work: impl FnMut(J) -> R,
) {
    loop {
        // Nothing panics while the lock is held. Threads without a job wait for it or for a job.
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, job)) = job else {
            return;
        };
        let mut report = Report {
            number,
            result: None,
            results,
        };
        report.result = Some(work(job));
        if !report.send() {
            return;
        }
    }
}

/// Reports the end of a job, also if it panics: without a result.
struct Report<'a, R> {
    number: u64,
    result: Option<R>,
    results: &'a Sender<Done<R>>,
}

impl<R> Report<'_, R> {
    /// Returns whether somebody receives it.
    fn send(mut self) -> bool {
        let result = self.result.take();
        let sent = self.results.send((self.number, result)).is_ok();
        std::mem::forget(self);
        sent
    }
}

impl<R> Drop for Report<'_, R> {
    fn drop(&mut self) {
        _ = self.results.send((self.number, None));
    }
}

impl<J, R> Drop for Pool<J, R> {
    fn drop(&mut self) {
        // Ends the threads after the jobs that are already there.
        self.jobs = None;
        for thread in self.threads.drain(..) {
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
    fn a_panic_of_a_thread_is_an_error_and_not_a_hang() {
        for number in [0, 5] {
            let work = || move |job: u64| assert_ne!(job, number, "as the test wants it");
            let mut pool = Pool::new("assert", 2, work).unwrap();
            let mut error = None;
            for job in 0..20 {
                error = error.or(pool.push(job).err());
            }
            while error.is_none() {
                match pool.pop() {
                    Ok(done) => done.expect("the panic is reported before the last result"),
                    Err(failure) => error = Some(failure),
                }
            }
            assert_eq!(error.unwrap().to_string(), "a thread failed: assert");
        }
    }

    #[test]
    fn a_thread_that_is_busy_holds_up_no_other() {
        let (sender, held) = channel();
        let held = Arc::new(Mutex::new(held));
        let done = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let work = || {
            let (held, done) = (Arc::clone(&held), Arc::clone(&done));
            move |job: u64| {
                match job {
                    0 => held.lock().unwrap().recv().unwrap(),
                    _ => _ = done.fetch_add(1, std::sync::atomic::Ordering::SeqCst),
                }
                job
            }
        };
        let mut pool = Pool::new("hold", 2, work).unwrap();
        for job in 0..10 {
            pool.push(job).unwrap();
        }
        // The other thread does all other jobs, while one is held up by the first job.
        while done.load(std::sync::atomic::Ordering::SeqCst) < 9 {
            std::thread::yield_now();
        }
        sender.send(()).unwrap();
        for job in 0..10 {
            assert_eq!(pool.pop().unwrap(), Some(job));
        }
    }
}
