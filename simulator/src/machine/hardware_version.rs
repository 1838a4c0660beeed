//! The versions of virtual hardware: which ones there are, and which is the newest.

use std::fmt;

/// A version of virtual hardware, such as `vmx-21`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HardwareVersion(u16);

impl HardwareVersion {
    /// The oldest version that hosts create and run.
    const OLDEST: Self = Self(4);

    /// The newest version, that of new machines: the one of ESXi 8.0 U2 and U3.
    pub(crate) const NEWEST: Self = Self(21);

    /// Parses the name of a version, whether hosts support it or not. Leading zeros do not matter.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("vmx-")?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok().map(Self))?
    }

    /// Iterates over the versions that hosts support, oldest first.
    pub(crate) fn supported() -> impl Iterator<Item = Self> {
        let numbers = Self::OLDEST.0..=Self::NEWEST.0;
        numbers.map(Self).filter(|version| version.is_supported())
    }

    /// Returns whether hosts create and run machines of this version. There never was a version 5.
    pub(crate) fn is_supported(self) -> bool {
        self >= Self::OLDEST && self <= Self::NEWEST && self.0 != 5
    }

    /// Returns the number, as in `virtualHW.version` of a `.vmx` file.
    pub(crate) const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for HardwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vmx-{:02}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::HardwareVersion;

    #[test]
    fn versions_are_parsed_and_compared_by_number() {
        let parse = HardwareVersion::parse;
        for (name, shown) in [
            ("vmx-04", "vmx-04"),
            ("vmx-9", "vmx-09"),
            ("vmx-99", "vmx-99"),
        ] {
            assert_eq!(
                parse(name).map(|version| version.to_string()).as_deref(),
                Some(shown)
            );
        }
        for wrong in [
            "",
            "vmx-",
            "vmx-+9",
            "vmx--9",
            "vmx-x",
            "VMX-21",
            "21",
            "vmx-99999999",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert!(parse("vmx-9") < parse("vmx-10"));
        let supported = |name| parse(name).is_some_and(HardwareVersion::is_supported);
        assert!(supported("vmx-04") && supported("vmx-21"));
        assert!(!supported("vmx-03") && !supported("vmx-05") && !supported("vmx-22"));
        assert_eq!(
            HardwareVersion::supported().last(),
            Some(HardwareVersion::NEWEST)
        );
    }
}
