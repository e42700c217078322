//! Accounts and signatures. Mirrors `ApplicationEngine.Crypto.cs` and the account services of
//! `ApplicationEngine.Contract.cs`.

use neo_base::{account, ledger::sign_data};
use neo_crypto::secp256r1::PublicKey;
use neo_vm::{Fault, Result};

use super::{ApplicationEngine, EngineError, Store, charge_execution, service::pop_byte_strings};
use crate::hardfork::Hardfork;

/// Price of one check of a signature.
const CHECK_PRICE: u64 = 1 << 15;

type Vm<S> = ApplicationEngine<S>;

pub(super) fn create_standard<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let key = decode_key(&engine.pop_bytes()?)?;
    let new = engine.host.is_active(Hardfork::Aspidochelone);
    charge_execution(engine, if new { CHECK_PRICE } else { 1 << 8 })?;
    engine.push_bytes(account::script_hash(&account::signature_script(&key)).0);
    Ok(())
}

pub(super) fn create_multisig<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let needed = engine.pop_i32()?;
    let keys = pop_byte_strings(engine)?.iter().map(|key| decode_key(key)).collect::<Result<Vec<_>>>()?;
    let new = engine.host.is_active(Hardfork::Aspidochelone);
    charge_execution(engine, if new { CHECK_PRICE.saturating_mul(count(&keys)) } else { 1 << 8 })?;
    let needed = usize::try_from(needed).map_err(|_| Fault::OutOfRange)?;
    let script = account::multisig_script(needed, &keys);
    let script = script.ok_or(EngineError::Argument("no account of so many signatures and keys"))?;
    engine.push_bytes(account::script_hash(&script).0);
    Ok(())
}

pub(super) fn check_sig<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let (key, signature) = (engine.pop_bytes()?, engine.pop_bytes()?);
    let message = message(engine)?;
    let valid = verify(&message, &signature, &key, engine.host.is_active(Hardfork::Gorgon))?;
    engine.push_bool(valid);
    Ok(())
}

pub(super) fn check_multisig<S: Store>(engine: &mut Vm<S>) -> Result<()> {
    let (keys, signatures) = (pop_byte_strings(engine)?, pop_byte_strings(engine)?);
    let message = message(engine)?;
    if keys.is_empty() || signatures.is_empty() || signatures.len() > keys.len() {
        return Err(EngineError::Argument("no signatures, or more than keys").into());
    }
    charge_execution(engine, CHECK_PRICE.saturating_mul(count(&keys)))?;
    let strict = engine.host.is_active(Hardfork::Gorgon);
    let mut keys = keys.iter();
    let mut valid = true;
    'signatures: for (index, signature) in signatures.iter().enumerate() {
        loop {
            // as many keys as signatures must be left
            if keys.len() < signatures.len().saturating_sub(index) {
                valid = false;
                break 'signatures;
            }
            let Some(key) = keys.next() else { break };
            if verify(&message, signature, key, strict)? {
                break;
            }
        }
    }
    engine.push_bool(valid);
    Ok(())
}

fn message<S: Store>(engine: &Vm<S>) -> Result<[u8; 36]> {
    let environment = &engine.host.environment;
    let container =
        environment.container.as_ref().ok_or(EngineError::Misplaced("nothing is being signed"))?;
    Ok(sign_data(environment.settings.network, &container.hash()))
}

/// Checks one signature. A key that is no point is a fault in all eras, a signature of another length than 64 bytes
/// is one from Gorgon.
fn verify(message: &[u8], signature: &[u8], key: &[u8], strict: bool) -> Result<bool> {
    let key = decode_key(key)?;
    match <[u8; 64]>::try_from(signature) {
        Ok(signature) => Ok(key.verify(message, &signature)),
        Err(_) if strict => Err(EngineError::Argument("a signature has 64 bytes").into()),
        Err(_) => Ok(false),
    }
}

fn decode_key(bytes: &[u8]) -> Result<PublicKey> {
    PublicKey::from_bytes(bytes).ok_or_else(|| EngineError::Argument("not a public key").into())
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}
