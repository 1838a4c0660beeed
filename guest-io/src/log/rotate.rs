//! Rotation of logs: older parts are renamed, the oldest is deleted.

/// When a log is rotated, and how many older parts are kept.
///
/// A log can be rotated only before its container starts, because the hypervisor keeps the file
/// open while the container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// The minimum size in bytes of a log that is rotated.
    pub max_size: u64,
    /// The number of older parts that are kept next to the log, as `NAME.1` (the newest),
    /// `NAME.2` …
    pub keep: u32,
}

/// A step of a rotation. Execute the steps in order; each can be retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rename {
    /// Deletes a part.
    Delete(String),
    /// Renames a part.
    Move {
        /// The existing name.
        from: String,
        /// The new name.
        to: String,
    },
}

impl Rotation {
    /// Creates a rotation at `max_size` bytes that keeps `keep` older parts.
    pub fn new(max_size: u64, keep: u32) -> Self {
        Self { max_size, keep }
    }

    /// Returns the steps for a log with this name and size, given which files exist.
    pub fn plan(&self, name: &str, size: u64, exists: impl Fn(&str) -> bool) -> Vec<Rename> {
        if size < self.max_size {
            return Vec::new();
        }
        // Parts beyond the first gap need not be renamed.
        let parts = (1..=self.keep)
            .take_while(|part| exists(&part_name(name, *part)))
            .count() as u32;
        let mut steps = Vec::new();
        if parts == self.keep {
            steps.push(Rename::Delete(part_name(name, self.keep)));
        }
        for part in (0..parts.min(self.keep.saturating_sub(1)) + u32::from(self.keep > 0)).rev() {
            steps.push(Rename::Move {
                from: part_name(name, part),
                to: part_name(name, part + 1),
            });
        }
        steps
    }

    /// Returns the names that parts of a log can have, oldest first. The last one is the name of
    /// the log itself.
    pub fn names(&self, name: &str) -> Vec<String> {
        (0..=self.keep)
            .rev()
            .map(|part| part_name(name, part))
            .collect()
    }
}

/// Returns the name of a part of the log `name`: part 0 is the log itself, part 1 the newest of the
/// older parts.
#[must_use]
pub fn part_name(name: &str, part: u32) -> String {
    match part {
        0 => name.to_owned(),
        part => format!("{name}.{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Executes the steps on a list of names.
    fn rotate(files: &mut Vec<String>, rotation: Rotation) {
        for step in rotation.plan("log", 100, |name| files.iter().any(|f| f == name)) {
            match step {
                Rename::Delete(name) => files.retain(|f| *f != name),
                Rename::Move { from, to } => {
                    assert!(!files.contains(&to), "{to} would be overwritten");
                    let file = files.iter_mut().find(|f| **f == from).unwrap();
                    *file = to;
                }
            }
        }
    }

    #[test]
    fn the_oldest_part_is_deleted_and_the_others_are_renamed() {
        for keep in 0..4 {
            let mut files = Vec::new();
            for _ in 0..6 {
                files.retain(|f| f != "log");
                files.push("log".to_owned());
                rotate(&mut files, Rotation::new(100, keep));
            }
            assert_eq!(files.len(), keep as usize, "{files:?}");
        }
    }

    #[test]
    fn a_small_log_is_not_rotated() {
        assert!(Rotation::new(100, 2).plan("log", 99, |_| true).is_empty());
    }
}
