//! Shows the progress of an installation, with one line and the time per step.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Mutex;
use std::time::Instant;

use portlayer::vsphere::{InstallProgress, InstallStatus, InstallStep, ObserveInstall};

/// Prints a line per step of an installation.
///
/// A step's name appears when it starts and its result when it ends, so that the
/// user sees what the installation is waiting for.
#[derive(Debug)]
pub struct Installer<W> {
    state: Mutex<State<W>>,
}

#[derive(Debug)]
struct State<W> {
    out: W,
    /// The steps whose lines are not complete, in the order in which they started. Only the name
    /// of the first one is printed: steps that run at the same time do not share a line.
    open: VecDeque<Open>,
    begun_making: bool,
}

#[derive(Debug)]
struct Open {
    step: InstallStep,
    begun: Instant,
    transferred: u64,
    result: Option<String>,
}

impl<W: Write + Send> Installer<W> {
    /// Creates a display that writes to `out`.
    pub fn new(out: W) -> Self {
        Self {
            state: Mutex::new(State {
                out,
                open: VecDeque::new(),
                begun_making: false,
            }),
        }
    }

    /// Returns whether a step has started that creates something on the endpoint. If so, an
    /// interrupted installation may have left something to remove.
    pub fn begun_making(&self) -> bool {
        self.state.lock().is_ok_and(|state| state.begun_making)
    }
}

impl<W: Write + Send> ObserveInstall for Installer<W> {
    fn observe(&self, progress: InstallProgress) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        // Ignore the error: a failure to print progress must not stop an installation.
        let _ = state.show(progress);
    }
}

impl<W: Write> State<W> {
    fn show(&mut self, InstallProgress { step, status }: InstallProgress) -> io::Result<()> {
        match status {
            InstallStatus::Started => {
                self.begun_making |= step != InstallStep::Validate;
                self.open.push_back(Open {
                    step,
                    begun: Instant::now(),
                    transferred: 0,
                    result: None,
                });
                if self.open.len() == 1 {
                    self.print_name(step)?;
                }
            }
            InstallStatus::Transferred { done, .. } => {
                if let Some(open) = self.find(step) {
                    open.transferred = done;
                }
            }
            InstallStatus::Finished => {
                if let Some(open) = self.find(step) {
                    open.result = Some(open.success());
                }
                self.print_results()?;
            }
            InstallStatus::Failed => {
                if let Some(open) = self.find(step) {
                    open.result = Some("FAILED".to_owned());
                }
                self.print_results()?;
            }
            InstallStatus::Undone => self.print_undone(step, "undone")?,
            InstallStatus::LeftBehind => self.print_undone(step, "LEFT BEHIND")?,
            _ => {}
        }
        self.out.flush()
    }

    fn find(&mut self, step: InstallStep) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.step == step)
    }

    fn print_name(&mut self, step: InstallStep) -> io::Result<()> {
        write!(self.out, "  {:.<30} ", format!("{step} "))
    }

    /// Completes the lines of the first steps that have ended, and begins the line of the next
    /// one.
    fn print_results(&mut self) -> io::Result<()> {
        while let Some(result) = self.open.front_mut().and_then(|first| first.result.take()) {
            self.open.pop_front();
            writeln!(self.out, "{result}")?;
            if let Some(next) = self.open.front().map(|next| next.step) {
                self.print_name(next)?;
            }
        }
        Ok(())
    }

    /// Prints what happened to the result of a step after a failure, and completes the lines of
    /// steps that were stopped with the one that failed.
    fn print_undone(&mut self, step: InstallStep, outcome: &str) -> io::Result<()> {
        for open in &mut self.open {
            open.result.get_or_insert_with(|| "stopped".to_owned());
        }
        self.print_results()?;
        self.print_name(step)?;
        writeln!(self.out, "{outcome}")
    }
}

impl Open {
    fn success(&self) -> String {
        let mut text = "done".to_owned();
        if self.transferred > 0 {
            let _ = write!(text, ", {}", size(self.transferred));
        }
        let _ = write!(text, ", {} ms", self.begun.elapsed().as_millis());
        text
    }
}

/// Formats a number of bytes with a binary unit.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    match bytes {
        0..KIB => format!("{bytes} B"),
        _ if bytes < KIB * KIB => format!("{} KiB", bytes / KIB),
        _ => format!("{} MiB", bytes / (KIB * KIB)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(reports: &[(InstallStep, InstallStatus)]) -> (String, bool) {
        let mut text = Vec::new();
        let installer = Installer::new(&mut text);
        for (step, status) in reports {
            installer.observe(InstallProgress {
                step: *step,
                status: *status,
            });
        }
        let begun = installer.begun_making();
        (String::from_utf8_lossy(&text).into_owned(), begun)
    }

    #[test]
    fn a_step_is_one_line_with_what_was_sent() {
        let (text, making) = shown(&[
            (InstallStep::ApplianceIso, InstallStatus::Started),
            (
                InstallStep::ApplianceIso,
                InstallStatus::Transferred {
                    done: 1,
                    total: None,
                },
            ),
            (
                InstallStep::ApplianceIso,
                InstallStatus::Transferred {
                    done: 65_536,
                    total: Some(65_536),
                },
            ),
            (InstallStep::ApplianceIso, InstallStatus::Finished),
        ]);
        assert!(
            text.starts_with("  upload the appliance image ... done, 64 KiB, "),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
        assert!(making);
    }

    #[test]
    fn steps_at_the_same_time_have_lines_of_their_own() {
        let sent = InstallStatus::Transferred {
            done: 28,
            total: Some(28),
        };
        let (text, _) = shown(&[
            (InstallStep::ApplianceIso, InstallStatus::Started),
            (InstallStep::BootstrapIso, InstallStatus::Started),
            (InstallStep::BootstrapIso, sent),
            (InstallStep::BootstrapIso, InstallStatus::Finished),
            (InstallStep::ApplianceIso, sent),
            (InstallStep::ApplianceIso, InstallStatus::Finished),
            (InstallStep::Configure, InstallStatus::Started),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(
            lines[0].starts_with("  upload the appliance image ... done, 28 B, "),
            "{text}"
        );
        assert!(
            lines[1].starts_with("  upload the bootstrap image ... done, 28 B, "),
            "{text}"
        );
        assert_eq!(lines[2], "  write the configuration ...... ");
    }

    #[test]
    fn a_step_that_is_stopped_by_the_failure_of_another_ends_its_line() {
        let (text, _) = shown(&[
            (InstallStep::Appliance, InstallStatus::Started),
            (InstallStep::Appliance, InstallStatus::Finished),
            (InstallStep::ApplianceIso, InstallStatus::Started),
            (InstallStep::BootstrapIso, InstallStatus::Started),
            (InstallStep::BootstrapIso, InstallStatus::Failed),
            (InstallStep::Appliance, InstallStatus::Undone),
        ]);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "  upload the appliance image ... stopped",
                "  upload the bootstrap image ... FAILED",
                "  create the appliance ......... undone",
            ]
        );
    }

    #[test]
    fn looking_things_up_makes_nothing() {
        let (text, making) = shown(&[
            (InstallStep::Validate, InstallStatus::Started),
            (InstallStep::Validate, InstallStatus::Failed),
        ]);
        assert!(text.ends_with("FAILED\n"), "{text}");
        assert!(!making);
    }
}
