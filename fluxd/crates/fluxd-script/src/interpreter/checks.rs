//! Forms of signatures, public keys and pushes that the interpreter asks about.

use crate::{
    ecdsa,
    interpreter::{Flags, ScriptError},
    opcode, sighash,
};

/// Judges the form of a signature with its hash type. The empty signature is a compact way to fail and passes here.
pub(super) fn signature_form(signature: &[u8], flags: Flags) -> Result<(), ScriptError> {
    let Some((hash_type, der)) = signature.split_last() else {
        return Ok(());
    };
    if !is_strict_der(der) {
        return Err(ScriptError::SigDer);
    }
    if flags.has(Flags::LOW_S) && !ecdsa::has_low_s(der) {
        return Err(ScriptError::SigHighS);
    }
    let kind = i32::from(*hash_type) & !sighash::ANYONE_CAN_PAY;
    if flags.has(Flags::STRICT_ENC) && !(sighash::ALL..=sighash::SINGLE).contains(&kind) {
        return Err(ScriptError::SigHashType);
    }
    Ok(())
}

/// Judges the form of a public key.
pub(super) fn key_form(key: &[u8], flags: Flags) -> Result<(), ScriptError> {
    let known = matches!((key.first(), key.len()), (Some(4), 65) | (Some(2 | 3), 33));
    if flags.has(Flags::STRICT_ENC) && !known { Err(ScriptError::PubKeyType) } else { Ok(()) }
}

/// True when `code` is the shortest way to push `data`.
pub(super) fn is_minimal_push(data: &[u8], code: u8) -> bool {
    match (data, data.len()) {
        ([], _) => code == opcode::PUSH_EMPTY,
        ([small @ 1..=16], _) => code == opcode::PUSH_1 + (small - 1),
        ([0x81], _) => code == opcode::NEGATE_ONE,
        (_, length @ ..=75) => usize::from(code) == length,
        (_, ..=255) => code == opcode::PUSHDATA1,
        (_, ..=65_535) => code == opcode::PUSHDATA2,
        _ => true,
    }
}

/// `30 <length> 02 <length> <R> 02 <length> <S>` with positive integers in their shortest form (BIP 66), here without
/// the hash type.
#[must_use]
pub fn is_strict_der(der: &[u8]) -> bool {
    let [0x30, total, 0x02, r_length, rest @ ..] = der else {
        return false;
    };
    let Some((r, [0x02, s_length, s @ ..])) = rest.split_at_checked(usize::from(*r_length)) else {
        return false;
    };
    (8..=72).contains(&der.len())
        && usize::from(*total) + 2 == der.len()
        && usize::from(*s_length) == s.len()
        && [r, s].iter().all(|integer| match integer {
            [] => false,
            [0, next, ..] => next & 0x80 != 0,
            [first, ..] => first & 0x80 == 0,
        })
}
