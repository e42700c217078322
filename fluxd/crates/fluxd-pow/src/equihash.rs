//! Equihash verification: 200,9 and 48,5 as Zcash, 144,5 with another personalization, 125,4 ("ZelHash") with a twist
//! in the hash generation. Mirrors `src/crypto/equihash.cpp`. The solver is for the small parameters of private networks.

use blake2b_simd::{Params, State};
use fluxd_primitives::codec::Reader;

/// Bits of a BLAKE2b digest that are cut into strings.
const DIGEST_BITS: u32 = 512;
/// The twisted hash sums runs of digests that begin at multiples of this.
const TWIST_RUN: u32 = 16;
/// In the twisted hash, the last byte of each 16-byte string keeps its upper five bits: 125 of 128.
const TWIST_STRING_BYTES: usize = 16;
const TWIST_MASK: u8 = 0xf8;

/// A parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// Bits of a string.
    pub n: u32,
    /// Rounds of collisions; a solution has 2^k indices.
    pub k: u32,
}

/// Why a solution is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EquihashError {
    /// No parameter set has solutions of this length.
    #[error("no parameters have solutions of {0} bytes")]
    UnknownLength(usize),
    /// Two strings that should agree on their leading bits do not.
    #[error("strings do not collide in round {0}")]
    NoCollision(u32),
    /// The smaller index of a pair comes second.
    #[error("index tree is not ordered in round {0}")]
    Unordered(u32),
    /// An index is used twice.
    #[error("duplicate indices")]
    Duplicate,
    /// The last bits do not cancel.
    #[error("strings do not cancel out")]
    NotZero,
}

impl Parameters {
    /// Used up to the first fork.
    pub const EQUIHASH_200_9: Self = Self { n: 200, k: 9 };
    /// Used from the first fork.
    pub const EQUIHASH_144_5: Self = Self { n: 144, k: 5 };
    /// Known to the verifier, used by no network.
    pub const EQUIHASH_96_5: Self = Self { n: 96, k: 5 };
    /// ZelHash, used from the second fork.
    pub const ZELHASH_125_4: Self = Self { n: 125, k: 4 };
    /// Test networks.
    pub const EQUIHASH_48_5: Self = Self { n: 48, k: 5 };

    const ALL: [Self; 5] = [
        Self::EQUIHASH_200_9,
        Self::EQUIHASH_144_5,
        Self::EQUIHASH_96_5,
        Self::ZELHASH_125_4,
        Self::EQUIHASH_48_5,
    ];

    /// The parameter set whose solutions have `length` bytes.
    ///
    /// # Errors
    /// There is none.
    pub fn of_solution(length: usize) -> Result<Self, EquihashError> {
        Self::ALL
            .into_iter()
            .find(|parameters| parameters.solution_size() == length)
            .ok_or(EquihashError::UnknownLength(length))
    }

    /// Bytes of a solution.
    #[must_use]
    pub fn solution_size(self) -> usize {
        self.index_count() * (self.collision_bits() + 1) / 8
    }

    fn index_count(self) -> usize {
        1 << self.k
    }

    fn collision_bits(self) -> usize {
        usize::try_from(self.n / (self.k + 1)).unwrap_or(usize::MAX)
    }

    fn strings_per_digest(self) -> u32 {
        DIGEST_BITS / self.n
    }

    fn string_bytes(self) -> usize {
        usize::try_from(self.n.div_ceil(8)).unwrap_or(usize::MAX)
    }

    fn is_twisted(self) -> bool {
        self == Self::ZELHASH_125_4
    }

    fn state(self, input: &[u8]) -> State {
        let zel = self == Self::EQUIHASH_144_5 || self == Self::ZELHASH_125_4;
        let prefix: &[u8; 8] = if zel { b"ZelProof" } else { b"ZcashPoW" };
        let personal = [&prefix[..], &self.n.to_le_bytes(), &self.k.to_le_bytes()].concat();
        let strings = usize::try_from(self.strings_per_digest()).unwrap_or(usize::MAX);
        let mut state =
            Params::new().hash_length(strings * self.string_bytes()).personal(&personal).to_state();
        state.update(input);
        state
    }
}

/// Verifies a solution for `input`, which is the 108 common bytes of a header followed by its nonce.
///
/// # Errors
/// The property of a solution that does not hold.
pub fn verify(parameters: Parameters, input: &[u8], solution: &[u8]) -> Result<(), EquihashError> {
    let indices = unpack(solution, parameters.collision_bits() + 1);
    if indices.len() != parameters.index_count() {
        return Err(EquihashError::UnknownLength(solution.len()));
    }
    let mut sorted = indices.clone();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(EquihashError::Duplicate);
    }

    let state = parameters.state(input);
    let mut rows: Vec<Row> = indices
        .into_iter()
        .map(|index| Row {
            first_index: index,
            groups: unpack(&string(parameters, &state, index), parameters.collision_bits()),
        })
        .collect();
    for round in 0..parameters.k {
        rows = rows.chunks(2).map(|pair| merge(pair, round)).collect::<Result<_, _>>()?;
    }
    match rows.as_slice() {
        [row] if row.groups.iter().all(|group| *group == 0) => Ok(()),
        _ => Err(EquihashError::NotZero),
    }
}

/// A solution for `input`, which is the 108 common bytes of a header followed by its nonce, if there is one. Time and memory
/// grow with two to the power of the collision bits: usable for the parameters of private networks only.
#[must_use]
pub fn solve(parameters: Parameters, input: &[u8]) -> Option<Vec<u8>> {
    let state = parameters.state(input);
    let bits = parameters.collision_bits();
    let count = 1_u32.checked_shl(u32::try_from(bits).ok()?.checked_add(1)?)?;
    let mut rows: Vec<Tree> = (0..count)
        .map(|index| Tree { indices: vec![index], groups: unpack(&string(parameters, &state, index), bits) })
        .collect();
    for round in 1..=parameters.k {
        rows = collide(rows, round == parameters.k);
    }
    let solutions = rows.into_iter().map(|row| pack(&row.indices, bits + 1));
    solutions.into_iter().find(|solution| verify(parameters, input, solution).is_ok())
}

/// A subtree of a possible solution: its indices in order, and what is left of the XOR of their strings.
struct Tree {
    indices: Vec<u32>,
    groups: Vec<u32>,
}

/// All pairs that agree on their first group, and in the last round on all groups.
fn collide(mut rows: Vec<Tree>, is_last: bool) -> Vec<Tree> {
    rows.sort_by(|a, b| a.groups.cmp(&b.groups));
    let mut merged = Vec::new();
    for run in rows.chunk_by(|a, b| a.groups.first() == b.groups.first()) {
        for (place, a) in run.iter().enumerate() {
            for b in run.iter().skip(place + 1) {
                let groups: Vec<u32> = a.groups.iter().zip(&b.groups).skip(1).map(|(a, b)| a ^ b).collect();
                let distinct = a.indices.iter().all(|index| !b.indices.contains(index));
                let wanted = if is_last { groups.iter().all(|group| *group == 0) } else { true };
                if distinct && wanted {
                    let (first, second) = if a.indices.first() < b.indices.first() { (a, b) } else { (b, a) };
                    let indices = first.indices.iter().chain(&second.indices).copied().collect();
                    merged.push(Tree { indices, groups });
                }
            }
        }
    }
    merged
}

/// Packs numbers of a width, most significant bit first.
fn pack(numbers: &[u32], bits: usize) -> Vec<u8> {
    let (mut bytes, mut buffer, mut filled) = (Vec::new(), 0_u64, 0);
    for number in numbers {
        buffer = buffer << bits | u64::from(*number);
        filled += bits;
        while filled >= 8 {
            filled -= 8;
            bytes.push(u8::try_from(buffer >> filled & 0xff).unwrap_or_default());
        }
        buffer &= (1 << filled) - 1;
    }
    bytes
}

/// A node of the tree: what is left of the XOR of its strings, in groups of collision bits.
struct Row {
    first_index: u32,
    groups: Vec<u32>,
}

fn merge(pair: &[Row], round: u32) -> Result<Row, EquihashError> {
    let [left, right] = pair else {
        return Err(EquihashError::NoCollision(round));
    };
    if left.groups.first() != right.groups.first() {
        return Err(EquihashError::NoCollision(round));
    }
    if left.first_index > right.first_index {
        return Err(EquihashError::Unordered(round));
    }
    let groups = left.groups.iter().zip(&right.groups).skip(1).map(|(a, b)| a ^ b).collect();
    Ok(Row { first_index: left.first_index, groups })
}

/// The string of an index: a slice of the digest that several neighbouring indices share.
fn string(parameters: Parameters, state: &State, index: u32) -> Vec<u8> {
    let strings = parameters.strings_per_digest();
    let digest = if parameters.is_twisted() {
        twisted_digest(state, index / strings)
    } else {
        digest(state, index / strings)
    };
    let position = usize::try_from(index % strings).unwrap_or(usize::MAX);
    digest.chunks(parameters.string_bytes()).nth(position).unwrap_or_default().to_vec()
}

fn digest(state: &State, number: u32) -> Vec<u8> {
    state.clone().update(&number.to_le_bytes()).finalize().as_bytes().to_vec()
}

/// Sums the digests from the start of the run up to `number` as sixteen 32-bit words, then masks each string.
fn twisted_digest(state: &State, number: u32) -> Vec<u8> {
    let mut words = [0_u32; 16];
    for member in number - number % TWIST_RUN..=number {
        let digest = digest(state, member);
        let mut reader = Reader::new(&digest);
        for word in &mut words {
            *word = word.wrapping_add(reader.u32_le().unwrap_or_default());
        }
    }
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    for last in bytes.iter_mut().skip(TWIST_STRING_BYTES - 1).step_by(TWIST_STRING_BYTES) {
        *last &= TWIST_MASK;
    }
    bytes
}

/// Cuts bytes into big-endian groups of `bits` (at most 25); an incomplete last group is dropped.
fn unpack(bytes: &[u8], bits: usize) -> Vec<u32> {
    let mask = (1_u64 << bits) - 1;
    let (mut held, mut value) = (0, 0_u64);
    let mut groups = Vec::with_capacity(bytes.len() * 8 / bits);
    for byte in bytes {
        value = (value << 8 | u64::from(*byte)) & 0xffff_ffff_ffff;
        held += 8;
        if held >= bits {
            held -= bits;
            groups.push(u32::try_from(value >> held & mask).unwrap_or_default());
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solution_lengths_select_the_parameters() {
        for (length, n, k) in [(1344, 200, 9), (100, 144, 5), (68, 96, 5), (52, 125, 4), (36, 48, 5)] {
            assert_eq!(Parameters::of_solution(length), Ok(Parameters { n, k }));
        }
        assert_eq!(Parameters::of_solution(0), Err(EquihashError::UnknownLength(0)));
    }

    #[test]
    fn groups_are_cut_across_bytes() {
        assert_eq!(unpack(&[0b1010_1010, 0b1100_1100, 0b1111_0000], 9), [0b1_0101_0101, 0b1_0011_0011]);
    }
}
