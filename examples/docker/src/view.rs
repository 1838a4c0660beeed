//! A container as docker's clients see it: the port layer's description and docker's own options.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use portlayer::exec::ContainerInfo;
use portlayer::{ContainerId, ExitStatus, State};
use serde::{Deserialize, Serialize};

use crate::options::PortBinding;
use crate::{times, units};

/// The annotation that holds the [`Extras`] of a container.
pub(crate) const ANNOTATION: &str = "docker";

/// The settings of a container in docker's API that the port layer does not have. They are stored
/// with the container, as an annotation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Extras {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) stdin_once: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) auto_remove: bool,
    /// The streams to which the client that created the container intended to attach.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) attached: Attached,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) user: String,
    /// The time of creation, with subseconds, which the port layer may not store.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) created: String,
    /// The number of leading words of the command that are the entrypoint.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) entrypoint: usize,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) stop_timeout: Option<u64>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) exposed_ports: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) port_bindings: BTreeMap<String, Vec<PortBinding>>,
}

/// A selection of a container's streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Attached {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) stdin: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) stdout: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) stderr: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A container's state in docker's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Created,
    Running,
    Paused,
    Exited,
    Removing,
    Dead,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }
}

/// A container as docker's clients see it.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) id: ContainerId,
    pub(crate) info: ContainerInfo,
    pub(crate) extras: Extras,
}

impl From<ContainerInfo> for View {
    fn from(mut info: ContainerInfo) -> Self {
        times::complete(&mut info);
        // A container that another front end created has no extras.
        let extras: Extras = info
            .annotations
            .get(ANNOTATION)
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default();
        if let Ok(created) = extras.created.parse() {
            info.created = Some(created);
        }
        Self {
            id: info.id,
            extras,
            info,
        }
    }
}

impl From<Arc<ContainerInfo>> for View {
    fn from(info: Arc<ContainerInfo>) -> Self {
        Arc::unwrap_or_clone(info).into()
    }
}

impl View {
    pub(crate) fn phase(&self) -> Phase {
        match &self.info.state {
            State::Created => Phase::Created,
            State::Starting | State::Running | State::Stopping => Phase::Running,
            State::Suspended => Phase::Paused,
            // A container that never ran is `created`, whatever state its machine is in.
            State::Stopped {
                exit: ExitStatus::NotLaunched | ExitStatus::NeverOn,
            } => Phase::Created,
            State::Stopped { .. } => Phase::Exited,
            State::Removing => Phase::Removing,
            _ => Phase::Dead,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.phase(), Phase::Running | Phase::Paused)
    }

    /// Returns the exit code that docker shows.
    pub(crate) fn exit_code(&self) -> i32 {
        let exit = self.info.state.exit();
        exit.map_or(0, |exit| exit_code(exit, self.info.failure.as_deref()))
    }

    /// Formats the `STATUS` column of `docker ps`.
    pub(crate) fn status(&self) -> String {
        let ago = |time: Option<Timestamp>| time.map(units::since);
        let up = match ago(self.info.started) {
            Some(time) => format!("Up {time}"),
            None => "Up".into(),
        };
        match self.phase() {
            Phase::Created => "Created".into(),
            Phase::Running => up,
            Phase::Paused => format!("{up} (Paused)"),
            Phase::Exited => {
                let code = self.exit_code();
                match ago(self.info.finished) {
                    Some(time) => format!("Exited ({code}) {time} ago"),
                    None => format!("Exited ({code})"),
                }
            }
            Phase::Removing => "Removal In Progress".into(),
            Phase::Dead => "Dead".into(),
        }
    }

    /// Returns the image as the user named it.
    pub(crate) fn image(&self) -> &str {
        self.info.root.reference()
    }

    /// Returns the image's id; empty if there is none.
    pub(crate) fn image_id(&self) -> String {
        self.info
            .root
            .image_id()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Returns the first network's name.
    pub(crate) fn network(&self) -> &str {
        let first = self.info.endpoints.first();
        first.map_or("bridge", |endpoint| endpoint.spec.scope.as_str())
    }

    /// Returns the names of the networks.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        let endpoints = self.info.endpoints.iter();
        endpoints.map(|endpoint| endpoint.spec.scope.as_str())
    }

    pub(crate) fn host_name(&self) -> String {
        let given = self.info.host_name.clone();
        given.unwrap_or_else(|| self.id.short())
    }

    /// Formats the program and its arguments for the `COMMAND` column of `docker ps`.
    pub(crate) fn command_line(&self) -> String {
        let mut line = self.info.command.path.clone();
        for word in &self.info.command.args {
            line.push(' ');
            // Like the engine, quotes only words with spaces.
            if word.contains(' ') {
                line.push_str(&format!("'{word}'"));
            } else {
                line.push_str(word);
            }
        }
        line
    }

    /// Returns the attributes of the container's events.
    pub(crate) fn attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = self.info.labels.clone();
        attributes.insert("image".into(), self.image().to_owned());
        attributes.insert("name".into(), self.info.name.clone());
        attributes
    }
}

/// Returns the exit code that docker shows. If the machine went off without reporting an exit
/// status, this is the code of a killed process.
pub(crate) fn exit_code(exit: ExitStatus, failure: Option<&str>) -> i32 {
    match (exit, failure) {
        (ExitStatus::NotLaunched, failure) => crate::launch::exit_code(failure.unwrap_or_default()),
        (ExitStatus::NeverOn, _) => 0,
        (exit, _) => exit.code().unwrap_or(137),
    }
}
