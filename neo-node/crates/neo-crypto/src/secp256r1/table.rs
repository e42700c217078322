//! Verification with tables: sums of stored multiples of the generator and of a key take the place of doublings, which makes a
//! check of a signature several times faster once the key's table is made. In variable time: for public values only.

use std::sync::LazyLock;

use p256::{
    FieldBytes, Scalar,
    ecdsa::Signature,
    elliptic_curve::{PrimeField, ops::Reduce},
};

use super::{ORDER, field::Field};

/// Bits of a digit of scalars that multiply a key: 152 KB a table.
const KEY_BITS: usize = 7;

/// Bits of a digit of scalars that multiply the generator: 270 KB.
const GENERATOR_BITS: usize = 8;

static GENERATOR: LazyLock<Table> = LazyLock::new(|| {
    let point = p256::AffinePoint::GENERATOR;
    let encoded = p256::elliptic_curve::sec1::ToSec1Point::to_sec1_point(&point, false);
    let mut uncompressed = [0; 65];
    uncompressed.copy_from_slice(encoded.as_bytes());
    Table::of(&uncompressed, GENERATOR_BITS).expect("the generator is a point")
});

/// A point other than infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Affine {
    x: Field,
    y: Field,
}

/// A point as (x / z^2, y / z^3); infinity has a z of zero.
#[derive(Debug, Clone, Copy)]
struct Jacobian {
    x: Field,
    y: Field,
    z: Field,
}

impl Jacobian {
    const INFINITY: Self = Self { x: Field::ONE, y: Field::ONE, z: Field::ZERO };

    fn doubled(&self) -> Self {
        let Self { x, y, z } = self;
        let (delta, gamma) = (z.squared(), y.squared());
        let beta = x.times(&gamma);
        let slope = x.minus(&delta).times(&x.plus(&delta));
        let alpha = slope.doubled().plus(&slope);
        let beta4 = beta.doubled().doubled();
        let new_x = alpha.squared().minus(&beta4.doubled());
        let new_z = y.plus(z).squared().minus(&gamma).minus(&delta);
        let gamma8 = gamma.squared().doubled().doubled().doubled();
        let new_y = alpha.times(&beta4.minus(&new_x)).minus(&gamma8);
        Self { x: new_x, y: new_y, z: new_z }
    }

    fn plus(&self, other: &Affine) -> Self {
        if self.z == Field::ZERO {
            return Self { x: other.x, y: other.y, z: Field::ONE };
        }
        let zz = self.z.squared();
        let h = other.x.times(&zz).minus(&self.x);
        let r = other.y.times(&self.z).times(&zz).minus(&self.y);
        if h == Field::ZERO {
            return if r == Field::ZERO { self.doubled() } else { Self::INFINITY };
        }
        let hh = h.squared();
        let hhh = hh.times(&h);
        let v = self.x.times(&hh);
        let x = r.squared().minus(&hhh).minus(&v.doubled());
        let y = r.times(&v.minus(&x)).minus(&self.y.times(&hhh));
        Self { x, y, z: self.z.times(&h) }
    }

    /// True when the point is not infinity, and its x modulo n is r.
    fn has_x(&self, r: &[u8; 32]) -> bool {
        if self.z == Field::ZERO {
            return false;
        }
        let zz = self.z.squared();
        let is = |x: &Field| x.times(&zz) == self.x;
        if Field::from_bytes(r).is_some_and(|x| is(&x)) {
            return true;
        }
        // x may be r + n, if that is below p
        let mut carry = false;
        let mut larger = [0; 32];
        for (out, (a, b)) in larger.iter_mut().zip(r.iter().zip(&ORDER)).rev() {
            (*out, carry) = a.carrying_add(*b, carry);
        }
        !carry && Field::from_bytes(&larger).is_some_and(|x| is(&x))
    }
}

/// All points by one division; none is infinity.
fn to_affine(points: &[Jacobian]) -> Vec<Affine> {
    let mut products = Vec::with_capacity(points.len());
    let mut product = Field::ONE;
    for point in points {
        products.push(product);
        product = product.times(&point.z);
    }
    let mut inverse = product.inverted();
    let mut affine: Vec<Affine> = Vec::with_capacity(points.len());
    for (point, before) in points.iter().zip(products).rev() {
        let z = inverse.times(&before);
        inverse = inverse.times(&point.z);
        let zz = z.squared();
        affine.push(Affine { x: point.x.times(&zz), y: point.y.times(&zz).times(&z) });
    }
    affine.reverse();
    affine
}

/// Multiples of a point: for each digit of a scalar, all that the digit can be.
#[derive(Debug)]
pub(super) struct Table {
    bits: usize,
    /// 1 to 2^(bits - 1) times the point, then the same of 2^bits times the point, and so on.
    multiples: Vec<Affine>,
}

impl Table {
    /// The table of a key, given as `04 || x || y`.
    pub(super) fn of_key(uncompressed: &[u8; 65]) -> Option<Self> {
        Self::of(uncompressed, KEY_BITS)
    }

    fn of(uncompressed: &[u8; 65], bits: usize) -> Option<Self> {
        let (x, y) = uncompressed.get(1..)?.split_first_chunk()?;
        let mut base =
            Jacobian { x: Field::from_bytes(x)?, y: Field::from_bytes(y.first_chunk()?)?, z: Field::ONE };
        let mut bases = Vec::new();
        for _ in 0..256 / bits + 1 {
            bases.push(base);
            (0..bits).for_each(|_| base = base.doubled());
        }
        let mut multiples = Vec::new();
        for base in to_affine(&bases) {
            let mut multiple = Jacobian::INFINITY;
            for _ in 0..1 << (bits - 1) {
                multiple = multiple.plus(&base);
                multiples.push(multiple);
            }
        }
        Some(Self { bits, multiples: to_affine(&multiples) })
    }

    /// `sum` and the product of the point and a scalar.
    fn add_product(&self, scalar: &Scalar, mut sum: Jacobian) -> Jacobian {
        let mut bytes = [0; 34];
        bytes[..32].copy_from_slice(&scalar.to_repr());
        bytes[..32].reverse();
        let half = 1_usize << (self.bits - 1);
        let mut carry = 0;
        for (index, row) in self.multiples.chunks_exact(half).enumerate() {
            let at = index * self.bits;
            let window = bytes.get(at / 8..at / 8 + 2).and_then(|pair| pair.first_chunk());
            let window = usize::from(window.map_or(0, |pair| u16::from_le_bytes(*pair)) >> (at % 8));
            // a digit above one half becomes negative, and the next one greater
            let digit = (window & (2 * half - 1)) + carry;
            carry = usize::from(digit > half);
            let size = if carry == 0 { digit } else { 2 * half - digit };
            let Some(multiple) = size.checked_sub(1).and_then(|place| row.get(place)) else { continue };
            let signed =
                if carry == 0 { *multiple } else { Affine { x: multiple.x, y: multiple.y.negated() } };
            sum = sum.plus(&signed);
        }
        sum
    }

    /// True when the signature (`r || s`) signs these 32 bytes under the key of the table.
    pub(super) fn verify(&self, hash: &[u8; 32], signature: &[u8; 64]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else { return false };
        let (r, s) = signature.split_scalars();
        let inverse: Option<Scalar> = s.invert_vartime().into();
        let Some(inverse) = inverse else { return false };
        let message = <Scalar as Reduce<FieldBytes>>::reduce(&FieldBytes::from(*hash));
        let sum = GENERATOR.add_product(&(message * inverse), Jacobian::INFINITY);
        let sum = self.add_product(&(*r.as_ref() * inverse), sum);
        sum.has_x(&r.to_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use p256::{AffinePoint, ProjectivePoint, elliptic_curve::sec1::ToSec1Point};

    use super::*;

    fn uncompressed(point: ProjectivePoint) -> [u8; 65] {
        let mut bytes = [0; 65];
        bytes.copy_from_slice(AffinePoint::from(point).to_sec1_point(false).as_bytes());
        bytes
    }

    /// The sum that a verification makes, beside the one of p256.
    fn check(table: &Table, point: ProjectivePoint, of_generator: Scalar, of_key: Scalar) {
        let sum = table.add_product(&of_key, GENERATOR.add_product(&of_generator, Jacobian::INFINITY));
        let expected = ProjectivePoint::GENERATOR * of_generator + point * of_key;
        if expected == ProjectivePoint::IDENTITY {
            assert_eq!(sum.z, Field::ZERO, "{of_generator:?} {of_key:?}");
            return;
        }
        let expected = uncompressed(expected);
        let (x, y) = expected[1..].split_at(32);
        let coordinate =
            |bytes: &[u8]| Field::from_bytes(bytes.try_into().expect("32 bytes")).expect("below p");
        let found = to_affine(&[sum]);
        assert_eq!(found, [Affine { x: coordinate(x), y: coordinate(y) }], "{of_generator:?} {of_key:?}");
    }

    #[test]
    fn sums_that_meet_themselves_or_their_opposites_are_right() {
        let small = |number: u64| Scalar::from(number);
        // the key is a small multiple of the generator, or the opposite of one: sums double, vanish, and begin again
        for factor in [small(1), small(2), small(32), small(4096), -small(1), -small(3), -small(1 << 35)] {
            let point = ProjectivePoint::GENERATOR * factor;
            let table = Table::of_key(&uncompressed(point)).expect("a point");
            for one in [0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 128, 4096, 1 << 40] {
                for other in [0, 1, 2, 16, 17, 32, 64, 512, 1 << 35] {
                    check(&table, point, small(one), small(other));
                    check(&table, point, small(one), -small(other));
                    check(&table, point, -small(one), small(other));
                    check(&table, point, -(small(one) * factor), small(one));
                }
            }
        }
    }

    #[test]
    fn random_sums_are_those_of_the_other_library() {
        let mut scalar = Scalar::from(3_u64);
        let mut next = || {
            scalar = scalar * scalar + Scalar::from(7_u64);
            scalar
        };
        for _ in 0..20 {
            let point = ProjectivePoint::GENERATOR * next();
            let table = Table::of_key(&uncompressed(point)).expect("a point");
            for _ in 0..10 {
                let (one, other) = (next(), next());
                check(&table, point, one, other);
                check(&table, point, one, -one);
            }
        }
    }

    #[test]
    fn an_x_that_was_reduced_modulo_the_order_is_found() {
        // x between n and p: r is x - n
        let mut x = [0xff; 32];
        x[..8].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1]);
        x[8..16].fill(0);
        x[16..20].fill(0);
        x[20..].fill(0);
        let point = Jacobian { x: Field::from_bytes(&x).expect("below p"), y: Field::ONE, z: Field::ONE };
        let mut borrow = false;
        let mut r = x;
        for (out, order) in r.iter_mut().zip(&ORDER).rev() {
            (*out, borrow) = out.borrowing_sub(*order, borrow);
        }
        assert!(!borrow && point.has_x(&r) && point.has_x(&x));
        r[31] ^= 1;
        assert!(!point.has_x(&r) && !Jacobian::INFINITY.has_x(&r));
    }
}
