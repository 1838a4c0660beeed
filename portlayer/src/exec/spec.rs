//! The specification of a container.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Command, Limit, Resources, RootFs};
use crate::network::{EndpointSpec, Refusal, clashing_ports, refuse_endpoint};
use crate::volume::Mount;
use crate::{ContainerId, Error, Resource, Result};

/// The maximum length of a container's name. The machine's name, which appends a dash and the short
/// id, has at most 80 characters.
const NAME_MAX: usize = 64;
/// The maximum length of a text in a configuration value in bytes, with some reserve.
const TEXT_MAX: usize = 32 * 1024;
/// The maximum size of one container's labels or annotations, names and values together, in bytes.
const LABELS_MAX: usize = 256 * 1024;
/// The longest host name that Linux accepts, in bytes.
const HOST_NAME_MAX: usize = 63;
/// The maximum number of endpoints: a virtual machine has at most ten network cards.
const ENDPOINTS_MAX: usize = 10;

/// The specification of a new container, as a plain value: nothing happens before
/// [`Exec::create`](super::Exec::create).
///
/// ```
/// use portlayer::exec::{Command, ContainerSpec, Resources};
///
/// let spec = ContainerSpec::new("jovial_ride", Command::new("/hello"))
///     .resources(Resources::new().memory_mib(512))
///     .label("tier", "web");
/// assert!(spec.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ContainerSpec {
    /// The identity of the container.
    pub id: ContainerId,
    /// The name: 1 to 64 letters, digits, `_`, `.` and `-`, the first a letter or a digit. It must
    /// be unique on the host.
    pub name: String,
    /// The origin of the root file system.
    #[serde(default)]
    pub root: RootFs,
    /// The command of the container.
    pub command: Command,
    /// The host name. `None`: the first 12 digits of the id.
    #[serde(default)]
    pub host_name: Option<String>,
    /// The mounts in the container's file system.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// The scopes to connect the container to, at most ten. Empty: the default scope.
    #[serde(default)]
    pub endpoints: Vec<EndpointSpec>,
    /// The virtual hardware.
    #[serde(default)]
    pub resources: Resources,
    /// The labels, by which users group containers.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The annotations, which a front end stores with the container for its own use.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// How often a front end has restarted the container.
    #[serde(default)]
    pub restart_count: u32,
}

impl ContainerSpec {
    /// Creates a specification with a generated id, an empty root file system and the default
    /// resources, connected to the default scope.
    pub fn new(name: impl Into<String>, command: Command) -> Self {
        Self {
            id: ContainerId::generate(),
            name: name.into(),
            root: RootFs::Empty,
            command,
            host_name: None,
            mounts: Vec::new(),
            endpoints: Vec::new(),
            resources: Resources::new(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            restart_count: 0,
        }
    }

    /// Sets the identity, which replaces the generated one.
    #[must_use]
    pub fn id(mut self, id: ContainerId) -> Self {
        self.id = id;
        self
    }

    /// Sets the name, which replaces the one from [`new`](Self::new).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the origin of the root file system.
    #[must_use]
    pub fn root(mut self, root: RootFs) -> Self {
        self.root = root;
        self
    }

    /// Sets the command, which replaces the one from [`new`](Self::new).
    #[must_use]
    pub fn command(mut self, command: Command) -> Self {
        self.command = command;
        self
    }

    /// Sets the host name.
    #[must_use]
    pub fn host_name(mut self, name: impl Into<String>) -> Self {
        self.host_name = Some(name.into());
        self
    }

    /// Adds a mount to the container's file system.
    #[must_use]
    pub fn mount(mut self, mount: Mount) -> Self {
        self.mounts.push(mount);
        self
    }

    /// Adds a connection to a scope.
    #[must_use]
    pub fn endpoint(mut self, endpoint: EndpointSpec) -> Self {
        self.endpoints.push(endpoint);
        self
    }

    /// Sets the virtual hardware.
    #[must_use]
    pub fn resources(mut self, resources: Resources) -> Self {
        self.resources = resources;
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Adds an annotation.
    #[must_use]
    pub fn annotation(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(name.into(), value.into());
        self
    }

    /// Sets how often a front end has restarted the container.
    #[must_use]
    pub fn restart_count(mut self, count: u32) -> Self {
        self.restart_count = count;
        self
    }

    /// Validates everything that can be checked without an endpoint. Every implementation calls
    /// this first.
    ///
    /// # Errors
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument) with the first invalid field.
    pub fn validate(&self) -> Result<()> {
        let refusal = self.refusal();
        let refusal = refusal.map(|(field, reason)| (field, reason.to_owned()));
        match refusal.or_else(|| refuse_endpoints(&self.endpoints)) {
            None => Ok(()),
            Some((field, reason)) => {
                // The name identifies the container best in an error, even if it has invalid
                // characters.
                let resource = match self.name.as_str() {
                    "" => Resource::container(self.id),
                    name => Resource::container(name),
                };
                Err(Error::invalid_argument(resource, field, reason))
            }
        }
    }

    fn refusal(&self) -> Option<(&'static str, &'static str)> {
        if !is_name(&self.name) {
            return Some(("name", NAME_RULE));
        }
        if let RootFs::Image { reference, .. } = &self.root
            && !is_text(reference)
        {
            return Some(("root.reference", NOT_TEXT));
        }
        if let Some(refused) = refuse_command(&self.command) {
            return Some(refused);
        }
        if self
            .host_name
            .as_deref()
            .is_some_and(|name| !is_host_name(name))
        {
            return Some((
                "host_name",
                "a host name has 1 to 63 letters, digits, '-' and '.', and begins and ends with \
                 a letter or a digit",
            ));
        }
        if let Some(refused) = self.refuse_mounts() {
            return Some(refused);
        }
        if let Some(refused) = self.resources.refusal() {
            return Some(refused);
        }
        for (field, values) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            let values = values
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            if let Some(reason) = refuse_labels(values) {
                return Some((field, reason));
            }
        }
        None
    }

    fn refuse_mounts(&self) -> Option<(&'static str, &'static str)> {
        for (position, mount) in self.mounts.iter().enumerate() {
            if !mount.target.starts_with('/') || !is_text(&mount.target) {
                return Some((
                    "mounts.target",
                    "it is not an absolute path, is too long, or contains a control character",
                ));
            }
            if self.mounts[..position]
                .iter()
                .any(|other| other.target == mount.target)
            {
                return Some(("mounts.target", "two mounts have the same path"));
            }
        }
        None
    }
}

/// Returns the first field of these endpoints that no back end accepts, with the value and the
/// reason.
pub(super) fn refuse_endpoints(endpoints: &[EndpointSpec]) -> Option<Refusal> {
    if endpoints.len() > ENDPOINTS_MAX {
        return Some(("endpoints", "there are more than ten".to_owned()));
    }
    for (position, endpoint) in endpoints.iter().enumerate() {
        let scope = &endpoint.scope;
        if !is_text(scope) {
            return Some(("endpoints.scope", format!("{scope:?}: {NOT_TEXT}")));
        }
        let mut before = endpoints.iter().take(position);
        if before.any(|other| other.scope == *scope) {
            let reason = format!("two endpoints are on the same scope {scope:?}");
            return Some(("endpoints.scope", reason));
        }
        if let Some(refused) = refuse_endpoint(endpoint) {
            return Some(refused);
        }
    }
    clashing_ports(endpoints)
}

pub(super) const NAME_RULE: &str = "a name has 1 to 64 letters, digits, '_', '.' and '-' and \
                                    begins with a letter or a digit";
const NOT_TEXT: &str = "it is empty, too long, or contains a control character";

/// Returns whether a text is a valid name of a container.
pub(super) fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    name.len() <= NAME_MAX
        && letters
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && letters.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// Returns the first field of the command that no guest accepts, with the reason.
pub(super) fn refuse_command(command: &Command) -> Option<(&'static str, &'static str)> {
    if !is_text(&command.path) {
        return Some(("command.path", NOT_TEXT));
    }
    if command
        .working_dir
        .as_deref()
        .is_some_and(|path| !path.starts_with('/') || !is_text(path))
    {
        return Some((
            "command.working_dir",
            "it is not an absolute path, is too long, or contains a control character",
        ));
    }
    if command.args.iter().any(|arg| arg.contains('\0'))
        || command.args.iter().map(String::len).sum::<usize>() > TEXT_MAX
    {
        return Some((
            "command.args",
            "they contain a NUL, or are longer than 32 KiB together",
        ));
    }
    let bad_variable = |(name, value): &(String, String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    let size = |(name, value): &(String, String)| name.len() + value.len() + 1;
    if command.env.iter().any(bad_variable)
        || command.env.iter().map(size).sum::<usize>() > TEXT_MAX
    {
        return Some((
            "command.env",
            "a name is empty or holds '=', something holds a NUL, or they are longer than 32 KiB \
             together",
        ));
    }
    if let Some(reason) = Limit::refusal(&command.limits) {
        return Some(("command.limits", reason));
    }
    for (field, value) in [
        ("command.user", &command.user),
        ("command.group", &command.group),
    ] {
        if value
            .as_deref()
            .is_some_and(|name| !is_text(name) || name.contains(':'))
        {
            return Some((
                field,
                "it is empty, too long, or contains a colon or a control character",
            ));
        }
    }
    None
}

/// Returns the reason why these labels or annotations cannot be stored; `None` if they can.
pub(crate) fn refuse_labels<'a>(
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Option<&'static str> {
    let mut size = 0;
    for (name, value) in labels {
        if name.is_empty() || name.chars().any(char::is_control) || value.contains('\0') {
            return Some(
                "a name is empty or contains a control character, or a value contains a NUL",
            );
        }
        if name.len() > TEXT_MAX || value.len() > TEXT_MAX {
            return Some("a name or a value is longer than 32 KiB");
        }
        size += name.len() + value.len();
    }
    (size > LABELS_MAX).then_some("they are longer than 256 KiB together")
}

fn is_host_name(name: &str) -> bool {
    let is_edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    name.len() <= HOST_NAME_MAX
        && is_edge(name.bytes().next())
        && is_edge(name.bytes().next_back())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;
    use crate::ErrorKind;
    use crate::exec::{Allocation, LimitKind, Signal};
    use crate::image::{Digest, ImageId};
    use crate::volume::MountSource;

    fn spec() -> ContainerSpec {
        ContainerSpec::new("jovial_ride", Command::new("/hello"))
    }

    #[track_caller]
    fn refused(spec: &ContainerSpec, expected: &str) {
        let error = spec.validate().unwrap_err();
        assert_eq!(
            error.kind,
            ErrorKind::InvalidArgument {
                field: expected.to_owned().leak()
            }
        );
        assert!(!error.resource().id.is_empty(), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn each_bad_field_is_named() {
        spec().validate().unwrap();
        for name in ["", "-a", "a b", "a/b", "ä", &"a".repeat(65)] {
            refused(&spec().name(name), "name");
        }
        let image = ImageId::new(Digest::of(b"image"));
        refused(&spec().root(RootFs::image(image, "")), "root.reference");
        refused(&spec().command(Command::new("")), "command.path");
        for resources in [Resources::new().cpus(0), Resources::new().cpus(9_999)] {
            refused(&spec().resources(resources), "resources.cpus");
        }
        for mib in [0, 6, 1 << 40] {
            let resources = Resources::new().memory_mib(mib);
            refused(&spec().resources(resources), "resources.memory_mib");
        }
        let more = Resources::new().memory(Allocation::new().reservation(2048));
        refused(&spec().resources(more), "resources.memory.reservation");
        let less = Resources::new().cpu(Allocation::new().limit(1).reservation(2));
        refused(&spec().resources(less), "resources.cpu");
        let command = Command::new("/x");
        let limit = Limit::new(LimitKind::NoFile, 10).hard(9);
        refused(
            &spec().command(command.clone().limit(limit)),
            "command.limits",
        );
        refused(
            &spec().command(command.clone().env("A=B", "c")),
            "command.env",
        );
        refused(&spec().command(command.clone().arg("a\0b")), "command.args");
        refused(
            &spec().command(command.clone().working_dir("here")),
            "command.working_dir",
        );
        refused(&spec().command(command.clone().user("a:b")), "command.user");
        refused(&spec().command(command.group("")), "command.group");
        refused(&spec().host_name("-a"), "host_name");
        let data = || Mount::new(MountSource::Volume("data".into()), "/data");
        refused(&spec().mount(data()).mount(data()), "mounts.target");
        let relative = Mount::new(MountSource::Memory(None), "data");
        refused(&spec().mount(relative), "mounts.target");
        let twice = spec()
            .endpoint(EndpointSpec::new("a"))
            .endpoint(EndpointSpec::new("a"));
        refused(&twice, "endpoints.scope");
        refused(&spec().label("", "x"), "labels");
        refused(&spec().annotation("a", "\0"), "annotations");
    }

    #[test]
    fn json_round_trips_and_leaves_out_what_has_a_default() {
        let image = ImageId::new(Digest::of(b"image"));
        let command = Command::new("/a")
            .arg("b|c")
            .env("D", "e=f")
            .working_dir("/g")
            .user("u")
            .tty(true)
            .stop_signal(Signal::INT);
        let spec = spec()
            .command(command)
            .root(RootFs::image(image, "busybox"))
            .label("a", "b")
            .endpoint(EndpointSpec::new("backend"));
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<ContainerSpec>(&json).unwrap(), spec);
        let least = format!(
            r#"{{"id":"{}","name":"a","command":{{"path":"/b"}}}}"#,
            spec.id
        );
        assert_eq!(
            serde_json::from_str::<ContainerSpec>(&least).unwrap(),
            ContainerSpec::new("a", Command::new("/b")).id(spec.id)
        );
    }
}
