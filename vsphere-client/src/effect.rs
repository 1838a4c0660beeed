//! What a method does to the server, as far as repeating it goes.

/// Whether a call may be sent again when nobody knows if it was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Changes nothing that anybody would notice: repeat it.
    Read,
    /// Changes something, or is not known: never repeat it blindly.
    Change,
}

impl Effect {
    /// By the wire name of a method.
    ///
    /// The names of the API are regular: what begins with one of these words
    /// reads. Whatever is not listed counts as a change.
    pub(crate) fn of(method: &str) -> Self {
        const READS: [&str; 10] = [
            "Browse", "Check", "Current", "Fetch", "Find", "Has", "List", "Query", "Retrieve",
            "Validate",
        ];
        // Waiting again with the same version gives what was missed.
        const SINGLE: [&str; 3] = ["WaitForUpdates", "WaitForUpdatesEx", "SessionIsActive"];
        // Despite their names: the first two run work on hosts, the others
        // hand out or change something.
        const CHANGES: [&str; 4] = [
            "CheckCompliance_Task",
            "CheckAnswerFileStatus_Task",
            "QueryHostPatch_Task",
            "CheckForUpdates",
        ];
        let word = |start: &&str| {
            method
                .strip_prefix(*start)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()))
        };
        if CHANGES.contains(&method) {
            Self::Change
        } else if SINGLE.contains(&method) || READS.iter().any(word) {
            Self::Read
        } else {
            Self::Change
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_known_by_name_and_everything_else_is_a_change() {
        for method in [
            "RetrievePropertiesEx",
            "CurrentTime",
            "FindByInventoryPath",
            "WaitForUpdatesEx",
            "Fetch",
            "QueryOptions",
        ] {
            assert_eq!(Effect::of(method), Effect::Read, "{method}");
        }
        for method in [
            "CreateVM_Task",
            "PowerOnVM_Task",
            "Login",
            "ContinueRetrievePropertiesEx",
            "ReconfigVM_Task",
            "Destroy_Task",
            "CreateFilter",
            "Checkpoint",
            "Finder",
            "HasteNot",
            "SomethingNew",
        ] {
            assert_eq!(Effect::of(method), Effect::Change, "{method}");
        }
    }
}
