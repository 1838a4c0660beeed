//! Reads the exit of a run from the final record of the container's log.

use guest_io::log::{BLOCK, End, Outcome, RunMark};
use jiff::Timestamp;

use super::Shared;
use crate::exec::Signal;
use crate::vsphere::hardware::log_file;
use crate::vsphere::index::Seen;
use crate::{ContainerId, ExitStatus, Resource, Result};

impl Shared {
    /// Looks for the exit of a run whose machine is off and whose keys do not show it, because the
    /// guest's last report was lost. If the log ends with the final record of this run, its exit is
    /// returned and cached, so that it is persisted. Best effort.
    pub(super) async fn logged_exit(&self, id: &ContainerId) -> Option<ExitStatus> {
        let end = self.logged_end(id).await?;
        let exit = match end.outcome {
            Outcome::Code(code) => ExitStatus::Code(code.into()),
            Outcome::Signal(number) => ExitStatus::Signal(Signal::new(number).ok()),
            Outcome::OutOfMemory => ExitStatus::OutOfMemory,
            // The keys show that it started.
            Outcome::NotStarted => return None,
        };
        self.remember(id, exit).await;
        Some(exit)
    }

    /// Looks for the reason why the process of a run was not started, if the machine is off and its
    /// keys show nothing, because the guest's report was lost. Like [`Self::logged_exit`].
    pub(super) async fn logged_failure(&self, id: &ContainerId) -> Option<String> {
        let end = self.logged_end(id).await?;
        if end.outcome != Outcome::NotStarted {
            return None;
        }
        self.remember(id, ExitStatus::NotLaunched).await;
        Some(end.reason)
    }

    async fn remember(&self, id: &ContainerId, exit: ExitStatus) {
        if let Ok(machine) = self.indexed(id).await {
            self.heard_exits
                .hear(*id, machine.last_run(id).starts, exit);
        }
    }

    /// Returns the final record of the last run.
    async fn logged_end(&self, id: &ContainerId) -> Option<End> {
        match self.try_logged_end(id).await {
            Ok(end) => end,
            Err(error) => {
                tracing::debug!(container = %id, %error, "cannot read the end of the log");
                None
            }
        }
    }

    async fn try_logged_end(&self, id: &ContainerId) -> Result<Option<End>> {
        let machine = self.indexed(id).await?;
        let end = self.end_of_log(id, &machine).await?;
        let run = machine.run();
        let (started, _) = run.times(id);
        let number = run.number();
        Ok(end.filter(|end| is_of_run(end, number, started)))
    }

    async fn end_of_log(&self, id: &ContainerId, machine: &Seen) -> Result<Option<End>> {
        let resource = Resource::container(id);
        let devices = self.endpoint.devices(&machine.vm, &resource).await?;
        let Some(log) = log_file(&devices) else {
            return Ok(None);
        };
        let datastore = self
            .endpoint
            .datastore_of(&self.objects, &log, &resource)
            .await?;
        let Some(length) = self.endpoint.length(&datastore, &log, &resource).await? else {
            return Ok(None);
        };
        let start = length.saturating_sub(BLOCK);
        let range = (start, length - start);
        let (bytes, _) = self
            .endpoint
            .read_part(&datastore, &log, range, &resource)
            .await?;
        Ok(End::at_end(&bytes, start == 0))
    }
}

/// Returns whether a final record is that of the run with this number and this time of the start, as
/// far as they are known. The log may end with the record of an earlier run.
fn is_of_run(end: &End, number: Option<i64>, started: Option<Timestamp>) -> bool {
    let mark = number.and_then(RunMark::of);
    // The time of the start is in whole seconds.
    let is_after = started.map(|started| i128::from(end.time) >= started.as_nanosecond());
    // Without a number, only the time can tell.
    end.run == mark && is_after.unwrap_or(mark.is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    const START: i64 = 1_467_000_000;

    fn end(run: Option<i64>, after: i64) -> End {
        let time = START * 1_000_000_000 + after;
        End::new(time, Outcome::Code(0)).run(run.and_then(RunMark::of))
    }

    #[test]
    fn a_final_record_from_the_second_of_the_next_start_is_not_its_end() {
        let started = Some(Timestamp::from_second(START).unwrap());
        assert!(is_of_run(&end(Some(2), 500), Some(2), started));
        assert!(!is_of_run(&end(Some(1), 500), Some(2), started));
        assert!(!is_of_run(&end(None, 500), Some(2), started));
        // An agent that does not know the number.
        assert!(is_of_run(&end(None, 500), None, started));
        assert!(!is_of_run(&end(Some(1), 500), None, started));
    }

    #[test]
    fn a_final_record_from_before_the_start_is_not_its_end() {
        let started = Some(Timestamp::from_second(START).unwrap());
        assert!(!is_of_run(&end(None, -1), None, started));
        // The marks of runs repeat.
        assert!(!is_of_run(&end(Some(1), -1), Some(256), started));
    }

    #[test]
    fn without_the_time_of_the_start_the_number_decides() {
        assert!(is_of_run(&end(Some(3), 0), Some(3), None));
        assert!(!is_of_run(&end(Some(2), 0), Some(3), None));
        assert!(!is_of_run(&end(None, 0), None, None));
    }
}
