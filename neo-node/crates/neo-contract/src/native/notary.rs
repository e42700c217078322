//! Deposits that pay for transactions whose signatures notary nodes collect. Mirrors `Notary.cs`.

use neo_base::{
    Int, UInt160,
    ledger::{Attribute, Block, Scopes, Transaction, sign_data},
};
use neo_vm::{Result, StackItem};

use super::{
    ContractId, Step, Vm, ledger, policy, require_committee,
    role::{self, Role},
    rows::{self, Fields, Key, Read, account_of},
    token::Token,
};
use crate::engine::{
    Application, Container, EngineError, Store, call_from_native, calling_script, has_agreed,
};

const DEPOSIT: u8 = 1;
const MAX_DELTA: u8 = 10;

/// Default of the largest difference of heights between a transaction and its fallback.
const DEFAULT_MAX_DELTA: u32 = 140;

/// How long a deposit is locked that somebody else makes.
const DEFAULT_LOCK: u32 = 5760;

/// A deposit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// GAS in datoshi.
    pub amount: Int,
    /// Height from which it can be withdrawn.
    pub till: u32,
}

fn key(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    rows::key(ContractId::NOTARY, prefix, parts)
}

fn own_hash() -> UInt160 {
    super::hash_of(ContractId::NOTARY)
}

/// The first state.
pub(super) fn initialise<S: Store>(host: &mut Application<S>) {
    host.write(key(MAX_DELTA, &[]), Some(Int::from(DEFAULT_MAX_DELTA).to_bytes().into()));
}

/// The deposit of an account.
///
/// # Errors
/// The store fails.
pub fn deposit<S: Store + ?Sized>(store: &S, account: &UInt160) -> Read<Option<Deposit>> {
    let Some(fields) = rows::list(store, &key(DEPOSIT, &[&account.0]))? else { return Ok(None) };
    let till = fields.int(1)?.to_u64().and_then(|till| u32::try_from(till).ok());
    Ok(Some(Deposit { amount: fields.int(0)?, till: till.ok_or(EngineError::State("deposit"))? }))
}

fn put<S: Store>(host: &mut Application<S>, account: &UInt160, deposit: &Deposit) {
    let fields = [StackItem::Integer(deposit.amount.clone()), StackItem::int(deposit.till)];
    host.write(key(DEPOSIT, &[&account.0]), Some(rows::encode_struct(&fields)));
}

/// Largest difference of heights between a transaction and its fallback.
///
/// # Errors
/// The store fails.
pub fn max_delta<S: Store + ?Sized>(store: &S) -> Read<u32> {
    rows::small(store, &key(MAX_DELTA, &[]))
}

pub(super) fn set_max_delta<S: Store>(engine: &mut Vm<S>, value: u32) -> Result<()> {
    let settings = engine.host.environment().settings.clone();
    let most = policy::max_valid_until_increment(&engine.host, &settings)? / 2;
    if value > most || usize::try_from(value).is_ok_and(|value| value < settings.validators_count) {
        return Err(EngineError::Argument("difference of heights out of range").into());
    }
    require_committee(engine)?;
    engine.host.write(key(MAX_DELTA, &[]), Some(Int::from(value).to_bytes().into()));
    Ok(())
}

fn nodes<S: Store + ?Sized>(store: &S) -> Read<Vec<Key>> {
    role::designated(store, Role::P2pNotary, ledger::current_index(store)?.saturating_add(1))
}

/// Number of keys that a transaction waits for.
pub(super) fn assisted(transaction: &Transaction) -> Option<u8> {
    transaction.body().attributes.iter().find_map(|attribute| match attribute {
        Attribute::NotaryAssisted(keys) => Some(*keys),
        _ => None,
    })
}

fn fees(transaction: &Transaction) -> Int {
    let body = transaction.body();
    Int::from(i128::from(body.system_fee).saturating_add(body.network_fee.into()))
}

/// Takes the fees of the block's transactions from deposits, and pays the nodes.
pub(super) fn on_persist<S: Store>(engine: &mut Vm<S>, block: &Block) -> Result<()> {
    let mut keys = 0_u32;
    for transaction in &block.transactions {
        let Some(waits_for) = assisted(transaction) else { continue };
        keys = keys.saturating_add(u32::from(waits_for).saturating_add(1));
        if transaction.body().sender() != own_hash() {
            continue;
        }
        let payer = transaction.body().signers.get(1).ok_or(EngineError::State("no payer"))?.account;
        let Some(mut deposit) = deposit(&engine.host, &payer)? else { continue };
        deposit.amount = deposit.amount.sub(&fees(transaction));
        if deposit.amount.is_zero() {
            engine.host.write(key(DEPOSIT, &[&payer.0]), None);
        } else {
            put(&mut engine.host, &payer, &deposit);
        }
    }
    if keys == 0 {
        return Ok(());
    }
    let nodes = nodes(&engine.host)?;
    let sum = Int::from(keys).mul(&Int::from(policy::notary_fee(&engine.host)?));
    let each = sum.div(&Int::from(nodes.len())).ok_or(EngineError::State("no notary node"))?;
    for node in &nodes {
        Token::Gas.mint(engine, &account_of(node), &each, false)?;
    }
    Ok(())
}

pub(super) fn verify<S: Store>(engine: &Vm<S>, signature: Option<&[u8]>) -> Result<bool> {
    let Some(Ok(signature)) = signature.map(<[u8; 64]>::try_from) else { return Ok(false) };
    let environment = engine.host.environment();
    let Some(Container::Transaction(transaction)) = &environment.container else { return Ok(false) };
    if assisted(transaction).is_none() {
        return Ok(false);
    }
    let body = transaction.body();
    let own = body.signers.iter().find(|signer| signer.account == own_hash());
    if own.is_some_and(|signer| signer.scopes != Scopes::NONE) {
        return Ok(false);
    }
    if body.sender() == own_hash() {
        let [_, payer] = body.signers.as_slice() else { return Ok(false) };
        let deposit = deposit(&engine.host, &payer.account)?;
        if deposit.is_none_or(|deposit| deposit.amount < fees(transaction)) {
            return Ok(false);
        }
    }
    let message = sign_data(environment.settings.network, &transaction.hash());
    for node in nodes(&engine.host)? {
        if rows::point(&node)?.verify(&message, &signature) {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn on_payment<S: Store>(
    engine: &mut Vm<S>,
    from: UInt160,
    amount: &Int,
    data: &StackItem,
) -> Result<()> {
    if calling_script(engine) != Some(Token::Gas.hash()) {
        return Err(EngineError::Argument("only GAS is deposited").into());
    }
    let parameters = match data {
        StackItem::Array(id) | StackItem::Struct(id) => engine.heap.list(*id).to_vec(),
        _ => Vec::new(),
    };
    let [to, till] = parameters.as_slice() else {
        return Err(EngineError::Argument("the data must name an account and a height").into());
    };
    let to = match to {
        StackItem::Null => from,
        to => {
            // more bytes than a hash has are ignored
            let bytes = engine.heap.bytes_of(to)?;
            let hash = bytes.first_chunk().copied().map(UInt160);
            hash.ok_or(EngineError::Argument("a hash has 20 bytes"))?
        }
    };
    let till = till.to_int()?.to_u64().and_then(|till| u32::try_from(till).ok());
    let mut till = till.ok_or(neo_vm::Fault::OutOfRange)?;
    let Some(Container::Transaction(transaction)) = engine.host.environment().container.clone() else {
        return Err(EngineError::Misplaced("no transaction").into());
    };
    let owner = transaction.body().sender() == to;
    let height = ledger::current_index(&engine.host)?;
    if till < height.saturating_add(2) {
        return Err(EngineError::Argument("the deposit would end too early").into());
    }
    let mut deposit = match deposit(&engine.host, &to)? {
        Some(deposit) => {
            if till < deposit.till {
                return Err(EngineError::Argument("the deposit would end earlier than before").into());
            }
            if !owner {
                till = deposit.till;
            }
            deposit
        }
        None => {
            let least = i64::from(policy::notary_fee(&engine.host)?).saturating_mul(2);
            let amount = amount.to_i64().ok_or(neo_vm::Fault::OutOfRange)?;
            if amount < least {
                return Err(EngineError::Argument("the first deposit is too small").into());
            }
            if !owner {
                till = height.saturating_add(DEFAULT_LOCK);
            }
            Deposit { amount: Int::default(), till }
        }
    };
    deposit.amount = deposit.amount.add(amount);
    deposit.till = till;
    put(&mut engine.host, &to, &deposit);
    Ok(())
}

pub(super) fn lock<S: Store>(engine: &mut Vm<S>, account: &UInt160, till: u32) -> Result<bool> {
    if !has_agreed(engine, account)? || till < ledger::current_index(&engine.host)?.saturating_add(2) {
        return Ok(false);
    }
    let deposit = deposit(&engine.host, account)?;
    let Some(deposit) = deposit.filter(|deposit| till >= deposit.till) else { return Ok(false) };
    put(&mut engine.host, account, &Deposit { till, ..deposit });
    Ok(true)
}

pub(super) fn withdraw<S: Store>(engine: &mut Vm<S>, from: &UInt160, to: Option<UInt160>) -> Result<bool> {
    if !has_agreed(engine, from)? {
        return Ok(false);
    }
    let Some(deposit) = deposit(&engine.host, from)? else { return Ok(false) };
    if ledger::current_index(&engine.host)? < deposit.till {
        return Ok(false);
    }
    engine.host.write(key(DEPOSIT, &[&from.0]), None);
    let arguments = vec![
        StackItem::bytes(own_hash().0),
        StackItem::bytes(to.unwrap_or(*from).0),
        StackItem::Integer(deposit.amount),
        StackItem::Null,
    ];
    super::push_steps(engine, [Step::RequireTrue]);
    call_from_native(engine, own_hash(), &Token::Gas.hash(), "transfer", true, arguments)?;
    Ok(true)
}
