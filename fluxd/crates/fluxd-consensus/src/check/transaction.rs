//! Rules of single transactions. Mirrors `CheckTransactionWithoutProofVerification`, `ContextualCheckTransaction` and
//! `IsFinalTx` in `src/main.cpp`, without what needs signatures, proofs, coins or the node list.

use std::collections::HashSet;

use fluxd_primitives::{
    Amount, Codec, MAX_MONEY, Transaction,
    transaction::{
        OVERWINTER_GROUP, OVERWINTER_VERSION, SAPLING_GROUP, SAPLING_VERSION,
        fluxnode::{Confirm, FluxnodeTx, NORMAL_BIT, Owner, P2SH_BIT, Start},
    },
};
use fluxd_script::{Standard, interpreter::LOCK_TIME_THRESHOLD};

use crate::{params::Params, subsidy, upgrades::Upgrade};

/// Longest transaction before Acadia, in bytes.
pub const MAX_SIZE_BEFORE_ACADIA: usize = 100_000;
/// Longest transaction from Acadia on, in bytes.
pub const MAX_SIZE: usize = 2_000_000;
/// Expiry heights must be below.
pub const EXPIRY_HEIGHT_THRESHOLD: u32 = 500_000_000;
const MAX_REDEEM_SCRIPT: usize = 10_000;
/// Longest address text of a CONFIRM, and from which benchmark time a longer one is allowed.
const MAX_IP: usize = 40;
const MAX_IP_LATER: usize = 60;
const LONGER_IP_FROM: u32 = 1_647_262_800;

/// A rule that a transaction breaks; `Display` is the reject reason of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// Version 0.
    #[error("bad-txns-version-too-low")]
    VersionTooLow,
    /// An overwintered version below 3.
    #[error("bad-tx-overwinter-version-too-low")]
    OverwinterVersionTooLow,
    /// An unknown version group.
    #[error("bad-tx-version-group-id")]
    VersionGroup,
    /// An expiry height of a lock time's range.
    #[error("bad-tx-expiry-height-too-high")]
    ExpiryHeightTooHigh,
    /// Neither transparent nor shielded inputs.
    #[error("bad-txns-vin-empty")]
    NoInputs,
    /// Neither transparent nor shielded outputs.
    #[error("bad-txns-vout-empty")]
    NoOutputs,
    /// Neither START nor CONFIRM.
    #[error("bad-txns-fluxnode-tx-invalid-type")]
    FluxnodeType,
    /// No collateral is named.
    #[error("bad-txns-fluxnode-tx-null-prevout")]
    FluxnodeNullCollateral,
    /// A redeem script of more than 10,000 bytes.
    #[error("bad-txns-fluxnode-tx-redeemscript-to-large")]
    RedeemScriptTooLarge,
    /// A redeem script that is no multisig.
    #[error("bad-txns-fluxnode-tx-redeemscript-not-multisig")]
    RedeemScriptNotMultisig,
    /// The delegates bit without a valid record.
    #[error("bad-txns-fluxnode-tx-delegate-data-invalid")]
    DelegateDataInvalid,
    /// A benchmark tier other than 1 to 3.
    #[error("bad-txns-fluxnode-tx-invalid-benchmark-tier")]
    BenchmarkTier,
    /// A longer address text than its benchmark time allows.
    #[error("bad-txns-fluxnode-tx-ip-address-to-large")]
    IpTooLong,
    /// An update type other than 0 and 1.
    #[error("bad-txns-fluxnode-tx-invalid-update-type")]
    UpdateType,
    /// Too many bytes.
    #[error("bad-txns-oversize")]
    Oversize,
    /// A negative output.
    #[error("bad-txns-vout-negative")]
    OutputNegative,
    /// An output above the money supply.
    #[error("bad-txns-vout-toolarge")]
    OutputTooLarge,
    /// Outputs that sum to more than the money supply.
    #[error("bad-txns-txouttotal-toolarge")]
    OutputTotalTooLarge,
    /// A value balance without Sapling parts.
    #[error("bad-txns-valuebalance-nonzero")]
    ValueBalanceNonZero,
    /// A value balance beyond the money supply.
    #[error("bad-txns-valuebalance-toolarge")]
    ValueBalanceTooLarge,
    /// A JoinSplit with a negative `vpub_old`.
    #[error("bad-txns-vpub_old-negative")]
    VpubOldNegative,
    /// A JoinSplit with a negative `vpub_new`.
    #[error("bad-txns-vpub_new-negative")]
    VpubNewNegative,
    /// A JoinSplit with a `vpub_old` above the money supply.
    #[error("bad-txns-vpub_old-toolarge")]
    VpubOldTooLarge,
    /// A JoinSplit with a `vpub_new` above the money supply.
    #[error("bad-txns-vpub_new-toolarge")]
    VpubNewTooLarge,
    /// A JoinSplit that moves value both ways.
    #[error("bad-txns-vpubs-both-nonzero")]
    VpubsBothNonZero,
    /// Shielded inputs that sum to more than the money supply.
    #[error("bad-txns-txintotal-toolarge")]
    InputTotalTooLarge,
    /// An output is spent twice.
    #[error("bad-txns-inputs-duplicate")]
    DuplicateInputs,
    /// A Sprout nullifier appears twice.
    #[error("bad-joinsplits-nullifiers-duplicate")]
    DuplicateSproutNullifiers,
    /// A Sapling nullifier appears twice.
    #[error("bad-spend-description-nullifiers-duplicate")]
    DuplicateSaplingNullifiers,
    /// A coinbase with JoinSplits.
    #[error("bad-cb-has-joinsplits")]
    CoinbaseJoinSplits,
    /// A coinbase with Sapling spends.
    #[error("bad-cb-has-spend-description")]
    CoinbaseSpends,
    /// A coinbase with Sapling outputs.
    #[error("bad-cb-has-output-description")]
    CoinbaseOutputs,
    /// A coinbase script of less than 2 or more than 100 bytes.
    #[error("bad-cb-length")]
    CoinbaseLength,
    /// A null input outside a coinbase.
    #[error("bad-txns-prevout-null")]
    NullInput,
    /// A PoN coinbase that does not pay the development fund its minimum.
    #[error("tx-coinbase-missing-dev-funding")]
    MissingDevFunding,
    /// A coinbase without the exchange payment of its height.
    #[error("tx-coinbase-missing-exchange-funding")]
    MissingExchangeFunding,
    /// A coinbase without the foundation payment of its height.
    #[error("tx-coinbase-missing-foundation-funding")]
    MissingFoundationFunding,
    /// A coinbase without the swap pool payment of its height.
    #[error("tx-coinbase-missing-swappool-funding")]
    MissingSwapPoolFunding,
    /// An overwintered transaction before Acadia.
    #[error("tx-overwinter-not-active")]
    OverwinterNotActive,
    /// A fluxnode transaction before Kamata.
    #[error("tx-fluxnodes-not-active")]
    FluxnodesNotActive,
    /// Version 6 before its upgrade.
    #[error("tx-p2shnodes-not-active")]
    P2shNodesNotActive,
    /// An inner version other than 1 and 2 before proof of node; one with delegates is neither.
    #[error("tx-bit-features-not-active")]
    BitFeaturesNotActive,
    /// A plain transaction with an overwintered version from Acadia on.
    #[error("tx-overwintered-flag-not-set")]
    OverwinteredFlagNotSet,
    /// Another version group than Sapling's from Acadia on.
    #[error("bad-sapling-tx-version-group-id")]
    SaplingVersionGroup,
    /// An overwintered version below 4 from Acadia on.
    #[error("bad-tx-sapling-version-too-low")]
    SaplingVersionTooLow,
    /// An overwintered version above 4 from Acadia on.
    #[error("bad-tx-sapling-version-too-high")]
    SaplingVersionTooHigh,
    /// A plain transaction from Acadia on.
    #[error("tx-sapling-active")]
    SaplingActive,
    /// The expiry height has passed.
    #[error("tx-sapling-expired")]
    Expired,
    /// Transparent value that would be shielded from the rebrand on.
    #[error("bad-txns-fluxrebrand-vprivacy-not-empty")]
    ShieldingClosed,
}

/// Checks what can be said about a transaction without its place in a chain.
///
/// # Errors
/// The first rule that is broken.
pub fn check_transaction(tx: &Transaction) -> Result<(), TxError> {
    match &tx.fluxnode {
        Some(body) => check_fluxnode(body)?,
        None => check_form(tx)?,
    }
    if tx.to_bytes().len() > MAX_SIZE {
        return Err(TxError::Oversize);
    }
    check_values(tx)?;
    check_duplicates(tx)?;
    if tx.is_coinbase() { check_coinbase(tx) } else { check_no_null_inputs(tx) }
}

/// Checks a transaction against the upgrades that are active at the height of its block.
///
/// # Errors
/// The first rule that is broken.
pub fn check_transaction_at(tx: &Transaction, params: &Params, height: u32) -> Result<(), TxError> {
    let active = |upgrade| params.upgrades.is_active(upgrade, height);
    if tx.is_coinbase() {
        check_coinbase_at(tx, params, height)?;
    }
    if !active(Upgrade::Acadia) && tx.overwintered {
        return Err(TxError::OverwinterNotActive);
    }
    if let Some(body) = &tx.fluxnode {
        return check_fluxnode_at(tx, body, params, height);
    }
    if active(Upgrade::Acadia) {
        check_sapling_era(tx, height)?;
    } else if tx.to_bytes().len() > MAX_SIZE_BEFORE_ACADIA {
        return Err(TxError::Oversize);
    }
    let shields = !tx.joinsplits.is_empty() || !tx.shielded_outputs.is_empty();
    if active(Upgrade::Flux) && !tx.inputs.is_empty() && shields {
        return Err(TxError::ShieldingClosed);
    }
    Ok(())
}

/// Checks the payments that the coinbase of a height owes: development fund and the fundings of the rebrand.
///
/// # Errors
/// The payment that is missing.
pub fn check_coinbase_at(tx: &Transaction, params: &Params, height: u32) -> Result<(), TxError> {
    if params.upgrades.is_active(Upgrade::Pon, height) {
        let least = subsidy::dev_fund_minimum(params, height);
        let script = params.funding_script(params.dev_fund);
        let paid = tx.outputs.iter().any(|output| output.script_pubkey == script && output.value >= least);
        if least > Amount::ZERO && !paid {
            return Err(TxError::MissingDevFunding);
        }
    }
    for (funding, error) in [
        (&params.exchange_fund, TxError::MissingExchangeFunding),
        (&params.foundation_fund, TxError::MissingFoundationFunding),
        (&params.swap_pool, TxError::MissingSwapPoolFunding),
    ] {
        let script = params.funding_script(funding.address);
        let paid = tx.outputs.iter().any(|out| out.script_pubkey == script && out.value == funding.amount);
        if funding.heights.contains(&height) && !paid {
            return Err(error);
        }
    }
    Ok(())
}

/// True when a transaction may not be mined at a height any more; never for a coinbase.
#[must_use]
pub fn is_expired(tx: &Transaction, height: u32) -> bool {
    tx.expiry_height != 0 && !tx.is_coinbase() && height > tx.expiry_height
}

/// True when a transaction's lock time has passed for a block of this height and time.
#[must_use]
pub fn is_final(tx: &Transaction, height: u32, time: i64) -> bool {
    let lock_time = i64::from(tx.lock_time);
    let reached = if tx.lock_time < LOCK_TIME_THRESHOLD { i64::from(height) } else { time };
    tx.lock_time == 0 || lock_time < reached || tx.inputs.iter().all(|input| input.sequence == u32::MAX)
}

fn check_form(tx: &Transaction) -> Result<(), TxError> {
    if !tx.overwintered && tx.version < 1 {
        return Err(TxError::VersionTooLow);
    }
    if tx.overwintered {
        if tx.version < OVERWINTER_VERSION {
            return Err(TxError::OverwinterVersionTooLow);
        }
        if tx.version_group != OVERWINTER_GROUP && tx.version_group != SAPLING_GROUP {
            return Err(TxError::VersionGroup);
        }
        if tx.expiry_height >= EXPIRY_HEIGHT_THRESHOLD {
            return Err(TxError::ExpiryHeightTooHigh);
        }
    }
    if tx.inputs.is_empty() && tx.joinsplits.is_empty() && tx.spends.is_empty() {
        return Err(TxError::NoInputs);
    }
    if tx.outputs.is_empty() && tx.joinsplits.is_empty() && tx.shielded_outputs.is_empty() {
        return Err(TxError::NoOutputs);
    }
    Ok(())
}

fn check_fluxnode(body: &FluxnodeTx) -> Result<(), TxError> {
    if matches!(body, FluxnodeTx::Unknown(_)) {
        return Err(TxError::FluxnodeType);
    }
    if body.collateral().is_none_or(|collateral| collateral.is_null()) {
        return Err(TxError::FluxnodeNullCollateral);
    }
    match body {
        FluxnodeTx::Start(start) => check_start(start),
        FluxnodeTx::Confirm(confirm) => check_confirm(confirm),
        FluxnodeTx::Unknown(_) => Ok(()),
    }
}

fn check_start(start: &Start) -> Result<(), TxError> {
    let both = NORMAL_BIT | P2SH_BIT;
    let conflicting = start.inner_version.is_some_and(|version| version & both == both);
    if let Some(Owner::RedeemScript(script)) = start.claim.as_ref().map(|claim| &claim.owner)
        && !conflicting
    {
        if script.0.len() > MAX_REDEEM_SCRIPT {
            return Err(TxError::RedeemScriptTooLarge);
        }
        if !matches!(Standard::of(&script.0), Some(Standard::MultiSig { .. })) {
            return Err(TxError::RedeemScriptNotMultisig);
        }
    }
    match &start.delegates {
        Some(tail) if !tail.0.as_ref().is_some_and(|record| record.is_valid()) => {
            Err(TxError::DelegateDataInvalid)
        }
        _ => Ok(()),
    }
}

fn check_confirm(confirm: &Confirm) -> Result<(), TxError> {
    if !(1..=3).contains(&confirm.benchmark_tier) {
        return Err(TxError::BenchmarkTier);
    }
    let most = if confirm.benchmark_sig_time >= LONGER_IP_FROM { MAX_IP_LATER } else { MAX_IP };
    if confirm.ip.len() > most {
        return Err(TxError::IpTooLong);
    }
    if !(0..=1).contains(&confirm.update_type) {
        return Err(TxError::UpdateType);
    }
    Ok(())
}

fn check_values(tx: &Transaction) -> Result<(), TxError> {
    let mut out = Amount::ZERO;
    for output in &tx.outputs {
        if output.value < Amount::ZERO {
            return Err(TxError::OutputNegative);
        }
        if output.value > MAX_MONEY {
            return Err(TxError::OutputTooLarge);
        }
        out = add(out, output.value, TxError::OutputTotalTooLarge)?;
    }
    let balance = tx.value_balance;
    if tx.spends.is_empty() && tx.shielded_outputs.is_empty() && balance != Amount::ZERO {
        return Err(TxError::ValueBalanceNonZero);
    }
    let negated = balance.checked_neg().ok_or(TxError::ValueBalanceTooLarge)?;
    if balance > MAX_MONEY || negated > MAX_MONEY {
        return Err(TxError::ValueBalanceTooLarge);
    }
    if balance <= Amount::ZERO {
        out = add(out, negated, TxError::OutputTotalTooLarge)?;
    }
    for joinsplit in &tx.joinsplits {
        for (value, negative, too_large) in [
            (joinsplit.vpub_old, TxError::VpubOldNegative, TxError::VpubOldTooLarge),
            (joinsplit.vpub_new, TxError::VpubNewNegative, TxError::VpubNewTooLarge),
        ] {
            if value < Amount::ZERO {
                return Err(negative);
            }
            if value > MAX_MONEY {
                return Err(too_large);
            }
        }
        if joinsplit.vpub_new != Amount::ZERO && joinsplit.vpub_old != Amount::ZERO {
            return Err(TxError::VpubsBothNonZero);
        }
        out = add(out, joinsplit.vpub_old, TxError::OutputTotalTooLarge)?;
    }
    let mut shielded_in = Amount::ZERO;
    for joinsplit in &tx.joinsplits {
        shielded_in = add(shielded_in, joinsplit.vpub_new, TxError::InputTotalTooLarge)?;
    }
    if balance >= Amount::ZERO {
        add(shielded_in, balance, TxError::InputTotalTooLarge)?;
    }
    Ok(())
}

fn add(total: Amount, value: Amount, error: TxError) -> Result<Amount, TxError> {
    total.checked_add(value).filter(|sum| sum.in_range()).ok_or(error)
}

fn check_duplicates(tx: &Transaction) -> Result<(), TxError> {
    let mut inputs = HashSet::new();
    if !tx.inputs.iter().all(|input| inputs.insert(input.prevout)) {
        return Err(TxError::DuplicateInputs);
    }
    let mut sprout = HashSet::new();
    if !tx
        .joinsplits
        .iter()
        .flat_map(|joinsplit| &joinsplit.nullifiers)
        .all(|nullifier| sprout.insert(nullifier))
    {
        return Err(TxError::DuplicateSproutNullifiers);
    }
    let mut sapling = HashSet::new();
    if !tx.spends.iter().all(|spend| sapling.insert(spend.nullifier)) {
        return Err(TxError::DuplicateSaplingNullifiers);
    }
    Ok(())
}

fn check_coinbase(tx: &Transaction) -> Result<(), TxError> {
    if !tx.joinsplits.is_empty() {
        return Err(TxError::CoinbaseJoinSplits);
    }
    if !tx.spends.is_empty() {
        return Err(TxError::CoinbaseSpends);
    }
    if !tx.shielded_outputs.is_empty() {
        return Err(TxError::CoinbaseOutputs);
    }
    let sound = tx.inputs.iter().all(|input| (2..=100).contains(&input.script_sig.0.len()));
    if sound { Ok(()) } else { Err(TxError::CoinbaseLength) }
}

fn check_no_null_inputs(tx: &Transaction) -> Result<(), TxError> {
    if tx.inputs.iter().any(|input| input.prevout.is_null()) { Err(TxError::NullInput) } else { Ok(()) }
}

fn check_fluxnode_at(
    tx: &Transaction,
    body: &FluxnodeTx,
    params: &Params,
    height: u32,
) -> Result<(), TxError> {
    let active = |upgrade| params.upgrades.is_active(upgrade, height);
    if !active(Upgrade::Kamata) {
        return Err(TxError::FluxnodesNotActive);
    }
    if tx.version != fluxd_primitives::transaction::FLUXNODE_UPGRADEABLE_VERSION {
        return Ok(());
    }
    if !active(Upgrade::P2shNodes) {
        return Err(TxError::P2shNodesNotActive);
    }
    let inner = match body {
        FluxnodeTx::Start(start) => start.inner_version.unwrap_or_default(),
        _ => 0,
    };
    if !active(Upgrade::Pon) && inner != NORMAL_BIT && inner != P2SH_BIT {
        return Err(TxError::BitFeaturesNotActive);
    }
    Ok(())
}

fn check_sapling_era(tx: &Transaction, height: u32) -> Result<(), TxError> {
    if !tx.overwintered {
        let flag_missing = tx.version >= SAPLING_VERSION;
        return Err(if flag_missing { TxError::OverwinteredFlagNotSet } else { TxError::SaplingActive });
    }
    if tx.version_group != SAPLING_GROUP {
        return Err(TxError::SaplingVersionGroup);
    }
    if tx.version < SAPLING_VERSION {
        return Err(TxError::SaplingVersionTooLow);
    }
    if tx.version > SAPLING_VERSION {
        return Err(TxError::SaplingVersionTooHigh);
    }
    if is_expired(tx, height) { Err(TxError::Expired) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use fluxd_primitives::{OutPoint, Script, TxIn, TxOut};

    use super::*;
    use crate::params::Network;

    fn plain() -> Transaction {
        Transaction {
            version: 1,
            inputs: vec![TxIn {
                prevout: OutPoint { txid: fluxd_primitives::TxId([1; 32]), index: 0 },
                script_sig: Script::default(),
                sequence: 0,
            }],
            outputs: vec![TxOut { value: Amount::from_zat(1), script_pubkey: Script::default() }],
            ..Transaction::default()
        }
    }

    #[test]
    fn eras_accept_their_own_versions_only() {
        let params = Params::of(Network::Main);
        let sapling = Transaction {
            overwintered: true,
            version: SAPLING_VERSION,
            version_group: SAPLING_GROUP,
            ..plain()
        };
        assert_eq!(check_transaction_at(&plain(), &params, 249_999), Ok(()));
        assert_eq!(check_transaction_at(&plain(), &params, 250_000), Err(TxError::SaplingActive));
        assert_eq!(check_transaction_at(&sapling, &params, 249_999), Err(TxError::OverwinterNotActive));
        assert_eq!(check_transaction_at(&sapling, &params, 250_000), Ok(()));
        let expiring = Transaction { expiry_height: 250_000, ..sapling };
        assert_eq!(check_transaction_at(&expiring, &params, 250_000), Ok(()));
        assert_eq!(check_transaction_at(&expiring, &params, 250_001), Err(TxError::Expired));
    }

    #[test]
    fn lock_times_count_blocks_or_seconds() {
        let mut tx = Transaction { lock_time: 100, ..plain() };
        assert!(!is_final(&tx, 100, i64::MAX));
        assert!(is_final(&tx, 101, 0));
        tx.lock_time = LOCK_TIME_THRESHOLD;
        assert!(!is_final(&tx, u32::MAX, i64::from(LOCK_TIME_THRESHOLD)));
        assert!(is_final(&tx, 0, i64::from(LOCK_TIME_THRESHOLD) + 1));
        tx.inputs[0].sequence = u32::MAX;
        assert!(is_final(&tx, 0, 0));
    }

    #[test]
    fn a_funding_height_needs_its_exact_payment() {
        let params = Params::of(Network::Main);
        let script_pubkey = params.funding_script(params.exchange_fund.address);
        let mut tx = plain();
        tx.outputs.push(TxOut { value: params.exchange_fund.amount, script_pubkey });
        assert_eq!(check_coinbase_at(&tx, &params, 836_274), Ok(()));
        assert_eq!(check_coinbase_at(&plain(), &params, 836_274), Err(TxError::MissingExchangeFunding));
        assert_eq!(check_coinbase_at(&plain(), &params, 836_275), Ok(()));
        assert_eq!(
            check_coinbase_at(&plain(), &params, 837_714 + 21_600),
            Err(TxError::MissingSwapPoolFunding)
        );
    }
}
