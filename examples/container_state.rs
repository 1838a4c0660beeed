//! Prints the container state that a machine's configuration holds.
//!
//! ```text
//! cargo run --example container_state -- machine.vmx
//! cargo run --example container_state -- --format table */*.vmx
//! vim-cmd ... | cargo run --example container_state -- --format json -
//! ```
//!
//! Files that end in `.vmx` or `.vmtx` are read as VMX files; other files and standard input
//! (`-`) are read as lines `key = value`. Problems are reported on standard error, and the
//! exit status is 1 if a file could not be read completely.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use guestinfo::vic::{ExecutorConfig, SessionConfig, Started};
use guestinfo::{Decoded, Dialect, Key, Step, decode};
use serde_json::{Map, Value, json};
use tabwriter::TabWriter;
use vmx::Document;

#[derive(Debug, Parser)]
#[command(about = "Prints the container state that a machine's configuration holds")]
struct Arguments {
    /// The output format.
    #[arg(long, value_enum, default_value_t = Format::Tree)]
    format: Format,
    /// Files to read; `-` for standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Every key, grouped by the object that it belongs to.
    Tree,
    /// One line per container.
    Table,
    /// The decoded state as JSON.
    Json,
}

/// The values of one machine's keys, by name.
type Keys = BTreeMap<String, String>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut failed = false;
    let mut machines = Vec::new();
    for file in &arguments.files {
        match read(file) {
            Ok((keys, problems)) => {
                for problem in problems.into_iter().chain(unreadable_keys(&keys)) {
                    failed = true;
                    complain(&format!("{}: {problem}", file.display()));
                }
                machines.push((file.display().to_string(), keys));
            }
            Err(error) => {
                failed = true;
                complain(&format!("{error:#}"));
            }
        }
    }
    if let Err(error) = print(arguments.format, &machines, &mut io::stdout().lock()) {
        // A reader such as `head` may close the pipe early.
        if error.kind() != io::ErrorKind::BrokenPipe {
            complain(&error.to_string());
            failed = true;
        }
    }
    ExitCode::from(u8::from(failed))
}

fn complain(text: &str) {
    // Ignore a failure: if standard error is closed, it cannot be reported elsewhere.
    let _ = writeln!(io::stderr(), "container_state: {text}");
}

/// Returns the keys of a file, and descriptions of the parts that could not be read.
fn read(file: &Path) -> Result<(Keys, Vec<String>)> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin()
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
    } else {
        bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let is_vmx = file
        .extension()
        .is_some_and(|extension| extension == "vmx" || extension == "vmtx");
    if is_vmx {
        vmx_keys(bytes).with_context(|| format!("cannot read {} as VMX", file.display()))
    } else {
        let text = String::from_utf8(bytes)
            .with_context(|| format!("cannot read {} as text", file.display()))?;
        Ok(listed_keys(&text))
    }
}

/// Returns an error for each name that has a prefix of VIC's keys but is not a valid key, with
/// the position of the invalid byte.
fn unreadable_keys(keys: &Keys) -> Vec<String> {
    const PREFIXES: [&str; 3] = ["guestinfo./", "guestinfo..", "guestinfo.vice."];
    let names = keys.keys().filter(|name| {
        let name = name.to_ascii_lowercase();
        PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    });
    names
        .filter_map(|name| {
            let error = name.parse::<Key>().err()?;
            Some(printable(&format!(
                "the key {name:?} cannot be read: {error}"
            )))
        })
        .collect()
}

fn vmx_keys(bytes: Vec<u8>) -> Result<(Keys, Vec<String>)> {
    let document = Document::parse_lenient(bytes)?;
    let problems = document
        .problems()
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut keys = Keys::new();
    for entry in document.entries().filter(|entry| entry.is_first()) {
        let Some(name) = entry.name().as_str() else {
            continue;
        };
        keys.insert(name.to_owned(), entry.value().text()?.into_owned());
    }
    Ok((keys, problems))
}

fn listed_keys(text: &str) -> (Keys, Vec<String>) {
    let mut keys = Keys::new();
    let mut problems = Vec::new();
    let lines = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        match line.split_once('=') {
            Some((key, value)) => {
                keys.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            None => problems.push(format!("line {number}: expected `key = value`")),
        }
    }
    (keys, problems)
}

fn print(format: Format, machines: &[(String, Keys)], mut out: &mut impl Write) -> io::Result<()> {
    match format {
        Format::Tree => {
            for (at, (file, keys)) in machines.iter().enumerate() {
                if at > 0 {
                    writeln!(out)?;
                }
                writeln!(out, "{file} ({})", dialect(keys))?;
                tree(keys).print(out, "")?;
                report(file, &decode::<ExecutorConfig>(keys));
            }
        }
        Format::Table => {
            let mut table = TabWriter::new(&mut out).padding(3);
            writeln!(
                table,
                "CONTAINER ID\tIMAGE\tCOMMAND\tCREATED\tSTATUS\tNAMES"
            )?;
            for (file, keys) in machines {
                let container = decode::<ExecutorConfig>(keys);
                row(&container.value, &mut table)?;
                report(file, &container);
            }
            table.flush()?;
        }
        Format::Json => {
            let containers: Vec<Value> = machines
                .iter()
                .map(|(file, keys)| to_json(file, keys))
                .collect();
            serde_json::to_writer_pretty(&mut out, &containers)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

fn report(file: &str, container: &Decoded<ExecutorConfig>) {
    for issue in container.report.issues() {
        complain(&format!("{file}: {}", printable(&issue.to_string())));
    }
}

fn dialect(keys: &Keys) -> String {
    Dialect::detect(keys.keys()).map_or_else(|| "no container".to_owned(), |d| d.to_string())
}

/// A tree of keys, by the objects that they belong to.
#[derive(Debug, Default)]
struct Tree {
    text: Option<String>,
    children: BTreeMap<String, Self>,
}

/// Returns the keys with container state as a tree. Hidden keys are included only if a visible
/// key has the same root name, or if VIC uses the name for hidden fields.
fn tree(keys: &Keys) -> Tree {
    const HIDDEN: [&str; 2] = ["common", "annotations"];
    let parsed: Vec<(Key, &str)> = keys
        .iter()
        .filter_map(|(key, value)| Some((Key::parse(key).ok()?, value.as_str())))
        .collect();
    let visible = |name: &str| {
        parsed
            .iter()
            .any(|(key, _)| key.dialect().is_some() && root(key) == Some(name))
    };
    let mut tree = Tree::default();
    for (key, value) in &parsed {
        let Some(root) = root(key) else { continue };
        if key.dialect().is_some() || HIDDEN.contains(&root) || visible(root) {
            let mut node = &mut tree;
            for step in key.steps() {
                let name = match step {
                    Step::Field(name) => name.to_owned(),
                    Step::Entry(name) => format!("|{name}"),
                    _ => "~".to_owned(),
                };
                node = node.children.entry(name).or_default();
            }
            node.text = Some(format!("{}   ({})", shown(key, value), key.scope()));
        }
    }
    tree
}

fn root(key: &Key) -> Option<&str> {
    match key.steps().next()? {
        Step::Field(name) => Some(name),
        _ => None,
    }
}

impl Tree {
    fn print(&self, out: &mut impl Write, indent: &str) -> io::Result<()> {
        let last = self.children.len().saturating_sub(1);
        for (at, (name, child)) in self.children.iter().enumerate() {
            let (branch, below) = if at == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            match &child.text {
                Some(text) => writeln!(out, "{indent}{branch}{} = {text}", printable(name))?,
                None => writeln!(out, "{indent}{branch}{}", printable(name))?,
            }
            child.print(out, &format!("{indent}{below}"))?;
        }
        Ok(())
    }
}

/// Returns the value of a key as text to print; for a secret, only its length.
fn shown(key: &Key, value: &str) -> String {
    const SECRET: [&str; 3] = ["key", "extension_key", "key_pem"];
    let is_secret = match key.steps().last() {
        Some(Step::Field(name)) => SECRET.iter().any(|s| name.eq_ignore_ascii_case(s)),
        _ => false,
    };
    if key.scope().secret || is_secret {
        format!("<{} bytes>", value.len())
    } else {
        printable(value)
    }
}

/// Escapes control characters, because guests write some of the values.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// Returns the process of the container: the one with the container's id.
fn main_session(container: &ExecutorConfig) -> Option<&SessionConfig> {
    let sessions = &container.sessions;
    sessions
        .get(&container.common.id)
        .or_else(|| sessions.values().next())
}

fn row(container: &ExecutorConfig, table: &mut impl Write) -> io::Result<()> {
    let id: String = container.common.id.chars().take(12).collect();
    let (mut command, mut status) = (String::new(), "-".to_owned());
    if let Some(session) = main_session(container) {
        command.clone_from(&session.command.path);
        // Skip the first argument, which repeats the program.
        for argument in session.command.args.iter().skip(1) {
            command.push(' ');
            command.push_str(argument);
        }
        status = self::status(session);
    }
    writeln!(
        table,
        "{}\t{}\t{}\t{}\t{}\t{}",
        printable(&id),
        printable(&container.repo_name),
        printable(&format!("{command:?}")),
        created(container).unwrap_or_else(|| "-".into()),
        printable(&status),
        printable(&container.common.name),
    )
}

fn created(container: &ExecutorConfig) -> Option<String> {
    let time = container.create_time;
    (time != Default::default()).then(|| time.0.to_string())
}

/// Returns the state according to the keys, which do not include the power state.
fn status(session: &SessionConfig) -> String {
    match &session.started {
        Started::No => "Created".into(),
        Started::Failed(reason) => format!("Failed: {reason}"),
        Started::Yes => match session.exit_status {
            Some(exit) if session.detail.stop_time != 0 => format!("Exited ({exit})"),
            Some(exit) => format!("Started (last exit {exit})"),
            None => "Started".into(),
        },
    }
}

fn to_json(file: &str, keys: &Keys) -> Value {
    let Decoded { value, report, .. } = decode::<ExecutorConfig>(keys);
    let issues: Vec<_> = report.issues().iter().map(ToString::to_string).collect();
    let mounts = value.mounts.iter().map(|(name, mount)| {
        let mount = json!({
            "source": mount.source.to_string(),
            "destination": mount.path,
            "mode": mount.mode,
        });
        (name.clone(), mount)
    });
    let networks = value.networks.iter().map(|(name, endpoint)| {
        let endpoint = json!({
            "network": endpoint.network.common.name,
            "address": endpoint.address.map(|net| net.to_string()),
            "assigned": endpoint.assigned.map(|net| net.to_string()),
            "gateway": endpoint.network.gateway.map(|net| net.addr().to_string()),
            "ports": endpoint.ports,
        });
        (name.clone(), endpoint)
    });
    json!({
        "file": file,
        "dialect": Dialect::detect(keys.keys()).map(|dialect| dialect.to_string()),
        "id": value.common.id,
        "name": value.common.name,
        "image": value.repo_name,
        "layer": value.layer_id,
        "created": created(&value),
        "sessions": sessions(&value.sessions),
        "execs": sessions(&value.execs),
        "mounts": mounts.collect::<Map<_, _>>(),
        "networks": networks.collect::<Map<_, _>>(),
        "annotations": value.annotations,
        "issues": issues,
    })
}

fn sessions(sessions: &BTreeMap<String, SessionConfig>) -> Map<String, Value> {
    let sessions = sessions.iter().map(|(id, session)| {
        let json = json!({
            "path": session.command.path,
            "args": session.command.args,
            "env": session.command.env,
            "directory": session.command.dir,
            "tty": session.tty,
            "status": status(session),
            "exitStatus": session.exit_status,
        });
        (id.clone(), json)
    });
    sessions.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    fn printed(format: Format, file: &str) -> String {
        let machine = (file.to_owned(), read(Path::new(file)).unwrap().0);
        let mut out = Vec::new();
        print(format, &[machine], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const OLD: &str = "../guestinfo/tests/vectors/container-vic04.txt";
    const NEW: &str = "../guestinfo/tests/vectors/container-vic1.txt";

    #[test]
    fn the_table_has_a_line_per_container() {
        let row = "deadbeef       hello-world   \"/hello world\"   2016-06-27T04:00:00Z   Created";
        let table = printed(Format::Table, OLD);
        assert_eq!(table.lines().count(), 2);
        assert!(table.lines().nth(1).unwrap().starts_with(row), "{table}");
        assert!(printed(Format::Table, NEW).contains("Started (last exit 0)"));
    }

    #[test]
    fn the_tree_names_every_key_and_shows_no_secret() {
        let tree = printed(Format::Tree, OLD);
        assert!(tree.starts_with(&format!("{OLD} (vic 0.4)\n")));
        for line in [
            "├─ key = <4 bytes>   (read-only)",
            "└─ |vol1",
            "├─ Args = 1   (read-only)",
            "└─ ~ = /hello|world   (read-only)",
            "├─ started = <nil>   (read-write)",
            "└─ notes = <nil>   (hidden)",
        ] {
            assert!(tree.contains(line), "{line}\n{tree}");
        }
        let keys = read(Path::new(OLD)).unwrap().0;
        assert_eq!(tree.matches(" = ").count(), keys.len());
    }

    #[test]
    fn json_says_what_the_keys_mean() {
        let json: Value = serde_json::from_str(&printed(Format::Json, NEW)).unwrap();
        assert_eq!(json[0]["dialect"], "vic 1.x");
        assert_eq!(json[0]["sessions"]["deadbeef"]["args"][1], "world");
        assert_eq!(json[0]["networks"]["bridge"]["assigned"], "172.16.0.2/16");
        assert_eq!(json[0]["mounts"]["vol1"]["source"], "label:///my-label");
        assert_eq!(json[0]["issues"], json!([]));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_place() {
        let bytes = b"guestinfo./sessions = \"a\"\nthis is prose\n".to_vec();
        let (keys, problems) = vmx_keys(bytes).unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("line 2"), "{problems:?}");
        let (keys, problems) = listed_keys("guestinfo./a//b = 1\n\nprose\n# a comment\n");
        assert_eq!(problems, ["line 3: expected `key = value`"]);
        let unreadable = unreadable_keys(&keys);
        assert_eq!(unreadable.len(), 1, "{unreadable:?}");
        assert!(unreadable[0].contains("guestinfo./a//b"), "{unreadable:?}");
    }

    #[test]
    fn what_a_guest_wrote_does_not_reach_the_terminal_as_it_is() {
        let (keys, problems) = vmx_keys(
            b".encoding = \"UTF-8\"\n\
              guestinfo./common/id = \"4e01\"\n\
              guestinfo./sessions = \"4e01\"\n\
              guestinfo./sessions|4e01/cmd/Path = \"/hello\"\n\
              guestinfo..sessions|4e01.started = \"|1B[31m\"\n"
                .to_vec(),
        )
        .unwrap();
        assert_eq!(problems, Vec::<String>::new());
        for format in [Format::Tree, Format::Table] {
            let mut out = Vec::new();
            print(format, &[("x".into(), keys.clone())], &mut out).unwrap();
            let out = String::from_utf8(out).unwrap();
            assert!(
                out.contains("\\u{1b}[31m") && !out.contains('\u{1b}'),
                "{out}"
            );
        }
    }
}
