//! The pinned versions of third-party programs, from `peers.lock`.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// One pinned peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    pub(crate) ecosystem: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// The checksum, which the ecosystem's own tool verifies; `None` if there is none.
    pub(crate) checksum: Option<String>,
}

/// All pinned peers.
#[derive(Debug)]
pub(crate) struct Lock(Vec<Pin>);

impl Lock {
    /// Reads `xtask/peers.lock`.
    ///
    /// # Errors
    /// Fails when the file cannot be read or a line does not have four fields.
    pub(crate) fn read() -> Result<Self> {
        let path = workspace::root().join("xtask/peers.lock");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("read {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut pins = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields[..] {
                [] => {}
                [ecosystem, name, version, checksum] => pins.push(Pin {
                    ecosystem: ecosystem.to_owned(),
                    name: name.to_owned(),
                    version: version.to_owned(),
                    checksum: (checksum != "-").then(|| checksum.to_owned()),
                }),
                _ => bail!(
                    "line {}: expected ecosystem, name, version and checksum, found `{line}`",
                    number + 1
                ),
            }
        }
        Ok(Self(pins))
    }

    /// Returns all pins of `ecosystem`.
    pub(crate) fn pins<'a>(&'a self, ecosystem: &'a str) -> impl Iterator<Item = &'a Pin> {
        self.0.iter().filter(move |pin| pin.ecosystem == ecosystem)
    }

    /// Returns the first pin of `ecosystem`.
    ///
    /// # Errors
    /// Fails when no peer of the ecosystem is pinned.
    pub(crate) fn pin<'a>(&'a self, ecosystem: &'a str) -> Result<&'a Pin> {
        self.pins(ecosystem)
            .next()
            .with_context(|| format!("peers.lock pins nothing of `{ecosystem}`"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot run should stop")]

    use super::*;

    #[test]
    fn a_line_with_a_field_missing_is_named() {
        let error = Lock::parse("# peers\n\npypi pyvmomi 9.1.1.0\n")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("line 3: expected ecosystem"), "{error}");
    }

    #[test]
    fn the_go_module_file_names_the_pinned_version() {
        let lock = Lock::read().unwrap();
        let pin = lock.pin("go").unwrap();
        let folder = workspace::root().join("xtask/peers");
        let requires = format!("require {} {}", pin.name, pin.version);
        assert!(
            fs::read_to_string(folder.join("go.mod"))
                .unwrap()
                .lines()
                .any(|line| line == requires)
        );
        let sum = format!(
            "{} {} {}",
            pin.name,
            pin.version,
            pin.checksum.as_deref().unwrap()
        );
        assert!(
            fs::read_to_string(folder.join("go.sum"))
                .unwrap()
                .lines()
                .any(|line| line == sum)
        );
    }

    #[test]
    fn the_workspace_of_each_crate_has_the_pinned_version() {
        let lock = Lock::read().unwrap();
        assert!(lock.pins("crates").count() > 0);
        for pin in lock.pins("crates") {
            let folder = workspace::root().join("xtask/peers").join(&pin.name);
            let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
            let requires = format!("{} = {{ version = \"={}\"", pin.name, pin.version);
            assert!(manifest.lines().any(|line| line.starts_with(&requires)));
            let locked = fs::read_to_string(folder.join("Cargo.lock")).unwrap();
            let checksum = pin.checksum.as_deref().unwrap();
            let checksum = checksum.trim_start_matches("sha256:");
            let named = format!("name = \"{}\"\nversion = \"{}\"", pin.name, pin.version);
            let checked = format!("checksum = \"{checksum}\"");
            let mut packages = locked.split("[[package]]");
            assert!(packages.any(|package| package.contains(&named) && package.contains(&checked)));
        }
    }
}
