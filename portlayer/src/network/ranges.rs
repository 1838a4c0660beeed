//! Sets of IPv4 addresses as ranges.

use std::collections::BTreeMap;

/// A set of numbers, stored as ranges that neither overlap nor touch. Memory grows with the number
/// of ranges, and operations are logarithmic in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    /// The last number of each range, keyed by its first number.
    ranges: BTreeMap<u32, u32>,
    len: u64,
}

impl Ranges {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Returns the number of ranges that the set consists of.
    pub(super) fn count(&self) -> usize {
        self.ranges.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.ranges.iter().map(|(first, last)| (*first, *last))
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.around(number).is_some()
    }

    /// Returns the range that contains this number.
    fn around(&self, number: u32) -> Option<(u32, u32)> {
        let (first, last) = self.ranges.range(..=number).next_back()?;
        (*last >= number).then_some((*first, *last))
    }

    /// Returns the smallest member that is not below this number.
    pub(super) fn at_or_after(&self, number: u32) -> Option<u32> {
        if self.contains(number) {
            return Some(number);
        }
        self.ranges.range(number..).next().map(|(first, _)| *first)
    }

    /// Returns the member that has this many smaller members.
    pub(super) fn nth(&self, mut position: u64) -> Option<u32> {
        for (first, last) in self.iter() {
            let size = size(first, last);
            if position < size {
                return u32::try_from(u64::from(first) + position).ok();
            }
            position -= size;
        }
        None
    }

    /// Adds one number. Returns whether it was not in the set before.
    pub(super) fn insert(&mut self, number: u32) -> bool {
        if self.contains(number) {
            return false;
        }
        self.insert_range(number, number);
        true
    }

    /// Adds all numbers from the first to the last, both included.
    pub(super) fn insert_range(&mut self, first: u32, last: u32) {
        if first > last {
            return;
        }
        let (mut from, mut to) = (first, last);
        // Merge all ranges that overlap or touch the new one.
        loop {
            let reach = to.saturating_add(1);
            let Some((f, l)) = self.ranges.range(..=reach).next_back() else {
                break;
            };
            let (f, l) = (*f, *l);
            if l.saturating_add(1) < from {
                break;
            }
            self.ranges.remove(&f);
            self.len -= size(f, l);
            (from, to) = (from.min(f), to.max(l));
        }
        self.ranges.insert(from, to);
        self.len += size(from, to);
    }

    /// Removes one number. Returns whether it was in the set.
    pub(super) fn remove(&mut self, number: u32) -> bool {
        let Some((first, last)) = self.around(number) else {
            return false;
        };
        if number == first {
            self.ranges.remove(&first);
        } else {
            self.ranges.insert(first, number - 1);
        }
        if number < last {
            self.ranges.insert(number + 1, last);
        }
        self.len -= 1;
        true
    }
}

fn size(first: u32, last: u32) -> u64 {
    u64::from(last) - u64::from(first) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Debug)]
    enum Change {
        Insert(u32, u32),
        Remove(u32),
    }

    fn change() -> impl Strategy<Value = Change> {
        // Numbers at both ends of the type's range, where sums overflow.
        let number = prop_oneof![0..40u32, (u32::MAX - 40)..=u32::MAX];
        prop_oneof![
            (number.clone(), 0..8u32).prop_map(|(n, m)| Change::Insert(n, n.saturating_add(m))),
            number.prop_map(Change::Remove),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_set_of_numbers(changes in prop::collection::vec(change(), 0..60)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for change in changes {
                match change {
                    Change::Insert(first, last) => {
                        ranges.insert_range(first, last);
                        set.extend(first..=last);
                    }
                    Change::Remove(number) => {
                        prop_assert_eq!(ranges.remove(number), set.remove(&number));
                    }
                }
                prop_assert_eq!(ranges.len(), set.len() as u64);
                let listed: Vec<_> = ranges.iter().flat_map(|(a, b)| a..=b).collect();
                prop_assert_eq!(&listed, &set.iter().copied().collect::<Vec<_>>());
                let apart = |pair: &[(u32, u32)]| pair[0].1 < pair[1].0 - 1;
                let all: Vec<_> = ranges.iter().collect();
                prop_assert!(all.windows(2).all(apart), "{:?}", all);
            }
            for (position, number) in set.iter().enumerate() {
                prop_assert_eq!(ranges.nth(position as u64), Some(*number));
                prop_assert!(ranges.contains(*number));
            }
            prop_assert_eq!(ranges.nth(set.len() as u64), None);
            for number in [0, 7, 20, u32::MAX - 9, u32::MAX] {
                prop_assert_eq!(ranges.at_or_after(number), set.range(number..).next().copied());
            }
        }
    }
}
