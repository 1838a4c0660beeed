//! `vmx get`: prints values by name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::file;
use crate::output::{Output, Shown, cell, complain};

/// Print values by name, ignoring case. Exits with 1 if a name is missing.
///
/// Values are printed unchanged, except that control characters are escaped on a
/// terminal.
#[derive(clap::Args)]
pub(crate) struct Get {
    /// The file, `-` for standard input.
    file: PathBuf,
    /// Names of entries.
    #[arg(required = true)]
    names: Vec<OsString>,
}

impl Get {
    pub(crate) fn run(&self, output: &mut Output<impl Write>) -> Result<ExitCode> {
        let document = file::read(&self.file, output.encoding)?;
        let mut found = BTreeMap::new();
        let mut code = ExitCode::SUCCESS;
        for name in &self.names {
            // Names need not be valid text.
            let value = document.get(name.as_encoded_bytes());
            let name = name.to_string_lossy();
            if value.is_none() {
                complain(format_args!(
                    "{}: no entry `{name}`",
                    file::shown(&self.file)
                ));
                code = ExitCode::FAILURE;
            }
            if output.json {
                found.insert(name, value.map(Shown::of));
            } else if let Some(value) = value {
                let text = value
                    .text()
                    .with_context(|| format!("cannot read `{name}`"))?;
                if io::stdout().is_terminal() {
                    output.line(cell(&text))?;
                } else {
                    output.line(text)?;
                }
            }
        }
        if output.json {
            output.json(&found)?;
        }
        Ok(code)
    }
}
