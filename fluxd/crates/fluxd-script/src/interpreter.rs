//! The script interpreter. Mirrors `EvalScript` and `VerifyScript` in `src/script/interpreter.cpp`: signatures are
//! always strict DER, there is no `CODESEPARATOR` and no removal of signatures from the script that is signed.

mod checks;
mod machine;

pub use checks::is_strict_der;

use std::ops::BitOr;

use fluxd_primitives::{Amount, PublicKey, Transaction};

use crate::{
    ecdsa,
    instruction::{is_push_only, script_hash},
    interpreter::machine::Machine,
    number,
    sighash::{SighashParts, SignedInput, signature_hash},
};

/// Lock times below are heights, at and above they are seconds since the epoch.
pub const LOCK_TIME_THRESHOLD: u32 = 500_000_000;

/// Rules that a caller can switch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// No optional rule.
    pub const NONE: Self = Self(0);
    /// Evaluate redeem scripts (BIP 16).
    pub const P2SH: Self = Self(1);
    /// Defined hash types and well-formed public keys.
    pub const STRICT_ENC: Self = Self(1 << 1);
    /// S in the lower half of its range.
    pub const LOW_S: Self = Self(1 << 3);
    /// The extra element of a multisig is empty.
    pub const NULL_DUMMY: Self = Self(1 << 4);
    /// The unlocking script only pushes.
    pub const SIG_PUSH_ONLY: Self = Self(1 << 5);
    /// Pushes and numbers in their shortest form.
    pub const MINIMAL_DATA: Self = Self(1 << 6);
    /// Unused NOPs fail.
    pub const DISCOURAGE_UPGRADABLE_NOPS: Self = Self(1 << 7);
    /// Exactly one element is left. Meaningful only with [`Flags::P2SH`].
    pub const CLEAN_STACK: Self = Self(1 << 8);
    /// `CHECKLOCKTIMEVERIFY` is enforced (BIP 65).
    pub const CHECK_LOCK_TIME: Self = Self(1 << 9);

    /// What blocks must satisfy, from genesis on.
    pub const CONSENSUS: Self = Self(Self::P2SH.0 | Self::CHECK_LOCK_TIME.0);
    /// What the memory pool asks for on top.
    pub const POLICY: Self = Self(
        Self::CONSENSUS.0
            | Self::STRICT_ENC.0
            | Self::LOW_S.0
            | Self::NULL_DUMMY.0
            | Self::MINIMAL_DATA.0
            | Self::DISCOURAGE_UPGRADABLE_NOPS.0
            | Self::CLEAN_STACK.0,
    );

    /// True when all rules of `other` are on.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Why a script failed; the variants are the `SCRIPT_ERR_*` codes of the reference, the texts those of `ScriptErrorString`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The last element is false, or there is none.
    #[error("Script evaluated without error but finished with a false/empty top stack element")]
    EvalFalse,
    /// A number is too long or not in its shortest form.
    #[error("unknown error")]
    Number,
    /// More than 10,000 bytes of script.
    #[error("Script is too big")]
    ScriptSize,
    /// More than 520 bytes in one push.
    #[error("Push value size limit exceeded")]
    PushSize,
    /// More than 201 operations.
    #[error("Operation limit exceeded")]
    OpCount,
    /// More than 1,000 elements.
    #[error("Stack size limit exceeded")]
    StackSize,
    /// More signatures than keys, or a negative number.
    #[error("Signature count negative or greater than pubkey count")]
    SigCount,
    /// More than 20 keys, or a negative number.
    #[error("Pubkey count negative or limit exceeded")]
    PubKeyCount,
    /// `VERIFY` of a false element.
    #[error("Script failed an OP_VERIFY operation")]
    Verify,
    /// `EQUALVERIFY` of different elements.
    #[error("Script failed an OP_EQUALVERIFY operation")]
    EqualVerify,
    /// `CHECKMULTISIGVERIFY` failed.
    #[error("Script failed an OP_CHECKMULTISIGVERIFY operation")]
    CheckMultiSigVerify,
    /// `CHECKSIGVERIFY` failed.
    #[error("Script failed an OP_CHECKSIGVERIFY operation")]
    CheckSigVerify,
    /// `NUMEQUALVERIFY` of different numbers.
    #[error("Script failed an OP_NUMEQUALVERIFY operation")]
    NumEqualVerify,
    /// An undefined or truncated instruction.
    #[error("Opcode missing or not understood")]
    BadOpcode,
    /// An instruction that is disabled even when it does not run.
    #[error("Attempted to use a disabled opcode")]
    DisabledOpcode,
    /// Too few elements.
    #[error("Operation not valid with the current stack size")]
    InvalidStackOperation,
    /// Too few elements on the other stack.
    #[error("Operation not valid with the current altstack size")]
    InvalidAltStackOperation,
    /// `IF` and `ENDIF` do not pair.
    #[error("Invalid OP_IF construction")]
    UnbalancedConditional,
    /// `RETURN` was reached.
    #[error("OP_RETURN was encountered")]
    OpReturn,
    /// [`Flags::STRICT_ENC`]: an undefined hash type.
    #[error("Signature hash type missing or not understood")]
    SigHashType,
    /// A signature that is not strict DER.
    #[error("Non-canonical DER signature")]
    SigDer,
    /// [`Flags::MINIMAL_DATA`]: a push with a longer opcode than needed.
    #[error("Data push larger than necessary")]
    MinimalData,
    /// The unlocking script of a P2SH output does more than push.
    #[error("Only non-push operators allowed in signatures")]
    SigPushOnly,
    /// [`Flags::LOW_S`]: S is in the upper half.
    #[error("Non-canonical signature: S value is unnecessarily high")]
    SigHighS,
    /// [`Flags::NULL_DUMMY`]: the extra element of a multisig is not empty.
    #[error("Dummy CHECKMULTISIG argument must be zero")]
    SigNullDummy,
    /// [`Flags::STRICT_ENC`]: a public key of no known form.
    #[error("Public key is neither compressed or uncompressed")]
    PubKeyType,
    /// [`Flags::CLEAN_STACK`]: more than one element is left.
    #[error("unknown error")]
    CleanStack,
    /// [`Flags::DISCOURAGE_UPGRADABLE_NOPS`]: an unused NOP.
    #[error("NOPx reserved for soft-fork upgrades")]
    DiscourageUpgradableNops,
    /// `CHECKLOCKTIMEVERIFY` of a negative number.
    #[error("Negative locktime")]
    NegativeLockTime,
    /// `CHECKLOCKTIMEVERIFY` of a lock time that the transaction does not reach.
    #[error("Locktime requirement not satisfied")]
    UnsatisfiedLockTime,
}

/// The input that a script unlocks: what signatures sign and lock times are compared with.
#[derive(Debug, Clone, Copy)]
pub struct InputContext<'a> {
    /// The spending transaction.
    pub tx: &'a Transaction,
    /// Its shared hashes.
    pub parts: &'a SighashParts,
    /// Index of the input.
    pub index: usize,
    /// Value of the output that is spent.
    pub amount: Amount,
    /// Consensus branch of the block that holds the transaction.
    pub branch_id: u32,
}

impl InputContext<'_> {
    /// True when `signature`, whose last byte is the hash type, signs this input with `key`.
    #[must_use]
    pub fn check_signature(&self, signature: &[u8], key: &[u8], script_code: &[u8]) -> bool {
        let key = PublicKey::from_serialized(key);
        let Some((hash_type, der)) = signature.split_last() else {
            return false;
        };
        let signed = SignedInput { index: self.index, script_code, amount: self.amount };
        let hash_type = i32::from(*hash_type);
        key.is_valid()
            && signature_hash(self.tx, self.parts, Some(signed), hash_type, self.branch_id)
                .is_ok_and(|hash| ecdsa::verify(&key, &hash.0, der))
    }

    /// True when the transaction cannot be mined before `lock_time`.
    fn check_lock_time(&self, lock_time: i64) -> bool {
        let threshold = i64::from(LOCK_TIME_THRESHOLD);
        let of_tx = i64::from(self.tx.lock_time);
        (of_tx < threshold) == (lock_time < threshold)
            && lock_time <= of_tx
            && self.tx.inputs.get(self.index).is_some_and(|input| input.sequence != u32::MAX)
    }
}

/// Runs the unlocking script, then the locking script, then a redeem script where there is one.
///
/// # Errors
/// The rule that failed.
pub fn verify_script(
    script_sig: &[u8],
    script_pubkey: &[u8],
    flags: Flags,
    context: &InputContext<'_>,
) -> Result<(), ScriptError> {
    if flags.has(Flags::SIG_PUSH_ONLY) && !is_push_only(script_sig) {
        return Err(ScriptError::SigPushOnly);
    }
    let mut stack = Machine::run(Vec::new(), script_sig, flags, context)?;
    let unlocked = if flags.has(Flags::P2SH) { stack.clone() } else { Vec::new() };
    stack = Machine::run(stack, script_pubkey, flags, context)?;
    require_true(&stack)?;

    if flags.has(Flags::P2SH) && script_hash(script_pubkey).is_some() {
        if !is_push_only(script_sig) {
            return Err(ScriptError::SigPushOnly);
        }
        stack = unlocked;
        let redeem_script = stack.pop().ok_or(ScriptError::EvalFalse)?;
        stack = Machine::run(stack, &redeem_script, flags, context)?;
        require_true(&stack)?;
    }
    if flags.has(Flags::CLEAN_STACK) && stack.len() != 1 {
        return Err(ScriptError::CleanStack);
    }
    Ok(())
}

fn require_true(stack: &[Vec<u8>]) -> Result<(), ScriptError> {
    match stack.last() {
        Some(top) if number::truth(top) => Ok(()),
        _ => Err(ScriptError::EvalFalse),
    }
}

#[cfg(test)]
mod tests {
    use fluxd_primitives::{OutPoint, Script, TxId, TxIn};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_script_makes_the_interpreter_panic(
            script_sig in proptest::collection::vec(any::<u8>(), 0..80),
            script_pubkey in proptest::collection::vec(prop_oneof![any::<u8>(), 0x4f_u8..0xba], 0..80),
            flags in any::<u32>(),
        ) {
            let tx = Transaction {
                version: 1,
                inputs: vec![TxIn {
                    prevout: OutPoint { txid: TxId([1; 32]), index: 0 },
                    script_sig: Script::default(),
                    sequence: 0,
                }],
                ..Transaction::default()
            };
            let parts = SighashParts::new(&tx);
            let context = InputContext { tx: &tx, parts: &parts, index: 0, amount: Amount::ZERO, branch_id: 0 };
            let strict = verify_script(&script_sig, &script_pubkey, Flags(flags) | Flags::CONSENSUS, &context);
            let loose = verify_script(&script_sig, &script_pubkey, Flags::CONSENSUS, &context);
            prop_assert!(strict.is_err() || loose.is_ok(), "an optional rule cannot make a script pass");
        }
    }
}
