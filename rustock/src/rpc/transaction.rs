//! A transaction of a verified body as JSON. Mirrors `org/ethereum/rpc/dto/TransactionResultDTO.java` and the reading half
//! of `org/ethereum/core/Transaction.java`.

use ruint::aliases::U256;
use serde_json::{Value, json};
use shared_vendor::hex;

use super::{data, quantity, quantity_of};
use crate::{
    codec::{
        keccak::keccak256,
        rlp::{Encoder, Items, RlpError, encode_list},
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

/// Half the order of the curve: a signature whose `s` is not below is a copy of another one.
const HALF_ORDER: U256 = U256::from_limbs([
    0xdfe9_2f46_681b_20a0,
    0x5d57_6e73_57a4_501d,
    0xffff_ffff_ffff_ffff,
    0x7fff_ffff_ffff_ffff,
]);

/// What the pool needs to know of a signed transaction.
pub(super) struct Signed {
    pub(super) sender: [u8; 20],
    pub(super) nonce: U256,
    /// `None` where the signature holds on every chain.
    pub(super) chain_id: Option<u8>,
}

impl Signed {
    /// A transaction that somebody has signed; `None` for anything else, rewards of a block included.
    pub(super) fn read(raw: &[u8]) -> Option<Self> {
        let mut items = Items::of_list(raw).ok()?;
        for _ in 0..9 {
            items.string().ok()?;
        }
        items.finish().ok()?;
        let fields = Fields::of(raw).ok()?;
        let [v] = *fields.v else { return None };
        let numbers = [fields.nonce, fields.gas_price, fields.gas, fields.value, fields.r];
        numbers.iter().all(|number| number.len() <= 32).then_some(())?;
        matches!(fields.to.len(), 0 | 20).then_some(())?;
        (U256::try_from_be_slice(fields.s)? <= HALF_ORDER).then_some(())?;
        let chain_id = v.checked_sub(FIRST_V_WITH_CHAIN).map(|above| above / 2);
        Some(Self { sender: fields.sender(raw)?, nonce: U256::try_from_be_slice(fields.nonce)?, chain_id })
    }
}

/// Hash of an encoded transaction.
pub(super) fn hash(raw: &[u8]) -> Value {
    data(&keccak256(&[raw]))
}

/// The address of the contract that a transaction creates, if it creates one.
pub(super) fn created(raw: &[u8]) -> Option<[u8; 20]> {
    let fields = Fields::of(raw).ok().filter(|fields| fields.to.is_empty())?;
    let sender = fields.sender(raw)?;
    let list = encode_list(|list| {
        list.string(&sender).unsigned(fields.nonce);
    });
    keccak256(&[&list]).last_chunk().copied()
}

/// A waiting transaction as the reference's pool shows it.
pub(super) fn pooled(signed: &Signed, raw: &[u8]) -> Value {
    let Ok(fields) = Fields::of(raw) else { return Value::Null };
    let amount = |bytes: &[u8]| data(if bytes.is_empty() { &[0] } else { bytes });
    json!({
        "blockHash": data(&[0; 32]),
        "blockNumber": null,
        "transactionIndex": null,
        "from": data(&signed.sender),
        "gas": quantity_of(fields.gas),
        "gasPrice": amount(fields.gas_price),
        "hash": hash(raw),
        "input": data(fields.input),
        "nonce": quantity_of(fields.nonce),
        "to": data(fields.to),
        "value": amount(fields.value),
    })
}

/// The same in a line.
pub(super) fn summary(_: &Signed, raw: &[u8]) -> Value {
    let Ok(fields) = Fields::of(raw) else { return Value::Null };
    let number = |bytes: &[u8]| U256::try_from_be_slice(bytes).unwrap_or_default();
    let (value, gas, price) = (number(fields.value), number(fields.gas), number(fields.gas_price));
    json!(format!("{}: {value} wei + {gas} x {price} gas", hex::encode(fields.to)))
}

/// The object of a transaction, in a block or waiting; null where it cannot be read, which no block of the network holds.
pub(super) fn to_json(at: Option<(&Header, usize)>, raw: &[u8]) -> Value {
    let Ok(fields) = Fields::of(raw) else { return Value::Null };
    let v = fields.v.first().map_or_else(|| json!("0x0"), |v| json!(format!("{v:#04x}")));
    json!({
        "hash": hash(raw),
        "nonce": quantity_of(fields.nonce),
        "blockHash": at.map(|(header, _)| data(header.hash().as_bytes())),
        "blockNumber": at.map(|(header, _)| quantity(header.number().0)),
        "transactionIndex": at.map(|(_, index)| quantity(index)),
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
