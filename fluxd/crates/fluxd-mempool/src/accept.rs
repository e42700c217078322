//! Which transactions are admitted. Mirrors `AcceptToMemoryPool` in `src/main.cpp`, in its order.

use std::sync::Arc;

use fluxd_chainstate::{
    ChainError, ChainState, Coin, ConnectError, check_confirm, check_scripts, check_shielded, check_start,
    connect::{check_values, confirmed_key, started_node, value_out},
    error::{REJECT_INVALID, tx_dos},
    policy,
};
use fluxd_consensus::check::{self, TxError, block::legacy_sigops};
use fluxd_fluxnode::collateral::{self, tier_of_coin};
use fluxd_primitives::{
    Amount, Codec, OutPoint, Transaction, TxId,
    transaction::fluxnode::{FluxnodeTx, Owner, Start},
};
use fluxd_script::{Flags, instruction::count_input_sigops};

use crate::{
    entry::Entry,
    pool::{MEMPOOL_HEIGHT, Mempool},
    standard::{NonStandard, are_inputs_standard, check_standard},
};

/// Codes of `reject` messages.
const REJECT_DUPLICATE: u8 = 0x12;
const REJECT_NONSTANDARD: u8 = 0x40;
const REJECT_INSUFFICIENT_FEE: u8 = 0x42;
/// Blocks before its expiry in which a transaction is not taken any more.
const EXPIRING_SOON: u32 = 3;
/// Most signature operations of a transaction.
const MAX_SIGOPS: u32 = 4000;
/// A fluxnode signature or benchmark may be this old, in seconds.
const MAX_SIGNATURE_AGE: i64 = 3600;
/// Transactions below this size need no fee.
const FREE_SIZE: usize = 999_000;
/// A fee this many times the relay fee is an accident.
const ABSURD: i64 = 10_000;
/// Fee that lets a transaction with JoinSplits in, in zatoshi.
const JOINSPLIT_FEE: i64 = 10_000;
/// Seconds over which free transactions are counted.
const FREE_WINDOW: f64 = 600.0;

/// How a transaction came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// It came from a peer: free transactions are limited.
    pub limit_free: bool,
    /// It came from an operator, who is protected from absurd fees.
    pub reject_absurd_fee: bool,
    /// The time, seconds since the epoch.
    pub now: i64,
    /// False while the chain is far behind.
    pub is_synced: bool,
}

/// An admitted transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Its id.
    pub txid: TxId,
    /// Its fee.
    pub fee: Amount,
    /// What went to make room; it may be among them.
    pub evicted: Vec<TxId>,
}

/// Why a transaction was dropped without blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// It was evicted lately.
    RecentlyEvicted,
    /// It was in a block lately.
    RecentlyInBlock,
    /// It was seen lately.
    RecentlySeen,
    /// A CONFIRM that the node list does not want yet.
    ConfirmNotDue,
    /// It is in the pool.
    InPool,
    /// It is in the chain.
    InChain,
    /// It spends what another transaction of the pool spends.
    Conflict,
}

/// Why a transaction is not admitted; `Display` is the reject reason of the reference.
#[derive(Debug, thiserror::Error)]
pub enum Reject {
    /// It was dropped without blame.
    #[error("")]
    Dropped(Drop),
    /// Some of its inputs are not known.
    #[error("")]
    MissingInputs,
    /// It breaks a rule of its own.
    #[error(transparent)]
    Rule(#[from] TxError),
    /// It breaks a rule against the chain.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A script that breaks only the rules for the pool.
    #[error("non-mandatory-script-verify-flag ({0})")]
    NonMandatoryScript(fluxd_script::ScriptError),
    /// It expired with the last block, which the sender may not have known.
    #[error("tx-sapling-expired")]
    JustExpired,
    /// It expires too soon.
    #[error("tx-expiring-soon")]
    ExpiringSoon,
    /// A coinbase outside a block.
    #[error("coinbase")]
    Coinbase,
    /// It is not standard.
    #[error(transparent)]
    NonStandard(#[from] NonStandard),
    /// An input that is not standard.
    #[error("")]
    NonStandardInput,
    /// Its lock time has not passed.
    #[error("non-final")]
    NonFinal,
    /// A fluxnode transaction that is not newer than the one in the pool.
    #[error("fluxnode-tx-outpoint-sigTime-older-cant-replace")]
    OlderThanKnown,
    /// A fluxnode signature that is too old.
    #[error("fluxnode-tx-sig-to-old")]
    SignatureTooOld,
    /// A benchmark that is too old.
    #[error("fluxnode-tx-bench-sig-to-old")]
    BenchmarkTooOld,
    /// A fluxnode transaction about a coin that is not there or no collateral.
    #[error("bad-txns-fluxnode-inputs-invalid-spent-or-bad-value-{0}")]
    Collateral(String),
    /// A START of a coin that is not there.
    #[error("fluxnode-tx-coins-not-found")]
    CollateralNotFound,
    /// A START of a coin that is spent.
    #[error("fluxnode-tx-coins-not-available")]
    CollateralSpent,
    /// An input that is spent.
    #[error("bad-txns-inputs-spent")]
    InputsSpent,
    /// A nullifier that is spent, or an unknown anchor.
    #[error("bad-txns-shielded-requirements-not-met")]
    ShieldedRequirements,
    /// Too many signature operations.
    #[error("bad-txns-too-many-sigops")]
    TooManySigops,
    /// Too low a fee.
    #[error("insufficient fee")]
    InsufficientFee,
    /// Neither fee nor priority.
    #[error("insufficient priority")]
    InsufficientPriority,
    /// Too many free transactions lately.
    #[error("rate limited free transaction")]
    RateLimited,
    /// A fee that must be an accident.
    #[error("AcceptToMemoryPool: absurdly high fees {0}, {1} > {2}")]
    AbsurdFee(TxId, i64, i64),
    /// The chain state failed.
    #[error(transparent)]
    Local(#[from] ChainError),
}

impl Reject {
    /// The code of a `reject` message; 0 where the reference sends none.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Dropped(_)
            | Self::MissingInputs
            | Self::NonStandardInput
            | Self::AbsurdFee(..)
            | Self::Local(_)
            | Self::Connect(ConnectError::ConfirmSignature) => 0,
            Self::NonMandatoryScript(_) | Self::NonStandard(_) | Self::NonFinal | Self::TooManySigops => {
                REJECT_NONSTANDARD
            }
            Self::OlderThanKnown
            | Self::SignatureTooOld
            | Self::BenchmarkTooOld
            | Self::InputsSpent
            | Self::ShieldedRequirements => REJECT_DUPLICATE,
            Self::InsufficientFee | Self::InsufficientPriority | Self::RateLimited => REJECT_INSUFFICIENT_FEE,
            Self::Rule(_)
            | Self::Connect(_)
            | Self::JustExpired
            | Self::ExpiringSoon
            | Self::Coinbase
            | Self::Collateral(_)
            | Self::CollateralNotFound
            | Self::CollateralSpent => REJECT_INVALID,
        }
    }

    /// What the reference adds to the score of the peer that sent it.
    #[must_use]
    pub fn dos(&self) -> u32 {
        match self {
            Self::Coinbase => 100,
            Self::Rule(rule) => match rule {
                TxError::Expired | TxError::OverwinterNotActive | TxError::SaplingActive => 10,
                rule => tx_dos(*rule),
            },
            Self::Collateral(_) | Self::CollateralNotFound | Self::CollateralSpent => 10,
            Self::Connect(error) => match error {
                ConnectError::ImmatureCoinbase
                | ConnectError::TransparentCoinbaseSpend
                | ConnectError::ConfirmSignature => 0,
                ConnectError::Node(_) | ConnectError::Owner(_) | ConnectError::NodeSignature => 10,
                _ => 100,
            },
            _ => 0,
        }
    }

    /// True when other bytes of the same transaction may be admitted: a signature that its id does not cover.
    #[must_use]
    pub fn is_about_bytes(&self) -> bool {
        matches!(self, Self::Connect(ConnectError::NodeSignature | ConnectError::ConfirmSignature))
    }
}

/// Whether a transaction expires so soon after the next block that it is neither taken nor told of (`IsExpiringSoonTx`).
#[must_use]
pub fn is_expiring_soon(tx: &Transaction, next_height: u32) -> bool {
    check::is_expired(tx, next_height.saturating_add(EXPIRING_SOON))
}

impl Mempool {
    /// Admits a transaction, or says why not.
    ///
    /// # Errors
    /// See [`Reject`].
    pub fn accept(
        &mut self,
        chain: &ChainState,
        tx: &Arc<Transaction>,
        admission: Admission,
    ) -> Result<Admitted, Reject> {
        let txid = tx.txid();
        let entry = self.judge(chain, tx, txid, admission)?;
        let fee = entry.fee;
        if let Some(collateral) = tx.fluxnode.as_ref().and_then(|body| body.collateral()) {
            if let Some(older) = self.by_collateral.get(&collateral).copied() {
                self.remove(&older, false);
            }
            self.by_collateral.insert(collateral, txid);
            self.seen_nodes.insert(txid, admission.now);
        }
        self.add(entry, admission.is_synced);
        if tx.is_fluxnode() {
            self.remove_old_nodes(admission.now);
        }
        let evicted = self.shrink(admission.now);
        Ok(Admitted { txid, fee, evicted })
    }

    fn judge(
        &mut self,
        chain: &ChainState,
        tx: &Arc<Transaction>,
        txid: TxId,
        admission: Admission,
    ) -> Result<Entry, Reject> {
        let params = chain.params();
        let height = chain.index().height().saturating_add(1);
        let branch_id = params.upgrades.branch_id(height);
        self.check_recent(chain, tx, &txid, height, admission.now)?;
        check::check_transaction(tx)?;
        check::check_transaction_at(tx, params, height).map_err(|rule| match rule {
            TxError::Expired if !check::is_expired(tx, height.saturating_sub(1)) => Reject::JustExpired,
            rule => rule.into(),
        })?;
        check_shielded(tx, branch_id).map_err(ConnectError::Shielded)?;
        self.check_node(chain, tx, &txid, height)?;
        if is_expiring_soon(tx, height) {
            return Err(Reject::ExpiringSoon);
        }
        if tx.is_coinbase() {
            return Err(Reject::Coinbase);
        }
        if self.policy.require_standard {
            check_standard(tx, params, height, self.policy.min_relay_rate, self.policy.bare_multisig)?;
        }
        if !check::is_final(tx, height, chain.index().median_time(chain.index().tip())) {
            return Err(Reject::NonFinal);
        }
        if self.get(&txid).is_some() {
            return Err(Reject::Dropped(Drop::InPool));
        }
        self.check_node_times(tx, admission.now)?;
        self.check_conflicts(tx)?;
        if chain.coins(&txid)?.is_some() {
            return Err(Reject::Dropped(Drop::InChain));
        }
        self.check_node_coin(chain, tx, height)?;
        let coins = self.inputs(chain, tx)?;
        if !chain.has_shielded_requirements(tx)? {
            return Err(Reject::ShieldedRequirements);
        }
        let spent: Vec<_> = coins.iter().map(|coin| coin.output.clone()).collect();
        if self.policy.require_standard && !are_inputs_standard(tx, &spent) {
            return Err(Reject::NonStandardInput);
        }
        let redeem_sigops = tx
            .inputs
            .iter()
            .zip(&spent)
            .map(|(input, spent)| count_input_sigops(&spent.script_pubkey.0, &input.script_sig.0));
        if redeem_sigops.fold(legacy_sigops(tx), u32::saturating_add) > MAX_SIGOPS {
            return Err(Reject::TooManySigops);
        }
        let size = tx.to_bytes().len();
        let fee = fee_of(tx, &coins);
        self.check_fee(tx, &txid, fee, size, &coins, chain.index().height(), admission)?;
        check_values(params, tx, &coins, height)?;
        if let Err(error) = check_scripts(tx, &spent, Flags::POLICY, branch_id) {
            check_scripts(tx, &spent, Flags::P2SH, branch_id)?;
            return Err(match error {
                ConnectError::Script(script) => Reject::NonMandatoryScript(script),
                other => other.into(),
            });
        }
        let age_priority = value_times_age(tx, &coins, chain.index().height());
        Ok(Entry {
            tx: Arc::clone(tx),
            txid,
            fee,
            size,
            time: admission.now,
            height: chain.index().height(),
            starting_priority: match age_priority {
                Some(sum) => policy::priority(tx, size, sum),
                None => policy::MAX_PRIORITY,
            },
            had_no_dependencies: self.parents(tx).is_empty(),
            spends_coinbase: coins.iter().any(|coin| coin.coinbase),
            branch_id,
            spent,
        })
    }

    fn check_recent(
        &mut self,
        chain: &ChainState,
        tx: &Transaction,
        txid: &TxId,
        height: u32,
        now: i64,
    ) -> Result<(), Reject> {
        if self.evicted.contains(txid, now) {
            return Err(Reject::Dropped(Drop::RecentlyEvicted));
        }
        if self.in_blocks.contains(txid, now) {
            return Err(Reject::Dropped(Drop::RecentlyInBlock));
        }
        if !tx.is_fluxnode() {
            return Ok(());
        }
        if self.seen_nodes.contains_key(txid) {
            return Err(Reject::Dropped(Drop::RecentlySeen));
        }
        if let Some(FluxnodeTx::Confirm(confirm)) = tx.fluxnode.as_deref()
            && confirm.update_type == 1
        {
            let rules = &chain.params().nodes;
            let due = chain.nodes().check_update(rules, &confirm.collateral, &confirm.ip, i8::MAX, height);
            if due.is_err() {
                return Err(Reject::Dropped(Drop::ConfirmNotDue));
            }
        }
        Ok(())
    }

    fn check_node_times(&self, tx: &Transaction, now: i64) -> Result<(), Reject> {
        let Some((collateral, time)) = node_time(tx) else { return Ok(()) };
        let known = self.by_collateral.get(&collateral).and_then(|txid| self.get(txid));
        if let Some((_, known_time)) = known.and_then(|entry| node_time(&entry.tx))
            && time <= known_time
        {
            return Err(Reject::OlderThanKnown);
        }
        if now.saturating_sub(i64::from(time)) > MAX_SIGNATURE_AGE {
            return Err(Reject::SignatureTooOld);
        }
        if let Some(FluxnodeTx::Confirm(confirm)) = tx.fluxnode.as_deref()
            && now.saturating_sub(i64::from(confirm.benchmark_sig_time)) > MAX_SIGNATURE_AGE
        {
            return Err(Reject::BenchmarkTooOld);
        }
        Ok(())
    }

    fn check_conflicts(&self, tx: &Transaction) -> Result<(), Reject> {
        let sprout = tx.joinsplits.iter().flat_map(|joinsplit| &joinsplit.nullifiers);
        let conflict = tx.inputs.iter().any(|input| self.spender(&input.prevout).is_some())
            || sprout.into_iter().any(|nullifier| self.spends_nullifier(true, nullifier))
            || tx.spends.iter().any(|spend| self.spends_nullifier(false, &spend.nullifier));
        if conflict { Err(Reject::Dropped(Drop::Conflict)) } else { Ok(()) }
    }

    /// The rules of fluxnode transactions, against the node list and the coins of the chain as they are.
    fn check_node(
        &self,
        chain: &ChainState,
        tx: &Transaction,
        txid: &TxId,
        height: u32,
    ) -> Result<(), Reject> {
        let params = chain.params();
        match tx.fluxnode.as_deref() {
            Some(FluxnodeTx::Start(start @ Start { claim: Some(claim), .. })) => {
                check_start(tx, txid, chain.nodes().delegates(&claim.collateral))?;
                chain.nodes().check_start(&claim.collateral, height).map_err(ConnectError::Node)?;
                let coins = chain.coins(&claim.collateral.txid)?.ok_or(Reject::CollateralNotFound)?;
                let coin = Coin::of(&coins, claim.collateral.index).ok_or(Reject::CollateralSpent)?;
                match started_node(params, height, start, &coin) {
                    // Age and value of the coin come later.
                    Ok(_) | Err(ConnectError::Collateral(_)) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            Some(FluxnodeTx::Confirm(confirm)) => {
                let key = confirmed_key(params, chain.nodes(), height, confirm)?;
                Ok(check_confirm(confirm, &key, params)?)
            }
            Some(_) => Err(Reject::CollateralNotFound),
            None => Ok(()),
        }
    }

    /// The coin behind a fluxnode transaction, with what the pool spends taken away.
    fn check_node_coin(&self, chain: &ChainState, tx: &Transaction, height: u32) -> Result<(), Reject> {
        let Some(body) = tx.fluxnode.as_deref() else { return Ok(()) };
        let unavailable = || Reject::Collateral("Coins not available".to_owned());
        let outpoint = body.collateral().ok_or_else(unavailable)?;
        let coin = chain.coin(&outpoint)?.ok_or_else(unavailable)?;
        if self.spender(&outpoint).is_some() {
            return Err(unavailable());
        }
        let owner_key = match body {
            FluxnodeTx::Start(Start { claim: Some(claim), .. }) => match &claim.owner {
                Owner::Key(key) => Some(key),
                Owner::RedeemScript(_) => None,
            },
            _ => None,
        };
        let params = chain.params();
        let foundation_keys: Vec<_> = params.foundation_keys.iter().map(|timed| timed.key.clone()).collect();
        let collateral = collateral::Coin {
            value: coin.output.value,
            script_pubkey: &coin.output.script_pubkey,
            height: coin.height,
        };
        tier_of_coin(&params.nodes, height, &collateral, owner_key, &foundation_keys)
            .map(|_| ())
            .map_err(|error| Reject::Collateral(error.to_string()))
    }

    /// The coins of all inputs, from the chain or from the pool.
    fn inputs(&self, chain: &ChainState, tx: &Transaction) -> Result<Vec<Coin>, Reject> {
        let mut coins = Vec::with_capacity(tx.inputs.len());
        let mut spent = false;
        for input in &tx.inputs {
            let outpoint = input.prevout;
            if let Some(parent) = self.get(&outpoint.txid) {
                let index = usize::try_from(outpoint.index).unwrap_or(usize::MAX);
                match parent.tx.outputs.get(index) {
                    Some(output) => coins.push(Coin {
                        output: output.clone(),
                        height: MEMPOOL_HEIGHT,
                        coinbase: false,
                        version: parent.tx.version,
                    }),
                    None => spent = true,
                }
                continue;
            }
            match chain.coins(&outpoint.txid)? {
                None => return Err(Reject::MissingInputs),
                Some(found) => match Coin::of(&found, outpoint.index) {
                    Some(coin) => coins.push(coin),
                    None => spent = true,
                },
            }
        }
        if spent { Err(Reject::InputsSpent) } else { Ok(coins) }
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a fee is judged by")]
    fn check_fee(
        &mut self,
        tx: &Transaction,
        txid: &TxId,
        fee: Amount,
        size: usize,
        coins: &[Coin],
        height: u32,
        admission: Admission,
    ) -> Result<(), Reject> {
        let relay_fee = self.policy.min_relay_rate.fee(size);
        let pays_for_joinsplits = !tx.joinsplits.is_empty() && fee.zat() >= JOINSPLIT_FEE;
        let (priority_delta, fee_delta) = self.delta(txid);
        let favoured = priority_delta > 0.0 || fee_delta > Amount::ZERO;
        let least = if favoured || size < FREE_SIZE { Amount::ZERO } else { relay_fee };
        if !pays_for_joinsplits && admission.limit_free && fee < least {
            return Err(Reject::InsufficientFee);
        }
        if self.policy.relay_priority && fee < relay_fee {
            let sum = value_times_age(tx, coins, height.saturating_add(1));
            let priority = sum.map_or(policy::MAX_PRIORITY, |sum| policy::priority(tx, size, sum));
            if !policy::allows_free(priority) {
                return Err(Reject::InsufficientPriority);
            }
        }
        if admission.limit_free && fee < relay_fee {
            let (bytes, time) = self.free_bytes;
            let seconds =
                u32::try_from(admission.now.saturating_sub(time).max(0)).map_or(f64::MAX, f64::from);
            let bytes = bytes * (1.0 - 1.0 / FREE_WINDOW).powf(seconds);
            self.free_bytes = (bytes, admission.now);
            let limit = self.policy.limit_free_relay.saturating_mul(10_000);
            if bytes >= policy::zat_number(limit) {
                return Err(Reject::RateLimited);
            }
            self.free_bytes.0 += policy::number(size);
        }
        let absurd = relay_fee.zat().saturating_mul(ABSURD);
        if admission.reject_absurd_fee && fee.zat() > absurd {
            return Err(Reject::AbsurdFee(*txid, fee.zat(), absurd));
        }
        Ok(())
    }
}

/// Collateral and signature time of a fluxnode transaction.
fn node_time(tx: &Transaction) -> Option<(OutPoint, u32)> {
    match tx.fluxnode.as_deref()? {
        FluxnodeTx::Start(start) => start.claim.as_ref().map(|claim| (claim.collateral, claim.sig_time)),
        FluxnodeTx::Confirm(confirm) => Some((confirm.collateral, confirm.sig_time)),
        FluxnodeTx::Unknown(_) => None,
    }
}

/// What the inputs bring more than the outputs take; negative where they bring less, which another check refuses.
fn fee_of(tx: &Transaction, coins: &[Coin]) -> Amount {
    let shielded = fluxd_chainstate::connect::shielded_value_in(tx).unwrap_or_default();
    let value_in = coins.iter().fold(shielded.zat(), |sum, coin| sum.saturating_add(coin.output.value.zat()));
    Amount::from_zat(value_in.saturating_sub(value_out(tx).unwrap_or_default().zat()))
}

/// Sum of value times age of the inputs at a height; `None` for a transaction with shielded parts, whose priority is the
/// highest there is.
fn value_times_age(tx: &Transaction, coins: &[Coin], height: u32) -> Option<f64> {
    if !tx.joinsplits.is_empty() || !tx.spends.is_empty() || !tx.shielded_outputs.is_empty() {
        return None;
    }
    let older = coins.iter().filter(|coin| coin.height < height);
    Some(
        older.map(|coin| policy::zat_number(coin.output.value.zat()) * f64::from(height - coin.height)).sum(),
    )
}
