//! Numbers by which transactions are compared, for the memory pool and for templates: fee rates and priority. Mirrors
//! `src/amount.cpp`, `CTransaction::ComputePriority` and `src/txmempool.h`. Nothing here decides validity.

use fluxd_primitives::{Amount, COIN, Transaction};

/// Priority of transactions with shielded parts (`MAX_PRIORITY`).
pub const MAX_PRIORITY: f64 = 1e16;
/// Part of an unlocking script that does not count against the priority of its transaction.
const FREE_SCRIPT_BYTES: usize = 110;
/// Rest of an input.
const INPUT_BYTES: usize = 41;

/// A fee per thousand bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct FeeRate {
    /// Zatoshi per thousand bytes.
    pub zat_per_kb: i64,
}

impl FeeRate {
    /// The rate of a fee for a size; 0 for no bytes.
    #[must_use]
    pub fn of(fee: Amount, size: usize) -> Self {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let zat_per_kb = fee.zat().saturating_mul(1000).checked_div(size).unwrap_or_default();
        Self { zat_per_kb }
    }

    /// The fee for a size; at least the rate itself where it would be rounded to nothing.
    #[must_use]
    pub fn fee(self, size: usize) -> Amount {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let fee = self.zat_per_kb.saturating_mul(size) / 1000;
        Amount::from_zat(if fee == 0 && self.zat_per_kb > 0 { self.zat_per_kb } else { fee })
    }
}

/// Bytes that count against the priority of a transaction of a size (`CalculateModifiedSize`).
#[must_use]
pub fn modified_size(tx: &Transaction, size: usize) -> usize {
    tx.inputs.iter().fold(size, |size, input| {
        let offset = INPUT_BYTES + input.script_sig.0.len().min(FREE_SCRIPT_BYTES);
        if size > offset { size - offset } else { size }
    })
}

/// Priority of a transaction whose inputs have this sum of value times age (`ComputePriority`).
#[must_use]
pub fn priority(tx: &Transaction, size: usize, value_times_age: f64) -> f64 {
    match modified_size(tx, size) {
        0 => 0.0,
        modified => value_times_age / number(modified),
    }
}

/// True when a priority is high enough for a transaction without fee (`AllowFree`).
#[must_use]
pub fn allows_free(priority: f64) -> bool {
    priority > zat_number(COIN * 144 / 250)
}

/// A size as the number that priorities are computed with.
#[must_use]
pub fn number(size: usize) -> f64 {
    u32::try_from(size).map_or(f64::MAX, f64::from)
}

/// An amount as the number that priorities are computed with: exact below 2^53.
#[must_use]
pub fn zat_number(zat: i64) -> f64 {
    let negative = zat < 0;
    let magnitude = zat.unsigned_abs();
    let (high, low) = (magnitude >> 32, magnitude & 0xffff_ffff);
    let part = |part: u64| u32::try_from(part).map_or(0.0, f64::from);
    let value = part(high) * 4_294_967_296.0 + part(low);
    if negative { -value } else { value }
}
