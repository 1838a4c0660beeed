//! Start and end times of runs for back ends that do not store them: the keys of VIC 0.4 cannot
//! represent them. The front end persists them with the container, as annotations.

use jiff::Timestamp;
use portlayer::ContainerId;
use portlayer::exec::{ContainerInfo, Edit};

use crate::FrontEnd;
use crate::error::chain;
use crate::view::View;

const STARTED: &str = "docker.started";
const FINISHED: &str = "docker.finished";

/// Fills in the times of a container that the front end persisted.
pub(crate) fn complete(info: &mut ContainerInfo) {
    if info.started.is_none() {
        info.started = kept(info, STARTED);
    }
    if info.finished.is_none() {
        info.finished = kept(info, FINISHED);
    }
}

fn kept(info: &ContainerInfo, name: &str) -> Option<Timestamp> {
    info.annotations.get(name)?.parse().ok()
}

impl FrontEnd {
    /// Persists the time of a start, if the port layer does not. The caller holds the container's
    /// lock.
    pub(crate) async fn note_start(&self, id: &ContainerId) {
        let Some(info) = self.lasting(id).await else {
            return;
        };
        if info.started.is_none() {
            self.note(id, STARTED).await;
        }
    }

    /// Persists the end of the last run, unless it is stored already.
    pub(crate) async fn note_end(&self, id: &ContainerId) {
        let turn = self.ports().turn(id);
        let _turn = turn.lock().await;
        self.rename_ended(id).await;
        let Some(info) = self.lasting(id).await else {
            return;
        };
        let is_noted = info.finished.is_some() || kept(&info, FINISHED) > kept(&info, STARTED);
        if !is_noted && info.state.exit().is_some() {
            self.note(id, FINISHED).await;
        }
    }

    /// Repeats the renaming of a container that was renamed while it ran.
    async fn rename_ended(&self, id: &ContainerId) {
        let Some(name) = self.renames().remove(id) else {
            return;
        };
        let edit = Edit::new().name(name);
        if let Err(error) = self.layer().exec().update(id, edit).await
            && !error.is_not_found()
        {
            let error = chain(&error);
            tracing::warn!(%id, %error, "a container has the name from before its run again");
        }
    }

    /// Returns the container, unless it is gone or about to be removed: then its times are not
    /// needed.
    async fn lasting(&self, id: &ContainerId) -> Option<ContainerInfo> {
        let info = self.layer().exec().inspect(id).await.ok()?;
        let lasts = !View::from(info.clone()).extras.auto_remove;
        lasts.then_some(info)
    }

    async fn note(&self, id: &ContainerId, name: &str) {
        let now = Timestamp::now().to_string();
        // Some endpoints forget the time of a start at the end of the run.
        let edit = Edit::new().annotation(name, now).may_be_forgotten();
        match self.layer().exec().update(id, edit).await {
            Err(error) if !error.is_not_found() => {
                let error = chain(&error);
                tracing::warn!(%id, %error, "the time of a container's run is not kept");
            }
            _ => {}
        }
    }
}
