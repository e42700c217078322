//! Policy: fees, limits, blocked accounts, fixed fees. Mirrors `PolicyContract.cs`.

use neo_base::{Int, UInt160};
use neo_vm::{Result, StackItem};

use super::{
    ContractId, Step, Vm, neo, require_committee,
    rows::{self, Fields, Read},
};
use crate::{
    engine::{Application, EngineError, FEE_FACTOR, Store, call_from_native, has_agreed, send_notification},
    hardfork::{Hardfork, Hardforks},
    settings::ProtocolSettings,
    state::ContractState,
};

/// Largest execution fee factor, without decimals.
const MAX_EXEC_FEE_FACTOR: u64 = 100;
const MAX_STORAGE_PRICE: u32 = 10_000_000;
const MAX_FEE_PER_BYTE: i64 = 100_000_000;
const MAX_ATTRIBUTE_FEE: u32 = 1_000_000_000;
const MAX_MS_PER_BLOCK: u32 = 30_000;
const MAX_VALID_UNTIL_INCREMENT: u32 = 86_400;
const MAX_TRACEABLE_BLOCKS: u32 = 2_102_400;

/// A blocked account's funds can be recovered after this time, in milliseconds.
const RECOVERY_TIME: u64 = 365 * 24 * 60 * 60 * 1_000;

const FEE_PER_BYTE: u8 = 10;
pub(super) const BLOCKED: u8 = 15;
pub(super) const WHITELIST: u8 = 16;
const EXEC_FEE_FACTOR: u8 = 18;
const STORAGE_PRICE: u8 = 19;
const ATTRIBUTE_FEE: u8 = 20;
const MS_PER_BLOCK: u8 = 21;
const VALID_UNTIL_INCREMENT: u8 = 22;
const TRACEABLE_BLOCKS: u8 = 23;

/// Types of attributes.
const ATTRIBUTES: [u8; 5] = [0x01, 0x11, 0x20, 0x21, NOTARY_ASSISTED];
const NOTARY_ASSISTED: u8 = 0x22;

fn key(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    rows::key(ContractId::POLICY, prefix, parts)
}

fn write<S: Store>(host: &mut Application<S>, prefix: u8, parts: &[&[u8]], value: impl Into<Int>) {
    host.write(key(prefix, parts), Some(value.into().to_bytes().into()));
}

/// Price of a byte of a transaction, in datoshi.
///
/// # Errors
/// The store fails.
pub fn fee_per_byte<S: Store + ?Sized>(store: &S) -> Read<i64> {
    rows::small(store, &key(FEE_PER_BYTE, &[]))
}

/// Execution fee factor as it is stored: with four decimals from Faun.
///
/// # Errors
/// The store fails.
pub fn stored_exec_fee_factor<S: Store + ?Sized>(store: &S) -> Read<u64> {
    rows::small(store, &key(EXEC_FEE_FACTOR, &[]))
}

/// Execution fee factor without decimals, for a block of this height.
///
/// # Errors
/// The store fails.
pub fn exec_fee_factor<S: Store + ?Sized>(store: &S, forks: &Hardforks, height: u32) -> Read<u64> {
    let stored = stored_exec_fee_factor(store)?;
    Ok(if forks.is_active(Hardfork::Faun, height) { stored / FEE_FACTOR } else { stored })
}

/// Price of a byte of storage, in datoshi.
///
/// # Errors
/// The store fails.
pub fn storage_price<S: Store + ?Sized>(store: &S) -> Read<u32> {
    rows::small(store, &key(STORAGE_PRICE, &[]))
}

/// Fee of an attribute of this type, in datoshi.
///
/// # Errors
/// The store fails.
pub fn attribute_fee<S: Store + ?Sized>(store: &S, kind: u8) -> Read<u32> {
    let row = key(ATTRIBUTE_FEE, &[&[kind]]);
    if rows::bytes(store, &row)?.is_none() { Ok(0) } else { rows::small(store, &row) }
}

/// Fee for each key that a notary waits for.
pub(super) fn notary_fee<S: Store + ?Sized>(store: &S) -> Read<u32> {
    attribute_fee(store, NOTARY_ASSISTED)
}

fn setting<S: Store + ?Sized>(store: &S, prefix: u8, before: u32) -> Read<u32> {
    let row = key(prefix, &[]);
    if rows::bytes(store, &row)?.is_none() { Ok(before) } else { rows::small(store, &row) }
}

/// Milliseconds between blocks.
///
/// # Errors
/// The store fails.
pub fn ms_per_block<S: Store + ?Sized>(store: &S, settings: &ProtocolSettings) -> Read<u32> {
    setting(store, MS_PER_BLOCK, settings.ms_per_block)
}

/// How many blocks ahead a transaction may be valid.
///
/// # Errors
/// The store fails.
pub fn max_valid_until_increment<S: Store + ?Sized>(store: &S, settings: &ProtocolSettings) -> Read<u32> {
    setting(store, VALID_UNTIL_INCREMENT, settings.max_valid_until_block_increment)
}

/// How many blocks back contracts see.
///
/// # Errors
/// The store fails.
pub fn max_traceable_blocks<S: Store + ?Sized>(store: &S, settings: &ProtocolSettings) -> Read<u32> {
    setting(store, TRACEABLE_BLOCKS, settings.max_traceable_blocks)
}

/// True when an account is blocked.
///
/// # Errors
/// The store fails.
pub fn is_blocked<S: Store + ?Sized>(store: &S, account: &UInt160) -> Read<bool> {
    Ok(rows::bytes(store, &key(BLOCKED, &[&account.0]))?.is_some())
}

/// A setting that its fork has stored.
pub(super) fn stored_setting<S: Store>(host: &Application<S>, method: &str) -> Result<u32> {
    let prefix = match method {
        "getMillisecondsPerBlock" => MS_PER_BLOCK,
        "getMaxValidUntilBlockIncrement" => VALID_UNTIL_INCREMENT,
        _ => TRACEABLE_BLOCKS,
    };
    Ok(rows::small(host, &key(prefix, &[]))?)
}

pub(super) fn get_attribute_fee<S: Store>(host: &Application<S>, kind: u8) -> Result<u32> {
    check_attribute(host, kind)?;
    Ok(attribute_fee(host, kind)?)
}

fn check_attribute<S: Store>(host: &Application<S>, kind: u8) -> Result<()> {
    let known = ATTRIBUTES.contains(&kind) && (kind != NOTARY_ASSISTED || host.is_active(Hardfork::Echidna));
    if known { Ok(()) } else { Err(EngineError::Argument("no such attribute").into()) }
}

/// What a fork brings; `None`: the first state.
pub(super) fn initialise<S: Store>(engine: &mut Vm<S>, fork: Option<Hardfork>) -> Result<()> {
    let settings = engine.host.environment().settings.clone();
    match fork {
        None => {
            write(&mut engine.host, FEE_PER_BYTE, &[], 1_000);
            write(&mut engine.host, EXEC_FEE_FACTOR, &[], 30);
            write(&mut engine.host, STORAGE_PRICE, &[], 100_000);
        }
        Some(Hardfork::Echidna) => {
            write(&mut engine.host, ATTRIBUTE_FEE, &[&[NOTARY_ASSISTED]], 10_000_000);
            write(&mut engine.host, MS_PER_BLOCK, &[], settings.ms_per_block);
            write(&mut engine.host, VALID_UNTIL_INCREMENT, &[], settings.max_valid_until_block_increment);
            write(&mut engine.host, TRACEABLE_BLOCKS, &[], settings.max_traceable_blocks);
        }
        Some(Hardfork::Faun) => {
            let factor = stored_exec_fee_factor(&engine.host)?.saturating_mul(FEE_FACTOR);
            write(&mut engine.host, EXEC_FEE_FACTOR, &[], factor);
            let time = time(engine)?;
            let prefix = key(BLOCKED, &[]);
            let mut after: Option<Vec<u8>> = None;
            while let Some((row, _)) =
                engine.host.seek(&prefix, after.as_deref(), false).map_err(EngineError::Store)?
            {
                engine.host.write(row.clone(), Some(Int::from(time).to_bytes().into()));
                after = Some(row);
            }
        }
        Some(_) => {}
    }
    Ok(())
}

fn time<S: Store>(engine: &Vm<S>) -> Result<u64> {
    let block = engine.host.environment().block.ok_or(EngineError::Misplaced("no block, no time"))?;
    Ok(block.timestamp)
}

fn out_of_range() -> neo_vm::Fault {
    EngineError::Argument("value out of range").into()
}

/// Runs a method that sets one number.
pub(super) fn set<S: Store>(engine: &mut Vm<S>, method: &str, value: &Int) -> Result<()> {
    let unsigned = value.to_u64().and_then(|value| u32::try_from(value).ok());
    let in_range = |most: u32| unsigned.filter(|value| (1..=most).contains(value)).ok_or_else(out_of_range);
    match method {
        "setFeePerByte" => {
            let fee = value.to_i64().filter(|fee| (0..=MAX_FEE_PER_BYTE).contains(fee));
            let fee = fee.ok_or_else(out_of_range)?;
            require_committee(engine)?;
            write(&mut engine.host, FEE_PER_BYTE, &[], fee);
        }
        "setExecFeeFactor" => {
            let decimals = if engine.host.is_active(Hardfork::Faun) { FEE_FACTOR } else { 1 };
            let most = MAX_EXEC_FEE_FACTOR.saturating_mul(decimals);
            let factor = value.to_u64().filter(|factor| (1..=most).contains(factor));
            let factor = factor.ok_or_else(out_of_range)?;
            require_committee(engine)?;
            write(&mut engine.host, EXEC_FEE_FACTOR, &[], factor);
        }
        "setStoragePrice" => {
            let price = in_range(MAX_STORAGE_PRICE)?;
            require_committee(engine)?;
            write(&mut engine.host, STORAGE_PRICE, &[], price);
        }
        "setMillisecondsPerBlock" => {
            let new = in_range(MAX_MS_PER_BLOCK)?;
            require_committee(engine)?;
            let old = stored_setting(&engine.host, "getMillisecondsPerBlock")?;
            write(&mut engine.host, MS_PER_BLOCK, &[], new);
            let fields = vec![StackItem::int(old), StackItem::int(new)];
            notify(engine, "MillisecondsPerBlockChanged", fields)?;
        }
        "setMaxValidUntilBlockIncrement" => {
            let new = in_range(MAX_VALID_UNTIL_INCREMENT)?;
            if new >= stored_setting(&engine.host, "getMaxTraceableBlocks")? {
                return Err(out_of_range());
            }
            require_committee(engine)?;
            write(&mut engine.host, VALID_UNTIL_INCREMENT, &[], new);
        }
        _ => {
            let new = in_range(MAX_TRACEABLE_BLOCKS)?;
            if new > stored_setting(&engine.host, "getMaxTraceableBlocks")?
                || new <= stored_setting(&engine.host, "getMaxValidUntilBlockIncrement")?
            {
                return Err(out_of_range());
            }
            require_committee(engine)?;
            write(&mut engine.host, TRACEABLE_BLOCKS, &[], new);
        }
    }
    Ok(())
}

pub(super) fn set_attribute_fee<S: Store>(engine: &mut Vm<S>, kind: u8, value: u32) -> Result<()> {
    check_attribute(&engine.host, kind)?;
    if value > MAX_ATTRIBUTE_FEE {
        return Err(out_of_range());
    }
    require_committee(engine)?;
    write(&mut engine.host, ATTRIBUTE_FEE, &[&[kind]], value);
    Ok(())
}

fn notify<S: Store>(engine: &mut Vm<S>, name: &str, fields: Vec<StackItem>) -> Result<()> {
    let state = engine.heap.new_array(fields);
    send_notification(engine, super::hash_of(ContractId::POLICY), name.to_owned(), &state)
}

/// Blocks an account; from Faun its vote is taken back and paid first. False when it is blocked already.
pub(super) fn block<S: Store>(engine: &mut Vm<S>, account: &UInt160) -> Result<bool> {
    if super::is_native(account) {
        return Err(EngineError::Argument("native contracts cannot be blocked").into());
    }
    if is_blocked(&engine.host, account)? {
        return Ok(false);
    }
    if engine.host.is_active(Hardfork::Faun) {
        let reward = neo::vote(engine, account, None)?;
        super::push_steps(engine, reward.flatten());
    }
    super::push_steps(engine, [Step::Block(*account)]);
    Ok(true)
}

/// Writes the row of a blocked account.
pub(super) fn put_blocked<S: Store>(engine: &mut Vm<S>, account: &UInt160) -> Result<()> {
    let value =
        if engine.host.is_active(Hardfork::Faun) { Int::from(time(engine)?).to_bytes() } else { Vec::new() };
    engine.host.write(key(BLOCKED, &[&account.0]), Some(value.into()));
    Ok(())
}

pub(super) fn unblock<S: Store>(engine: &mut Vm<S>, account: &UInt160) -> Result<bool> {
    require_committee(engine)?;
    let blocked = is_blocked(&engine.host, account)?;
    if blocked {
        engine.host.write(key(BLOCKED, &[&account.0]), None);
    }
    Ok(blocked)
}

/// Offset of the one method of a contract with this name and number of arguments.
fn offset_of<S: Store>(engine: &mut Vm<S>, contract: &UInt160, method: &str, count: i32) -> Result<i32> {
    let contract = engine.host.contract(contract)?.ok_or(EngineError::NoContract(*contract))?;
    let methods = contract.state.manifest.abi.methods.iter();
    let mut found = methods.filter(|known| {
        known.name == method && i32::try_from(known.parameters.len()).is_ok_and(|known| known == count)
    });
    match (found.next(), found.next()) {
        (Some(method), None) => Ok(method.offset),
        _ => Err(EngineError::NoMethod(method.to_owned()).into()),
    }
}

fn whitelist_event<S: Store>(
    engine: &mut Vm<S>,
    contract: &UInt160,
    method: &str,
    count: StackItem,
    fee: StackItem,
) -> Result<()> {
    let fields = vec![StackItem::bytes(contract.0), StackItem::bytes(method.as_bytes()), count, fee];
    notify(engine, "WhitelistFeeChanged", fields)
}

pub(super) fn set_whitelist<S: Store>(
    engine: &mut Vm<S>,
    contract: &UInt160,
    method: &str,
    count: i32,
    fee: i64,
) -> Result<()> {
    if fee < 0 {
        return Err(out_of_range());
    }
    require_committee(engine)?;
    let offset = offset_of(engine, contract, method, count)?;
    let row = key(WHITELIST, &[&contract.0, &offset.to_be_bytes()]);
    let mut fields = vec![
        StackItem::bytes(contract.0),
        StackItem::bytes(method.as_bytes()),
        StackItem::int(count),
        StackItem::int(fee),
    ];
    if let Some(old) = rows::list(&engine.host, &row)? {
        // only the fee of a row that exists changes
        fields = old;
        if let Some(last) = fields.get_mut(3) {
            *last = StackItem::int(fee);
        }
    }
    engine.host.write(row, Some(rows::encode_struct(&fields)));
    whitelist_event(engine, contract, method, StackItem::int(count), StackItem::int(fee))
}

pub(super) fn remove_whitelist<S: Store>(
    engine: &mut Vm<S>,
    contract: &UInt160,
    method: &str,
    count: i32,
) -> Result<()> {
    require_committee(engine)?;
    let offset = offset_of(engine, contract, method, count)?;
    let row = key(WHITELIST, &[&contract.0, &offset.to_be_bytes()]);
    if rows::bytes(&engine.host, &row)?.is_none() {
        return Err(EngineError::Argument("no fixed fee").into());
    }
    engine.host.write(row, None);
    whitelist_event(engine, contract, method, StackItem::int(count), StackItem::Null)
}

/// Forgets the fixed fees of a contract that changes or goes away.
pub(super) fn clean_whitelist<S: Store>(engine: &mut Vm<S>, contract: &ContractState) -> Result<()> {
    let prefix = key(WHITELIST, &[&contract.hash.0]);
    let mut after: Option<Vec<u8>> = None;
    while let Some((row, value)) =
        engine.host.seek(&prefix, after.as_deref(), false).map_err(EngineError::Store)?
    {
        engine.host.write(row.clone(), None);
        let fields = rows::decode_list(&value)?;
        let method = StackItem::ByteString(fields.raw(1)?);
        let fields = vec![
            StackItem::bytes(contract.hash.0),
            method,
            StackItem::Integer(fields.int(2)?),
            StackItem::Null,
        ];
        notify(engine, "WhitelistFeeChanged", fields)?;
        after = Some(row);
    }
    Ok(())
}

/// Asks a token for the balance of an account that has been blocked for a year; steps move it to the treasury.
pub(super) fn recover<S: Store>(engine: &mut Vm<S>, account: &UInt160, token: &UInt160) -> Result<()> {
    let committee = neo::almost_full_committee_address(&engine.host)?;
    if !has_agreed(engine, &committee)? {
        return Err(EngineError::Argument("the committee has not agreed").into());
    }
    let since = rows::number_or_none(&engine.host, &key(BLOCKED, &[&account.0]))?;
    let since = since.ok_or(EngineError::Argument("the account is not blocked"))?;
    if Int::from(time(engine)?).sub(&since) < Int::from(RECOVERY_TIME) {
        return Err(EngineError::Argument("the account has not been blocked for a year").into());
    }
    let contract = engine.host.contract(token)?.ok_or(EngineError::NoContract(*token))?;
    if !contract.state.manifest.supported_standards.iter().any(|standard| standard == "NEP-17") {
        return Err(EngineError::Argument("the contract is no token").into());
    }
    super::push_steps(engine, [Step::RecoverBalance { account: *account, token: *token }]);
    call_from_native(engine, *account, token, "balanceOf", true, vec![StackItem::bytes(account.0)])
}

/// Moves the balance that the token has answered.
pub(super) fn recover_balance<S: Store>(
    engine: &mut Vm<S>,
    account: &UInt160,
    token: &UInt160,
) -> Result<()> {
    let balance = engine.pop_int()?;
    if balance.is_negative() || balance.is_zero() {
        super::set_result(engine, StackItem::Boolean(false));
        return Ok(());
    }
    let arguments = vec![
        StackItem::bytes(account.0),
        StackItem::bytes(super::hash_of(ContractId::TREASURY).0),
        StackItem::Integer(balance),
        StackItem::Null,
    ];
    super::push_steps(engine, [Step::Recovered(*account)]);
    call_from_native(engine, *account, token, "transfer", true, arguments)
}

/// Ends a recovery by the token's answer.
pub(super) fn recovered<S: Store>(engine: &mut Vm<S>, account: &UInt160) -> Result<()> {
    if !engine.pop_bool()? {
        return Err(EngineError::Argument("the transfer failed").into());
    }
    notify(engine, "RecoveredFund", vec![StackItem::bytes(account.0)])?;
    super::set_result(engine, StackItem::Boolean(true));
    Ok(())
}
