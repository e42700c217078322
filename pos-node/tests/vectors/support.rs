//! Readers of the vectors' JSON conventions.

use pos_node::types::primitives::{FAR_FUTURE, Root};
use serde_json::Value;

pub fn bytes(value: &Value) -> Vec<u8> {
    shared_vendor::hex::decode(value.as_str().expect("hex text")).expect("hex")
}

pub fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().expect("length")
}

pub fn root(value: &Value) -> Root {
    Root(array(value))
}

/// An integer; -1 stands for the far future.
pub fn int(value: &Value) -> u64 {
    value.as_u64().or_else(|| (value.as_i64() == Some(-1)).then_some(FAR_FUTURE)).expect("integer")
}

pub fn ints(value: &Value) -> Vec<u64> {
    value.as_array().expect("list").iter().map(int).collect()
}

pub fn usize_of(value: &Value) -> usize {
    usize::try_from(int(value)).expect("small")
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().expect("list")
}

/// The cases of a file: a bare list, or the list under `cases`.
pub fn cases(json: &Value) -> &[Value] {
    list(json.get("cases").unwrap_or(json))
}

/// Bits of an SSZ bit list: everything below the highest set bit.
pub fn ssz_bits(value: &Value) -> Vec<bool> {
    let bytes = bytes(value);
    let mut bits: Vec<bool> =
        bytes.iter().flat_map(|byte| (0..8).map(move |at| byte >> at & 1 == 1)).collect();
    while bits.pop() == Some(false) {}
    bits
}
