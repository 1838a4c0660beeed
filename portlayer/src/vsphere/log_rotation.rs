//! When the logs of containers are rotated.

/// The rotation of containers' logs: older parts are renamed to `LOG.1` (the newest), `LOG.2` …, and
/// the oldest is deleted. All parts are read as one log.
///
/// A log is the file behind a serial port of the container's machine. The hypervisor keeps it open
/// and appends to it while the machine is on, and vSphere has no call that truncates it or makes the
/// hypervisor open another file without losing output in between. So a log is rotated when its
/// container is started again, before the machine is powered on. The length of a log is limited to
/// what its parts had when they were rotated; the output of a single run is not limited.
///
/// A log that cannot be rotated, for example because another program reads it, does not prevent the
/// start: it grows, and is rotated at the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogRotation {
    /// The length in bytes from which on a log is rotated.
    pub max_size: u64,
    /// The number of older parts that are kept, at most [`MAX_KEEP`](Self::MAX_KEEP).
    pub keep: u32,
}

impl LogRotation {
    /// The maximum number of older parts.
    pub const MAX_KEEP: u32 = 99;

    /// Creates a rotation of logs of at least `max_size` bytes that keeps `keep` older parts.
    #[must_use]
    pub fn new(max_size: u64, keep: u32) -> Self {
        Self {
            max_size,
            keep: keep.min(Self::MAX_KEEP),
        }
    }
}
