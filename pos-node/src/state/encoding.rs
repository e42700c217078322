//! The whole consensus state as bytes: for the database and for peers that start from a checkpoint. The layout is that
//! of `types::codec` with the fields in the order of the state root.

use super::{Finality, State, column::Column, registry::Registry, registry::Validator};
use crate::types::{
    codec::{DecodeError, Result, Wire, decode, encode, put_len},
    params::{GOVERNED_LEN, GovernedParams},
};
use shared_vendor::bytes::{Reader, Writer};

/// Most items of any array of the state.
const MAX_ITEMS: usize = 1 << 27;

impl<T: Wire + Clone> Wire for Column<T> {
    const MIN_BYTES: usize = 8;

    fn put(&self, out: &mut Writer) {
        put_len(self.len(), out);
        for item in self.iter() {
            item.put(out);
        }
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        let claimed = input.u64_le()?;
        let count = input.count(claimed, MAX_ITEMS, T::MIN_BYTES)?;
        let items: Vec<T> = (0..count).map(|_| T::take(input)).collect::<Result<_>>()?;
        Ok(items.into())
    }
}

impl Wire for Validator {
    const MIN_BYTES: usize = 48 + 32 + 8 + 1 + 5 * 8;

    fn put(&self, out: &mut Writer) {
        self.pubkey.put(out);
        self.owner.put(out);
        self.effective_balance.put(out);
        self.slashed.put(out);
        self.activation_eligibility_epoch.put(out);
        self.activation_epoch.put(out);
        self.exit_epoch.put(out);
        self.withdrawable_epoch.put(out);
        self.effective_cap.put(out);
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        Ok(Self {
            pubkey: Wire::take(input)?,
            owner: Wire::take(input)?,
            effective_balance: Wire::take(input)?,
            slashed: Wire::take(input)?,
            activation_eligibility_epoch: Wire::take(input)?,
            activation_epoch: Wire::take(input)?,
            exit_epoch: Wire::take(input)?,
            withdrawable_epoch: Wire::take(input)?,
            effective_cap: Wire::take(input)?,
        })
    }
}

impl Wire for Registry {
    const MIN_BYTES: usize = 8;

    fn put(&self, out: &mut Writer) {
        put_len(self.len(), out);
        for validator in self.iter() {
            validator.put(out);
        }
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        let claimed = input.u64_le()?;
        let mut registry = Self::default();
        for _ in 0..input.count(claimed, MAX_ITEMS, Validator::MIN_BYTES)? {
            let validator = Validator::take(input)?;
            if registry.index_of(&validator.pubkey).is_some() {
                return Err(DecodeError::Order("validator keys"));
            }
            registry.push(&validator);
        }
        Ok(registry)
    }
}

impl Wire for Finality {
    const MIN_BYTES: usize = 4 + 3 * 40;

    fn put(&self, out: &mut Writer) {
        for bit in self.bits {
            bit.put(out);
        }
        self.previous_justified.put(out);
        self.current_justified.put(out);
        self.finalized.put(out);
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        let mut bits = [false; 4];
        for bit in &mut bits {
            *bit = bool::take(input)?;
        }
        Ok(Self {
            bits,
            previous_justified: Wire::take(input)?,
            current_justified: Wire::take(input)?,
            finalized: Wire::take(input)?,
        })
    }
}

impl Wire for GovernedParams {
    const MIN_BYTES: usize = 8 * GOVERNED_LEN;

    fn put(&self, out: &mut Writer) {
        for value in &self.0 {
            value.put(out);
        }
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        let mut values = [0; GOVERNED_LEN];
        for value in &mut values {
            *value = u64::take(input)?;
        }
        Ok(Self(values))
    }
}

/// Both directions of the state's layout from one list of fields.
macro_rules! state_fields {
    ($($field:ident),* $(,)?) => {
        impl Wire for State {
            const MIN_BYTES: usize = 0;

            fn put(&self, out: &mut Writer) {
                $(self.$field.put(out);)*
            }

            fn take(input: &mut Reader<'_>) -> Result<Self> {
                Ok(Self { $($field: Wire::take(input)?,)* })
            }
        }
    };
}
state_fields!(
    genesis_time,
    genesis_validators_root,
    slot,
    fork,
    latest_block_header,
    block_roots,
    state_roots,
    validators,
    balances,
    randao_mixes,
    slashings,
    previous_epoch_participation,
    current_epoch_participation,
    finality,
    inactivity_scores,
    deposit_balance_to_consume,
    exit_balance_to_consume,
    earliest_exit_epoch,
    pending_deposits,
    unbondings,
    proposer_lookahead,
    pools,
    reward_accum,
    params,
    next_base_fee,
);

impl State {
    /// Whether the arrays that go together have the same length, and the rings that of the constants: what an encoded
    /// state must satisfy besides its root before it is used.
    #[must_use]
    pub fn is_well_formed(&self, params: &crate::types::params::Params) -> bool {
        let validators = self.validators.len();
        let ring = |len: usize, wanted: u64| u64::try_from(len).is_ok_and(|len| len == wanted);
        [
            self.balances.len(),
            self.previous_epoch_participation.len(),
            self.current_epoch_participation.len(),
            self.inactivity_scores.len(),
            self.pools.len(),
            self.reward_accum.len(),
        ]
        .iter()
        .all(|len| *len == validators)
            && ring(self.block_roots.len(), params.slots_per_historical_root)
            && ring(self.state_roots.len(), params.slots_per_historical_root)
            && ring(self.randao_mixes.len(), params.epochs_per_historical_vector)
            && ring(self.slashings.len(), params.epochs_per_slashings_vector)
            && ring(self.proposer_lookahead.len(), params.slots_per_epoch.saturating_mul(2))
    }
}

/// A piece of the state: number of the field, number of the piece, bytes.
pub type Row = (u32, u32, Vec<u8>);

/// Pieces of a state that differ from those of `before`.
#[must_use]
pub fn rows(state: &State, _before: Option<&State>) -> Vec<Row> {
    vec![(0, 0, encode(state))]
}

/// A state from all its pieces.
///
/// # Errors
/// They are not those of a state.
pub fn from_rows(rows: &[Row]) -> Result<State> {
    match rows {
        [(0, 0, bytes)] => decode(bytes, usize::MAX),
        _ => Err(DecodeError::Order("pieces of the state")),
    }
}
