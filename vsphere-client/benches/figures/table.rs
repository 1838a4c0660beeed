//! The table of the figures on one server, with their targets.

use std::collections::BTreeMap;
use std::fmt;

/// A figure: its place in the table.
pub(crate) type Row = usize;

pub(crate) const READ: Row = 0;
pub(crate) const TASKS: Row = 1;
pub(crate) const TASK_ALONE: Row = 2;
pub(crate) const WAITS_CONNECTIONS: Row = 3;
pub(crate) const WAITS_MEMORY: Row = 4;
pub(crate) const LOGIN: Row = 5;
pub(crate) const LITERAL: Row = 6;
pub(crate) const PATTERN: Row = 7;
pub(crate) const CHANGE: Row = 8;
pub(crate) const UPLOAD: Row = 9;
pub(crate) const UPLOAD_MEMORY: Row = 10;
pub(crate) const DOWNLOAD: Row = 11;
pub(crate) const DOWNLOAD_MEMORY: Row = 12;

/// The programs: the columns of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    Ours,
    Govc,
    Pyvmomi,
}

/// What a figure should be.
enum Goal {
    AtMost(f64),
    /// At most these parts of govc's and of pyvmomi's.
    PartsOf(f64, f64),
    AtLeastGovc,
}

const ROWS: [(&str, &str, Goal); 13] = [
    (
        "7 properties of all machines: processor time",
        "1/10 of govc's, 1/20 of pyvmomi's",
        Goal::PartsOf(10.0, 20.0),
    ),
    (
        "tasks started together: requests beyond their own",
        "20",
        Goal::AtMost(20.0),
    ),
    (
        "one task alone, engine warm: the same, polls aside",
        "1",
        Goal::AtMost(1.0),
    ),
    (
        "concurrent waits: connections they occupy",
        "1",
        Goal::AtMost(1.0),
    ),
    (
        "concurrent waits: memory",
        "10 MB",
        Goal::AtMost(10_000_000.0),
    ),
    ("login to first answer: requests", "4", Goal::AtMost(4.0)),
    ("literal path: requests", "2", Goal::AtMost(2.0)),
    ("pattern: requests beyond its pages", "1", Goal::AtMost(1.0)),
    (
        "a change until its subscriber has it, after the server's answer",
        "1 ms",
        Goal::AtMost(1.0),
    ),
    ("upload: rate", "govc's", Goal::AtLeastGovc),
    ("upload: memory", "16 MB", Goal::AtMost(16_000_000.0)),
    ("download: rate", "govc's", Goal::AtLeastGovc),
    ("download: memory", "16 MB", Goal::AtMost(16_000_000.0)),
];

/// The figures that were measured so far.
#[derive(Debug, Default)]
pub(crate) struct Table {
    cells: BTreeMap<(Row, By), (String, Option<f64>)>,
}

impl Table {
    /// Enters a figure: its value in the unit of the target, and its text.
    pub(crate) fn put(&mut self, row: Row, by: By, value: f64, text: String) {
        println!("  {}, {by}: {text}", ROWS[row].0);
        self.cells.insert((row, by), (text, Some(value)));
    }

    /// Records why a figure is not measured.
    pub(crate) fn missing(&mut self, row: Row, by: By, reason: &str) {
        println!("  {}, {by}: not measured: {reason}", ROWS[row].0);
        let text = format!("not measured: {reason}");
        self.cells.insert((row, by), (text, None));
    }

    /// Enters a number of bytes.
    pub(crate) fn bytes(&mut self, row: Row, by: By, bytes: f64) {
        self.put(row, by, bytes, format!("{:.1} MB", bytes / 1e6));
    }

    fn verdict(&self, row: Row) -> &'static str {
        let value = |by| self.cells.get(&(row, by))?.1;
        let Some(own) = value(By::Ours) else {
            return "NOT MEASURED";
        };
        let met = match ROWS[row].2 {
            Goal::AtMost(most) => Some(own <= most),
            Goal::AtLeastGovc => value(By::Govc).map(|peer| own >= peer),
            Goal::PartsOf(govc, pyvmomi) => {
                let met = |by, part| value(by).map(|peer| own * part <= peer);
                match (met(By::Govc, govc), met(By::Pyvmomi, pyvmomi)) {
                    (Some(govc), Some(pyvmomi)) => Some(govc && pyvmomi),
                    _ => None,
                }
            }
        };
        match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not judged: a peer is missing",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "this client",
            Self::Govc => "govc",
            Self::Pyvmomi => "pyvmomi",
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| measure | target | this client | | govc | pyvmomi |\n| --- | --- | --- | --- | --- | --- |"
        )?;
        for (row, (what, target, _)) in ROWS.iter().enumerate() {
            let cell = |by| {
                let cell = self.cells.get(&(row, by));
                cell.map_or("not measured", |(text, _)| text.as_str())
            };
            writeln!(
                f,
                "| {what} | {target} | {} | {} | {} | {} |",
                cell(By::Ours),
                self.verdict(row),
                cell(By::Govc),
                cell(By::Pyvmomi)
            )?;
        }
        Ok(())
    }
}
