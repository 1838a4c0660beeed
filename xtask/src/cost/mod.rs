//! Measures the cost of the bindings in a user's build: time, memory, size.
//!
//! Seconds depend on the machine, so they are compared with those of a widely used crate
//! in the same run. A target applies to a quiet machine with two cores; the gate's limit
//! applies on every machine.

mod build;
mod size;
mod usage;

use std::fmt::Write as _;

use anyhow::{Result, bail};

use crate::workspace;
use build::Costs;

pub(crate) use usage::measure;

/// One figure, with its target and its gate.
struct Figure {
    what: &'static str,
    value: f64,
    unit: &'static str,
    /// The maximum value on a quiet machine with two cores.
    target: f64,
    /// The value above which the gate fails; `None` if the value depends on the machine.
    gate: Option<f64>,
}

/// Builds everything, prints the figures, and fails if any is beyond its gate.
///
/// # Errors
/// Fails when a figure is beyond its gate, or something does not build.
pub(crate) fn run() -> Result<()> {
    let target = workspace::metadata()?.target_directory.into_std_path_buf();
    let figures = figures(&build::measure(&target)?);
    println!("\n{}", table(&figures));
    let beyond: Vec<&str> = beyond(&figures);
    if !beyond.is_empty() {
        bail!("the bindings cost too much: {}", beyond.join(", "));
    }
    Ok(())
}

fn figures(costs: &Costs) -> [Figure; 10] {
    let seconds = |what, value, target| Figure {
        what,
        value,
        unit: "s",
        target,
        gate: None,
    };
    let times = |what, cpu: f64, gate| Figure {
        what,
        value: cpu / costs.reference.cpu,
        unit: "times the reference",
        target: gate,
        gate: Some(gate),
    };
    let size = |what, value: f64, unit, target, gate| Figure {
        what,
        value,
        unit,
        target,
        gate: Some(gate),
    };
    let memory = costs.dev.memory.max(costs.release.memory);
    [
        seconds("dev build of the crate", costs.dev.wall, 20.0),
        seconds("release build of the crate", costs.release.wall, 20.0),
        seconds("release build of the sample", costs.sample.wall, 6.0),
        seconds(
            "release build of the reference",
            costs.reference.wall,
            f64::INFINITY,
        ),
        times("dev build, processor time", costs.dev.cpu, 1.1),
        times("release build, processor time", costs.release.cpu, 1.5),
        times("sample, processor time", costs.sample.cpu, 0.3),
        size("memory of rustc", memory / 1e9, "GB", 1.4, 1.5),
        size(
            "machine code of the crate",
            costs.machine_code / 1e3,
            "kB",
            350.0,
            350.0,
        ),
        size(
            "sample beyond hello",
            costs.sample_size / 1e6,
            "MB",
            0.8,
            0.85,
        ),
    ]
}

fn beyond(figures: &[Figure]) -> Vec<&'static str> {
    let beyond = |figure: &&Figure| figure.gate.is_some_and(|gate| figure.value > gate);
    figures
        .iter()
        .filter(beyond)
        .map(|figure| figure.what)
        .collect()
}

fn table(figures: &[Figure]) -> String {
    let mut out = String::new();
    for Figure {
        what,
        value,
        unit,
        target,
        gate,
    } in figures
    {
        let verdict = match gate {
            Some(gate) if value > gate => "BEYOND THE GATE",
            _ if value > target => "missed",
            _ => "met",
        };
        let target = match target.is_finite() {
            true => format!("at most {target}: {verdict}"),
            false => "to compare with".to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{what:<31} {value:>8.2} {unit:<20} {target}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, target: f64, gate: Option<f64>) -> Figure {
        Figure {
            what: "size",
            value,
            unit: "MB",
            target,
            gate,
        }
    }

    #[test]
    fn what_is_beyond_its_gate_is_named() {
        assert!(beyond(&[figure(0.8, 0.8, Some(0.85))]).is_empty());
        assert!(beyond(&[figure(0.84, 0.8, Some(0.85))]).is_empty());
        assert_eq!(beyond(&[figure(0.86, 0.8, Some(0.85))]), ["size"]);
    }

    #[test]
    fn seconds_close_no_gate() {
        assert!(beyond(&[figure(100.0, 20.0, None)]).is_empty());
        assert!(table(&[figure(100.0, 20.0, None)]).contains("at most 20: missed"));
    }
}
