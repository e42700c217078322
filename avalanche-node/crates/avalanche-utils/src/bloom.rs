//! The bloom filter of peer gossip: a count of hash seeds, the seeds, then the bits. Mirrors `utils/bloom`.

use sha2::{Digest, Sha256};

const MIN_HASHES: usize = 1;
const MAX_HASHES: usize = 16;
const MIN_ENTRIES: usize = 1;
const ROTATION: u32 = 17;

/// How large a filter is made, and when it is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Hash seeds.
    pub hashes: usize,
    /// Bytes of bits.
    pub entries: usize,
    /// Additions after which the filter has reached its highest rate of false positives.
    pub max_count: usize,
}

impl Size {
    /// For `count` keys at the rate `target` of false positives, full at the rate `max`; both lie between 0 and 1.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // saturating, positive
    pub fn optimal(count: usize, target: f64, max: f64) -> Self {
        let keys = count.max(1) as f64;
        let ln2 = std::f64::consts::LN_2;
        let bits = -keys * target.ln() / (ln2 * ln2);
        let entries = (((bits + 7.0) / 8.0) as usize).max(MIN_ENTRIES);
        let bits = (entries as f64) * 8.0;
        let hashes = ((bits * ln2 / keys).ceil() as usize).clamp(MIN_HASHES, MAX_HASHES);
        let share = 1.0 / hashes as f64;
        let max_count = (-(1.0 - max.powf(share)).ln() * bits * share).ceil() as usize;
        Self { hashes, entries, max_count }
    }
}

/// Why bytes are not a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BloomError {
    /// No bytes at all, or more or fewer seeds than allowed.
    #[error("{0} hash seeds are not in 1..=16")]
    Hashes(usize),
    /// The bytes end before the last seed, or no bits follow it.
    #[error("too few entries")]
    TooFewEntries,
}

/// A filter over 64-bit hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    seeds: Vec<u64>,
    entries: Vec<u8>,
}

/// The hash by which a key is looked up: the first eight bytes of SHA-256 of key and salt.
#[must_use]
pub fn hash(key: &[u8], salt: &[u8]) -> u64 {
    let digest: [u8; 32] = Sha256::new().chain_update(key).chain_update(salt).finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Filter {
    /// An empty filter with these seeds and this many bytes of bits.
    ///
    /// # Errors
    /// Not 1..=16 seeds, or no entries.
    pub fn new(seeds: Vec<u64>, entries: usize) -> Result<Self, BloomError> {
        if !(MIN_HASHES..=MAX_HASHES).contains(&seeds.len()) {
            return Err(BloomError::Hashes(seeds.len()));
        }
        if entries < MIN_ENTRIES {
            return Err(BloomError::TooFewEntries);
        }
        Ok(Self { seeds, entries: vec![0; entries] })
    }

    /// Reads a filter.
    ///
    /// # Errors
    /// As [`BloomError`] says.
    pub fn parse(bytes: &[u8]) -> Result<Self, BloomError> {
        let (&count, rest) = bytes.split_first().ok_or(BloomError::Hashes(0))?;
        let count = usize::from(count);
        if !(MIN_HASHES..=MAX_HASHES).contains(&count) {
            return Err(BloomError::Hashes(count));
        }
        let (seeds, entries) = rest.split_at_checked(count * 8).ok_or(BloomError::TooFewEntries)?;
        if entries.len() < MIN_ENTRIES {
            return Err(BloomError::TooFewEntries);
        }
        let seeds = seeds.as_chunks::<8>().0.iter().map(|seed| u64::from_be_bytes(*seed)).collect();
        Ok(Self { seeds, entries: entries.to_vec() })
    }

    /// The wire form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::try_from(self.seeds.len()).unwrap_or_default()];
        bytes.extend(self.seeds.iter().flat_map(|seed| seed.to_be_bytes()));
        bytes.extend_from_slice(&self.entries);
        bytes
    }

    /// True when the hash was added, and sometimes otherwise.
    #[must_use]
    pub fn contains(&self, hash: u64) -> bool {
        self.positions(hash).all(|(byte, bit)| self.entries.get(byte).is_some_and(|entry| entry & bit != 0))
    }

    /// Adds a hash; false when it seemed to be there already.
    pub fn add(&mut self, hash: u64) -> bool {
        let mut changed = false;
        let positions: Vec<_> = self.positions(hash).collect();
        for (byte, bit) in positions {
            if let Some(entry) = self.entries.get_mut(byte) {
                changed |= *entry & bit == 0;
                *entry |= bit;
            }
        }
        changed
    }

    fn positions(&self, mut hash: u64) -> impl Iterator<Item = (usize, u8)> + '_ {
        let bits = u64::try_from(self.entries.len()).unwrap_or(u64::MAX).saturating_mul(8);
        self.seeds.iter().map(move |seed| {
            hash = hash.rotate_left(ROTATION) ^ seed;
            let bit = hash % bits; // never zero: a filter has at least one byte
            (usize::try_from(bit / 8).unwrap_or(usize::MAX), 1 << (bit % 8))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_filter_parses_and_an_empty_one_does_not() {
        assert!(Filter::parse(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_ok());
        assert_eq!(Filter::parse(&[]), Err(BloomError::Hashes(0)));
        assert_eq!(Filter::parse(&[17]), Err(BloomError::Hashes(17)));
        assert_eq!(Filter::parse(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(BloomError::TooFewEntries));
    }

    #[test]
    fn the_size_of_the_gossip_filter_is_that_of_the_network() {
        assert_eq!(Size::optimal(128, 0.001, 0.01), Size { hashes: 10, entries: 230, max_count: 184 });
    }

    #[test]
    fn what_was_added_is_contained() {
        let mut filter = Filter::new(vec![3, 5, 7], 64).unwrap();
        let key = hash(b"key", b"salt");
        assert!(!filter.contains(key));
        assert!(filter.add(key));
        assert!(!filter.add(key));
        assert!(Filter::parse(&filter.to_bytes()).unwrap().contains(key));
    }
}
