//! A client: performs operations on its own containers and checks the results against its model.

use std::time::Duration;

use portlayer::exec::{Command, ContainerSpec, Edit, Exec, RootFs, StartOptions, StopOptions};
use portlayer::image::{Images as _, ImportOptions};
use portlayer::network::EndpointSpec;
use portlayer::{ErrorKind, Result, State};

use crate::faults;
use crate::model::{Images, Item, Run};
use crate::random::Random;
use crate::world::{World, Writer};

/// The maximum number of containers per client.
const MOST: usize = 4;

/// The result of a step; the error describes a violation of what the port layer guarantees.
type Step = std::result::Result<(), String>;

#[derive(Debug)]
pub(crate) struct Client {
    number: usize,
    random: Random,
    made: usize,
    pub(crate) items: Vec<Item>,
    pub(crate) last: String,
    pub(crate) unknown: usize,
    pub(crate) faults: usize,
}

/// An operation on a container.
#[derive(Clone, Copy, Debug)]
enum Act {
    Start,
    Stop,
    Kill,
    Wait,
    Inspect,
    Update,
    Pause,
    Resume,
    Remove,
}

const ACTS: [Act; 12] = [
    Act::Start,
    Act::Start,
    Act::Start,
    Act::Stop,
    Act::Kill,
    Act::Wait,
    Act::Inspect,
    Act::Update,
    Act::Pause,
    Act::Resume,
    Act::Remove,
    Act::Remove,
];

/// The effect of an operation, as far as the client knows it.
enum Outcome {
    Done(Run),
    /// Refused because of the container's state.
    Refused,
    Gone,
    Unknown,
}

impl Client {
    pub(crate) fn new(number: usize, random: Random) -> Self {
        Self {
            number,
            random,
            made: 0,
            items: Vec::new(),
            last: String::new(),
            unknown: 0,
            faults: 0,
        }
    }

    /// Performs one operation. Fails if its result contradicts earlier results.
    pub(crate) async fn step(&mut self, world: &World, writer: &Writer, images: &Images) -> Step {
        let script = world.simulator.script();
        if self.random.chance(30) && script.pending() < 12 {
            faults::add(script, &mut self.random);
            self.faults += 1;
        }
        if self.number == 0 && self.random.chance(40) {
            return self.change_image(writer, images).await;
        }
        let known = self.items.iter().filter(|item| item.there == Some(true));
        if self.random.chance(8) {
            return self.list(writer).await;
        }
        if known.count() == 0 || (self.items.len() < MOST && self.random.chance(35)) {
            return self.create(writer, images).await;
        }
        let known: Vec<_> = (0..self.items.len())
            .filter(|n| self.items[*n].there == Some(true))
            .collect();
        let item = known[self.random.below(known.len())];
        let act = ACTS[self.random.below(ACTS.len())];
        self.act(world, writer, item, act).await
    }

    async fn create(&mut self, writer: &Writer, images: &Images) -> Step {
        self.made += 1;
        let name = format!("c{}-{}", self.number, self.made);
        let code = (self.random.chance(40)).then(|| i32::try_from(self.random.below(4)).unwrap());
        let command = match code {
            Some(code) => Command::new("/exit").arg(code.to_string()),
            None => Command::new("/run"),
        };
        let image = self.random.chance(50).then(|| self.random.below(3));
        let mut spec = ContainerSpec::new(&name, command);
        let before = image.map(|image| images.known(image));
        if let Some(image) = image {
            spec = spec.root(RootFs::image(images.all[image].id(), "any"));
        }
        if self.random.chance(30) {
            spec = spec.endpoint(EndpointSpec::new("bridge"));
        }
        self.last = format!("create {name} {}", spec.id);
        let id = spec.id;
        let created = writer
            .run(|exec| async move { exec.create(spec).await })
            .await;
        let after = image.map(|image| images.known(image));
        let has_image = before.is_none_or(|before| before.0 == Some(true)) && before == after;
        let there = match created {
            Some(Ok(_)) => Some(true),
            Some(Err(error)) => match error.kind {
                ErrorKind::NotFound if !has_image => None,
                ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::InvalidState { .. }
                | ErrorKind::InvalidArgument { .. }
                | ErrorKind::Unsupported { .. }
                | ErrorKind::InUse { .. } => return Err(self.wrong(&error)),
                // This error comes from the task, so nothing was created.
                ErrorKind::Exhausted { .. } => Some(false),
                _ => None,
            },
            None => None,
        };
        self.unknown += usize::from(there.is_none());
        self.items.push(Item {
            id,
            names: vec![name],
            code,
            there,
            run: Run::Created,
        });
        Ok(())
    }

    async fn act(&mut self, world: &World, writer: &Writer, number: usize, act: Act) -> Step {
        let item = &self.items[number];
        let (id, run, code) = (item.id, item.run, item.code);
        let forgets = !world.platform.guest_keys_survive_power_off;
        let runs = code.map_or(Run::Running, |code| Run::Ends(code, forgets));
        let name = format!("c{}-r{}", self.number, self.random.below(1_000_000));
        let renamed = name.clone();
        self.last = format!("{act:?} of {id} ({run:?})");
        let outcome = match act {
            Act::Start => {
                let start = |exec: portlayer::vsphere::VsphereExec| async move {
                    exec.start(&id, StartOptions::new()).await
                };
                let started = writer.run(start).await;
                self.learn(started, |state| match (&state, runs) {
                    (State::Running, runs) => Some(runs),
                    (State::Stopped { .. }, Run::Ends(..)) => runs.agrees(&state).then_some(runs),
                    _ => None,
                })?
            }
            Act::Stop | Act::Kill => {
                let options = match act {
                    Act::Stop => StopOptions::default().grace(Duration::from_millis(300)),
                    _ => StopOptions::AT_ONCE,
                };
                let stop = |exec: portlayer::vsphere::VsphereExec| async move {
                    exec.stop(&id, options).await
                };
                let stopped = writer.run(stop).await;
                self.learn(stopped, |exit| Some(Run::Stopped(exit)))?
            }
            Act::Wait => {
                let wait = |exec: portlayer::vsphere::VsphereExec| async move {
                    let wait = exec.wait(&id);
                    tokio::time::timeout(Duration::from_millis(100), wait).await
                };
                match writer.run(wait).await {
                    Some(Ok(waited)) => {
                        self.learn(Some(waited), |exit| Some(Run::Stopped(exit)))?
                    }
                    // Waiting has no effect.
                    Some(Err(_elapsed)) => return Ok(()),
                    None => Outcome::Unknown,
                }
            }
            Act::Inspect => {
                let inspect =
                    |exec: portlayer::vsphere::VsphereExec| async move { exec.inspect(&id).await };
                match writer.run(inspect).await {
                    Some(Ok(info)) if !run.agrees(&info.state) => {
                        return Err(format!("{}: it is {:?}", self.last, info.state));
                    }
                    Some(Ok(info)) if !self.items[number].names.contains(&info.name) => {
                        return Err(format!("{}: it is called {}", self.last, info.name));
                    }
                    Some(Err(error)) if error.is_not_found() => return Err(self.wrong(&error)),
                    _ => return Ok(()),
                }
            }
            Act::Update => {
                let edit = Edit::new().name(&renamed);
                let update = |exec: portlayer::vsphere::VsphereExec| async move {
                    exec.update(&id, edit).await
                };
                let updated = writer.run(update).await;
                self.learn(updated, |()| Some(run))?
            }
            Act::Pause => {
                let pause =
                    |exec: portlayer::vsphere::VsphereExec| async move { exec.pause(&id).await };
                let paused = writer.run(pause).await;
                self.learn(paused, |()| Some(Run::Suspended))?
            }
            Act::Resume => {
                let resume =
                    |exec: portlayer::vsphere::VsphereExec| async move { exec.resume(&id).await };
                let resumed = writer.run(resume).await;
                self.learn(resumed, |()| Some(runs))?
            }
            Act::Remove => {
                let remove =
                    |exec: portlayer::vsphere::VsphereExec| async move { exec.remove(&id).await };
                let removed = writer.run(remove).await;
                match self.learn(removed, |()| Some(run))? {
                    Outcome::Done(_) => Outcome::Gone,
                    other => other,
                }
            }
        };
        self.apply(world, (number, act), outcome, renamed)
    }

    /// Applies an outcome to the model. Fails if the outcome was impossible.
    fn apply(
        &mut self,
        world: &World,
        (number, act): (usize, Act),
        outcome: Outcome,
        renamed: String,
    ) -> Step {
        let keeps_changes = world.platform.api_keys_written_while_on_survive;
        let allowed = |run: Run| match act {
            Act::Start => matches!(run, Run::Created | Run::Stopped(_)),
            Act::Stop | Act::Kill => matches!(run, Run::Running | Run::Stopped(_)),
            Act::Pause => matches!(run, Run::Running | Run::Suspended),
            Act::Resume => run == Run::Suspended,
            Act::Remove => matches!(run, Run::Created | Run::Stopped(_)),
            Act::Wait | Act::Inspect => true,
            Act::Update => matches!(run, Run::Created | Run::Running | Run::Stopped(_)),
        };
        let last = self.last.clone();
        let item = &mut self.items[number];
        let run = item.run;
        let is_known = !matches!(run, Run::Unknown | Run::Ends(..));
        match outcome {
            Outcome::Refused if is_known && allowed(run) => Err(format!("{last}: refused")),
            Outcome::Refused => Ok(()),
            Outcome::Gone if run == Run::Running => Err(format!("{last}: removed while on")),
            Outcome::Gone => {
                item.there = Some(false);
                Ok(())
            }
            Outcome::Done(now) => {
                match (act, now, run) {
                    (Act::Update, ..) => {
                        // An earlier change whose outcome is unknown may still be applied. The
                        // endpoint may also forget a change that was made while the machine was on.
                        let is_off = matches!(run, Run::Created | Run::Stopped(_));
                        let is_kept = is_off || keeps_changes;
                        if item.names.len() > 1 || !is_kept {
                            item.names.push(renamed);
                        } else {
                            item.names = vec![renamed];
                        }
                        return Ok(());
                    }
                    // The exit status of a stopped container does not change.
                    (_, Run::Stopped(exit), Run::Stopped(before)) if exit != before => {
                        return Err(format!("{last}: ended with {exit}"));
                    }
                    (_, Run::Stopped(_), Run::Created) => {
                        return Err(format!("{last}: it was never started"));
                    }
                    (Act::Wait, Run::Stopped(exit), Run::Running) => {
                        return Err(format!("{last}: ended with {exit}"));
                    }
                    (Act::Wait, Run::Stopped(exit), Run::Ends(..))
                        if !run.agrees(&State::Stopped { exit }) =>
                    {
                        return Err(format!("{last}: ended with {exit}"));
                    }
                    _ => {}
                }
                if run != Run::Unknown {
                    item.run = now;
                }
                Ok(())
            }
            Outcome::Unknown => {
                self.unknown += 1;
                match act {
                    Act::Update => item.names.push(renamed),
                    Act::Wait => {}
                    Act::Remove => item.there = None,
                    _ => item.run = Run::Unknown,
                }
                Ok(())
            }
        }
    }

    /// Converts a result to an outcome. `understand` returns `None` for an impossible result.
    fn learn<T: std::fmt::Debug>(
        &self,
        answer: Option<Result<T>>,
        understand: impl FnOnce(T) -> Option<Run>,
    ) -> std::result::Result<Outcome, String> {
        Ok(match answer {
            None => Outcome::Unknown,
            Some(Ok(value)) => {
                let text = format!("{value:?}");
                let run = understand(value);
                Outcome::Done(run.ok_or_else(|| format!("{}: answered {text}", self.last))?)
            }
            Some(Err(error)) => match error.kind {
                ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::InvalidArgument { .. }
                | ErrorKind::Unsupported { .. } => return Err(self.wrong(&error)),
                ErrorKind::InvalidState { .. } => Outcome::Refused,
                _ => Outcome::Unknown,
            },
        })
    }

    async fn list(&mut self, writer: &Writer) -> Step {
        "list".clone_into(&mut self.last);
        let listed = writer.run(|exec| async move { exec.list().await }).await;
        let Some(Ok(listed)) = listed else {
            return Ok(());
        };
        if !listed.quarantined.is_empty() {
            return Err(format!("{:?} are quarantined", listed.quarantined));
        }
        for item in &self.items {
            let found = listed.containers.iter().find(|info| info.id == item.id);
            match (item.there, found) {
                (Some(true), None) => return Err(format!("{item:?} is not listed")),
                (Some(false), Some(_)) => return Err(format!("{item:?} is listed")),
                (Some(true), Some(info)) if !item.run.agrees(&info.state) => {
                    return Err(format!("{item:?} is {:?}", info.state));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn change_image(&mut self, writer: &Writer, images: &Images) -> Step {
        let number = self.random.below(3);
        let image = images.all[number].clone();
        let id = image.id();
        let (before, _) = images.known(number);
        images.set(number, None);
        if self.random.chance(65) {
            self.last = format!("import of {number}");
            let options = ImportOptions::new().capacity(4 << 20);
            let import = |exec: portlayer::vsphere::VsphereExec| async move {
                exec.images().import(image, options).await
            };
            let imported = writer.run(import).await;
            let is_there = matches!(imported, Some(Ok(_)));
            self.unknown += usize::from(!is_there);
            images.set(number, is_there.then_some(true));
        } else {
            self.last = format!("removal of image {number}, there: {before:?}");
            let remove = |exec: portlayer::vsphere::VsphereExec| async move {
                exec.images().remove(&id).await
            };
            let after = match writer.run(remove).await {
                Some(Ok(())) if before == Some(false) => {
                    return Err(format!("{}: it was not there", self.last));
                }
                Some(Ok(())) => Some(false),
                Some(Err(error)) => match error.kind {
                    ErrorKind::InUse { .. } => before,
                    ErrorKind::NotFound if before == Some(true) => return Err(self.wrong(&error)),
                    ErrorKind::NotFound => before,
                    _ => None,
                },
                None => None,
            };
            self.unknown += usize::from(after.is_none());
            images.set(number, after);
        }
        Ok(())
    }

    fn wrong(&self, error: &portlayer::Error) -> String {
        format!("{}: {error:?}", self.last)
    }
}
