//! Results that the server has remarks on.

use vim25::Fault;
use vim25::types::LocalizedMethodFault;

use crate::error::{Error, Operation, Result};

/// A result of the OVF manager, with what it found wrong and doubtful in its input.
#[derive(Clone, Debug)]
pub struct Checked<T> {
    operation: Operation,
    /// The result, which may be incomplete if there are errors.
    pub value: T,
    /// What the server found doubtful: the result can be used.
    pub warnings: Vec<Fault>,
    /// What the server found wrong: the result cannot be used.
    pub errors: Vec<Fault>,
}

impl<T> Checked<T> {
    pub(super) fn new(
        operation: Operation,
        value: T,
        warnings: Vec<LocalizedMethodFault>,
        errors: Vec<LocalizedMethodFault>,
    ) -> Self {
        let list = |faults: Vec<LocalizedMethodFault>| faults.into_iter().map(Into::into).collect();
        Self {
            operation,
            value,
            warnings: list(warnings),
            errors: list(errors),
        }
    }

    /// Returns the result and the warnings, if there are no errors.
    ///
    /// # Errors
    /// [`Error::Fault`] with the first error.
    pub fn into_result(self) -> Result<(T, Vec<Fault>)> {
        match self.errors.into_iter().next() {
            Some(error) => Err(Error::fault_of(&self.operation, error)),
            None => Ok((self.value, self.warnings)),
        }
    }
}
