//! Reads the table of allowed dependencies from ARCHITECTURE.md.
//!
//! The table's header is `| crate | may depend on | purpose |`. The first cell has one or more
//! directories in backticks, and `(package ...)` if the package has another name than the
//! directory's last part. The second cell is `none`, `any`, or a list of crates separated by
//! commas; crates that a feature enables follow a semicolon and ``by feature `...`:``.

use anyhow::{Context, Result, bail, ensure};

/// The first cells of the table's header.
const HEADER: [&str; 2] = ["crate", "may depend on"];

/// One crate of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The package's name.
    pub(super) package: String,
    pub(super) allowed: Allowed,
}

/// The crates that a crate may depend on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Any of our crates.
    Any,
    Only(Vec<Arrow>),
}

/// One dependency in the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrow {
    /// The name of the package.
    pub(super) to: String,
    /// The feature that enables the dependency; `None` if it is unconditional.
    pub(super) feature: Option<String>,
}

/// Reads the table from the document's text.
///
/// # Errors
/// Fails if there is no table, or a cell has another format than described above.
pub(super) fn parse(text: &str) -> Result<Vec<Row>> {
    let mut lines = text.lines().map(cells);
    let is_header = |cells: &Vec<&str>| cells.len() > 2 && cells[..2] == HEADER;
    ensure!(
        lines.any(|cells| is_header(&cells)),
        "no table starts with `| {} |`",
        HEADER.join(" | ")
    );
    let lines: Vec<_> = lines
        .skip(1)
        .take_while(|cells| !cells.is_empty())
        .collect();
    let mut crates = Vec::new();
    for cells in &lines {
        crates.push(self::crates(cells[0])?);
    }
    let package = |name: &str| {
        let mut all = crates.iter().flatten();
        let found = all.find(|(directory, package)| *directory == name || *package == name);
        found.map(|(_, package)| (*package).to_owned())
    };
    let mut rows = Vec::new();
    for (cells, crates) in lines.iter().zip(&crates) {
        for (_, name) in crates {
            let cell = cells.get(1).copied().unwrap_or_default();
            let allowed = allowed(cell, &package)
                .with_context(|| format!("the row of `{name}`, which may depend on: {cell}"))?;
            rows.push(Row {
                package: (*name).to_owned(),
                allowed,
            });
        }
    }
    Ok(rows)
}

/// Splits a line of a table; other lines have no cells.
fn cells(line: &str) -> Vec<&str> {
    match line.strip_prefix('|') {
        Some(cells) => cells.split('|').map(str::trim).collect(),
        None => Vec::new(),
    }
}

/// Reads a first cell; returns each crate's directory and package.
fn crates(cell: &str) -> Result<Vec<(&str, &str)>> {
    let mut crates = Vec::new();
    for part in cell.split(", ") {
        let (directory, rest) = quoted(part)?;
        let package = match rest.trim().strip_prefix("(package ") {
            Some(package) => quoted(package)?.0,
            None => directory.rsplit('/').next().unwrap_or(directory),
        };
        crates.push((directory, package));
    }
    Ok(crates)
}

fn allowed(cell: &str, package: &dyn Fn(&str) -> Option<String>) -> Result<Allowed> {
    let mut arrows = Vec::new();
    match cell {
        "any" => return Ok(Allowed::Any),
        "none" => return Ok(Allowed::Only(arrows)),
        _ => {}
    }
    for group in cell.split("; ") {
        let (feature, names) = match group.strip_prefix("by feature ") {
            Some(group) => {
                let (feature, rest) = quoted(group)?;
                let names = rest.strip_prefix(": ");
                let names = names.with_context(|| format!("no `: ` after feature `{feature}`"))?;
                (Some(feature), names)
            }
            None => (None, group),
        };
        for name in names.split(", ") {
            let (name, rest) = quoted(name)?;
            ensure!(rest.is_empty(), "`{rest}` after `{name}`");
            let to = package(name).with_context(|| format!("`{name}` has no row"))?;
            arrows.push(Arrow {
                to,
                feature: feature.map(str::to_owned),
            });
        }
    }
    Ok(Allowed::Only(arrows))
}

/// Splits off the text in backticks at the start.
fn quoted(text: &str) -> Result<(&str, &str)> {
    let found = text.strip_prefix('`').and_then(|rest| rest.split_once('`'));
    match found {
        Some(found) => Ok(found),
        None => bail!("expected a name in backticks: {text}"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use super::*;

    fn table(rows: &str) -> Result<Vec<Row>> {
        parse(&format!(
            "# Text\n\n| crate | may depend on | purpose |\n| --- | --- | --- |\n{rows}\n\nMore.\n| `x` | y |\n"
        ))
    }

    #[test]
    fn every_form_of_a_row_is_read() {
        let rows = table(
            "| `a` | none | leaf |\n\
             | `b` (package `b-lib`) | `a`; by feature `f`: `a/c`, `d` | text |\n\
             | `a/c`, `d` | any | two |",
        )
        .unwrap();
        let names: Vec<&str> = rows.iter().map(|row| row.package.as_str()).collect();
        assert_eq!(names, ["a", "b-lib", "c", "d"]);
        assert_eq!(rows[0].allowed, Allowed::Only(Vec::new()));
        let arrow = |to: &str, feature: Option<&str>| Arrow {
            to: to.to_owned(),
            feature: feature.map(str::to_owned),
        };
        let expected = vec![
            arrow("a", None),
            arrow("c", Some("f")),
            arrow("d", Some("f")),
        ];
        assert_eq!(rows[1].allowed, Allowed::Only(expected));
        assert_eq!(rows[3].allowed, Allowed::Any);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_its_row() {
        for (rows, problem) in [
            ("| a | none | text |", "expected a name in backticks: a"),
            ("| `a` | `b` | text |", "`b` has no row"),
            (
                "| `a` | `a` (only formats) | text |",
                "` (only formats)` after `a`",
            ),
            (
                "| `a` | by feature `f`, `a` | text |",
                "no `: ` after feature `f`",
            ),
            ("| `a` |", "expected a name in backticks: "),
        ] {
            let error = format!("{:#}", table(rows).unwrap_err());
            assert!(error.contains(problem), "{rows}: {error}");
        }
        assert!(parse("# No table\n").is_err());
    }
}
