//! SHA-256 as Bitcoin and the merged-mining proof use it: double hashes of fixed-size inputs, and a hash resumed from
//! a midstate. Works on the compression function, so that no message is copied twice, and on several messages in step.

use sha2::block_api::compress256;

/// Initial state.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// Bytes of a trimmed midstate: the count of bytes before it and eight state words.
pub const MIDSTATE_LEN: usize = 40;

/// Double hash of a Bitcoin header.
#[must_use]
pub fn sha256d_header(header: &[u8; 80]) -> [u8; 32] {
    let [hash] = sha256d_headers([header]);
    hash
}

/// Double hashes of Bitcoin headers, in step.
#[must_use]
pub fn sha256d_headers<const N: usize>(headers: [&[u8; 80]; N]) -> [[u8; 32]; N] {
    let blocks = headers.map(|header| {
        let mut blocks = [[0; 64]; 2];
        let [first, second] = &mut blocks;
        let (head, tail) = header.split_at(64);
        first.copy_from_slice(head);
        second[..16].copy_from_slice(tail);
        second[16] = 0x80;
        second[62..].copy_from_slice(&640_u16.to_be_bytes());
        blocks
    });
    let mut states = [INITIAL; N];
    compress(&mut states, &blocks.map(|[first, _]| first));
    compress(&mut states, &blocks.map(|[_, second]| second));
    sha256_of_states(&states)
}

/// Double hash of two 32-byte values one after the other.
#[must_use]
pub fn sha256d_pair(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let [hash] = sha256d_pairs([(left, right)]);
    hash
}

/// Double hashes of pairs of 32-byte values, in step.
#[must_use]
pub fn sha256d_pairs<const N: usize>(pairs: [(&[u8; 32], &[u8; 32]); N]) -> [[u8; 32]; N] {
    const PADDING: [u8; 64] = {
        let mut block = [0; 64];
        block[0] = 0x80;
        block[62] = 2; // 512 bits
        block
    };
    let blocks = pairs.map(|(left, right)| {
        let mut block = [0; 64];
        let (to_left, to_right) = block.split_at_mut(32);
        to_left.copy_from_slice(left);
        to_right.copy_from_slice(right);
        block
    });
    let mut states = [INITIAL; N];
    compress(&mut states, &blocks);
    compress(&mut states, &[PADDING; N]);
    sha256_of_states(&states)
}

/// Hash of the hash of a message whose beginning is only known as a trimmed midstate: an 8-byte big-endian count of
/// the bytes before it, then eight big-endian state words.
///
/// As in the reference (`SHA256Digest` of Bouncy Castle restored from a state without buffered bytes) the padding
/// aligns `tail` alone, and the length field is the wrapped sum of the count and the tail's length in bits: the count
/// need not be a multiple of 64.
#[must_use]
pub fn resume_and_hash_twice(midstate: &[u8; MIDSTATE_LEN], tail: &[u8]) -> [u8; 32] {
    let [hash] = resume_each_and_hash_twice([(midstate, tail)]);
    hash
}

/// [`resume_and_hash_twice`] of several messages, in step.
#[must_use]
pub fn resume_each_and_hash_twice<const N: usize>(
    messages: [(&[u8; MIDSTATE_LEN], &[u8]); N],
) -> [[u8; 32]; N] {
    let mut resumed = messages.map(|(midstate, tail)| Resumed::new(midstate, tail));
    loop {
        let mut advanced = false;
        for message in &mut resumed {
            advanced |= message.advance();
        }
        if !advanced {
            break;
        }
    }
    sha256_of_states(&resumed.map(|message| message.state))
}

/// A message of which only the end is left to hash.
struct Resumed<'a> {
    state: [u32; 8],
    whole: &'a [[u8; 64]],
    last: [[u8; 64]; 2],
    padded: usize,
}

impl<'a> Resumed<'a> {
    fn new(midstate: &[u8; MIDSTATE_LEN], tail: &'a [u8]) -> Self {
        let (count, words) = midstate.split_at(8);
        let count = count.iter().fold(0_u64, |count, byte| count << 8 | u64::from(*byte));
        let mut state = INITIAL;
        for (word, bytes) in state.iter_mut().zip(words.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        let (whole, rest) = tail.as_chunks::<64>();
        let len = u64::try_from(tail.len()).unwrap_or(u64::MAX);
        let bits = count.wrapping_add(len).wrapping_mul(8).to_be_bytes();
        let mut last = [[0; 64]; 2];
        let (message, padding) = last.as_flattened_mut().split_at_mut(rest.len());
        message.copy_from_slice(rest);
        if let Some(mark) = padding.first_mut() {
            *mark = 0x80;
        }
        let padded = if rest.len() < 56 { 1 } else { 2 };
        if let Some(last) = last.get_mut(padded - 1) {
            last[56..].copy_from_slice(&bits);
        }
        Self { state, whole, last, padded }
    }

    /// Hashes one more block; false when none is left.
    fn advance(&mut self) -> bool {
        if let Some((block, rest)) = self.whole.split_first() {
            compress256(&mut self.state, std::slice::from_ref(block));
            self.whole = rest;
        } else if let Some(left) = self.padded.checked_sub(1) {
            compress256(&mut self.state, self.last.get(..1).unwrap_or_default());
            self.last.rotate_left(1);
            self.padded = left;
        } else {
            return false;
        }
        true
    }
}

/// One block of each message. Each is one chain of instructions that wait for each other; the processor works on the
/// chains of neighbours at the same time.
fn compress<const N: usize>(states: &mut [[u32; 8]; N], blocks: &[[u8; 64]; N]) {
    for (state, block) in states.iter_mut().zip(blocks) {
        compress256(state, std::slice::from_ref(block));
    }
}

/// Hashes of the 32 bytes that finished states stand for.
fn sha256_of_states<const N: usize>(inner: &[[u32; 8]; N]) -> [[u8; 32]; N] {
    let blocks = inner.map(|inner| {
        let mut block = [0; 64];
        for (bytes, word) in block.as_chunks_mut::<4>().0.iter_mut().zip(inner) {
            *bytes = word.to_be_bytes();
        }
        block[32] = 0x80;
        block[62] = 1; // 256 bits
        block
    });
    let mut states = [INITIAL; N];
    compress(&mut states, &blocks);
    states.map(|state| {
        let mut out = [0; 32];
        for (bytes, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    fn twice(message: &[u8]) -> [u8; 32] {
        Sha256::digest(Sha256::digest(message)).into()
    }

    proptest! {
        #[test]
        fn fixed_size_hashes_equal_the_general_ones(bytes in any::<[[u8; 32]; 3]>()) {
            let [left, right, more] = bytes;
            prop_assert_eq!(sha256d_pair(&left, &right), twice(&[left, right].concat()));
            let mut header = [0; 80];
            header.copy_from_slice(&[left, right, more].concat()[..80]);
            prop_assert_eq!(sha256d_header(&header), twice(&header));
            prop_assert_eq!(sha256d_headers([&[5; 80], &header]), [twice(&[5; 80]), twice(&header)]);
            let pairs = sha256d_pairs([(&left, &right), (&more, &left)]);
            prop_assert_eq!(pairs, [twice(&[left, right].concat()), twice(&[more, left].concat())]);
        }

        #[test]
        fn a_resumed_hash_equals_the_hash_of_the_whole(
            blocks in 0_usize..4, tail in proptest::collection::vec(any::<u8>(), 0..300), fill in any::<u8>(),
        ) {
            let head = vec![[fill; 64]; blocks];
            let mut state = INITIAL;
            compress256(&mut state, &head);
            let mut midstate = [0; MIDSTATE_LEN];
            midstate[..8].copy_from_slice(&(blocks as u64 * 64).to_be_bytes());
            for (bytes, word) in midstate[8..].as_chunks_mut::<4>().0.iter_mut().zip(state) {
                *bytes = word.to_be_bytes();
            }
            let whole = [head.as_flattened(), &tail].concat();
            prop_assert_eq!(resume_and_hash_twice(&midstate, &tail), twice(&whole));
            let shorter = &tail[..tail.len() / 2];
            let in_step = resume_each_and_hash_twice([(&midstate, shorter), (&midstate, &tail), (&midstate, &[])]);
            let shorter = [head.as_flattened(), shorter].concat();
            prop_assert_eq!(in_step, [twice(&shorter), twice(&whole), twice(head.as_flattened())]);
        }
    }
}
