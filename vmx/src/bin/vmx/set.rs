//! `vmx set`: edits a file.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use vmx::{Document, Encoding, Unencodable};

use crate::output::Output;
use crate::{diff, file, lock, replace};

/// Edit a file in place, or standard input to standard output.
///
/// Lines that are not edited are kept byte for byte. Edit a machine's file only while it
/// is powered off: the running machine writes the file again.
///
/// An edit is refused, and nothing is written, if VMware would refuse or misread the
/// edited file but not the current one, if it removes or renames an entry that does not
/// exist, if it sets entries outside the encrypted settings, or if VMware has locked the
/// file.
///
/// The file is replaced in one step and keeps its mode, owner and group. Access lists and
/// extended attributes are not kept, and other hard links keep the old content. If
/// interrupted, the command leaves the old file unchanged and perhaps FILE.<number>.new
/// next to it.
#[derive(clap::Args)]
pub(crate) struct Set {
    /// The file, `-` for standard input.
    file: PathBuf,
    /// Entries to set, as NAME=VALUE.
    #[arg(value_parser = assignment)]
    entries: Vec<(String, String)>,
    /// Entries to remove.
    #[arg(long, value_name = "NAME")]
    remove: Vec<OsString>,
    /// Entries to rename, as OLD=NEW.
    #[arg(long, value_name = "OLD=NEW", value_parser = assignment)]
    rename: Vec<(String, String)>,
    /// Remove entries whose name is already defined on an earlier line.
    #[arg(long)]
    remove_duplicates: bool,
    /// Convert all values to this encoding, as VMware names it.
    #[arg(long, value_name = "NAME", value_parser = file::encoding)]
    transcode: Option<Encoding>,
    /// Convert the file to UTF-8 if its encoding cannot represent a value.
    #[arg(long)]
    upgrade: bool,
    /// Write even if the file is locked or the edit makes it worse for VMware.
    #[arg(long)]
    force: bool,
    /// Write nothing; print the differences as `diff` does.
    #[arg(long)]
    dry_run: bool,
    /// Write to this file instead, `-` for standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Set {
    pub(crate) fn run(&self, output: &mut Output<impl Write>) -> Result<ExitCode> {
        let before = file::read(&self.file, output.encoding)?;
        let mut document = before.clone();
        self.edit(&mut document)?;
        if !self.force {
            self.refuse_worse(&before, &document)?;
        }
        if self.dry_run {
            diff::print(&before, &document, output)?;
            return Ok(ExitCode::SUCCESS);
        }
        let (was, bytes) = (before.to_bytes(), document.to_bytes());
        if !self.force && bytes != was {
            lock::refuse(self.output.as_deref().unwrap_or(&self.file))?;
        }
        match &self.output {
            Some(target) if !file::is_standard_input(target) => replace::output(target, &bytes)?,
            None if !file::is_standard_input(&self.file) => {
                if bytes != was {
                    replace::edited(&self.file, &was, &bytes)?;
                }
            }
            _ => output.bytes(&bytes)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn edit(&self, document: &mut Document) -> Result<()> {
        if self.upgrade {
            document.on_unencodable(Unencodable::Upgrade);
        }
        if self.remove_duplicates {
            document.remove_duplicates();
        }
        if let Some(encoding) = self.transcode {
            document
                .transcode(encoding)
                .with_context(|| format!("cannot convert the file to {encoding}"))?;
        }
        for name in &self.remove {
            ensure!(
                !name.eq_ignore_ascii_case(".encoding"),
                "`.encoding` determines how all values are read; change it with --transcode"
            );
            ensure!(
                self.force || document.contains(name.as_encoded_bytes()),
                "no entry `{}` to remove; nothing was written",
                name.display()
            );
            document.remove(name.as_encoded_bytes());
        }
        for (old, new) in &self.rename {
            document
                .rename(old, new)
                .with_context(|| format!("cannot rename `{old}`"))?;
        }
        for (name, value) in &self.entries {
            document
                .set(name, value)
                .with_context(|| format!("cannot set `{name}`"))?;
        }
        Ok(())
    }

    /// Compares how VMware reads the file before and after the edit.
    fn refuse_worse(&self, before: &Document, after: &Document) -> Result<()> {
        if before.is_encrypted() && after.is_encrypted() {
            let names = self.entries.iter().map(|(name, _)| name);
            let mut names = names.chain(self.rename.iter().map(|(_, new)| new));
            if let Some(name) = names.find(|name| !before.contains(name)) {
                bail!(
                    "cannot set `{name}`: the settings are encrypted, and VMware ignores \
                     entries outside; remove the encryption in the product first, or use --force"
                );
            }
        }
        let worse = after.made_worse(before);
        if worse.is_empty() {
            return Ok(());
        }
        let mut message = String::from("the edit would make the file worse; nothing was written");
        for finding in &worse {
            message.push_str(&format!("\n  {finding}"));
            if let [first, ..] = finding.lines[..] {
                message.push_str(&format!(", line {first}"));
            }
            if let Some(remedy) = finding.construct.remedy() {
                message.push_str(&format!("; {remedy}"));
            }
        }
        bail!("{message}\n  or use --force")
    }
}
