//! Eight numbers modulo the prime of secp256k1 at once: five limbs of 52 bits, each limb of all eight in one vector
//! (AVX-512 IFMA). Not constant in time: only public values are computed with.
//!
//! A number is kept below 2^260 with every limb below 2^52, so that it can be multiplied; "magnitude m" in comments
//! means below (m + 0.001) * 2^256. Products have magnitude 1.

#![allow(unsafe_code)] // vector loads and stores

use std::arch::x86_64::{
    __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpeq_epi64_mask, _mm512_loadu_si512,
    _mm512_madd52hi_epu64, _mm512_madd52lo_epu64, _mm512_mask_mov_epi64, _mm512_mask_sub_epi64,
    _mm512_or_si512, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_slli_epi64,
    _mm512_srli_epi64, _mm512_storeu_si512, _mm512_sub_epi64, _mm512_test_epi64_mask, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi64,
};

/// Numbers that one vector holds.
pub(super) const LANES: usize = 8;

/// One word of each lane.
pub(super) type Words = [u64; LANES];

const MASK: u64 = (1 << 52) - 1;
const TOP_MASK: u64 = (1 << 48) - 1;
/// 2^256 modulo the prime.
const FOLD: u64 = 0x1_0000_03d1;
/// 2^260 modulo the prime.
const FOLD_260: u64 = FOLD << 4;
/// The limbs of the prime.
const PRIME: [u64; 5] = [MASK + 1 - FOLD, MASK, MASK, MASK, TOP_MASK];

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn splat(word: u64) -> __m512i {
    _mm512_set1_epi64(word.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(words: &Words) -> __m512i {
    // SAFETY: the reference covers the 64 bytes that are read, and the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store(vector: __m512i) -> Words {
    let mut words = [0; LANES];
    // SAFETY: the array has the 64 bytes that are written, and the store needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
    words
}

/// Word `i` of each of eight rows becomes lane `row` of vector `i`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(rows: [__m512i; 8]) -> [__m512i; 8] {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    let (a0, a1) = (_mm512_unpacklo_epi64(r0, r1), _mm512_unpackhi_epi64(r0, r1));
    let (a2, a3) = (_mm512_unpacklo_epi64(r2, r3), _mm512_unpackhi_epi64(r2, r3));
    let (a4, a5) = (_mm512_unpacklo_epi64(r4, r5), _mm512_unpackhi_epi64(r4, r5));
    let (a6, a7) = (_mm512_unpacklo_epi64(r6, r7), _mm512_unpackhi_epi64(r6, r7));
    // Pairs of words 0, 2, 4, 6 are in the even vectors, those of 1, 3, 5, 7 in the odd ones.
    let quarter = |a, b, c, d| {
        let (low, high) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xdd>(a, b));
        let (low_2, high_2) = (_mm512_shuffle_i64x2::<0x88>(c, d), _mm512_shuffle_i64x2::<0xdd>(c, d));
        [
            _mm512_shuffle_i64x2::<0x88>(low, low_2),
            _mm512_shuffle_i64x2::<0x88>(high, high_2),
            _mm512_shuffle_i64x2::<0xdd>(low, low_2),
            _mm512_shuffle_i64x2::<0xdd>(high, high_2),
        ]
    };
    let [w0, w2, w4, w6] = quarter(a0, a2, a4, a6);
    let [w1, w3, w5, w7] = quarter(a1, a3, a5, a7);
    [w0, w1, w2, w3, w4, w5, w6, w7]
}

/// Eight numbers modulo the prime.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field([__m512i; 5]);

impl Field {
    /// The same small number in every lane.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn small(number: u64) -> Self {
        let zero = _mm512_setzero_si512();
        Self([splat(number), zero, zero, zero, zero])
    }

    /// The same number in every lane, from words with the least first.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn constant(words: [u64; 4]) -> Self {
        Self::from_words(words.map(|word| splat(word)))
    }

    /// Numbers from vectors of words with the least first.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn from_words([w0, w1, w2, w3]: [__m512i; 4]) -> Self {
        let mask = splat(MASK);
        let cut = |low, high| _mm512_and_si512(_mm512_or_si512(low, high), mask);
        Self([
            _mm512_and_si512(w0, mask),
            cut(_mm512_srli_epi64::<52>(w0), _mm512_slli_epi64::<12>(w1)),
            cut(_mm512_srli_epi64::<40>(w1), _mm512_slli_epi64::<24>(w2)),
            cut(_mm512_srli_epi64::<28>(w2), _mm512_slli_epi64::<36>(w3)),
            _mm512_srli_epi64::<16>(w3),
        ])
    }

    /// Words with the least first, of numbers as [`Self::reduce`] leaves them.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn to_words(self) -> [__m512i; 4] {
        let [l0, l1, l2, l3, l4] = self.0;
        [
            _mm512_or_si512(l0, _mm512_slli_epi64::<52>(l1)),
            _mm512_or_si512(_mm512_srli_epi64::<12>(l1), _mm512_slli_epi64::<40>(l2)),
            _mm512_or_si512(_mm512_srli_epi64::<24>(l2), _mm512_slli_epi64::<28>(l3)),
            _mm512_or_si512(_mm512_srli_epi64::<36>(l3), _mm512_slli_epi64::<16>(l4)),
        ]
    }

    /// Lanes of `other` where the mask has a bit, else of `self`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn select(self, mask: __mmask8, other: &Self) -> Self {
        let mut limbs = self.0;
        for (limb, other) in limbs.iter_mut().zip(other.0) {
            *limb = _mm512_mask_mov_epi64(*limb, mask, other);
        }
        Self(limbs)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn mul(&self, other: &Self) -> Self {
        let ([a0, a1, a2, a3, a4], [b0, b1, b2, b3, b4]) = (self.0, other.0);
        let zero = _mm512_setzero_si512();
        let lo = |sum, a, b| _mm512_madd52lo_epu64(sum, a, b);
        let hi = |sum, a, b| _mm512_madd52hi_epu64(sum, a, b);
        let add = |a, b| _mm512_add_epi64(a, b);
        // Low and high halves are summed apart: shorter chains. Ten summands of 52 bits fit easily.
        let l0 = lo(zero, a0, b0);
        let l1 = lo(lo(zero, a0, b1), a1, b0);
        let l2 = lo(lo(lo(zero, a0, b2), a1, b1), a2, b0);
        let l3 = lo(lo(lo(lo(zero, a0, b3), a1, b2), a2, b1), a3, b0);
        let l4 = lo(lo(lo(lo(lo(zero, a0, b4), a1, b3), a2, b2), a3, b1), a4, b0);
        let l5 = lo(lo(lo(lo(zero, a1, b4), a2, b3), a3, b2), a4, b1);
        let l6 = lo(lo(lo(zero, a2, b4), a3, b3), a4, b2);
        let l7 = lo(lo(zero, a3, b4), a4, b3);
        let l8 = lo(zero, a4, b4);
        let h1 = hi(zero, a0, b0);
        let h2 = hi(hi(zero, a0, b1), a1, b0);
        let h3 = hi(hi(hi(zero, a0, b2), a1, b1), a2, b0);
        let h4 = hi(hi(hi(hi(zero, a0, b3), a1, b2), a2, b1), a3, b0);
        let h5 = hi(hi(hi(hi(hi(zero, a0, b4), a1, b3), a2, b2), a3, b1), a4, b0);
        let h6 = hi(hi(hi(hi(zero, a1, b4), a2, b3), a3, b2), a4, b1);
        let h7 = hi(hi(hi(zero, a2, b4), a3, b3), a4, b2);
        let h8 = hi(hi(zero, a3, b4), a4, b3);
        let h9 = hi(zero, a4, b4);
        Self::fold([
            l0,
            add(l1, h1),
            add(l2, h2),
            add(l3, h3),
            add(l4, h4),
            add(l5, h5),
            add(l6, h6),
            add(l7, h7),
            add(l8, h8),
            h9,
        ])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn square(&self) -> Self {
        let [a0, a1, a2, a3, a4] = self.0;
        let zero = _mm512_setzero_si512();
        let lo = |sum, a, b| _mm512_madd52lo_epu64(sum, a, b);
        let hi = |sum, a, b| _mm512_madd52hi_epu64(sum, a, b);
        let add = |a, b| _mm512_add_epi64(a, b);
        // Products of different limbs count twice.
        let twice = |a, b| {
            let sum = _mm512_add_epi64(a, b);
            _mm512_add_epi64(sum, sum)
        };
        let l1 = lo(zero, a0, a1);
        let l2 = lo(zero, a0, a2);
        let l3 = lo(lo(zero, a0, a3), a1, a2);
        let l4 = lo(lo(zero, a0, a4), a1, a3);
        let l5 = lo(lo(zero, a1, a4), a2, a3);
        let l6 = lo(zero, a2, a4);
        let l7 = lo(zero, a3, a4);
        let h2 = hi(zero, a0, a1);
        let h3 = hi(zero, a0, a2);
        let h4 = hi(hi(zero, a0, a3), a1, a2);
        let h5 = hi(hi(zero, a0, a4), a1, a3);
        let h6 = hi(hi(zero, a1, a4), a2, a3);
        let h7 = hi(zero, a2, a4);
        let h8 = hi(zero, a3, a4);
        Self::fold([
            lo(zero, a0, a0),
            hi(add(l1, l1), a0, a0),
            lo(twice(l2, h2), a1, a1),
            hi(twice(l3, h3), a1, a1),
            lo(twice(l4, h4), a2, a2),
            hi(twice(l5, h5), a2, a2),
            lo(twice(l6, h6), a3, a3),
            hi(twice(l7, h7), a3, a3),
            lo(add(h8, h8), a4, a4),
            hi(zero, a4, a4),
        ])
    }

    /// Brings ten columns, each far below 2^63 and together below 2^520, to magnitude 1.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn fold(columns: [__m512i; 10]) -> Self {
        let [c0, c1, c2, c3, c4, c5, c6, c7, c8, c9] = columns;
        let (mask, by_260, by_256) = (splat(MASK), splat(FOLD_260), splat(FOLD));
        let lo = |sum, a| _mm512_madd52lo_epu64(sum, a, by_260);
        let hi = |sum, a| _mm512_madd52hi_epu64(sum, a, by_260);
        let add = |a, b| _mm512_add_epi64(a, b);
        // The upper columns become limbs, because a factor must have 52 bits.
        let c6 = add(c6, _mm512_srli_epi64::<52>(c5));
        let c7 = add(c7, _mm512_srli_epi64::<52>(c6));
        let c8 = add(c8, _mm512_srli_epi64::<52>(c7));
        let c9 = add(c9, _mm512_srli_epi64::<52>(c8));
        // The instruction looks at the low 52 bits only.
        let c0 = lo(c0, c5);
        let c1 = add(lo(c1, c6), hi(_mm512_setzero_si512(), c5));
        let c2 = add(lo(c2, c7), hi(_mm512_setzero_si512(), c6));
        let c3 = add(lo(c3, c8), hi(_mm512_setzero_si512(), c7));
        let c4 = lo(hi(c4, c8), c9);
        let c5 = hi(_mm512_setzero_si512(), c9);
        // What is above 2^256, less than 2^43 times.
        let top = add(_mm512_srli_epi64::<48>(c4), _mm512_slli_epi64::<4>(c5));
        let c4 = _mm512_and_si512(c4, splat(TOP_MASK));
        let c0 = _mm512_madd52lo_epu64(c0, top, by_256);
        let c1 = _mm512_madd52hi_epu64(c1, top, by_256);
        Self::carry([c0, c1, c2, c3, c4], mask)
    }

    /// Makes limbs of 52 bits of larger ones of a number below 2^260.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn carry([c0, c1, c2, c3, c4]: [__m512i; 5], mask: __m512i) -> Self {
        let c1 = _mm512_add_epi64(c1, _mm512_srli_epi64::<52>(c0));
        let c2 = _mm512_add_epi64(c2, _mm512_srli_epi64::<52>(c1));
        let c3 = _mm512_add_epi64(c3, _mm512_srli_epi64::<52>(c2));
        let c4 = _mm512_add_epi64(c4, _mm512_srli_epi64::<52>(c3));
        let cut = |limb| _mm512_and_si512(limb, mask);
        Self([cut(c0), cut(c1), cut(c2), cut(c3), c4])
    }

    /// `2^SHIFT * self`; the magnitude grows as much.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn shifted<const SHIFT: u32>(&self) -> Self {
        Self::carry(self.0.map(|limb| _mm512_slli_epi64::<SHIFT>(limb)), splat(MASK))
    }

    /// `3 * self`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn triple(&self) -> Self {
        let triple = |limb| _mm512_add_epi64(_mm512_add_epi64(limb, limb), limb);
        Self::carry(self.0.map(triple), splat(MASK))
    }

    /// `self + other`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn add(&self, other: &Self) -> Self {
        let mut limbs = self.0;
        for (limb, other) in limbs.iter_mut().zip(other.0) {
            *limb = _mm512_add_epi64(*limb, other);
        }
        Self::carry(limbs, splat(MASK))
    }

    /// `self - 2^SHIFT * other` plus `MULTIPLE` times the prime, which must be more than the magnitude of what is
    /// taken away; the magnitude grows by `MULTIPLE`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn sub<const SHIFT: u32, const MULTIPLE: u64>(&self, other: &Self) -> Self {
        let mut limbs = self.0;
        for ((limb, other), prime) in limbs.iter_mut().zip(other.0).zip(PRIME) {
            let lifted = _mm512_add_epi64(*limb, splat(prime * MULTIPLE));
            *limb = _mm512_sub_epi64(lifted, _mm512_slli_epi64::<SHIFT>(other));
        }
        Self::carry(limbs, splat(MASK))
    }

    /// `self - first - 2 * second` plus four times the prime, for products.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn sub_and_twice(&self, first: &Self, second: &Self) -> Self {
        let mut limbs = self.0;
        for (((limb, first), second), prime) in limbs.iter_mut().zip(first.0).zip(second.0).zip(PRIME) {
            let lifted = _mm512_sub_epi64(_mm512_add_epi64(*limb, splat(prime * 4)), first);
            *limb = _mm512_sub_epi64(lifted, _mm512_add_epi64(second, second));
        }
        Self::carry(limbs, splat(MASK))
    }

    /// `self - other`, or `-self - other` in the lanes of the mask, plus `MULTIPLE` times the prime, which must be more
    /// than the magnitude of `other` plus one; `self` is a product.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn signed_sub<const MULTIPLE: u64>(&self, negative: __mmask8, other: &Self) -> Self {
        let mut limbs = self.0;
        for ((limb, other), prime) in limbs.iter_mut().zip(other.0).zip(PRIME) {
            let lifted = _mm512_sub_epi64(splat(prime * MULTIPLE), other);
            let positive = _mm512_add_epi64(lifted, *limb);
            *limb = _mm512_mask_sub_epi64(positive, negative, lifted, *limb);
        }
        Self::carry(limbs, splat(MASK))
    }

    /// The number below the prime.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub(super) fn reduce(&self) -> Self {
        // Twice, because the first fold may leave one more bit above 2^256.
        let once = self.fold_top().fold_top();
        let mut lifted = once.0;
        lifted[0] = _mm512_add_epi64(lifted[0], splat(FOLD));
        let lifted = Self::carry(lifted, splat(MASK));
        let is_larger = _mm512_test_epi64_mask(lifted.0[4], splat(1 << 48));
        let mut less = lifted.0;
        less[4] = _mm512_and_si512(less[4], splat(TOP_MASK));
        once.select(is_larger, &Self(less))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn fold_top(&self) -> Self {
        let mut limbs = self.0;
        let top = _mm512_srli_epi64::<48>(limbs[4]);
        limbs[4] = _mm512_and_si512(limbs[4], splat(TOP_MASK));
        limbs[0] = _mm512_madd52lo_epu64(limbs[0], top, splat(FOLD));
        Self::carry(limbs, splat(MASK))
    }

    /// Lanes that are zero; the numbers as [`Self::reduce`] leaves them.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn is_zero(&self) -> __mmask8 {
        let [l0, l1, l2, l3, l4] = self.0;
        let any = _mm512_or_si512(_mm512_or_si512(_mm512_or_si512(l0, l1), _mm512_or_si512(l2, l3)), l4);
        _mm512_cmpeq_epi64_mask(any, _mm512_setzero_si512())
    }

    /// Lanes that are odd; the numbers as [`Self::reduce`] leaves them.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn is_odd(&self) -> __mmask8 {
        _mm512_test_epi64_mask(self.0[0], splat(1))
    }
}

/// Powers by squaring, of two vectors at a time: one alone would wait for its own results.
type Two = [Field; 2];

#[inline]
#[target_feature(enable = "avx512f,avx512ifma")]
fn mul_two(a: &Two, b: &Two) -> Two {
    [a[0].mul(&b[0]), a[1].mul(&b[1])]
}

#[inline(never)]
#[target_feature(enable = "avx512f,avx512ifma")]
fn square_times(a: &Two, times: u32) -> Two {
    let [mut first, mut second] = *a;
    for _ in 0..times {
        (first, second) = (first.square(), second.square());
    }
    [first, second]
}

/// `a^(2^223 - 1)`, `a^(2^22 - 1)` and `a^3`: what both exponents below begin with.
#[target_feature(enable = "avx512f,avx512ifma")]
fn ladder(a: &Two) -> (Two, Two, Two) {
    let join = |high: &Two, times, low: &Two| mul_two(&square_times(high, times), low);
    let x2 = join(a, 1, a);
    let x3 = join(&x2, 1, a);
    let x6 = join(&x3, 3, &x3);
    let x9 = join(&x6, 3, &x3);
    let x11 = join(&x9, 2, &x2);
    let x22 = join(&x11, 11, &x11);
    let x44 = join(&x22, 22, &x22);
    let x88 = join(&x44, 44, &x44);
    let x176 = join(&x88, 88, &x88);
    let x220 = join(&x176, 44, &x44);
    (join(&x220, 3, &x3), x22, x2)
}

/// The power (p + 1) / 4: a square root where there is one.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn roots(a: &Two) -> Two {
    let (x223, x22, x2) = ladder(a);
    let high = mul_two(&square_times(&x223, 23), &x22);
    square_times(&mul_two(&square_times(&high, 6), &x2), 2)
}

/// The power p - 2: the inverse, or zero of zero.
#[target_feature(enable = "avx512f,avx512ifma")]
pub(super) fn inverse(a: &Field) -> Field {
    let a = [*a, *a];
    let (x223, x22, x2) = ladder(&a);
    let high = mul_two(&square_times(&x223, 23), &x22);
    let high = mul_two(&square_times(&high, 5), &a);
    let high = mul_two(&square_times(&high, 3), &x2);
    mul_two(&square_times(&high, 2), &a)[0]
}
