//! Changes to a container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::spec::{is_name, refuse_endpoints, refuse_labels};
use super::{Command, ContainerSpec, Resources};
use crate::network::EndpointSpec;
use crate::{Capabilities, Capability, ContainerId, Error, ErrorKind, Resource, Result, StateKind};

/// A change to a container, as a value: nothing happens before
/// [`Exec::update`](super::Exec::update). Fields that it does not set are not changed.
///
/// # Allowed states
/// | field | states |
/// | --- | --- |
/// | `name` | every state but `Removing`, `Broken` and `Unknown` |
/// | `labels`, `annotations`, `restart_count` | the same with [`Capability::LiveEdits`], or if the edit [may be forgotten](Self::may_be_forgotten); otherwise `Created` and `Stopped` |
/// | `command`, `resources`, `endpoints` | `Created` and `Stopped` |
///
/// A back end may refuse a new name too while the container is on, if it would be forgotten.
///
/// Without `LiveEdits`, the endpoint forgets what is changed while a container is on as soon as the
/// container is stopped. So such a change is refused, unless the caller accepts that.
///
/// ```
/// use portlayer::exec::Edit;
///
/// let edit = Edit::new().name("quick_otter").label("tier", "web").remove_label("draft");
/// assert!(edit.validate(&portlayer::ContainerId::generate()).is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Edit {
    /// The new name.
    pub name: Option<String>,
    /// Labels to change by name: `Some` sets the value, `None` removes the label.
    pub labels: BTreeMap<String, Option<String>>,
    /// Annotations to change by name: `Some` sets the value, `None` removes the annotation.
    pub annotations: BTreeMap<String, Option<String>>,
    /// The new restart count.
    pub restart_count: Option<u32>,
    /// The new command.
    pub command: Option<Command>,
    /// The new resources.
    pub resources: Option<Resources>,
    /// Connections to change by scope: `Some` adds or replaces the connection, `None` removes it.
    /// Connections to other scopes are not changed. A replaced connection keeps an address that was
    /// assigned automatically unless the new specification requests a fixed address.
    pub endpoints: BTreeMap<String, Option<EndpointSpec>>,
    /// Whether changes of the name, labels, annotations and the restart count may be forgotten when
    /// the container is stopped.
    pub may_be_forgotten: bool,
}

impl Edit {
    /// Creates an edit that changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Renames the container.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets a label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), Some(value.into()));
        self
    }

    /// Removes a label; an absent label counts as removed.
    #[must_use]
    pub fn remove_label(mut self, name: impl Into<String>) -> Self {
        self.labels.insert(name.into(), None);
        self
    }

    /// Sets an annotation.
    #[must_use]
    pub fn annotation(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(name.into(), Some(value.into()));
        self
    }

    /// Removes an annotation; an absent annotation counts as removed.
    #[must_use]
    pub fn remove_annotation(mut self, name: impl Into<String>) -> Self {
        self.annotations.insert(name.into(), None);
        self
    }

    /// Sets the restart count.
    #[must_use]
    pub fn restart_count(mut self, count: u32) -> Self {
        self.restart_count = Some(count);
        self
    }

    /// Replaces the command.
    #[must_use]
    pub fn command(mut self, command: Command) -> Self {
        self.command = Some(command);
        self
    }

    /// Replaces the resources.
    #[must_use]
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = Some(resources);
        self
    }

    /// Connects the container to a scope, or replaces its connection to it.
    #[must_use]
    pub fn connect(mut self, endpoint: EndpointSpec) -> Self {
        self.endpoints
            .insert(endpoint.scope.clone(), Some(endpoint));
        self
    }

    /// Disconnects the container from a scope. A no-op if it is not connected to that scope. A
    /// container's last connection cannot be removed.
    #[must_use]
    pub fn disconnect(mut self, scope: impl Into<String>) -> Self {
        self.endpoints.insert(scope.into(), None);
        self
    }

    /// Accepts that changes of the name, labels, annotations and the restart count are forgotten when
    /// the container is stopped, if it is on and [`Capability::LiveEdits`] is missing. Suitable for
    /// values that describe only the current run.
    #[must_use]
    pub fn may_be_forgotten(mut self) -> Self {
        self.may_be_forgotten = true;
        self
    }

    /// Returns the connections that a container with the given connections has after the edit;
    /// `None` if the edit does not change connections.
    pub(crate) fn endpoints_after(
        &self,
        id: &ContainerId,
        before: &[EndpointSpec],
    ) -> Result<Option<Vec<EndpointSpec>>> {
        if self.endpoints.is_empty() {
            return Ok(None);
        }
        let mut after: Vec<_> = before
            .iter()
            .filter_map(|endpoint| match self.endpoints.get(&endpoint.scope) {
                None => Some(endpoint.clone()),
                Some(change) => change.clone(),
            })
            .collect();
        let is_new = |e: &&EndpointSpec| before.iter().all(|other| other.scope != e.scope);
        after.extend(self.endpoints.values().flatten().filter(is_new).cloned());
        let refusal = if after.is_empty() {
            let reason = "the container would be connected to no scope: connect it to another one \
                          first";
            Some(("endpoints", reason.to_owned()))
        } else {
            refuse_endpoints(&after)
        };
        match refusal {
            None => Ok(Some(after)),
            Some((field, reason)) => {
                let resource = Resource::container(id);
                Err(Error::invalid_argument(resource, field, reason))
            }
        }
    }

    /// Applies the edit to a specification, except for the connections, which the back end changes.
    pub(crate) fn apply(self, spec: &mut ContainerSpec) {
        if let Some(name) = self.name {
            spec.name = name;
        }
        merge(&mut spec.labels, self.labels);
        merge(&mut spec.annotations, self.annotations);
        if let Some(count) = self.restart_count {
            spec.restart_count = count;
        }
        if let Some(command) = self.command {
            spec.command = command;
        }
        if let Some(resources) = self.resources {
            spec.resources = resources;
        }
    }

    /// Returns the states in which a back end with these capabilities allows this edit.
    #[must_use]
    pub fn allowed(&self, has: Capabilities) -> &'static [StateKind] {
        match self.only_while_off(has) {
            Some(_) => StateKind::STARTABLE,
            None => StateKind::EDITABLE,
        }
    }

    /// Returns the first field of this edit that a back end with these capabilities can change only
    /// while the container is off.
    #[must_use]
    pub fn only_while_off(&self, has: Capabilities) -> Option<&'static str> {
        let fields = [
            ("command", self.command.is_some()),
            ("resources", self.resources.is_some()),
            ("endpoints", !self.endpoints.is_empty()),
        ];
        let mut changed = fields.into_iter().filter(|(_, is_changed)| *is_changed);
        let forgotten = self.forgotten_at_stop(has);
        changed.next().map(|(field, _)| field).or(forgotten)
    }

    /// Returns the first field of this edit that a back end with these capabilities would forget
    /// when the container is stopped, and that must not be forgotten.
    fn forgotten_at_stop(&self, has: Capabilities) -> Option<&'static str> {
        if self.may_be_forgotten || has.contains(Capability::LiveEdits) {
            return None;
        }
        let fields = [
            ("labels", !self.labels.is_empty()),
            ("annotations", !self.annotations.is_empty()),
            ("restart_count", self.restart_count.is_some()),
        ];
        let mut changed = fields.into_iter().filter(|(_, is_changed)| *is_changed);
        changed.next().map(|(field, _)| field)
    }

    /// Adds the field to an error that refuses this edit because the container is not off.
    pub(crate) fn explain(&self, has: Capabilities, error: Error) -> Error {
        match (&error.kind, self.only_while_off(has)) {
            (ErrorKind::InvalidState { actual, .. }, Some(field))
                if std::error::Error::source(&error).is_none()
                    && StateKind::EDITABLE.contains(actual) =>
            {
                let why = match self.forgotten_at_stop(has) == Some(field) {
                    true => {
                        ", because the endpoint forgets changes made while it is on: stop it first"
                    }
                    false => "",
                };
                error.with_source(format!(
                    "its {field} can be changed only while it is off{why}"
                ))
            }
            _ => error,
        }
    }

    /// Validates everything that can be checked without an endpoint. Every implementation calls
    /// this first.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) with the first invalid field.
    pub fn validate(&self, id: &ContainerId) -> Result<()> {
        let refuse = |field, reason| {
            Err(Error::invalid_argument(
                Resource::container(id),
                field,
                reason,
            ))
        };
        if self.name.as_deref().is_some_and(|name| !is_name(name)) {
            return refuse("name", super::spec::NAME_RULE);
        }
        for (field, values) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            let values = values
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or_default()));
            if let Some(reason) = refuse_labels(values) {
                return refuse(field, reason);
            }
        }
        if let Some((field, reason)) = self.command.as_ref().and_then(super::spec::refuse_command) {
            return refuse(field, reason);
        }
        if let Some((field, reason)) = self.resources.as_ref().and_then(Resources::refusal) {
            return refuse(field, reason);
        }
        let misnamed = |(scope, endpoint): (&String, &Option<EndpointSpec>)| {
            endpoint.as_ref().is_some_and(|e| e.scope != *scope)
        };
        if self.endpoints.iter().any(misnamed) {
            return refuse("endpoints.scope", "it differs from the scope in its key");
        }
        let endpoints: Vec<_> = self.endpoints.values().flatten().cloned().collect();
        if let Some((field, reason)) = refuse_endpoints(&endpoints) {
            let resource = Resource::container(id);
            return Err(Error::invalid_argument(resource, field, reason));
        }
        Ok(())
    }
}

fn merge(into: &mut BTreeMap<String, String>, changes: BTreeMap<String, Option<String>>) {
    for (name, value) in changes {
        match value {
            Some(value) => into.insert(name, value),
            None => into.remove(&name),
        };
    }
}
