//! The rules of a header as one function, and its three parts: alone, against the parent, against the ancestors.

use ruint::{Uint, aliases::U256};

use super::{
    difficulty::{self, Child},
    fork_detection::{ForkWindow, Mark},
    merged_mining,
    rule::Rule,
};
use crate::{
    codec::header::fork_detection_data,
    params::{
        FORK_DETECTION_WINDOW, GAS_LIMIT_BOUND_DIVISOR, MAXIMUM_EXTRA_DATA_LEN, MINIMUM_GAS_LIMIT, Params,
        Rskip,
    },
    types::{Header, Timestamp},
};

/// A header that keeps every rule that can be checked without another header. Only [`check`] and
/// [`check_all`] make one.
#[derive(Debug, Clone)]
pub struct Checked {
    header: Header,
    mark: Mark,
}

impl Checked {
    fn new(header: Header, bitcoin_hash: [u8; 32]) -> Self {
        let mark = Mark { bitcoin_hash_byte: bitcoin_hash[0], uncle_count: header.fields().uncle_count };
        Self { header, mark }
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What later headers' fork-detection data commits to.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// The header, no longer marked as checked.
    #[must_use]
    pub fn into_header(self) -> Header {
        self.header
    }
}

/// Applies every rule. `now` is the wall clock; `None` leaves out the bound on the future, as for headers that were
/// accepted before. `window` ends at the parent; `None` or a window that is not full yet means that the ancestors are
/// not known, and fork-detection data is then not compared (a chain that starts at genesis always has them).
///
/// # Errors
/// The first rule that is broken.
pub fn verify(
    params: &Params,
    header: Header,
    parent: &Header,
    window: Option<&ForkWindow>,
    now: Option<Timestamp>,
) -> Result<Checked, Rule> {
    link(params, &header, parent)?;
    let checked = check(params, header, now)?;
    if let Some(window) = window.filter(|window| window.is_full()) {
        fork_data(params, checked.header(), window)?;
    }
    Ok(checked)
}

/// Applies the rules that need no other header: proof of work, times, gas, extra data.
///
/// # Errors
/// The first rule that is broken.
pub fn check(params: &Params, header: Header, now: Option<Timestamp>) -> Result<Checked, Rule> {
    check_fields(params, &header, now)?;
    let bitcoin_hash = merged_mining::proof_of_work(params, &header)?;
    Ok(Checked::new(header, bitcoin_hash))
}

/// [`check`] of many headers, quicker than one by one. All are judged, whatever comes of those before.
#[must_use]
pub fn check_all(
    params: &Params,
    headers: Vec<Header>,
    now: Option<Timestamp>,
) -> Vec<Result<Checked, Rule>> {
    let proven = merged_mining::proofs_of_work(params, &headers);
    let judge = |(header, proven): (Header, Result<[u8; 32], Rule>)| {
        check_fields(params, &header, now)?;
        Ok(Checked::new(header, proven?))
    };
    headers.into_iter().zip(proven).map(judge).collect()
}

/// Gas, extra data, times.
fn check_fields(params: &Params, header: &Header, now: Option<Timestamp>) -> Result<(), Rule> {
    check_gas(header)?;
    let extra_data = header.extra_data().len();
    if extra_data > MAXIMUM_EXTRA_DATA_LEN {
        return Err(Rule::ExtraDataLength(extra_data));
    }
    check_times(params, header, now)
}

/// Applies the rules between a header and its parent.
///
/// # Errors
/// The first rule that is broken.
pub fn link(params: &Params, header: &Header, parent: &Header) -> Result<(), Rule> {
    if parent.number().next() != Some(header.number()) {
        return Err(Rule::Number { actual: header.number(), parent: parent.number() });
    }
    if header.parent_hash() != parent.hash() {
        return Err(Rule::ParentHash);
    }
    if params.max_future_seconds.is_some() && header.timestamp() <= parent.timestamp() {
        return Err(Rule::TimestampNotAfterParent);
    }
    let child = Child {
        number: header.number(),
        timestamp: header.timestamp(),
        uncle_count: header.fields().uncle_count,
    };
    let expected = difficulty::expected(params, parent.difficulty(), parent.timestamp(), &child);
    if header.difficulty() != expected {
        return Err(Rule::Difficulty { actual: header.difficulty(), expected });
    }
    if !gas_limit_is_near(header.fields().gas_limit, parent.fields().gas_limit) {
        return Err(Rule::GasLimitStep);
    }
    let price = header.fields().minimum_gas_price.ok_or(Rule::MinimumGasPriceMissing)?;
    let parent_price = parent.fields().minimum_gas_price.ok_or(Rule::MinimumGasPriceMissing)?;
    if gas_price_is_near(price, parent_price) { Ok(()) } else { Err(Rule::MinimumGasPriceStep) }
}

/// Compares the fork-detection data with the ancestors; `window` ends at the parent.
///
/// # Errors
/// The data differs, or the window is not full.
pub fn fork_data(params: &Params, header: &Header, window: &ForkWindow) -> Result<(), Rule> {
    if !params.is_active(Rskip::R110, header.number()) || header.number().0 <= FORK_DETECTION_WINDOW {
        return Ok(());
    }
    if !window.is_full() || window.best().next() != Some(header.number()) {
        return Err(Rule::ForkDetectionHistory);
    }
    let actual = fork_detection_data(header).ok_or(Rule::ForkDetectionDataMissing)?;
    let expected = window.expected();
    if expected == Some(actual) {
        return Ok(());
    }
    let text = |data: &[u8]| shared_vendor::hex::encode(data);
    Err(Rule::ForkDetectionData {
        actual: text(&actual),
        expected: expected.map(|data| text(&data)).unwrap_or_default(),
    })
}

/// Refuses a form of the proof that no miner writes though the network accepts it: a count of bytes before the coinbase's
/// tail of 2^61 or more. SHA-256's length field counts bits modulo 2^64, so the two highest of the count's bits that
/// are not the sign change nothing, and a header has four accepted spellings under one hash.
///
/// Not a rule of the chain: a block spelt so would be valid. It is for files of headers, where it means damage.
///
/// # Errors
/// The count is impossible.
pub fn canonical(header: &Header) -> Result<(), Rule> {
    match header.coinbase_transaction() {
        [high, ..] if *high >= 0x20 => Err(Rule::CoinbaseByteCount),
        _ => Ok(()),
    }
}

fn check_gas(header: &Header) -> Result<(), Rule> {
    let fields = header.fields();
    if fields.gas_limit < U256::from(MINIMUM_GAS_LIMIT) {
        return Err(Rule::GasLimitMinimum);
    }
    // The reference compares with the low 64 bits read as a signed number.
    let [low, ..] = *fields.gas_limit.as_limbs();
    let limit = i64::from_ne_bytes(low.to_ne_bytes());
    let used = i64::try_from(fields.gas_used).unwrap_or(i64::MAX);
    if used > limit { Err(Rule::GasUsed) } else { Ok(()) }
}

fn check_times(params: &Params, header: &Header, now: Option<Timestamp>) -> Result<(), Rule> {
    let Some(allowed) = params.max_future_seconds else { return Ok(()) };
    let time = header.timestamp().0;
    if let Some(now) = now {
        let ahead = time.saturating_sub(now.0);
        if ahead > allowed {
            return Err(Rule::TimestampInFuture { ahead, allowed });
        }
    }
    if !params.is_active(Rskip::R179, header.number()) {
        return Ok(());
    }
    let bitcoin_header = header.bitcoin_header();
    let bitcoin_time = match bitcoin_header {
        [] => return Err(Rule::MergedMiningMissing),
        header => header.get(68..).and_then(<[u8]>::first_chunk::<4>),
    };
    let bitcoin_time = bitcoin_time.ok_or(Rule::BitcoinHeaderLength(bitcoin_header.len()))?;
    let difference = u64::from(u32::from_le_bytes(*bitcoin_time)).abs_diff(time);
    let allowed = params.max_bitcoin_time_difference_at(header.number());
    if difference < allowed { Ok(()) } else { Err(Rule::BitcoinTime { difference, allowed }) }
}

/// parent * 1023 / 1024 <= limit <= parent * 1025 / 1024, divided after multiplying.
fn gas_limit_is_near(limit: U256, parent: U256) -> bool {
    type Wide = Uint<320, 5>;
    let bound = |factor: u64| -> Wide {
        let product: Wide = parent.widening_mul(Uint::<64, 1>::from(factor));
        product / Wide::from(GAS_LIMIT_BOUND_DIVISOR)
    };
    if let (Ok(limit), Ok(parent)) = (u64::try_from(limit), u64::try_from(parent)) {
        let (limit, parent) = (u128::from(limit), u128::from(parent));
        let divisor = u128::from(GAS_LIMIT_BOUND_DIVISOR);
        return limit >= parent * (divisor - 1) / divisor && limit <= parent * (divisor + 1) / divisor;
    }
    let limit = Wide::from(limit);
    limit >= bound(GAS_LIMIT_BOUND_DIVISOR - 1) && limit <= bound(GAS_LIMIT_BOUND_DIVISOR + 1)
}

/// Within one per cent of the parent's price, and at least one wei either way.
fn gas_price_is_near(price: U256, parent: U256) -> bool {
    let hundredth = match u64::try_from(parent) {
        Ok(small) => U256::from(small / 100),
        Err(_) => parent / U256::from(100),
    };
    let step = hundredth.max(U256::from(1));
    price >= parent.saturating_sub(step) && price <= parent.saturating_add(step)
}
