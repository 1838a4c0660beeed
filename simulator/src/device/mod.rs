//! The devices of a machine, and the rules for connecting them.

mod board;
mod change;
mod disk;
mod kind;
mod network;
mod slot;
pub(crate) mod vmx_settings;

pub(crate) use board::board;
pub(crate) use change::{apply, undo};
pub(crate) use disk::{
    attach, branch, chain, chain_of, chains, destroy_files, hint, is_in_snapshots, nonpersistent,
    parents_asked,
};
pub(crate) use kind::Kind;

use vim25::types::VirtualDevice;
use vim25::{Node, Poly};

/// The devices of a machine, in the order in which they were added.
pub(crate) type Devices = Vec<Poly<VirtualDevice>>;

/// Returns the key of a device.
pub(crate) fn key(device: &Poly<VirtualDevice>) -> i32 {
    int(device, "key").unwrap_or(0)
}

/// Returns the value at a property path of a device.
fn at<'d>(device: &'d Poly<VirtualDevice>, path: &str) -> Option<Node<'d>> {
    // Most paths have one step, and need not be parsed.
    match path.contains(['.', '[']) {
        true => device.node().path(path),
        false => device.node().get(path),
    }
}

/// Returns the integer at a property path of a device.
pub(crate) fn int(device: &Poly<VirtualDevice>, path: &str) -> Option<i32> {
    at(device, path)
        .and_then(|node| node.as_i64())
        .and_then(|number| i32::try_from(number).ok())
}

/// Returns the text at a property path of a device.
pub(crate) fn text(device: &Poly<VirtualDevice>, path: &str) -> Option<String> {
    let node = at(device, path)?;
    node.as_str().map(str::to_owned)
}

/// Returns the reference at a property path of a device.
pub(crate) fn reference(device: &Poly<VirtualDevice>, path: &str) -> Option<vim25::AnyRef> {
    at(device, path)?.to().ok()
}
