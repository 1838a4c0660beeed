//! The options that were given to the command, as they are recorded with the host.

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _};

use crate::options::Options;

/// Options that say nothing about the host, and those whose values are secret or name the endpoint.
const NOT_RECORDED: [&str; 10] = [
    "target",
    "user",
    "password",
    "thumbprint",
    "json",
    "name",
    "named",
    "dry_run",
    "force",
    "generate",
];

/// Options of the script of VIC 0.1 that have other names in `vch create`.
const OF_SCRIPT: [(&str, &str); 3] = [
    ("external_network", "public-network"),
    ("certificate", "tls-server-cert"),
    ("key", "tls-server-key"),
];

/// Returns the options of the sub-command that were given, as `vch create` takes them: `--NAME` or
/// `--NAME=VALUE`, sorted by name. None of them contains a secret.
pub(crate) fn options(matches: &ArgMatches) -> Vec<String> {
    let command = Options::command();
    let Some((name, matches)) = matches.subcommand() else {
        return Vec::new();
    };
    let Some(command) = command.find_subcommand(name) else {
        return Vec::new();
    };
    let mut options = Vec::new();
    for argument in command.get_arguments() {
        let id = argument.get_id().as_str();
        let is_known = matches.try_contains_id(id).unwrap_or(false);
        if NOT_RECORDED.contains(&id)
            || !is_known
            || matches.value_source(id) != Some(ValueSource::CommandLine)
        {
            continue;
        }
        let renamed = OF_SCRIPT.iter().find(|(known, _)| *known == id);
        let name = match renamed {
            Some((_, name)) => (*name).to_owned(),
            None => id.replace('_', "-"),
        };
        if matches.try_get_one::<bool>(id).is_ok() {
            options.push(format!("--{name}"));
            continue;
        }
        let values = matches.try_get_raw(id).ok().flatten().into_iter().flatten();
        options.extend(values.map(|value| format!("--{name}={}", value.to_string_lossy())));
    }
    options.sort();
    options
}

/// Splits a recorded option into its name and its value, if it has one.
pub(crate) fn split(option: &str) -> (&str, Option<&str>) {
    let option = option.trim_start_matches('-');
    match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    fn given(arguments: &[&str]) -> Vec<String> {
        let all = ["vch"].iter().chain(arguments);
        options(&Options::command().try_get_matches_from(all).unwrap())
    }

    #[test]
    fn options_are_recorded_without_the_endpoint_and_secrets() {
        let create = [
            "create",
            "-t",
            "root:secret@esx",
            "-p",
            "secret",
            "-i",
            "fast",
            "--external-network",
            "VM Network",
            "--dns-server",
            "10.0.0.2",
            "--dns-server",
            "10.0.0.3",
            "--no-tls",
            "vch-1",
        ];
        assert_eq!(
            given(&create),
            [
                "--dns-server=10.0.0.2",
                "--dns-server=10.0.0.3",
                "--image-store=fast",
                "--no-tls",
                "--public-network=VM Network",
            ]
        );
    }

    #[test]
    fn options_of_the_script_are_recorded_as_those_of_create() {
        let install = [
            "install",
            "-f",
            "-t",
            "root:secret@esx",
            "-i",
            "fast",
            "-e",
            "lan",
            "-x",
            "a.pem",
            "-y",
            "b.pem",
            "vch-1",
        ];
        assert_eq!(
            given(&install),
            [
                "--image-store=fast",
                "--public-network=lan",
                "--tls-server-cert=a.pem",
                "--tls-server-key=b.pem",
            ]
        );
    }
}
