//! Sums `a * G + b * P` on secp256k1, eight at a time, for points P given by their x and the parity of their y.
//!
//! Both scalars are split along the endomorphism, so that 132 doublings serve four scalars of half the length. These are
//! written with odd signed digits (four bits for P, eight for G), so that all lanes take the same steps. Equal or
//! opposite summands make the last coordinate zero for good: such a lane is given back as unsure.

#![allow(unsafe_code)] // the call behind run-time detection

use std::{
    arch::x86_64::{
        __m512i, __mmask8, _mm_cvtsi64_si128, _mm512_and_si512, _mm512_cmpeq_epi64_mask,
        _mm512_cmplt_epu64_mask, _mm512_mask_blend_epi64, _mm512_set1_epi64, _mm512_srl_epi64,
        _mm512_xor_si512,
    },
    sync::OnceLock,
};

use secp256k1::{PublicKey, SecretKey};

use super::{
    lanes::{Field, LANES, Words, inverse, load, roots, splat, store, transpose},
    scalar::{Scalar, Short, split},
};

/// Bits of a digit of P's scalars, and how many there are.
const DIGIT: usize = 4;
const DIGITS: usize = 33;
const BITS: u32 = 132;
/// The same of G's.
const WIDE_DIGIT: usize = 8;
const WIDE_BITS: u32 = 136;
/// Odd multiples up to the largest digit.
const MULTIPLES: usize = 1 << (DIGIT - 1);
const WIDE_MULTIPLES: usize = 1 << (WIDE_DIGIT - 1);

/// The endomorphism multiplies x with a cube root of one.
const BETA: [u64; 4] =
    [0xc139_6c28_7195_01ee, 0x9cf0_4975_12f5_8995, 0x6e64_479e_ac34_34e9, 0x7ae9_6a2b_657c_0710];
/// What it multiplies a point with, big-endian.
const LAMBDA: [u8; 32] = [
    0x53, 0x63, 0xad, 0x4c, 0xc0, 0x5c, 0x30, 0xe0, 0xa5, 0x26, 0x1c, 0x02, 0x88, 0x12, 0x64, 0x5a, 0x12,
    0x2e, 0x22, 0xea, 0x20, 0x81, 0x66, 0x78, 0xdf, 0x02, 0x96, 0x7c, 0x1b, 0x23, 0xbd, 0x72,
];

/// One sum to compute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// x of P, below the prime, least word first.
    pub(super) x: [u64; 4],
    /// Whether y of P is odd.
    pub(super) odd: bool,
    /// The scalars of G and P, below the order.
    pub(super) a: Scalar,
    pub(super) b: Scalar,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sum {
    /// The sum's x and y, least words first.
    Point([u64; 4], [u64; 4]),
    /// P is no point of the curve.
    NoPoint,
    /// The sum is infinite, or two equal or opposite points met on the way.
    Unsure,
}

/// True when this processor has the instructions.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma")
}

/// Computes all sums; nothing where the processor lacks the instructions.
pub(super) fn sums(jobs: &[Job]) -> Option<Vec<Sum>> {
    // SAFETY: the instructions were just found on this processor.
    is_available().then(|| unsafe { sums_in_lanes(jobs) })
}

/// A point in Jacobian coordinates: x / z^2, y / z^3. Magnitudes are at most 10, 10 and 2.
#[derive(Clone, Copy)]
struct Point {
    x: Field,
    y: Field,
    z: Field,
}

impl Point {
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn double(&self) -> Self {
        let squared = self.y.square();
        let product = self.x.mul(&squared);
        let slope = self.x.square().triple();
        let x = slope.square().sub::<3, 9>(&product);
        let step = product.shifted::<2>().sub::<0, 11>(&x);
        let y = slope.mul(&step).sub::<3, 9>(&squared.square());
        Self { x, y, z: self.y.mul(&self.z).shifted::<1>() }
    }

    /// Adds the affine point (x, y), negated in the lanes of the mask, whose coordinates belong to `z` in place of this
    /// point's own; also returns by what its own z was multiplied.
    #[inline]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn add(&self, z: &Field, (x, y): (&Field, &Field), negative: __mmask8) -> (Self, Field) {
        let squared = z.square();
        let run = x.mul(&squared).sub::<0, 11>(&self.x);
        let rise = y.mul(&squared.mul(z)).signed_sub::<12>(negative, &self.y);
        let run_2 = run.square();
        let run_3 = run.mul(&run_2);
        let middle = self.x.mul(&run_2);
        let sum_x = rise.square().sub_and_twice(&run_3, &middle);
        let sum_y = rise.mul(&middle.sub::<0, 6>(&sum_x)).sub::<0, 2>(&self.y.mul(&run_3));
        (Self { x: sum_x, y: sum_y, z: self.z.mul(&run) }, run)
    }
}

/// The odd multiples of P and of its image under the endomorphism, all over the same z.
struct Multiples {
    x: [Field; MULTIPLES],
    image_x: [Field; MULTIPLES],
    y: [Field; MULTIPLES],
    z: Field,
}

impl Multiples {
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(x: &Field, y: &Field) -> Self {
        let one = Field::small(1);
        let twice = Point { x: *x, y: *y, z: one }.double();
        // On the curve scaled by the z of 2P, 2P is affine.
        let scale = twice.z.square();
        let mut last = Point { x: x.mul(&scale), y: y.mul(&scale.mul(&twice.z)), z: one };
        let (mut xs, mut ys, mut factors) = ([last.x; MULTIPLES], [last.y; MULTIPLES], [one; MULTIPLES]);
        for place in 1..MULTIPLES {
            (last, factors[place]) = last.add(&last.z, (&twice.x, &twice.y), 0);
            (xs[place], ys[place]) = (last.x, last.y);
        }
        // All go to the curve on which the last is affine.
        let mut factor = factors[MULTIPLES - 1];
        for place in (0..MULTIPLES - 1).rev() {
            let squared = factor.square();
            xs[place] = xs[place].mul(&squared);
            ys[place] = ys[place].mul(&squared.mul(&factor));
            factor = factor.mul(&factors[place]);
        }
        let beta = Field::constant(BETA);
        let mut image_x = xs;
        for x in &mut image_x {
            *x = x.mul(&beta);
        }
        Self { x: xs, image_x, y: ys, z: last.z.mul(&twice.z) }
    }

    /// The entry of each lane's own place.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn pick(table: &[Field; MULTIPLES], masks: &[__mmask8; MULTIPLES]) -> Field {
        let mut found = table[0];
        for (entry, mask) in table.iter().zip(masks).skip(1) {
            found = found.select(*mask, entry);
        }
        found
    }
}

/// A digit of each lane: the place of the multiple in the table, and where it is negative.
#[derive(Clone, Copy)]
struct Digit {
    place: __m512i,
    negative: __mmask8,
}

/// The two halves of a scalar of each lane, as digits are cut from them.
struct Halves([[Words; 3]; 2]);

impl Halves {
    /// Digit number `number` of `WIDTH` bits.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn digit<const WIDTH: usize>(&self, half: usize, number: usize) -> Digit {
        let bit = number * WIDTH;
        let words = load(&self.0[half][bit / 64]);
        let shift = _mm_cvtsi64_si128(i64::try_from(bit % 64).unwrap_or_default());
        let bits = _mm512_and_si512(_mm512_srl_epi64(words, shift), splat((1 << WIDTH) - 1));
        let middle = splat(1 << (WIDTH - 1));
        let negative = _mm512_cmplt_epu64_mask(bits, middle);
        // 2 * bits - (2^WIDTH - 1), made positive, is twice the place plus one.
        let flip = _mm512_mask_blend_epi64(negative, middle, splat((1 << (WIDTH - 1)) - 1));
        Digit { place: _mm512_xor_si512(bits, flip), negative }
    }

    fn set(&mut self, lane: usize, halves: [Short; 2]) {
        for (words, half) in self.0.iter_mut().zip(halves) {
            for (words, word) in words.iter_mut().zip(half) {
                words[lane] = word;
            }
        }
    }
}

/// Odd multiples of G and of its image, each as four words of x and four of y.
struct Generator([Vec<Words>; 2]);

impl Generator {
    /// The multiples as libsecp256k1 computes them.
    fn get() -> &'static Self {
        static TABLE: OnceLock<Generator> = OnceLock::new();
        let of = |image: bool| (1..=u8::MAX).step_by(2).map(|number| multiple(number, image)).collect();
        TABLE.get_or_init(|| Self([of(false), of(true)]))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn pick(table: &[Words], place: __m512i) -> (Field, Field) {
        let row = |place: u64| load(&table[usize::try_from(place).unwrap_or_default() % WIDE_MULTIPLES]);
        let [x0, x1, x2, x3, y0, y1, y2, y3] = transpose(store(place).map(row));
        (Field::from_words([x0, x1, x2, x3]), Field::from_words([y0, y1, y2, y3]))
    }
}

/// A small multiple of G or of its image.
fn multiple(number: u8, image: bool) -> Words {
    let mut bytes = [0; 32];
    bytes[31] = number;
    let mut secret = SecretKey::from_secret_bytes(bytes).expect("a small number is a scalar");
    if image {
        let lambda = secp256k1::Scalar::from_be_bytes(LAMBDA).expect("lambda is a scalar");
        secret = secret.mul_tweak(&lambda).expect("a product of nonzero scalars is not zero");
    }
    let key = PublicKey::from_secret_key(&secret).serialize_uncompressed();
    let [x3, x2, x1, x0, y3, y2, y1, y0] = std::array::from_fn(|word| {
        key[1..].as_chunks::<8>().0.get(word).map_or(0, |b| u64::from_be_bytes(*b))
    });
    [x0, x1, x2, x3, y0, y1, y2, y3]
}

/// Up to eight jobs on the way.
struct Group {
    x: Field,
    odd: __mmask8,
    of_generator: Halves,
    of_point: Halves,
}

impl Group {
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn new(jobs: &[Job]) -> Self {
        let mut x = [[0; LANES]; 4];
        let mut odd = 0;
        let none = || Halves([[[0; LANES]; 3]; 2]);
        let (mut of_generator, mut of_point) = (none(), none());
        for (lane, job) in jobs.iter().enumerate().take(LANES) {
            for (words, word) in x.iter_mut().zip(job.x) {
                words[lane] = word;
            }
            odd |= u8::from(job.odd) << lane;
            of_generator.set(lane, split(&job.a, WIDE_BITS));
            of_point.set(lane, split(&job.b, BITS));
        }
        Self { x: Field::from_words(x.map(|words| load(&words))), odd, of_generator, of_point }
    }

    /// x^3 + 7.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn right_side(&self) -> Field {
        self.x.square().mul(&self.x).add(&Field::small(7))
    }

    /// The sum; its z is zero in lanes that are unsure.
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn sum(&self, y: &Field) -> Point {
        let generator = Generator::get();
        let table = Multiples::new(&self.x, y);
        let pick = |half: usize, number: usize| {
            let digit = self.of_point.digit::<DIGIT>(half, number);
            let mut masks = [0; MULTIPLES];
            for (place, mask) in (0..).zip(&mut masks) {
                *mask = _mm512_cmpeq_epi64_mask(digit.place, _mm512_set1_epi64(place));
            }
            let xs = if half == 0 { &table.x } else { &table.image_x };
            (Multiples::pick(xs, &masks), Multiples::pick(&table.y, &masks), digit.negative)
        };
        let one = Field::small(1);
        let (x, y, negative) = pick(0, DIGITS - 1);
        let y = y.select(negative, &Field::small(0).sub::<0, 4>(&y));
        let mut sum = Point { x, y, z: one };
        for number in (0..DIGITS).rev() {
            if number < DIGITS - 1 {
                for _ in 0..DIGIT {
                    sum = sum.double();
                }
                let (x, y, negative) = pick(0, number);
                sum = sum.add(&sum.z, (&x, &y), negative).0;
            }
            let (x, y, negative) = pick(1, number);
            sum = sum.add(&sum.z, (&x, &y), negative).0;
            if (number * DIGIT).is_multiple_of(WIDE_DIGIT) {
                for half in 0..2 {
                    let digit = self.of_generator.digit::<WIDE_DIGIT>(half, number * DIGIT / WIDE_DIGIT);
                    let (x, y) = Generator::pick(&generator.0[half], digit.place);
                    sum = sum.add(&sum.z.mul(&table.z), (&x, &y), digit.negative).0;
                }
            }
        }
        Point { z: sum.z.mul(&table.z), ..sum }
    }
}

/// A group's sum with the lanes that began on the curve and those whose z is zero.
struct Done {
    sum: Point,
    on_curve: __mmask8,
    unsure: __mmask8,
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn sums_in_lanes(jobs: &[Job]) -> Vec<Sum> {
    let mut done = Vec::with_capacity(jobs.len().div_ceil(LANES));
    for two in jobs.chunks(2 * LANES) {
        let (first, second) = two.split_at(two.len().min(LANES));
        let groups = [Group::new(first), Group::new(second)];
        let sides = [groups[0].right_side(), groups[1].right_side()];
        let roots = roots(&sides);
        for ((group, side), root) in groups.iter().zip(sides).zip(roots).take(two.len().div_ceil(LANES)) {
            let on_curve = root.square().sub::<0, 3>(&side).reduce().is_zero();
            let root = root.reduce();
            let y = root.select(root.is_odd() ^ group.odd, &Field::small(0).sub::<0, 2>(&root));
            let mut sum = group.sum(&y);
            let unsure = sum.z.reduce().is_zero();
            sum.z = sum.z.select(unsure, &Field::small(1));
            done.push(Done { sum, on_curve, unsure });
        }
    }
    // befores[i] = the product of all z before i
    let mut all = Field::small(1);
    let mut befores = Vec::with_capacity(done.len());
    for group in &done {
        befores.push(all);
        all = all.mul(&group.sum.z);
    }
    let mut rest = inverse(&all);
    let mut sums = vec![Sum::Unsure; jobs.len()];
    for ((group, before), sums) in done.iter().zip(befores).zip(sums.chunks_mut(LANES)).rev() {
        let scale = rest.mul(&before);
        rest = rest.mul(&group.sum.z);
        let squared = scale.square();
        let coordinates = [group.sum.x.mul(&squared), group.sum.y.mul(&squared.mul(&scale))];
        let [x, y] = coordinates.map(|field| field.reduce().to_words().map(|words| store(words)));
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum = if group.on_curve >> lane & 1 == 0 {
                Sum::NoPoint
            } else if group.unsure >> lane & 1 == 1 {
                Sum::Unsure
            } else {
                Sum::Point(x.map(|words| words[lane]), y.map(|words| words[lane]))
            };
        }
    }
    sums
}
