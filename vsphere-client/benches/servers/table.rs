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

/// What each row measures, and the target for our simulator.
const ROWS: [(&str, &str); 15] = [
    (
        "create among 500 machines: server CPU, its task's end included",
        "0.4 ms",
    ),
    ("create among 5,000 machines: the same", "0.4 ms"),
    (
        "a rename until the only watcher of 10,000 machines has it",
        "-",
    ),
    ("the same: server CPU, call and report included", "0.2 ms"),
    ("changes per second that 1,000 waiters report", "2,000/s"),
    ("the same: server CPU for each change", "-"),
    (
        "1,000 idle waiters: server CPU per second",
        "none measurable",
    ),
    ("10,000 machines that are on: ready", "2 s (1 s)"),
    ("10,000 machines that are on: memory", "250 MB (150 MB)"),
    ("name and power state of 10,000 machines", "50 ms"),
    ("the same: server CPU", "-"),
    (
        "create, on, off, destroy among 5,000 machines: server CPU",
        "1.5 ms",
    ),
    ("the same with 16 clients on the same cores", "300/s"),
    ("PUT of 200 MiB to the datastore", "1,000 MiB/s"),
    ("GET of 200 MiB", "1,000 MiB/s"),
];

/// The figures of the servers that were measured so far.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The server that is being measured.
    pub(crate) column: usize,
    cells: BTreeMap<(Row, usize), String>,
}

impl Table {
    pub(crate) fn put(&mut self, row: Row, figure: String) {
        println!("  {}: {figure}", ROWS[row].0);
        self.cells.insert((row, self.column), figure);
    }

    /// Records why some figures could not be measured.
    pub(crate) fn failed(&mut self, rows: &[Row], reason: &str) {
        for row in rows {
            self.put(*row, format!("not measured: {reason}"));
        }
    }

    /// Records why no figure of the server could be measured.
    pub(crate) fn missing(&mut self, reason: &str) {
        let rows: Vec<Row> = (0..ROWS.len()).collect();
        self.failed(&rows, reason);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| figure | target | this simulator | vcsim |")?;
        writeln!(f, "| --- | --- | --- | --- |")?;
        for (row, (what, target)) in ROWS.iter().enumerate() {
            let cell = |column| self.cells.get(&(row, column)).map_or("-", String::as_str);
            writeln!(f, "| {what} | {target} | {} | {} |", cell(0), cell(1))?;
        }
        Ok(())
    }
}
