//! Which changes have been seen lately, by `meta.id`: repeats are dropped without asking anyone. Pure, and of bounded size.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many identities one generation holds; the two together reach back at least so many changes. Every rewind brings at most
/// the changes of some seconds again, about 600 at peak times; 32,768 are six minutes then, and cost about 1 MB.
const GENERATION_MAX: usize = 32_768;

/// An identity, shortened to 128 bits: a UUID is that long anyway, and two others do not meet by chance.
pub type Key = u128;

/// A window over the last identities, in two generations: when the younger is full, the older is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    young: HashSet<Key>,
    old: HashSet<Key>,
}

impl Seen {
    /// Notes an identity; false when it was there.
    pub(crate) fn insert(&mut self, key: Key) -> bool {
        if self.old.contains(&key) || !self.young.insert(key) {
            return false;
        }
        if self.young.len() >= GENERATION_MAX {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        true
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

/// The key of an identity.
pub(crate) fn key(meta_id: &str) -> Key {
    uuid(meta_id).unwrap_or_else(|| {
        let half = |seed: u8| {
            let mut hasher = DefaultHasher::new();
            (seed, meta_id).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        half(0) << 64 | half(1)
    })
}

/// The number of a UUID in its usual form, in lower case: upper case would be another text.
fn uuid(text: &str) -> Option<Key> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut number = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let digit = match (at, byte) {
            (8 | 13 | 18 | 23, b'-') => continue,
            (_, b'0'..=b'9') => byte - b'0',
            (_, b'a'..=b'f') => byte - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | Key::from(digit);
    }
    // A dash where a digit belongs leaves fewer than 32 digits.
    let dashes = bytes.iter().filter(|byte| **byte == b'-').count();
    (dashes == 4).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_at_least_one_generation_and_at_most_two() {
        let mut seen = Seen::default();
        let window = GENERATION_MAX as Key;
        assert!((0..3 * window).all(|key| seen.insert(key)));
        assert!((2 * window..3 * window).all(|key| !seen.insert(key)));
        assert!(seen.young.len() + seen.old.len() <= 2 * GENERATION_MAX);
        assert!(seen.insert(0), "forgotten");
        seen.clear();
        assert!(seen.insert(3 * window - 1));
    }

    #[test]
    fn keys_differ_where_identities_differ() {
        let ids = [
            "c5219ea1-d1b4-4b0e-a402-5fc64f71a92b",
            "c5219ea1-d1b4-4b0e-a402-5fc64f71a92c",
            "C5219EA1-d1b4-4b0e-a402-5fc64f71a92b",
            "c5219ea1d-1b4-4b0e-a402-5fc64f71a92b",
            "",
            "7",
        ];
        let keys: HashSet<Key> = ids.iter().map(|id| key(id)).collect();
        assert_eq!(keys.len(), ids.len());
        assert_eq!(key(ids[0]), 0xc521_9ea1_d1b4_4b0e_a402_5fc6_4f71_a92b);
    }
}
