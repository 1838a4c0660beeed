//! The checks and their results.

use std::time::Instant;

use anyhow::{Result, bail};

/// The results so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    passed: usize,
    not_run: Vec<String>,
    failed: Vec<String>,
}

impl Report {
    /// Runs one check and prints its result.
    pub(super) fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        self.check_if_possible(name, || check().map(|()| None));
    }

    /// Runs one check, which returns the reason if it finds out that it cannot run here, and prints
    /// its result.
    pub(super) fn check_if_possible(
        &mut self,
        name: &str,
        check: impl FnOnce() -> Result<Option<String>>,
    ) {
        let start = Instant::now();
        let outcome = check();
        let took = start.elapsed().as_secs_f64();
        match outcome {
            Ok(None) => {
                println!("ok       {name} ({took:.2} s)");
                self.passed += 1;
            }
            Ok(Some(reason)) => self.not_run(name, &reason),
            Err(error) => {
                println!("FAILED   {name} ({took:.2} s)");
                eprintln!("{error:#}");
                self.failed.push(name.to_owned());
            }
        }
    }

    /// Records that a check cannot run here, and why.
    pub(super) fn not_run(&mut self, name: &str, reason: &str) {
        println!("NOT RUN  {name}: {reason}");
        self.not_run.push(name.to_owned());
    }

    /// Prints the totals.
    ///
    /// # Errors
    /// Fails when a check failed, or none ran.
    pub(super) fn finish(self) -> Result<()> {
        println!(
            "interop: {} passed, {} failed, {} not run",
            self.passed,
            self.failed.len(),
            self.not_run.len()
        );
        for name in &self.not_run {
            println!("interop: NOT RUN: {name}");
        }
        if !self.failed.is_empty() {
            bail!("these checks failed: {}", self.failed.join("; "));
        }
        if self.passed == 0 {
            bail!("no check could run");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_without_a_run_check_fails() {
        let mut report = Report::default();
        report.not_run("govc about", "no Go");
        assert!(report.finish().is_err());
    }

    #[test]
    fn a_check_that_cannot_run_is_neither_passed_nor_failed() {
        let mut report = Report::default();
        report.check_if_possible("no users", || Ok(Some("no newuidmap".to_owned())));
        assert_eq!((report.passed, report.failed.len()), (0, 0));
        assert_eq!(report.not_run, ["no users"]);
    }

    #[test]
    fn one_failure_fails_the_suite() {
        let mut report = Report::default();
        report.check("good", || Ok(()));
        report.check("bad", || bail!("it is"));
        assert!(report.finish().is_err());
    }
}
