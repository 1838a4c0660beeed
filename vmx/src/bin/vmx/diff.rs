//! `vmx diff`: prints the differences between two files.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde::Serialize;
use vmx::{Difference, Document, Entry};

use crate::file;
use crate::output::{Output, Shown};

/// Print the differences between two files that matter to VMware, ignoring order,
/// spacing, comments and the case of names. Exits with 1 if there are any.
#[derive(clap::Args)]
pub(crate) struct Diff {
    /// The old file, `-` for standard input.
    old: PathBuf,
    /// The new file, `-` for standard input.
    new: PathBuf,
}

#[derive(Serialize)]
struct Row {
    change: &'static str,
    name: String,
    old: Option<Shown>,
    new: Option<Shown>,
}

impl Diff {
    pub(crate) fn run(&self, output: &mut Output<impl Write>) -> Result<ExitCode> {
        if file::is_standard_input(&self.old) && file::is_standard_input(&self.new) {
            bail!("only one of the files can be standard input");
        }
        let old = file::read(&self.old, output.encoding)?;
        let new = file::read(&self.new, output.encoding)?;
        let differ = print(&old, &new, output)?;
        Ok(if differ {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// Prints the differences. Returns whether there are any.
pub(crate) fn print(
    old: &Document,
    new: &Document,
    output: &mut Output<impl Write>,
) -> Result<bool> {
    let rows: Vec<Row> = old.diff(new).iter().map(Row::of).collect();
    if output.json {
        output.json(&rows)?;
    } else if !rows.is_empty() {
        let cell = |value: &Option<Shown>| value.as_ref().map_or("-".into(), Shown::cell);
        let line = |row: &Row| {
            let (old, new) = (cell(&row.old), cell(&row.new));
            format!("{}\t{}\t{old}\t{new}", row.change, row.name)
        };
        output.table("CHANGE\tNAME\tOLD\tNEW", rows.iter().map(line))?;
    }
    Ok(!rows.is_empty())
}

impl Row {
    fn of(difference: &Difference<'_>) -> Self {
        let shown = |entry: &Entry<'_>| Some(Shown::of(entry.value()));
        let (change, old, new) = match difference {
            Difference::Removed(old) => ("removed", shown(old), None),
            Difference::Added(new) => ("added", None, shown(new)),
            Difference::Changed(old, new) => ("changed", shown(old), shown(new)),
        };
        Self {
            change,
            name: difference.name().to_string(),
            old,
            new,
        }
    }
}
