//! The measured part of vim_rs: its `xml::soap` decoder on a page of machines.

use std::error::Error;

use vim_rs::types::structs::{RetrieveResult, VirtualDisk, VirtualMachineConfigInfo};
use vim_rs::types::vim_any::VimAny;

/// Reads the payload named on the command line.
pub fn payload() -> Result<String, Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("name the payload's file")?;
    Ok(std::fs::read_to_string(file)?)
}

/// Decodes a page to structs.
pub fn decode(xml: &str) -> Result<RetrieveResult, Box<dyn Error>> {
    vim_rs::xml::soap::vim_response(xml).map_err(|_| "vim_rs cannot decode the payload".into())
}

/// Counts the disks, to prove that everything was decoded.
pub fn disks(page: &RetrieveResult) -> usize {
    page.objects
        .iter()
        .flat_map(|object| object.prop_set.iter().flatten())
        .filter_map(|property| match &property.val {
            VimAny::Object(object) => object.as_any_ref().downcast_ref(),
            VimAny::Value(_) => None,
        })
        .flat_map(|config: &VirtualMachineConfigInfo| config.hardware.device.iter().flatten())
        .filter(|device| device.as_any_ref().is::<VirtualDisk>())
        .count()
}
