//! The whole consensus state as bytes: for the database and for peers that start from a checkpoint. The layout is that
//! of `types::codec` with the fields in the order of the state root.

use super::{Finality, State, column::Column, registry::Registry, registry::Validator};
use crate::types::{
    codec::{DecodeError, Result, Wire, decode, encode, put_len},
    params::{GOVERNED_LEN, GovernedParams},
    ssz::TreeHash,
};
use shared_vendor::bytes::{Reader, Writer};

/// Most items of any array of the state.
const MAX_ITEMS: usize = 1 << 27;

impl<T: Wire + TreeHash + Clone> Wire for Column<T> {
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

/// A piece of the state: number of the field, number of the piece, bytes. Field 0 is everything that is no array; a
/// piece without bytes does not exist.
pub type Row = (u32, u32, Vec<u8>);

/// One array of the state, whatever its items are.
trait Field {
    fn rows(&self, part: u32, before: Option<&Self>, rows: &mut Vec<Row>);
    fn extend(&mut self, bytes: &[u8]) -> Result<()>;
}

impl<T: Wire + TreeHash + Clone> Field for Column<T> {
    fn rows(&self, part: u32, before: Option<&Self>, rows: &mut Vec<Row>) {
        for (at, items) in self.pieces().enumerate() {
            if before.is_some_and(|before| self.shares_piece(before, at)) {
                continue;
            }
            let mut out = Writer::new();
            for item in items {
                item.put(&mut out);
            }
            rows.push((part, piece_number(at), out.into_vec()));
        }
        let held = self.pieces().count();
        let more = before.map_or(0, |before| before.pieces().count());
        rows.extend((held..more).map(|at| (part, piece_number(at), Vec::new())));
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<()> {
        let mut input = Reader::new(bytes);
        while input.left() > 0 {
            self.push(T::take(&mut input)?);
        }
        Ok(())
    }
}

fn piece_number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Every array of a state, in the order of their numbers, which start at 1.
macro_rules! arrays {
    ($state:expr, $visit:ident) => {{
        let state = $state;
        $visit!(state, 1, validators.pubkey);
        $visit!(state, 2, validators.owner);
        $visit!(state, 3, validators.effective_balance);
        $visit!(state, 4, validators.slashed);
        $visit!(state, 5, validators.activation_eligibility_epoch);
        $visit!(state, 6, validators.activation_epoch);
        $visit!(state, 7, validators.exit_epoch);
        $visit!(state, 8, validators.withdrawable_epoch);
        $visit!(state, 9, validators.effective_cap);
        $visit!(state, 10, block_roots);
        $visit!(state, 11, state_roots);
        $visit!(state, 12, balances);
        $visit!(state, 13, randao_mixes);
        $visit!(state, 14, slashings);
        $visit!(state, 15, previous_epoch_participation);
        $visit!(state, 16, current_epoch_participation);
        $visit!(state, 17, inactivity_scores);
        $visit!(state, 18, pending_deposits);
        $visit!(state, 19, unbondings);
        $visit!(state, 20, proposer_lookahead);
        $visit!(state, 21, pools);
        $visit!(state, 22, reward_accum);
    }};
}

/// Pieces of a state that do not share their memory with those of `before`.
#[must_use]
pub fn rows(state: &State, before: Option<&State>) -> Vec<Row> {
    let mut rest = state.clone();
    macro_rules! clear {
        ($state:ident, $part:literal, $($field:ident).+) => {
            $state.$($field).+ = Column::default()
        };
    }
    arrays!(&mut rest, clear);
    rest.validators = Registry::default();
    let mut rows = vec![(0, 0, encode(&rest))];
    macro_rules! add {
        ($state:ident, $part:literal, $($field:ident).+) => {
            $state.$($field).+.rows($part, before.map(|before| &before.$($field).+), &mut rows)
        };
    }
    arrays!(state, add);
    rows
}

/// A state from all its pieces, in order.
///
/// # Errors
/// They are not those of a state.
pub fn from_rows(rows: &[Row]) -> Result<State> {
    let Some(((0, 0, rest), rows)) = rows.split_first() else {
        return Err(DecodeError::Order("pieces of the state"));
    };
    let mut state: State = decode(rest, usize::MAX)?;
    let mut next = (0, 0);
    for (part, piece, bytes) in rows {
        if (*part, *piece) != next && (*piece != 0 || *part <= next.0) && next != (0, 0) {
            return Err(DecodeError::Order("pieces of the state"));
        }
        macro_rules! extend {
            ($state:ident, $part:literal, $($field:ident).+) => {
                if *part == $part {
                    $state.$($field).+.extend(bytes)?;
                }
            };
        }
        arrays!(&mut state, extend);
        next = (*part, piece.saturating_add(1));
    }
    state.validators.index_keys();
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        state::registry::Validator,
        types::{
            params::Params,
            primitives::{Address, FAR_FUTURE, PublicKey},
        },
    };
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn validator(seed: u16) -> Validator {
        let mut key = [0; 48];
        key[..2].copy_from_slice(&seed.to_le_bytes());
        Validator {
            pubkey: PublicKey(key),
            owner: Address([1; 32]),
            effective_balance: seed.into(),
            slashed: false,
            activation_eligibility_epoch: 0,
            activation_epoch: 0,
            exit_epoch: FAR_FUTURE,
            withdrawable_epoch: FAR_FUTURE,
            effective_cap: 9,
        }
    }

    fn state(validators: u16) -> State {
        let mut state = State::empty(&Params::minimal());
        for seed in 0..validators {
            state.push_validator(&validator(seed), seed.into(), super::super::Pool::default());
        }
        state
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pieces_that_differ_lead_from_one_state_to_the_next(
            validators in 1u16..400,
            steps in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 1..12),
        ) {
            let mut current = state(validators);
            let mut kept: BTreeMap<(u32, u32), Vec<u8>> = BTreeMap::new();
            let mut before: Option<State> = None;
            for (at, value, grow) in steps {
                for (part, piece, bytes) in rows(&current, before.as_ref()) {
                    if bytes.is_empty() { kept.remove(&(part, piece)); } else { kept.insert((part, piece), bytes); }
                }
                let all: Vec<Row> = kept.iter().map(|((part, piece), bytes)| (*part, *piece, bytes.clone())).collect();
                prop_assert_eq!(from_rows(&all).expect("a state"), current.clone());
                before = Some(current.clone());
                let index = at % u64::from(validators);
                *current.balances.at_mut(index).expect("in range") = value;
                *current.validators.exit_epoch.at_mut(index).expect("in range") = value;
                *current.randao_mixes.at_mut(at % 64).expect("in range") = crate::types::primitives::Root([7; 32]);
                current.slot += 1;
                if grow {
                    let fresh = u16::try_from(current.validators.len()).expect("few");
                    current.push_validator(&validator(fresh), value, super::super::Pool::default());
                    current.unbondings = vec![
                        super::super::Unbonding {
                            validator: 1,
                            delegator: Address([2; 32]),
                            shares: 3,
                            release_epoch: 4,
                            redelegate_to: 5,
                        };
                        usize::try_from(value % 200).expect("small")
                    ]
                    .into();
                }
                let params = Params::minimal();
                let plain: State = decode(&encode(&current), usize::MAX).expect("its own encoding");
                prop_assert_eq!(plain.consensus_root(&params), current.consensus_root(&params), "kept roots are right");
                prop_assert!(current.is_well_formed(&params));
            }
        }
    }
}
