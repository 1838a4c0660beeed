//! The fixed targets of the bindings, and whether they are met.

use std::fmt;

use super::figures::{Figures, Spread};
use super::subject::{Had, Subject};
use super::table::{columns, pipes};

/// The required value of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Needed {
    /// At least this value, with an optional, more ambitious value.
    AtLeast(f64, Option<f64>),
    AtMost(f64),
}

/// One target with its figure.
#[derive(Debug)]
pub(super) struct Target {
    what: String,
    needed: Needed,
    measured: Had<Spread>,
    /// Whether the gate checks the target, because it depends neither on a peer nor on
    /// the machine's speed.
    gated: bool,
}

/// The result of a target.
#[derive(Debug, PartialEq)]
enum Verdict {
    Met,
    /// The target and the ambitious value are met.
    MetWithAmbition,
    Missed,
    NotMeasured(String),
}

impl Target {
    fn new(what: impl Into<String>, needed: Needed, measured: Had<Spread>) -> Self {
        Self {
            what: what.into(),
            needed,
            measured,
            gated: false,
        }
    }

    /// Returns the target, marked to be checked by the gate.
    fn gated(self) -> Self {
        Self {
            gated: true,
            ..self
        }
    }

    /// Compares the median with the target; an unavailable figure never meets it.
    fn verdict(&self) -> Verdict {
        let figure = match &self.measured {
            Err(reason) => return Verdict::NotMeasured(reason.clone()),
            Ok(spread) => spread.median,
        };
        match self.needed {
            Needed::AtLeast(_, Some(ambition)) if figure >= ambition => Verdict::MetWithAmbition,
            Needed::AtLeast(least, _) if figure >= least => Verdict::Met,
            Needed::AtMost(most) if figure <= most => Verdict::Met,
            // This arm also covers NaN.
            Needed::AtLeast(..) | Needed::AtMost(_) => Verdict::Missed,
        }
    }

    fn cells(&self) -> [String; 4] {
        let measured = match &self.measured {
            Err(_) => "-".to_owned(),
            Ok(spread) if spread.low == spread.high => number(spread.median),
            Ok(spread) => format!(
                "{} ({} to {})",
                number(spread.median),
                number(spread.low),
                number(spread.high)
            ),
        };
        [
            self.what.clone(),
            self.needed.to_string(),
            measured,
            self.verdict().to_string(),
        ]
    }
}

/// Compares the figures with the targets.
pub(super) fn judge(figures: &Figures) -> Vec<Target> {
    let here =
        |figure: Option<Spread>| figure.ok_or_else(|| "our program did not print it".to_owned());
    let exact = |figure: Option<f64>| here(figure.map(Spread::exact));
    let mut targets = vec![
        Target::new(
            "decode to a document, of bare events",
            Needed::AtLeast(0.50, Some(0.65)),
            here(figures.document_to_events),
        )
        .gated(),
        Target::new(
            "decode to structs, of bare events",
            Needed::AtLeast(0.42, Some(0.55)),
            here(figures.structs_to_events),
        )
        .gated(),
        // "Full" in the strictest sense: including values that a struct converts lazily.
        Target::new(
            "the same, none lazy",
            Needed::AtLeast(0.42, Some(0.55)),
            here(figures.whole_to_events),
        ),
    ];
    for (subject, measured) in &figures.structs_to_peers {
        let times = match subject {
            Subject::Ours => continue,
            Subject::VimRs => 2.0,
            Subject::Govmomi => 7.0,
            Subject::Pyvmomi => 50.0,
        };
        targets.push(Target::new(
            format!("decode to structs, times {}", subject.name()),
            Needed::AtLeast(times, None),
            measured.clone(),
        ));
    }
    // O(log n): the factor of two allows for a few growing buffers.
    let logarithm = 2.0 * figures.elements.unwrap_or(1.0).log2().floor();
    targets.extend([
        Target::new(
            "encode, MB/s",
            Needed::AtLeast(600.0, None),
            here(figures.encode),
        ),
        Target::new(
            "allocations to a document, all of it",
            Needed::AtMost(logarithm),
            exact(figures.document_allocations),
        )
        .gated(),
        Target::new(
            "allocations to structs, per element",
            Needed::AtMost(0.5),
            exact(figures.structs_allocations_per_element),
        )
        .gated(),
        Target::new(
            "the same, none lazy",
            Needed::AtMost(0.5),
            exact(figures.whole_allocations_per_element),
        ),
        Target::new(
            "memory of a document, of its XML",
            Needed::AtMost(0.65),
            exact(figures.document_to_xml),
        )
        .gated(),
    ]);
    targets
}

/// How far a rate may fall below its target before the gate fails: targets apply to a
/// quiet machine, but the gate runs on any machine. Counts have no tolerance.
const SLACK: f64 = 0.85;

/// Returns the targets that fail the gate: missed by more than the tolerance, or not
/// measured although they need only our own program.
pub(super) fn missed(targets: &[Target]) -> Vec<&str> {
    let closes = |target: &&Target| {
        let figure = target
            .measured
            .as_ref()
            .map_or(f64::NAN, |spread| spread.median);
        let holds = match target.needed {
            Needed::AtLeast(least, _) => figure >= least * SLACK,
            Needed::AtMost(most) => figure <= most,
        };
        target.gated && !holds
    };
    let missed = targets.iter().filter(closes);
    missed.map(|target| target.what.as_str()).collect()
}

const HEADINGS: [&str; 4] = ["target", "needed", "measured", "verdict"];

/// Formats the targets for a terminal.
pub(super) fn text(targets: &[Target]) -> String {
    columns(&HEADINGS, targets.iter().map(Target::cells))
}

/// Formats the targets as Markdown.
pub(super) fn markdown(targets: &[Target]) -> String {
    pipes(&HEADINGS, targets.iter().map(Target::cells))
}

/// Formats a number with about three significant digits.
fn number(figure: f64) -> String {
    match figure {
        large if large >= 100.0 => format!("{large:.0}"),
        middle if middle >= 10.0 => format!("{middle:.1}"),
        small => format!("{small:.2}"),
    }
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least, Some(ambition)) => write!(f, ">= {least:.2} [{ambition:.2}]"),
            Self::AtLeast(least, None) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Met => f.write_str("met"),
            Self::MetWithAmbition => f.write_str("met, and the ambition"),
            Self::Missed => f.write_str("MISSED"),
            Self::NotMeasured(reason) => write!(f, "NOT MEASURED ({reason})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(needed: Needed, figure: f64) -> Verdict {
        Target::new("t", needed, Ok(Spread::exact(figure))).verdict()
    }

    #[test]
    fn the_targets_do_not_move() {
        let figures = Figures {
            structs_to_peers: Subject::ALL[1..]
                .iter()
                .map(|subject| (*subject, Err(String::new())))
                .collect(),
            elements: Some(776_327.0),
            ..Figures::default()
        };
        let targets = judge(&figures);
        let needed: Vec<String> = targets
            .iter()
            .map(|target| format!("{}: {}", target.what, target.needed))
            .collect();
        assert_eq!(
            needed,
            [
                "decode to a document, of bare events: >= 0.50 [0.65]",
                "decode to structs, of bare events: >= 0.42 [0.55]",
                "the same, none lazy: >= 0.42 [0.55]",
                "decode to structs, times vim_rs: >= 2",
                "decode to structs, times govmomi: >= 7",
                "decode to structs, times pyvmomi: >= 50",
                "encode, MB/s: >= 600",
                "allocations to a document, all of it: <= 38",
                "allocations to structs, per element: <= 0.5",
                "the same, none lazy: <= 0.5",
                "memory of a document, of its XML: <= 0.65",
            ]
        );
        // Nothing was measured, so no target is met.
        assert!(
            targets
                .iter()
                .all(|target| matches!(target.verdict(), Verdict::NotMeasured(_)))
        );
    }

    #[test]
    fn a_figure_at_the_limit_meets_it_and_one_beyond_misses_it() {
        let ratio = Needed::AtLeast(0.5, Some(0.65));
        assert_eq!(verdict(ratio, 0.499), Verdict::Missed);
        assert_eq!(verdict(ratio, 0.5), Verdict::Met);
        assert_eq!(verdict(ratio, 0.65), Verdict::MetWithAmbition);
        assert_eq!(verdict(Needed::AtMost(0.65), 0.65), Verdict::Met);
        assert_eq!(verdict(Needed::AtMost(0.65), 0.651), Verdict::Missed);
    }

    #[test]
    fn the_gate_closes_for_rates_beyond_the_slack_and_for_counts_beyond_the_limit() {
        let target = |needed, figure| Target::new("x", needed, Ok(Spread::exact(figure))).gated();
        let rate = Needed::AtLeast(0.5, None);
        assert!(missed(&[target(rate, 0.43), target(Needed::AtMost(0.5), 0.5)]).is_empty());
        assert_eq!(missed(&[target(rate, 0.42)]), ["x"]);
        assert_eq!(missed(&[target(Needed::AtMost(0.5), 0.51)]), ["x"]);
        assert_eq!(missed(&[target(rate, f64::NAN)]), ["x"]);
        let absent = Target::new("x", rate, Err("no".to_owned())).gated();
        assert_eq!(missed(&[absent]), ["x"]);
        let peer = Target::new("x", rate, Ok(Spread::exact(0.1)));
        assert!(missed(&[peer]).is_empty());
    }

    #[test]
    fn what_is_no_number_is_missed() {
        assert_eq!(
            verdict(Needed::AtLeast(0.5, None), f64::NAN),
            Verdict::Missed
        );
        assert_eq!(verdict(Needed::AtMost(0.5), f64::NAN), Verdict::Missed);
    }

    #[test]
    fn what_cannot_be_had_is_not_measured_and_never_met() {
        let target = Target::new("t", Needed::AtLeast(0.0, None), Err("no Go".to_owned()));
        assert_eq!(target.verdict(), Verdict::NotMeasured("no Go".to_owned()));
        assert_eq!(
            target.cells(),
            ["t", ">= 0", "-", "NOT MEASURED (no Go)"].map(str::to_owned)
        );
    }

    #[test]
    fn the_median_decides_and_the_rounds_are_shown() {
        let measured = Spread {
            median: 0.51,
            low: 0.4,
            high: 0.7,
        };
        let target = Target::new("t", Needed::AtLeast(0.5, Some(0.65)), Ok(measured));
        assert_eq!(
            target.cells(),
            ["t", ">= 0.50 [0.65]", "0.51 (0.40 to 0.70)", "met"].map(str::to_owned)
        );
    }
}
