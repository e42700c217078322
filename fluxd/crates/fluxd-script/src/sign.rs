//! Unlocking scripts out of keys: one signature after the other, and two half-signed scripts made into one. Mirrors
//! `ProduceSignature` and `CombineSignatures` of `src/script/sign.cpp`; whether the result unlocks anything is for
//! [`verify_script`](crate::verify_script) to say.

use std::collections::{BTreeMap, BTreeSet};

use fluxd_primitives::{Hash160, PublicKey, Script, hash160};
use secp256k1::{Message, SecretKey};

use crate::{
    InputContext, Standard,
    instruction::{instructions, small_integer},
    opcode,
    sighash::{SignedInput, signature_hash},
};

/// Redeem scripts above are no element of a stack (`MAX_SCRIPT_ELEMENT_SIZE`).
const MAX_ELEMENT: usize = 520;

type Stack = Vec<Vec<u8>>;

/// A private key that is a scalar, with its public half.
#[derive(Clone)]
pub struct SigningKey {
    secret: SecretKey,
    public: PublicKey,
}

impl SigningKey {
    /// The key of 32 bytes; `None` where they are no scalar. `compressed` is the form of the public half.
    #[must_use]
    pub fn new(secret: [u8; 32], compressed: bool) -> Option<Self> {
        let secret = SecretKey::from_secret_bytes(secret).ok()?;
        let point = secp256k1::PublicKey::from_secret_key(&secret);
        let public = if compressed {
            PublicKey::from_serialized(&point.serialize())
        } else {
            PublicKey::from_serialized(&point.serialize_uncompressed())
        };
        Some(Self { secret, public })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A DER signature with a low S and the nonce of RFC 6979.
    #[must_use]
    pub fn sign(&self, hash: [u8; 32]) -> Vec<u8> {
        secp256k1::ecdsa::sign(Message::from_digest(hash), &self.secret).serialize_der().to_vec()
    }
}

/// Keys and redeem scripts to sign with.
#[derive(Clone, Default)]
pub struct Keyring {
    keys: BTreeMap<Hash160, SigningKey>,
    scripts: BTreeMap<Hash160, Vec<u8>>,
}

impl Keyring {
    /// Adds a key.
    pub fn add_key(&mut self, key: SigningKey) {
        self.keys.insert(key.public.id(), key);
    }

    /// Adds a redeem script; one that is too long to be pushed is left out.
    pub fn add_script(&mut self, script: Vec<u8>) {
        if script.len() <= MAX_ELEMENT {
            self.scripts.insert(hash160(&script), script);
        }
    }

    /// The unlocking script for an input, with as many signatures as there are keys for: empty where there is none.
    #[must_use]
    pub fn unlock(&self, script_pubkey: &[u8], input: &InputContext<'_>, hash_type: u8) -> Script {
        let (mut stack, solved) = self.step(script_pubkey, input, hash_type);
        if solved && matches!(Standard::of(script_pubkey), Some(Standard::ScriptHash(_))) {
            let redeem = stack.pop().unwrap_or_default();
            stack = self.step(&redeem, input, hash_type).0;
            stack.push(redeem);
        }
        push_all(&stack)
    }

    fn step(&self, script: &[u8], input: &InputContext<'_>, hash_type: u8) -> (Stack, bool) {
        let sign = |id: &Hash160| self.signature(id, script, input, hash_type);
        match Standard::of(script) {
            Some(Standard::PubKey(key)) => {
                let signature = sign(&PublicKey::from_serialized(&key).id());
                (signature.iter().cloned().collect(), signature.is_some())
            }
            Some(Standard::PubKeyHash(id)) => match (sign(&id), self.keys.get(&id)) {
                (Some(signature), Some(key)) => (vec![signature, key.public.as_bytes().to_vec()], true),
                _ => (Vec::new(), false),
            },
            Some(Standard::ScriptHash(id)) => {
                let redeem = self.scripts.get(&id);
                (redeem.cloned().into_iter().collect(), redeem.is_some())
            }
            Some(Standard::MultiSig { required, keys }) => {
                let required = usize::from(required);
                let ids = keys.iter().map(|key| PublicKey::from_serialized(key).id());
                let signatures: Stack = ids.filter_map(|id| sign(&id)).take(required).collect();
                let solved = signatures.len() == required;
                ([vec![Vec::new()], signatures].concat(), solved)
            }
            Some(Standard::NullData) | None => (Vec::new(), false),
        }
    }

    fn signature(
        &self,
        id: &Hash160,
        script_code: &[u8],
        input: &InputContext<'_>,
        hash_type: u8,
    ) -> Option<Vec<u8>> {
        let key = self.keys.get(id)?;
        let signed = SignedInput { index: input.index, script_code, amount: input.amount };
        let hash = signature_hash(input.tx, input.parts, Some(signed), i32::from(hash_type), input.branch_id);
        let mut signature = key.sign(hash.ok()?.0);
        signature.push(hash_type);
        Some(signature)
    }
}

/// One unlocking script out of two that may each hold a part of the signatures.
#[must_use]
pub fn combine(script_pubkey: &[u8], input: &InputContext<'_>, first: &Script, second: &Script) -> Script {
    push_all(&combine_stacks(script_pubkey, input, pushed(first), pushed(second)))
}

fn combine_stacks(script: &[u8], input: &InputContext<'_>, mut first: Stack, mut second: Stack) -> Stack {
    let nothing = |element: Option<&Vec<u8>>| element.is_none_or(Vec::is_empty);
    match Standard::of(script) {
        // Of what is not known the longer one.
        None | Some(Standard::NullData) => {
            if first.len() >= second.len() {
                first
            } else {
                second
            }
        }
        Some(Standard::PubKey(_) | Standard::PubKeyHash(_)) => {
            if nothing(first.first()) {
                second
            } else {
                first
            }
        }
        Some(Standard::ScriptHash(_)) => {
            if nothing(first.last()) {
                return second;
            }
            if nothing(second.last()) {
                return first;
            }
            let redeem = first.pop().unwrap_or_default();
            second.pop();
            let mut stack = combine_stacks(&redeem, input, first, second);
            stack.push(redeem);
            stack
        }
        Some(Standard::MultiSig { required, keys }) => {
            let all: BTreeSet<Vec<u8>> =
                first.into_iter().chain(second).filter(|element| !element.is_empty()).collect();
            merge_signatures(script, input, usize::from(required), &keys, all)
        }
    }
}

/// The signatures in the order of their keys; empty elements stand for those that are missing.
fn merge_signatures(
    script: &[u8],
    input: &InputContext<'_>,
    required: usize,
    keys: &[Vec<u8>],
    all: BTreeSet<Vec<u8>>,
) -> Stack {
    let mut by_key: BTreeMap<&Vec<u8>, Vec<u8>> = BTreeMap::new();
    for signature in all {
        let free = |key: &&Vec<u8>| !by_key.contains_key(*key);
        let of = keys.iter().filter(free).find(|key| input.check_signature(&signature, key, script));
        if let Some(key) = of {
            by_key.insert(key, signature);
        }
    }
    let mut stack = vec![Vec::new()];
    stack.extend(keys.iter().filter_map(|key| by_key.get(key).cloned()).take(required));
    stack.resize(required.saturating_add(1), Vec::new());
    stack
}

/// What the instructions of a script push, up to the first that does something else.
fn pushed(script: &Script) -> Stack {
    let mut stack = Vec::new();
    for instruction in instructions(script.as_bytes()) {
        let Ok(instruction) = instruction else { break };
        match instruction.opcode {
            opcode::PUSH_EMPTY..=opcode::PUSHDATA4 => stack.push(instruction.data.to_vec()),
            opcode::NEGATE_ONE => stack.push(vec![0x81]),
            code => match small_integer(code) {
                Some(number) => stack.push(vec![number]),
                None => break,
            },
        }
    }
    stack
}

fn push_all(stack: &[Vec<u8>]) -> Script {
    let mut script = Vec::new();
    for element in stack {
        push(&mut script, element);
    }
    Script(script)
}

/// Appends a push in its shortest form.
fn push(script: &mut Vec<u8>, element: &[u8]) {
    match (element, element.len()) {
        ([], _) => script.push(opcode::PUSH_EMPTY),
        ([number @ 1..=16], _) => script.push(opcode::PUSH_1.saturating_add(number.saturating_sub(1))),
        (_, length) => {
            if let Ok(length) = u8::try_from(length) {
                if length >= opcode::PUSHDATA1 {
                    script.push(opcode::PUSHDATA1);
                }
                script.push(length);
            } else if let Ok(length) = u16::try_from(length) {
                script.push(opcode::PUSHDATA2);
                script.extend(length.to_le_bytes());
            } else {
                script.push(opcode::PUSHDATA4);
                script.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
            }
            script.extend_from_slice(element);
        }
    }
}

#[cfg(test)]
mod tests {
    use fluxd_primitives::{Address, Amount, OutPoint, Transaction, TxId, TxIn, TxOut};

    use super::*;
    use crate::{Flags, SighashParts, instruction::pay_to, sighash, verify_script};

    fn key(number: u8) -> SigningKey {
        SigningKey::new([number; 32], number.is_multiple_of(2)).expect("a scalar")
    }

    fn transaction() -> Transaction {
        let input = TxIn {
            prevout: OutPoint { txid: TxId([7; 32]), index: 1 },
            script_sig: Script::default(),
            sequence: u32::MAX,
        };
        let output = TxOut { value: Amount::from_zat(5), script_pubkey: Script(vec![opcode::PUSH_1]) };
        Transaction { version: 1, inputs: vec![input], outputs: vec![output], ..Transaction::default() }
    }

    /// `2 <keys 1, 2, 3> 3 CHECKMULTISIG`.
    fn multisig() -> Vec<u8> {
        let mut script = vec![0x52];
        for number in 1..=3 {
            push(&mut script, key(number).public().as_bytes());
        }
        script.extend([0x53, opcode::CHECKMULTISIG]);
        script
    }

    #[test]
    fn what_is_signed_unlocks_every_standard_form() {
        let (tx, redeem) = (transaction(), multisig());
        let parts = SighashParts::new(&tx);
        let input =
            InputContext { tx: &tx, parts: &parts, index: 0, amount: Amount::from_zat(9), branch_id: 0 };
        let mut ring = Keyring::default();
        (1..=3).for_each(|number| ring.add_key(key(number)));
        ring.add_script(redeem.clone());
        let mut bare = Vec::new();
        push(&mut bare, key(1).public().as_bytes());
        bare.push(opcode::CHECKSIG);
        let addresses = [Address::PubkeyHash(key(2).public().id()), Address::ScriptHash(hash160(&redeem))];
        let mut locks: Vec<Vec<u8>> = addresses.iter().map(|address| pay_to(address).0).collect();
        locks.extend([bare, redeem]);
        for lock in &locks {
            for kind in [sighash::ALL, sighash::NONE, sighash::SINGLE | sighash::ANYONE_CAN_PAY] {
                let unlock = ring.unlock(lock, &input, u8::try_from(kind).expect("small"));
                assert_eq!(verify_script(&unlock.0, lock, Flags::POLICY, &input), Ok(()), "{lock:?}");
            }
            assert_eq!(
                Keyring::default().unlock(lock, &input, 1).0.iter().sum::<u8>(),
                0,
                "nothing to sign with"
            );
        }
    }

    #[test]
    fn two_halves_of_a_multisig_make_a_whole_in_either_order() {
        let (tx, redeem) = (transaction(), multisig());
        let parts = SighashParts::new(&tx);
        let input = InputContext { tx: &tx, parts: &parts, index: 0, amount: Amount::ZERO, branch_id: 0 };
        let lock = pay_to(&Address::ScriptHash(hash160(&redeem))).0;
        let half = |number| {
            let mut ring = Keyring::default();
            ring.add_key(key(number));
            ring.add_script(redeem.clone());
            ring.unlock(&lock, &input, 1)
        };
        let (one, three) = (half(1), half(3));
        assert!(verify_script(&one.0, &lock, Flags::POLICY, &input).is_err());
        for (first, second) in [(&one, &three), (&three, &one)] {
            let whole = combine(&lock, &input, first, second);
            assert_eq!(verify_script(&whole.0, &lock, Flags::POLICY, &input), Ok(()));
        }
        assert_eq!(combine(&lock, &input, &one, &Script::default()).0, one.0);
    }
}
