//! `vmx devices`: the devices of a machine.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use vmx::FileKind;
use vmx::view::{Device, Presence, VirtualMachineFile};

use crate::file;
use crate::output::{Output, cell, complain};

/// Print the devices of a machine, with their classes in the vSphere API.
#[derive(clap::Args)]
pub(crate) struct Devices {
    /// The file, `-` for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Also print devices that are not present.
    #[arg(long)]
    all: bool,
}

impl Devices {
    pub(crate) fn run(&self, output: &mut Output<impl Write>) -> Result<ExitCode> {
        let document = file::read(&self.file, output.encoding)?;
        match document.kind() {
            FileKind::Machine => {}
            FileKind::Snapshots | FileKind::Preferences => bail!(
                "{} is not the file of a machine: it contains {}",
                file::shown(&self.file),
                match document.kind() {
                    FileKind::Snapshots => "snapshots",
                    _ => "preferences",
                }
            ),
            _ => complain(format_args!(
                "{}: this may not be the file of a machine",
                file::shown(&self.file)
            )),
        }
        let mut devices = VirtualMachineFile::new(&document).devices();
        devices.retain(|device| self.all || device.presence == Presence::Present);
        if output.json {
            output.json(&devices)?;
        } else {
            output.table(
                "PLACE\tPRESENCE\tKEY\tTYPE\tBACKING\tSUMMARY",
                devices.iter().map(row),
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(device: &Device) -> String {
    let key = device.key.map_or("-".into(), |key| key.to_string());
    format!(
        "{}\t{}\t{key}\t{}\t{}\t{}",
        device.name,
        device.presence,
        device.api_type,
        device.api_backing.unwrap_or("-"),
        cell(device.summary.as_deref().unwrap_or("-")),
    )
}
