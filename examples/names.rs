//! Generates names for containers.

use portlayer::ContainerId;

const ADJECTIVES: [&str; 32] = [
    "amber", "brave", "brisk", "calm", "clever", "crisp", "daring", "eager", "fair", "fleet",
    "gentle", "glad", "hardy", "honest", "jolly", "keen", "lively", "lucky", "mellow", "merry",
    "nimble", "patient", "plucky", "proud", "quick", "quiet", "sharp", "steady", "sunny", "swift",
    "warm", "witty",
];

const NOUNS: [&str; 32] = [
    "badger", "beaver", "bison", "condor", "crane", "curlew", "dolphin", "falcon", "ferret",
    "finch", "gecko", "heron", "ibex", "jackdaw", "kestrel", "lemur", "lynx", "marmot", "marten",
    "newt", "otter", "owl", "pika", "plover", "puffin", "raven", "seal", "stoat", "swallow",
    "tapir", "toad", "wren",
];

/// Returns a name for the container with this id: an adjective and an animal. The same id
/// always results in the same name; two containers share a name with a probability of 1 in
/// 1,024.
#[must_use]
pub fn of(id: &ContainerId) -> String {
    let [first, second, ..] = *id.as_bytes();
    let pick = |words: &[&'static str; 32], byte: u8| words[usize::from(byte % 32)];
    format!("{}_{}", pick(&ADJECTIVES, first), pick(&NOUNS, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_adjective_and_a_noun_of_its_id() {
        let mut bytes = [0; 32];
        assert_eq!(of(&ContainerId::from_bytes(bytes)), "amber_badger");
        bytes[0] = 24;
        bytes[1] = 255;
        assert_eq!(of(&ContainerId::from_bytes(bytes)), "quick_wren");
    }
}
