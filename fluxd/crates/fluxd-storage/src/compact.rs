//! The short forms that the C++ node uses on disk only: variable-length numbers, amounts without their zeros, scripts
//! without their opcodes. Mirrors `VARINT` of `src/serialize.h` and `src/compressor.{h,cpp}`.

use fluxd_primitives::{
    Address, Amount, Script, TxOut,
    codec::{Reader, Writer},
};
use fluxd_script::{
    instruction::{pay_to, pubkey_hash, script_hash},
    opcode,
};
use secp256k1::PublicKey;

use crate::error::RowError;

/// Script forms that have a number of their own; the length of every other script is stored above it.
const SPECIAL_SCRIPTS: usize = 6;
/// A longer script is stored, but reads back as one that nobody can spend.
const MAX_SCRIPT_SIZE: usize = 10_000;
/// Decimal zeros that an amount may leave out.
const MAX_EXPONENT: u64 = 9;

/// Appends a number in base 128, most significant digit first, where every digit but the last counts from one.
pub fn put_varint(writer: &mut Writer, mut value: u64) {
    let mut digits = vec![low_bits(value)];
    while value > 0x7f {
        value = (value >> 7) - 1;
        digits.push(low_bits(value) | 0x80);
    }
    digits.reverse();
    writer.put(&digits);
}

/// Reads a number.
///
/// # Errors
/// The bytes end, or the number does not fit into 64 bits.
pub fn varint(reader: &mut Reader<'_>) -> Result<u64, RowError> {
    let mut value = 0_u64;
    loop {
        let digit = reader.u8()?;
        value = value.checked_mul(128).ok_or(RowError::Number)? | u64::from(digit & 0x7f);
        if digit & 0x80 == 0 {
            return Ok(value);
        }
        value = value.checked_add(1).ok_or(RowError::Number)?;
    }
}

/// Reads a number of 32 bits.
///
/// # Errors
/// The bytes end, or the number does not fit into 32 bits.
pub fn varint_u32(reader: &mut Reader<'_>) -> Result<u32, RowError> {
    u32::try_from(varint(reader)?).map_err(|_| RowError::Number)
}

/// Appends an output.
pub fn put_output(writer: &mut Writer, output: &TxOut) {
    put_varint(writer, compress_amount(output.value.zat().cast_unsigned()));
    put_script(writer, &output.script_pubkey.0);
}

/// Reads an output.
///
/// # Errors
/// The bytes are not an output.
pub fn output(reader: &mut Reader<'_>) -> Result<TxOut, RowError> {
    let value = Amount::from_zat(decompress_amount(varint(reader)?).cast_signed());
    Ok(TxOut { value, script_pubkey: Script(script(reader)?) })
}

fn low_bits(value: u64) -> u8 {
    let [low, ..] = value.to_le_bytes();
    low & 0x7f
}

/// Amounts wrap where the reference wraps: above a tenth of 2^64, which no valid output reaches.
fn compress_amount(amount: u64) -> u64 {
    let (mut rest, mut exponent) = (amount, 0_u64);
    if rest == 0 {
        return 0;
    }
    while rest.is_multiple_of(10) && exponent < MAX_EXPONENT {
        rest /= 10;
        exponent += 1;
    }
    let body = if exponent < MAX_EXPONENT {
        (rest / 10).wrapping_mul(9).wrapping_add(rest % 10 - 1)
    } else {
        rest - 1
    };
    body.wrapping_mul(10).wrapping_add(exponent).wrapping_add(1)
}

fn decompress_amount(compressed: u64) -> u64 {
    let Some(rest) = compressed.checked_sub(1) else {
        return 0;
    };
    let (exponent, rest) = (rest % 10, rest / 10);
    let mantissa = if exponent < MAX_EXPONENT {
        (rest / 9).wrapping_mul(10).wrapping_add(rest % 9 + 1)
    } else {
        rest.wrapping_add(1)
    };
    (0..exponent).fold(mantissa, |amount, _| amount.wrapping_mul(10))
}

fn put_script(writer: &mut Writer, script: &[u8]) {
    if let Some(hash) = pubkey_hash(script) {
        writer.u8(0).put(&hash.0);
    } else if let Some(hash) = script_hash(script) {
        writer.u8(1).put(&hash.0);
    } else if let Some((selector, x)) = plain_key(script) {
        writer.u8(selector).put(x);
    } else {
        let length = script.len().saturating_add(SPECIAL_SCRIPTS);
        put_varint(writer, u64::try_from(length).unwrap_or(u64::MAX));
        writer.put(script);
    }
}

/// Selector and X coordinate of a pay-to-public-key script: 2 and 3 for a compressed key as it stands, 4 and 5 for an
/// uncompressed one with an even or odd Y, which must be on the curve to come back.
fn plain_key(script: &[u8]) -> Option<(u8, &[u8])> {
    match script {
        [33, parity @ (2 | 3), x @ .., opcode::CHECKSIG] if x.len() == 32 => Some((*parity, x)),
        [65, key @ .., opcode::CHECKSIG] if key.len() == 65 => {
            let (form, rest) = key.split_first()?;
            let y = rest.last()?;
            let on_curve = *form == 4 && PublicKey::from_slice(key).is_ok();
            on_curve.then_some((4 | (y & 1), rest.get(..32)?))
        }
        _ => None,
    }
}

fn script(reader: &mut Reader<'_>) -> Result<Vec<u8>, RowError> {
    let selector = varint(reader)?;
    Ok(match selector {
        0 => pay_to(&Address::PubkeyHash(fluxd_primitives::Hash160(reader.array()?))).0,
        1 => pay_to(&Address::ScriptHash(fluxd_primitives::Hash160(reader.array()?))).0,
        2 => [&[33, 2][..], &reader.array::<32>()?, &[opcode::CHECKSIG]].concat(),
        3 => [&[33, 3][..], &reader.array::<32>()?, &[opcode::CHECKSIG]].concat(),
        4 | 5 => {
            let parity = if selector == 4 { 2 } else { 3 };
            let compressed = [&[parity][..], &reader.array::<32>()?].concat();
            let key = PublicKey::from_slice(&compressed).map_err(|_| RowError::Key)?;
            [&[65][..], &key.serialize_uncompressed(), &[opcode::CHECKSIG]].concat()
        }
        length => {
            let length = usize::try_from(length).map_err(|_| RowError::Number)?;
            let bytes = reader.take(length.saturating_sub(SPECIAL_SCRIPTS))?;
            if bytes.len() > MAX_SCRIPT_SIZE { vec![opcode::RETURN] } else { bytes.to_vec() }
        }
    })
}

#[cfg(test)]
mod tests {
    use fluxd_primitives::{Hash160, MAX_MONEY};
    use proptest::prelude::*;
    use shared_vendor::hex;

    use super::*;

    fn written(value: u64) -> Vec<u8> {
        let mut writer = Writer::new();
        put_varint(&mut writer, value);
        writer.into_vec()
    }

    fn round_trip(script: &[u8]) -> (usize, Vec<u8>) {
        let mut writer = Writer::new();
        put_script(&mut writer, script);
        let bytes = writer.into_vec();
        (bytes.len(), super::script(&mut Reader::new(&bytes)).expect("own form"))
    }

    #[test]
    fn numbers_have_the_bytes_that_the_reference_documents() {
        for (value, bytes) in [
            (0, "00"),
            (0x7f, "7f"),
            (0x80, "8000"),
            (0xff, "807f"),
            (0x407f, "ff7f"),
            (0x4080, "808000"),
            (0xffff, "82fe7f"),
            (0x1234, "a334"),
            (0x1_0000_0000, "8efefeff00"),
            (u64::MAX, "80fefefefefefefefe7f"),
        ] {
            assert_eq!(hex::encode(written(value)), bytes, "{value:#x}");
        }
        let too_large = hex::decode("80fefefefefefefeff00").expect("hex");
        assert_eq!(varint(&mut Reader::new(&too_large)), Err(RowError::Number));
    }

    #[test]
    fn amounts_leave_out_their_zeros() {
        for (amount, compressed) in [
            (0, 0),
            (1, 1),
            (1_000_000, 0x7),
            (100_000_000, 0x9),
            (5_000_000_000, 0x32),
            (21_000_000 * 100_000_000, 0x1406f40),
        ] {
            assert_eq!(compress_amount(amount), compressed);
            assert_eq!(decompress_amount(compressed), amount);
        }
    }

    #[test]
    fn common_scripts_lose_their_opcodes_and_come_back() {
        let key =
            hex::decode("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").expect("hex");
        let full = PublicKey::from_slice(&key).expect("the generator").serialize_uncompressed();
        let pay_to_key =
            |key: &[u8]| [&[u8::try_from(key.len()).expect("short")][..], key, &[opcode::CHECKSIG]].concat();
        let mut off_curve = full;
        off_curve[64] ^= 1;
        for (script, length) in [
            (pay_to(&Address::PubkeyHash(Hash160([7; 20]))).0, 21),
            (pay_to(&Address::ScriptHash(Hash160([8; 20]))).0, 21),
            (pay_to_key(&key), 33),
            (pay_to_key(&full), 33),
            (pay_to_key(&off_curve), 68),
            (vec![], 1),
            (vec![opcode::RETURN; 130], 132),
        ] {
            assert_eq!(round_trip(&script), (length, script));
        }
        assert_eq!(round_trip(&[opcode::PUSH_1; 10_001]).1, [opcode::RETURN]);
    }

    proptest! {
        #[test]
        fn what_is_written_comes_back(zat in 0..=MAX_MONEY.zat(), bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let before = TxOut { value: Amount::from_zat(zat), script_pubkey: Script(bytes) };
            let mut writer = Writer::new();
            put_output(&mut writer, &before);
            let mut reader = Reader::new(writer.as_slice());
            prop_assert_eq!(output(&mut reader), Ok(before));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn no_bytes_make_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = output(&mut Reader::new(&bytes));
        }

        #[test]
        fn numbers_come_back(value in any::<u64>()) {
            prop_assert_eq!(varint(&mut Reader::new(&written(value))), Ok(value));
        }
    }
}
