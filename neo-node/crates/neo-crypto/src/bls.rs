//! BLS12-381 as CryptoLib offers it to contracts. Mirrors `Native/CryptoLib.BLS12_381.cs`.
//!
//! Affine and projective points are different types to a contract: only some operations mix them. Points and scalars
//! use the `bls12_381` crate. It hides the coefficients of the target group, so pairings and that group use `blst`.

use bls12_381::{G1Affine, G1Projective, G2Affine, G2Projective, Scalar};
use blst::{blst_fp, blst_fp2, blst_fp6, blst_fp12, blst_p1_affine, blst_p2_affine};

/// Bytes of a coefficient.
const FIELD: usize = 48;

/// Bytes of an element of the target group.
const TARGET: usize = 576;

/// A point of one of the groups.
#[derive(Debug, Clone)]
pub enum Point {
    /// First group, affine.
    G1Affine(G1Affine),
    /// First group, projective.
    G1Projective(G1Projective),
    /// Second group, affine.
    G2Affine(G2Affine),
    /// Second group, projective.
    G2Projective(G2Projective),
    /// Target group; any element of the field is let in.
    Target(Box<blst_fp12>),
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other) == Some(true)
    }
}

impl Point {
    /// The point of 48 (first group), 96 (second group) or 576 bytes (target group); `None` for another length, for
    /// points that are not of the group, and for coefficients that are not below the modulus.
    #[must_use]
    pub fn deserialize(bytes: &[u8]) -> Option<Self> {
        if let Ok(compressed) = <&[u8; 48]>::try_from(bytes) {
            return Option::from(G1Affine::from_compressed(compressed)).map(Self::G1Affine);
        }
        if let Ok(compressed) = <&[u8; 96]>::try_from(bytes) {
            return Option::from(G2Affine::from_compressed(compressed)).map(Self::G2Affine);
        }
        target_from_bytes(bytes).map(|element| Self::Target(Box::new(element)))
    }

    /// The bytes that [`Point::deserialize`] reads.
    #[must_use]
    pub fn serialize(&self) -> Vec<u8> {
        match self {
            Self::G1Affine(point) => point.to_compressed().to_vec(),
            Self::G1Projective(point) => G1Affine::from(point).to_compressed().to_vec(),
            Self::G2Affine(point) => point.to_compressed().to_vec(),
            Self::G2Projective(point) => G2Affine::from(point).to_compressed().to_vec(),
            Self::Target(element) => target_to_bytes(element),
        }
    }

    /// Whether two points of the same type are equal; `None` for different types.
    #[must_use]
    pub fn equals(&self, other: &Self) -> Option<bool> {
        Some(match (self, other) {
            (Self::G1Affine(a), Self::G1Affine(b)) => a == b,
            (Self::G1Projective(a), Self::G1Projective(b)) => a == b,
            (Self::G2Affine(a), Self::G2Affine(b)) => a == b,
            (Self::G2Projective(a), Self::G2Projective(b)) => a == b,
            (Self::Target(a), Self::Target(b)) => a == b,
            _ => return None,
        })
    }

    /// The sum of two points of one group; `None` for different groups.
    #[must_use]
    pub fn add(&self, other: &Self) -> Option<Self> {
        Some(match (self, other) {
            (Self::G1Affine(a), Self::G1Affine(b)) => Self::G1Projective(G1Projective::from(a) + b),
            (Self::G1Affine(a), Self::G1Projective(b)) => Self::G1Projective(a + b),
            (Self::G1Projective(a), Self::G1Affine(b)) => Self::G1Projective(a + b),
            (Self::G1Projective(a), Self::G1Projective(b)) => Self::G1Projective(a + b),
            (Self::G2Affine(a), Self::G2Affine(b)) => Self::G2Projective(G2Projective::from(a) + b),
            (Self::G2Affine(a), Self::G2Projective(b)) => Self::G2Projective(a + b),
            (Self::G2Projective(a), Self::G2Affine(b)) => Self::G2Projective(a + b),
            (Self::G2Projective(a), Self::G2Projective(b)) => Self::G2Projective(a + b),
            (Self::Target(a), Self::Target(b)) => Self::Target(Box::new(**a * **b)),
            _ => return None,
        })
    }

    /// The point times a scalar of 32 little-endian bytes, or times its negation; `None` when the scalar is not below
    /// the order of the groups.
    #[must_use]
    pub fn mul(&self, scalar: &[u8], negate: bool) -> Option<Self> {
        let scalar: Option<Scalar> = Scalar::from_bytes(scalar.try_into().ok()?).into();
        let scalar = if negate { -scalar? } else { scalar? };
        Some(match self {
            Self::G1Affine(point) => Self::G1Projective(point * scalar),
            Self::G1Projective(point) => Self::G1Projective(point * scalar),
            Self::G2Affine(point) => Self::G2Projective(point * scalar),
            Self::G2Projective(point) => Self::G2Projective(point * scalar),
            Self::Target(element) => Self::Target(Box::new(target_power(element, &scalar.to_bytes()))),
        })
    }

    /// The pairing of a point of the first group and one of the second; `None` for other groups.
    #[must_use]
    pub fn pairing(&self, other: &Self) -> Option<Self> {
        let first = match self {
            Self::G1Affine(point) => *point,
            Self::G1Projective(point) => point.into(),
            _ => return None,
        };
        let second = match other {
            Self::G2Affine(point) => *point,
            Self::G2Projective(point) => point.into(),
            _ => return None,
        };
        if bool::from(first.is_identity()) || bool::from(second.is_identity()) {
            return Some(Self::Target(Box::default()));
        }
        let loop_result = blst_fp12::miller_loop(&to_blst_g2(&second)?, &to_blst_g1(&first)?);
        Some(Self::Target(Box::new(loop_result.final_exp())))
    }
}

/// Square and multiply from the highest bit; elements outside the group are treated alike.
fn target_power(element: &blst_fp12, scalar: &[u8; 32]) -> blst_fp12 {
    let mut power = blst_fp12::default();
    for byte in scalar.iter().rev() {
        for bit in (0..8).rev() {
            power = power * power;
            if (byte >> bit) & 1 == 1 {
                power *= *element;
            }
        }
    }
    power
}

fn to_blst_g1(point: &G1Affine) -> Option<blst_p1_affine> {
    let bytes = point.to_uncompressed();
    let (x, y) = bytes.split_at(FIELD);
    Some(blst_p1_affine { x: field(x)?, y: field(y)? })
}

fn to_blst_g2(point: &G2Affine) -> Option<blst_p2_affine> {
    let bytes = point.to_uncompressed();
    let (x, y) = bytes.split_at(2 * FIELD);
    Some(blst_p2_affine { x: field2(x)?, y: field2(y)? })
}

/// Coefficients are written from the highest to the lowest at every level of the tower.
fn target_from_bytes(bytes: &[u8]) -> Option<blst_fp12> {
    if bytes.len() != TARGET {
        return None;
    }
    let (high, low) = bytes.split_at(TARGET / 2);
    Some(blst_fp12 { fp6: [field6(low)?, field6(high)?] })
}

fn target_to_bytes(element: &blst_fp12) -> Vec<u8> {
    let halves = element.fp6.iter().rev();
    let pairs = halves.flat_map(|half| half.fp2.iter().rev());
    pairs.flat_map(|pair| pair.fp.iter().rev()).flat_map(field_bytes).collect()
}

fn field6(bytes: &[u8]) -> Option<blst_fp6> {
    let (high, rest) = bytes.split_at_checked(2 * FIELD)?;
    let (middle, low) = rest.split_at_checked(2 * FIELD)?;
    Some(blst_fp6 { fp2: [field2(low)?, field2(middle)?, field2(high)?] })
}

fn field2(bytes: &[u8]) -> Option<blst_fp2> {
    let (high, low) = bytes.split_at_checked(FIELD)?;
    Some(blst_fp2 { fp: [field(low)?, field(high)?] })
}

/// A coefficient from 48 big-endian bytes; `None` when it is not below the modulus.
fn field(bytes: &[u8]) -> Option<blst_fp> {
    let bytes: &[u8; FIELD] = bytes.try_into().ok()?;
    let value = from_big_endian(bytes);
    (field_bytes(&value) == *bytes).then_some(value)
}

/// `blst` keeps coefficients in Montgomery form and its safe interface does not convert them, but it multiplies: the
/// product of two field elements `a` and `b` there is `a * b / 2^384`, and `b = 2^768` makes that the Montgomery form of `a`.
fn from_big_endian(bytes: &[u8; FIELD]) -> blst_fp {
    const TWO_TO_768: [u64; 6] = [
        0xf4df_1f34_1c34_1746,
        0x0a76_e6a6_09d1_04f1,
        0x8de5_476c_4c95_b6d5,
        0x67eb_88a9_939d_83c0,
        0x9a79_3e85_b519_952d,
        0x1198_8fe5_92ca_e3aa,
    ];
    let mut plain = [0u64; 6];
    for (limb, chunk) in plain.iter_mut().zip(bytes.rchunks_exact(8)) {
        *limb = chunk.iter().fold(0, |limb, byte| (limb << 8) | u64::from(*byte));
    }
    let [low, _] = (embed(plain) * embed(TWO_TO_768)).fp6;
    let [pair, ..] = low.fp2;
    let [value, _] = pair.fp;
    value
}

fn field_bytes(value: &blst_fp) -> [u8; FIELD] {
    let bytes = embed(value.l).to_bendian();
    *bytes.first_chunk().expect("twelve coefficients are more than one")
}

/// The element whose lowest coefficient has these limbs, and no others.
fn embed(limbs: [u64; 6]) -> blst_fp12 {
    let zero2 = blst_fp2 { fp: [blst_fp { l: [0; 6] }; 2] };
    let low2 = blst_fp2 { fp: [blst_fp { l: limbs }, blst_fp { l: [0; 6] }] };
    blst_fp12 { fp6: [blst_fp6 { fp2: [low2, zero2, zero2] }, blst_fp6 { fp2: [zero2; 3] }] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(number: u8) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[0] = number;
        bytes
    }

    fn generators() -> (Point, Point) {
        (Point::G1Affine(G1Affine::generator()), Point::G2Affine(G2Affine::generator()))
    }

    #[test]
    fn the_pairing_is_bilinear_and_agrees_with_the_other_library() {
        let (g1, g2) = generators();
        let left = g1.mul(&scalar(6), false).and_then(|p| p.pairing(&g2)).expect("a pairing");
        let right = g2.mul(&scalar(6), false).and_then(|q| g1.pairing(&q)).expect("a pairing");
        let power = g1.pairing(&g2).and_then(|t| t.mul(&scalar(6), false)).expect("a power");
        assert_eq!(left, right);
        assert_eq!(left, power);
        let inverse = g1.pairing(&g2).and_then(|t| t.mul(&scalar(6), true)).expect("a power");
        assert_eq!(left.add(&inverse), Some(Point::Target(Box::default())));
        // the text form of the other library lists the same coefficients from the lowest
        let text = bls12_381::pairing(&G1Affine::generator(), &G2Affine::generator()).to_string();
        let digits: Vec<&str> = text.split("0x").skip(1).filter_map(|part| part.get(..96)).collect();
        let bytes = g1.pairing(&g2).expect("a pairing").serialize();
        let own: Vec<String> =
            bytes.chunks(48).rev().map(|c| c.iter().map(|b| format!("{b:02x}")).collect()).collect();
        assert_eq!(digits, own);
    }

    #[test]
    fn identities_pair_to_one_and_points_outside_the_groups_are_refused() {
        let (g1, g2) = generators();
        let zero = g1.mul(&scalar(0), false).expect("zero is a scalar");
        assert_eq!(zero.pairing(&g2), Some(Point::Target(Box::default())));
        assert_eq!(Point::deserialize(&zero.serialize()).map(|p| p.serialize()), Some(zero.serialize()));
        assert!(Point::deserialize(&[0; 48]).is_none());
        assert!(Point::deserialize(&[0xff; 576]).is_none());
        assert!(Point::deserialize(&[0; 576]).is_some());
        assert!(g1.mul(&[0xff; 32], false).is_none());
        assert!(g1.add(&g2).is_none() && g1.equals(&zero).is_none() && g2.pairing(&g1).is_none());
    }
}
