//! Counts the packages that a user of our crates builds, so that growth is noticed, and checks
//! that the main example stays light.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, Metadata, PackageId};

use crate::process::{capture, cargo};

/// Packages that the main example must not build. They serve the examples that need SSH, a
/// registry or the types of Docker's API.
const HEAVY: &[&str] = &["russh", "oci-client", "bollard-stubs", "image-source"];

/// Checks that the packages that `cargo run --example hello_world` builds contain none of the
/// heavy ones.
pub(super) fn check_main_example() -> Result<()> {
    let edges = [
        "tree",
        "--locked",
        "--prefix",
        "none",
        "--edges",
        "normal,build,dev",
    ];
    let tree = capture(&mut cargo(edges))?;
    let built: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    if let Some(heavy) = HEAVY.iter().find(|heavy| built.contains(**heavy)) {
        bail!(
            "`cargo run --example hello_world` would build {heavy}; see `default-members` in \
             Cargo.toml"
        );
    }
    println!("{:<18} {:>4} packages", "hello_world", built.len());
    Ok(())
}

/// Prints, for each published crate of ours, how many third-party packages a program that
/// uses it builds, with all features enabled.
pub(super) fn print(metadata: &Metadata) -> Result<()> {
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo metadata returned no resolved graph")?;
    let graph: BTreeMap<&PackageId, Vec<&PackageId>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let normal = node.deps.iter().filter(|dependency| {
                dependency
                    .dep_kinds
                    .iter()
                    .any(|kind| kind.kind == DependencyKind::Normal)
            });
            (&node.id, normal.map(|dependency| &dependency.pkg).collect())
        })
        .collect();
    let ours: BTreeSet<&PackageId> = metadata.workspace_members.iter().collect();

    let mut all = BTreeSet::new();
    for package in metadata.workspace_packages() {
        if package.publish.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        let others: BTreeSet<&PackageId> = reachable(&graph, &package.id)
            .difference(&ours)
            .copied()
            .collect();
        println!("{:<18} {:>4} runtime packages", package.name, others.len());
        all.extend(others);
    }
    println!("{:<18} {:>4} runtime packages", "all crates", all.len());
    Ok(())
}

/// Returns everything that `from` depends on, including itself.
fn reachable<'a, T: Ord>(graph: &BTreeMap<&'a T, Vec<&'a T>>, from: &'a T) -> BTreeSet<&'a T> {
    let mut found = BTreeSet::from([from]);
    let mut ahead = vec![from];
    while let Some(next) = ahead.pop() {
        for dependency in graph.get(next).into_iter().flatten() {
            if found.insert(*dependency) {
                ahead.push(*dependency);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reachable_follows_cycles_once() {
        let graph = BTreeMap::from([(&1, vec![&2, &3]), (&2, vec![&1]), (&4, vec![&1])]);
        assert_eq!(reachable(&graph, &1), BTreeSet::from([&1, &2, &3]));
    }
}
