//! `vmx show`: the entries of a file.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use vmx::{Document, Entry, FileKind, LineKind};

use crate::file;
use crate::output::{Output, Shown};

/// Print the entries of a file.
#[derive(clap::Args)]
pub(crate) struct Show {
    /// The file, `-` for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Only names that begin with this text, ignoring case.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,
    /// Only entries that the vSphere API shows as extraConfig.
    #[arg(long)]
    extra_config: bool,
}

#[derive(Serialize)]
struct File {
    kind: FileKind,
    encoding: Option<&'static str>,
    encrypted: bool,
    entries: Vec<Row>,
    problems: Vec<Problem>,
}

#[derive(Serialize)]
struct Row {
    line: usize,
    name: String,
    #[serde(flatten)]
    value: Shown,
}

#[derive(Serialize)]
struct Problem {
    position: vmx::Position,
    message: String,
}

impl Show {
    pub(crate) fn run(&self, output: &mut Output<impl Write>) -> Result<ExitCode> {
        let document = file::read(&self.file, output.encoding)?;
        let rows = document
            .lines()
            .enumerate()
            .filter_map(|(index, line)| match line.kind() {
                LineKind::Entry(entry) if self.wants(entry) => Some(Row {
                    line: index + 1,
                    name: entry.name().to_string(),
                    value: Shown::of(entry.value()),
                }),
                _ => None,
            });
        if output.json {
            let file = File {
                kind: document.kind(),
                encoding: document.encoding().ok().map(vmx::Encoding::name),
                encrypted: document.is_encrypted(),
                entries: rows.collect(),
                problems: problems(&document),
            };
            output.json(&file)?;
        } else {
            let rows = rows.map(|row| format!("{}\t{}\t{}", row.line, row.name, row.value.cell()));
            output.table("LINE\tNAME\tVALUE", rows)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn wants(&self, entry: Entry<'_>) -> bool {
        let extra = || {
            let key = entry.name().as_str();
            entry.is_first() && key.is_some_and(|key| !vmx::has_own_field(key))
        };
        entry.name().starts_with(&self.prefix) && (!self.extra_config || extra())
    }
}

fn problems(document: &Document) -> Vec<Problem> {
    document
        .problems()
        .iter()
        .map(|problem| Problem {
            position: problem.position(),
            message: problem.kind().to_string(),
        })
        .collect()
}
