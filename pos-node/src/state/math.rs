//! Integer arithmetic of the consensus rules: exact, total, without floating point.

use ruint::aliases::U256;

/// Largest integer whose square is at most `n`. Mirrors `integer_squareroot` of `specs/phase0/beacon-chain.md`.
#[must_use]
pub const fn integer_sqrt(n: u64) -> u64 {
    n.isqrt()
}

/// `floor(a * b / divisor)` over the integers; `None` when the divisor is 0 or the result does not fit.
#[must_use]
pub fn mul_div(a: u128, b: u128, divisor: u128) -> Option<u128> {
    let product = U256::from(a).checked_mul(U256::from(b))?;
    product.checked_div(U256::from(divisor)).and_then(|quotient| u128::try_from(quotient).ok())
}

/// `floor(a * b / divisor)` of balances; `None` when the divisor is 0 or the result does not fit.
#[must_use]
pub fn mul_div_u64(a: u64, b: u64, divisor: u64) -> Option<u64> {
    let product = u128::from(a).checked_mul(u128::from(b))?;
    product.checked_div(u128::from(divisor)).and_then(|quotient| u64::try_from(quotient).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_beyond_128_bits_divide_exactly() {
        assert_eq!(mul_div(u128::MAX, u128::MAX, u128::MAX), Some(u128::MAX));
        assert_eq!(mul_div(u128::MAX, 2, 1), None);
        assert_eq!(mul_div(7, 3, 2), Some(10));
        assert_eq!(mul_div(7, 3, 0), None);
        assert_eq!(mul_div_u64(u64::MAX, u64::MAX, u64::MAX), Some(u64::MAX));
    }
}
