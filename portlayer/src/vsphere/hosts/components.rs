//! The components of an appliance, whose states its guest reports in the appliance's keys.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use guestinfo::vic::{SessionConfig, Started};
use serde::{Deserialize, Serialize};
use vim25::{Ref, mo};

use super::Shared;
use super::appliance_component::command_of;
use super::lookup::Found;
use crate::exec::Command;
use crate::{Error, Resource, Result};

/// A program that the appliance runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Component {
    /// The name.
    pub name: String,
    /// The state that the guest of the appliance reported.
    pub state: ComponentState,
    /// The command that starts it, if its record contains one.
    #[serde(default)]
    pub command: Option<Command>,
}

/// The state of a [`Component`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ComponentState {
    /// The guest has not reported that it was started.
    NotStarted,
    /// It was started.
    Started,
    /// It could not be started, for this reason.
    Failed(String),
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.state {
            ComponentState::NotStarted => write!(f, "{name}: not started"),
            ComponentState::Started => write!(f, "{name}: started"),
            ComponentState::Failed(reason) => write!(f, "{name}: {reason}"),
        }
    }
}

impl Component {
    pub(in crate::vsphere) fn read((name, session): (String, SessionConfig)) -> Self {
        let state = match &session.started {
            Started::Yes => ComponentState::Started,
            Started::Failed(reason) => ComponentState::Failed(reason.clone()),
            _ => ComponentState::NotStarted,
        };
        let command = command_of(&session);
        Self {
            name,
            state,
            command,
        }
    }
}

impl Shared {
    /// Waits until the guest of an appliance has started all components.
    pub(super) async fn wait_for_components(
        &self,
        vm: &Ref<mo::VirtualMachine>,
        limit: Duration,
        host: &Resource,
    ) -> Result<()> {
        let mut waiting = Vec::new();
        let started = self.endpoint.watch(vm, host, |machine| {
            let components = Found::read(machine).map(|found| found.record.components);
            waiting.clear();
            for component in components.unwrap_or_default() {
                match component.state {
                    ComponentState::Started => {}
                    ComponentState::NotStarted => waiting.push(component.name),
                    ComponentState::Failed(_) => {
                        let reason = format!("component {component}");
                        return ControlFlow::Break(Err(Error::guest_failed(host.clone(), reason)));
                    }
                }
            }
            if waiting.is_empty() {
                ControlFlow::Break(Ok(()))
            } else {
                ControlFlow::Continue(())
            }
        });
        let started = tokio::time::timeout(limit, started).await;
        match started {
            Ok(started) => started?,
            Err(_elapsed) => {
                let missing = format!("not started: {}", waiting.join(", "));
                let phase = "the wait for its appliance's components";
                Err(Error::timeout(host.clone(), phase).with_source(missing))
            }
        }
    }
}
