//! Classifies calls, which determines whether a call may be repeated and which limits apply.

/// The class of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallClass {
    /// Needs no session, or opens or closes one.
    Login,
    /// Has no noticeable effect, so it may be repeated.
    Read,
    /// Has no effect, and blocks on the server until there are updates.
    Wait,
    /// Has an effect, or may have one, so it is only repeated if it was certainly not carried
    /// out.
    Change,
}

impl CallClass {
    /// Returns whether a call may be sent again when its outcome is unknown.
    pub(crate) const fn is_repeatable(self) -> bool {
        !matches!(self, Self::Change)
    }

    /// Classifies a method by its wire name.
    ///
    /// The names of the API are regular: methods that start with certain words are reads.
    /// Every other method counts as a change. The tables of the API do not contain the class:
    /// they have privileges, but `System.View` is also that of methods that change something,
    /// such as `CreateFilter`. The tests compare the names with the tables instead.
    pub(crate) fn of(method: &str) -> Self {
        const READS: [&str; 10] = [
            "Browse", "Check", "Current", "Fetch", "Find", "Has", "List", "Query", "Retrieve",
            "Validate",
        ];
        // These may be repeated: a wait with the same version returns the same updates.
        const WAITS: [&str; 2] = ["WaitForUpdates", "WaitForUpdatesEx"];
        const LOGINS: [&str; 3] = ["Login", "Logout", "RetrieveServiceContent"];
        // These are changes despite their names: the first two do work on hosts, the others
        // create or change something.
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

    /// Checks the classes against the tables of the API: a read that starts a task does work
    /// on the server, so each one is listed here, and a new one needs a decision.
    #[test]
    fn the_reads_that_start_tasks_are_known() {
        use vim25::schema::{self, TypeKind};
        let responses = schema::types().filter(|ty| ty.kind() == TypeKind::Response);
        let reads: Vec<_> = responses
            .filter(|response| CallClass::of(response.name()) == CallClass::Read)
            .collect();
        let mut starting: Vec<&str> = Vec::new();
        for response in &reads {
            let result = response.fields().next().and_then(|field| field.declared());
            if result.is_some_and(|ty| ty.name() == "Task") {
                starting.push(response.name());
            }
        }
        starting.sort_unstable();
        assert_eq!(
            starting,
            [
                "CheckAddHostEvc_Task",
                "CheckClone_Task",
                "CheckCompatibility_Task",
                "CheckConfigureEvcMode_Task",
                "CheckHostPatch_Task",
                "CheckInstantClone_Task",
                "CheckMigrate_Task",
                "CheckPowerOn_Task",
                "CheckProfileCompliance_Task",
                "CheckRelocate_Task",
                "CheckVmConfig_Task",
                "QueryVMotionCompatibilityEx_Task",
                "QueryVirtualDiskInfo_Task",
                "RetrieveKmipServersStatus_Task",
                "ValidateHostProfileComposition_Task",
            ]
        );
        assert!(reads.len() > 200, "{}", reads.len());
    }
}
