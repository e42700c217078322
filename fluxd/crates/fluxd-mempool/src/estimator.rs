//! What fee, or what priority, gets a transaction into a block within some blocks: averages over what was seen to confirm.
//! Mirrors `src/policy/fees.cpp`, its file included.

use std::collections::HashMap;

use fluxd_chainstate::policy::{FeeRate, MAX_PRIORITY};
use fluxd_primitives::{
    COIN, MAX_MONEY, TxId,
    codec::{ReadError, Reader, Writer},
};

use crate::entry::Entry;

/// Blocks up to which confirmations are told apart.
const MAX_CONFIRMS: usize = 25;
/// What a block leaves of the averages before it.
const DECAY: f64 = 0.998;
/// Part of a range that must confirm in time.
const MIN_SUCCESS: f64 = 0.85;
/// A range of which less than this confirms is unlikely to.
const UNLIKELY: f64 = 0.5;
/// Transactions per block that make a range.
const SUFFICIENT_FEE: f64 = 1.0;
const SUFFICIENT_PRIORITY: f64 = 0.2;
/// Bounds of the ranges.
const MIN_RATE: i64 = 10;
const MAX_RATE: f64 = 1e7;
const RATE_SPACING: f64 = 1.1;
const PRIORITY_SPACING: f64 = 2.0;
/// Version of the program that can read the file, and of the one that wrote it.
const READABLE_FROM: i32 = 109_900;
const WRITTEN_BY: i32 = 9_000_650;
/// Most ranges of a file.
const MAX_BUCKETS: usize = 1000;

/// Averages of one kind of value.
#[derive(Debug, Clone, PartialEq)]
struct Stats {
    /// Upper bounds of the ranges; the last is infinite.
    buckets: Vec<f64>,
    decay: f64,
    /// Confirmed transactions per range.
    counts: Vec<f64>,
    /// Sum of their values per range.
    sums: Vec<f64>,
    /// Of these, confirmed within so many blocks: by number of blocks, then range.
    confirmed: Vec<Vec<f64>>,
    current_counts: Vec<f64>,
    current_sums: Vec<f64>,
    current_confirmed: Vec<Vec<f64>>,
    /// Waiting transactions: by height modulo the number of blocks, then range.
    waiting: Vec<Vec<u32>>,
    /// Those that wait longer.
    waiting_long: Vec<u32>,
}

impl Stats {
    fn new(mut buckets: Vec<f64>) -> Self {
        buckets.push(f64::INFINITY);
        let count = buckets.len();
        Self {
            buckets,
            decay: DECAY,
            counts: vec![0.0; count],
            sums: vec![0.0; count],
            confirmed: vec![vec![0.0; count]; MAX_CONFIRMS],
            current_counts: vec![0.0; count],
            current_sums: vec![0.0; count],
            current_confirmed: vec![vec![0.0; count]; MAX_CONFIRMS],
            waiting: vec![vec![0; count]; MAX_CONFIRMS],
            waiting_long: vec![0; count],
        }
    }

    fn bucket(&self, value: f64) -> usize {
        self.buckets.partition_point(|bound| *bound < value).min(self.buckets.len().saturating_sub(1))
    }

    fn slot(&self, height: u32) -> usize {
        usize::try_from(height).unwrap_or_default() % self.waiting.len().max(1)
    }

    fn clear_current(&mut self, height: u32) {
        let slot = self.slot(height);
        if let Some(waiting) = self.waiting.get_mut(slot) {
            for (long, short) in self.waiting_long.iter_mut().zip(waiting) {
                *long += std::mem::take(short);
            }
        }
        self.current_confirmed.iter_mut().flatten().for_each(|count| *count = 0.0);
        self.current_counts.fill(0.0);
        self.current_sums.fill(0.0);
    }

    fn record(&mut self, blocks: usize, value: f64) {
        let bucket = self.bucket(value);
        for confirmed in self.current_confirmed.iter_mut().skip(blocks.saturating_sub(1)) {
            add(confirmed, bucket, 1.0);
        }
        add(&mut self.current_counts, bucket, 1.0);
        add(&mut self.current_sums, bucket, value);
    }

    fn update_averages(&mut self) {
        let decay = self.decay;
        let mix = |average: &mut [f64], current: &[f64]| {
            average
                .iter_mut()
                .zip(current)
                .for_each(|(average, current)| *average = *average * decay + current);
        };
        for (average, current) in self.confirmed.iter_mut().zip(&self.current_confirmed) {
            mix(average, current);
        }
        mix(&mut self.sums, &self.current_sums);
        mix(&mut self.counts, &self.current_counts);
    }

    /// Counts a transaction that begins to wait.
    fn wait(&mut self, height: u32, value: f64) -> usize {
        let (slot, bucket) = (self.slot(height), self.bucket(value));
        if let Some(count) = self.waiting.get_mut(slot).and_then(|waiting| waiting.get_mut(bucket)) {
            *count += 1;
        }
        bucket
    }

    /// Forgets a transaction that waits.
    fn stop_waiting(&mut self, height: u32, best_height: u32, bucket: usize) {
        let blocks = if best_height == 0 { Some(0) } else { best_height.checked_sub(height) };
        let Some(blocks) = blocks.and_then(|blocks| usize::try_from(blocks).ok()) else { return };
        let slot = self.slot(height);
        let count = if blocks >= self.waiting.len() {
            self.waiting_long.get_mut(bucket)
        } else {
            self.waiting.get_mut(slot).and_then(|waiting| waiting.get_mut(bucket))
        };
        if let Some(count) = count {
            *count = count.saturating_sub(1);
        }
    }

    /// The value above (or below) which enough transactions confirm (or do not) within `target` blocks; negative where
    /// that cannot be said (`EstimateMedianVal`).
    fn estimate(&self, target: usize, sufficient: f64, success: f64, greater: bool, height: u32) -> f64 {
        let last = self.buckets.len().saturating_sub(1);
        let start = if greater { last } else { 0 };
        let order: Vec<usize> = if greater { (0..=last).rev().collect() } else { (0..=last).collect() };
        let (mut confirmed, mut total, mut extra) = (0.0, 0.0, 0.0);
        let (mut near, mut best) = (start, (start, start));
        let mut found = false;
        for (step, bucket) in order.iter().copied().enumerate() {
            confirmed += self.confirmed.get(target.saturating_sub(1)).map_or(0.0, |row| at(row, bucket));
            total += at(&self.counts, bucket);
            for blocks in target..self.confirmed.len() {
                let from = height.wrapping_sub(u32::try_from(blocks).unwrap_or(u32::MAX));
                extra += self.waiting.get(self.slot(from)).map_or(0.0, |row| count_at(row, bucket));
            }
            extra += count_at(&self.waiting_long, bucket);
            if total < sufficient / (1.0 - self.decay) {
                continue;
            }
            let part = confirmed / (total + extra);
            if (greater && part < success) || (!greater && part > success) {
                break;
            }
            found = true;
            (confirmed, total, extra) = (0.0, 0.0, 0.0);
            best = (near, bucket);
            near = order.get(step + 1).copied().unwrap_or(bucket);
        }
        if !found {
            return -1.0;
        }
        let (from, to) = (best.0.min(best.1), best.0.max(best.1));
        let mut half: f64 = (from..=to).map(|bucket| at(&self.counts, bucket)).sum::<f64>() / 2.0;
        if half == 0.0 {
            return -1.0;
        }
        for bucket in from..=to {
            let count = at(&self.counts, bucket);
            if count >= half {
                return at(&self.sums, bucket) / count;
            }
            half -= count;
        }
        -1.0
    }

    fn write(&self, writer: &mut Writer) {
        put_double(writer, self.decay);
        put_doubles(writer, &self.buckets);
        put_doubles(writer, &self.sums);
        put_doubles(writer, &self.counts);
        fluxd_primitives::codec::put_compact_size(writer, self.confirmed.len());
        for row in &self.confirmed {
            put_doubles(writer, row);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let decay = double(reader).ok().filter(|decay| *decay > 0.0 && *decay < 1.0)?;
        let buckets = doubles(reader)?;
        let count = buckets.len();
        if !(2..=MAX_BUCKETS).contains(&count) || !buckets.is_sorted_by(|a, b| a < b) {
            return None;
        }
        let sums = doubles(reader).filter(|row| row.len() == count)?;
        let counts = doubles(reader).filter(|row| row.len() == count)?;
        let rows = usize::try_from(fluxd_primitives::codec::compact_size(reader).ok()?).ok()?;
        if rows != MAX_CONFIRMS {
            return None;
        }
        let confirmed: Option<Vec<_>> =
            (0..rows).map(|_| doubles(reader).filter(|row| row.len() == count)).collect();
        let mut stats = Self::new(Vec::new());
        stats.current_counts = vec![0.0; count];
        stats.current_sums = vec![0.0; count];
        stats.current_confirmed = vec![vec![0.0; count]; MAX_CONFIRMS];
        stats.waiting = vec![vec![0; count]; MAX_CONFIRMS];
        stats.waiting_long = vec![0; count];
        Some(Self { buckets, decay, counts, sums, confirmed: confirmed?, ..stats })
    }
}

/// Which averages a waiting transaction is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fee,
    Priority,
}

/// Estimates fees and priorities.
#[derive(Debug, Clone, PartialEq)]
pub struct FeeEstimator {
    fees: Stats,
    priorities: Stats,
    best_height: u32,
    min_rate: FeeRate,
    min_priority: f64,
    likely_rate: FeeRate,
    unlikely_rate: FeeRate,
    likely_priority: f64,
    unlikely_priority: f64,
    waiting: HashMap<TxId, (u32, Kind, usize)>,
}

impl FeeEstimator {
    /// An estimator that has seen nothing.
    #[must_use]
    pub fn new(min_relay_rate: FeeRate) -> Self {
        let min_rate = min_relay_rate.max(FeeRate { zat_per_kb: MIN_RATE });
        let min_priority = fluxd_chainstate::policy::zat_number(COIN * 144 / 250);
        let steps = |from: f64, to: f64, factor: f64| {
            std::iter::successors(Some(from), |bound| Some(bound * factor))
                .take_while(|bound| *bound <= to)
                .collect()
        };
        let rates = steps(fluxd_chainstate::policy::zat_number(min_rate.zat_per_kb), MAX_RATE, RATE_SPACING);
        Self {
            fees: Stats::new(rates),
            priorities: Stats::new(steps(min_priority, MAX_PRIORITY, PRIORITY_SPACING)),
            best_height: 0,
            min_rate,
            min_priority,
            likely_rate: FeeRate { zat_per_kb: MAX_MONEY.zat() },
            unlikely_rate: FeeRate::default(),
            likely_priority: f64::INFINITY,
            unlikely_priority: 0.0,
            waiting: HashMap::new(),
        }
    }

    /// The fee per thousand bytes for a confirmation within `blocks`; 0 where that cannot be said.
    #[must_use]
    pub fn fee(&self, blocks: usize) -> FeeRate {
        if blocks == 0 || blocks > MAX_CONFIRMS {
            return FeeRate::default();
        }
        rate(self.fees.estimate(blocks, SUFFICIENT_FEE, MIN_SUCCESS, true, self.best_height).max(0.0))
    }

    /// The priority for a confirmation within `blocks`; negative where that cannot be said.
    #[must_use]
    pub fn priority(&self, blocks: usize) -> f64 {
        if blocks == 0 || blocks > MAX_CONFIRMS {
            return -1.0;
        }
        self.priorities.estimate(blocks, SUFFICIENT_PRIORITY, MIN_SUCCESS, true, self.best_height)
    }

    /// Counts a transaction that enters the pool. `is_synced` is false while the chain is far behind.
    pub(crate) fn add(&mut self, entry: &Entry, is_synced: bool) {
        let skipped = entry.height < self.best_height || !is_synced || !entry.had_no_dependencies;
        if self.waiting.contains_key(&entry.txid) || skipped {
            return;
        }
        let priority = entry.priority(entry.height);
        let Some(kind) = self.kind(entry, priority) else { return };
        let bucket = match kind {
            Kind::Fee => self.fees.wait(entry.height, rate_number(entry.rate())),
            Kind::Priority => self.priorities.wait(entry.height, priority),
        };
        self.waiting.insert(entry.txid, (entry.height, kind, bucket));
    }

    /// Forgets a transaction that left the pool.
    pub(crate) fn remove(&mut self, txid: &TxId) {
        if let Some((height, kind, bucket)) = self.waiting.remove(txid) {
            let stats = match kind {
                Kind::Fee => &mut self.fees,
                Kind::Priority => &mut self.priorities,
            };
            stats.stop_waiting(height, self.best_height, bucket);
        }
    }

    /// Learns from the transactions of the pool that a block confirmed.
    pub(crate) fn block(&mut self, height: u32, entries: &[Entry], is_synced: bool) {
        if height <= self.best_height {
            return;
        }
        self.best_height = height;
        if !is_synced {
            return;
        }
        let priority = |blocks, success, greater| {
            self.priorities.estimate(blocks, SUFFICIENT_PRIORITY, success, greater, height)
        };
        let fee =
            |blocks, success, greater| self.fees.estimate(blocks, SUFFICIENT_FEE, success, greater, height);
        let or = |estimate: f64, otherwise: f64| if estimate < 0.0 { otherwise } else { estimate };
        let likely_priority = or(priority(2, MIN_SUCCESS, true), f64::INFINITY);
        let unlikely_priority = or(priority(10, UNLIKELY, false), 0.0);
        let likely_rate =
            rate(or(fee(2, MIN_SUCCESS, true), rate_number(FeeRate { zat_per_kb: MAX_MONEY.zat() })));
        let unlikely_rate = rate(or(fee(10, UNLIKELY, false), 0.0));
        (self.likely_priority, self.unlikely_priority) = (likely_priority, unlikely_priority);
        (self.likely_rate, self.unlikely_rate) = (likely_rate, unlikely_rate);
        self.fees.clear_current(height);
        self.priorities.clear_current(height);
        for entry in entries {
            let blocks = height.checked_sub(entry.height).and_then(|blocks| usize::try_from(blocks).ok());
            let Some(blocks) = blocks.filter(|blocks| *blocks > 0 && entry.had_no_dependencies) else {
                continue;
            };
            let priority = entry.priority(height);
            match self.kind(entry, priority) {
                Some(Kind::Fee) => self.fees.record(blocks, rate_number(entry.rate())),
                Some(Kind::Priority) => self.priorities.record(blocks, priority),
                None => {}
            }
        }
        self.fees.update_averages();
        self.priorities.update_averages();
    }

    /// The file `fee_estimates.dat`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.i32_le(READABLE_FROM).i32_le(WRITTEN_BY).u32_le(self.best_height);
        self.fees.write(&mut writer);
        self.priorities.write(&mut writer);
        writer.into_vec()
    }

    /// Takes over what a file says; one that is damaged or newer changes nothing. Returns whether it was taken.
    pub fn restore(&mut self, bytes: &[u8]) -> bool {
        let mut reader = Reader::new(bytes);
        let mut read = || {
            let required = reader.i32_le().ok().filter(|required| *required <= WRITTEN_BY)?;
            let _ = (required, reader.i32_le().ok()?);
            let height = reader.u32_le().ok()?;
            Some((height, Stats::read(&mut reader)?, Stats::read(&mut reader)?))
        };
        match read() {
            Some((height, fees, priorities)) => {
                (self.best_height, self.fees, self.priorities) = (height, fees, priorities);
                self.waiting.clear();
                true
            }
            None => false,
        }
    }

    fn kind(&self, entry: &Entry, priority: f64) -> Option<Kind> {
        let rate = entry.rate();
        let by_priority = (rate < self.min_rate && priority >= self.min_priority)
            || (rate < self.unlikely_rate && priority > self.likely_priority);
        let by_fee = (priority < self.min_priority && rate >= self.min_rate)
            || (priority < self.unlikely_priority && rate > self.likely_rate);
        if entry.fee.zat() == 0 || by_priority {
            Some(Kind::Priority)
        } else if by_fee {
            Some(Kind::Fee)
        } else {
            None
        }
    }
}

fn rate_number(rate: FeeRate) -> f64 {
    fluxd_chainstate::policy::zat_number(rate.zat_per_kb)
}

/// A rate from the number it was averaged to, its fraction cut off.
fn rate(number: f64) -> FeeRate {
    let mut zat_per_kb = 0_i64;
    let mut bit = 1_i64 << 52;
    // Every amount is below 2^53, where doubles are exact.
    while bit > 0 {
        if fluxd_chainstate::policy::zat_number(zat_per_kb | bit) <= number {
            zat_per_kb |= bit;
        }
        bit >>= 1;
    }
    FeeRate { zat_per_kb }
}

fn at(row: &[f64], place: usize) -> f64 {
    row.get(place).copied().unwrap_or_default()
}

fn count_at(row: &[u32], place: usize) -> f64 {
    row.get(place).copied().map_or(0.0, f64::from)
}

fn add(row: &mut [f64], place: usize, value: f64) {
    if let Some(cell) = row.get_mut(place) {
        *cell += value;
    }
}

fn put_double(writer: &mut Writer, value: f64) {
    writer.put(&value.to_le_bytes());
}

fn put_doubles(writer: &mut Writer, values: &[f64]) {
    fluxd_primitives::codec::put_compact_size(writer, values.len());
    values.iter().for_each(|value| put_double(writer, *value));
}

fn double(reader: &mut Reader<'_>) -> Result<f64, ReadError> {
    Ok(f64::from_le_bytes(reader.array()?))
}

fn doubles(reader: &mut Reader<'_>) -> Option<Vec<f64>> {
    let claimed = fluxd_primitives::codec::compact_size(reader).ok()?;
    let count = reader.count(claimed, MAX_BUCKETS, 8).ok()?;
    (0..count).map(|_| double(reader).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fluxd_primitives::{Amount, Transaction};

    use super::*;

    /// A transaction of 250 bytes.
    fn entry(number: u32, zat_per_kb: i64, height: u32) -> Entry {
        let mut txid = TxId::ZERO;
        txid.0[..4].copy_from_slice(&number.to_le_bytes());
        Entry {
            tx: Arc::new(Transaction::default()),
            txid,
            fee: Amount::from_zat(zat_per_kb / 4),
            size: 250,
            time: 0,
            height,
            starting_priority: 0.0,
            had_no_dependencies: true,
            spends_coinbase: false,
            branch_id: 0,
            spent: Vec::new(),
        }
    }

    #[test]
    fn what_confirms_at_once_is_told_from_what_waits_and_a_file_brings_it_back() {
        let mut estimator = FeeEstimator::new(FeeRate { zat_per_kb: 100 });
        let mut waiting: Vec<Entry> = Vec::new();
        let mut number = 0;
        for height in 1..300_u32 {
            let mut confirmed: Vec<Entry> = Vec::new();
            for entry in std::mem::take(&mut waiting) {
                let is_due = entry.fee.zat() > 1_000 || height - entry.height >= 12;
                if is_due { confirmed.push(entry) } else { waiting.push(entry) }
            }
            estimator.block(height, &confirmed, true);
            for entry in &confirmed {
                estimator.remove(&entry.txid);
            }
            for zat_per_kb in [1_000, 50_000, 60_000].repeat(4) {
                number += 1;
                let entry = entry(number, zat_per_kb, height);
                estimator.add(&entry, true);
                waiting.push(entry);
            }
        }
        let soon = estimator.fee(1).zat_per_kb;
        assert!((40_000..=60_000).contains(&soon), "{soon}");
        let later = estimator.fee(15).zat_per_kb;
        assert!((900..=1_100).contains(&later), "{later}");
        assert_eq!(estimator.fee(26), FeeRate::default());
        assert!(estimator.priority(3) < 0.0);
        let mut restored = FeeEstimator::new(FeeRate { zat_per_kb: 100 });
        assert!(restored.restore(&estimator.to_bytes()));
        assert_eq!(restored.fee(1), estimator.fee(1));
        assert!(!restored.restore(&estimator.to_bytes()[..500]));
    }
}
