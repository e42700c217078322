//! 256-bit integers, compact targets and proof of work per block. Mirrors `src/arith_uint256.cpp` and `GetBlockProof`.

use std::fmt;

use crate::hash::Hash256;

/// An unsigned 256-bit integer; consensus code uses its `wrapping_*` operations, as the C++ type wraps.
pub type U256 = ruint::aliases::U256;

/// Work that every PoN block adds to its chain.
const PON_WORK_BITS: usize = 40;

/// The `nBits` form of a target: exponent byte, sign bit, 23-bit mantissa.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CompactTarget(pub u32);

/// What a compact form says, before anyone asks whether it is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expanded {
    /// The value, cut to 256 bits.
    pub value: U256,
    /// The sign bit is set on a mantissa that is not zero.
    pub negative: bool,
    /// The value does not fit into 256 bits.
    pub overflow: bool,
}

impl CompactTarget {
    /// The value with its sign and overflow flags (`arith_uint256::SetCompact`).
    #[must_use]
    pub fn expand(self) -> Expanded {
        let size = self.0 >> 24;
        let word = self.0 & 0x007f_ffff;
        let (shift, mantissa) =
            if size <= 3 { (0, word >> (8 * (3 - size))) } else { (8 * (size - 3), word) };
        let value = usize::try_from(shift).map_or(U256::ZERO, |shift| U256::from(mantissa) << shift);
        Expanded {
            value,
            negative: mantissa != 0 && self.0 & 0x0080_0000 != 0,
            overflow: mantissa != 0
                && (size > 34 || (mantissa > 0xff && size > 33) || (mantissa > 0xffff && size > 32)),
        }
    }

    /// The value alone, as the retarget formulas read it.
    #[must_use]
    pub fn value(self) -> U256 {
        self.expand().value
    }

    /// The value when it is positive and fits; what a header must satisfy before any limit is compared.
    #[must_use]
    pub fn positive(self) -> Option<U256> {
        let Expanded { value, negative, overflow } = self.expand();
        (!negative && !overflow && !value.is_zero()).then_some(value)
    }

    /// The compact form of a target, losing the bits below the mantissa (`arith_uint256::GetCompact`).
    #[must_use]
    pub fn from_value(value: U256) -> Self {
        let mut size = value.bit_len().div_ceil(8);
        let shifted = if size <= 3 { value << (8 * (3 - size)) } else { value >> (8 * (size - 3)) };
        let mut mantissa: u32 = (shifted & U256::from(0xff_ffff_u32)).wrapping_to();
        if mantissa & 0x0080_0000 != 0 {
            mantissa >>= 8;
            size += 1;
        }
        Self(mantissa | u32::try_from(size).unwrap_or(0xff) << 24)
    }

    /// Work of a PoW block with this target: 2^256 / (target + 1), zero for a target that is not allowed at all.
    #[must_use]
    pub fn work(self) -> U256 {
        self.positive().map_or(U256::ZERO, |target| {
            (!target)
                .checked_div(target.wrapping_add(U256::ONE))
                .map_or(U256::ONE, |quotient| quotient.wrapping_add(U256::ONE))
        })
    }
}

impl fmt::Debug for CompactTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Display for CompactTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Work of a PoN block: a constant 2^40.
#[must_use]
pub fn pon_work() -> U256 {
    U256::ONE << PON_WORK_BITS
}

/// A hash read as the little-endian integer that targets are compared with.
#[must_use]
pub fn hash_value(hash: &Hash256) -> U256 {
    U256::from_le_bytes(hash.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_forms_follow_the_reference_corner_cases() {
        for (bits, value, again) in [
            (0, 0_u64, 0_u32),
            (0x0012_3456, 0, 0),
            (0x0112_3456, 0x12, 0x0112_0000),
            (0x0212_3456, 0x1234, 0x0212_3400),
            (0x0312_3456, 0x12_3456, 0x0312_3456),
            (0x0412_3456, 0x1234_5600, 0x0412_3456),
            (0x0500_9234, 0x9234_0000, 0x0500_9234),
        ] {
            assert_eq!(CompactTarget(bits).value(), U256::from(value), "{bits:08x}");
            assert_eq!(CompactTarget::from_value(U256::from(value)), CompactTarget(again), "{bits:08x}");
        }
        assert!(CompactTarget(0x0492_3456).expand().negative);
        assert!(CompactTarget(0xff12_3456).expand().overflow);
        assert_eq!(CompactTarget(0xff12_3456).positive(), None);
    }

    #[test]
    fn work_of_the_easiest_mainnet_target() {
        assert_eq!(CompactTarget(0x1f07_ffff).work(), U256::from(8192));
        assert_eq!(pon_work(), U256::from(1_u64 << 40));
    }
}
