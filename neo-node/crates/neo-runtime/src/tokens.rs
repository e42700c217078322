//! What accounts hold of tokens and how it came to them: an index that is written with each block, from the `Transfer` events of
//! contracts that name the standards NEP-17 and NEP-11. Mirrors the plugin `TokensTracker` of the C# reference, its keys
//! included. Not here: what callers of RPC see.
//!
//! | key | value |
//! |-----|-------|
//! | e8, account, token | balance, height of the last change |
//! | e9 (sent) or ea (received), account, time (u64 big-endian), token, number in the block (u32 little-endian) | other account, height, transaction, amount |
//! | f8, f9, fa | the same for NEP-11, with the id of the token at the end of the key |

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

use neo_base::{
    Int, UInt160, UInt256,
    codec::{self, Wire, read_var_bytes, write_var_bytes},
    ledger::Header,
};
use neo_contract::{
    CallFlags, ContractState, ProtocolSettings,
    engine::{
        Application, ApplicationEngine, BlockInfo, EngineError, Environment, Store, Trigger, load_script,
    },
    native::{ledger, management},
    script::{Argument, ScriptBuilder},
};
use neo_store::{Bytes, Table, View, WriteSet};
use neo_vm::{Script, StackItem, State};
use shared_vendor::bytes::{Reader, Writer};

use crate::{
    ledger::LedgerError,
    log::{Execution, LogItem},
};

/// Gas for a question of one balance, in datoshi.
const BALANCE_GAS: u64 = 17_000_000;

/// Longest number.
const MAX_INTEGER: usize = 32;

/// Longest id of a token in a row.
const MAX_TOKEN: usize = 131_070;

/// The standards of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// Tokens that are told apart.
    Nep11,
    /// Tokens that are all the same.
    Nep17,
}

impl Standard {
    const fn name(self) -> &'static str {
        match self {
            Self::Nep11 => "NEP-11",
            Self::Nep17 => "NEP-17",
        }
    }

    const fn prefix(self, table: Rows) -> u8 {
        let base = match self {
            Self::Nep11 => 0xf8,
            Self::Nep17 => 0xe8,
        };
        base | match table {
            Rows::Balances => 0,
            Rows::Sent => 1,
            Rows::Received => 2,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    Balances,
    Sent,
    Received,
}

/// What an account holds of one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The contract.
    pub asset: UInt160,
    /// Which token; empty for NEP-17.
    pub token: Vec<u8>,
    /// How much.
    pub amount: Int,
    /// Height of the block of its last transfer.
    pub updated: u32,
}

/// A transfer, seen from one of its two accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Time of the block, in milliseconds since 1970.
    pub timestamp: u64,
    /// The contract.
    pub asset: UInt160,
    /// Which token; empty for NEP-17.
    pub token: Vec<u8>,
    /// Number of the transfer in its block.
    pub number: u32,
    /// The other account; zero for none.
    pub other: UInt160,
    /// Height of the block.
    pub height: u32,
    /// The transaction.
    pub transaction: UInt256,
    /// How much.
    pub amount: Int,
}

/// Which way tokens went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Away from the account.
    Sent,
    /// To the account.
    Received,
}

/// What a contract has told of a transfer.
struct Event {
    asset: UInt160,
    from: UInt160,
    to: UInt160,
    token: Option<Vec<u8>>,
    amount: Int,
}

impl Event {
    fn read(asset: UInt160, items: &[LogItem]) -> Option<Self> {
        let (from, to, amount, token) = match items {
            [from, to, amount] => (from, to, amount, None),
            [from, to, amount, LogItem::ByteString(token)] => (from, to, amount, Some(token.to_vec())),
            _ => return None,
        };
        if matches!((from, to), (LogItem::Null, LogItem::Null)) {
            return None;
        }
        let amount = match amount {
            LogItem::Integer(amount) => amount.clone(),
            LogItem::ByteString(bytes) if bytes.len() <= MAX_INTEGER => Int::from_bytes(bytes),
            _ => return None,
        };
        Some(Self { asset, from: account(from)?, to: account(to)?, token, amount })
    }
}

fn account(item: &LogItem) -> Option<UInt160> {
    match item {
        LogItem::Null => Some(UInt160::ZERO),
        LogItem::ByteString(bytes) => Some(UInt160((**bytes).try_into().ok()?)),
        _ => None,
    }
}

/// Puts the rows of a block into `rows`. `store` is the state after it; `executions` are all of the block in order, with the
/// transaction of each. Without `history` transfers leave balances only.
///
/// # Errors
/// The store fails.
pub(crate) fn index<'a, S: Store>(
    settings: &Arc<ProtocolSettings>,
    store: &S,
    header: &Header,
    executions: impl Iterator<Item = (Option<UInt256>, &'a Execution)>,
    history: bool,
    rows: &mut WriteSet,
) -> Result<(), EngineError> {
    let mut block = BlockIndex {
        settings,
        store,
        timestamp: header.body().timestamp,
        height: header.body().index,
        contracts: HashMap::new(),
        numbers: [0; 2],
        touched: BTreeSet::new(),
        moved: Vec::new(),
        rows,
    };
    for (transaction, execution) in executions.filter(|(_, execution)| execution.halted) {
        for sent in execution.notifications.iter().filter(|sent| sent.name == "Transfer") {
            let Some(LogItem::Array(items) | LogItem::Struct(items)) = &sent.state else { continue };
            let Some(event) = Event::read(sent.contract, items) else { continue };
            block.take(event, transaction.filter(|_| history))?;
        }
    }
    block.balances()
}

struct BlockIndex<'a, S> {
    settings: &'a Arc<ProtocolSettings>,
    store: &'a S,
    timestamp: u64,
    height: u32,
    contracts: HashMap<UInt160, Option<ContractState>>,
    /// Next numbers of transfers: NEP-17, NEP-11.
    numbers: [u32; 2],
    /// Accounts and NEP-17 tokens whose balance may be another one.
    touched: BTreeSet<(UInt160, UInt160)>,
    /// NEP-11 tokens that went elsewhere, in order.
    moved: Vec<Event>,
    rows: &'a mut WriteSet,
}

impl<S: Store> BlockIndex<'_, S> {
    fn contract(&mut self, hash: UInt160) -> Result<Option<&ContractState>, EngineError> {
        if !self.contracts.contains_key(&hash) {
            let found = management::contract(self.store, &hash)?;
            self.contracts.insert(hash, found);
        }
        Ok(self.contracts.get(&hash).and_then(Option::as_ref))
    }

    fn take(&mut self, event: Event, transaction: Option<UInt256>) -> Result<(), EngineError> {
        let standard = if event.token.is_some() { Standard::Nep11 } else { Standard::Nep17 };
        let names = |contract: &ContractState| {
            contract.manifest.supported_standards.iter().any(|name| name == standard.name())
        };
        if !self.contract(event.asset)?.is_some_and(names) {
            return Ok(());
        }
        if let Some(transaction) = transaction {
            self.history(standard, &event, transaction);
        }
        if standard == Standard::Nep17 {
            let accounts = [event.from, event.to].into_iter().filter(|account| *account != UInt160::ZERO);
            self.touched.extend(accounts.map(|account| (account, event.asset)));
        } else {
            self.moved.push(event);
        }
        Ok(())
    }

    fn history(&mut self, standard: Standard, event: &Event, transaction: UInt256) {
        let [nep17, nep11] = &mut self.numbers;
        let next = if standard == Standard::Nep17 { nep17 } else { nep11 };
        let number = *next;
        *next = next.saturating_add(1);
        for (table, mine, other) in
            [(Rows::Sent, event.from, event.to), (Rows::Received, event.to, event.from)]
        {
            if mine == UInt160::ZERO {
                continue;
            }
            let mut key = row(standard.prefix(table), &mine);
            key.put(&self.timestamp.to_be_bytes());
            event.asset.write(&mut key);
            key.u32_le(number);
            if let Some(token) = &event.token {
                write_var_bytes(&mut key, token);
            }
            let mut value = Writer::new();
            other.write(&mut value);
            value.u32_le(self.height);
            transaction.write(&mut value);
            write_var_bytes(&mut value, &event.amount.to_bytes());
            self.rows.put(Table::Tokens, key.into_vec(), value.into_vec());
        }
    }

    fn balances(mut self) -> Result<(), EngineError> {
        for (account, asset) in std::mem::take(&mut self.touched) {
            let mut script = ScriptBuilder::default();
            script.call(&asset, "balanceOf", &[Argument::Bytes(account.0.to_vec())]);
            let Some(results) = self.ask(&mut script, BALANCE_GAS)? else { continue };
            let Some(StackItem::Integer(amount)) = results.last() else { continue };
            let kept = Some(amount).filter(|amount| !amount.is_zero());
            self.put_balance(Standard::Nep17, &account, &asset, None, kept);
        }
        for Event { asset, from, to, token, .. } in std::mem::take(&mut self.moved) {
            let Some(token) = token else { continue };
            let parameters =
                |contract: &ContractState, count| contract.manifest.abi.method("balanceOf", count).is_some();
            let Some(contract) = self.contract(asset)? else { continue };
            let (divisible, whole) = (parameters(contract, 2), parameters(contract, 1));
            if divisible {
                let mut script = ScriptBuilder::default();
                for account in [from, to] {
                    let arguments = [account.0.to_vec(), token.clone()].map(Argument::Bytes);
                    script.call(&asset, "balanceOf", &arguments);
                }
                let results = self.ask(&mut script, BALANCE_GAS.saturating_mul(2))?;
                let Some([StackItem::Integer(left), StackItem::Integer(come)]) = results.as_deref() else {
                    continue;
                };
                self.put_balance(Standard::Nep11, &to, &asset, Some(&token), Some(come));
                self.put_balance(Standard::Nep11, &from, &asset, Some(&token), Some(left));
            } else if whole {
                if from != UInt160::ZERO {
                    self.put_balance(Standard::Nep11, &from, &asset, Some(&token), None);
                }
                if to != UInt160::ZERO {
                    self.put_balance(Standard::Nep11, &to, &asset, Some(&token), Some(&Int::from(1)));
                }
            }
        }
        Ok(())
    }

    fn ask(&self, script: &mut ScriptBuilder, gas: u64) -> Result<Option<Vec<StackItem>>, EngineError> {
        let engine = ask(self.settings, self.store, script.finish(), gas)?;
        Ok(engine.map(|engine| engine.results().to_vec()))
    }

    fn put_balance(
        &mut self,
        standard: Standard,
        account: &UInt160,
        asset: &UInt160,
        token: Option<&[u8]>,
        amount: Option<&Int>,
    ) {
        let mut key = row(standard.prefix(Rows::Balances), account);
        asset.write(&mut key);
        if let Some(token) = token {
            write_var_bytes(&mut key, token);
        }
        let value = amount.map(|amount| {
            let mut value = Writer::new();
            write_var_bytes(&mut value, &amount.to_bytes());
            value.u32_le(self.height);
            Bytes::from(value.into_vec())
        });
        self.rows.set(Table::Tokens, key.into_vec(), value);
    }
}

/// Runs a script over a state, as a call from outside; `None` when it faults.
///
/// # Errors
/// The store fails.
pub fn ask<'a, S: Store>(
    settings: &Arc<ProtocolSettings>,
    store: &'a S,
    script: Vec<u8>,
    gas: u64,
) -> Result<Option<ApplicationEngine<&'a S>>, EngineError> {
    let height = ledger::current_index(store)?;
    let tip =
        ledger::block_hash(store, height)?.map(|hash| ledger::trimmed_block(store, &hash)).transpose()?;
    let timestamp = tip.flatten().map_or(0, |block| block.header.body().timestamp);
    let environment = Environment {
        settings: Arc::clone(settings),
        trigger: Trigger::Application,
        container: None,
        block: Some(BlockInfo { index: height.saturating_add(1), timestamp, nonce: 0 }),
        persisting: None,
        gas_limit: gas,
    };
    let mut engine = Application::engine(environment, store)?;
    let loaded = load_script(&mut engine, Script::new(script), CallFlags::ALL);
    Ok((loaded.is_ok() && engine.run() == State::Halt).then_some(engine))
}

fn row(prefix: u8, account: &UInt160) -> Writer {
    let mut key = Writer::new();
    key.u8(prefix);
    account.write(&mut key);
    key
}

/// Balances of an account in the order of their keys, `limit` at most.
pub(crate) fn balances(
    view: &View<'_>,
    standard: Standard,
    account: &UInt160,
    limit: usize,
) -> Result<Vec<Balance>, LedgerError> {
    let prefix = row(standard.prefix(Rows::Balances), account).into_vec();
    let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
    while found.len() < limit {
        let Some((key, value)) = view.seek(Table::Tokens, &prefix, after.as_deref(), false)? else { break };
        found.push(read_balance(key.get(prefix.len()..).unwrap_or_default(), &value).map_err(damaged)?);
        after = Some(key);
    }
    Ok(found)
}

fn read_balance(key: &[u8], value: &[u8]) -> codec::Result<Balance> {
    let mut key = Reader::new(key);
    let asset = UInt160::read(&mut key)?;
    let token = if key.is_empty() { Vec::new() } else { read_var_bytes(&mut key, MAX_TOKEN)?.to_vec() };
    let mut value = Reader::new(value);
    let amount = Int::from_bytes(read_var_bytes(&mut value, MAX_INTEGER)?);
    Ok(Balance { asset, token, amount, updated: value.u32_le()? })
}

/// Transfers of an account within times, `limit` at most, in the order of their keys or backward.
pub(crate) fn transfers(
    view: &View<'_>,
    (standard, direction): (Standard, Direction),
    account: &UInt160,
    times: Range<u64>,
    newest: bool,
    limit: usize,
) -> Result<Vec<Transfer>, LedgerError> {
    let table = if direction == Direction::Sent { Rows::Sent } else { Rows::Received };
    let prefix = row(standard.prefix(table), account).into_vec();
    let start = if newest { times.end } else { times.start };
    let (mut found, mut after) = (Vec::new(), [&prefix[..], &start.to_be_bytes()].concat());
    while found.len() < limit {
        let Some((key, value)) = view.seek(Table::Tokens, &prefix, Some(&after), newest)? else { break };
        let transfer = read_transfer(key.get(prefix.len()..).unwrap_or_default(), &value).map_err(damaged)?;
        if !times.contains(&transfer.timestamp) {
            break;
        }
        found.push(transfer);
        after = key;
    }
    Ok(found)
}

fn read_transfer(key: &[u8], value: &[u8]) -> codec::Result<Transfer> {
    let mut key = Reader::new(key);
    let (timestamp, asset, number) = (key.u64_be()?, UInt160::read(&mut key)?, key.u32_le()?);
    let token = if key.is_empty() { Vec::new() } else { read_var_bytes(&mut key, MAX_TOKEN)?.to_vec() };
    let mut value = Reader::new(value);
    let (other, height, transaction) =
        (UInt160::read(&mut value)?, value.u32_le()?, UInt256::read(&mut value)?);
    let amount = Int::from_bytes(read_var_bytes(&mut value, MAX_INTEGER)?);
    Ok(Transfer { timestamp, asset, token, number, other, height, transaction, amount })
}

fn damaged(_: codec::DecodeError) -> LedgerError {
    LedgerError::State(EngineError::State("a row of the index of tokens"))
}
