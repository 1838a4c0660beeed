//! Attaches clients to containers.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use guest_io::ssh::Window;
use guestinfo::Dialect;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::VsphereStreams;
use super::hub::{Hub, closed};
use super::lines::{Line, Registry};
use super::member::Member;
use super::run_log::RunLog;
use crate::stream::{AttachOptions, Attached, Hold, WindowSize};
use crate::vsphere::derive_state::Power;
use crate::vsphere::endpoint::Machine;
use crate::vsphere::line_keys;
use crate::vsphere::record::Record;
use crate::vsphere::run_state::RunState;
use crate::{Capability, ContainerId, Error, Resource, Result, StateKind};

/// Maximum number of buffered pieces of output, each of which has at most 16 KiB.
const OUTPUT: usize = 8;

/// The properties of a container that attaching needs.
struct Target {
    registry: Arc<Registry>,
    hub: Arc<Hub>,
    machine: Machine,
    run: RunState,
    /// Whether the container's process can wait until a client is attached.
    blocks: bool,
    terminal: bool,
    takes_input: bool,
}

impl Target {
    fn is_on(&self) -> bool {
        self.machine.power == Power::On
    }

    fn before(&self) -> Option<RunState> {
        (!self.is_on()).then(|| self.run.clone())
    }
}

impl VsphereStreams {
    pub(super) async fn attach_to(
        &self,
        id: &ContainerId,
        options: AttachOptions,
    ) -> Result<Attached> {
        let resource = Resource::container(id);
        let target = self.target(id, &resource).await?;
        let wants_output = options.stdout || options.stderr;
        let log = match wants_output {
            true => self.log_of(&target, &options).await?,
            false => None,
        };
        let (presence, present) = mpsc::channel(1);
        let mut member = Member {
            stdout: options.stdout,
            stderr: options.stderr,
            output: None,
            reads_log: !target.is_on() && log.is_some(),
            input: None,
            before: target.before(),
            present,
        };
        let mut input = None;
        if options.stdin && target.takes_input {
            let hold = Hold::take(&target.hub.input_held)
                .ok_or_else(|| Error::in_use(resource.clone(), "another holder of its input"))?;
            let turn = target.hub.unread.turn().ok_or_else(|| {
                Error::in_use(
                    resource.clone(),
                    "the input of earlier clients, which its process does not read",
                )
            })?;
            let (near, source) = hold.into_input(Some(presence.clone()));
            member.input = Some(turn.input(source));
            input = Some(near);
        }
        let mut output = stream::empty().boxed();
        if wants_output {
            let (sender, receiver) = mpsc::channel(OUTPUT);
            member.output = Some(sender);
            output = super::output::output(receiver, presence, log);
        }
        let over = target.hub.over();
        target.hub.join(member, !target.is_on());
        if target.is_on() {
            connected(&target, &resource, over).await?;
        }
        Ok(Attached::new(input, output))
    }

    /// Returns the log if output may be written before the line connects. That applies to a
    /// container that is on without a connected line, and to a container whose process does not
    /// wait for the line.
    async fn log_of(&self, target: &Target, options: &AttachOptions) -> Result<Option<RunLog>> {
        if target.is_on() && target.hub.is_connected() || !target.is_on() && target.blocks {
            return Ok(None);
        }
        let Some(source) = self.log_source(&target.machine, target.hub.id()).await? else {
            return Ok(None);
        };
        let rotations = self.exec.rotations();
        let wanted = (options.stdout, options.stderr);
        RunLog::from_now(source, rotations, *target.hub.id(), wanted)
            .await
            .map(Some)
    }

    pub(super) async fn resize_terminal(&self, id: &ContainerId, size: WindowSize) -> Result<()> {
        let resource = Resource::container(id);
        let target = self.target(id, &resource).await?;
        if !target.terminal {
            let reason = "its process has no terminal";
            return Err(Error::invalid_argument(resource, "size", reason));
        }
        let window = Window::new(size.columns.into(), size.rows.into());
        target.hub.resize(window);
        if !target.is_on() {
            return Ok(());
        }
        let session = connected(&target, &resource, target.hub.over()).await?;
        if let Some(session) = session
            && !target.hub.is_attached()
        {
            // No client is attached, so attach for this request only.
            let attach = session
                .attach(&id.to_string())
                .await
                .map_err(|error| Error::unavailable(resource.clone(), None).with_source(error))?;
            attach
                .control
                .resize(window)
                .map_err(|error| Error::unavailable(resource, None).with_source(error))?;
        }
        Ok(())
    }

    async fn target(&self, id: &ContainerId, resource: &Resource) -> Result<Target> {
        let unsupported = || Error::unsupported(resource.clone(), Capability::Attach);
        let machine = self.exec.machine(id).await?;
        if let Some(reason) = &machine.unusable {
            return Err(
                Error::invalid_state(resource.clone(), StateKind::Broken, &[])
                    .with_source(reason.clone()),
            );
        }
        let registry: &Arc<Registry> = &self.lines.as_ref().ok_or_else(unsupported)?.registry;
        let keys = machine.keys.unpack();
        if line_keys::fingerprint(&keys).is_none() {
            return Err(unsupported()
                .with_source("it was created without a key for its line, or by another program"));
        }
        let record = Record::read(&keys).map_err(|broken| {
            Error::invalid_state(resource.clone(), StateKind::Broken, &[]).with_source(broken)
        })?;
        Ok(Target {
            registry: Arc::clone(registry),
            hub: registry.hub(*id),
            run: RunState::read(&keys),
            // VIC 0.4 has no key that makes a process wait.
            blocks: Dialect::detect(keys.keys()) != Some(Dialect::Vic04),
            terminal: record.spec.command.tty,
            takes_input: record.spec.command.open_stdin,
            machine: machine.machine.clone(),
        })
    }
}

/// Waits for the line of a container that is on. Returns `None` if `over` reports the end of the
/// run.
async fn connected(
    target: &Target,
    resource: &Resource,
    mut over: watch::Receiver<u64>,
) -> Result<Option<guest_io::ssh::client::Session>> {
    let begun = Instant::now();
    let registry = &target.registry;
    let mut line = target.hub.line();
    let there = async {
        tokio::select! {
            biased;
            there = line.wait_for(|line| !matches!(line, Line::Absent)) => {
                there.map(|line| line.clone()).unwrap_or_default()
            }
            _ = over.changed() => Line::Absent,
        }
    };
    let late = |_elapsed| {
        let error = Error::timeout(resource.clone(), "the line to the guest");
        match registry.refused_since(begun) {
            // A line without a valid key may be anybody's.
            Some(reason) => error.with_source(format!(
                "a line, possibly that of this container, was refused: {reason}"
            )),
            None => error,
        }
    };
    let there = timeout(registry.connect_timeout, there)
        .await
        .map_err(late)?;
    match there {
        Line::Connected(session) => Ok(Some(session)),
        Line::Barred => Err(Error::permission_denied(resource.clone())
            .with_source("another machine has the key of its line")),
        Line::Closed => Err(closed(resource.clone())),
        Line::Absent => Ok(None),
    }
}
