//! The programs of the workspace as the README's test command builds them:
//! after the tests of the gate there is nothing left to compile for the suite.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cargo_metadata::{Message, TargetKind};

use crate::ci::README_TESTS;
use crate::process::{cargo, describe};

/// The tests and the commands of the workspace, built.
pub(super) struct Built {
    /// The program and the package's folder, by package and target.
    tests: BTreeMap<(String, String), (PathBuf, PathBuf)>,
    commands: BTreeMap<String, PathBuf>,
}

impl Built {
    /// Builds them.
    ///
    /// # Errors
    /// When they do not build.
    pub(super) fn build() -> Result<Self> {
        let mut command = cargo(README_TESTS);
        command.args(["--no-run", "--message-format", "json-render-diagnostics"]);
        println!("$ {}", describe(&command));
        // Only standard output is for us; what cargo has to say it says on the other.
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
            let target = artifact.target;
            if target.kind.contains(&TargetKind::Test) {
                let folder: PathBuf = folder.context("a package lies in a folder")?;
                let package = folder.file_name().unwrap_or_default().to_string_lossy();
                tests.insert((package.into_owned(), target.name), (program, folder));
            } else if target.kind.contains(&TargetKind::Bin) && !artifact.profile.test {
                commands.insert(target.name, program);
            }
        }
        Ok(Self { tests, commands })
    }

    /// The integration test `name` of the package in `folder`, ready to take
    /// the arguments of a test program.
    ///
    /// # Errors
    /// When there is no such test.
    pub(super) fn test(&self, folder: &str, name: &str) -> Result<Command> {
        let (program, cwd) = self
            .tests
            .get(&(folder.to_owned(), name.to_owned()))
            .with_context(|| format!("cargo built no test `{name}` in {folder}"))?;
        let mut command = Command::new(program);
        command.current_dir(cwd).env("CARGO_MANIFEST_DIR", cwd);
        Ok(command)
    }

    /// The command `name`.
    ///
    /// # Errors
    /// When there is no such command.
    pub(super) fn command(&self, name: &str) -> Result<&Path> {
        self.commands
            .get(name)
            .map(PathBuf::as_path)
            .with_context(|| format!("cargo built no command `{name}`"))
    }
}
