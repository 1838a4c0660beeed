//! What kind of call a method is: whether it may be repeated, and what bounds it.

/// The class of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallClass {
    /// Needs no session, or opens or ends one.
    Login,
    /// Changes nothing that anybody would notice: may be repeated.
    Read,
    /// Changes nothing, and stays open at the server until there is news.
    Wait,
    /// Changes something, or is not known: never repeated blindly.
    Change,
}

impl CallClass {
    /// Whether a call may be sent again when it is not known if it was carried out.
    pub(crate) const fn is_repeatable(self) -> bool {
        !matches!(self, Self::Change)
    }

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
        const WAITS: [&str; 2] = ["WaitForUpdates", "WaitForUpdatesEx"];
        const LOGINS: [&str; 3] = ["Login", "Logout", "RetrieveServiceContent"];
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
        } else if LOGINS.contains(&method) {
            Self::Login
        } else if WAITS.contains(&method) {
            Self::Wait
        } else if method == "SessionIsActive" || READS.iter().any(word) {
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
        assert_eq!(CallClass::of("WaitForUpdatesEx"), CallClass::Wait);
        assert_eq!(CallClass::of("Login"), CallClass::Login);
        for method in [
            "RetrievePropertiesEx",
            "CurrentTime",
            "FindByInventoryPath",
            "Fetch",
            "QueryOptions",
        ] {
            assert_eq!(CallClass::of(method), CallClass::Read, "{method}");
        }
        for method in [
            "CreateVM_Task",
            "PowerOnVM_Task",
            "ContinueRetrievePropertiesEx",
            "ReconfigVM_Task",
            "Destroy_Task",
            "CreateFilter",
            "Checkpoint",
            "Finder",
            "HasteNot",
            "SomethingNew",
        ] {
            assert_eq!(CallClass::of(method), CallClass::Change, "{method}");
        }
    }
}
