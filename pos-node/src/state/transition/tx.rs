//! Transactions: whether one may be in a block, what it costs, what it does. Every action checks all it needs before it
//! changes anything, so a failed one has nothing to undo. Signatures are verified elsewhere, in batches.
//!
//! Contracts and governance are not part of this version of the rules: their actions make a block invalid.

use super::{
    super::{
        PendingDeposit, Registration, State, Unbonding,
        app::{Account, Overlay, Store},
        fees::{cost_down, cost_up},
        math::mul_div,
    },
    epoch::Registrations,
    operation::exit,
};
use crate::{
    crypto::bls::{self, Key},
    types::{
        codec::encode,
        domain::{DomainType, domain, signing_root},
        operation::DepositMessage,
        params::{Config, Governed, GovernedParams, POS},
        primitives::{Address, FAR_FUTURE, List, Nano, PublicKey, Root, Signature, ValidatorIndex},
        ssz::sha256,
        transaction::{Action, Auth, MAX_DEPLOY_TX_BYTES, MAX_TX_BYTES, Receipt, Tx},
    },
};
use std::collections::BTreeSet;

/// Most slots that a transaction may be valid ahead.
const MAX_VALID_AHEAD: u64 = 1024 * 8;
/// Whole of a commission.
const BPS: u16 = 10_000;
/// Most a commission may rise at once.
const MAX_COMMISSION_RAISE: u16 = 500;
/// Fewest epochs between two raises.
const COMMISSION_RAISE_EPOCHS: u64 = 225;
/// An operator with less than one part in this of its pool takes no more delegations.
const MIN_SELF_BOND_PARTS: u128 = 100;

/// Why a transaction makes its block invalid: one variant per rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// It is for another chain.
    #[error("for chain {0}")]
    ChainId(u64),
    /// Its last slot is past, or too far ahead.
    #[error("valid until slot {0}")]
    ValidUntil(u64),
    /// It is not the sender's next one.
    #[error("nonce {found}, next is {expected}")]
    Nonce {
        /// The transaction's.
        found: u64,
        /// The sender's next.
        expected: u64,
    },
    /// It pays less than the price of the block.
    #[error("fee limit below the base fee")]
    MaxFee,
    /// The tip is above the fee limit.
    #[error("tip above the fee limit")]
    Tip,
    /// Its gas limit is below what its bytes alone cost.
    #[error("gas limit below {0}")]
    IntrinsicGas(u64),
    /// It does not fit into what is left of the block's gas.
    #[error("block gas limit exceeded")]
    BlockGas,
    /// The sender cannot pay the fee limit and what is moved.
    #[error("balance too low")]
    Balance,
    /// Too many bytes.
    #[error("too many bytes")]
    Size,
    /// A field is outside its range.
    #[error("{0} out of range")]
    Range(&'static str),
    /// The action is not part of this version of the rules.
    #[error("action not enabled")]
    Disabled,
}

/// How a transaction ended, as receipts say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Done,
    /// A rule that reads state was broken; gas used so far is paid.
    Failed,
    /// The gas limit was too low; all of it is paid.
    OutOfGas,
}

impl Status {
    /// The number that receipts carry.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::OutOfGas => 2,
        }
    }
}

/// What transactions of one block share.
#[derive(Debug, Clone, Copy)]
pub struct TxContext<'a> {
    /// Constants and chain.
    pub config: &'a Config,
    /// Price of the block.
    pub base_fee: u64,
    /// Gas of the block.
    pub gas_limit: u64,
}

/// A transaction with what its bytes alone determine.
#[derive(Debug, Clone, Copy)]
pub struct Prepared<'a> {
    /// The transaction.
    pub tx: &'a Tx,
    /// Its id.
    pub id: Root,
    /// Bytes of its encoding.
    pub bytes: usize,
    /// Its sender.
    pub sender: Address,
}

impl<'a> Prepared<'a> {
    /// Encodes and hashes the transaction.
    #[must_use]
    pub fn new(tx: &'a Tx) -> Self {
        let encoded = encode(tx);
        Self { tx, id: Root(sha256(&encoded)), bytes: encoded.len(), sender: tx.sender() }
    }
}

/// Gas that the bytes of a transaction cost whatever it does. Mirrors the gas table of the specification.
#[must_use]
pub fn intrinsic_gas(governed: &GovernedParams, prepared: &Prepared<'_>) -> u64 {
    let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
    let signatures = match &prepared.tx.auth {
        Auth::Single { .. } => 1,
        Auth::Multi { signatures, .. } => count(signatures.len()),
    };
    let (mut accounts, mut extra) = (1, 0u64);
    match &prepared.tx.body.action {
        Action::Transfer { to, .. } => accounts = if *to == prepared.sender { 1 } else { 2 },
        Action::MultiTransfer { transfers } => {
            let distinct: BTreeSet<&Address> =
                transfers.iter().map(|(to, _)| to).chain([&prepared.sender]).collect();
            accounts = distinct.len();
        }
        Action::Deploy { .. } | Action::Call { .. } => {}
        action => {
            extra = governed.get(Governed::GasStakeAction);
            if matches!(action, Action::RegisterValidator { .. }) {
                extra = extra.saturating_add(governed.get(Governed::GasRegister));
            }
        }
    }
    let parts = [
        (Governed::GasSignature, signatures),
        (Governed::GasByte, count(prepared.bytes)),
        (Governed::GasAccountWrite, count(accounts)),
    ];
    parts.iter().fold(governed.get(Governed::GasTx).saturating_add(extra), |sum, (price, times)| {
        sum.saturating_add(governed.get(*price).saturating_mul(*times))
    })
}

/// Nano that leave the sender besides the fee; `None` when the sum is out of range.
#[must_use]
pub fn value_moved(action: &Action) -> Option<Nano> {
    Some(match action {
        Action::Transfer { amount, .. }
        | Action::RegisterValidator { amount, .. }
        | Action::Delegate { amount, .. } => *amount,
        Action::MultiTransfer { transfers } => {
            transfers.iter().try_fold(0u64, |sum, (_, amount)| sum.checked_add(*amount))?
        }
        Action::Deploy { value, .. } | Action::Call { value, .. } => *value,
        Action::Propose { deposit, .. } => *deposit,
        _ => 0,
    })
}

/// Checks what makes a block invalid, except signatures. `gas_so_far` is what the block's earlier transactions used.
///
/// # Errors
/// The rule that is broken.
pub fn check<S: Store>(
    state: &State,
    app: &Overlay<'_, S>,
    context: &TxContext<'_>,
    prepared: &Prepared<'_>,
    gas_so_far: u64,
) -> Result<(), TxError> {
    let body = &prepared.tx.body;
    check_static(prepared)?;
    if body.chain_id != context.config.chain_id {
        return Err(TxError::ChainId(body.chain_id));
    }
    if body.valid_until < state.slot || body.valid_until > state.slot.saturating_add(MAX_VALID_AHEAD) {
        return Err(TxError::ValidUntil(body.valid_until));
    }
    let account = app.account(&prepared.sender);
    if body.nonce != account.nonce {
        return Err(TxError::Nonce { found: body.nonce, expected: account.nonce });
    }
    if body.max_fee < context.base_fee {
        return Err(TxError::MaxFee);
    }
    if body.tip > body.max_fee {
        return Err(TxError::Tip);
    }
    let intrinsic = intrinsic_gas(&state.params, prepared);
    if body.gas_limit < intrinsic {
        return Err(TxError::IntrinsicGas(intrinsic));
    }
    if gas_so_far.checked_add(body.gas_limit).is_none_or(|sum| sum > context.gas_limit) {
        return Err(TxError::BlockGas);
    }
    let needed = cost_up(body.gas_limit, body.max_fee)
        .and_then(|fee| fee.checked_add(value_moved(&body.action)?))
        .ok_or(TxError::Balance)?;
    if account.balance < needed {
        return Err(TxError::Balance);
    }
    Ok(())
}

/// Checks what needs no state.
///
/// # Errors
/// The rule that is broken.
pub fn check_static(prepared: &Prepared<'_>) -> Result<(), TxError> {
    let tx = prepared.tx;
    let limit =
        if matches!(tx.body.action, Action::Deploy { .. }) { MAX_DEPLOY_TX_BYTES } else { MAX_TX_BYTES };
    if prepared.bytes > limit {
        return Err(TxError::Size);
    }
    let in_range = |field, holds| if holds { Ok(()) } else { Err(TxError::Range(field)) };
    match &tx.body.action {
        Action::Transfer { .. } | Action::MultiTransfer { .. } | Action::ExitValidator { .. } => Ok(()),
        Action::RegisterValidator { amount, commission_bps, max_commission_bps, effective_cap, .. } => {
            in_range("amount", *amount >= 32 * POS)?;
            in_range("commission", commission_bps <= max_commission_bps && *max_commission_bps <= BPS)?;
            let cap = *effective_cap;
            in_range("effective cap", (32 * POS..=2048 * POS).contains(&cap) && cap.is_multiple_of(POS))
        }
        Action::Delegate { amount, .. } => in_range("amount", *amount >= POS),
        Action::Undelegate { shares, .. } => in_range("shares", *shares > 0),
        Action::Redelegate { from, to, shares } => {
            in_range("shares", *shares > 0)?;
            in_range("target", from != to)
        }
        Action::EditValidator { commission_bps, .. } => {
            in_range("commission", commission_bps.is_none_or(|bps| bps <= BPS))
        }
        Action::Deploy { .. }
        | Action::Call { .. }
        | Action::Propose { .. }
        | Action::Vote { .. }
        | Action::CancelProposal { .. } => Err(TxError::Disabled),
    }
}

/// What executing a transaction gives: its receipt and the parts of its fee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The receipt.
    pub receipt: Receipt,
    /// Part of the fee that is destroyed.
    pub burned: Nano,
    /// Part of the fee that the proposer gets.
    pub tip: Nano,
}

/// Executes a transaction that passed [`check`]. The tip is left for the end of the block.
pub fn execute<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    context: &TxContext<'_>,
    prepared: &Prepared<'_>,
) -> Executed {
    let body = &prepared.tx.body;
    let needed = needed_gas(&state.params, app, prepared);
    let done = needed <= body.gas_limit && act(state, app, context, &prepared.sender, &body.action).is_some();
    settle(app, context, prepared, needed, done)
}

/// As [`execute`] for a transfer, which changes nothing but accounts; `None` for any other action.
pub fn execute_transfer<S: Store>(
    state: &State,
    app: &mut Overlay<'_, S>,
    context: &TxContext<'_>,
    prepared: &Prepared<'_>,
) -> Option<Executed> {
    let body = &prepared.tx.body;
    let needed = needed_gas(&state.params, app, prepared);
    let done = needed <= body.gas_limit;
    if done {
        transfer(app, &prepared.sender, &body.action)?;
    }
    Some(settle(app, context, prepared, needed, done))
}

fn needed_gas<S: Store>(governed: &GovernedParams, app: &Overlay<'_, S>, prepared: &Prepared<'_>) -> u64 {
    let created = created_accounts(app, &prepared.sender, &prepared.tx.body.action);
    let creation = governed.get(Governed::GasAccountCreate).saturating_mul(created);
    intrinsic_gas(governed, prepared).saturating_add(creation)
}

/// Takes the fee, counts the nonce, writes the receipt.
fn settle<S: Store>(
    app: &mut Overlay<'_, S>,
    context: &TxContext<'_>,
    prepared: &Prepared<'_>,
    needed: u64,
    done: bool,
) -> Executed {
    let sender = prepared.sender;
    let body = &prepared.tx.body;
    let (status, gas_used) = match done {
        _ if needed > body.gas_limit => (Status::OutOfGas, body.gas_limit),
        true => (Status::Done, needed),
        false => (Status::Failed, needed),
    };
    let burned = cost_up(gas_used, context.base_fee).unwrap_or(u64::MAX);
    let price = body.tip.min(body.max_fee.saturating_sub(context.base_fee));
    let tip = cost_down(gas_used, price).unwrap_or(0);
    let fee_paid = burned.saturating_add(tip);
    let mut account = app.account(&sender);
    account.nonce = account.nonce.saturating_add(1);
    account.balance = account.balance.saturating_sub(fee_paid);
    app.put_account(&sender, &account);
    let receipt = Receipt {
        tx_id: prepared.id,
        status: status.code(),
        gas_used,
        fee_paid,
        return_data: List::empty(),
        events: List::empty(),
    };
    Executed { receipt, burned, tip }
}

/// Accounts that the action would bring to be.
fn created_accounts<S: Store>(app: &Overlay<'_, S>, sender: &Address, action: &Action) -> u64 {
    let is_new = |to: &&Address| *to != sender && !app.has_account(to);
    let new = match action {
        Action::Transfer { to, .. } => usize::from(is_new(&to)),
        Action::MultiTransfer { transfers } => {
            let recipients: BTreeSet<&Address> = transfers.iter().map(|(to, _)| to).collect();
            recipients.into_iter().filter(is_new).count()
        }
        _ => 0,
    };
    u64::try_from(new).unwrap_or(u64::MAX)
}

/// Does the action, all or nothing; `None` when a rule that reads state is broken.
fn act<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    context: &TxContext<'_>,
    sender: &Address,
    action: &Action,
) -> Option<()> {
    match action {
        Action::Transfer { .. } | Action::MultiTransfer { .. } => transfer(app, sender, action),
        Action::RegisterValidator {
            pubkey,
            proof,
            amount,
            commission_bps,
            max_commission_bps,
            effective_cap,
            fee_recipient,
        } => {
            let registration = Registration {
                owner: *sender,
                commission_bps: *commission_bps,
                max_commission_bps: *max_commission_bps,
                effective_cap: *effective_cap,
                fee_recipient: *fee_recipient,
            };
            register(state, app, context.config, (pubkey, proof, *amount), &registration)
        }
        Action::Delegate { validator, amount } => delegate(state, app, sender, *validator, *amount),
        Action::Undelegate { validator, shares } => {
            unbond(state, app, context.config, sender, *validator, *shares, FAR_FUTURE)
        }
        Action::Redelegate { from, to, shares } => {
            state.validators.get(*to)?;
            unbond(state, app, context.config, sender, *from, *shares, *to)
        }
        Action::EditValidator { validator, commission_bps, fee_recipient } => {
            edit(state, context.config, sender, *validator, *commission_bps, *fee_recipient)
        }
        Action::ExitValidator { validator } => {
            owned(state, sender, *validator)?;
            exit::check_conditions(state, &context.config.params, *validator).ok()?;
            state.initiate_exit(&context.config.params, *validator);
            Some(())
        }
        Action::Deploy { .. }
        | Action::Call { .. }
        | Action::Propose { .. }
        | Action::Vote { .. }
        | Action::CancelProposal { .. } => None,
    }
}

/// Moves amounts; `None` when the action is no transfer.
fn transfer<S: Store>(app: &mut Overlay<'_, S>, sender: &Address, action: &Action) -> Option<()> {
    match action {
        Action::Transfer { to, amount } => {
            debit(app, sender, *amount);
            app.credit(to, *amount);
        }
        Action::MultiTransfer { transfers } => {
            for (to, amount) in transfers {
                debit(app, sender, *amount);
                app.credit(to, *amount);
            }
        }
        _ => return None,
    }
    Some(())
}

/// Takes from an account what [`check`] found it has.
fn debit<S: Store>(app: &mut Overlay<'_, S>, address: &Address, amount: Nano) {
    let account = app.account(address);
    let balance = account.balance.saturating_sub(amount);
    app.put_account(address, &Account { balance, ..account });
}

fn owned(state: &State, sender: &Address, validator: ValidatorIndex) -> Option<()> {
    (state.validators.owner.at(validator)? == sender).then_some(())
}

/// Whether `proof` shows that `owner` may register the key. It is bound to no chain but the genesis version.
#[must_use]
pub fn is_proof_of_possession(
    config: &Config,
    pubkey: &PublicKey,
    owner: &Address,
    amount: Nano,
    proof: &Signature,
) -> bool {
    let message = DepositMessage { pubkey: *pubkey, owner: Root(owner.0), amount };
    let domain = domain(DomainType::Deposit.bytes(), config.genesis_fork_version, Root::ZERO);
    Key::new(pubkey).is_ok_and(|key| bls::verify(&key, &signing_root(&message, domain), proof))
}

fn register<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    config: &Config,
    (pubkey, proof, amount): (&PublicKey, &Signature, Nano),
    registration: &Registration,
) -> Option<()> {
    let mut counters = app.counters();
    if app.registration(pubkey).is_some()
        || counters.registrations >= config.params.validator_registry_limit
        || !is_proof_of_possession(config, pubkey, &registration.owner, amount, proof)
    {
        return None;
    }
    counters.registrations = counters.registrations.saturating_add(1);
    app.put_counters(&counters);
    app.put_registration(pubkey, registration);
    queue_deposit(state, app, *pubkey, &registration.owner, amount);
    Some(())
}

fn delegate<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    sender: &Address,
    index: ValidatorIndex,
    amount: Nano,
) -> Option<()> {
    let validator = state.validators.get(index)?;
    let pool = state.pools.at(index)?;
    let thin = pool.operator_shares.saturating_mul(MIN_SELF_BOND_PARTS) < pool.total_shares;
    if validator.slashed || state.validators.is_exiting(index) || (thin && validator.owner != *sender) {
        return None;
    }
    queue_deposit(state, app, validator.pubkey, sender, amount);
    Some(())
}

fn queue_deposit<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    pubkey: PublicKey,
    delegator: &Address,
    amount: Nano,
) {
    debit(app, delegator, amount);
    let deposit = PendingDeposit { pubkey, delegator: *delegator, amount, slot: state.slot };
    state.pending_deposits.push(deposit);
}

/// Moves shares from a position to the unbonding list.
fn unbond<S: Store>(
    state: &mut State,
    app: &mut Overlay<'_, S>,
    config: &Config,
    sender: &Address,
    index: ValidatorIndex,
    shares: u128,
    redelegate_to: ValidatorIndex,
) -> Option<()> {
    let params = &config.params;
    let validator = state.validators.get(index)?;
    let pool = *state.pools.at(index)?;
    let is_owner = validator.owner == *sender;
    let held = if is_owner { pool.operator_shares } else { app.position(index, sender) };
    let left = held.checked_sub(shares)?;
    let balance = u128::from(*state.balances.at(index)?);
    let worth = mul_div(shares, balance, pool.total_shares).and_then(|worth| u64::try_from(worth).ok())?;
    if worth < POS && left > 0 {
        return None;
    }
    let release_epoch = if state.validators.is_exiting(index) {
        validator.withdrawable_epoch
    } else {
        let churn = state.activation_exit_churn_limit(params);
        let exit = state.reserve_exit_epoch(params, worth.max(POS), churn);
        exit.saturating_add(params.min_validator_withdrawability_delay)
    };
    if is_owner {
        state.pools.at_mut(index)?.operator_shares = left;
    } else {
        app.put_position(index, sender, left);
    }
    let entry = Unbonding { validator: index, delegator: *sender, shares, release_epoch, redelegate_to };
    state.unbondings.push(entry);
    Some(())
}

fn edit(
    state: &mut State,
    config: &Config,
    sender: &Address,
    validator: ValidatorIndex,
    commission_bps: Option<u16>,
    fee_recipient: Option<Address>,
) -> Option<()> {
    owned(state, sender, validator)?;
    let epoch = state.current_epoch(&config.params);
    let cap = state.params.get(Governed::CommissionCapBps);
    let mut pool = *state.pools.at(validator)?;
    if let Some(commission) = commission_bps {
        if commission > pool.commission_bps {
            let raise = commission.saturating_sub(pool.commission_bps);
            let allowed = raise <= MAX_COMMISSION_RAISE
                && epoch >= pool.last_commission_epoch.saturating_add(COMMISSION_RAISE_EPOCHS)
                && commission <= pool.max_commission_bps
                && u64::from(commission) <= cap;
            if !allowed {
                return None;
            }
            pool.last_commission_epoch = epoch;
        }
        pool.commission_bps = commission;
    }
    if let Some(recipient) = fee_recipient {
        pool.fee_recipient = recipient;
    }
    *state.pools.at_mut(validator)? = pool;
    Some(())
}
