//! The log, with lines in the style of VIC 0.1's script or of vic-machine.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use portlayer::vsphere::{
    Finding, InstallProgress, InstallStatus, InstallStep, ObserveInstall, Plan, Severity,
};

use crate::fields::in_options;

/// The style of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `# text`, like the script of VIC 0.1.
    Script,
    /// `INFO[2016-07-08T19:04:37Z] text`, like vic-machine.
    Machine,
}

/// The progress bars of the files that are being uploaded.
#[derive(Debug)]
struct Bars {
    all: MultiProgress,
    of_steps: BTreeMap<InstallStep, ProgressBar>,
}

/// A log on standard output, or on standard error if standard output is JSON.
#[derive(Debug)]
pub(crate) struct Log {
    style: Style,
    to_stderr: bool,
    bars: Mutex<Bars>,
}

impl Log {
    pub(crate) fn new(style: Style, to_stderr: bool) -> Self {
        Self {
            style,
            to_stderr,
            bars: Mutex::new(Bars {
                all: MultiProgress::with_draw_target(if to_stderr {
                    ProgressDrawTarget::stderr()
                } else {
                    ProgressDrawTarget::stdout()
                }),
                of_steps: BTreeMap::new(),
            }),
        }
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    pub(crate) fn info(&self, text: &str) {
        self.line("INFO", text);
    }

    pub(crate) fn warn(&self, text: &str) {
        self.line("WARN", text);
    }

    pub(crate) fn error(&self, text: &str) {
        self.line("ERRO", text);
    }

    /// Writes a line without prefix.
    pub(crate) fn bare(&self, text: &str) {
        self.write(text);
    }

    fn line(&self, level: &str, text: &str) {
        match self.style {
            Style::Script if level == "INFO" && text.is_empty() => self.write("#"),
            Style::Script if level == "INFO" => self.write(&format!("# {text}")),
            Style::Script => self.write(&format!("# {level}: {text}")),
            Style::Machine => {
                let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
                self.write(format!("{level}[{now}] {text}").trim_end());
            }
        }
    }

    fn write(&self, text: &str) {
        // The line appears above the bars, which are cleared and drawn again.
        self.bars().all.suspend(|| {
            // Ignore the error: a failure to write the log must not stop an installation.
            let _ = if self.to_stderr {
                writeln!(std::io::stderr(), "{text}")
            } else {
                writeln!(std::io::stdout(), "{text}")
            };
        });
    }

    /// Writes the findings of a plan, in the words of vic-machine.
    pub(crate) fn findings(&self, plan: &Plan) {
        for finding in plan.findings() {
            self.finding(finding);
        }
    }

    /// Writes one finding.
    pub(crate) fn finding(&self, finding: &Finding) {
        let text = in_options(&finding.to_string(), self.style);
        match finding.severity {
            Severity::Error => self.error(&text),
            Severity::Warning => self.warn(&text),
            _ if self.style == Style::Machine => self.info(&text),
            _ => {}
        }
    }

    fn is_on_terminal(&self) -> bool {
        if self.to_stderr {
            std::io::stderr().is_terminal()
        } else {
            std::io::stdout().is_terminal()
        }
    }

    fn transferred(&self, step: InstallStep, done: u64, total: Option<u64>) {
        if !self.is_on_terminal() {
            return;
        }
        let mut bars = self.bars();
        let Bars { all, of_steps } = &mut *bars;
        let bar = of_steps.entry(step).or_insert_with(|| {
            let template = "{msg:14} {wide_bar} {bytes}/{total_bytes}";
            let style = ProgressStyle::with_template(template);
            let bar = ProgressBar::new(total.unwrap_or_default())
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                .with_message(file(step));
            all.add(bar)
        });
        bar.set_position(done);
    }

    fn end_of(&self, step: InstallStep) {
        if let Some(bar) = self.bars().of_steps.remove(&step) {
            bar.finish_and_clear();
        }
    }

    fn bars(&self) -> MutexGuard<'_, Bars> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the name of the file that a step uploads.
fn file(step: InstallStep) -> &'static str {
    match step {
        InstallStep::ApplianceIso => "appliance.iso",
        InstallStep::BootstrapIso => "bootstrap.iso",
        _ => "",
    }
}

/// The log of the installation of one host.
#[derive(Debug)]
pub(crate) struct InstallLog<'l> {
    pub(crate) log: &'l Log,
    pub(crate) name: String,
    /// Lines about network roles that share a card.
    pub(crate) sharing: Vec<String>,
}

impl ObserveInstall for InstallLog<'_> {
    fn observe(&self, progress: InstallProgress) {
        let log = self.log;
        match progress.status {
            InstallStatus::Started => self.started(progress.step),
            InstallStatus::Transferred { done, total } => {
                log.transferred(progress.step, done, total);
            }
            InstallStatus::Undone => log.info(&format!("Undone: {}", progress.step)),
            InstallStatus::LeftBehind => log.warn(&format!("Left behind: {}", progress.step)),
            _ => log.end_of(progress.step),
        }
    }
}

impl InstallLog<'_> {
    fn started(&self, step: InstallStep) {
        let log = self.log;
        let is_script = log.style == Style::Script;
        match step {
            InstallStep::ResourcePool if !is_script => {
                log.info(&format!("Creating Resource Pool {:?}", self.name));
            }
            InstallStep::Folder if !is_script => {
                log.info(&format!("Creating inventory folder {:?}", self.name));
            }
            InstallStep::Appliance if is_script => {
                log.info("Creating the Virtual Container Host appliance");
                log.info("Adding network interfaces");
            }
            InstallStep::Appliance => {
                log.info("Creating appliance on target");
                for line in &self.sharing {
                    log.info(line);
                }
            }
            InstallStep::BridgeNetwork if is_script => {
                log.info("Creating vSwitch");
                log.info("Creating Portgroup");
            }
            InstallStep::BridgeNetwork => {
                log.info("Creating VirtualSwitch");
                log.info("Creating Portgroup");
            }
            InstallStep::ApplianceIso if is_script => log.info("Uploading ISOs"),
            InstallStep::ApplianceIso => {
                log.info("Uploading images for container");
                log.info("\t\"appliance.iso\"");
            }
            InstallStep::BootstrapIso if !is_script => log.info("\t\"bootstrap.iso\""),
            InstallStep::Configure if is_script => log.info("Setting component configuration"),
            InstallStep::PowerOn if is_script => {
                log.info("Powering on the Virtual Container Host");
            }
            InstallStep::Address => log.info("Waiting for IP information"),
            InstallStep::Components => log.info("Waiting for major appliance components to launch"),
            _ => {}
        }
    }
}
