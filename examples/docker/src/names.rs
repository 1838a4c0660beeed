//! Names of containers: generating and validating them.

use portlayer::ContainerId;

const ADJECTIVES: [&str; 32] = [
    "agile", "amber", "brave", "brisk", "calm", "clever", "crisp", "curious", "daring", "eager",
    "fair", "gentle", "happy", "honest", "humble", "jolly", "jovial", "keen", "lively", "lucid",
    "merry", "modest", "noble", "patient", "proud", "quick", "quiet", "serene", "sharp", "steady",
    "vivid", "witty",
];
const SURNAMES: [&str; 32] = [
    "agnesi", "babbage", "backus", "bohr", "boole", "cerf", "cori", "curie", "darwin", "dijkstra",
    "euler", "faraday", "fermat", "franklin", "galois", "gauss", "germain", "goodall", "hopper",
    "kepler", "knuth", "lamport", "liskov", "lovelace", "maxwell", "meitner", "noether", "pascal",
    "ride", "ritchie", "turing", "wilson",
];

/// Generates a name from a container's id. Each attempt for the same id returns another name.
pub(crate) fn generate(id: &ContainerId, attempt: u8) -> String {
    let bytes = id.as_bytes();
    let pick = |byte: u8, list: &[&'static str; 32]| list[usize::from(byte) % list.len()];
    let adjective = pick(bytes[0].wrapping_add(attempt), &ADJECTIVES);
    let surname = pick(bytes[1].wrapping_add(attempt.wrapping_mul(7)), &SURNAMES);
    if attempt < 4 {
        format!("{adjective}_{surname}")
    } else {
        format!("{adjective}_{surname}{}", bytes[2])
    }
}

/// Returns whether docker accepts the name.
pub(crate) fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() > 1
        && bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_are_valid_and_attempts_differ() {
        let id = ContainerId::generate();
        let names: std::collections::HashSet<_> = (0..8).map(|n| generate(&id, n)).collect();
        assert_eq!(names.len(), 8);
        assert!(names.iter().all(|name| is_valid(name)));
        assert!(!is_valid("a b") && !is_valid("-a") && !is_valid("a"));
    }
}
