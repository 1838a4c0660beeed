//! Reads the exit of a run from the final record of the container's log.

use guest_io::log::{BLOCK, End, Outcome};

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
        match self.try_logged_exit(id).await {
            Ok(exit) => exit,
            Err(error) => {
                tracing::debug!(container = %id, %error, "cannot read the end of the log");
                None
            }
        }
    }

    async fn try_logged_exit(&self, id: &ContainerId) -> Result<Option<ExitStatus>> {
        let machine = self.indexed(id).await?;
        // Without the time of the start, the record may belong to an earlier run.
        let (Some(started), _) = machine.run().times(id) else {
            return Ok(None);
        };
        let Some(end) = self.end_of_log(id, &machine).await? else {
            return Ok(None);
        };
        // The time of the start is in whole seconds.
        if i128::from(end.time) < started.as_nanosecond() {
            return Ok(None);
        }
        let exit = match end.outcome {
            Outcome::Code(code) => ExitStatus::Code(code.into()),
            Outcome::Signal(number) => ExitStatus::Signal(Signal::new(number).ok()),
            Outcome::OutOfMemory => ExitStatus::OutOfMemory,
            // The reason of a failed start is only in the keys, which show that it started.
            Outcome::NotStarted => return Ok(None),
        };
        self.heard_exits.hear(*id, machine.run().starts(), exit);
        Ok(Some(exit))
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
