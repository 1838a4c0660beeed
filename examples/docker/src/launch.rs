//! Error messages and exit codes of processes that could not be launched.

/// Returns the exit code of a failed launch by the convention of shells: 127 if the program does
/// not exist, 126 if it cannot be run.
pub(crate) fn exit_code(reason: &str) -> i32 {
    let reason = reason.to_ascii_lowercase();
    if ["not found", "no such file"]
        .iter()
        .any(|word| reason.contains(word))
    {
        127
    } else {
        126
    }
}

/// Returns the error message. The docker command searches it for certain texts, on which its own
/// exit code depends.
pub(crate) fn message(program: &str, reason: &str) -> String {
    let lower = reason.to_ascii_lowercase();
    let words = if exit_code(reason) == 127 && !program.contains('/') {
        "executable file not found in $PATH"
    } else if exit_code(reason) == 127 {
        "no such file or directory"
    } else if lower.contains("is a directory") {
        "is a directory"
    } else if lower.contains("permission") {
        "permission denied"
    } else {
        reason
    };
    format!(
        "failed to create task for container: unable to start container process: exec: \
         {program:?}: {words}: unknown"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_finds_the_words_it_looks_for() {
        let missing = message("nosuch", "No such file or directory (os error 2)");
        assert!(
            missing.contains("executable file not found in $PATH"),
            "{missing}"
        );
        assert!(message("/x", "not found").contains("no such file or directory"));
        assert!(message("/x", "Permission denied (os error 13)").contains("permission denied"));
        assert_eq!(exit_code("Exec format error"), 126);
    }
}
