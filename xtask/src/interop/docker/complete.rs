//! Whether the front end's table has every command of `docker --help`, and whether this suite has
//! run each of them.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Result, ensure};

use super::command;
use crate::interop::report::Report;
use crate::process::capture;
use crate::workspace;

pub(super) const NAME: &str = "every command of `docker --help` is in the table, and was run";

/// Groups that the docker command executes without the engine: with registries, or alone.
const WITHOUT_ENGINE: [&str; 3] = ["context", "manifest", "trust"];

/// The checks must have been run before.
pub(super) fn check(report: &mut Report) {
    report.check(NAME, || {
        let commands = commands()?;
        ensure!(commands.len() > 60, "`docker --help` shows {commands:?}");
        let readme = workspace::root().join("examples/docker/README.md");
        let named = named(&std::fs::read_to_string(readme)?);
        let ran = command::ran();
        let all = || commands.iter().map(String::as_str);
        let unnamed: Vec<&str> = all()
            .filter(|command| !named.contains(*command) && !named.contains(group(command)))
            .collect();
        ensure!(unnamed.is_empty(), "not in the table: {unnamed:?}");
        let mut not_run: Vec<&str> = all().filter(|command| !ran.contains(*command)).collect();
        not_run.retain(|command| !WITHOUT_ENGINE.contains(&group(command)));
        // A group that is refused as a whole is tried by one of its commands.
        not_run.retain(|command| {
            let group = format!("{} ", group(command));
            let tried = ran.iter().any(|ran| ran.starts_with(&group));
            !(named.contains(group.trim_end()) && tried)
        });
        ensure!(not_run.is_empty(), "never run: {not_run:?}");
        Ok(())
    });
}

/// Returns the first word of a command.
fn group(command: &str) -> &str {
    command.split(' ').next().unwrap_or(command)
}

/// Returns every command of this machine's docker command, those of a group as `network ls`.
fn commands() -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for (title, name) in listed(&capture(Command::new("docker").arg("--help"))?) {
        if !matches!(title.as_str(), "Management Commands" | "Swarm Commands") {
            all.insert(name);
            continue;
        }
        let help = capture(Command::new("docker").args([&name, "--help"]))?;
        let inner = listed(&help);
        all.extend(inner.iter().map(|(_, inner)| shortest(&name, inner)));
    }
    Ok(all)
}

/// Returns the commands that a help text lists, each with the title above it. Those of plugins,
/// which are programs of their own, are left out.
fn listed(help: &str) -> Vec<(String, String)> {
    let mut title = None;
    let mut listed = Vec::new();
    for line in help.lines() {
        match (line.strip_suffix(':'), &title) {
            (Some(text), _) if text.ends_with("Commands") => title = Some(text.to_owned()),
            _ if !line.starts_with("  ") => title = None,
            (_, Some(title)) => {
                let name = line.split_whitespace().next().unwrap_or_default();
                if !name.ends_with('*') {
                    listed.push((title.clone(), name.to_owned()));
                }
            }
            (_, None) => {}
        }
    }
    listed
}

/// Returns the short form of a command that has one: `docker container ls` is `docker ps`.
fn shortest(group: &str, name: &str) -> String {
    match (group, name) {
        ("container", "ls") => "ps",
        ("image", "ls") => "images",
        ("image", "rm") => "rmi",
        ("container" | "image" | "network", "prune") | ("image", "inspect") => {
            return format!("{group} {name}");
        }
        ("container" | "image", name)
        | ("system", name @ ("events" | "info"))
        | ("builder", name @ "build") => name,
        _ => return format!("{group} {name}"),
    }
    .to_owned()
}

/// Returns the commands that the table's first column names.
fn named(readme: &str) -> BTreeSet<String> {
    let rows = readme
        .lines()
        .skip_while(|line| *line != "| command | | check |")
        .take_while(|line| line.starts_with('|'));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    first
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_a_help_text() {
        let help = "Usage:  docker [OPTIONS] COMMAND\n\nCommon Commands:\n  run         Create\n\n\
                    Management Commands:\n  buildx*     A plugin\n  network     Manage networks\n\n\
                    Global Options:\n      --config string   Location\n";
        let pair = |title: &str, name: &str| (title.to_owned(), name.to_owned());
        assert_eq!(
            listed(help),
            [
                pair("Common Commands", "run"),
                pair("Management Commands", "network")
            ]
        );
    }

    #[test]
    fn a_command_of_a_group_is_known_by_its_short_form() {
        assert_eq!(shortest("container", "ls"), "ps");
        assert_eq!(shortest("container", "exec"), "exec");
        assert_eq!(shortest("image", "prune"), "image prune");
        assert_eq!(shortest("network", "ls"), "network ls");
    }
}
