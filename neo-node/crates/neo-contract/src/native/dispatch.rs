//! Which code stands for which method. Mirrors the methods with `ContractMethod` attributes in `Native/*.cs`.

use neo_base::Int;
use neo_vm::{Result, StackItem};

use super::{
    ContractId, Method, Native, Vm,
    arguments::Arguments,
    crypto_lib, integer, ledger, management, neo, notary, oracle, policy, push_steps, require_committee,
    role::{self, Role},
    rows::{self, Key},
    std_lib,
    token::{self, Token},
};
use crate::{
    engine::{EngineError, FEE_FACTOR, Only, Store, has_agreed, native_iterator},
    hardfork::Hardfork,
};

/// Options of searches that native contracts offer.
const KEYS_ONLY: u8 = 1;
const REMOVE_PREFIX: u8 = 2;
const VALUES_ONLY: u8 = 4;
const DESERIALIZE: u8 = 8;
const FIELD_1: u8 = 32;

type Answer = Result<Option<StackItem>>;

/// Runs a method; the answer is what lies on the stack in the end, unless steps that it leaves behind set another.
pub(super) fn invoke<S: Store>(
    engine: &mut Vm<S>,
    native: &'static Native,
    method: &'static Method,
    items: &[StackItem],
) -> Answer {
    match native.id {
        ContractId::MANAGEMENT => management_method(engine, method.name, items),
        ContractId::LEDGER => ledger_method(engine, method.name, items),
        ContractId::NEO => match token_method(engine, Token::Neo, method.name, items)? {
            Some(answer) => Ok(Some(answer)),
            None => neo_method(engine, method.name, items),
        },
        ContractId::GAS => token_method(engine, Token::Gas, method.name, items),
        ContractId::POLICY => policy_method(engine, method.name, items),
        ContractId::ROLE_MANAGEMENT => role_method(engine, method.name, items),
        ContractId::ORACLE => oracle_method(engine, method.name, items),
        ContractId::NOTARY => notary_method(engine, method.name, items),
        ContractId::TREASURY => treasury_method(engine, method.name, items),
        _ => library_method(engine, native.name, method, items).map(Some),
    }
}

fn library_method<S: Store>(
    engine: &mut Vm<S>,
    contract: &'static str,
    method: &'static Method,
    items: &[StackItem],
) -> Result<StackItem> {
    if contract == "CryptoLib" {
        let result = crypto_lib::invoke(&engine.heap, method, items);
        return result.map_err(|err| EngineError::Native(err.into()).into());
    }
    let exact_numbers = !engine.host.is_active(Hardfork::Basilisk);
    let result = std_lib::invoke(&mut engine.heap, method, items, exact_numbers);
    result.map_err(|err| EngineError::Native(err.into()).into())
}

fn boolean(value: bool) -> Answer {
    Ok(Some(StackItem::Boolean(value)))
}

fn number(value: impl Into<Int>) -> Answer {
    integer(value.into()).map(Some)
}

fn keys<S: Store>(engine: &mut Vm<S>, keys: Vec<Key>) -> Answer {
    let items = keys.into_iter().map(StackItem::bytes).collect();
    Ok(Some(engine.heap.new_array(items)))
}

fn unknown(contract: &'static str, method: &'static str) -> Answer {
    Err(EngineError::NoMethod(format!("{contract}.{method}")).into())
}

/// Methods of both tokens; `None` for another one.
fn token_method<S: Store>(engine: &mut Vm<S>, token: Token, name: &str, items: &[StackItem]) -> Answer {
    let input = Arguments { heap: &engine.heap, items };
    match name {
        "symbol" => Ok(Some(StackItem::bytes(if token == Token::Neo { *b"NEO" } else { *b"GAS" }))),
        "decimals" => number(if token == Token::Neo { 0 } else { 8 }),
        "totalSupply" => number(token.total_supply(&engine.host)?),
        "balanceOf" => {
            let account = token.account(&engine.host, &input.account(0)?)?;
            number(account.map(|account| account.balance).unwrap_or_default())
        }
        "transfer" => {
            let accounts = (input.account(0)?, input.account(1)?);
            let (amount, data) = (input.int(2)?, input.item(3)?);
            boolean(token.transfer(engine, accounts, &amount, data)?)
        }
        _ => Ok(None),
    }
}

fn neo_method<S: Store>(engine: &mut Vm<S>, name: &'static str, items: &[StackItem]) -> Answer {
    let input = Arguments { heap: &engine.heap, items };
    match name {
        "getAccountState" => {
            let Some(account) = token::neo_account(&engine.host, &input.account(0)?)? else {
                return Ok(Some(StackItem::Null));
            };
            let fields = vec![
                StackItem::Integer(account.balance),
                StackItem::int(account.balance_height),
                rows::key_item(account.vote.as_ref()),
                StackItem::Integer(account.last_gas_per_vote),
            ];
            Ok(Some(engine.heap.new_struct(fields)))
        }
        "getAllCandidates" => {
            let prefix = rows::key(ContractId::NEO, neo::CANDIDATE, &[]);
            let options = REMOVE_PREFIX | DESERIALIZE | FIELD_1;
            Ok(Some(native_iterator(prefix, options, Only::Candidates)))
        }
        "getCandidateVote" => number(neo::candidate_votes(engine, &input.key(0)?)?),
        "getCandidates" => neo::candidate_list(engine).map(Some),
        "getCommittee" => {
            let committee = neo::committee(&engine.host)?;
            keys(engine, committee)
        }
        "getCommitteeAddress" => Ok(Some(StackItem::bytes(neo::committee_address(&engine.host)?.0))),
        "getNextBlockValidators" => {
            let validators = neo::next_validators(&engine.host, &engine.host.environment().settings)?;
            keys(engine, validators)
        }
        "getGasPerBlock" => number(neo::gas_per_block(&engine.host)?),
        "getRegisterPrice" => number(neo::register_price(&engine.host)?),
        "setGasPerBlock" => {
            let value = input.int(0)?;
            neo::set_gas_per_block(engine, &value).map(|()| None)
        }
        "setRegisterPrice" => {
            let price = input.number(0)?;
            neo::set_register_price(engine, price).map(|()| None)
        }
        "unclaimedGas" => {
            let (account, end) = (input.account(0)?, input.number(1)?);
            number(neo::unclaimed(engine, &account, end)?)
        }
        "onNEP17Payment" => {
            input.account(0)?;
            let (amount, data) = (input.int(1)?, input.item(2)?);
            neo::on_payment(engine, &amount, data).map(|()| None)
        }
        "registerCandidate" => {
            let key = input.key(0)?;
            boolean(neo::register_candidate(engine, &key)?)
        }
        "unregisterCandidate" => {
            let key = input.key(0)?;
            boolean(neo::unregister_candidate(engine, &key)?)
        }
        "vote" => {
            let (account, to) = (input.account(0)?, input.key_or_null(1)?);
            if !has_agreed(engine, &account)? {
                return boolean(false);
            }
            let voted = neo::vote(engine, &account, to.map(|key| key.to_bytes()))?;
            let counted = voted.is_some();
            push_steps(engine, voted.flatten());
            boolean(counted)
        }
        _ => unknown("NeoToken", name),
    }
}

fn management_method<S: Store>(engine: &mut Vm<S>, name: &'static str, items: &[StackItem]) -> Answer {
    let input = Arguments { heap: &engine.heap, items };
    let data = items.get(2).unwrap_or(&StackItem::Null);
    match name {
        "deploy" => {
            let (nef, manifest) = (input.bytes(0)?, input.bytes(1)?);
            management::deploy(engine, &nef, &manifest, data).map(|()| None)
        }
        "update" => {
            let (nef, manifest) = (input.bytes_or_null(0)?, input.bytes_or_null(1)?);
            management::update(engine, nef.as_deref(), manifest.as_deref(), data).map(|()| None)
        }
        "destroy" => management::destroy(engine).map(|()| None),
        "getContract" => {
            let hash = input.account(0)?;
            management::contract_item(engine, Some(hash)).map(Some)
        }
        "getContractById" => {
            let hash = management::contract_hash_by_id(&engine.host, input.number(0)?)?;
            management::contract_item(engine, hash).map(Some)
        }
        "getContractHashes" => {
            let prefix = rows::key(ContractId::MANAGEMENT, management::CONTRACT_HASH, &[]);
            Ok(Some(native_iterator(prefix, REMOVE_PREFIX, Only::Deployed)))
        }
        "getMinimumDeploymentFee" => number(management::minimum_fee(&engine.host)?),
        "setMinimumDeploymentFee" => {
            let value = input.int(0)?;
            management::set_minimum_fee(engine, &value).map(|()| None)
        }
        "hasMethod" => {
            let (hash, method, count) = (input.account(0)?, input.text(1)?, input.number(2)?);
            boolean(management::has_method(engine, &hash, &method, count)?)
        }
        "isContract" => boolean(management::is_contract(&engine.host, &input.account(0)?)?),
        _ => unknown("ContractManagement", name),
    }
}

fn ledger_method<S: Store>(engine: &mut Vm<S>, name: &'static str, items: &[StackItem]) -> Answer {
    let input = Arguments { heap: &engine.heap, items };
    match name {
        "currentHash" => {
            let current = ledger::current(&engine.host)?.ok_or(EngineError::State("no current block"))?;
            Ok(Some(StackItem::bytes(current.0.0)))
        }
        "currentIndex" => number(ledger::current_index(&engine.host)?),
        "getBlock" => {
            let which = input.bytes(0)?;
            ledger::get_block(engine, &which).map(Some)
        }
        "getTransactionFromBlock" => {
            let (which, index) = (input.bytes(0)?, input.number(1)?);
            ledger::get_transaction_from_block(engine, &which, index).map(Some)
        }
        _ => {
            let hash = input.hash(0)?;
            ledger::get_transaction(engine, name, &hash).map(Some)
        }
    }
}

fn policy_method<S: Store>(engine: &mut Vm<S>, name: &'static str, items: &[StackItem]) -> Answer {
    let input = Arguments { heap: &engine.heap, items };
    match name {
        "getFeePerByte" => number(policy::fee_per_byte(&engine.host)?),
        "getExecFeeFactor" => {
            let stored = policy::stored_exec_fee_factor(&engine.host)?;
            number(if engine.host.is_active(Hardfork::Faun) { stored / FEE_FACTOR } else { stored })
        }
        "getExecPicoFeeFactor" => number(policy::stored_exec_fee_factor(&engine.host)?),
        "getStoragePrice" => number(policy::storage_price(&engine.host)?),
        "getMillisecondsPerBlock" | "getMaxValidUntilBlockIncrement" | "getMaxTraceableBlocks" => {
            number(policy::stored_setting(&engine.host, name)?)
        }
        "getAttributeFee" => number(policy::get_attribute_fee(&engine.host, input.number(0)?)?),
        "setAttributeFee" => {
            let (kind, value) = (input.number(0)?, input.number(1)?);
            policy::set_attribute_fee(engine, kind, value).map(|()| None)
        }
        "isBlocked" => boolean(policy::is_blocked(&engine.host, &input.account(0)?)?),
        "blockAccount" => {
            let account = input.account(0)?;
            require_committee(engine)?;
            boolean(policy::block(engine, &account)?)
        }
        "unblockAccount" => {
            let account = input.account(0)?;
            boolean(policy::unblock(engine, &account)?)
        }
        "getBlockedAccounts" => {
            let prefix = rows::key(ContractId::POLICY, policy::BLOCKED, &[]);
            Ok(Some(native_iterator(prefix, REMOVE_PREFIX | KEYS_ONLY, Only::All)))
        }
        "getWhitelistFeeContracts" => {
            let prefix = rows::key(ContractId::POLICY, policy::WHITELIST, &[]);
            let options = REMOVE_PREFIX | VALUES_ONLY | DESERIALIZE;
            Ok(Some(native_iterator(prefix, options, Only::All)))
        }
        "setWhitelistFeeContract" => {
            let (hash, method) = (input.account(0)?, input.text(1)?);
            let (count, fee) = (input.number(2)?, input.number(3)?);
            policy::set_whitelist(engine, &hash, &method, count, fee).map(|()| None)
        }
        "removeWhitelistFeeContract" => {
            let (hash, method, count) = (input.account(0)?, input.text(1)?, input.number(2)?);
            policy::remove_whitelist(engine, &hash, &method, count).map(|()| None)
        }
        "recoverFund" => {
            let (account, token) = (input.account(0)?, input.account(1)?);
            policy::recover(engine, &account, &token).map(|()| None)
        }
        _ => {
            let value = input.int(0)?;
            policy::set(engine, name, &value).map(|()| None)
        }
    }
}

fn role_method<S: Store>(engine: &mut Vm<S>, name: &'static str, items: &[StackItem]) -> Answer {
    let input = Arguments { heap: &engine.heap, items };
    let role = input.number(0)?;
    if name == "designateAsRole" {
        let nodes = input.keys(1)?;
        return role::designate(engine, role, &nodes).map(|()| None);
    }
    let index = input.number(1)?;
    let role = Role::from_byte(role).ok_or(EngineError::Argument("no such role"))?;
    let nodes = role::designated(&engine.host, role, index)?;
    keys(engine, nodes)
}

fn oracle_method<S: Store>(engine: &mut Vm<S>, name: &'static str, items: &[StackItem]) -> Answer {
    let input = Arguments { heap: &engine.heap, items };
    match name {
        "finish" => oracle::finish(engine).map(|()| None),
        "getPrice" => number(oracle::price(&engine.host)?),
        "setPrice" => {
            let price = input.number(0)?;
            oracle::set_price(engine, price).map(|()| None)
        }
        "request" => {
            let question = oracle::Question {
                url: input.text(0)?,
                filter: input.text_or_null(1)?,
                callback: input.text(2)?,
                data: input.item(3)?.clone(),
                gas: input.number(4)?,
            };
            oracle::ask(engine, &question).map(|()| None)
        }
        "verify" => boolean(oracle::verify(engine)),
        _ => unknown("OracleContract", name),
    }
}

fn notary_method<S: Store>(engine: &mut Vm<S>, name: &'static str, items: &[StackItem]) -> Answer {
    let input = Arguments { heap: &engine.heap, items };
    match name {
        "balanceOf" => {
            let deposit = notary::deposit(&engine.host, &input.account(0)?)?;
            number(deposit.map(|deposit| deposit.amount).unwrap_or_default())
        }
        "expirationOf" => {
            let deposit = notary::deposit(&engine.host, &input.account(0)?)?;
            number(deposit.map_or(0, |deposit| deposit.till))
        }
        "getMaxNotValidBeforeDelta" => number(notary::max_delta(&engine.host)?),
        "setMaxNotValidBeforeDelta" => {
            let value = input.number(0)?;
            notary::set_max_delta(engine, value).map(|()| None)
        }
        "lockDepositUntil" => {
            let (account, till) = (input.account(0)?, input.number(1)?);
            boolean(notary::lock(engine, &account, till)?)
        }
        "onNEP17Payment" => {
            let (from, amount, data) = (input.account(0)?, input.int(1)?, input.item(2)?);
            notary::on_payment(engine, from, &amount, data).map(|()| None)
        }
        "verify" => {
            let signature = input.bytes(0)?;
            boolean(notary::verify(engine, Some(&signature))?)
        }
        "withdraw" => {
            let (from, to) = (input.account(0)?, input.account_or_null(1)?);
            boolean(notary::withdraw(engine, &from, to)?)
        }
        _ => unknown("Notary", name),
    }
}

fn treasury_method<S: Store>(engine: &mut Vm<S>, name: &'static str, items: &[StackItem]) -> Answer {
    let input = Arguments { heap: &engine.heap, items };
    match name {
        "verify" => {
            let committee = neo::committee_address(&engine.host)?;
            boolean(has_agreed(engine, &committee)?)
        }
        "onNEP17Payment" => input.account(0).and_then(|_| input.int(1)).map(|_| None),
        "onNEP11Payment" => {
            input.account(0)?;
            input.int(1)?;
            input.bytes(2).map(|_| None)
        }
        _ => unknown("Treasury", name),
    }
}
