//! Arithmetic modulo the prime of secp256r1, as fast as it goes without assembly. In variable time: for public values only.
//!
//! p = 2^256 - 2^224 + 2^192 + 2^96 - 1. Numbers are kept times 2^256 (Montgomery's form) and always below p.

const P: [u64; 4] = [u64::MAX, 0xffff_ffff, 0, 0xffff_ffff_0000_0001];

/// 2^512 modulo p.
const R2: Field = Field([3, 0xffff_fffb_ffff_ffff, 0xffff_ffff_ffff_fffe, 0x4_ffff_fffd]);

/// A number modulo p.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field([u64; 4]);

impl Field {
    pub(super) const ZERO: Self = Self([0; 4]);
    /// 2^256 modulo p.
    pub(super) const ONE: Self = Self([1, 0xffff_ffff_0000_0000, u64::MAX, 0xffff_fffe]);

    /// A number from its big-endian bytes; `None` when it is not below p.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let mut limbs = [0; 4];
        for (limb, chunk) in limbs.iter_mut().rev().zip(bytes.as_chunks().0) {
            *limb = u64::from_be_bytes(*chunk);
        }
        (subtract(limbs, P).1).then(|| Self(limbs).times(&R2))
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        let (a, b) = (self.0, other.0);
        let (t0, c) = a[0].carrying_mul(b[0], 0);
        let (t1, c) = a[0].carrying_mul(b[1], c);
        let (t2, c) = a[0].carrying_mul(b[2], c);
        let (t3, t4) = a[0].carrying_mul(b[3], c);
        let (t1, c) = a[1].carrying_mul_add(b[0], t1, 0);
        let (t2, c) = a[1].carrying_mul_add(b[1], t2, c);
        let (t3, c) = a[1].carrying_mul_add(b[2], t3, c);
        let (t4, t5) = a[1].carrying_mul_add(b[3], t4, c);
        let (t2, c) = a[2].carrying_mul_add(b[0], t2, 0);
        let (t3, c) = a[2].carrying_mul_add(b[1], t3, c);
        let (t4, c) = a[2].carrying_mul_add(b[2], t4, c);
        let (t5, t6) = a[2].carrying_mul_add(b[3], t5, c);
        let (t3, c) = a[3].carrying_mul_add(b[0], t3, 0);
        let (t4, c) = a[3].carrying_mul_add(b[1], t4, c);
        let (t5, c) = a[3].carrying_mul_add(b[2], t5, c);
        let (t6, t7) = a[3].carrying_mul_add(b[3], t6, c);
        reduce([t0, t1, t2, t3, t4, t5, t6, t7])
    }

    pub(super) fn squared(&self) -> Self {
        let a = self.0;
        // products of different limbs, once
        let (t1, c) = a[0].carrying_mul(a[1], 0);
        let (t2, c) = a[0].carrying_mul(a[2], c);
        let (t3, t4) = a[0].carrying_mul(a[3], c);
        let (t3, c) = a[1].carrying_mul_add(a[2], t3, 0);
        let (t4, t5) = a[1].carrying_mul_add(a[3], t4, c);
        let (t5, t6) = a[2].carrying_mul_add(a[3], t5, 0);
        // twice
        let t7 = t6 >> 63;
        let t6 = (t6 << 1) | (t5 >> 63);
        let t5 = (t5 << 1) | (t4 >> 63);
        let t4 = (t4 << 1) | (t3 >> 63);
        let t3 = (t3 << 1) | (t2 >> 63);
        let t2 = (t2 << 1) | (t1 >> 63);
        let t1 = t1 << 1;
        // and the squares of limbs
        let (t0, h0) = a[0].carrying_mul(a[0], 0);
        let (l1, h1) = a[1].carrying_mul(a[1], 0);
        let (l2, h2) = a[2].carrying_mul(a[2], 0);
        let (l3, h3) = a[3].carrying_mul(a[3], 0);
        let (t1, c) = t1.carrying_add(h0, false);
        let (t2, c) = t2.carrying_add(l1, c);
        let (t3, c) = t3.carrying_add(h1, c);
        let (t4, c) = t4.carrying_add(l2, c);
        let (t5, c) = t5.carrying_add(h2, c);
        let (t6, c) = t6.carrying_add(l3, c);
        let (t7, _) = t7.carrying_add(h3, c);
        reduce([t0, t1, t2, t3, t4, t5, t6, t7])
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let (sum, carry) = add(self.0, other.0);
        below_twice(sum, carry)
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        let (difference, borrow) = subtract(self.0, other.0);
        let mask = 0_u64.wrapping_sub(u64::from(borrow));
        Self(add(difference, P.map(|limb| limb & mask)).0)
    }

    pub(super) fn doubled(&self) -> Self {
        self.plus(self)
    }

    pub(super) fn negated(&self) -> Self {
        Self::ZERO.minus(self)
    }

    /// 1 / self; zero for zero.
    pub(super) fn inverted(&self) -> Self {
        // by Fermat: to the power p - 2
        let power = [P[0] - 2, P[1], P[2], P[3]];
        let mut result = Self::ONE;
        for limb in power.iter().rev() {
            for bit in (0..64).rev() {
                result = result.squared();
                if (limb >> bit) & 1 == 1 {
                    result = result.times(self);
                }
            }
        }
        result
    }
}

fn add(a: [u64; 4], b: [u64; 4]) -> ([u64; 4], bool) {
    let (w0, c) = a[0].carrying_add(b[0], false);
    let (w1, c) = a[1].carrying_add(b[1], c);
    let (w2, c) = a[2].carrying_add(b[2], c);
    let (w3, c) = a[3].carrying_add(b[3], c);
    ([w0, w1, w2, w3], c)
}

fn subtract(a: [u64; 4], b: [u64; 4]) -> ([u64; 4], bool) {
    let (w0, c) = a[0].borrowing_sub(b[0], false);
    let (w1, c) = a[1].borrowing_sub(b[1], c);
    let (w2, c) = a[2].borrowing_sub(b[2], c);
    let (w3, c) = a[3].borrowing_sub(b[3], c);
    ([w0, w1, w2, w3], c)
}

/// A number below 2 p, of which `carry` is bit 256, modulo p.
fn below_twice(number: [u64; 4], carry: bool) -> Field {
    let (reduced, borrow) = subtract(number, P);
    let keeps = 0_u64.wrapping_sub(u64::from(borrow & !carry));
    let choose = |a: u64, b: u64| b ^ ((a ^ b) & keeps);
    Field([
        choose(number[0], reduced[0]),
        choose(number[1], reduced[1]),
        choose(number[2], reduced[2]),
        choose(number[3], reduced[3]),
    ])
}

/// The number divided by 2^256 modulo p: Montgomery's reduction, word by word. Because p ends in 64 ones, each word is its own factor,
/// and adding its multiple of the lowest limb only hands the word on as a carry.
fn reduce(t: [u64; 8]) -> Field {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = t;
    let (t1, c) = t0.carrying_mul_add(P[1], t1, t0);
    let (t2, c) = t2.carrying_add(c, false);
    let (t3, c) = t0.carrying_mul_add(P[3], t3, u64::from(c));
    let (t4, k) = t4.carrying_add(c, false);

    let (t2, c) = t1.carrying_mul_add(P[1], t2, t1);
    let (t3, c) = t3.carrying_add(c, false);
    let (t4, c) = t1.carrying_mul_add(P[3], t4, u64::from(c));
    let (t5, k) = t5.carrying_add(c, k);

    let (t3, c) = t2.carrying_mul_add(P[1], t3, t2);
    let (t4, c) = t4.carrying_add(c, false);
    let (t5, c) = t2.carrying_mul_add(P[3], t5, u64::from(c));
    let (t6, k) = t6.carrying_add(c, k);

    let (t4, c) = t3.carrying_mul_add(P[1], t4, t3);
    let (t5, c) = t5.carrying_add(c, false);
    let (t6, c) = t3.carrying_mul_add(P[3], t6, u64::from(c));
    let (t7, k) = t7.carrying_add(c, k);
    below_twice([t4, t5, t6, t7], k)
}
