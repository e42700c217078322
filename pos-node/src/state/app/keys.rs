//! Keys of the application state: a namespace byte, then what it is of. Integers in keys are big-endian, so that keys
//! of one validator are neighbours.

use crate::types::primitives::{Address, PublicKey, ValidatorIndex};

const ACCOUNT: u8 = 0;
const DELEGATION: u8 = 3;
const SUPPLY: u8 = 6;
const REGISTRATION: u8 = 7;
const COUNTERS: u8 = 8;

/// An account.
#[must_use]
pub fn account(address: &Address) -> Vec<u8> {
    [&[ACCOUNT], address.0.as_slice()].concat()
}

/// A delegator's shares of a pool, unless it is the operator.
#[must_use]
pub fn delegation(validator: ValidatorIndex, delegator: &Address) -> Vec<u8> {
    [&[DELEGATION], validator.to_be_bytes().as_slice(), &delegator.0].concat()
}

/// The supply.
#[must_use]
pub fn supply() -> Vec<u8> {
    vec![SUPPLY]
}

/// The registration of a validator key.
#[must_use]
pub fn registration(pubkey: &PublicKey) -> Vec<u8> {
    [&[REGISTRATION], pubkey.0.as_slice()].concat()
}

/// The running numbers.
#[must_use]
pub fn counters() -> Vec<u8> {
    vec![COUNTERS]
}
