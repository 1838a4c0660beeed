//! Compresses grains on several threads, in order, with bounded memory.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::GRAIN;

/// The compression level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CompressionLevel {
    /// zlib's level 1: three times as fast as [`CompressionLevel::Small`], output a fifth larger.
    #[default]
    Fast,
    /// zlib's level 6, as used by qemu-img.
    Small,
}

impl CompressionLevel {
    fn compression(self) -> Compression {
        Compression::new(match self {
            Self::Fast => 1,
            Self::Small => 6,
        })
    }
}

/// Grains in flight for each thread.
const QUEUE: usize = 4;

/// A compressed grain, and the buffer of its uncompressed data for reuse.
pub(super) struct Packed {
    pub(super) grain: u64,
    pub(super) data: Vec<u8>,
    pub(super) spare: Vec<u8>,
}

struct Job {
    grain: u64,
    plain: Vec<u8>,
}

struct Worker {
    jobs: SyncSender<Job>,
    results: Receiver<Packed>,
    thread: JoinHandle<()>,
}

/// A pool of threads that compress grains. Results are returned in the order of the jobs.
pub(super) struct Pool {
    workers: Vec<Worker>,
    /// The worker of each job in flight, oldest first.
    in_flight: VecDeque<usize>,
    next: usize,
    /// Compresses on the caller's thread when there are no workers.
    own: Packer,
    failed: bool,
}

impl Pool {
    pub(super) fn new(level: CompressionLevel, threads: usize) -> io::Result<Self> {
        let mut pool = Self {
            workers: Vec::new(),
            in_flight: VecDeque::new(),
            next: 0,
            own: Packer::new(level),
            failed: false,
        };
        for index in 0..threads {
            // Both queues have room for everything in flight, so sending never blocks.
            let (jobs, job_receiver) = sync_channel::<Job>(QUEUE);
            let (result_sender, results) = sync_channel(QUEUE);
            let thread = std::thread::Builder::new()
                .name(format!("deflate {index}"))
                .spawn(move || {
                    let mut packer = Packer::new(level);
                    for Job { grain, plain } in job_receiver {
                        let data = packer.pack(&plain);
                        if result_sender
                            .send(Packed {
                                grain,
                                data,
                                spare: plain,
                            })
                            .is_err()
                        {
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

    /// Submits a grain. If the maximum number of grains is in flight, waits for the oldest and
    /// returns it.
    pub(super) fn push(&mut self, grain: u64, plain: Vec<u8>) -> io::Result<Option<Packed>> {
        if self.workers.is_empty() {
            let data = self.own.pack(&plain);
            return Ok(Some(Packed {
                grain,
                data,
                spare: plain,
            }));
        }
        let done = if self.in_flight.len() >= QUEUE * self.workers.len() {
            self.pop()?
        } else {
            None
        };
        let index = self.next;
        self.next = (index + 1) % self.workers.len();
        if self.workers[index].jobs.send(Job { grain, plain }).is_err() {
            return Err(self.failure());
        }
        self.in_flight.push_back(index);
        Ok(done)
    }

    /// Waits for the oldest grain in flight and returns it; `None` if there is none.
    pub(super) fn pop(&mut self) -> io::Result<Option<Packed>> {
        let Some(index) = self.in_flight.pop_front() else {
            return Ok(None);
        };
        match self.workers[index].results.recv() {
            Ok(packed) => Ok(Some(packed)),
            Err(_) => Err(self.failure()),
        }
    }

    fn failure(&mut self) -> io::Error {
        self.failed = true;
        io::Error::other("a compression thread failed")
    }
}

impl Drop for Pool {
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

/// Compresses one grain at a time.
struct Packer {
    compress: Compress,
    stored: Compress,
    buffer: Vec<u8>,
}

impl Packer {
    fn new(level: CompressionLevel) -> Self {
        Self {
            compress: Compress::new(level.compression(), true),
            stored: Compress::new(Compression::none(), true),
            buffer: vec![0; GRAIN as usize * 9 / 8 + 1024],
        }
    }

    /// Returns an RFC 1950 stream. Data that does not shrink is stored uncompressed.
    fn pack(&mut self, plain: &[u8]) -> Vec<u8> {
        if let Some(length) = run(&mut self.compress, plain, &mut self.buffer)
            && length < plain.len()
        {
            return self.buffer[..length].to_vec();
        }
        let length = run(&mut self.stored, plain, &mut self.buffer).unwrap_or(0);
        self.buffer[..length].to_vec()
    }
}

fn run(compress: &mut Compress, plain: &[u8], to: &mut [u8]) -> Option<usize> {
    compress.reset();
    match compress.compress(plain, to, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => usize::try_from(compress.total_out()).ok(),
        _ => None,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn grain(fill: impl FnMut(u64) -> u8) -> Vec<u8> {
        (0..GRAIN).map(fill).collect()
    }

    /// Returns bytes that do not shrink.
    fn noise() -> Vec<u8> {
        let mut state = 1u64;
        grain(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
    }

    #[test]
    fn a_grain_that_does_not_shrink_is_stored() {
        for level in [CompressionLevel::Fast, CompressionLevel::Small] {
            let mut packer = Packer::new(level);
            let packed = packer.pack(&noise());
            assert!(packed.len() > GRAIN as usize);
            assert!(packed.len() < GRAIN as usize + 64, "{}", packed.len());
            assert!(packer.pack(&grain(|n| n as u8 / 16)).len() < 4096);
        }
    }

    #[test]
    fn the_end_of_a_worker_is_an_error_and_not_a_hang() {
        let mut pool = Pool::new(CompressionLevel::Fast, 2).unwrap();
        // As if the first worker had panicked: it receives no jobs and sends no results.
        pool.workers[0].jobs = sync_channel(1).0;
        pool.push(0, noise()).map(drop).unwrap_err();
        let mut pool = Pool::new(CompressionLevel::Fast, 2).unwrap();
        pool.push(0, noise()).unwrap();
        pool.workers[0].results = sync_channel(1).1;
        assert!(pool.pop().is_err());
    }
}
