//! States from the vectors' columns and comparison with expected ones.

use crate::support::{array, int, ints, list};
use pos_node::{
    state::{PendingDeposit, Pool, State, registry::Validator},
    types::{
        operation::Checkpoint,
        params::Params,
        primitives::{Address, FAR_FUTURE, PublicKey},
        ssz::sha256,
    },
};
use serde_json::{Map, Value};
use shared_vendor::testing::vectors::Cases;

/// The owner of every validator of a vector.
pub const OWNER: Address = Address([0xaa; 32]);

/// The state that a vector describes by columns; what it leaves out is zero, or for ever.
pub fn build(pre: &Value, params: &Params, pubkeys: impl Fn(usize) -> PublicKey) -> State {
    let mut state = State::empty(params);
    state.slot = int(&pre["slot"]);
    let count = list(&pre["effective_balance"]).len();
    let column = |name: &str, at: usize, default: u64| pre.get(name).map_or(default, |all| int(&all[at]));
    let byte = |name: &str| pre.get(name).map(|all| ints(all).into_iter().map(small).collect::<Vec<u8>>());
    for at in 0..count {
        let validator = Validator {
            pubkey: pubkeys(at),
            owner: OWNER,
            effective_balance: int(&pre["effective_balance"][at]),
            slashed: flag(&pre["slashed"][at]),
            activation_eligibility_epoch: column("activation_eligibility_epoch", at, 0),
            activation_epoch: column("activation_epoch", at, 0),
            exit_epoch: column("exit_epoch", at, FAR_FUTURE),
            withdrawable_epoch: column("withdrawable_epoch", at, FAR_FUTURE),
            effective_cap: column("effective_cap", at, params.max_effective_balance),
        };
        let balance = int(&pre["balance"][at]);
        let pool = Pool {
            total_shares: balance.into(),
            operator_shares: balance.into(),
            max_commission_bps: 10_000,
            ..Pool::default()
        };
        state.push_validator(&validator, balance, pool);
    }
    if let Some(flags) = byte("previous_epoch_participation") {
        state.previous_epoch_participation = flags.into();
    }
    if let Some(flags) = byte("current_epoch_participation") {
        state.current_epoch_participation = flags.into();
    }
    if let Some(scores) = pre.get("inactivity_scores") {
        state.inactivity_scores = ints(scores).into();
    }
    if let Some(sums) = pre.get("slashings") {
        state.slashings = ints(sums).into();
    }
    let point = |name: &str| pre.get(name).map(checkpoint).unwrap_or_default();
    state.finality.previous_justified = point("previous_justified_checkpoint");
    state.finality.current_justified = point("current_justified_checkpoint");
    state.finality.finalized = point("finalized_checkpoint");
    if let Some(bits) = pre.get("justification_bits") {
        state.finality.bits = bits_of(bits);
    }
    let number = |name: &str| pre.get(name).map_or(0, int);
    state.earliest_exit_epoch = number("earliest_exit_epoch");
    state.exit_balance_to_consume = number("exit_balance_to_consume");
    state.deposit_balance_to_consume = number("deposit_balance_to_consume");
    let deposits = pre.get("pending_deposits").map(|all| list(all).to_vec()).unwrap_or_default();
    state.pending_deposits = deposits
        .iter()
        .map(|entry| PendingDeposit {
            pubkey: PublicKey(array(&entry["pubkey"])),
            delegator: OWNER,
            amount: int(&entry["amount"]),
            slot: int(&entry["slot"]),
        })
        .collect::<Vec<_>>()
        .into();
    state
}

/// A key for validators whose vector names none.
pub fn no_key(at: usize) -> PublicKey {
    let digest = sha256(&at.to_le_bytes());
    let mut bytes = [0; 48];
    bytes[..32].copy_from_slice(&digest);
    PublicKey(bytes)
}

/// Compares every column of `pre` and `post` with the state; what `post` leaves out must be as before.
pub fn compare(name: &str, state: &State, pre: &Value, post: &Value, out: &mut Cases) {
    let actual = columns(state);
    let mut wrong = Vec::new();
    for (field, before) in pre.as_object().expect("columns") {
        let expected = post.get(field).unwrap_or(before);
        let Some(found) = actual.get(field) else { continue };
        if !same(found, expected) {
            wrong.push(format!("{field}: actual {found} expected {expected}"));
        }
    }
    out.check(name, wrong.is_empty(), || wrong.join("; "));
}

fn columns(state: &State) -> Map<String, Value> {
    let registry = &state.validators;
    let deposits: Vec<_> = state
        .pending_deposits
        .iter()
        .map(|entry| {
            serde_json::json!({
                "pubkey": entry.pubkey.to_string(), "amount": entry.amount, "slot": entry.slot,
            })
        })
        .collect();
    let point = |checkpoint: &Checkpoint| serde_json::json!({ "epoch": checkpoint.epoch, "root": checkpoint.root.to_string() });
    let value = serde_json::json!({
        "slot": state.slot,
        "effective_balance": registry.effective_balance.iter().copied().collect::<Vec<_>>(),
        "balance": state.balances.iter().copied().collect::<Vec<_>>(),
        "slashed": registry.slashed.iter().map(|slashed| u8::from(*slashed)).collect::<Vec<_>>(),
        "activation_eligibility_epoch": registry.activation_eligibility_epoch.iter().copied().collect::<Vec<_>>(),
        "activation_epoch": registry.activation_epoch.iter().copied().collect::<Vec<_>>(),
        "exit_epoch": registry.exit_epoch.iter().copied().collect::<Vec<_>>(),
        "withdrawable_epoch": registry.withdrawable_epoch.iter().copied().collect::<Vec<_>>(),
        "effective_cap": registry.effective_cap.iter().copied().collect::<Vec<_>>(),
        "previous_epoch_participation": state.previous_epoch_participation.iter().copied().collect::<Vec<_>>(),
        "current_epoch_participation": state.current_epoch_participation.iter().copied().collect::<Vec<_>>(),
        "inactivity_scores": state.inactivity_scores.iter().copied().collect::<Vec<_>>(),
        "justification_bits": state.finality.bits.map(u8::from),
        "previous_justified_checkpoint": point(&state.finality.previous_justified),
        "current_justified_checkpoint": point(&state.finality.current_justified),
        "finalized_checkpoint": point(&state.finality.finalized),
        "slashings": state.slashings.iter().copied().collect::<Vec<_>>(),
        "earliest_exit_epoch": state.earliest_exit_epoch,
        "exit_balance_to_consume": state.exit_balance_to_consume,
        "deposit_balance_to_consume": state.deposit_balance_to_consume,
        "pending_deposits": deposits,
    });
    value.as_object().expect("an object").clone()
}

/// Equality up to the vectors' ways of writing the far future and flags.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Number(_), Value::Number(_)) => int(a) == int(b),
        (Value::Number(_), Value::Bool(set)) => int(a) == u64::from(*set),
        _ => a == b,
    }
}

pub fn checkpoint(value: &Value) -> Checkpoint {
    crate::functions::checkpoint(value)
}

pub fn bits_of(value: &Value) -> [bool; 4] {
    let bits: Vec<bool> = list(value).iter().map(flag).collect();
    bits.try_into().expect("four bits")
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| int(value) != 0)
}

fn small(number: u64) -> u8 {
    u8::try_from(number).expect("a byte")
}
