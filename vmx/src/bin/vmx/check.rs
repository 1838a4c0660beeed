//! `vmx check`: reports whether VMware opens a file and powers its machine on, and on
//! request how other programs read it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use vmx::{Document, Effect, FileKind, Finding, ParseError, Position, Reader};

use crate::file;
use crate::output::{Output, complain};

/// Report whether VMware opens files and powers their machines on. Exits with 1 if it
/// does not.
///
/// This does not check the host, for example whether disks or networks exist.
#[derive(clap::Args)]
pub(crate) struct Check {
    /// The files, `-` for standard input.
    #[arg(default_value = "-")]
    files: Vec<PathBuf>,
    /// Also report how another program would read the file: `all`, or the program's name.
    #[arg(long = "for", value_name = "PROGRAM", value_parser = readers)]
    readers: Vec<Readers>,
}

/// The programs that one `--for` argument selects.
#[derive(Clone)]
struct Readers(Vec<Reader>);

fn readers(text: &str) -> Result<Readers, String> {
    let plain = |text: &str| text.to_lowercase().replace([' ', '-'], "");
    if text == "all" {
        return Ok(Readers(Reader::ALL.to_vec()));
    }
    let found = Reader::ALL
        .into_iter()
        .find(|reader| plain(&reader.to_string()) == plain(text));
    found.map(|reader| Readers(vec![reader])).ok_or_else(|| {
        let names: Vec<_> = Reader::ALL.iter().map(ToString::to_string).collect();
        format!("expected all, {}", names.join(", "))
    })
}

#[derive(Serialize)]
struct Report {
    file: String,
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
        let (mut refused, mut unread) = (false, false);
        let mut reports = Vec::new();
        for (at, path) in self.files.iter().enumerate() {
            let document = match file::read_quietly(path, output.encoding) {
                Ok(document) => document,
                Err(error) if self.files.len() > 1 => {
                    complain(format_args!("error: {error:#}"));
                    unread = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let findings = self.findings(path, &document);
            refused |= findings.iter().any(|finding| {
                finding.reader == Reader::Vmware
                    && matches!(finding.effect, Effect::Refuses | Effect::FailsAtPowerOn)
            });
            if output.json {
                reports.push(report(path, &document, findings));
                continue;
            }
            if self.files.len() > 1 {
                let gap = if at > 0 { "\n" } else { "" };
                output.line(format_args!("{gap}{}:", file::shown(path)))?;
            }
            print(path, &document, &findings, output)?;
        }
        match &reports[..] {
            [] => {}
            [report] if self.files.len() == 1 => output.json(report)?,
            reports => output.json(&reports)?,
        }
        Ok(ExitCode::from(match (unread, refused) {
            (true, _) => 2,
            (false, true) => 1,
            (false, false) => 0,
        }))
    }

    /// Returns the findings for VMware, the guest, and the requested programs.
    fn findings(&self, path: &Path, document: &Document) -> Vec<Finding> {
        let mut findings = document.check_as(kind(path, document));
        findings.retain(|finding| {
            matches!(finding.reader, Reader::Vmware | Reader::Guest)
                || self
                    .readers
                    .iter()
                    .any(|readers| readers.0.contains(&finding.reader))
        });
        findings
    }
}

/// Returns the kind of a file: by the names in it, otherwise by its own name. A file
/// without an ending, such as standard input, is taken for a machine.
fn kind(path: &Path, document: &Document) -> FileKind {
    match document.kind() {
        FileKind::Dictionary => {}
        kind => return kind,
    }
    let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
    match ending.as_ref().and_then(|ending| ending.to_str()) {
        Some("vmsd") => FileKind::Snapshots,
        Some("vmx" | "vmtx") | None => FileKind::Machine,
        Some(_) => FileKind::Dictionary,
    }
}

fn report(path: &Path, document: &Document, findings: Vec<Finding>) -> Report {
    let row = |finding: Finding| Row {
        message: finding.to_string(),
        remedy: finding.construct.remedy(),
        finding,
    };
    let problem = |problem: &ParseError| Problem {
        position: problem.position(),
        message: problem.kind().to_string(),
    };
    Report {
        file: file::shown(path),
        problems: document.problems().iter().map(problem).collect(),
        findings: findings.into_iter().map(row).collect(),
    }
}

fn print(
    path: &Path,
    document: &Document,
    findings: &[Finding],
    output: &mut Output<impl Write>,
) -> Result<()> {
    let problems = document.problems();
    for problem in problems.iter().take(file::SHOWN_PROBLEMS) {
        output.line(problem.render(&file::shown(path)))?;
        output.line("")?;
    }
    if let Some(more) = file::more(problems.len()) {
        output.line(format_args!("{more}\n"))?;
    }
    if findings.is_empty() {
        return output.line("nothing found");
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
    output.table("READER\tEFFECT\tWITH\tLINES", rows)?;
    remedies(findings, output)
}

/// Prints what to do about each construct, in the order of the findings.
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
        output.table("FINDING\tREMEDY", rows)?;
    }
    Ok(())
}

/// Returns the first few line numbers, and how many more there are.
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
