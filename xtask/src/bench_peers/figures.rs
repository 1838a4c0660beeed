//! Computes the figures from the programs' output.

use super::rounds::{Payload, Payloads, Reading, Readings};
use super::subject::{Had, Subject, Subjects};

/// A figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Spread {
    /// Returns the spread of some values; `None` for no values.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let upper = *values.get(half)?;
        let median = match values.len() % 2 {
            0 => (*values.get(half - 1)? + upper) / 2.0,
            _ => upper,
        };
        Some(Self { median, low, high })
    }

    /// Returns a figure that is the same in every round.
    pub(super) const fn exact(value: f64) -> Self {
        Self {
            median: value,
            low: value,
            high: value,
        }
    }
}

/// One row of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) program: String,
    /// Megabytes of XML decoded per second.
    pub(super) decode: Option<Spread>,
    pub(super) machines: Option<f64>,
    /// Megabytes of XML encoded per second.
    pub(super) encode: Option<f64>,
    pub(super) allocations_per_machine: Option<f64>,
    pub(super) allocations_per_element: Option<f64>,
    /// The time relative to our decoding to structs, in each round.
    pub(super) times_ours: Option<Spread>,
    pub(super) stripped_bytes: Option<u64>,
    pub(super) build_seconds: Option<f64>,
}

/// Everything reported about one payload.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) rows: Vec<Row>,
    pub(super) document_to_events: Option<Spread>,
    pub(super) structs_to_events: Option<Spread>,
    /// The rate to structs relative to bare events, with every lazy value converted.
    pub(super) whole_to_events: Option<Spread>,
    /// Our rate to structs relative to that of each peer, or why it was not measured.
    pub(super) structs_to_peers: Vec<(Subject, Had<Spread>)>,
    pub(super) encode: Option<Spread>,
    pub(super) elements: Option<f64>,
    pub(super) document_allocations: Option<f64>,
    pub(super) structs_allocations_per_element: Option<f64>,
    pub(super) whole_allocations_per_element: Option<f64>,
    pub(super) document_to_xml: Option<f64>,
}

impl Figures {
    pub(super) fn of(subjects: &Subjects, payloads: &Payloads, readings: &Readings) -> Self {
        let full = &payloads.full;
        let empty = Reading::default();
        let ours = readings.of(Subject::Ours).unwrap_or(&empty);
        let counted = |name| ours.counted.get(name);
        let elements = counted("elements");
        let document_allocations = counted("document_allocations");
        // Structs are built from a document, so the allocations of the document are
        // added.
        let on_top = |name| Some(document_allocations? + counted(name)?);
        let structs_allocations = on_top("structs_allocations");
        let per_element = |count: Option<f64>| Some(count? / elements?);
        let ratio = |above, below| {
            let (above, below) = (rates(ours, above, full), rates(ours, below, full));
            Spread::of(above.iter().zip(&below).map(|(above, below)| above / below))
        };

        let row = |program: &str, name, allocations: Option<f64>| {
            let decode = Spread::of(rates(ours, name, full));
            Row {
                program: program.to_owned(),
                decode,
                machines: machines(decode, full),
                allocations_per_machine: allocations.map(|count| count / full.machines as f64),
                allocations_per_element: per_element(allocations),
                times_ours: ratio("structs_seconds", name),
                ..Row::default()
            }
        };
        let encode = Spread::of(encode_rates(ours));
        let mut rows = vec![
            row("quick-xml, bare events", "events_seconds", None),
            row(
                "vim25, to a document",
                "document_seconds",
                document_allocations,
            ),
            row("vim25, to structs", "structs_seconds", structs_allocations),
            row(
                "vim25, to structs, none lazy",
                "whole_seconds",
                on_top("whole_allocations"),
            ),
        ];
        for (subject, programs) in subjects.had() {
            if subject == Subject::Ours {
                if let Some(structs) = rows.get_mut(2) {
                    structs.encode = encode.map(|spread| spread.median);
                    structs.stripped_bytes = programs.stripped_bytes;
                    structs.build_seconds = programs.build_seconds;
                }
            } else if let Some(reading) = readings.of(subject) {
                let payload = payloads.of(subject);
                rows.push(Row {
                    stripped_bytes: programs.stripped_bytes,
                    build_seconds: programs.build_seconds,
                    ..peer(subject, reading, payload, full, elements, ours)
                });
            }
        }

        let structs_to_peers = Subject::ALL[1..]
            .iter()
            .map(|subject| {
                let had = match (readings.of(*subject), subjects.missing(*subject)) {
                    (_, Some(reason)) => Err(reason.to_owned()),
                    (Some(reading), None) => against(ours, full, reading, payloads.of(*subject))
                        .ok_or_else(|| "it printed no time".to_owned()),
                    (None, None) => Err("it was not run".to_owned()),
                };
                (*subject, had)
            })
            .collect();
        Self {
            rows,
            document_to_events: ratio("document_seconds", "events_seconds"),
            structs_to_events: ratio("structs_seconds", "events_seconds"),
            whole_to_events: ratio("whole_seconds", "events_seconds"),
            structs_to_peers,
            encode,
            elements,
            document_allocations,
            structs_allocations_per_element: per_element(structs_allocations),
            whole_allocations_per_element: per_element(on_top("whole_allocations")),
            document_to_xml: counted("document_bytes").map(|bytes| bytes / full.bytes as f64),
        }
    }
}

/// Returns the row of a peer.
fn peer(
    subject: Subject,
    reading: &Reading,
    payload: &Payload,
    full: &Payload,
    elements: Option<f64>,
    ours: &Reading,
) -> Row {
    let decode = Spread::of(rates(reading, "decode_seconds", payload));
    let share = payload.machines as f64 / full.machines as f64;
    let allocations = reading.counted.get("allocations");
    let program = if payload.machines == full.machines {
        subject.name().to_owned()
    } else {
        format!("{}, {} machines", subject.name(), payload.machines)
    };
    Row {
        program,
        decode,
        machines: machines(decode, payload),
        encode: Spread::of(encode_rates(reading)).map(|spread| spread.median),
        allocations_per_machine: allocations.map(|count| count / payload.machines as f64),
        allocations_per_element: allocations
            .zip(elements)
            .map(|(count, of)| count / (of * share)),
        times_ours: against(ours, full, reading, payload),
        ..Row::default()
    }
}

/// Returns our rate to structs relative to a peer's, in each round.
fn against(ours: &Reading, full: &Payload, theirs: &Reading, payload: &Payload) -> Option<Spread> {
    let ours = rates(ours, "structs_seconds", full);
    let theirs = rates(theirs, "decode_seconds", payload);
    Spread::of(ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs))
}

/// Returns the megabytes per second of each round, from the seconds called `name`.
fn rates(reading: &Reading, name: &str, payload: &Payload) -> Vec<f64> {
    let seconds = reading.rounds.iter().filter_map(|round| round.get(name));
    seconds.map(|s| payload.megabytes() / s).collect()
}

/// Returns the megabytes encoded per second in each round.
fn encode_rates(reading: &Reading) -> Vec<f64> {
    let rounds = reading.rounds.iter();
    rounds
        .filter_map(|round| Some(round.get("encoded_bytes")? / 1e6 / round.get("encode_seconds")?))
        .collect()
}

/// Returns the machines decoded per second.
fn machines(rate: Option<Spread>, payload: &Payload) -> Option<f64> {
    rate.map(|rate| rate.median / payload.megabytes() * payload.machines as f64)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use std::path::PathBuf;

    use super::*;
    use crate::bench_peers::output::Output;
    use crate::bench_peers::subject::Programs;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(
            spread(&[3.0, 1.0, 2.0]),
            Some(Spread {
                median: 2.0,
                low: 1.0,
                high: 3.0
            })
        );
        assert_eq!(spread(&[4.0, 1.0]).map(|s| s.median), Some(2.5));
        assert_eq!(spread(&[5.0]), Some(Spread::exact(5.0)));
    }

    fn output(printed: &str) -> Output {
        Output::parse(printed).unwrap()
    }

    /// Machines of 1 MB each; pyvmomi gets half of them, vim_rs is missing.
    fn figures() -> Figures {
        let payload = |machines| Payload {
            file: PathBuf::new(),
            machines,
            bytes: machines as u64 * 1_000_000,
        };
        let payloads = Payloads {
            full: payload(200),
            by_machines: [100, 200].map(|n| (n, payload(n))).into(),
        };
        let subjects = Subjects(vec![
            (Subject::Ours, Ok(Programs::default())),
            (Subject::VimRs, Err("no network".to_owned())),
            (Subject::Pyvmomi, Ok(Programs::default())),
        ]);
        let ours = Reading {
            rounds: vec![
                output("events_seconds=1\ndocument_seconds=2\nstructs_seconds=2"),
                output("events_seconds=2\ndocument_seconds=4\nstructs_seconds=8"),
                output("events_seconds=1\ndocument_seconds=2\nstructs_seconds=4"),
            ],
            counted: output("elements=4000\ndocument_allocations=10\nstructs_allocations=990"),
        };
        let pyvmomi = Reading {
            rounds: [100, 400, 100]
                .map(|seconds| output(&format!("decode_seconds={seconds}")))
                .into(),
            counted: output("allocations=6000"),
        };
        let readings = Readings([("vim25", ours), ("pyvmomi", pyvmomi)].into());
        Figures::of(&subjects, &payloads, &readings)
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let figures = figures();
        assert_eq!(figures.document_to_events, Some(Spread::exact(0.5)));
        let structs = figures.structs_to_events.unwrap();
        assert_eq!(
            (structs.median, structs.low, structs.high),
            (0.25, 0.25, 0.5)
        );
    }

    #[test]
    fn a_peer_with_a_part_of_the_payload_is_compared_by_its_rate() {
        let figures = figures();
        let (_, pyvmomi) = &figures.structs_to_peers[2];
        // 1 MB/s compared with 100, 0.25 with 25, and 1 with 50.
        assert_eq!(pyvmomi.as_ref().unwrap().median, 100.0);
        let row = figures.rows.last().unwrap();
        assert_eq!(row.program, "pyvmomi, 100 machines");
        assert_eq!(row.machines, Some(1.0));
        assert_eq!(row.allocations_per_machine, Some(60.0));
        assert_eq!(row.allocations_per_element, Some(3.0));
    }

    #[test]
    fn structs_cost_what_the_document_below_them_costs_too() {
        let figures = figures();
        assert_eq!(figures.structs_allocations_per_element, Some(0.25));
        assert_eq!(figures.rows[2].allocations_per_machine, Some(5.0));
    }

    #[test]
    fn a_missing_peer_has_no_row_and_its_reason_stays() {
        let figures = figures();
        assert!(figures.rows.iter().all(|row| row.program != "vim_rs"));
        assert_eq!(
            figures.structs_to_peers[0],
            (Subject::VimRs, Err("no network".to_owned()))
        );
        let (_, govmomi) = &figures.structs_to_peers[1];
        assert!(govmomi.is_err(), "never run, so never compared");
    }
}
