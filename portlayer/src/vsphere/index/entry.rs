//! One machine of a host, with its keys decoded.

use std::ops::Deref;
use std::sync::Arc;

use crate::ContainerId;
use crate::vsphere::endpoint::Machine;
use crate::vsphere::images::is_image;
use crate::vsphere::machine_spec::container_name_in;
use crate::vsphere::record::{NotAContainer, Record};
use crate::vsphere::run_state::RunState;

/// A machine in the index, with its keys decoded once.
#[derive(Clone, Debug)]
pub(in crate::vsphere) struct Seen {
    pub(in crate::vsphere) machine: Machine,
    decoded: Arc<Decoded>,
}

/// The decoded keys of a machine.
#[derive(Debug)]
struct Decoded {
    /// `None`: the machine is the record of an image.
    record: Option<Result<Record, NotAContainer>>,
    run: RunState,
}

impl Deref for Seen {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

impl Seen {
    /// Decodes the keys of a machine, unless they are those of `before`.
    pub(in crate::vsphere) fn new(machine: Machine, before: Option<&Self>) -> Self {
        let decoded = match before {
            Some(before) if before.machine.keys == machine.keys => Arc::clone(&before.decoded),
            _ => Arc::new(Decoded {
                record: (!is_image(&machine.keys)).then(|| Record::read(&machine.keys)),
                run: RunState::read(&machine.keys),
            }),
        };
        Self { machine, decoded }
    }

    /// Returns whether the keys equal those of the previous snapshot `other`.
    pub(in crate::vsphere) fn has_keys_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.decoded, &other.decoded)
    }

    pub(in crate::vsphere) fn is_image(&self) -> bool {
        self.decoded.record.is_none()
    }

    /// Returns the container, if the machine is a readable one.
    pub(in crate::vsphere) fn record(&self) -> Option<Result<&Record, &NotAContainer>> {
        self.decoded.record.as_ref().map(Result::as_ref)
    }

    /// Returns the state of the container's runs.
    pub(in crate::vsphere) fn run(&self) -> &RunState {
        &self.decoded.run
    }

    /// Returns the id in the keys.
    pub(in crate::vsphere) fn id(&self) -> Option<ContainerId> {
        match self.record()? {
            Ok(record) => Some(record.spec.id),
            Err(broken) => broken.id,
        }
    }

    /// Returns the container's name. For an unreadable one it is taken from the machine's name.
    pub(in crate::vsphere) fn name(&self) -> &str {
        let of_machine = &self.machine.name;
        match self.record() {
            Some(Ok(record)) => &record.spec.name,
            _ => container_name_in(of_machine).unwrap_or(of_machine),
        }
    }
}
