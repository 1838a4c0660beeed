//! `vmx devices`: the devices of a machine.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use vmx::view::{Device, Presence, VirtualMachineFile};

use crate::file;
use crate::output::{Output, cell};

/// Print the devices of a machine, with their classes in the vSphere API.
#[derive(clap::Args)]
pub(crate) struct Devices {
    /// The file, `-` for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Those that are not present too.
    #[arg(long)]
    all: bool,
}

impl Devices {
    pub(crate) fn run(&self, output: &mut Output<impl Write>) -> Result<ExitCode> {
        let document = file::read(&self.file, output.encoding)?;
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
        device.place,
        device.presence,
        device.api_type,
        device.api_backing.unwrap_or("-"),
        cell(device.summary.as_deref().unwrap_or("-")),
    )
}
