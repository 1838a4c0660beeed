//! Reproducible identifiers, generated from a seed.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A generator of identifiers. Generators with the same seed return the same identifiers in
/// the same order.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    seed: u64,
    drawn: u64,
    numbers: u64,
}

impl Ids {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: 0,
            numbers: 0,
        }
    }

    /// Returns how many numbers and how many UUIDs were generated so far.
    pub(crate) const fn position(&self) -> (u64, u64) {
        (self.numbers, self.drawn)
    }

    /// Continues after the position of a previous run.
    pub(crate) const fn resume(&mut self, numbers: u64, drawn: u64) {
        self.numbers = numbers;
        self.drawn = drawn;
    }

    /// Returns the next number, starting at 1.
    pub(crate) const fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Returns the next pseudo-random bytes. They are predictable: do not use them for
    /// secrets.
    pub(crate) fn bytes(&mut self) -> [u8; 16] {
        self.drawn += 1;
        let mut digest = Sha256::new();
        digest.update(self.seed.to_be_bytes());
        digest.update(self.drawn.to_be_bytes());
        let digest = digest.finalize();
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(digest) {
            *to = from;
        }
        bytes
    }

    /// Generates a content id for a disk, avoiding the reserved values.
    pub(crate) fn cid(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.bytes();
        u32::from_be_bytes([a, b, c, d]).clamp(1, u32::MAX - 2)
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_ids_again() {
        let draw = |seed| {
            let mut ids = Ids::new(seed);
            [ids.uuid(), ids.uuid()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_ne!(draw(7)[0], draw(7)[1]);
    }
}
