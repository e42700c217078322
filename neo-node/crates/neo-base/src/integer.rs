//! Integers with the arithmetic of .NET's `BigInteger`: division truncates, remainders take the sign of the
//! dividend, right shifts floor, bytes are minimal two's complement in little-endian order.
//!
//! Values that fit 64 bits are kept inline, which is nearly all of them; [`Int`] itself has no bound. The 32-byte
//! bound of the virtual machine is checked where a result becomes a stack item ([`Int::fits_vm`]).

use std::{cmp::Ordering, fmt, str::FromStr};

use num_bigint::{BigInt, Sign};
use num_integer::Integer as _;
use num_traits::{Signed, ToPrimitive};

/// Bytes of the largest integer of the virtual machine.
pub const MAX_VM_BYTES: usize = 32;

/// An integer of any size.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Int(Repr);

/// `Big` only holds what does not fit `Small`, so equal values have equal forms.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Small(i64),
    Big(Box<BigInt>),
}

use Repr::{Big, Small};

impl Int {
    /// 0.
    pub const ZERO: Self = Self(Small(0));
    /// 1.
    pub const ONE: Self = Self(Small(1));

    /// The value as a `num-bigint` number.
    #[must_use]
    pub fn to_big(&self) -> BigInt {
        match &self.0 {
            Small(value) => BigInt::from(*value),
            Big(value) => (**value).clone(),
        }
    }

    /// True for 0.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Small(0))
    }

    /// True below 0.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        match &self.0 {
            Small(value) => *value < 0,
            Big(value) => value.is_negative(),
        }
    }

    /// -1, 0 or 1.
    #[must_use]
    pub fn signum(&self) -> Self {
        match &self.0 {
            Small(value) => Self::from(value.signum()),
            Big(value) => Self::from(if value.is_negative() { -1i64 } else { 1 }),
        }
    }

    /// The value when it fits 32 bits with sign: what a C# `(int)` cast accepts.
    #[must_use]
    pub fn to_i32(&self) -> Option<i32> {
        self.to_i64().and_then(|value| i32::try_from(value).ok())
    }

    /// The value when it fits 64 bits with sign.
    #[must_use]
    pub fn to_i64(&self) -> Option<i64> {
        match &self.0 {
            Small(value) => Some(*value),
            Big(_) => None,
        }
    }

    /// The value when it fits 64 bits without sign.
    #[must_use]
    pub fn to_u64(&self) -> Option<u64> {
        match &self.0 {
            Small(value) => u64::try_from(*value).ok(),
            Big(value) => value.to_u64(),
        }
    }

    /// The value when it is a valid index or length.
    #[must_use]
    pub fn to_usize(&self) -> Option<usize> {
        self.to_u64().and_then(|value| usize::try_from(value).ok())
    }

    /// Number of bytes of [`Int::to_bytes`].
    #[must_use]
    pub fn byte_len(&self) -> usize {
        match &self.0 {
            Small(value) => small_len(*value),
            Big(value) => {
                // two's complement needs one bit more than the magnitude, except for the negative powers of two
                let bits = value.bits();
                let exact = value.is_negative() && value.trailing_zeros() == Some(bits.saturating_sub(1));
                let bytes = if exact { bits.div_ceil(8) } else { bits / 8 + 1 };
                usize::try_from(bytes).unwrap_or(usize::MAX)
            }
        }
    }

    /// True when the value is allowed on the stack of the virtual machine: at most 32 bytes.
    #[must_use]
    pub fn fits_vm(&self) -> bool {
        matches!(self.0, Small(_)) || self.byte_len() <= MAX_VM_BYTES
    }

    /// Minimal two's complement, little-endian; no bytes for 0.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Small(value) => value.to_le_bytes().iter().copied().take(small_len(*value)).collect(),
            Big(value) => value.to_signed_bytes_le(),
        }
    }

    /// The value of two's complement little-endian bytes, which need not be minimal; 0 for none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if let Some(&last) = bytes.last()
            && bytes.len() <= 8
        {
            let mut wide = if last & 0x80 == 0 { [0; 8] } else { [0xff; 8] };
            wide.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            return Self(Small(i64::from_le_bytes(wide)));
        }
        BigInt::from_signed_bytes_le(bytes).into()
    }

    /// Sum.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        match (&self.0, &other.0) {
            (Small(a), Small(b)) => match a.checked_add(*b) {
                Some(sum) => Self(Small(sum)),
                None => Self::from(i128::from(*a) + i128::from(*b)),
            },
            _ => (self.to_big() + other.to_big()).into(),
        }
    }

    /// Difference.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        match (&self.0, &other.0) {
            (Small(a), Small(b)) => match a.checked_sub(*b) {
                Some(difference) => Self(Small(difference)),
                None => Self::from(i128::from(*a) - i128::from(*b)),
            },
            _ => (self.to_big() - other.to_big()).into(),
        }
    }

    /// Product.
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        match (&self.0, &other.0) {
            (Small(a), Small(b)) => match a.checked_mul(*b) {
                Some(product) => Self(Small(product)),
                None => Self::from(i128::from(*a) * i128::from(*b)),
            },
            _ => (self.to_big() * other.to_big()).into(),
        }
    }

    /// Quotient, truncated towards zero; `None` for division by zero.
    #[must_use]
    pub fn div(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        Some(match (&self.0, &other.0) {
            (Small(a), Small(b)) => match a.checked_div(*b) {
                Some(quotient) => Self(Small(quotient)),
                None => Self::from(i128::from(*a) / i128::from(*b)),
            },
            _ => (self.to_big() / other.to_big()).into(),
        })
    }

    /// Remainder with the sign of the dividend; `None` for division by zero.
    #[must_use]
    pub fn rem(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        Some(match (&self.0, &other.0) {
            (Small(a), Small(b)) => Self(Small(a.wrapping_rem(*b))),
            _ => (self.to_big() % other.to_big()).into(),
        })
    }

    /// The value with the other sign.
    #[must_use]
    pub fn neg(&self) -> Self {
        match &self.0 {
            Small(value) => match value.checked_neg() {
                Some(negated) => Self(Small(negated)),
                None => Self::from(-i128::from(*value)),
            },
            Big(value) => (-&**value).into(),
        }
    }

    /// The value without its sign.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// The value to a power.
    #[must_use]
    pub fn pow(&self, exponent: u32) -> Self {
        if let Small(value) = self.0
            && let Some(power) = value.checked_pow(exponent)
        {
            return Self(Small(power));
        }
        self.to_big().pow(exponent).into()
    }

    /// Square root, floored; `None` below 0.
    #[must_use]
    pub fn sqrt(&self) -> Option<Self> {
        if self.is_negative() {
            return None;
        }
        match &self.0 {
            Small(value) => Some(Self::from(value.isqrt())),
            Big(value) => Some(value.sqrt().into()),
        }
    }

    /// `self * other % modulus`; `None` for modulus 0.
    #[must_use]
    pub fn mod_mul(&self, other: &Self, modulus: &Self) -> Option<Self> {
        self.mul(other).rem(modulus)
    }

    /// `self` to `exponent` modulo `modulus`, signed as .NET's `BigInteger.ModPow`: the remainder of the power,
    /// truncated. Exponent -1 is the modular inverse. `None` for modulus 0, other negative exponents, and where the
    /// inverse is not defined (value below 1, modulus below 2, common divisors).
    #[must_use]
    pub fn mod_pow(&self, exponent: &Self, modulus: &Self) -> Option<Self> {
        if exponent.0 == Small(-1) {
            return self.mod_inverse(modulus);
        }
        if exponent.is_negative() || modulus.is_zero() {
            return None;
        }
        let power = self.abs().to_big().modpow(&exponent.to_big(), &modulus.abs().to_big());
        let negative = self.is_negative() && exponent.to_big().is_odd();
        Some(if negative { (-power).into() } else { power.into() })
    }

    /// The inverse modulo `modulus`.
    fn mod_inverse(&self, modulus: &Self) -> Option<Self> {
        if self.is_negative() || self.is_zero() || *modulus < Self::from(2) {
            return None;
        }
        self.to_big().modinv(&modulus.to_big()).map(Self::from)
    }

    /// The value times two to the power of `bits`.
    #[must_use]
    pub fn shl(&self, bits: u32) -> Self {
        match self.0 {
            Small(value) if bits < 63 => Self::from(i128::from(value) << bits),
            _ => (self.to_big() << bits).into(),
        }
    }

    /// The value divided by two to the power of `bits`, floored.
    #[must_use]
    pub fn shr(&self, bits: u32) -> Self {
        match &self.0 {
            Small(value) => Self(Small(value >> bits.min(63))),
            Big(value) => (&**value >> bits).into(),
        }
    }

    /// Bitwise complement.
    #[must_use]
    pub fn not(&self) -> Self {
        match &self.0 {
            Small(value) => Self(Small(!value)),
            Big(value) => (!&**value).into(),
        }
    }

    /// Bitwise and of the infinite two's complement forms.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        match (&self.0, &other.0) {
            (Small(a), Small(b)) => Self(Small(a & b)),
            _ => (self.to_big() & other.to_big()).into(),
        }
    }

    /// Bitwise or.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        match (&self.0, &other.0) {
            (Small(a), Small(b)) => Self(Small(a | b)),
            _ => (self.to_big() | other.to_big()).into(),
        }
    }

    /// Bitwise exclusive or.
    #[must_use]
    pub fn xor(&self, other: &Self) -> Self {
        match (&self.0, &other.0) {
            (Small(a), Small(b)) => Self(Small(a ^ b)),
            _ => (self.to_big() ^ other.to_big()).into(),
        }
    }
}

/// Length of minimal two's complement, 0 for 0.
fn small_len(value: i64) -> usize {
    if value == 0 {
        return 0;
    }
    let magnitude = if value < 0 { !value } else { value };
    let bits = 64 - magnitude.leading_zeros();
    usize::try_from(bits / 8 + 1).unwrap_or(8)
}

impl From<BigInt> for Int {
    fn from(value: BigInt) -> Self {
        match value.to_i64() {
            Some(small) => Self(Small(small)),
            None => Self(Big(Box::new(value))),
        }
    }
}

macro_rules! from_small {
    ($($ty:ty),*) => {$(
        impl From<$ty> for Int {
            fn from(value: $ty) -> Self {
                Self(Small(value.into()))
            }
        }
    )*};
}

from_small!(i8, u8, i16, u16, i32, u32, i64, bool);

impl From<u64> for Int {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| Self(Big(Box::new(value.into()))), |small| Self(Small(small)))
    }
}

impl From<i128> for Int {
    fn from(value: i128) -> Self {
        i64::try_from(value).map_or_else(|_| Self(Big(Box::new(value.into()))), |small| Self(Small(small)))
    }
}

impl From<usize> for Int {
    fn from(value: usize) -> Self {
        i64::try_from(value).map_or_else(|_| Self(Big(Box::new(value.into()))), |small| Self(Small(small)))
    }
}

impl Ord for Int {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Small(a), Small(b)) => a.cmp(b),
            (Big(a), Big(b)) => a.cmp(b),
            (Small(_), Big(b)) => {
                if b.sign() == Sign::Minus {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (Big(a), Small(_)) => {
                if a.sign() == Sign::Minus {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
        }
    }
}

impl PartialOrd for Int {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Small(value) => fmt::Display::fmt(value, f),
            Big(value) => fmt::Display::fmt(value, f),
        }
    }
}

impl fmt::Debug for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Decimal text, with an optional sign.
impl FromStr for Int {
    type Err = num_bigint::ParseBigIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<i64>() {
            Ok(small) => Ok(Self(Small(small))),
            Err(_) => text.parse::<BigInt>().map(Self::from),
        }
    }
}

impl Default for Int {
    fn default() -> Self {
        Self::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_int() -> impl Strategy<Value = Int> {
        prop_oneof![
            any::<i64>().prop_map(Int::from),
            any::<i8>().prop_map(Int::from),
            prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(-1), Just(0)].prop_map(Int::from),
            proptest::collection::vec(any::<u8>(), 0..34).prop_map(|bytes| Int::from_bytes(&bytes)),
        ]
    }

    proptest! {
        #[test]
        fn small_and_big_arithmetic_agree(a in any_int(), b in any_int(), bits in 0u32..257) {
            let (x, y) = (a.to_big(), b.to_big());
            prop_assert_eq!(a.add(&b).to_big(), &x + &y);
            prop_assert_eq!(a.sub(&b).to_big(), &x - &y);
            prop_assert_eq!(a.mul(&b).to_big(), &x * &y);
            prop_assert_eq!(a.and(&b).to_big(), &x & &y);
            prop_assert_eq!(a.or(&b).to_big(), &x | &y);
            prop_assert_eq!(a.xor(&b).to_big(), &x ^ &y);
            prop_assert_eq!(a.not().to_big(), !&x);
            prop_assert_eq!(a.neg().to_big(), -&x);
            prop_assert_eq!(a.shl(bits).to_big(), &x << bits);
            prop_assert_eq!(a.shr(bits).to_big(), &x >> bits);
            prop_assert_eq!(a.cmp(&b), x.cmp(&y));
            if !b.is_zero() {
                prop_assert_eq!(a.div(&b).map(|q| q.to_big()), Some(&x / &y));
                prop_assert_eq!(a.rem(&b).map(|r| r.to_big()), Some(&x % &y));
            }
        }

        #[test]
        fn bytes_are_minimal_and_read_back(a in any_int()) {
            let bytes = a.to_bytes();
            prop_assert_eq!(bytes.len(), a.byte_len());
            prop_assert_eq!(&Int::from_bytes(&bytes), &a);
            prop_assert_eq!(a.to_string().parse::<Int>(), Ok(a));
        }
    }

    #[test]
    fn modular_powers_keep_the_sign_of_dotnet() {
        let pow = |v: i64, e: i64, m: i64| {
            Int::from(v).mod_pow(&Int::from(e), &Int::from(m)).and_then(|int| int.to_i64())
        };
        assert_eq!(pow(-3, 3, 10), Some(-7));
        assert_eq!(pow(-3, 2, 10), Some(9));
        assert_eq!(pow(3, 3, -10), Some(7));
        assert_eq!(pow(5, 0, 1), Some(0));
        assert_eq!(pow(2, 2, 0), None);
        assert_eq!(pow(2, -2, 7), None);
        assert_eq!(pow(19, -1, 141), Some(52));
        assert_eq!(pow(3, -1, 6), None);
    }

    #[test]
    fn the_bound_of_the_machine_is_thirty_two_bytes() {
        let limit = Int::ONE.shl(255);
        assert!(!limit.fits_vm());
        assert!(limit.sub(&Int::ONE).fits_vm());
        assert!(limit.neg().fits_vm());
        assert!(!limit.neg().sub(&Int::ONE).fits_vm());
    }
}
