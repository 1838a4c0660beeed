//! Progress as an installer shows it: one line per step, with what it took.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Mutex;
use std::time::Instant;

use portlayer::vsphere::{Observe, Progress, Step, StepStatus};

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
    begun: Option<(Step, Instant)>,
    transferred: u64,
    begun_making: bool,
}

impl<W: Write + Send> Installer<W> {
    /// Creates a display of an installation on `out`.
    pub fn new(out: W) -> Self {
        Self {
            state: Mutex::new(State {
                out,
                begun: None,
                transferred: 0,
                begun_making: false,
            }),
        }
    }

    /// Returns whether a step that creates something on the endpoint has started, so that
    /// an interrupted installation has something to remove.
    pub fn begun_making(&self) -> bool {
        self.state.lock().is_ok_and(|state| state.begun_making)
    }
}

impl<W: Write + Send> Observe for Installer<W> {
    fn observe(&self, progress: Progress) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        // A display that cannot be written to must not stop an installation.
        let _ = state.show(progress);
    }
}

impl<W: Write> State<W> {
    fn show(&mut self, Progress { step, status }: Progress) -> std::io::Result<()> {
        match status {
            StepStatus::Started => {
                self.begun = Some((step, Instant::now()));
                self.transferred = 0;
                self.begun_making |= step != Step::Validate;
                write!(self.out, "  {:.<30} ", format!("{step} "))?;
            }
            StepStatus::Transferred { done, .. } => self.transferred = done,
            StepStatus::Finished => {
                let mut line = "done".to_owned();
                if self.transferred > 0 {
                    let _ = write!(line, ", {}", size(self.transferred));
                }
                if let Some((_, begun)) = self.begun.take_if(|(begun, _)| *begun == step) {
                    let _ = write!(line, ", {} ms", begun.elapsed().as_millis());
                }
                writeln!(self.out, "{line}")?;
            }
            StepStatus::Failed => writeln!(self.out, "FAILED")?,
            StepStatus::Undone => writeln!(self.out, "  {:.<30} undone", format!("{step} "))?,
            StepStatus::LeftBehind => {
                writeln!(self.out, "  {:.<30} LEFT BEHIND", format!("{step} "))?;
            }
            _ => {}
        }
        self.out.flush()
    }
}

/// Formats a number of bytes for people.
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

    fn shown(reports: &[(Step, StepStatus)]) -> (String, bool) {
        let mut text = Vec::new();
        let installer = Installer::new(&mut text);
        for (step, status) in reports {
            installer.observe(Progress {
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
            (Step::ApplianceIso, StepStatus::Started),
            (
                Step::ApplianceIso,
                StepStatus::Transferred {
                    done: 1,
                    total: None,
                },
            ),
            (
                Step::ApplianceIso,
                StepStatus::Transferred {
                    done: 65_536,
                    total: Some(65_536),
                },
            ),
            (Step::ApplianceIso, StepStatus::Finished),
        ]);
        assert!(
            text.starts_with("  upload the appliance image ... done, 64 KiB, "),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1);
        assert!(making);
    }

    #[test]
    fn looking_things_up_makes_nothing() {
        let (text, making) = shown(&[
            (Step::Validate, StepStatus::Started),
            (Step::Validate, StepStatus::Failed),
        ]);
        assert!(text.ends_with("FAILED\n"), "{text}");
        assert!(!making);
    }
}
