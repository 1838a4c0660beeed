//! The programs that an appliance starts.

use guestinfo::Dialect;
use guestinfo::vic::{self, Common, SessionConfig};

use crate::exec::Command;

/// A program that the appliance of a host starts.
///
/// ```
/// use portlayer::exec::Command;
/// use portlayer::vsphere::ApplianceComponent;
///
/// let server = Command::new("/sbin/port-layer-server").arg("--port=2377");
/// let component = ApplianceComponent::new("port-layer").command(server).with_location();
/// # let _ = component;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApplianceComponent {
    /// The name: letters, digits, `-` and `_`.
    pub name: String,
    /// The command that starts it. `None`: the appliance knows it. Everybody who may read the
    /// appliance's configuration can read the command, so it must not contain secrets.
    pub command: Option<Command>,
    /// Whether the command is passed the location of the host.
    pub has_location: bool,
}

impl ApplianceComponent {
    /// Creates a component whose command the appliance knows.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            command: None,
            has_location: false,
        }
    }

    /// Sets the command that starts the component.
    #[must_use]
    pub fn command(mut self, command: Command) -> Self {
        self.command = Some(command);
        self
    }

    /// Passes the location of the host to the command, as VIC did: the URL of the endpoint without
    /// user and password, the inventory paths of datacenter, compute resource and pool, and the
    /// datastore. In the dialect of 1.x, they are the environment variables `VC_URL`, `DC_PATH`,
    /// `CS_PATH`, `POOL_PATH` and `DS_PATH`; in that of 0.4, they are the arguments `--sdk`,
    /// `--datacenter`, `--cluster`, `--pool`, `--datastore` and `--vch`.
    #[must_use]
    pub const fn with_location(mut self) -> Self {
        self.has_location = true;
        self
    }
}

impl From<&str> for ApplianceComponent {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for ApplianceComponent {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

/// Where a host is.
#[derive(Clone, Debug, Default)]
pub(in crate::vsphere) struct Location {
    /// The endpoint's URL, without user and password.
    pub(in crate::vsphere) target: String,
    /// The inventory path of the datacenter.
    pub(in crate::vsphere) datacenter: String,
    /// The inventory path of the host or cluster.
    pub(in crate::vsphere) compute: String,
    /// The inventory path of the pool.
    pub(in crate::vsphere) pool: String,
    /// The name of the datastore.
    pub(in crate::vsphere) datastore: String,
}

impl Location {
    fn variables(&self) -> [(&'static str, &str); 5] {
        [
            ("VC_URL", &self.target),
            ("DC_PATH", &self.datacenter),
            ("CS_PATH", &self.compute),
            ("POOL_PATH", &self.pool),
            ("DS_PATH", &self.datastore),
        ]
    }

    fn arguments(&self, host: &str) -> [String; 6] {
        [
            ("sdk", self.target.as_str()),
            ("datacenter", &self.datacenter),
            ("cluster", &self.compute),
            ("pool", &self.pool),
            ("datastore", &self.datastore),
            ("vch", host),
        ]
        .map(|(name, value)| format!("--{name}={value}"))
    }
}

impl ApplianceComponent {
    /// Returns the record of the component, which has not been started.
    pub(in crate::vsphere) fn session(
        &self,
        host: &str,
        location: &Location,
        dialect: Dialect,
    ) -> (String, SessionConfig) {
        let mut session = SessionConfig {
            common: Common {
                id: self.name.clone(),
                name: self.name.clone(),
                ..Common::default()
            },
            active: true,
            restart: true,
            ..SessionConfig::default()
        };
        if let Some(command) = &self.command {
            let path = &command.path;
            let mut args: Vec<_> = [path].into_iter().chain(&command.args).cloned().collect();
            let env = command.env.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            let mut env: Vec<_> = env.collect();
            match dialect {
                _ if !self.has_location => {}
                Dialect::Vic1 => env.extend(location.variables()),
                Dialect::Vic04 => args.extend(location.arguments(host)),
            }
            session.command = vic::Command {
                path: path.clone(),
                args,
                env: env.iter().map(|(n, v)| format!("{n}={v}")).collect(),
                dir: command.working_dir.clone().unwrap_or_default(),
            };
            session.user = command.user.clone().unwrap_or_default();
            session.group = command.group.clone().unwrap_or_default();
        }
        (self.name.clone(), session)
    }
}

/// Returns the command of a component, if its record contains one.
pub(in crate::vsphere) fn command_of(session: &SessionConfig) -> Option<Command> {
    let stored = &session.command;
    if stored.path.is_empty() {
        return None;
    }
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    let mut command = Command::new(&stored.path).args(stored.args.iter().skip(1));
    let variables = stored.env.iter().map(|variable| {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        (name.to_owned(), value.to_owned())
    });
    command.env = variables.collect();
    command.working_dir = text(&stored.dir);
    command.user = text(&session.user);
    command.group = text(&session.group);
    Some(command)
}
