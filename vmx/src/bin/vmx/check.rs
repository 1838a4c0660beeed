//! `vmx check`: what VMware, libvirt and others would make of a file.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use vmx::{Effect, Finding, Position, Reader};

use crate::file;
use crate::output::Output;

/// Explain what VMware, libvirt and others would make of a file. Exits with 1 if
/// VMware refuses it.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// The file, `-` for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
}

#[derive(Serialize)]
struct Report {
    problems: Vec<Problem>,
    findings: Vec<Row>,
}

#[derive(Serialize)]
struct Problem {
    position: Position,
    message: String,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    finding: Finding,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

impl Check {
    pub(crate) fn run(&self, output: &mut Output<impl Write>) -> Result<ExitCode> {
        let document = file::read_quietly(&self.file, output.encoding)?;
        let (problems, findings) = (document.problems(), document.check());
        let refused = findings
            .iter()
            .any(|finding| finding.reader == Reader::Vmware && finding.effect == Effect::Refuses);
        if output.json {
            let row = |finding: Finding| Row {
                message: finding.to_string(),
                remedy: finding.construct.remedy(),
                finding,
            };
            output.json(&Report {
                problems: problems
                    .iter()
                    .map(|problem| Problem {
                        position: problem.position(),
                        message: problem.kind().to_string(),
                    })
                    .collect(),
                findings: findings.into_iter().map(row).collect(),
            })?;
        } else {
            for problem in problems.iter().take(file::SHOWN_PROBLEMS) {
                output.line(problem.render(&file::shown(&self.file)))?;
                output.line("")?;
            }
            if let Some(more) = file::more(problems.len()) {
                output.line(format_args!("{more}\n"))?;
            }
            let rows = findings.iter().map(|finding| {
                let Finding {
                    reader,
                    effect,
                    construct,
                    lines,
                    ..
                } = finding;
                format!("{reader}\t{effect}\t{construct}\t{}", places(lines))
            });
            if findings.is_empty() {
                output.line("nothing that a known reader stumbles over")?;
                return Ok(ExitCode::SUCCESS);
            }
            output.table("READER\tEFFECT\tWITH\tLINES", rows)?;
            remedies(&findings, output)?;
        }
        Ok(if refused {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// What to do about each construct, in the order of the findings.
fn remedies(findings: &[Finding], output: &mut Output<impl Write>) -> Result<()> {
    let mut said = BTreeSet::new();
    let rows: Vec<_> = findings
        .iter()
        .map(|finding| finding.construct)
        .filter(|construct| said.insert(*construct))
        .filter_map(|construct| Some(format!("{construct}\t{}", construct.remedy()?)))
        .collect();
    if !rows.is_empty() {
        output.line("")?;
        output.table("TO MEND\tDO", rows)?;
    }
    Ok(())
}

/// The first lines of many.
fn places(lines: &[usize]) -> String {
    const SHOWN: usize = 5;
    let mut text = lines
        .iter()
        .take(SHOWN)
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if lines.len() > SHOWN {
        text.push_str(&format!(" and {} more", lines.len() - SHOWN));
    }
    text
}
