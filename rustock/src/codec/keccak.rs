//! Keccak-256 (the original padding), the hash of headers and tries.

use sha3::{Digest, Keccak256};

#[cfg(target_arch = "x86_64")]
mod lanes;

/// Hash of the parts one after another.
#[must_use]
pub fn keccak256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Keccak256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Hashes of many messages, each of two parts, eight or four at a time where the processor can.
#[must_use]
pub fn keccak256_many(messages: &[[&[u8]; 2]]) -> Vec<[u8; 32]> {
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = lanes::detect() {
        return with_kernel(kernel, messages);
    }
    messages.iter().map(|parts| keccak256(parts)).collect()
}

#[cfg(target_arch = "x86_64")]
fn with_kernel(kernel: lanes::Kernel, messages: &[[&[u8]; 2]]) -> Vec<[u8; 32]> {
    const LANES: usize = 8;
    let mut digests = Vec::with_capacity(messages.len());
    let mut padded: [Vec<[u8; lanes::RATE]>; LANES] = Default::default();
    for group in messages.chunks(LANES) {
        for blocks in &mut padded {
            blocks.clear();
        }
        for (blocks, message) in padded.iter_mut().zip(group) {
            pad(message, blocks);
        }
        let all = lanes::absorb(kernel, &padded.each_ref().map(Vec::as_slice));
        digests.extend(all.into_iter().take(group.len()));
    }
    digests
}

/// The message's blocks with Keccak's padding: 1, zeros, 1.
#[cfg(target_arch = "x86_64")]
fn pad(message: &[&[u8]; 2], blocks: &mut Vec<[u8; lanes::RATE]>) {
    let len: usize = message.iter().map(|part| part.len()).sum();
    blocks.resize(len / lanes::RATE + 1, [0; lanes::RATE]);
    let mut rest = blocks.as_flattened_mut();
    for part in message {
        let (to, after) = rest.split_at_mut(part.len());
        to.copy_from_slice(part);
        rest = after;
    }
    if let Some(first) = rest.first_mut() {
        *first = 1;
    }
    if let Some(last) = rest.last_mut() {
        *last |= 0x80;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_empty_string_and_split_input_hash_as_published() {
        let empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(shared_vendor::hex::encode(keccak256(&[])), empty);
        assert_eq!(keccak256(&[b"ab", b"c"]), keccak256(&[b"abc"]));
    }

    proptest! {
        #[test]
        fn every_kernel_of_this_processor_equals_the_plain_hash(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..700), 0..20), cut in 0_usize..700,
        ) {
            let parts: Vec<[&[u8]; 2]> = messages
                .iter()
                .map(|message| message.split_at(cut.min(message.len())).into())
                .collect();
            let expected: Vec<_> = messages.iter().map(|message| keccak256(&[message])).collect();
            prop_assert_eq!(&keccak256_many(&parts), &expected);
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                prop_assert_eq!(&with_kernel(lanes::Kernel::Four, &parts), &expected);
            }
        }

        #[test]
        fn lengths_around_a_block_are_padded_right(extra in 0_usize..5, blocks in 1_usize..4) {
            let message = vec![7; 136 * blocks + extra - 2];
            prop_assert_eq!(keccak256_many(&[[&message, &[]]]), vec![keccak256(&[&message])]);
        }
    }
}
