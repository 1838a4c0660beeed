//! Runs the programs in turns, so that a machine that becomes slower or busier
//! affects all of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::output::Output;
use super::subject::{Subject, Subjects};
use crate::process::{capture, describe};

/// A file that contains a server's reply.
#[derive(Clone, Debug)]
pub(super) struct Payload {
    pub(super) file: PathBuf,
    pub(super) machines: usize,
    pub(super) bytes: u64,
}

impl Payload {
    pub(super) fn megabytes(&self) -> f64 {
        self.bytes as f64 / 1e6
    }
}

/// The payload, and smaller versions of it for slow programs.
#[derive(Debug)]
pub(super) struct Payloads {
    pub(super) full: Payload,
    pub(super) by_machines: BTreeMap<usize, Payload>,
}

impl Payloads {
    /// Writes the payloads, using our own program.
    ///
    /// # Errors
    /// Fails when the program fails.
    pub(super) fn write(subjects: &Subjects, folder: &Path, machines: usize) -> Result<Self> {
        let (_, ours) = subjects.had().next().context("our own program is there")?;
        let mut by_machines = BTreeMap::new();
        for (subject, _) in subjects.had() {
            let machines = subject.machines(machines);
            if by_machines.contains_key(&machines) {
                continue;
            }
            let file = folder.join(format!("payload-{machines}.xml"));
            let mut command = ours.program();
            capture(command.args(["payload", &machines.to_string()]).arg(&file))?;
            let bytes = fs::metadata(&file)
                .with_context(|| format!("read the size of {}", file.display()))?
                .len();
            let payload = Payload {
                file,
                machines,
                bytes,
            };
            by_machines.insert(machines, payload);
        }
        let full = by_machines
            .get(&machines)
            .context("ours gets all of it")?
            .clone();
        Ok(Self { full, by_machines })
    }

    /// Returns the payload for a subject.
    pub(super) fn of(&self, subject: Subject) -> &Payload {
        self.by_machines
            .get(&subject.machines(self.full.machines))
            .unwrap_or(&self.full)
    }
}

/// The output of one subject in each round.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) rounds: Vec<Output>,
    pub(super) counted: Output,
}

/// The output of all subjects.
#[derive(Debug, Default)]
pub(super) struct Readings(pub(super) BTreeMap<&'static str, Reading>);

impl Readings {
    /// Runs all programs.
    ///
    /// # Errors
    /// Fails when a program fails or does not decode the whole payload.
    pub(super) fn take(subjects: &Subjects, payloads: &Payloads, rounds: usize) -> Result<Self> {
        let had: Vec<_> = subjects.had().collect();
        let mut readings = Self::default();
        for (subject, programs) in &had {
            let reading = readings.0.entry(subject.name()).or_default();
            if let Some(counter) = programs.counter() {
                reading.counted = run(counter, payloads.of(*subject))?;
            }
        }
        for round in 0..rounds {
            println!("round {} of {rounds}", round + 1);
            // Each round starts with a different program.
            for (subject, programs) in had.iter().cycle().skip(round).take(had.len()) {
                let output = run(programs.timer(), payloads.of(*subject))?;
                let reading = readings.0.entry(subject.name()).or_default();
                if programs.counter().is_none() {
                    reading.counted = output.clone();
                }
                reading.rounds.push(output);
            }
        }
        Ok(readings)
    }

    /// Returns the output of one subject, or `None` if it is missing.
    pub(super) fn of(&self, subject: Subject) -> Option<&Reading> {
        self.0.get(subject.name())
    }
}

fn run(mut command: Command, payload: &Payload) -> Result<Output> {
    let output = Output::parse(&capture(command.arg(&payload.file))?)?;
    let disks = 2 * payload.machines;
    ensure!(
        output.get("disks") == Some(disks as f64),
        "`{}` found {:?} disks in the payload, which has {disks}",
        describe(&command),
        output.get("disks")
    );
    Ok(output)
}
