//! NEO: votes, candidates, the committee, and the GAS that holders, voters and committee get. Mirrors `NeoToken.cs`.

use neo_base::{
    Int, UInt160,
    account::{committee_threshold, multisig_script, script_hash},
};
use neo_crypto::secp256r1::PublicKey;
use neo_vm::{Result, StackItem};

use super::{
    ContractId, Step, Vm,
    arguments::decode_key,
    ledger, policy,
    rows::{self, Fields, Key, Read, account_of, compare_keys},
    token::{Account, Token},
};
use crate::{
    engine::{Application, EngineError, PICO, Store, calling_script, charge, has_agreed, send_notification},
    hardfork::Hardfork,
    settings::ProtocolSettings,
};

/// All NEO there is.
pub(super) const TOTAL_AMOUNT: u32 = 100_000_000;

/// Factor by which rewards per vote are stored.
const VOTE_FACTOR: u32 = 100_000_000;

/// One GAS in datoshi.
const GAS: i64 = 100_000_000;

/// Most candidates in one answer of `getCandidates`.
const MAX_CANDIDATES: usize = 256;

const VOTERS_COUNT: u8 = 1;
const REGISTER_PRICE: u8 = 13;
const COMMITTEE: u8 = 14;
const VOTER_REWARD: u8 = 23;
const GAS_PER_BLOCK: u8 = 29;
pub(super) const CANDIDATE: u8 = 33;

/// A member of the committee or a candidate, with the votes for it.
pub type Member = (Key, Int);

fn key(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    rows::key(ContractId::NEO, prefix, parts)
}

fn read<S: Store + ?Sized>(store: &S, prefix: u8, parts: &[&[u8]]) -> Read<Int> {
    Ok(rows::number_or_none(store, &key(prefix, parts))?.unwrap_or_default())
}

fn write<S: Store>(host: &mut Application<S>, prefix: u8, parts: &[&[u8]], value: &Int) {
    host.write(key(prefix, parts), Some(value.to_bytes().into()));
}

/// A candidate: whether it is registered, and its votes.
fn candidate<S: Store + ?Sized>(store: &S, candidate: &Key) -> Read<Option<(bool, Int)>> {
    let Some(fields) = rows::list(store, &key(CANDIDATE, &[candidate]))? else { return Ok(None) };
    Ok(Some((fields.flag(0)?, fields.int(1)?)))
}

/// Stores a candidate, or forgets one that is neither registered nor voted for; `forgets` is false where the
/// reference does not look.
fn put_candidate<S: Store>(
    host: &mut Application<S>,
    candidate: &Key,
    (registered, votes): (bool, Int),
    forgets: bool,
) {
    if forgets && !registered && votes.is_zero() {
        host.write(key(VOTER_REWARD, &[candidate]), None);
        host.write(key(CANDIDATE, &[candidate]), None);
    } else {
        let fields = [StackItem::Boolean(registered), StackItem::Integer(votes)];
        host.write(key(CANDIDATE, &[candidate]), Some(rows::encode_struct(&fields)));
    }
}

/// What changes with a balance: GAS is paid out, votes move along.
pub(super) fn balance_changing<S: Store>(
    engine: &mut Vm<S>,
    account: &UInt160,
    state: &mut Account,
    change: &Int,
) -> Result<Option<Step>> {
    let reward = pay(engine, account, state)?;
    if let Some(vote) = state.vote.filter(|_| !change.is_zero()) {
        let voters = read(&engine.host, VOTERS_COUNT, &[])?.add(change);
        write(&mut engine.host, VOTERS_COUNT, &[], &voters);
        let (registered, votes) =
            candidate(&engine.host, &vote)?.ok_or(EngineError::State("no such candidate"))?;
        put_candidate(&mut engine.host, &vote, (registered, votes.add(change)), true);
    }
    Ok(reward)
}

/// Brings an account to the height of the block; the step is what pays it.
fn pay<S: Store>(engine: &Vm<S>, account: &UInt160, state: &mut Account) -> Result<Option<Step>> {
    let Some(block) = engine.host.environment().block else { return Ok(None) };
    let amount = bonus(&engine.host, state, block.index)?;
    state.balance_height = block.index;
    if let Some(vote) = &state.vote {
        state.last_gas_per_vote = read(&engine.host, VOTER_REWARD, &[vote])?;
    }
    Ok((!amount.is_zero()).then_some(Step::MintGas { account: *account, amount }))
}

/// GAS that an account has earned up to a height.
fn bonus<S: Store + ?Sized>(store: &S, state: &Account, end: u32) -> Read<Int> {
    if state.balance.is_negative() {
        return Err(EngineError::State("negative balance"));
    }
    if state.balance.is_zero() || state.balance_height >= end {
        return Ok(Int::default());
    }
    let start = state.balance_height;
    let mut until = end;
    let mut sum = Int::default();
    let mut after = key(GAS_PER_BLOCK, &[&end.to_be_bytes()]);
    loop {
        let found = store.seek(&key(GAS_PER_BLOCK, &[]), Some(&after), true).map_err(EngineError::Store)?;
        let Some((row, value)) = found else { break };
        let index = row.last_chunk().map_or(0, |index| u32::from_be_bytes(*index));
        let from = index.max(start);
        let blocks = Int::from(until.saturating_sub(from));
        sum = sum.add(&Int::from_bytes(&value).mul(&blocks));
        if index <= start {
            break;
        }
        until = index;
        after = row;
    }
    let vote_reward = match &state.vote {
        None => Int::default(),
        Some(vote) => {
            let gained = read(store, VOTER_REWARD, &[vote])?.sub(&state.last_gas_per_vote);
            divide(&state.balance.mul(&gained), VOTE_FACTOR)
        }
    };
    let holder = divide(&divide(&state.balance.mul(&sum).mul(&Int::from(10)), 100), TOTAL_AMOUNT);
    Ok(holder.add(&vote_reward))
}

fn divide(value: &Int, by: u32) -> Int {
    value.div(&Int::from(by)).unwrap_or_default()
}

/// GAS that an account can claim in the block `end`.
///
/// # Errors
/// The store fails.
pub fn unclaimed_gas<S: Store + ?Sized>(store: &S, account: &UInt160, end: u32) -> Read<Int> {
    match Token::Neo.account(store, account)? {
        Some(state) => bonus(store, &state, end),
        None => Ok(Int::default()),
    }
}

/// GAS made in the block after the current one, in datoshi.
///
/// # Errors
/// The store fails.
pub fn gas_per_block<S: Store + ?Sized>(store: &S) -> Read<Int> {
    let end = ledger::current_index(store)?.saturating_add(2);
    let after = key(GAS_PER_BLOCK, &[&end.to_be_bytes()]);
    let found = store.seek(&key(GAS_PER_BLOCK, &[]), Some(&after), true).map_err(EngineError::Store)?;
    found.map(|(_, value)| Int::from_bytes(&value)).ok_or(EngineError::State("no GAS per block"))
}

/// Price of becoming a candidate, in datoshi.
///
/// # Errors
/// The store fails.
pub fn register_price<S: Store + ?Sized>(store: &S) -> Read<Int> {
    rows::number(store, &key(REGISTER_PRICE, &[]))
}

/// The committee in order of votes, with the votes counted when it was chosen.
///
/// # Errors
/// The store fails.
pub fn committee_with_votes<S: Store + ?Sized>(store: &S) -> Read<Vec<Member>> {
    let bytes = rows::bytes(store, &key(COMMITTEE, &[]))?.ok_or(EngineError::State("no committee"))?;
    let members = rows::decode_table(&bytes)?;
    let members = members.iter().map(|row| {
        let key = row.key_or_null(0)?.ok_or(EngineError::State("a member without key"))?;
        Ok((key, row.int(1)?))
    });
    members.collect()
}

/// The committee in order of keys.
///
/// # Errors
/// The store fails.
pub fn committee<S: Store + ?Sized>(store: &S) -> Read<Vec<Key>> {
    Ok(sorted(committee_with_votes(store)?.into_iter().map(|(key, _)| key).collect()))
}

/// The validators of the next block, in order of keys.
///
/// # Errors
/// The store fails.
pub fn next_validators<S: Store + ?Sized>(store: &S, settings: &ProtocolSettings) -> Read<Vec<Key>> {
    let members = committee_with_votes(store)?.into_iter().take(settings.validators_count);
    Ok(sorted(members.map(|(key, _)| key).collect()))
}

/// The validators that votes would choose now, in order of keys.
///
/// # Errors
/// The store fails.
pub fn compute_next_validators<S: Store + ?Sized>(store: &S, settings: &ProtocolSettings) -> Read<Vec<Key>> {
    let members = compute_committee(store, settings)?.into_iter().take(settings.validators_count);
    Ok(sorted(members.map(|(key, _)| key).collect()))
}

fn sorted(mut keys: Vec<Key>) -> Vec<Key> {
    keys.sort_by(compare_keys);
    keys
}

/// True in blocks that choose the committee anew.
#[must_use]
pub fn refreshes_committee(height: u32, members: usize) -> bool {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    height.checked_rem(members).is_none_or(|rest| rest == 0)
}

/// The account of more than half of the committee.
///
/// # Errors
/// The store fails.
pub fn committee_address<S: Store + ?Sized>(store: &S) -> Read<UInt160> {
    let committee = committee(store)?;
    multisig(&committee, committee_threshold(committee.len()))
}

/// The account of as many of the committee as a recovery of funds needs.
pub(super) fn almost_full_committee_address<S: Store + ?Sized>(store: &S) -> Read<UInt160> {
    let committee = committee(store)?;
    let half = committee_threshold(committee.len()).max(1);
    multisig(&committee, half.max(committee.len().saturating_sub(2)))
}

fn multisig(keys: &[Key], threshold: usize) -> Read<UInt160> {
    let points = keys.iter().map(rows::point).collect::<Read<Vec<_>>>()?;
    let script = multisig_script(threshold, &points);
    script.map(|script| script_hash(&script)).ok_or(EngineError::State("no committee"))
}

/// Registered candidates whose accounts are not blocked, in order of their rows.
///
/// # Errors
/// The store fails.
pub fn candidates<S: Store + ?Sized>(store: &S) -> Read<Vec<Member>> {
    let prefix = key(CANDIDATE, &[]);
    let mut found = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    while let Some((row, value)) = store.seek(&prefix, after.as_deref(), false).map_err(EngineError::Store)? {
        if is_eligible(store, &row, &value)? {
            let key = row.last_chunk().copied().ok_or(EngineError::State("key of a candidate"))?;
            found.push((key, rows::decode_list(&value)?.int(1)?));
        }
        after = Some(row);
    }
    Ok(found)
}

/// True for the row of a candidate that is registered and not blocked.
pub(crate) fn is_eligible<S: Store + ?Sized>(store: &S, row: &[u8], value: &[u8]) -> Read<bool> {
    let key: &Key = row.last_chunk().ok_or(EngineError::State("key of a candidate"))?;
    Ok(rows::decode_list(value)?.flag(0)? && !policy::is_blocked(store, &account_of(key))?)
}

/// Votes for a registered candidate.
fn candidate_vote<S: Store + ?Sized>(store: &S, key: &Key) -> Read<Int> {
    let found = candidate(store, key)?.filter(|(registered, _)| *registered);
    Ok(found.map_or(Int::from(-1), |(_, votes)| votes))
}

fn compute_committee<S: Store + ?Sized>(store: &S, settings: &ProtocolSettings) -> Read<Vec<Member>> {
    let voters = read(store, VOTERS_COUNT, &[])?;
    let mut candidates = candidates(store)?;
    let size = settings.standby_committee.len();
    if voters.mul(&Int::from(5)) < Int::from(TOTAL_AMOUNT) || candidates.len() < size {
        let standby = settings.standby_committee.iter().map(PublicKey::to_bytes);
        return Ok(standby
            .map(|key| {
                let votes = candidates.iter().find(|(candidate, _)| *candidate == key);
                (key, votes.map(|(_, votes)| votes.clone()).unwrap_or_default())
            })
            .collect());
    }
    candidates.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| compare_keys(&a.0, &b.0)));
    candidates.truncate(size);
    Ok(candidates)
}

/// The first state.
pub(super) fn initialise<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let settings = engine.host.environment().settings.clone();
    let members: Vec<Member> =
        settings.standby_committee.iter().map(|key| (key.to_bytes(), Int::default())).collect();
    put_committee(&mut engine.host, &members);
    write(&mut engine.host, VOTERS_COUNT, &[], &Int::default());
    write(&mut engine.host, GAS_PER_BLOCK, &[&0_u32.to_be_bytes()], &Int::from(5 * GAS));
    write(&mut engine.host, REGISTER_PRICE, &[], &Int::from(1000 * GAS));
    let holder = crate::settings::bft_address(settings.standby_validators());
    Token::Neo.mint(engine, &holder, &Int::from(TOTAL_AMOUNT), false)
}

fn put_committee<S: Store>(host: &mut Application<S>, members: &[Member]) {
    let table: Vec<_> = members
        .iter()
        .map(|(key, votes)| vec![StackItem::bytes(*key), StackItem::Integer(votes.clone())])
        .collect();
    host.write(key(COMMITTEE, &[]), Some(rows::encode_table(&table)));
}

/// Chooses the committee anew where it is time.
pub(super) fn on_persist<S: Store>(engine: &mut Vm<S>, height: u32) -> Result<()> {
    let settings = engine.host.environment().settings.clone();
    if !refreshes_committee(height, settings.standby_committee.len()) {
        return Ok(());
    }
    let before = committee_with_votes(&engine.host)?;
    let now = compute_committee(&engine.host, &settings)?;
    put_committee(&mut engine.host, &now);
    let changed = !before.iter().map(|(key, _)| key).eq(now.iter().map(|(key, _)| key));
    if changed && engine.host.is_active(Hardfork::Cockatrice) {
        let lists = [before, now].map(|members| {
            let keys = members.iter().map(|(key, _)| StackItem::bytes(*key)).collect();
            engine.heap.new_array(keys)
        });
        let state = engine.heap.new_array(lists.to_vec());
        send_notification(engine, Token::Neo.hash(), "CommitteeChanged".to_owned(), &state)?;
    }
    Ok(())
}

/// Pays a member of the committee, and in blocks that choose it anew, the voters.
pub(super) fn post_persist<S: Store>(engine: &mut Vm<S>, height: u32) -> Result<()> {
    let settings = engine.host.environment().settings.clone();
    let members = u32::try_from(settings.standby_committee.len()).unwrap_or(u32::MAX);
    let validators = u32::try_from(settings.validators_count).unwrap_or(u32::MAX);
    let per_block = gas_per_block(&engine.host)?;
    let committee = committee_with_votes(&engine.host)?;
    let turn = height.checked_rem(members).and_then(|turn| usize::try_from(turn).ok());
    let (key, _) =
        turn.and_then(|turn| committee.get(turn)).ok_or(EngineError::State("no member of the committee"))?;
    let reward = divide(&per_block.mul(&Int::from(10)), 100);
    Token::Gas.mint(engine, &account_of(key), &reward, false)?;
    if !refreshes_committee(height, settings.standby_committee.len()) {
        return Ok(());
    }
    let each = per_block.mul(&Int::from(80)).mul(&Int::from(VOTE_FACTOR)).mul(&Int::from(members));
    let each = divide(&divide(&each, members.saturating_add(validators)), 100);
    for (index, (member, counted)) in committee.iter().enumerate() {
        let votes = if engine.host.is_active(Hardfork::Gorgon) {
            candidate_vote(&engine.host, member)?
        } else {
            counted.clone()
        };
        if votes.is_negative() || votes.is_zero() {
            continue;
        }
        let factor = if index < settings.validators_count { 2 } else { 1 };
        let reward = each.mul(&Int::from(factor)).div(&votes).unwrap_or_default();
        let sum = read(&engine.host, VOTER_REWARD, &[member])?.add(&reward);
        write(&mut engine.host, VOTER_REWARD, &[member], &sum);
    }
    Ok(())
}

/// Votes for a candidate, or for none. `None` when the account has no vote; else what pays it.
pub(super) fn vote<S: Store>(
    engine: &mut Vm<S>,
    account: &UInt160,
    to: Option<Key>,
) -> Result<Option<Option<Step>>> {
    let Some(mut state) = Token::Neo.account(&engine.host, account)? else { return Ok(None) };
    if state.balance.is_zero() {
        return Ok(None);
    }
    if let Some(to) = &to
        && candidate(&engine.host, to)?.is_none_or(|(registered, _)| !registered)
    {
        return Ok(None);
    }
    if state.vote.is_none() != to.is_none() {
        let voters = read(&engine.host, VOTERS_COUNT, &[])?;
        let voters =
            if state.vote.is_none() { voters.add(&state.balance) } else { voters.sub(&state.balance) };
        write(&mut engine.host, VOTERS_COUNT, &[], &voters);
    }
    let reward = pay(engine, account, &mut state)?;
    if let Some(old) = &state.vote {
        let (registered, votes) =
            candidate(&engine.host, old)?.ok_or(EngineError::State("no such candidate"))?;
        put_candidate(&mut engine.host, old, (registered, votes.sub(&state.balance)), true);
    }
    if let Some(new) = to.filter(|new| Some(*new) != state.vote) {
        state.last_gas_per_vote = read(&engine.host, VOTER_REWARD, &[&new])?;
    }
    let from = state.vote.take();
    state.vote = to;
    match &to {
        Some(new) => {
            let (registered, votes) = candidate(&engine.host, new)?.unwrap_or((true, Int::default()));
            put_candidate(&mut engine.host, new, (registered, votes.add(&state.balance)), false);
        }
        None => state.last_gas_per_vote = Int::default(),
    }
    Token::Neo.put(&mut engine.host, account, &state);
    let fields = vec![
        StackItem::bytes(account.0),
        rows::key_item(from.as_ref()),
        rows::key_item(to.as_ref()),
        StackItem::Integer(state.balance),
    ];
    notify(engine, "Vote", fields)?;
    Ok(Some(reward))
}

fn notify<S: Store>(engine: &mut Vm<S>, name: &str, fields: Vec<StackItem>) -> Result<()> {
    let state = engine.heap.new_array(fields);
    send_notification(engine, Token::Neo.hash(), name.to_owned(), &state)
}

fn register<S: Store>(engine: &mut Vm<S>, key: &PublicKey) -> Result<bool> {
    let key = key.to_bytes();
    if !has_agreed(engine, &account_of(&key))? {
        return Ok(false);
    }
    let (registered, votes) = candidate(&engine.host, &key)?.unwrap_or_default();
    if !registered {
        put_candidate(&mut engine.host, &key, (true, votes.clone()), false);
        let fields = vec![StackItem::bytes(key), StackItem::Boolean(true), StackItem::Integer(votes)];
        notify(engine, "CandidateStateChanged", fields)?;
    }
    Ok(true)
}

pub(super) fn register_candidate<S: Store>(engine: &mut Vm<S>, key: &PublicKey) -> Result<bool> {
    if !engine.host.is_active(Hardfork::Echidna) && !has_agreed(engine, &account_of(&key.to_bytes()))? {
        return Ok(false);
    }
    let price = register_price(&engine.host)?.to_u64().ok_or(EngineError::State("register price"))?;
    charge(engine, u128::from(price).saturating_mul(PICO))?;
    register(engine, key)
}

pub(super) fn unregister_candidate<S: Store>(engine: &mut Vm<S>, key: &PublicKey) -> Result<bool> {
    let key = key.to_bytes();
    if !has_agreed(engine, &account_of(&key))? {
        return Ok(false);
    }
    let Some((true, votes)) = candidate(&engine.host, &key)? else { return Ok(true) };
    put_candidate(&mut engine.host, &key, (false, votes.clone()), true);
    let fields = vec![StackItem::bytes(key), StackItem::Boolean(false), StackItem::Integer(votes)];
    notify(engine, "CandidateStateChanged", fields)?;
    Ok(true)
}

/// Registers whoever pays the price in GAS.
pub(super) fn on_payment<S: Store>(engine: &mut Vm<S>, amount: &Int, data: &StackItem) -> Result<()> {
    if calling_script(engine) != Some(Token::Gas.hash()) {
        return Err(EngineError::Argument("only GAS pays for a candidate").into());
    }
    if amount.to_i64().map(Int::from) != Some(register_price(&engine.host)?) {
        return Err(EngineError::Argument("not the price of a candidate").into());
    }
    let key = decode_key(&engine.heap.bytes_of(data)?)?;
    if !register(engine, &key)? {
        return Err(EngineError::Argument("the candidate has not agreed").into());
    }
    Token::Gas.burn(engine, &Token::Neo.hash(), amount)
}

pub(super) fn set_gas_per_block<S: Store>(engine: &mut Vm<S>, value: &Int) -> Result<()> {
    if value.is_negative() || *value > Int::from(10 * GAS) {
        return Err(EngineError::Argument("GAS per block out of range").into());
    }
    super::require_committee(engine)?;
    let block = engine.host.environment().block.ok_or(EngineError::Misplaced("no block"))?;
    let index = block.index.saturating_add(1);
    write(&mut engine.host, GAS_PER_BLOCK, &[&index.to_be_bytes()], value);
    Ok(())
}

pub(super) fn set_register_price<S: Store>(engine: &mut Vm<S>, price: i64) -> Result<()> {
    if price <= 0 {
        return Err(EngineError::Argument("the price must be positive").into());
    }
    super::require_committee(engine)?;
    write(&mut engine.host, REGISTER_PRICE, &[], &Int::from(price));
    Ok(())
}

pub(super) fn unclaimed<S: Store>(engine: &Vm<S>, account: &UInt160, end: u32) -> Result<Int> {
    let expected = match engine.host.environment().block {
        Some(block) => block.index,
        None => ledger::current_index(&engine.host)?.saturating_add(1),
    };
    if end != expected {
        return Err(EngineError::Argument("not the height of the next block").into());
    }
    Ok(unclaimed_gas(&engine.host, account, end)?)
}

pub(super) fn candidate_votes<S: Store>(engine: &Vm<S>, key: &PublicKey) -> Result<Int> {
    Ok(candidate_vote(&engine.host, &key.to_bytes())?)
}

/// The answer of `getCandidates`.
pub(super) fn candidate_list<S: Store>(engine: &mut Vm<S>) -> Result<StackItem> {
    let found = candidates(&engine.host)?;
    let found = found.into_iter().take(MAX_CANDIDATES);
    let items = found.map(|(key, votes)| {
        let fields = vec![StackItem::bytes(key), StackItem::Integer(votes)];
        engine.heap.new_struct(fields)
    });
    let items = items.collect();
    Ok(engine.heap.new_array(items))
}
