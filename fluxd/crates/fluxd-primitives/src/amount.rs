//! Amounts of money in zatoshi (10^-8 FLUX), signed as on the wire. Arithmetic is checked; the range rule
//! ([`Amount::in_range`]) is a separate question, as in `src/amount.h`.

use std::fmt;

use crate::codec::{Codec, Reader, Result, Writer};

/// Zatoshi in one FLUX.
pub const COIN: i64 = 100_000_000;
/// The largest amount that a transaction may mention.
pub const MAX_MONEY: Amount = Amount(440_000_000 * COIN);

/// An amount in zatoshi; negative where the wire allows it (value balances, hostile outputs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i64);

impl Amount {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// An amount of zatoshi.
    #[must_use]
    pub const fn from_zat(zat: i64) -> Self {
        Self(zat)
    }

    /// The amount in zatoshi.
    #[must_use]
    pub const fn zat(self) -> i64 {
        self.0
    }

    /// True for 0 ..= [`MAX_MONEY`] (`MoneyRange`).
    #[must_use]
    pub const fn in_range(self) -> bool {
        self.0 >= 0 && self.0 <= MAX_MONEY.0
    }

    /// The sum, unless it leaves 64 bits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, unless it leaves 64 bits.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The amount with the other sign, unless it leaves 64 bits.
    #[must_use]
    pub fn checked_neg(self) -> Option<Self> {
        self.0.checked_neg().map(Self)
    }
}

impl fmt::Display for Amount {
    /// FLUX with exactly eight decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, zat) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let coin = COIN.unsigned_abs();
        write!(f, "{sign}{}.{:08}", zat / coin, zat % coin)
    }
}

impl Codec for Amount {
    const MIN_BYTES: usize = 8;

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(reader.i64_le()?))
    }

    fn encode(&self, writer: &mut Writer) {
        writer.i64_le(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_eight_decimals() {
        assert_eq!(Amount::from_zat(-150_000_001).to_string(), "-1.50000001");
        assert_eq!(MAX_MONEY.to_string(), "440000000.00000000");
        assert!(!Amount::from_zat(MAX_MONEY.zat() + 1).in_range());
    }
}
