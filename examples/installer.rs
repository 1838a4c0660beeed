//! Shows the progress of an installation, with one line and the time per step.

use std::fmt::Write as _;
use std::io::Write;
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
    begun: Option<(InstallStep, Instant)>,
    transferred: u64,
    begun_making: bool,
}

impl<W: Write + Send> Installer<W> {
    /// Creates a display that writes to `out`.
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
    fn show(&mut self, InstallProgress { step, status }: InstallProgress) -> std::io::Result<()> {
        match status {
            InstallStatus::Started => {
                self.begun = Some((step, Instant::now()));
                self.transferred = 0;
                self.begun_making |= step != InstallStep::Validate;
                write!(self.out, "  {:.<30} ", format!("{step} "))?;
            }
            InstallStatus::Transferred { done, .. } => self.transferred = done,
            InstallStatus::Finished => {
                let mut line = "done".to_owned();
                if self.transferred > 0 {
                    let _ = write!(line, ", {}", size(self.transferred));
                }
                if let Some((_, begun)) = self.begun.take_if(|(begun, _)| *begun == step) {
                    let _ = write!(line, ", {} ms", begun.elapsed().as_millis());
                }
                writeln!(self.out, "{line}")?;
            }
            InstallStatus::Failed => writeln!(self.out, "FAILED")?,
            InstallStatus::Undone => writeln!(self.out, "  {:.<30} undone", format!("{step} "))?,
            InstallStatus::LeftBehind => {
                writeln!(self.out, "  {:.<30} LEFT BEHIND", format!("{step} "))?;
            }
            _ => {}
        }
        self.out.flush()
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
    fn looking_things_up_makes_nothing() {
        let (text, making) = shown(&[
            (InstallStep::Validate, InstallStatus::Started),
            (InstallStep::Validate, InstallStatus::Failed),
        ]);
        assert!(text.ends_with("FAILED\n"), "{text}");
        assert!(!making);
    }
}
