//! The results of a run.

use std::fmt;

use super::Failure;
use crate::Capability;

/// The result of one case.
#[derive(Debug)]
pub enum Verdict {
    /// The case passed.
    Passed,
    /// The case was skipped, because this capability is missing.
    Skipped(Capability),
    /// The case failed.
    Failed(Failure),
}

/// A case and its result.
#[derive(Debug)]
pub struct Outcome {
    /// The name of the case.
    pub case: &'static str,
    /// The result of the case.
    pub verdict: Verdict,
}

/// The results of a run; `Display` prints them as a list.
#[derive(Debug, Default)]
pub struct Report {
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(super) fn push(&mut self, case: &'static str, verdict: Verdict) {
        self.outcomes.push(Outcome { case, verdict });
    }

    /// Returns all outcomes in the order of the cases.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Iterates over the skipped cases, each with the missing capability.
    pub fn skipped(&self) -> impl Iterator<Item = (&'static str, Capability)> {
        self.outcomes
            .iter()
            .filter_map(|outcome| match outcome.verdict {
                Verdict::Skipped(missing) => Some((outcome.case, missing)),
                _ => None,
            })
    }

    /// Returns whether there is at least one case and no case failed.
    #[must_use]
    pub fn is_success(&self) -> bool {
        !self.outcomes.is_empty()
            && !self
                .outcomes
                .iter()
                .any(|o| matches!(o.verdict, Verdict::Failed(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = [0; 3];
        for Outcome { case, verdict } in &self.outcomes {
            match verdict {
                Verdict::Passed => {
                    counts[0] += 1;
                    writeln!(f, "passed   {case}")?;
                }
                Verdict::Skipped(missing) => {
                    counts[1] += 1;
                    writeln!(f, "skipped  {case}: {missing} is missing")?;
                }
                Verdict::Failed(failure) => {
                    counts[2] += 1;
                    writeln!(f, "FAILED   {case}: {failure}")?;
                }
            }
        }
        let [passed, skipped, failed] = counts;
        write!(f, "{passed} passed, {skipped} skipped, {failed} failed")
    }
}
