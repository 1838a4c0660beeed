//! The API versions that the server lists.

use vim25::ApiVersion;

/// The version that the server reports unless another one is set.
pub(crate) const DEFAULT: &str = "8.0.3.0";

/// The oldest version of the API that clients of `urn:vim25` can speak.
pub(crate) const OLDEST: ApiVersion = ApiVersion::new(2, 5, 0, 0);

/// The versions that real servers list, newest first.
const KNOWN: [&str; 12] = [
    "8.0.3.0", "8.0.2.0", "8.0.1.0", "8.0.0.1", "8.0.0.0", "7.0.3.0", "7.0.2.0", "7.0.1.0",
    "7.0.0.0", "6.7", "6.5", "6.0",
];

/// Returns whether a server can report a version: numbers and dots, in the range of the API.
pub(crate) fn is_valid(version: &str) -> bool {
    let is_plain = version.chars().all(|c| c.is_ascii_digit() || c == '.');
    let parsed = version.parse().ok().filter(|_| is_plain);
    parsed.is_some_and(|version: ApiVersion| (OLDEST..=ApiVersion::LATEST).contains(&version))
}

/// Returns the known versions that are older than one, newest first.
pub(crate) fn prior(version: &str) -> impl Iterator<Item = &'static str> {
    let newest: Option<ApiVersion> = version.parse().ok();
    let is_older = move |known: &&str| known.parse().ok() < newest;
    KNOWN.into_iter().filter(is_older)
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT, is_valid, prior};

    #[test]
    fn versions_are_numbers_in_the_range_of_the_api() {
        for version in [DEFAULT, "2.5", "6.7", "6.7.3", "7.0.0.0", "9.1.0.0"] {
            assert!(is_valid(version), "{version}");
        }
        for version in [
            "",
            "8.",
            "v8",
            "+8.0",
            " 8.0",
            "8.0.3.0.0",
            "8.0<",
            "2.4",
            "9.1.0.1",
            "99999",
        ] {
            assert!(!is_valid(version), "{version}");
        }
    }

    #[test]
    fn only_older_versions_are_prior() {
        assert_eq!(prior("6.7").collect::<Vec<_>>(), ["6.5", "6.0"]);
        assert_eq!(prior("6.7.1").next(), Some("6.7"));
        assert_eq!(prior("9.0.0.0").next(), Some("8.0.3.0"));
        assert_eq!(prior(DEFAULT).next(), Some("8.0.2.0"));
        assert_eq!(prior("5.5").count(), 0);
    }
}
