//! The programs of the workspace, built with the README's test command. If the gate has
//! just run the tests, nothing has to be compiled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Message, TargetKind};

use crate::ci::README_TESTS;
use crate::process::{cargo, describe};

/// The name of the unit tests of a package's library among its tests.
pub(super) const UNIT: &str = "the library's unit tests";

/// The built tests and commands of the workspace.
pub(super) struct Built {
    /// The test program and the package's folder, by the folder's name and the test's.
    tests: BTreeMap<(String, String), (PathBuf, PathBuf)>,
    commands: BTreeMap<String, PathBuf>,
}

impl Built {
    /// Builds the tests and commands.
    ///
    /// # Errors
    /// Fails when they do not build.
    pub(super) fn build() -> Result<Self> {
        let mut command = cargo(README_TESTS);
        command.args(["--no-run", "--message-format", "json-render-diagnostics"]);
        println!("$ {}", describe(&command));
        // Cargo writes JSON to standard output, and diagnostics for people to standard error.
        let built = command
            .stderr(Stdio::inherit())
            .output()
            .context("start cargo")?;
        ensure!(
            built.status.success(),
            "`{}` ended with {}",
            describe(&command),
            built.status
        );
        let (mut tests, mut commands) = (BTreeMap::new(), BTreeMap::new());
        for message in Message::parse_stream(built.stdout.as_slice()) {
            let Message::CompilerArtifact(artifact) = message.context("read what cargo built")?
            else {
                continue;
            };
            let Some(program) = artifact.executable.map(|path| path.into_std_path_buf()) else {
                continue;
            };
            let folder = artifact.manifest_path.parent().map(Into::into);
            let mut target = artifact.target;
            let is_unit_test = artifact.profile.test && target.kind.contains(&TargetKind::Lib);
            if is_unit_test {
                UNIT.clone_into(&mut target.name);
            }
            if is_unit_test || target.kind.contains(&TargetKind::Test) {
                let folder: PathBuf = folder.context("the folder of a package")?;
                let package = folder.file_name().unwrap_or_default().to_string_lossy();
                tests.insert((package.into_owned(), target.name), (program, folder));
            } else if target.kind.contains(&TargetKind::Bin) && !artifact.profile.test {
                commands.insert(target.name, program);
            }
        }
        Ok(Self { tests, commands })
    }

    /// Returns the command of the integration test `name`, or [`UNIT`], of the package in `folder`;
    /// the caller adds the arguments.
    ///
    /// # Errors
    /// Fails when there is no such test.
    pub(super) fn test(&self, folder: &str, name: &str) -> Result<Command> {
        let (program, cwd) = self
            .tests
            .get(&(folder.to_owned(), name.to_owned()))
            .with_context(|| format!("cargo built no test `{name}` in {folder}"))?;
        let mut command = Command::new(program);
        command.current_dir(cwd).env("CARGO_MANIFEST_DIR", cwd);
        Ok(command)
    }

    /// Returns the program of the command `name`.
    ///
    /// # Errors
    /// Fails when there is no such command.
    pub(super) fn command(&self, name: &str) -> Result<&Path> {
        self.commands
            .get(name)
            .map(PathBuf::as_path)
            .with_context(|| format!("cargo built no command `{name}`"))
    }
}
