//! Finds in the kernel's log which processes it killed because memory ran out.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;

use nix::errno::Errno;
use nix::fcntl::OFlag;

/// The maximum size of a record, in bytes.
const RECORD: usize = 8 << 10;
/// The maximum number of records that are read at once: a process of the container may write some
/// all the time.
const RECORDS: usize = 1 << 14;

/// The kernel's log, from the last [`skip`](Self::skip) on.
pub(crate) struct KernelLog {
    file: File,
    killed: BTreeSet<i32>,
}

impl KernelLog {
    /// Opens the log at its end.
    pub(crate) fn open() -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits())
            .open("/dev/kmsg")?;
        let mut log = Self {
            file,
            killed: BTreeSet::new(),
        };
        log.skip()?;
        Ok(log)
    }

    /// Ignores everything that has been logged so far. To be called before a process is started,
    /// whose id may be that of an earlier one.
    pub(crate) fn skip(&mut self) -> io::Result<()> {
        self.killed.clear();
        self.file.seek(SeekFrom::End(0)).map(drop)
    }

    /// Returns whether the kernel killed this process because memory ran out.
    pub(crate) fn has_killed(&mut self, pid: i32) -> bool {
        let mut record = vec![0; RECORD];
        for _ in 0..RECORDS {
            match self.file.read(&mut record) {
                Ok(0) => break,
                Ok(length) => {
                    let text = String::from_utf8_lossy(&record[..length]);
                    self.killed.extend(victim(&text));
                }
                // Older records were overwritten, or the call was interrupted.
                Err(error)
                    if matches!(
                        error.raw_os_error().map(Errno::from_raw),
                        Some(Errno::EPIPE | Errno::EINTR)
                    ) => {}
                Err(_) => break,
            }
        }
        self.killed.contains(&pid)
    }
}

/// Returns the process that was killed, if a record reports it:
///
/// ```text
/// 6,417,5321678,-;oom-kill:constraint=CONSTRAINT_NONE,…,task=fill,pid=61,uid=0
/// 3,418,5322341,-;Out of memory: Killed process 61 (fill) total-vm:221456kB, …
/// ```
///
/// The first is logged before the signal is sent, but not if there are many. Processes can write
/// records, too, and choose their names, but their records never have the facility 0.
fn victim(record: &str) -> Option<i32> {
    let (prefix, rest) = record.split_once(';')?;
    let priority: u32 = prefix.split(',').next()?.parse().ok()?;
    if priority >> 3 != 0 {
        return None;
    }
    let line = rest.lines().next()?;
    let killed = ["Out of memory", "Memory cgroup out of memory"]
        .iter()
        .find_map(|cause| line.strip_prefix(cause)?.strip_prefix(": Killed process "));
    if let Some(killed) = killed {
        return killed.split(' ').next()?.parse().ok();
    }
    // The name of the process, which is not trusted, precedes the last fields.
    let (_, fields) = line.strip_prefix("oom-kill:")?.rsplit_once(",pid=")?;
    let (pid, _) = fields.split_once(",uid=")?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_reports_name_the_process() {
        for (record, expected) in [
            (
                "6,417,5321678,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,\
                 mems_allowed=0,global_oom,task_memcg=/,task=fill,pid=61,uid=0\n",
                Some(61),
            ),
            (
                "3,418,5322341,-;Out of memory: Killed process 61 (fill) total-vm:221456kB, \
                 anon-rss:180000kB\n",
                Some(61),
            ),
            (
                "3,419,5322341,-;Memory cgroup out of memory: Killed process 7 (a) total-vm:1kB\n",
                Some(7),
            ),
            // A program that calls itself `a,pid=1,uid=0`.
            (
                "6,1,1,-;oom-kill:constraint=X,task=a,pid=1,uid=0,pid=62,uid=0\n",
                Some(62),
            ),
            (
                "4,416,5321670,-;fill invoked oom-killer: gfp_mask=0x140cca\n",
                None,
            ),
            ("6,420,1,-;usb 1-1: new device, pid=61,uid=0\n", None),
        ] {
            assert_eq!(victim(record), expected, "{record}");
        }
    }

    #[test]
    fn a_record_that_a_process_wrote_is_ignored() {
        for record in [
            "12,421,5322350,-;Out of memory: Killed process 61 (fill) total-vm:1kB\n",
            "14,422,5322351,-;oom-kill:constraint=X,task=fill,pid=61,uid=0\n",
            // The continuation of a record.
            "6,423,1,-;text\n Out of memory: Killed process 61 (fill)\n",
            "Out of memory: Killed process 61 (fill)",
            "",
        ] {
            assert_eq!(victim(record), None, "{record}");
        }
    }
}
