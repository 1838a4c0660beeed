//! The table of the figures, with their targets.

use std::collections::BTreeMap;
use std::fmt;

/// A figure: its place in the table.
pub(crate) type Row = usize;

pub(crate) const CREATE_IN_500: Row = 0;
pub(crate) const CREATE_IN_5_000: Row = 1;
pub(crate) const SEEN: Row = 2;
pub(crate) const SEEN_CPU: Row = 3;
pub(crate) const WAITERS: Row = 4;
pub(crate) const WAITERS_CPU: Row = 5;
pub(crate) const WAITERS_IDLE: Row = 6;
pub(crate) const READY: Row = 7;
pub(crate) const MEMORY: Row = 8;
pub(crate) const READ: Row = 9;
pub(crate) const READ_CPU: Row = 10;
pub(crate) const LIFE_CPU: Row = 11;
pub(crate) const LIFE_RATE: Row = 12;
pub(crate) const PUT: Row = 13;
pub(crate) const GET: Row = 14;

/// The target of a row, for our simulator.
#[derive(Clone, Copy)]
enum Target {
    None,
    /// The second value is the ambition, if there is one.
    AtMost(f64, Option<f64>),
    AtLeast(f64),
}
use Target::{AtLeast, AtMost, None as NoTarget};

/// What each row measures, its target and its unit.
const ROWS: [(&str, Target, &str); 15] = [
    (
        "create among 500 machines: server CPU, its task's end included",
        AtMost(0.4, None),
        "ms",
    ),
    (
        "create among 5,000 machines: the same",
        AtMost(0.4, None),
        "ms",
    ),
    (
        "a rename until the only watcher of 10,000 machines has it",
        NoTarget,
        "ms",
    ),
    (
        "the same: server CPU, call and report included",
        AtMost(0.2, None),
        "ms",
    ),
    (
        "changes per second that 1,000 waiters report",
        AtLeast(2_000.0),
        "/s",
    ),
    ("the same: server CPU for each change", NoTarget, "ms"),
    (
        // A tick of the clock of most systems in a minute is more.
        "1,000 idle waiters: server CPU per second",
        AtMost(0.05, None),
        "ms",
    ),
    (
        "10,000 machines that are on: ready",
        AtMost(2.0, Some(1.0)),
        "s",
    ),
    (
        "10,000 machines that are on: memory",
        AtMost(250.0, Some(150.0)),
        "MB",
    ),
    (
        "name and power state of 10,000 machines",
        AtMost(50.0, None),
        "ms",
    ),
    ("the same: server CPU", NoTarget, "ms"),
    (
        "create, on, off, destroy among 5,000 machines: server CPU",
        AtMost(1.5, None),
        "ms",
    ),
    (
        "the same with 16 clients on the same cores",
        AtLeast(300.0),
        "/s",
    ),
    ("PUT of 200 MiB to the datastore", AtLeast(1_000.0), "MiB/s"),
    ("GET of 200 MiB", AtLeast(1_000.0), "MiB/s"),
];

/// The figure of a row at one server, or why there is none.
type Cell = Result<f64, String>;

/// The figures of the servers that were measured so far.
#[derive(Debug)]
pub(crate) struct Table {
    /// The server that is being measured.
    pub(crate) column: usize,
    /// By what the sizes of the inventories of each server are divided.
    scales: [usize; 2],
    cells: BTreeMap<(Row, usize), Cell>,
}

impl Table {
    /// Returns an empty table, of servers whose inventories are this many times smaller than the rows say.
    pub(crate) const fn new(scales: [usize; 2]) -> Self {
        Self {
            column: 0,
            scales,
            cells: BTreeMap::new(),
        }
    }

    pub(crate) fn put(&mut self, row: Row, figure: f64) {
        self.set(row, Ok(figure));
    }

    fn set(&mut self, row: Row, cell: Cell) {
        println!("  {}: {}", ROWS[row].0, shown(row, &cell));
        self.cells.insert((row, self.column), cell);
    }

    /// Records why some figures could not be measured.
    pub(crate) fn failed(&mut self, rows: &[Row], reason: &str) {
        for row in rows {
            self.set(*row, Err(reason.to_owned()));
        }
    }

    /// Records why no figure of the server could be measured.
    pub(crate) fn missing(&mut self, reason: &str) {
        let rows: Vec<Row> = (0..ROWS.len()).collect();
        self.failed(&rows, reason);
    }

    /// Compares the figure of our simulator with the target.
    fn verdict(&self, row: Row) -> String {
        let Some(Ok(figure)) = self.cells.get(&(row, 0)) else {
            return match ROWS[row].1 {
                NoTarget => "-".to_owned(),
                _ => "not measured".to_owned(),
            };
        };
        let verdict = match ROWS[row].1 {
            NoTarget => return "-".to_owned(),
            AtMost(_, Some(ambition)) if *figure <= ambition => "met, and the ambition",
            AtMost(most, _) if *figure <= most => "met",
            AtLeast(least) if *figure >= least => "met",
            AtMost(..) | AtLeast(_) => "MISSED",
        };
        match self.scales[0] {
            1 => verdict.to_owned(),
            // A smaller inventory proves nothing.
            scale => format!("{verdict} at 1/{scale}"),
        }
    }
}

/// Formats a figure with its unit.
fn shown(row: Row, cell: &Cell) -> String {
    let unit = ROWS[row].2;
    match cell {
        Err(reason) => format!("not measured: {reason}"),
        Ok(figure) => match unit {
            "/s" => format!("{figure:.0}/s"),
            _ if *figure < 20.0 => format!("{figure:.2} {unit}"),
            _ => format!("{figure:.0} {unit}"),
        },
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoTarget => f.write_str("-"),
            AtMost(most, Some(ambition)) => write!(f, "<= {most} ({ambition})"),
            AtMost(most, _) => write!(f, "<= {most}"),
            AtLeast(least) => write!(f, ">= {least}"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (server, scale) in ["this simulator", "vcsim"].iter().zip(self.scales) {
            if scale > 1 {
                writeln!(
                    f,
                    "{server}: all inventories are {scale} times smaller than the rows say"
                )?;
            }
        }
        writeln!(
            f,
            "\n| figure | target | this simulator | vcsim | verdict |"
        )?;
        writeln!(f, "| --- | --- | --- | --- | --- |")?;
        for (row, (what, target, unit)) in ROWS.iter().enumerate() {
            let cell = |column| {
                let cell = self.cells.get(&(row, column));
                cell.map_or_else(|| "-".to_owned(), |cell| shown(row, cell))
            };
            let target = match target {
                NoTarget => "-".to_owned(),
                target => format!("{target} {unit}"),
            };
            let verdict = self.verdict(row);
            writeln!(
                f,
                "| {what} | {target} | {} | {} | {verdict} |",
                cell(0),
                cell(1)
            )?;
        }
        Ok(())
    }
}
