//! The proof that an account agrees. Mirrors `VerifyWitness` and the costs in `SmartContract/Helper.cs`.

use std::sync::Arc;

use neo_base::{
    UInt160, UInt256,
    account::{parse_multisig_script, parse_signature_script},
    ledger::{Transaction, Witness, sign_data},
};
use neo_contract::{
    CallFlags, ProtocolSettings,
    engine::{Application, Container, Environment, Store, Trigger, load_contract_method, load_script},
    manifest::ParameterType,
    native::{is_native, management},
};
use neo_crypto::secp256r1::PublicKey;
use neo_vm::{OpCode, Script, State};

use super::VerifyError;

/// Most gas that witnesses of one transaction or header may use together, in datoshi.
pub const MAX_VERIFICATION_GAS: u64 = 150_000_000;

/// Price of one check of a signature, without the fee factor.
const CHECK_PRICE: u64 = 1 << 15;

/// What is signed.
#[derive(Debug, Clone)]
pub enum Signed {
    /// A transaction.
    Transaction(Arc<Transaction>),
    /// A header or payload.
    Other {
        /// Its hash.
        hash: UInt256,
        /// Who must sign it.
        accounts: Vec<UInt160>,
    },
}

impl Signed {
    fn hash(&self) -> UInt256 {
        match self {
            Self::Transaction(transaction) => transaction.hash(),
            Self::Other { hash, .. } => *hash,
        }
    }

    fn container(&self) -> Container {
        match self {
            Self::Transaction(transaction) => Container::Transaction(transaction.clone()),
            Self::Other { hash, accounts } => Container::Other { hash: *hash, accounts: accounts.clone() },
        }
    }
}

/// A witness of a standard account: its keys, how many must sign, and the signatures.
pub(super) struct Standard<'a> {
    pub(super) threshold: usize,
    keys: Keys<'a>,
    signatures: Vec<&'a [u8; 64]>,
}

enum Keys<'a> {
    One(&'a [u8; 33]),
    Many(Vec<PublicKey>),
}

impl<'a> Standard<'a> {
    /// The parts of a witness in standard form.
    pub(super) fn parse(witness: &'a Witness) -> Option<Self> {
        let signatures = signatures(&witness.invocation)?;
        if let Some(key) = parse_signature_script(&witness.verification) {
            return (signatures.len() == 1).then_some(Self {
                threshold: 1,
                keys: Keys::One(key),
                signatures,
            });
        }
        let (threshold, keys) = parse_multisig_script(&witness.verification)?;
        (signatures.len() == threshold).then_some(Self { threshold, keys: Keys::Many(keys), signatures })
    }

    /// Number of keys; `None` for an account of one key.
    pub(super) fn keys(&self) -> Option<usize> {
        match &self.keys {
            Keys::One(_) => None,
            Keys::Many(keys) => Some(keys.len()),
        }
    }

    /// True when all signatures are good, in the order of the keys. `None` for a key that is no point.
    pub(super) fn verify(&self, message: &[u8]) -> Option<bool> {
        match &self.keys {
            Keys::One(key) => {
                let key = PublicKey::from_bytes(*key)?;
                Some(self.signatures.first().is_some_and(|signature| key.verify(message, signature)))
            }
            Keys::Many(keys) => {
                let mut keys = keys.iter();
                let all = self.signatures.iter().enumerate().all(|(index, signature)| {
                    let missing = self.signatures.len().saturating_sub(index);
                    loop {
                        if keys.len() < missing {
                            return false;
                        }
                        match keys.next() {
                            Some(key) if key.verify(message, signature) => return true,
                            Some(_) => {}
                            None => return false,
                        }
                    }
                });
                Some(all)
            }
        }
    }

    /// Gas that a check costs, without the fee factor.
    pub(super) fn cost(&self) -> u64 {
        let push = u64::from(OpCode::PUSHDATA1.price());
        match self.keys() {
            None => push.saturating_mul(2).saturating_add(CHECK_PRICE),
            Some(keys) => {
                let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
                let (m, n) = (count(self.threshold), count(keys));
                // numbers up to 16, of one byte and of two bytes cost the same to push
                push.saturating_mul(m.saturating_add(n))
                    .saturating_add(2)
                    .saturating_add(CHECK_PRICE.saturating_mul(n))
            }
        }
    }
}

/// The signatures of an invocation script that pushes nothing else.
fn signatures(mut script: &[u8]) -> Option<Vec<&[u8; 64]>> {
    let mut found = Vec::new();
    while let Some(rest) = script.strip_prefix(&[0x0c, 64]) {
        let (signature, rest) = rest.split_first_chunk()?;
        found.push(signature);
        script = rest;
    }
    script.is_empty().then_some(found)
}

/// Checks one witness; the gas it used, in datoshi, at most `gas`.
///
/// # Errors
/// The witness does not prove what it should, or the state cannot be read.
pub fn verify_witness<S: Store>(
    settings: &Arc<ProtocolSettings>,
    store: &S,
    signed: &Signed,
    account: &UInt160,
    witness: &Witness,
    gas: u64,
) -> Result<u64, VerifyError> {
    let refuse = |reason: &str| VerifyError::Witness { account: *account, reason: reason.to_owned() };
    let invocation = Script::new(witness.invocation.clone());
    invocation.check_strict().map_err(|_| refuse("the invocation script is malformed"))?;
    let environment = Environment {
        settings: settings.clone(),
        trigger: Trigger::Verification,
        container: Some(signed.container()),
        block: None,
        persisting: None,
        gas_limit: gas.min(MAX_VERIFICATION_GAS),
    };
    let mut engine = Application::engine(environment, store)?;
    if witness.verification.is_empty() {
        let contract = management::contract(store, account)?.ok_or_else(|| refuse("no such contract"))?;
        let method = contract.manifest.abi.method_named("verify");
        let method = method.filter(|method| method.return_type == ParameterType::Boolean);
        let method = method.ok_or_else(|| refuse("the contract does not verify"))?.clone();
        load_contract_method(&mut engine, contract, &method, CallFlags::READ_ONLY)
            .map_err(|fault| refuse(&fault.to_string()))?;
    } else {
        if is_native(account) {
            return Err(refuse("native contracts have no script"));
        }
        if witness.script_hash() != *account {
            return Err(refuse("the script is that of another account"));
        }
        let script = Script::new(witness.verification.clone());
        script.check_strict().map_err(|_| refuse("the verification script is malformed"))?;
        load_script(&mut engine, script, CallFlags::READ_ONLY).map_err(|fault| refuse(&fault.to_string()))?;
    }
    load_script(&mut engine, invocation, CallFlags::NONE).map_err(|fault| refuse(&fault.to_string()))?;
    if engine.run() != State::Halt {
        let fault = engine.fault().map(ToString::to_string).unwrap_or_default();
        return Err(refuse(&fault));
    }
    match engine.results() {
        [result] if result.to_bool().unwrap_or_default() => {
            Ok(u64::try_from(engine.host.gas_used()).unwrap_or(u64::MAX))
        }
        [_] => Err(refuse("it says no")),
        _ => Err(refuse("it leaves no single result")),
    }
}

/// What a standard witness signs.
pub(super) fn message(settings: &ProtocolSettings, signed: &Signed) -> [u8; 36] {
    sign_data(settings.network, &signed.hash())
}
