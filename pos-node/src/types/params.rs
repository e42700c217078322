//! The constants of a network as a value, and the parameters that governance may change. Two presets exist: `mainnet`
//! and `minimal` (tests and development networks). Passed down, never global.

use super::{
    codec::{container, encode},
    primitives::{ForkVersion, Root},
    ssz::sha256,
};

/// One POS in nano.
pub const POS: u64 = 1_000_000_000;

container! {
    /// Every constant of the protocol, in the order of the specification's table.
    rooted struct Params {
        /// Length of a slot in milliseconds.
        slot_ms: u64,
        /// Slots of an epoch.
        slots_per_epoch: u64,
        /// Rounds of the swap-or-not shuffle.
        shuffle_round_count: u64,
        /// Epochs between a randao mix and the first committees drawn from it.
        min_seed_lookahead: u64,
        /// Epochs between a registry change and its effect.
        max_seed_lookahead: u64,
        /// Randao mixes kept.
        epochs_per_historical_vector: u64,
        /// Slashing sums kept.
        epochs_per_slashings_vector: u64,
        /// Block and state roots kept.
        slots_per_historical_root: u64,
        /// Step of effective balances in nano.
        effective_balance_increment: u64,
        /// Least stake of a validator to be activated.
        min_activation_balance: u64,
        /// Effective balance at which a validator is made to leave.
        ejection_balance: u64,
        /// Most effective balance of any validator.
        max_effective_balance: u64,
        /// Parts of an increment that hysteresis counts in.
        hysteresis_quotient: u64,
        /// Parts below the effective balance that make it fall.
        hysteresis_downward: u64,
        /// Parts above the effective balance that make it rise.
        hysteresis_upward: u64,
        /// Scale of rewards.
        base_reward_factor: u64,
        /// Weight of a timely source vote.
        source_weight: u64,
        /// Weight of a timely target vote.
        target_weight: u64,
        /// Weight of a timely head vote.
        head_weight: u64,
        /// Weight of proposing.
        proposer_weight: u64,
        /// Sum that weights are parts of.
        weight_denominator: u64,
        /// Score for an epoch without target vote.
        inactivity_score_bias: u64,
        /// Score forgiven per epoch while finality is near.
        inactivity_score_recovery_rate: u64,
        /// Scale of inactivity penalties.
        inactivity_penalty_quotient: u64,
        /// Epochs without finality after which inactivity is punished.
        min_epochs_to_inactivity_penalty: u64,
        /// Part of the stake taken at once when slashed.
        min_slashing_penalty_quotient: u64,
        /// Part of the stake given to who reports.
        whistleblower_reward_quotient: u64,
        /// How much the penalty grows with others slashed at the same time.
        proportional_slashing_multiplier: u64,
        /// Least stake that may enter or leave per epoch.
        min_per_epoch_churn_limit: u64,
        /// Most stake that may be activated or exit per epoch.
        max_per_epoch_activation_exit_churn_limit: u64,
        /// Part of all stake that may move per epoch.
        churn_limit_quotient: u64,
        /// Most deposits applied per epoch.
        max_pending_deposits_per_epoch: u64,
        /// Epochs between exit and free stake.
        min_validator_withdrawability_delay: u64,
        /// Epochs a validator must have been active before it may leave.
        min_active_epochs_before_exit: u64,
        /// Percent of a slot's weight that a timely proposal gets on top.
        proposer_score_boost: u64,
        /// Percent of a slot's weight below which a late head may be orphaned.
        reorg_head_threshold: u64,
        /// Percent of a slot's weight its parent must have for that.
        reorg_parent_threshold: u64,
        /// Most epochs since finality for that.
        reorg_max_epochs_since_finalization: u64,
        /// Percent of Byzantine stake that fast confirmation tolerates.
        confirmation_byzantine_threshold: u64,
        /// When votes are due, in 1/10000 of the slot.
        attestation_due_bps: u64,
        /// Latest time for a re-organising proposal, in 1/10000 of the slot.
        proposer_reorg_cutoff_bps: u64,
        /// Most aggregated votes of a block.
        max_attestations: u64,
        /// Most attester slashings of a block.
        max_attester_slashings: u64,
        /// Most proposer slashings of a block.
        max_proposer_slashings: u64,
        /// Most exits of a block.
        max_voluntary_exits: u64,
        /// Most finality slashings of a block.
        max_finality_slashings: u64,
        /// Most validators of a slot.
        max_validators_per_slot: u64,
        /// Most validators ever registered.
        validator_registry_limit: u64,
        /// Most bytes of a transaction.
        max_tx_bytes: u64,
        /// Most bytes of a transaction that deploys code.
        max_deploy_tx_bytes: u64,
        /// Most transactions of a block.
        max_txs_per_block: u64,
        /// Most bytes of all transactions of a block.
        max_block_tx_bytes: u64,
        /// First value of the governed block gas limit.
        block_gas_limit: u64,
        /// Price of gas at genesis, nano per 1000.
        initial_base_fee: u64,
        /// First value of the governed lowest price of gas.
        min_base_fee: u64,
        /// Largest relative step of the price is one over this.
        base_fee_change_denominator: u64,
        /// Gas limit over gas target.
        elasticity: u64,
    }
}

impl Params {
    /// The main network's constants.
    #[must_use]
    pub fn mainnet() -> Self {
        Self {
            slot_ms: 12_000,
            slots_per_epoch: 32,
            shuffle_round_count: 90,
            min_seed_lookahead: 1,
            max_seed_lookahead: 4,
            epochs_per_historical_vector: 65_536,
            epochs_per_slashings_vector: 8192,
            slots_per_historical_root: 8192,
            effective_balance_increment: POS,
            min_activation_balance: 32 * POS,
            ejection_balance: 16 * POS,
            max_effective_balance: 2048 * POS,
            hysteresis_quotient: 4,
            hysteresis_downward: 1,
            hysteresis_upward: 5,
            base_reward_factor: 64,
            source_weight: 14,
            target_weight: 26,
            head_weight: 14,
            proposer_weight: 8,
            weight_denominator: 64,
            inactivity_score_bias: 4,
            inactivity_score_recovery_rate: 16,
            inactivity_penalty_quotient: 1 << 24,
            min_epochs_to_inactivity_penalty: 4,
            min_slashing_penalty_quotient: 4096,
            whistleblower_reward_quotient: 4096,
            proportional_slashing_multiplier: 3,
            min_per_epoch_churn_limit: 128 * POS,
            max_per_epoch_activation_exit_churn_limit: 256 * POS,
            churn_limit_quotient: 65_536,
            max_pending_deposits_per_epoch: 256,
            min_validator_withdrawability_delay: 4725,
            min_active_epochs_before_exit: 256,
            proposer_score_boost: 40,
            reorg_head_threshold: 20,
            reorg_parent_threshold: 160,
            reorg_max_epochs_since_finalization: 2,
            confirmation_byzantine_threshold: 25,
            attestation_due_bps: 3333,
            proposer_reorg_cutoff_bps: 1667,
            max_attestations: 64,
            max_attester_slashings: 1,
            max_proposer_slashings: 16,
            max_voluntary_exits: 16,
            max_finality_slashings: 1,
            max_validators_per_slot: 8192,
            validator_registry_limit: 1 << 18,
            max_tx_bytes: 65_536,
            max_deploy_tx_bytes: 131_072,
            max_txs_per_block: 131_072,
            max_block_tx_bytes: 24 << 20,
            block_gas_limit: 4_000_000_000,
            initial_base_fee: 1000,
            min_base_fee: 1000,
            base_fee_change_denominator: 8,
            elasticity: 2,
        }
    }

    /// Constants for tests and development networks.
    #[must_use]
    pub fn minimal() -> Self {
        Self {
            slot_ms: 6000,
            slots_per_epoch: 8,
            shuffle_round_count: 10,
            epochs_per_historical_vector: 64,
            epochs_per_slashings_vector: 64,
            slots_per_historical_root: 64,
            min_per_epoch_churn_limit: 64 * POS,
            max_per_epoch_activation_exit_churn_limit: 128 * POS,
            churn_limit_quotient: 32,
            max_pending_deposits_per_epoch: 16,
            min_validator_withdrawability_delay: 256,
            min_active_epochs_before_exit: 64,
            validator_registry_limit: 1 << 16,
            block_gas_limit: 2_000_000_000,
            initial_base_fee: 1,
            min_base_fee: 1,
            ..Self::mainnet()
        }
    }

    /// The epoch of a slot.
    #[must_use]
    pub const fn epoch_of(&self, slot: u64) -> u64 {
        slot / self.slots_per_epoch
    }

    /// The first slot of an epoch; saturates at the end of time.
    #[must_use]
    pub const fn start_slot(&self, epoch: u64) -> u64 {
        epoch.saturating_mul(self.slots_per_epoch)
    }

    /// First epoch at which a registry change decided in `epoch` has effect.
    #[must_use]
    pub const fn activation_exit_epoch(&self, epoch: u64) -> u64 {
        epoch.saturating_add(1).saturating_add(self.max_seed_lookahead)
    }
}

container! {
    /// The identity of a network: its constants after the genesis overrides, and what genesis adds.
    rooted struct Config {
        /// Constants.
        params: Params,
        /// Number that transactions are bound to.
        chain_id: u64,
        /// Fork version of genesis.
        genesis_fork_version: ForkVersion,
        /// Start of slot 0 in Unix seconds.
        genesis_time: u64,
    }
}

impl Config {
    /// SHA-256 of the encoding; peers with another value are refused.
    #[must_use]
    pub fn hash(&self) -> Root {
        Root(sha256(&encode(self)))
    }
}

/// Number of entries of [`GovernedParams`], used or not.
pub const GOVERNED_LEN: usize = 128;

/// Parameters that proposals may change, by key. Unused keys are 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GovernedParams(pub [u64; GOVERNED_LEN]);

/// Keys of [`GovernedParams`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Governed {
    /// Gas of a block.
    BlockGasLimit = 0,
    /// Lowest price of gas.
    MinBaseFee = 1,
    /// Gas of any transaction.
    GasTx = 2,
    /// Gas per signature.
    GasSignature = 3,
    /// Gas per byte.
    GasByte = 4,
    /// Gas per account touched.
    GasAccountWrite = 5,
    /// Gas per account created.
    GasAccountCreate = 6,
    /// Gas of a stake or governance action.
    GasStakeAction = 7,
    /// Gas of registering a validator.
    GasRegister = 8,
    /// Most stake activated or exiting per epoch.
    MaxChurn = 9,
    /// Highest commission in force.
    CommissionCapBps = 10,
    /// Deposit of a proposal.
    ProposalDeposit = 11,
    /// Epochs of voting.
    VoteEpochs = 12,
    /// Epochs between vote and effect.
    EnactEpochs = 13,
}

impl GovernedParams {
    /// The values at genesis.
    #[must_use]
    pub fn genesis(params: &Params) -> Self {
        let short = params.slots_per_epoch < 32;
        let first = [
            params.block_gas_limit,
            params.min_base_fee,
            5000,
            12_000,
            40,
            4000,
            100_000,
            50_000,
            2_000_000,
            params.max_per_epoch_activation_exit_churn_limit,
            10_000,
            1000 * POS,
            if short { 16 } else { 3150 },
            if short { 4 } else { 450 },
        ];
        let mut values = [0; GOVERNED_LEN];
        for (to, from) in values.iter_mut().zip(first) {
            *to = from;
        }
        Self(values)
    }

    /// The value of one parameter.
    #[must_use]
    pub const fn get(&self, key: Governed) -> u64 {
        self.0[key as usize] // the discriminant is the key
    }
}
