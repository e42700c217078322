//! Numbers on the script stack: little-endian with a sign bit, at most four bytes (five for lock times) as operands.

use crate::ScriptError;

/// Longest operand of arithmetic.
pub const DEFAULT_SIZE: usize = 4;
/// Longest operand of `CHECKLOCKTIMEVERIFY`.
pub const LOCK_TIME_SIZE: usize = 5;

/// Reads an operand of at most `max_size` bytes; `minimal` refuses needless bytes.
///
/// # Errors
/// [`ScriptError::Number`]: too long, or not in its shortest form.
pub fn decode(bytes: &[u8], minimal: bool, max_size: usize) -> Result<i64, ScriptError> {
    if bytes.len() > max_size || bytes.len() > 8 {
        return Err(ScriptError::Number);
    }
    let Some((last, rest)) = bytes.split_last() else {
        return Ok(0);
    };
    if minimal && last & 0x7f == 0 && rest.last().is_none_or(|byte| byte & 0x80 == 0) {
        return Err(ScriptError::Number);
    }
    let magnitude = rest.iter().rfold(i64::from(last & 0x7f), |value, byte| value << 8 | i64::from(*byte));
    Ok(if last & 0x80 == 0 { magnitude } else { -magnitude })
}

/// The shortest form of a number; zero is the empty string.
#[must_use]
pub fn encode(value: i64) -> Vec<u8> {
    let mut bytes = value.unsigned_abs().to_le_bytes().to_vec();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    let sign = if value < 0 { 0x80 } else { 0 };
    match bytes.last_mut() {
        Some(last) if *last & 0x80 == 0 => *last |= sign,
        Some(_) => bytes.push(sign),
        None => {}
    }
    bytes
}

/// A stack value as a condition: false when all bytes are zero, the last one possibly the sign bit alone.
#[must_use]
pub fn truth(bytes: &[u8]) -> bool {
    bytes.split_last().is_some_and(|(last, rest)| last & 0x7f != 0 || rest.iter().any(|byte| *byte != 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn negative_zero_is_false_and_not_minimal() {
        assert!(!truth(&[0, 0x80]));
        assert!(truth(&[0x80, 0]));
        assert_eq!(decode(&[0x80], false, DEFAULT_SIZE), Ok(0));
        assert_eq!(decode(&[0x80], true, DEFAULT_SIZE), Err(ScriptError::Number));
        assert_eq!(decode(&[0xff, 0x80], true, DEFAULT_SIZE), Ok(-255));
        assert_eq!(decode(&[1, 0, 0, 0, 0], false, DEFAULT_SIZE), Err(ScriptError::Number));
    }

    proptest! {
        #[test]
        fn numbers_of_five_bytes_survive(value in -0x7f_ffff_ffff_i64..=0x7f_ffff_ffff) {
            prop_assert_eq!(decode(&encode(value), true, LOCK_TIME_SIZE), Ok(value));
        }
    }
}
