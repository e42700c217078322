//! Keccak-256 of several messages at once: eight with AVX-512, four with AVX2, found out at run time.
//!
//! One state word of all messages fills one vector, so that the permutation runs as often as for the longest message
//! instead of once per message and block. The plain implementation is the oracle of the tests and the fallback.

#![allow(unsafe_code)] // vector loads and stores, and calls behind run-time detection

use std::arch::x86_64::{
    __m256i, __m512i, _mm256_andnot_si256, _mm256_loadu_si256, _mm256_or_si256, _mm256_set1_epi64x,
    _mm256_slli_epi64, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_xor_si256, _mm512_loadu_si512,
    _mm512_rol_epi64, _mm512_set1_epi64, _mm512_storeu_si512, _mm512_ternarylogic_epi64, _mm512_xor_si512,
};

/// Bytes absorbed per permutation.
pub(super) const RATE: usize = 136;
const RATE_WORDS: usize = RATE / 8;

const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// Operations on eight words.
mod wide {
    use super::*;

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn splat(word: u64) -> __m512i {
        _mm512_set1_epi64(i64::from_ne_bytes(word.to_ne_bytes()))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn load(words: &[u64; 8]) -> __m512i {
        // SAFETY: the reference covers the 64 bytes that are read, and the load needs no alignment.
        unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn store(vector: __m512i) -> [u64; 8] {
        let mut words = [0; 8];
        // SAFETY: the array has the 64 bytes that are written, and the store needs no alignment.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
        words
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn xor(a: __m512i, b: __m512i) -> __m512i {
        _mm512_xor_si512(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        _mm512_ternarylogic_epi64::<0x96>(a, b, c)
    }

    /// a ^ (!b & c)
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn chi(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        _mm512_ternarylogic_epi64::<0xd2>(a, b, c)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn rotate<const LEFT: i32, const RIGHT: i32>(a: __m512i) -> __m512i {
        _mm512_rol_epi64::<LEFT>(a)
    }
}

/// Operations on four words.
mod narrow {
    use super::*;

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn splat(word: u64) -> __m256i {
        _mm256_set1_epi64x(i64::from_ne_bytes(word.to_ne_bytes()))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn load(words: &[u64; 4]) -> __m256i {
        // SAFETY: the reference covers the 32 bytes that are read, and the load needs no alignment.
        unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn store(vector: __m256i) -> [u64; 4] {
        let mut words = [0; 4];
        // SAFETY: the array has the 32 bytes that are written, and the store needs no alignment.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) };
        words
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn xor(a: __m256i, b: __m256i) -> __m256i {
        _mm256_xor_si256(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn xor3(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        xor(xor(a, b), c)
    }

    /// a ^ (!b & c)
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn chi(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        xor(a, _mm256_andnot_si256(b, c))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn rotate<const LEFT: i32, const RIGHT: i32>(a: __m256i) -> __m256i {
        _mm256_or_si256(_mm256_slli_epi64::<LEFT>(a), _mm256_srli_epi64::<RIGHT>(a))
    }
}

macro_rules! kernel {
    ($name:ident, $permute:ident, $feature:literal, $lanes:literal, $vector:ty, $ops:ident) => {
        /// Absorbs padded blocks of several messages and takes each digest after its own last block. A lane whose
        /// message has ended goes on with zeros that nobody looks at.
        #[target_feature(enable = $feature)]
        fn $name(lanes: &[&[[u8; RATE]]; $lanes]) -> [[u8; 32]; $lanes] {
            let mut state = [$ops::splat(0); 25];
            let mut digests = [[0; 32]; $lanes];
            let longest = lanes.iter().map(|blocks| blocks.len()).max().unwrap_or(0);
            for index in 0..longest {
                let mut words = [[0; $lanes]; RATE_WORDS];
                for (lane, blocks) in lanes.iter().enumerate() {
                    let Some(block) = blocks.get(index) else { continue };
                    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<8>().0) {
                        word[lane] = u64::from_le_bytes(*bytes);
                    }
                }
                for (state, word) in state.iter_mut().zip(&words) {
                    *state = $ops::xor(*state, $ops::load(word));
                }
                $permute(&mut state);
                if lanes.iter().any(|blocks| blocks.len() == index + 1) {
                    let [first, second, third, fourth, ..] = state;
                    let words = [first, second, third, fourth].map(|word| $ops::store(word));
                    for (lane, _) in lanes.iter().enumerate().filter(|(_, blocks)| blocks.len() == index + 1)
                    {
                        for (bytes, word) in digests[lane].as_chunks_mut::<8>().0.iter_mut().zip(&words) {
                            *bytes = word[lane].to_le_bytes();
                        }
                    }
                }
            }
            digests
        }

        #[target_feature(enable = $feature)]
        fn $permute(state: &mut [$vector; 25]) {
            let mut a = *state;
            for constant in ROUND_CONSTANTS {
                let column =
                    |x: usize| $ops::xor3($ops::xor3(a[x], a[x + 5], a[x + 10]), a[x + 15], a[x + 20]);
                let c = [column(0), column(1), column(2), column(3), column(4)];
                let d = [
                    $ops::xor(c[4], $ops::rotate::<1, 63>(c[1])),
                    $ops::xor(c[0], $ops::rotate::<1, 63>(c[2])),
                    $ops::xor(c[1], $ops::rotate::<1, 63>(c[3])),
                    $ops::xor(c[2], $ops::rotate::<1, 63>(c[4])),
                    $ops::xor(c[3], $ops::rotate::<1, 63>(c[0])),
                ];
                // rho and pi gather the five words of each row, chi mixes them
                let rows = [
                    [
                        $ops::rotate::<0, 64>($ops::xor(a[0], d[0])),
                        $ops::rotate::<44, 20>($ops::xor(a[6], d[1])),
                        $ops::rotate::<43, 21>($ops::xor(a[12], d[2])),
                        $ops::rotate::<21, 43>($ops::xor(a[18], d[3])),
                        $ops::rotate::<14, 50>($ops::xor(a[24], d[4])),
                    ],
                    [
                        $ops::rotate::<28, 36>($ops::xor(a[3], d[3])),
                        $ops::rotate::<20, 44>($ops::xor(a[9], d[4])),
                        $ops::rotate::<3, 61>($ops::xor(a[10], d[0])),
                        $ops::rotate::<45, 19>($ops::xor(a[16], d[1])),
                        $ops::rotate::<61, 3>($ops::xor(a[22], d[2])),
                    ],
                    [
                        $ops::rotate::<1, 63>($ops::xor(a[1], d[1])),
                        $ops::rotate::<6, 58>($ops::xor(a[7], d[2])),
                        $ops::rotate::<25, 39>($ops::xor(a[13], d[3])),
                        $ops::rotate::<8, 56>($ops::xor(a[19], d[4])),
                        $ops::rotate::<18, 46>($ops::xor(a[20], d[0])),
                    ],
                    [
                        $ops::rotate::<27, 37>($ops::xor(a[4], d[4])),
                        $ops::rotate::<36, 28>($ops::xor(a[5], d[0])),
                        $ops::rotate::<10, 54>($ops::xor(a[11], d[1])),
                        $ops::rotate::<15, 49>($ops::xor(a[17], d[2])),
                        $ops::rotate::<56, 8>($ops::xor(a[23], d[3])),
                    ],
                    [
                        $ops::rotate::<62, 2>($ops::xor(a[2], d[2])),
                        $ops::rotate::<55, 9>($ops::xor(a[8], d[3])),
                        $ops::rotate::<39, 25>($ops::xor(a[14], d[4])),
                        $ops::rotate::<41, 23>($ops::xor(a[15], d[0])),
                        $ops::rotate::<2, 62>($ops::xor(a[21], d[1])),
                    ],
                ];
                for (to, b) in a.as_chunks_mut::<5>().0.iter_mut().zip(rows) {
                    *to = [
                        $ops::chi(b[0], b[1], b[2]),
                        $ops::chi(b[1], b[2], b[3]),
                        $ops::chi(b[2], b[3], b[4]),
                        $ops::chi(b[3], b[4], b[0]),
                        $ops::chi(b[4], b[0], b[1]),
                    ];
                }
                a[0] = $ops::xor(a[0], $ops::splat(constant));
            }
            *state = a;
        }
    };
}

kernel!(absorb_8, permute_8, "avx512f", 8, __m512i, wide);
kernel!(absorb_4, permute_4, "avx2", 4, __m256i, narrow);

/// Which kernel this processor runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    /// AVX-512, eight messages at once.
    Eight,
    /// AVX2, four messages at once.
    Four,
}

/// The widest kernel of this processor.
pub(super) fn detect() -> Option<Kernel> {
    if is_x86_feature_detected!("avx512f") {
        Some(Kernel::Eight)
    } else if is_x86_feature_detected!("avx2") {
        Some(Kernel::Four)
    } else {
        None
    }
}

/// Digests of up to eight padded messages.
pub(super) fn absorb(kernel: Kernel, lanes: &[&[[u8; RATE]]; 8]) -> [[u8; 32]; 8] {
    match kernel {
        // SAFETY: `detect` found AVX-512F on this processor.
        Kernel::Eight => unsafe { absorb_8(lanes) },
        Kernel::Four => {
            let [a, b, c, d, e, f, g, h] = *lanes;
            // SAFETY: `detect` found AVX2 on this processor.
            let halves = unsafe { [absorb_4(&[a, b, c, d]), absorb_4(&[e, f, g, h])] };
            let mut digests = [[0; 32]; 8];
            digests.copy_from_slice(halves.as_flattened());
            digests
        }
    }
}
