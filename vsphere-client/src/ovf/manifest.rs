//! Manifests of OVF packages: a digest for each file.

use std::fmt::Write as _;

use bytes::Bytes;
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha512};

use crate::nfc::hexadecimal;

/// The digest algorithms that manifests use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

/// A line of a manifest: the digest of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) file: String,
    pub(super) algorithm: Algorithm,
    /// In lower-case hexadecimal digits.
    pub(super) digest: String,
}

/// Reads a manifest, whose lines have the form `SHA256(disk.vmdk)= 1f2e…`. `None` if a line has
/// another form.
pub(super) fn parse(text: &str) -> Option<Vec<Line>> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.filter(|line| !line.is_empty()).map(line).collect()
}

fn line(text: &str) -> Option<Line> {
    let (algorithm, rest) = text.split_once('(')?;
    let algorithm = match algorithm.trim().to_ascii_uppercase().as_str() {
        "SHA1" => Algorithm::Sha1,
        "SHA256" => Algorithm::Sha256,
        "SHA512" => Algorithm::Sha512,
        _ => return None,
    };
    // Names may contain parentheses and equals signs; digests do not.
    let (file, digest) = rest.rsplit_once('=')?;
    let file = file.trim_end().strip_suffix(')')?;
    let digest = digest.trim().to_ascii_lowercase();
    let is_digest = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_digest && digest.len() == algorithm.digits()).then(|| Line {
        file: plain(file).to_owned(),
        algorithm,
        digest,
    })
}

/// Returns the line of a file.
pub(super) fn format(file: &str, sha256: &str) -> String {
    let mut line = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(line, "SHA256({file})= {sha256}");
    line
}

/// Returns a name in a package without the `./` that some writers put in front.
pub(super) fn plain(name: &str) -> &str {
    name.trim_start_matches("./")
}

impl Algorithm {
    const fn digits(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The digests of one file, by one algorithm or by all.
#[derive(Clone, Default)]
pub(super) struct Digests {
    sha1: Option<Sha1>,
    sha256: Option<Sha256>,
    sha512: Option<Sha512>,
}

impl Digests {
    /// Computes the digests that these lines need; without lines, those that a manifest may need
    /// that comes later.
    pub(super) fn needed(by: Option<&[Line]>, file: &str) -> Self {
        let needs = |algorithm| match by {
            None => true,
            Some(lines) => lines
                .iter()
                .any(|line| line.file == file && line.algorithm == algorithm),
        };
        Self {
            sha1: needs(Algorithm::Sha1).then(Sha1::new),
            sha256: needs(Algorithm::Sha256).then(Sha256::new),
            sha512: needs(Algorithm::Sha512).then(Sha512::new),
        }
    }

    pub(super) fn update(&mut self, piece: &Bytes) {
        if let Some(digest) = &mut self.sha1 {
            digest.update(piece);
        }
        if let Some(digest) = &mut self.sha256 {
            digest.update(piece);
        }
        if let Some(digest) = &mut self.sha512 {
            digest.update(piece);
        }
    }

    pub(super) fn finish(self) -> Finished {
        Finished {
            sha1: self.sha1.map(|digest| hexadecimal(&digest.finalize())),
            sha256: self.sha256.map(|digest| hexadecimal(&digest.finalize())),
            sha512: self.sha512.map(|digest| hexadecimal(&digest.finalize())),
        }
    }
}

/// The digests of a file in lower-case hexadecimal digits.
#[derive(Clone, Debug, Default)]
pub(super) struct Finished {
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
    sha512: Option<String>,
}

impl Finished {
    pub(super) fn get(&self, algorithm: Algorithm) -> Option<&str> {
        match algorithm {
            Algorithm::Sha1 => self.sha1.as_deref(),
            Algorithm::Sha256 => self.sha256.as_deref(),
            Algorithm::Sha512 => self.sha512.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn manifests_of_different_writers_are_read() {
        let one = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let text = format!(
            "SHA1 (./a.ovf) = {one}\r\n\nsha256(b (1)=.vmdk)= {}\nSHA512(c)={}\n",
            "AB".repeat(32),
            "0".repeat(128)
        );
        let lines = parse(&text).unwrap();
        let names: Vec<_> = lines
            .iter()
            .map(|line| (&*line.file, line.algorithm))
            .collect();
        assert_eq!(
            names,
            [
                ("a.ovf", Algorithm::Sha1),
                ("b (1)=.vmdk", Algorithm::Sha256),
                ("c", Algorithm::Sha512)
            ]
        );
        assert_eq!(lines[1].digest, "ab".repeat(32));
        let mut digests = Digests::needed(Some(&lines), "a.ovf");
        digests.update(&Bytes::from_static(b"abc"));
        let finished = digests.finish();
        assert_eq!(finished.get(Algorithm::Sha1), Some(one));
        assert_eq!(finished.get(Algorithm::Sha256), None);
        assert_eq!(parse(&format("a", &"0".repeat(64))).unwrap().len(), 1);
    }

    #[test]
    fn other_lines_are_refused() {
        for text in [
            "MD5(a)= 00",
            "SHA1(a)= 00",
            "SHA1 a = a9993e364706816aba3e25717850c26c9cd0d89d",
            "SHA1(a= a9993e364706816aba3e25717850c26c9cd0d89d",
            "SHA1(a)= x9993e364706816aba3e25717850c26c9cd0d89d",
            "hello",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
