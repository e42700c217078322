//! A transaction of a verified body as JSON. Mirrors `org/ethereum/rpc/dto/TransactionResultDTO.java` and the reading half
//! of `org/ethereum/core/Transaction.java`.

use serde_json::{Value, json};

use super::{data, quantity, quantity_of};
use crate::{
    codec::{
        keccak::keccak256,
        rlp::{Encoder, Items, RlpError},
    },
    rlpx::recover,
    types::Header,
};

/// The contract that distributes rewards; its transaction is the last of each block and not signed.
const REMASC: [u8; 20] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 8];
/// Signatures over a chain's id have a `v` from here on: twice the id more, and the parity.
const FIRST_V_WITH_CHAIN: u8 = 35;
const FIRST_V: u8 = 27;

struct Fields<'a> {
    nonce: &'a [u8],
    gas_price: &'a [u8],
    gas: &'a [u8],
    to: &'a [u8],
    value: &'a [u8],
    input: &'a [u8],
    v: &'a [u8],
    r: &'a [u8],
    s: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(raw: &'a [u8]) -> Result<Self, RlpError> {
        let mut items = Items::of_list(raw)?;
        Ok(Self {
            nonce: items.string()?,
            gas_price: items.string()?,
            gas: items.string()?,
            to: items.string()?,
            value: items.string()?,
            input: items.string()?,
            v: items.string()?,
            r: items.string()?,
            s: items.string()?,
        })
    }

    fn sender(&self, raw: &[u8]) -> Option<[u8; 20]> {
        if self.v.is_empty() && self.to == REMASC {
            return Some([0; 20]);
        }
        let [v] = *self.v else { return None };
        let (chain, parity) = match v.checked_sub(FIRST_V_WITH_CHAIN) {
            Some(above) => (Some(above / 2), above % 2),
            None => (None, v.checked_sub(FIRST_V).filter(|parity| *parity < 2)?),
        };
        let mut items = Items::of_list(raw).ok()?;
        let mut unsigned = Encoder::new();
        for _ in 0..6 {
            unsigned.raw(items.raw().ok()?);
        }
        if let Some(chain) = chain {
            unsigned.u64(chain.into()).string(&[]).string(&[]);
        }
        let mut list = Encoder::new();
        list.list_of(unsigned.as_slice());
        let mut signature = [0; 65];
        for (part, place) in [(self.r, 0_usize), (self.s, 32)] {
            let start = place.checked_add(32)?.checked_sub(part.len())?;
            signature.get_mut(start..start.checked_add(part.len())?)?.copy_from_slice(part);
            (start >= place).then_some(())?;
        }
        *signature.last_mut()? = parity;
        let key = recover(&signature, keccak256(&[list.as_slice()])).ok()?;
        keccak256(&[&key.0]).last_chunk().copied()
    }
}

/// Hash of an encoded transaction.
pub(super) fn hash(raw: &[u8]) -> Value {
    data(&keccak256(&[raw]))
}

/// The object of a transaction; null where it cannot be read, which no block of the network holds.
pub(super) fn to_json(header: &Header, index: usize, raw: &[u8]) -> Value {
    let Ok(fields) = Fields::of(raw) else { return Value::Null };
    let v = fields.v.first().map_or_else(|| json!("0x0"), |v| json!(format!("{v:#04x}")));
    json!({
        "hash": hash(raw),
        "nonce": quantity_of(fields.nonce),
        "blockHash": data(header.hash().as_bytes()),
        "blockNumber": quantity(header.number().0),
        "transactionIndex": quantity(index),
        "from": fields.sender(raw).map(|sender| data(&sender)),
        "to": if fields.to.is_empty() { Value::Null } else { data(fields.to) },
        "gas": quantity_of(fields.gas),
        "gasPrice": quantity_of(fields.gas_price),
        "value": quantity_of(fields.value),
        "input": data(fields.input),
        "v": v,
        "r": quantity_of(fields.r),
        "s": quantity_of(fields.s),
        "type": "0x0",
    })
}
