//! SipHash-2-4 with 64-bit output: short ids of compact blocks, buckets of addresses. Mirrors `src/crypto/siphash.cpp`.

/// The hash of `bytes` under two keys.
#[must_use]
pub fn siphash((k0, k1): (u64, u64), bytes: &[u8]) -> u64 {
    let mut v = [
        0x736f_6d65_7073_6575 ^ k0,
        0x646f_7261_6e64_6f6d ^ k1,
        0x6c79_6765_6e65_7261 ^ k0,
        0x7465_6462_7974_6573 ^ k1,
    ];
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        absorb(&mut v, word.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte)));
    }
    let length = u64::try_from(bytes.len() & 0xff).unwrap_or_default() << 56;
    let rest = words.remainder().iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
    absorb(&mut v, length | rest);
    let [_, _, v2, _] = &mut v;
    *v2 ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v.into_iter().fold(0, |all, word| all ^ word)
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

fn round([v0, v1, v2, v3]: &mut [u64; 4]) {
    *v0 = v0.wrapping_add(*v1);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v3);
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.wrapping_add(*v3);
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.wrapping_add(*v1);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v2 = v2.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the reference implementation of SipHash: key 00..0f, messages 00, 0001, ...
    #[test]
    fn it_gives_the_published_values() {
        let keys = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let message: Vec<u8> = (0..15).collect();
        assert_eq!(siphash(keys, &[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(siphash(keys, &message[..1]), 0x74f8_39c5_93dc_67fd);
        assert_eq!(siphash(keys, &message), 0xa129_ca61_49be_45e5);
    }
}
