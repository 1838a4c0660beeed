//! The measured codecs, and the programs that run them.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::build;
use crate::peers::{Lock, Peer, python};
use crate::workspace;

/// The number of machines above which pyvmomi would take too long.
const PYVMOMI_MACHINES: usize = 100;

/// A value, or the reason why it is not available on this machine.
pub(super) type Had<T> = Result<T, String>;

/// A measured codec. Ours is always available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Subject {
    #[value(skip)]
    Ours,
    #[value(name = "vim_rs")]
    VimRs,
    Govmomi,
    Pyvmomi,
}

impl Subject {
    /// All subjects, ours first.
    pub(super) const ALL: [Self; 4] = [Self::Ours, Self::VimRs, Self::Govmomi, Self::Pyvmomi];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "vim25",
            Self::VimRs => "vim_rs",
            Self::Govmomi => "govmomi",
            Self::Pyvmomi => "pyvmomi",
        }
    }

    /// Returns how many of the machines this subject decodes.
    pub(super) fn machines(self, machines: usize) -> usize {
        match self {
            Self::Pyvmomi => machines.min(PYVMOMI_MACHINES),
            _ => machines,
        }
    }
}

/// The programs of one subject. Each accepts the payload as its last argument.
#[derive(Clone, Debug, Default)]
pub(super) struct Programs {
    /// The program that measures time.
    timer: Vec<OsString>,
    /// The program that counts allocations, if it is not the timer.
    counter: Option<Vec<OsString>>,
    pub(super) stripped_bytes: Option<u64>,
    pub(super) build_seconds: Option<f64>,
}

impl Programs {
    /// Returns the command that measures time.
    pub(super) fn timer(&self) -> Command {
        command(&self.timer)
    }

    /// Returns the command that counts allocations.
    pub(super) fn counter(&self) -> Option<Command> {
        self.counter.as_deref().map(command)
    }

    /// Returns the program that measures time, without arguments, for other uses.
    pub(super) fn program(&self) -> Command {
        command(self.timer.get(..1).unwrap_or_default())
    }
}

fn command(words: &[OsString]) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().map_or(OsStr::new(""), OsString::as_os_str));
    command.args(words);
    command
}

/// Joins a program with the arguments that precede the payload.
fn words(program: &Path, arguments: &[&str]) -> Vec<OsString> {
    std::iter::once(program.as_os_str().to_owned())
        .chain(arguments.iter().map(OsString::from))
        .collect()
}

/// All subjects, each available or missing with a reason.
#[derive(Debug)]
pub(super) struct Subjects(pub(super) Vec<(Subject, Had<Programs>)>);

impl Subjects {
    /// Builds and installs all programs.
    ///
    /// # Errors
    /// Fails when a program is available but does not build.
    pub(super) fn get(lock: &Lock, folder: &Path, without: &[Subject]) -> Result<Self> {
        let mut subjects = Vec::new();
        for subject in Subject::ALL {
            let programs = if without.contains(&subject) {
                Err("left out by --without".to_owned())
            } else {
                get(subject, lock, folder)?
            };
            if let Err(reason) = &programs {
                println!("NOT MEASURED  {}: {reason}", subject.name());
            }
            subjects.push((subject, programs));
        }
        Ok(Self(subjects))
    }

    /// Iterates over the available subjects.
    pub(super) fn had(&self) -> impl Iterator<Item = (Subject, &Programs)> {
        self.0
            .iter()
            .filter_map(|(subject, programs)| Some((*subject, programs.as_ref().ok()?)))
    }

    /// Returns why a subject is missing.
    pub(super) fn missing(&self, subject: Subject) -> Option<&str> {
        self.0.iter().find_map(|(of, programs)| {
            (*of == subject)
                .then_some(programs.as_ref().err())?
                .map(String::as_str)
        })
    }

    /// Prints again which subjects are missing, at the end of the output.
    pub(super) fn print_missing(&self) {
        for subject in Subject::ALL {
            if let Some(reason) = self.missing(subject) {
                println!("NOT MEASURED  {}: {reason}", subject.name());
            }
        }
    }
}

fn get(subject: Subject, lock: &Lock, folder: &Path) -> Result<Had<Programs>> {
    Ok(match subject {
        Subject::Ours => {
            let programs = build::benches(&["peers", "allocations"])?;
            let [timer, counter] = &programs[..] else {
                return Ok(Err("cargo built no benches".to_owned()));
            };
            Ok(Programs {
                stripped_bytes: build::stripped_size(timer, folder)?,
                build_seconds: Some(build::bindings_seconds(folder)?),
                timer: words(timer, &["measure"]),
                counter: Some(words(counter, &["measure"])),
            })
        }
        Subject::VimRs => match build::vim_rs(folder)? {
            Err(reason) => Err(reason),
            Ok(built) => Ok(Programs {
                stripped_bytes: build::stripped_size(&built.decode, folder)?,
                build_seconds: built.seconds,
                timer: words(&built.decode, &[]),
                counter: Some(words(&built.allocations, &[])),
            }),
        },
        Subject::Govmomi => match build::govmomi(lock, folder)? {
            Peer::Missing { reason } => Err(reason),
            Peer::Had { program, .. } => Ok(Programs {
                stripped_bytes: build::stripped_size(&program, folder)?,
                build_seconds: None,
                timer: words(&program, &[]),
                counter: None,
            }),
        },
        Subject::Pyvmomi => match python::get(lock, folder)? {
            Peer::Missing { reason } => Err(reason),
            Peer::Had { program, .. } => {
                let script = workspace::root().join("xtask/peers/decode.py");
                let mut timer = words(&program, &[]);
                timer.push(script.into());
                Ok(Programs {
                    timer,
                    counter: None,
                    stripped_bytes: None,
                    build_seconds: None,
                })
            }
        },
    })
}
