//! The first state and block of a chain, from the network's constants and lists of accounts and validators.

use super::{
    Registration, State,
    app::{Account, Counters, MemoryStore, Overlay, Supply},
    transition::{epoch::resets, slot::Application, tx::is_proof_of_possession},
};
use crate::types::{
    block::{Body, SignedBlock},
    codec::encode,
    operation::{BlockHeader, Fork, SignedHeader},
    params::{Config, POS},
    primitives::{Address, Nano, PublicKey, Root, Signature},
    ssz::{TreeHash, sha256},
};
use std::collections::BTreeSet;

/// Most nano that may exist at genesis: keeps every sum of epoch processing in range.
pub const MAX_SUPPLY: u64 = 1 << 60;

/// A validator of the first set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenesisValidator {
    /// Its key.
    pub pubkey: PublicKey,
    /// Proof of possession by the owner for the amount.
    pub proof: Signature,
    /// Its stake, all the operator's own.
    pub amount: Nano,
    /// Operator, commission, cap and account for tips.
    pub registration: Registration,
}

/// What a chain starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Constants and identity.
    pub config: Config,
    /// Balances of accounts.
    pub accounts: Vec<(Address, Nano)>,
    /// Validators in order.
    pub validators: Vec<GenesisValidator>,
}

/// Why a genesis is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// An account is listed twice.
    #[error("account {0} is listed twice")]
    DuplicateAccount(Address),
    /// A validator key is listed twice.
    #[error("validator {0} is listed twice")]
    DuplicateValidator(PublicKey),
    /// More nano than allowed.
    #[error("more than 2^60 nano")]
    Supply,
    /// More validators than the registry holds.
    #[error("too many validators")]
    TooManyValidators,
    /// A proof of possession is bad.
    #[error("bad proof of possession of validator {0}")]
    Proof(PublicKey),
    /// Commission or cap of a validator is out of range.
    #[error("commission or cap of validator {0} is out of range")]
    Registration(PublicKey),
    /// No validator is active at the start.
    #[error("no validator has enough stake to start")]
    NobodyActive,
}

/// The start of a chain.
#[derive(Debug, Clone)]
pub struct Start {
    /// State after the genesis block.
    pub state: State,
    /// Application state.
    pub store: MemoryStore,
    /// The genesis block, which nobody signs.
    pub block: SignedBlock,
}

impl Genesis {
    /// Checks everything and builds the start of the chain.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn build(&self) -> Result<Start, GenesisError> {
        self.check()?;
        let params = &self.config.params;
        let mut state = State::empty(params);
        state.genesis_time = self.config.genesis_time;
        let version = self.config.genesis_fork_version;
        state.fork = Fork { previous: version, current: version, epoch: 0 };
        for entry in &self.validators {
            let increment = params.effective_balance_increment;
            let mut validator = entry.registration.validator(entry.pubkey, entry.amount, increment);
            if validator.effective_balance >= params.min_activation_balance {
                validator.activation_eligibility_epoch = 0;
                validator.activation_epoch = 0;
            }
            let mut pool = entry.registration.pool();
            pool.total_shares = entry.amount.into();
            pool.operator_shares = entry.amount.into();
            state.push_validator(&validator, entry.amount, pool);
        }
        if state.validators.active_indices(0).is_empty() {
            return Err(GenesisError::NobodyActive);
        }
        let limit = usize::try_from(params.validator_registry_limit).unwrap_or(usize::MAX);
        state.genesis_validators_root = Root(state.validators.root(limit));
        let seed = [encode(&self.config.hash()), encode(&state.genesis_validators_root)].concat();
        let mix = Root(sha256(&seed));
        state.randao_mixes = vec![mix; state.randao_mixes.len()].into();
        let proposers: Vec<_> =
            [0, 1].iter().flat_map(|epoch| resets::epoch_proposers(&state, params, *epoch)).collect();
        state.proposer_lookahead = proposers.into();
        let body = Body::default();
        state.latest_block_header =
            BlockHeader { body_root: Root(body.tree_root()), ..BlockHeader::default() };
        let (store, app_root) = self.application();
        let header =
            BlockHeader { state_root: state.combined_root(params, &app_root), ..state.latest_block_header };
        let header = SignedHeader { header, signature: Signature::ZERO };
        Ok(Start { state, store, block: SignedBlock { header, body } })
    }

    fn check(&self) -> Result<(), GenesisError> {
        let mut total = 0u64;
        let mut add = |amount: Nano| {
            total =
                total.checked_add(amount).filter(|total| *total <= MAX_SUPPLY).ok_or(GenesisError::Supply)?;
            Ok(())
        };
        let mut addresses = BTreeSet::new();
        for (address, balance) in &self.accounts {
            add(*balance)?;
            if !addresses.insert(address) {
                return Err(GenesisError::DuplicateAccount(*address));
            }
        }
        let limit = self.config.params.validator_registry_limit;
        if u64::try_from(self.validators.len()).is_ok_and(|count| count > limit) {
            return Err(GenesisError::TooManyValidators);
        }
        let mut pubkeys = BTreeSet::new();
        for entry in &self.validators {
            add(entry.amount)?;
            if !pubkeys.insert(entry.pubkey) {
                return Err(GenesisError::DuplicateValidator(entry.pubkey));
            }
            let Registration { commission_bps, max_commission_bps, effective_cap, owner, .. } =
                entry.registration;
            let cap_is_good = (32 * POS..=self.config.params.max_effective_balance).contains(&effective_cap)
                && effective_cap.is_multiple_of(POS);
            if commission_bps > max_commission_bps || max_commission_bps > 10_000 || !cap_is_good {
                return Err(GenesisError::Registration(entry.pubkey));
            }
            if !is_proof_of_possession(&self.config, &entry.pubkey, &owner, entry.amount, &entry.proof) {
                return Err(GenesisError::Proof(entry.pubkey));
            }
        }
        Ok(())
    }

    fn application(&self) -> (MemoryStore, Root) {
        let mut store = MemoryStore::default();
        let mut app = Overlay::new(&store);
        for (address, balance) in &self.accounts {
            app.put_account(address, &Account { balance: *balance, ..Account::default() });
        }
        for entry in &self.validators {
            app.put_registration(&entry.pubkey, &entry.registration);
        }
        app.put_supply(&Supply::default());
        let registrations = u64::try_from(self.validators.len()).unwrap_or(u64::MAX);
        app.put_counters(&Counters { registrations, ..Counters::default() });
        let root = app.root();
        let changes = app.into_changes();
        store.apply(changes);
        (store, root)
    }
}
