//! Requests to oracles and their answers. Mirrors `OracleContract.cs` and `OracleRequest.cs`.

use neo_base::{
    Int, UInt160, UInt256,
    ledger::{Attribute, Block, Transaction},
};
use neo_crypto::hash::hash160;
use neo_vm::{Result, StackItem};

use super::{
    ContractId, Vm, management, require_committee,
    role::{self, Role},
    rows::{self, Fields, Read, account_of},
    token::Token,
};
use crate::{
    binary,
    engine::{
        Application, Container, EngineError, PICO, Store, call_from_native, calling_script, charge,
        invocation_count, send_notification,
    },
};

const MAX_URL: usize = 256;
const MAX_FILTER: usize = 128;
const MAX_CALLBACK: usize = 32;
const MAX_USER_DATA: usize = 512;
const MIN_GAS_FOR_RESPONSE: i64 = 10_000_000;
/// Most requests for one address that wait.
const MAX_PENDING: usize = 256;

const PRICE: u8 = 5;
const ID_LIST: u8 = 6;
const REQUEST: u8 = 7;
const REQUEST_ID: u8 = 9;

/// A request that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The transaction that asked.
    pub transaction: UInt256,
    /// GAS that the answer may cost, in datoshi.
    pub gas: i64,
    /// What is asked for.
    pub url: String,
    /// Which part of it.
    pub filter: Option<String>,
    /// The contract that is told.
    pub contract: UInt160,
    /// Its method.
    pub method: String,
    /// A serialised item that is handed on.
    pub user_data: Vec<u8>,
}

fn key(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    rows::key(ContractId::ORACLE, prefix, parts)
}

/// The first state.
pub(super) fn initialise<S: Store>(host: &mut Application<S>) {
    host.write(key(REQUEST_ID, &[]), Some(Vec::new().into()));
    host.write(key(PRICE, &[]), Some(Int::from(50_000_000).to_bytes().into()));
}

/// Price of a request, in datoshi.
///
/// # Errors
/// The store fails.
pub fn price<S: Store + ?Sized>(store: &S) -> Read<Int> {
    rows::number(store, &key(PRICE, &[]))
}

/// A request that waits.
///
/// # Errors
/// The store fails.
pub fn request<S: Store + ?Sized>(store: &S, id: u64) -> Read<Option<Request>> {
    let Some(fields) = rows::list(store, &key(REQUEST, &[&id.to_be_bytes()]))? else { return Ok(None) };
    let damaged = || EngineError::State("an oracle request");
    let text = |index| String::from_utf8(fields.raw(index)?.to_vec()).map_err(|_| damaged());
    Ok(Some(Request {
        transaction: UInt256::from_slice(&fields.raw(0)?).ok_or_else(damaged)?,
        gas: fields.int(1)?.to_i64().ok_or_else(damaged)?,
        url: text(2)?,
        filter: if fields.is_null(3) { None } else { Some(text(3)?) },
        contract: UInt160::from_slice(&fields.raw(4)?).ok_or_else(damaged)?,
        method: text(5)?,
        user_data: fields.raw(6)?.to_vec(),
    }))
}

pub(super) fn set_price<S: Store>(engine: &mut Vm<S>, price: i64) -> Result<()> {
    if price <= 0 {
        return Err(EngineError::Argument("the price must be positive").into());
    }
    require_committee(engine)?;
    engine.host.write(key(PRICE, &[]), Some(Int::from(price).to_bytes().into()));
    Ok(())
}

/// The answer of a transaction: id, code and result.
fn response(transaction: &Transaction) -> Option<(u64, u8, &[u8])> {
    transaction.body().attributes.iter().find_map(|attribute| match attribute {
        Attribute::OracleResponse { id, code, result } => Some((*id, code.to_byte(), result.as_slice())),
        _ => None,
    })
}

pub(super) fn verify<S: Store>(engine: &Vm<S>) -> bool {
    match &engine.host.environment().container {
        Some(Container::Transaction(transaction)) => response(transaction).is_some(),
        _ => false,
    }
}

/// Hands an answer to the contract that asked.
pub(super) fn finish<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    if engine.contexts().len() != 2 || invocation_count(engine) != 1 {
        return Err(EngineError::Misplaced("answers come in transactions of their own").into());
    }
    let Some(Container::Transaction(transaction)) = engine.host.environment().container.clone() else {
        return Err(EngineError::Misplaced("no transaction").into());
    };
    let (id, code, result) = response(&transaction).ok_or(EngineError::Misplaced("no answer"))?;
    let request = request(&engine.host, id)?.ok_or(EngineError::Argument("no such request"))?;
    let fields = vec![StackItem::int(id), StackItem::bytes(request.transaction.0)];
    notify(engine, "OracleResponse", fields)?;
    let data = binary::deserialize(&mut engine.heap, &request.user_data)
        .map_err(|_| EngineError::State("data of an oracle request"))?;
    let arguments = vec![
        StackItem::bytes(request.url.into_bytes()),
        data,
        StackItem::int(code),
        StackItem::bytes(result),
    ];
    let own = super::hash_of(ContractId::ORACLE);
    call_from_native(engine, own, &request.contract, &request.method, false, arguments)
}

fn notify<S: Store>(engine: &mut Vm<S>, name: &str, fields: Vec<StackItem>) -> Result<()> {
    let state = engine.heap.new_array(fields);
    send_notification(engine, super::hash_of(ContractId::ORACLE), name.to_owned(), &state)
}

/// What a contract asks.
pub(super) struct Question {
    pub(super) url: String,
    pub(super) filter: Option<String>,
    pub(super) callback: String,
    pub(super) data: StackItem,
    pub(super) gas: i64,
}

pub(super) fn ask<S: Store>(engine: &mut Vm<S>, question: &Question) -> Result<()> {
    let Question { url, filter, callback, data, gas } = question;
    let filter_size = filter.as_ref().map_or(0, String::len);
    if url.len() > MAX_URL || filter_size > MAX_FILTER || callback.len() > MAX_CALLBACK {
        return Err(EngineError::Argument("address, filter or callback is too long").into());
    }
    if callback.starts_with('_') || *gas < MIN_GAS_FOR_RESPONSE {
        return Err(EngineError::Argument("no such callback, or too little GAS").into());
    }
    let price = price(&engine.host)?.to_u64().ok_or(EngineError::State("price of a request"))?;
    charge(engine, u128::from(price).saturating_mul(PICO))?;
    charge(engine, u128::from(gas.unsigned_abs()).saturating_mul(PICO))?;
    let own = super::hash_of(ContractId::ORACLE);
    Token::Gas.mint(engine, &own, &Int::from(*gas), false)?;
    let next = rows::number(&engine.host, &key(REQUEST_ID, &[]))?;
    let id = next.to_u64().ok_or(EngineError::State("number of a request"))?;
    engine.host.write(key(REQUEST_ID, &[]), Some(next.add(&Int::from(1)).to_bytes().into()));
    let caller = calling_script(engine).ok_or(EngineError::Misplaced("nobody calls"))?;
    if !management::is_contract(&engine.host, &caller)? {
        return Err(EngineError::Argument("only contracts ask").into());
    }
    let transaction = original_transaction(engine)?;
    let data = binary::serialize_limited(&engine.heap, data, MAX_USER_DATA)
        .map_err(|_| EngineError::Argument("the data is too large or has no serialised form"))?;
    let text = |text: &String| StackItem::bytes(text.as_bytes());
    let filter = filter.as_ref().map_or(StackItem::Null, text);
    let fields = [
        StackItem::bytes(transaction.0),
        StackItem::int(*gas),
        text(url),
        filter.clone(),
        StackItem::bytes(caller.0),
        text(callback),
        StackItem::bytes(data),
    ];
    engine.host.write(key(REQUEST, &[&id.to_be_bytes()]), Some(rows::encode_array(&fields)));
    let row = key(ID_LIST, &[&hash160(url.as_bytes())]);
    let mut waiting = rows::list(&engine.host, &row)?.unwrap_or_default();
    if waiting.len() >= MAX_PENDING {
        return Err(EngineError::Argument("too many requests for this address").into());
    }
    waiting.push(StackItem::int(id));
    engine.host.write(row, Some(rows::encode_array(&waiting)));
    notify(engine, "OracleRequest", vec![StackItem::int(id), StackItem::bytes(caller.0), text(url), filter])
}

fn original_transaction<S: Store>(engine: &Vm<S>) -> Result<UInt256> {
    let Some(Container::Transaction(transaction)) = &engine.host.environment().container else {
        return Err(EngineError::Misplaced("no transaction").into());
    };
    match response(transaction) {
        None => Ok(transaction.hash()),
        Some((id, ..)) => {
            let asked = request(&engine.host, id)?.ok_or(EngineError::State("no such request"))?;
            Ok(asked.transaction)
        }
    }
}

/// Forgets the requests that the block has answered, and pays the nodes.
pub(super) fn post_persist<S: Store>(engine: &mut Vm<S>, block: &Block) -> Result<()> {
    let mut nodes: Option<Vec<(UInt160, Int)>> = None;
    for transaction in &block.transactions {
        let Some((id, ..)) = response(transaction) else { continue };
        let Some(asked) = request(&engine.host, id)? else { continue };
        engine.host.write(key(REQUEST, &[&id.to_be_bytes()]), None);
        let row = key(ID_LIST, &[&hash160(asked.url.as_bytes())]);
        let mut waiting = rows::list(&engine.host, &row)?.unwrap_or_default();
        let place = waiting.iter().position(|item| item.to_int().is_ok_and(|other| other == Int::from(id)));
        waiting.remove(place.ok_or(EngineError::State("a request is not in its list"))?);
        let left = (!waiting.is_empty()).then(|| rows::encode_array(&waiting));
        engine.host.write(row, left);
        let nodes = match &mut nodes {
            Some(nodes) => nodes,
            None => {
                let keys = role::designated(&engine.host, Role::Oracle, block.header.body().index)?;
                let accounts = keys.iter().map(|key| (account_of(key), Int::default()));
                nodes.insert(accounts.collect())
            }
        };
        let turn = u64::try_from(nodes.len()).ok().and_then(|count| id.checked_rem(count));
        if let Some((_, sum)) = turn.and_then(|turn| nodes.get_mut(usize::try_from(turn).ok()?)) {
            *sum = sum.add(&price(&engine.host)?);
        }
    }
    for (account, sum) in nodes.into_iter().flatten() {
        Token::Gas.mint(engine, &account, &sum, false)?;
    }
    Ok(())
}
