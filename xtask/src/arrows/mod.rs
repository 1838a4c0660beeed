//! Checks which of our crates depend on which: dependencies point down the layers.
//!
//! The table is the one in ARCHITECTURE.md, which also describes the crates. The
//! check reads the manifests through `cargo metadata` and refuses every normal or build
//! dependency between our crates that is not in the table, optional ones included.
//! Dev-dependencies are unrestricted: a crate's tests may start a simulator.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata};

use self::table::{Allowed, Arrow, Row};
use crate::workspace;

/// The document with the table.
const DOCUMENT: &str = "ARCHITECTURE.md";

/// The parts of a workspace package that the check needs.
#[derive(Debug, Default)]
struct Package {
    /// Normal and build dependencies on packages of the workspace.
    ours: BTreeMap<String, Use>,
    /// The features, each with what it enables.
    features: BTreeMap<String, Vec<String>>,
}

/// How a manifest declares one dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    /// The name of the dependency in the manifest, which features use.
    alias: String,
    optional: bool,
}

/// Checks the workspace against the table.
///
/// # Errors
/// Fails with every dependency that is not in the table, and every crate without a
/// row.
pub(crate) fn run() -> Result<()> {
    let metadata = workspace::metadata()?;
    let packages = packages(&metadata);
    let problems = check(&table(metadata.workspace_root.as_ref())?, &packages);
    if problems.is_empty() {
        let arrows: usize = packages.values().map(|package| package.ours.len()).sum();
        println!(
            "arrows: {} crates, {arrows} dependencies, all in the table",
            packages.len()
        );
        return Ok(());
    }
    for problem in &problems {
        eprintln!("arrows: {problem}");
    }
    bail!(
        "{} break the table in {DOCUMENT}, which also has the rules of direction",
        match problems.len() {
            1 => "one dependency or crate".to_owned(),
            n => format!("{n} dependencies or crates"),
        }
    )
}

fn table(root: &Path) -> Result<Vec<Row>> {
    let path = root.join(DOCUMENT);
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    table::parse(&text).with_context(|| format!("the table of dependencies in {DOCUMENT}"))
}

/// Extracts the information that the check needs from cargo's metadata.
fn packages(metadata: &Metadata) -> BTreeMap<String, Package> {
    let members = metadata.workspace_packages();
    let ours: BTreeSet<&str> = members
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    members
        .iter()
        .map(|package| {
            let mut found = Package {
                features: package.features.clone(),
                ..Package::default()
            };
            for dependency in &package.dependencies {
                let free = dependency.kind == DependencyKind::Development;
                if free || !ours.contains(dependency.name.as_str()) {
                    continue;
                }
                let alias = dependency
                    .rename
                    .as_ref()
                    .unwrap_or(&dependency.name)
                    .clone();
                // A crate may be declared twice, once per platform. It is optional only
                // if both declarations are.
                found
                    .ours
                    .entry(dependency.name.clone())
                    .and_modify(|uses| uses.optional &= dependency.optional)
                    .or_insert(Use {
                        alias,
                        optional: dependency.optional,
                    });
            }
            (package.name.to_string(), found)
        })
        .collect()
}

/// Returns every dependency that is not in the table, one sentence each.
fn check(table: &[Row], packages: &BTreeMap<String, Package>) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, package) in packages {
        let Some(row) = table.iter().find(|row| row.package == *name) else {
            problems.push(format!(
                "crate `{name}` has no row in the table: give it one, with what it may depend on"
            ));
            continue;
        };
        let Allowed::Only(arrows) = &row.allowed else {
            continue;
        };
        for (to, uses) in &package.ours {
            let Some(arrow) = arrows.iter().find(|arrow| arrow.to == *to) else {
                problems.push(format!(
                    "`{name}` -> `{to}` is not in the table: `{name}` may depend on {}",
                    list(arrows)
                ));
                continue;
            };
            let Some(feature) = &arrow.feature else {
                continue;
            };
            if !uses.optional {
                problems.push(format!(
                    "`{name}` -> `{to}` must be optional, behind feature `{feature}`"
                ));
            } else if !switches_on(package, feature, &uses.alias) {
                problems.push(format!(
                    "`{name}` -> `{to}` must be switched on by feature `{feature}`, and is not"
                ));
            }
        }
    }
    problems
}

/// Returns whether `feature` of `package` enables the optional dependency that the
/// manifest calls `alias`.
fn switches_on(package: &Package, feature: &str, alias: &str) -> bool {
    package.features.get(feature).is_some_and(|switches| {
        switches
            .iter()
            .filter_map(|switch| switch.strip_prefix("dep:"))
            .any(|dep| dep == alias)
    })
}

/// Formats the allowed dependencies as a phrase.
fn list(arrows: &[Arrow]) -> String {
    if arrows.is_empty() {
        return "none of our crates".to_owned();
    }
    let names: Vec<String> = arrows
        .iter()
        .map(|arrow| match &arrow.feature {
            Some(feature) => format!("`{}` (feature `{feature}`)", arrow.to),
            None => format!("`{}`", arrow.to),
        })
        .collect();
    format!("only {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use super::*;

    fn named(alias: &str, optional: bool) -> Use {
        Use {
            alias: alias.to_owned(),
            optional,
        }
    }

    fn check(packages: &BTreeMap<String, Package>) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        super::check(&table(&root).unwrap(), packages)
    }

    fn workspace(arrows: &[(&str, &[(&str, bool)])]) -> BTreeMap<String, Package> {
        arrows
            .iter()
            .map(|(name, ours)| {
                let ours = ours
                    .iter()
                    .map(|(to, optional)| ((*to).to_owned(), named(to, *optional)))
                    .collect();
                (
                    (*name).to_owned(),
                    Package {
                        ours,
                        features: BTreeMap::new(),
                    },
                )
            })
            .collect()
    }

    #[test]
    fn arrows_of_the_table_pass() {
        let packages = workspace(&[
            ("vim25", &[]),
            ("vsphere-client", &[("vim25", false)]),
            (
                "vsphere-simulator",
                &[("vim25", false), ("vmx-config", false)],
            ),
            (
                "examples",
                &[("portlayer", false), ("vsphere-simulator", false)],
            ),
        ]);
        assert_eq!(check(&packages), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_against_the_direction_is_named() {
        let problems = check(&workspace(&[("vim25", &[("vsphere-client", false)])]));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("`vim25` -> `vsphere-client` is not in the table"));
        assert!(problems[0].ends_with("none of our crates"));
    }

    #[test]
    fn an_optional_arrow_outside_the_table_is_refused_too() {
        let problems = check(&workspace(&[("guestinfo", &[("vmx-config", true)])]));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("`guestinfo-backdoor` (feature `backdoor`)"));
    }

    #[test]
    fn an_arrow_that_belongs_to_a_feature_must_be_optional_and_switched_on_by_it() {
        let mut packages = workspace(&[("portlayer", &[("vmx-config", false)])]);
        assert!(check(&packages)[0].contains("must be optional, behind feature `vsphere`"));

        packages
            .get_mut("portlayer")
            .unwrap()
            .ours
            .insert("vmx-config".to_owned(), named("vmx", true));
        assert!(check(&packages)[0].contains("must be switched on by feature `vsphere`"));

        let features = &mut packages.get_mut("portlayer").unwrap().features;
        features.insert("vsphere".to_owned(), vec!["dep:vmx".to_owned()]);
        assert_eq!(check(&packages), Vec::<String>::new());
    }

    #[test]
    fn a_crate_without_a_row_is_refused() {
        let problems = check(&workspace(&[("portlayer-utils", &[])]));
        assert!(problems[0].contains("`portlayer-utils` has no row"));
    }

    #[test]
    fn this_workspace_holds_the_table() {
        let metadata = workspace::metadata().unwrap();
        let packages = packages(&metadata);
        assert_eq!(check(&packages), Vec::<String>::new());
        for row in table(metadata.workspace_root.as_ref()).unwrap() {
            assert!(packages.contains_key(&row.package), "{row:?}");
        }
    }
}
