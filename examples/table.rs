//! Prints a table of containers like `docker ps -a`.

use std::io::{self, Write};

use portlayer::State;
use portlayer::exec::Listing;
use tabwriter::TabWriter;

/// Writes a heading and a line per container, including containers that cannot be read.
///
/// # Errors
/// Those of `out`.
pub fn print(listing: &Listing, out: impl Write) -> io::Result<()> {
    let mut table = TabWriter::new(out).padding(3);
    writeln!(
        table,
        "CONTAINER ID\tIMAGE\tCOMMAND\tCREATED\tSTATUS\tNAMES"
    )?;
    for container in &listing.containers {
        let mut command = container.command.path.clone();
        for argument in &container.command.args {
            command.push(' ');
            command.push_str(argument);
        }
        let created = container
            .created
            .map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"));
        writeln!(
            table,
            "{}\t{}\t{}\t{created}\t{}\t{}",
            container.id.short(),
            printable(container.root.reference()),
            printable(&format!("{command:?}")),
            status(&container.state),
            printable(&container.name),
        )?;
    }
    for broken in &listing.quarantined {
        let id = broken.id.map_or_else(|| "-".to_owned(), |id| id.short());
        writeln!(
            table,
            "{id}\t-\t-\t-\tunreadable: {}\t{}",
            printable(&broken.reason),
            printable(&broken.label)
        )?;
    }
    table.flush()
}

/// Returns a state in the words of `docker ps`.
fn status(state: &State) -> String {
    match state {
        State::Created => "Created".to_owned(),
        State::Starting => "Starting".to_owned(),
        State::Running => "Up".to_owned(),
        State::Stopping => "Stopping".to_owned(),
        // Print the exit code as shells report it.
        State::Stopped { exit } => match exit.code() {
            Some(code) => format!("Exited ({code})"),
            None => format!("Exited ({exit})"),
        },
        State::Removing => "Removing".to_owned(),
        State::Broken { reason } => format!("Broken: {}", printable(reason)),
        other => other.to_string(),
    }
}

/// Replaces control characters: a guest may have written the text, and terminals interpret
/// some of them.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use portlayer::exec::{Command, ContainerInfo, ContainerSpec, Quarantined, RootFs};
    use portlayer::image::{Digest, ImageId};
    use portlayer::{ContainerId, ExitStatus};

    use super::*;

    fn container(name: &str, state: State) -> ContainerInfo {
        let image = ImageId::new(Digest::of(b"busybox"));
        let spec = ContainerSpec::new(name, Command::new("/bin/echo").arg("hello"))
            .id(ContainerId::from_bytes([0xab; 32]))
            .root(RootFs::image(image, "busybox:latest"));
        ContainerInfo::new(spec).with_state(state)
    }

    fn printed(listing: &Listing) -> String {
        let mut text = Vec::new();
        print(listing, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn columns_are_those_of_ps() {
        let exited = State::Stopped {
            exit: ExitStatus::Code(3),
        };
        let text = printed(&Listing::new(
            vec![container("quick_otter", exited).into()],
            vec![],
        ));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "CONTAINER ID   IMAGE            COMMAND             CREATED   STATUS       NAMES",
                "abababababab   busybox:latest   \"/bin/echo hello\"   -         Exited (3)   quick_otter",
            ]
        );
    }

    #[test]
    fn what_a_guest_wrote_cannot_steer_the_terminal() {
        let state = State::Broken {
            reason: "\u{1b}[2J\tgone".to_owned(),
        };
        let label = "vm\n1".to_owned();
        let quarantined = vec![Quarantined::new(None, label, "no id")];
        let text = printed(&Listing::new(
            vec![container("a", state).into()],
            quarantined,
        ));
        assert!(
            !text.contains('\u{1b}') && text.lines().count() == 3,
            "{text}"
        );
        assert!(text.contains("unreadable: no id"), "{text}");
    }
}
