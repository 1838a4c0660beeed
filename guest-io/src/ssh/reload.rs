//! The response of a guest that was asked to read its keys again.

use std::fmt::Write as _;

use super::Subsystem;

/// The maximum number of sessions that a report names.
const MAX_ENTRIES: usize = 1024;
/// The maximum length of a reason, in bytes.
const MAX_REASON: usize = 512;

/// What an agent did after it was asked to read its keys again.
///
/// On the wire it is text: the line `reloaded`, and then a line `started ID` or `refused ID REASON`
/// for each new session, and `omitted NUMBER` for those that do not fit. A failure is the line
/// `failed REASON`. Unknown lines are skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadReport {
    /// The ids of the sessions that were started.
    pub started: Vec<String>,
    /// The sessions that were not started.
    pub refused: Vec<ReloadRefusal>,
    /// The number of further sessions that the report does not name.
    pub omitted: u64,
}

/// A new session that an agent did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadRefusal {
    /// The id of the session.
    pub id: String,
    /// The reason, in one line.
    pub reason: String,
}

/// The reason why an agent did not read its keys again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the guest did not read its keys again: {reason}")]
#[non_exhaustive]
pub struct ReloadFailed {
    /// The reason, in one line. It comes from the guest and is not trusted.
    pub reason: String,
}

impl ReloadFailed {
    /// Creates a failure with this reason, of which at most 512 bytes are kept.
    pub fn new(reason: &str) -> Self {
        Self {
            reason: one_line(reason, MAX_REASON),
        }
    }
}

impl ReloadReport {
    /// Adds a session that was started. A session whose id is [invalid](Subsystem::is_id) is only
    /// counted.
    pub fn add_started(&mut self, id: &str) {
        if self.has_room_for(id) {
            self.started.push(id.to_owned());
        }
    }

    /// Adds a session that was not started, with the reason, of which at most 512 bytes are kept. A
    /// session whose id is [invalid](Subsystem::is_id) is only counted.
    pub fn add_refused(&mut self, id: &str, reason: &str) {
        if self.has_room_for(id) {
            self.refused.push(ReloadRefusal {
                id: id.to_owned(),
                reason: one_line(reason, MAX_REASON),
            });
        }
    }

    fn has_room_for(&mut self, id: &str) -> bool {
        let fits = self.started.len() + self.refused.len() < MAX_ENTRIES && Subsystem::is_id(id);
        if !fits {
            self.omitted = self.omitted.saturating_add(1);
        }
        fits
    }

    /// Returns the text of a response.
    pub fn encode(response: &Result<Self, ReloadFailed>) -> String {
        let report = match response {
            Ok(report) => report,
            Err(failed) => return format!("failed {}\n", one_line(&failed.reason, MAX_REASON)),
        };
        let mut text = "reloaded\n".to_owned();
        for id in &report.started {
            let _ = writeln!(text, "started {id}");
        }
        for ReloadRefusal { id, reason } in &report.refused {
            let _ = writeln!(text, "refused {id} {reason}");
        }
        if report.omitted > 0 {
            let _ = writeln!(text, "omitted {}", report.omitted);
        }
        text
    }

    /// Parses a response; `None` if it is not one. Lines beyond the limits are counted in
    /// [`omitted`](Self::omitted).
    pub fn parse(text: &str) -> Option<Result<Self, ReloadFailed>> {
        let mut lines = text.split_terminator('\n');
        let first = lines.next()?;
        if let Some(reason) = first.strip_prefix("failed ") {
            return Some(Err(ReloadFailed::new(reason)));
        }
        if first != "reloaded" {
            return None;
        }
        let mut report = Self::default();
        for line in lines {
            match line.split_once(' ') {
                Some(("started", id)) => report.add_started(id),
                Some(("refused", rest)) => {
                    let (id, reason) = rest.split_once(' ').unwrap_or((rest, ""));
                    report.add_refused(id, reason);
                }
                Some(("omitted", number)) => {
                    let number = number.parse::<u64>().ok()?;
                    report.omitted = report.omitted.saturating_add(number);
                }
                _ => {}
            }
        }
        Some(Ok(report))
    }
}

/// Returns a text in one line of at most this many bytes, without control characters.
pub(super) fn one_line(text: &str, limit: usize) -> String {
    let blank = |char: char| if char.is_control() { ' ' } else { char };
    let chars = text
        .chars()
        .map(blank)
        .skip_while(|char| char.is_whitespace());
    let mut line = String::new();
    for char in chars {
        if line.len() + char.len_utf8() > limit {
            break;
        }
        line.push(char);
    }
    line.truncate(line.trim_end().len());
    line
}
