//! Who has agreed to what is executed. Mirrors `CheckWitness` of `ApplicationEngine.Runtime.cs`, `Payloads/Signer.cs`
//! and `Payloads/Conditions`.

use neo_base::{
    UInt160,
    account::{script_hash, signature_script},
    codec::Wire,
    ledger::{Attribute, Condition, RuleAction, Scopes, Signer, Transaction},
};
use neo_crypto::secp256r1::PublicKey;
use neo_vm::{Heap, Result, StackItem};

use super::{ApplicationEngine, Container, EngineError, LEDGER, Store, current, require, storage_key};
use crate::{binary, flags::CallFlags};

const ORACLE: i32 = -9;

type Vm<S> = ApplicationEngine<S>;

pub(super) fn check_witness<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let bytes = engine.pop_bytes()?;
    let hash = match bytes.len() {
        20 => UInt160::from_slice(&bytes),
        33 => PublicKey::from_bytes(&bytes).map(|key| script_hash(&signature_script(&key))),
        _ => None,
    };
    let hash = hash.ok_or(EngineError::Argument("neither an account nor a public key"))?;
    let agreed = has_agreed(engine, &hash)?;
    engine.push_bool(agreed);
    Ok(())
}

/// True when the account has agreed to what the executing script does.
pub(crate) fn has_agreed<S: Store>(engine: &mut Vm<S>, account: &UInt160) -> Result<bool> {
    if current(engine)?.caller == Some(*account) {
        return Ok(true);
    }
    match engine.host.environment.container.clone() {
        None => Ok(false),
        Some(Container::Other { accounts, .. }) => {
            require(engine, CallFlags::READ_STATES)?;
            Ok(accounts.contains(account))
        }
        Some(Container::Transaction(transaction)) => {
            let response = transaction.body().attributes.iter().find_map(|attribute| match attribute {
                Attribute::OracleResponse { id, .. } => Some(*id),
                _ => None,
            });
            let signers = match response {
                Some(id) => signers_of_request(engine, id)?,
                None => transaction.body().signers.clone(),
            };
            match signers.iter().find(|signer| signer.account == *account) {
                Some(signer) => allows(engine, signer),
                None => Ok(false),
            }
        }
    }
}

fn allows<S: Store>(engine: &mut Vm<S>, signer: &Signer) -> Result<bool> {
    if signer.scopes == Scopes::GLOBAL {
        return Ok(true);
    }
    if signer.scopes.contains(Scopes::CALLED_BY_ENTRY) && matches(engine, &Condition::CalledByEntry)? {
        return Ok(true);
    }
    if signer.scopes.contains(Scopes::CUSTOM_CONTRACTS)
        && signer.allowed_contracts.contains(&current(engine)?.hash)
    {
        return Ok(true);
    }
    if signer.scopes.contains(Scopes::CUSTOM_GROUPS) {
        for group in &signer.allowed_groups {
            if matches(engine, &Condition::Group(*group))? {
                return Ok(true);
            }
        }
    }
    if signer.scopes.contains(Scopes::WITNESS_RULES) {
        for rule in &signer.rules {
            if matches(engine, &rule.condition)? {
                return Ok(rule.action == RuleAction::Allow);
            }
        }
    }
    Ok(false)
}

/// Nesting is bounded by the decoder of conditions.
fn matches<S: Store>(engine: &mut Vm<S>, condition: &Condition) -> Result<bool> {
    Ok(match condition {
        Condition::Boolean(value) => *value,
        Condition::Not(inner) => !matches(engine, inner)?,
        Condition::And(all) => {
            for part in all {
                if !matches(engine, part)? {
                    return Ok(false);
                }
            }
            true
        }
        Condition::Or(any) => {
            for part in any {
                if matches(engine, part)? {
                    return Ok(true);
                }
            }
            false
        }
        Condition::ScriptHash(hash) => current(engine)?.hash == *hash,
        Condition::CalledByContract(hash) => current(engine)?.caller == Some(*hash),
        Condition::CalledByEntry => {
            // the caller lies directly below
            let mut states = engine.states().rev();
            let called = states.next().is_some_and(|state| state.is_called());
            !called || states.next().is_none_or(|caller| !caller.is_called())
        }
        Condition::Group(key) => {
            let hash = Some(current(engine)?.hash);
            is_in_group(engine, hash, key)?
        }
        Condition::CalledByGroup(key) => {
            let hash = current(engine)?.caller;
            is_in_group(engine, hash, key)?
        }
    })
}

fn is_in_group<S: Store>(engine: &mut Vm<S>, hash: Option<UInt160>, key: &PublicKey) -> Result<bool> {
    require(engine, CallFlags::READ_STATES)?;
    let Some(hash) = hash else { return Ok(false) };
    let contract = engine.host.contract(&hash)?;
    Ok(contract.is_some_and(|contract| contract.state.manifest.groups.iter().any(|group| group.key == *key)))
}

/// The signers of the transaction that asked the oracle.
fn signers_of_request<S: Store>(engine: &Vm<S>, id: u64) -> Result<Vec<Signer>> {
    let unknown = || EngineError::State("no oracle request, or not its transaction");
    let field = |key: Vec<u8>, index: usize| -> Result<Vec<u8>> {
        let bytes = engine.host.read(&key)?.ok_or_else(unknown)?;
        let mut heap = Heap::default();
        let item = binary::deserialize(&mut heap, &bytes).map_err(|_| unknown())?;
        let fields = item.compound().map(|id| heap.list(id)).unwrap_or_default();
        heap.bytes_of(fields.get(index).unwrap_or(&StackItem::Null))
    };
    let asked_by = field(storage_key(ORACLE, &[&[7][..], &id.to_be_bytes()].concat()), 0)?;
    let transaction = field(storage_key(LEDGER, &[&[11][..], &asked_by].concat()), 1)?;
    let transaction = Transaction::from_bytes(&transaction).map_err(|_| unknown())?;
    Ok(transaction.body().signers.clone())
}
