//! Checks how VMware, libvirt and other programs would read a file.

mod construct;
mod lines;
mod power;
mod reader;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use crate::document::{Document, Line, LineKind};
use crate::error::{ParseError, ParseErrorKind, ValueError};
use crate::kind::FileKind;
use crate::view::{Class, DeviceName, DriveType, Firmware, Presence, VirtualMachineFile};

pub use self::construct::Construct;
pub use self::reader::{Effect, Reader};

/// The effect of one construct in a file on one reader.
///
/// `Display` prints one line, without the line numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Finding {
    /// The effect on the reader.
    pub effect: Effect,
    /// The program that reads the file.
    pub reader: Reader,
    /// The construct in the file.
    pub construct: Construct,
    /// The lines, counted from 1; empty if the finding concerns the whole file.
    pub lines: Vec<usize>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.effect {
            Effect::Notes => write!(f, "{}: {}", self.reader, self.construct),
            effect => write!(f, "{} {effect}: {}", self.reader, self.construct),
        }
    }
}

impl Document {
    /// Returns everything in the file that VMware, libvirt or another program would
    /// refuse, misread or ignore, worst first.
    ///
    /// Use it before a machine is powered on or its file is passed to another program.
    /// [`problems`](Self::problems) lists only what VMware refuses to read, with exact
    /// positions. A file that is too large is a finding, not an error.
    ///
    /// ```
    /// use vmx::{Document, Effect, Reader};
    ///
    /// let file = Document::parse(&b".encoding = \"UTF-8\"\nconfig.version = \"8\"\n\
    ///     virtualHW.version = \"20\"\nguestOS = \"other\"\nguestinfo./repo = \"busybox\"\n"[..])?;
    /// let findings = file.check();
    /// assert_eq!(findings[0].to_string(), "libvirt refuses the file: \
    ///     a name with other characters than letters, digits, `_.:-`");
    /// assert_eq!(findings[0].lines, [5]);
    /// # Ok::<(), vmx::ParseError>(())
    /// ```
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        self.check_as(self.kind())
    }

    /// Returns the findings of [`check`](Self::check) for a file whose kind is known, for
    /// example from its name: VMware does not open an empty `.vmx`, but an empty `.vmsd`
    /// is common.
    ///
    /// Other programs are omitted for files that only VMware reads, such as `.vmsd`.
    #[must_use]
    pub fn check_as(&self, kind: FileKind) -> Vec<Finding> {
        let mut found = Found::default();
        let mut names = Names::default();
        let lines: Vec<Line<'_>> = self.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            lines::constructs(self, *line, |construct| found.add(construct, index + 1));
            names.look_at(*line, index + 1);
        }
        for problem in self.problems() {
            let number = problem.position().line;
            found.add(construct_of(&problem, lines.get(number - 1)), number);
        }
        names.report(&mut found);
        self.check_file(&mut found, &names, kind);
        let mut findings = found.into_findings();
        if !matches!(kind, FileKind::Machine | FileKind::Dictionary) {
            findings.retain(|finding| finding.reader == Reader::Vmware);
        }
        findings
    }

    /// Returns what an edit made worse: everything that VMware would refuse, misread or
    /// not power on in this document, but not in `before`.
    ///
    /// ```
    /// use vmx::{Construct, Document};
    ///
    /// let before = Document::parse(&b"memSize = \"64\"\nnumvcpus = \"x\"\n"[..])?;
    /// let mut after = before.clone();
    /// after.set("memSize", "abc")?;
    /// let worse = after.made_worse(&before);
    /// assert_eq!(worse.len(), 1);
    /// assert_eq!(worse[0].construct, Construct::WrongType);
    /// assert_eq!(worse[0].lines, [1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn made_worse(&self, before: &Self) -> Vec<Finding> {
        let kind = match self.kind() {
            FileKind::Dictionary => before.kind(),
            kind => kind,
        };
        let serious = |finding: &Finding| {
            finding.reader == Reader::Vmware
                && matches!(
                    finding.effect,
                    Effect::Refuses | Effect::FailsAtPowerOn | Effect::Misreads
                )
        };
        let mut old: HashMap<Construct, HashSet<Vec<u8>>> = HashMap::new();
        let lines: Vec<_> = before.lines().map(subject).collect();
        // Existing damage is taken from `before`, even if it shows only when `before` is
        // checked as a machine.
        for finding in before.check_as(kind) {
            let known = old.entry(finding.construct).or_default();
            known.extend(
                finding
                    .lines
                    .iter()
                    .filter_map(|line| lines.get(line - 1).cloned()),
            );
        }
        let lines: Vec<_> = self.lines().map(subject).collect();
        let mut worse = self.check_as(kind);
        worse.retain_mut(|finding| {
            if !serious(finding) {
                return false;
            }
            let Some(known) = old.get(&finding.construct) else {
                return true;
            };
            let had_lines = !finding.lines.is_empty();
            finding.lines.retain(|line| {
                lines
                    .get(line - 1)
                    .is_some_and(|subject| !known.contains(subject))
            });
            had_lines && !finding.lines.is_empty()
        });
        worse
    }

    /// Adds the constructs that concern the file as a whole.
    fn check_file(&self, found: &mut Found, names: &Names, kind: FileKind) {
        let whole = |found: &mut Found, condition: bool, construct| {
            if condition {
                found.0.entry(construct).or_default();
            }
        };
        if self.has_byte_order_mark() {
            found.add(Construct::ByteOrderMark, 1);
        }
        let declaration = self
            .entries()
            .find(|entry| entry.name().declares_encoding());
        whole(found, declaration.is_none(), Construct::NoEncoding);
        if let (Some(entry), Ok(encoding)) = (declaration, self.encoding())
            && encoding.name() == "windows-949-2000"
        {
            found.add(Construct::ForeignEncodingName, entry.position().line);
        }
        if let Some(entry) = declaration
            && entry.position().line > 1
            && found.0.contains_key(&Construct::ForeignText)
        {
            found.add(Construct::LateEncoding, entry.position().line);
        }
        whole(found, self.is_encrypted(), Construct::Encrypted);
        let rewritten = self.lines().any(|line| match line.kind() {
            LineKind::Comment => true,
            LineKind::Entry(entry) => entry.name().as_bytes().iter().any(u8::is_ascii_uppercase),
            _ => false,
        });
        whole(found, rewritten, Construct::Rewritten);
        if kind == FileKind::Machine {
            self.check_machine(found, names);
        }
    }

    fn check_machine(&self, found: &mut Found, names: &Names) {
        let machine = VirtualMachineFile::new(self);
        let size: usize = self
            .lines()
            .map(|l| l.content().len() + l.terminator().len())
            .sum();
        let limit = machine.guest_info_size_limit().unwrap_or(1024 * 1024);
        if size as u64 > limit {
            found.0.entry(Construct::TooLarge).or_default();
        }
        for fault in machine.faults() {
            // Text that is not valid in the charset has a finding of its own.
            if matches!(fault.reason(), ValueError::Undecodable { .. }) {
                continue;
            }
            found.add_at(Construct::WrongType, names, fault.name());
        }
        if !self.is_encrypted() {
            let missing = |name: &&str| !self.contains(*name);
            if ["config.version", "virtualHW.version"].iter().any(missing) {
                found.0.entry(Construct::NoVersion).or_default();
            }
            if missing(&"guestOS") {
                found.0.entry(Construct::NoGuestOs).or_default();
            }
            power::constructs(&machine, self, |construct, name| {
                found.add_at(construct, names, name);
            });
        } else if !self.contains("encryption.keySafe") {
            found.add_at(Construct::NoKeySafe, names, "encryption.data");
        }
        if machine
            .config_version()
            .is_ok_and(|version| version.is_some_and(|v| v != 8))
        {
            found.add_at(Construct::OldVersion, names, "config.version");
        }
        if machine
            .hardware_version()
            .is_ok_and(|version| version.is_some_and(|v| v < 4))
        {
            found.add_at(Construct::OldVersion, names, "virtualHW.version");
        }
        if machine.memory_mb().is_ok_and(|memory| memory % 4 != 0) {
            found.add_at(Construct::OddMemory, names, "memSize");
        }
        if machine.firmware() == Ok(Firmware::Efi)
            && self
                .get("firmware")
                .is_some_and(|value| value.raw() != b"efi")
        {
            found.add_at(Construct::OddFirmware, names, "firmware");
        }
        for drive in machine.drives() {
            let on_ide = drive.device_name().class() == Class::Ide;
            let construct = match drive.drive_type() {
                Ok(kind) if on_ide && kind.is_disk() && kind != DriveType::AtaDisk => {
                    Construct::PlainIdeDisk
                }
                Ok(kind) if !on_ide && kind.is_cdrom() => Construct::CdromBesideIde,
                _ => continue,
            };
            if drive.presence() == Presence::Present {
                let name = format!("{}.present", drive.device_name());
                found.add_at(construct, names, &name);
            }
        }
        let inert: BTreeSet<DeviceName> = machine
            .devices()
            .into_iter()
            .filter(|device| device.presence != Presence::Present)
            .map(|device| device.name)
            .collect();
        for (index, line) in self.lines().enumerate() {
            if let LineKind::Entry(entry) = line.kind()
                && let Some((place, key)) = entry.name().as_str().and_then(DeviceName::split)
                && !key.eq_ignore_ascii_case("present")
                && inert.contains(&place)
            {
                found.add(Construct::Inert, index + 1);
            }
        }
    }
}

/// Returns the subject of a line: the name of its entry, or the whole line.
fn subject(line: Line<'_>) -> Vec<u8> {
    match line.kind() {
        LineKind::Entry(entry) => entry.name().folded().into_owned(),
        _ => line.content().to_vec(),
    }
}

/// Constructs, each with its lines.
#[derive(Default)]
struct Found(BTreeMap<Construct, BTreeSet<usize>>);

impl Found {
    fn add(&mut self, construct: Construct, line: usize) {
        self.0.entry(construct).or_default().insert(line);
    }

    fn add_at(&mut self, construct: Construct, names: &Names, name: &str) {
        let line = names.0.get(name.to_ascii_lowercase().as_bytes());
        self.0.entry(construct).or_default().extend(line);
    }

    fn into_findings(self) -> Vec<Finding> {
        let mut findings: Vec<_> = self
            .0
            .into_iter()
            .flat_map(|(construct, lines)| {
                let lines: Vec<usize> = lines.into_iter().collect();
                construct
                    .effects()
                    .iter()
                    .map(move |&(reader, effect)| Finding {
                        effect,
                        reader,
                        construct,
                        lines: lines.clone(),
                    })
            })
            .collect();
        findings.sort_by_key(|finding| (finding.effect, finding.reader, finding.construct));
        findings
    }
}

fn construct_of(problem: &ParseError, line: Option<&Line<'_>>) -> Construct {
    match problem.kind() {
        ParseErrorKind::NameMissing => Construct::NoName,
        ParseErrorKind::EqualsMissing => match line {
            Some(line) if line.content().contains(&b'=') => Construct::BlankInName,
            _ => Construct::NoEquals,
        },
        ParseErrorKind::QuoteUnclosed => Construct::UnclosedQuote,
        ParseErrorKind::TextAfterValue => Construct::BareWords,
        ParseErrorKind::TextAfterQuote => {
            let place = problem.position().column - 1;
            match line.and_then(|line| line.content().get(place)) {
                Some(b';') => Construct::Semicolon,
                _ => Construct::TextAfterQuote,
            }
        }
        ParseErrorKind::Duplicate { .. } => Construct::Duplicate,
        ParseErrorKind::Encoding(_) => Construct::BadEncoding,
        ParseErrorKind::Undecodable { declared: true, .. } => Construct::Undecodable,
        ParseErrorKind::Undecodable { .. } => Construct::HostText,
        ParseErrorKind::TooLarge => Construct::TooLarge,
    }
}

/// Names with folded case, to find names that are a prefix of others.
#[derive(Default)]
struct Names(BTreeMap<Vec<u8>, usize>);

impl Names {
    fn look_at(&mut self, line: Line<'_>, number: usize) {
        if let LineKind::Entry(entry) = line.kind() {
            self.0
                .entry(entry.name().folded().into_owned())
                .or_insert(number);
        }
    }

    fn report(&self, found: &mut Found) {
        for (name, line) in &self.0 {
            let mut prefix = name.clone();
            prefix.push(b'.');
            let next = self.0.range(prefix.clone()..).next();
            if next.is_some_and(|(longer, _)| longer.starts_with(&prefix)) {
                found.add(Construct::LeafAndBranch, *line);
            }
        }
    }
}
