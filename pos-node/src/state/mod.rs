//! The consensus state and what changes it. Pure: no I/O, clock or entropy. Mirrors `BeaconState` of
//! `specs/electra/beacon-chain.md` and `specs/fulu/beacon-chain.md` without history, with share pools in place of
//! withdrawals.
//!
//! Fields are separate arrays ([`column::Column`]) so that a clone costs a few pointers and a block copies only what
//! it writes. [`access`] answers questions, [`transition`] makes changes, [`root`] hashes.

pub mod access;
pub mod app;
pub mod column;
pub mod encoding;
pub mod fees;
pub mod genesis;
pub mod math;
pub mod registry;
pub mod root;
pub mod shuffle;
pub mod transition;
pub mod tree;
pub mod verifier;

use crate::types::{
    codec::container,
    operation::{BlockHeader, Checkpoint, Fork},
    params::{GovernedParams, Params},
    primitives::{Address, Epoch, FAR_FUTURE, Nano, PublicKey, Root, Slot, ValidatorIndex},
};
use column::Column;
use registry::Registry;

/// Bit of a participation byte: voted for the right source in time.
pub const TIMELY_SOURCE: u8 = 0;
/// Bit of a participation byte: voted for the right target.
pub const TIMELY_TARGET: u8 = 1;
/// Bit of a participation byte: voted for the right head at once.
pub const TIMELY_HEAD: u8 = 2;

container! {
    /// The stake behind a validator, divided into shares. Its amount is the validator's balance.
    #[derive(Copy, Default)]
    rooted struct Pool {
        /// All shares, those being unbonded included.
        total_shares: u128,
        /// The operator's own.
        operator_shares: u128,
        /// Part of rewards the operator keeps, in 1/10000.
        commission_bps: u16,
        /// Highest commission the operator may ask.
        max_commission_bps: u16,
        /// When commission was last raised.
        last_commission_epoch: Epoch,
        /// Account for tips.
        fee_recipient: Address,
    }
}

container! {
    /// Stake that waits to be counted.
    #[derive(Copy)]
    rooted struct PendingDeposit {
        /// Key of the validator.
        pubkey: PublicKey,
        /// Who will hold the shares.
        delegator: Address,
        /// Nano.
        amount: Nano,
        /// Slot it came in.
        slot: Slot,
    }
}

container! {
    /// Shares on their way out.
    #[derive(Copy)]
    rooted struct Unbonding {
        /// The pool.
        validator: ValidatorIndex,
        /// Who gets the amount.
        delegator: Address,
        /// Shares; they earn and are slashed until released.
        shares: u128,
        /// Earliest epoch of release.
        release_epoch: Epoch,
        /// Pool to join, or the largest number for none.
        redelegate_to: ValidatorIndex,
    }
}

/// What is justified and final, and the last four epochs' justification (newest first).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Finality {
    /// Which of the current and the three epochs before are justified.
    pub bits: [bool; 4],
    /// Justified checkpoint as of the previous epoch.
    pub previous_justified: Checkpoint,
    /// Latest justified checkpoint.
    pub current_justified: Checkpoint,
    /// Latest final checkpoint.
    pub finalized: Checkpoint,
}

/// The consensus state after a block or slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Start of slot 0, Unix seconds.
    pub genesis_time: u64,
    /// Root of the validators at genesis; binds signatures to the chain.
    pub genesis_validators_root: Root,
    /// Slot the state has reached.
    pub slot: Slot,
    /// Rules in force.
    pub fork: Fork,
    /// Header of the last block; its state root is zero until the next slot.
    pub latest_block_header: BlockHeader,
    /// Ring of block roots by slot.
    pub block_roots: Column<Root>,
    /// Ring of state roots by slot.
    pub state_roots: Column<Root>,
    /// Validators.
    pub validators: Registry,
    /// Their balances, which are their pools' amounts.
    pub balances: Column<Nano>,
    /// Ring of randomness by epoch.
    pub randao_mixes: Column<Root>,
    /// Ring of slashed stake by epoch.
    pub slashings: Column<Nano>,
    /// Flags of the previous epoch's votes.
    pub previous_epoch_participation: Column<u8>,
    /// Flags of the current epoch's votes.
    pub current_epoch_participation: Column<u8>,
    /// Justification and finality.
    pub finality: Finality,
    /// Scores of absence while finality is late.
    pub inactivity_scores: Column<u64>,
    /// Deposit churn left over from the last epoch.
    pub deposit_balance_to_consume: Nano,
    /// Exit churn left in `earliest_exit_epoch`.
    pub exit_balance_to_consume: Nano,
    /// Epoch the next exit falls in.
    pub earliest_exit_epoch: Epoch,
    /// Stake waiting to be counted.
    pub pending_deposits: Column<PendingDeposit>,
    /// Shares on their way out.
    pub unbondings: Column<Unbonding>,
    /// Proposers of this and the next epoch.
    pub proposer_lookahead: Column<ValidatorIndex>,
    /// Pools by validator.
    pub pools: Column<Pool>,
    /// Rewards of this epoch by validator.
    pub reward_accum: Column<Nano>,
    /// Governed parameters.
    pub params: GovernedParams,
    /// Price of gas in the next block, nano per 1000.
    pub next_base_fee: u64,
}

impl State {
    /// A state at slot 0 without validators: the ground that genesis (or a test) builds on.
    #[must_use]
    pub fn empty(params: &Params) -> Self {
        let ring = |len: u64| usize::try_from(len).expect("preset rings fit memory");
        Self {
            genesis_time: 0,
            genesis_validators_root: Root::ZERO,
            slot: 0,
            fork: Fork::default(),
            latest_block_header: BlockHeader::default(),
            block_roots: vec![Root::ZERO; ring(params.slots_per_historical_root)].into(),
            state_roots: vec![Root::ZERO; ring(params.slots_per_historical_root)].into(),
            validators: Registry::default(),
            balances: Column::default(),
            randao_mixes: vec![Root::ZERO; ring(params.epochs_per_historical_vector)].into(),
            slashings: vec![0; ring(params.epochs_per_slashings_vector)].into(),
            previous_epoch_participation: Column::default(),
            current_epoch_participation: Column::default(),
            finality: Finality::default(),
            inactivity_scores: Column::default(),
            deposit_balance_to_consume: 0,
            exit_balance_to_consume: 0,
            earliest_exit_epoch: 0,
            pending_deposits: Column::default(),
            unbondings: Column::default(),
            proposer_lookahead: vec![0; ring(params.slots_per_epoch.saturating_mul(2))].into(),
            pools: Column::default(),
            reward_accum: Column::default(),
            params: GovernedParams::genesis(params),
            next_base_fee: params.initial_base_fee,
        }
    }

    /// Appends a validator with its pool and first balance.
    pub fn push_validator(&mut self, validator: &registry::Validator, balance: Nano, pool: Pool) {
        self.validators.push(validator);
        self.balances.push(balance);
        self.pools.push(pool);
        self.previous_epoch_participation.push(0);
        self.current_epoch_participation.push(0);
        self.inactivity_scores.push(0);
        self.reward_accum.push(0);
    }
}

/// What a registration transaction fixed for a key, until and after its validator exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// Operator.
    pub owner: Address,
    /// First commission.
    pub commission_bps: u16,
    /// Highest commission.
    pub max_commission_bps: u16,
    /// Cap of the effective balance.
    pub effective_cap: Nano,
    /// Account for tips.
    pub fee_recipient: Address,
}

impl Registration {
    /// The validator that a first deposit of `amount` makes.
    #[must_use]
    pub fn validator(&self, pubkey: PublicKey, amount: Nano, increment: Nano) -> registry::Validator {
        let whole = amount - amount.checked_rem(increment).unwrap_or(0);
        registry::Validator {
            pubkey,
            owner: self.owner,
            effective_balance: whole.min(self.effective_cap),
            slashed: false,
            activation_eligibility_epoch: FAR_FUTURE,
            activation_epoch: FAR_FUTURE,
            exit_epoch: FAR_FUTURE,
            withdrawable_epoch: FAR_FUTURE,
            effective_cap: self.effective_cap,
        }
    }

    /// Its pool, before any share is minted.
    #[must_use]
    pub fn pool(&self) -> Pool {
        Pool {
            total_shares: 0,
            operator_shares: 0,
            commission_bps: self.commission_bps,
            max_commission_bps: self.max_commission_bps,
            last_commission_epoch: 0,
            fee_recipient: self.fee_recipient,
        }
    }
}

/// What the consensus rules change in the application state. Applied by whoever holds that state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppWrites {
    /// Amounts to add to accounts, in order.
    pub credits: Vec<(Address, Nano)>,
    /// Shares to add to positions that are not the operator's.
    pub positions: Vec<(ValidatorIndex, Address, u128)>,
    /// Nano created by rewards.
    pub issued: u128,
    /// Nano destroyed by penalties and slashing.
    pub burned: u128,
}
