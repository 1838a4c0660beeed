//! Problems of options that can be read one by one, but contradict each other or name wrong files.
//! They are reported together with the findings of the plan.

use anyhow::Result;
use portlayer::vsphere::{Finding, Plan};
use portlayer::{Error, Resource};

/// The problems of the options for one host.
#[derive(Debug)]
pub(crate) struct Problems {
    host: Resource,
    findings: Vec<Finding>,
}

impl Problems {
    pub(crate) fn new(host: Resource) -> Self {
        Self {
            host,
            findings: Vec::new(),
        }
    }

    /// Returns the value; for an error, adds a problem with this remedy and returns `None`.
    pub(crate) fn keep<T>(
        &mut self,
        field: &'static str,
        value: Result<T>,
        remedy: &str,
    ) -> Option<T> {
        value
            .map_err(|error| {
                let error = Error::invalid_argument(self.host.clone(), field, error);
                self.findings.push(Finding::refusal(error, remedy));
            })
            .ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// Adds the problems to a plan, which cannot be applied then.
    pub(crate) fn add_to(self, plan: &mut Plan) {
        for finding in self.findings {
            plan.add_finding(finding);
        }
    }
}
