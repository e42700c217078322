//! Arithmetic modulo the order of secp256k1, for public values: products, a common inverse, and the split of a scalar
//! along the curve's endomorphism.

/// A number of 256 bits, least word first.
pub(super) type Scalar = [u64; 4];

/// A number of 192 bits, least word first.
pub(super) type Short = [u64; 3];

/// The order of the group.
const ORDER: Scalar = [0xbfd2_5e8c_d036_4141, 0xbaae_dce6_af48_a03b, 0xffff_ffff_ffff_fffe, u64::MAX];
/// `-1 / ORDER` modulo 2^64.
const NEGATED_INVERSE: u64 = 0x4b0d_ff66_5588_b13f;
/// 2^256 and 2^512 modulo the order.
const RADIX: Scalar = [0x402d_a173_2fc9_bebf, 0x4551_2319_50b7_5fc4, 1, 0];
const SQUARED_RADIX: Scalar =
    [0x896c_f214_67d7_d140, 0x7414_96c2_0e7c_f878, 0xe697_f5e4_5bcd_07c6, 0x9d67_1cd5_81c6_9bc5];
/// The prime of the field less the order.
const PRIME_LESS_ORDER: Scalar = [0x402d_a172_2fc9_baee, 0x4551_2319_50b7_5fc4, 1, 0];

/// Short vectors of the endomorphism's lattice: (A1, -B1) and (A2, A1).
const A1: Short = [0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd, 0];
const B1: Short = [0x6f54_7fa9_0abf_e4c3, 0xe443_7ed6_010e_8828, 0];
const A2: Short = [0x57c1_108d_9d44_cfd8, 0x14ca_50f7_a8e2_f3f6, 1];
/// 2^384 * A1 / ORDER and 2^384 * B1 / ORDER, rounded.
const G1: Scalar =
    [0xe893_209a_45db_b031, 0x3daa_8a14_71e8_ca7f, 0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd];
const G2: Scalar =
    [0x1571_b4ae_8ac4_7f71, 0x2212_08ac_9df5_06c6, 0x6f54_7fa9_0abf_e4c4, 0xe443_7ed6_010e_8828];

/// A big-endian number.
pub(super) fn from_bytes(bytes: &[u8; 32]) -> Scalar {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().rev().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    words
}

/// A nonzero scalar below the order.
pub(super) fn is_sound(number: &Scalar) -> bool {
    number != &[0; 4] && is_below(number, &ORDER)
}

/// A number of 256 bits modulo the order.
pub(super) fn reduced(number: &Scalar) -> Scalar {
    if is_below(number, &ORDER) { *number } else { sub(number, &ORDER).0 }
}

/// `number` plus the order, where that is below the prime of the field.
pub(super) fn plus_order(number: &Scalar) -> Option<Scalar> {
    is_below(number, &PRIME_LESS_ORDER).then(|| add(number, &ORDER))
}

/// `0 - number` for a number below the order.
pub(super) fn negated(number: &Scalar) -> Scalar {
    if number == &[0; 4] { *number } else { sub(&ORDER, number).0 }
}

/// The inverses of nonzero scalars, each times 2^256: the product of one and a scalar by [`product`] is their quotient.
pub(super) fn inverses(scalars: impl Iterator<Item = Scalar>) -> Vec<Scalar> {
    let scaled: Vec<Scalar> = scalars.map(|scalar| product(&scalar, &SQUARED_RADIX)).collect();
    // products[i] = everything before i
    let mut products = Vec::with_capacity(scaled.len());
    let mut all = RADIX;
    for scalar in &scaled {
        products.push(all);
        all = product(&all, scalar);
    }
    let mut inverse = inverse(&all);
    for (before, scalar) in products.iter_mut().zip(&scaled).rev() {
        *before = product(before, &inverse);
        inverse = product(&inverse, scalar);
    }
    products
}

/// The power ORDER - 2 of a number in Montgomery form.
fn inverse(number: &Scalar) -> Scalar {
    let exponent = sub(&ORDER, &[2, 0, 0, 0]).0;
    let mut power = RADIX;
    for word in exponent.iter().rev() {
        for bit in (0..u64::BITS).rev() {
            power = product(&power, &power);
            if word >> bit & 1 == 1 {
                power = product(&power, number);
            }
        }
    }
    power
}

/// Montgomery's product `a * b / 2^256` of scalars below the order.
pub(super) fn product(a: &Scalar, b: &Scalar) -> Scalar {
    let mut sum = [0; 5];
    for a in a {
        let mut high = 0;
        let mut carry;
        for (sum, b) in sum.iter_mut().zip(b) {
            (*sum, high) = a.carrying_mul_add(*b, *sum, high);
        }
        (sum[4], carry) = sum[4].overflowing_add(high);
        let multiple = sum[0].wrapping_mul(NEGATED_INVERSE);
        (_, high) = multiple.carrying_mul_add(ORDER[0], sum[0], 0);
        for place in 1..4 {
            (sum[place - 1], high) = multiple.carrying_mul_add(ORDER[place], sum[place], high);
        }
        let over;
        (sum[3], over) = sum[4].overflowing_add(high);
        carry |= over;
        sum[4] = u64::from(carry);
    }
    let [w0, w1, w2, w3, over] = sum;
    let number = [w0, w1, w2, w3];
    if over == 0 && is_below(&number, &ORDER) { number } else { sub(&number, &ORDER).0 }
}

/// Writes a scalar as `first + second * lambda` modulo the order, lambda being the factor of the endomorphism, where
/// both are odd and of less than 130 bits; each is returned as the unsigned number `(2^bits - 1 + it) / 2`. The bits of
/// that are the signs of the powers of two that sum up to it.
pub(super) fn split(scalar: &Scalar, bits: u32) -> [Short; 2] {
    let ([c1, c2], [w0, w1, w2, _]) = ([G1, G2].map(|factor| high(scalar, &factor)), *scalar);
    let mut first = short_sub(short_sub([w0, w1, w2], short_mul(c1, A1)), short_mul(c2, A2));
    let mut second = short_sub(short_mul(c1, B1), short_mul(c2, A1));
    // (A1, -B1) is odd in both, (A2, A1) in the second.
    if first[0] & 1 == 0 {
        first = short_add(first, A1);
        second = short_sub(second, B1);
    }
    if second[0] & 1 == 0 {
        first = short_add(first, A2);
        second = short_add(second, A1);
    }
    let mut ones = [u64::MAX, u64::MAX, 0];
    ones[2] = (1 << (bits - 128)) - 1;
    [first, second].map(|number| {
        let [w0, w1, w2] = short_add(number, ones);
        [w0 >> 1 | w1 << 63, w1 >> 1 | w2 << 63, w2 >> 1]
    })
}

/// The product over 2^384, rounded.
fn high(a: &Scalar, b: &Scalar) -> Short {
    let mut words = [0; 8];
    for (place, a) in a.iter().enumerate() {
        let mut high = 0;
        for (word, b) in words[place..].iter_mut().zip(b) {
            (*word, high) = a.carrying_mul_add(*b, *word, high);
        }
        words[place + 4] = high;
    }
    let [.., below, w0, w1] = words;
    short_add([w0, w1, 0], [below >> 63, 0, 0])
}

fn short_mul(a: Short, b: Short) -> Short {
    let mut words = [0; 3];
    for (place, a) in a.iter().enumerate() {
        let mut high = 0;
        for (word, b) in words[place..].iter_mut().zip(b) {
            (*word, high) = a.carrying_mul_add(b, *word, high);
        }
    }
    words
}

fn short_add(a: Short, b: Short) -> Short {
    let (mut words, mut carry) = (a, false);
    for (word, b) in words.iter_mut().zip(b) {
        (*word, carry) = carrying_add(*word, b, carry);
    }
    words
}

fn short_sub(a: Short, b: Short) -> Short {
    let (mut words, mut borrow) = (a, false);
    for (word, b) in words.iter_mut().zip(b) {
        (*word, borrow) = borrowing_sub(*word, b, borrow);
    }
    words
}

fn add(a: &Scalar, b: &Scalar) -> Scalar {
    let (mut words, mut carry) = (*a, false);
    for (word, b) in words.iter_mut().zip(b) {
        (*word, carry) = carrying_add(*word, *b, carry);
    }
    words
}

fn sub(a: &Scalar, b: &Scalar) -> (Scalar, bool) {
    let (mut words, mut borrow) = (*a, false);
    for (word, b) in words.iter_mut().zip(b) {
        (*word, borrow) = borrowing_sub(*word, *b, borrow);
    }
    (words, borrow)
}

fn is_below(a: &Scalar, b: &Scalar) -> bool {
    sub(a, b).1
}

fn carrying_add(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let (sum, over) = a.overflowing_add(b);
    let (sum, over_again) = sum.overflowing_add(u64::from(carry));
    (sum, over | over_again)
}

fn borrowing_sub(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let (difference, under) = a.overflowing_sub(b);
    let (difference, under_again) = difference.overflowing_sub(u64::from(borrow));
    (difference, under | under_again)
}
