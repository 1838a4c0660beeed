//! The output of the measured programs: lines of `name=value` with numeric values.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

/// The output of one run of a program.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Output(BTreeMap<String, f64>);

impl Output {
    /// Parses the output.
    ///
    /// # Errors
    /// Fails when a line is not a name and a number.
    pub(super) fn parse(printed: &str) -> Result<Self> {
        printed
            .lines()
            .map(|line| {
                let (name, value) = line.split_once('=')?;
                Some((name.to_owned(), value.trim().parse().ok()?))
            })
            .collect::<Option<_>>()
            .map(Self)
            .with_context(|| format!("expected lines of name=number, found:\n{printed}"))
    }

    /// Returns one value, or `None` if the program did not print it.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        let output = Output::parse("disks=6\ndecode_seconds=1.5e-3\n").unwrap();
        assert_eq!(output.get("disks"), Some(6.0));
        assert_eq!(output.get("decode_seconds"), Some(0.001_5));
        assert_eq!(output.get("allocations"), None);
    }

    #[test]
    fn anything_else_is_refused_and_shown() {
        for printed in ["disks", "disks=many", "disks=6\n\n"] {
            let error = Output::parse(printed).unwrap_err().to_string();
            assert!(error.contains(printed), "{error}");
        }
    }
}
