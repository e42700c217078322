//! The arguments of a call, read as strictly as the reference reads them.

use std::str::FromStr;

use fluxd_primitives::{
    Address, Amount, Hash256, MAX_MONEY,
    codec::{Codec, Reader},
};
use serde_json::Value;

use crate::error::{self, RpcError};

/// Result of a method.
pub type Result<T> = std::result::Result<T, RpcError>;

/// Positional arguments.
#[derive(Debug, Clone, Default)]
pub struct Args(pub Vec<Value>);

impl Args {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The argument as it came; null where there is none.
    #[must_use]
    pub fn value(&self, at: usize) -> &Value {
        self.0.get(at).unwrap_or(&Value::Null)
    }

    /// Whether an argument was given.
    #[must_use]
    pub fn has(&self, at: usize) -> bool {
        at < self.0.len()
    }

    /// A text.
    ///
    /// # Errors
    /// Another type.
    pub fn text(&self, at: usize) -> Result<&str> {
        self.value(at)
            .as_str()
            .ok_or_else(|| RpcError::new(error::MISC, "JSON value is not a string as expected"))
    }

    /// A whole number of 32 bits.
    ///
    /// # Errors
    /// Another type, or too large.
    pub fn int(&self, at: usize) -> Result<i32> {
        i32::try_from(self.int64(at)?).map_err(|_| RpcError::new(error::MISC, "JSON integer out of range"))
    }

    /// A whole number of 64 bits.
    ///
    /// # Errors
    /// Another type, or a fraction.
    pub fn int64(&self, at: usize) -> Result<i64> {
        whole(self.value(at))
    }

    /// True or false.
    ///
    /// # Errors
    /// Another type.
    pub fn flag(&self, at: usize) -> Result<bool> {
        self.value(at)
            .as_bool()
            .ok_or_else(|| RpcError::new(error::MISC, "JSON value is not a boolean as expected"))
    }

    /// A list.
    ///
    /// # Errors
    /// Another type.
    pub fn list(&self, at: usize) -> Result<&[Value]> {
        let list = self.value(at).as_array().map(Vec::as_slice);
        list.ok_or_else(|| RpcError::new(error::MISC, "JSON value is not an array as expected"))
    }

    /// A hash in hexadecimal; `name` is used in the error.
    ///
    /// # Errors
    /// Not hexadecimal.
    pub fn hash(&self, at: usize, name: &str) -> Result<Hash256> {
        hash(self.value(at), name)
    }

    /// Stops with -3 when the arguments are of other types than these; missing ones are not looked at, nulls pass where
    /// `nullable` is true (`RPCTypeCheck`).
    ///
    /// # Errors
    /// The first argument of another type.
    pub fn check_types(&self, types: &[Kind], nullable: bool) -> Result<()> {
        for (value, kind) in self.0.iter().zip(types) {
            if !(kind.accepts(value) || nullable && value.is_null()) {
                let message = format!("Expected type {}, got {}", kind.name(), name_of(value));
                return Err(RpcError::new(error::TYPE, message));
            }
        }
        Ok(())
    }
}

/// A type of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Flag,
    /// A list.
    List,
    /// An object.
    Object,
}

impl Kind {
    fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_number(),
            Self::Flag => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
        }
    }

    /// Stops with -3 when a field of an object is missing or of another type (`RPCTypeCheckObj`).
    ///
    /// # Errors
    /// Missing, or of another type.
    pub fn check_field(self, object: &serde_json::Map<String, Value>, name: &str) -> Result<()> {
        let value = object.get(name).unwrap_or(&Value::Null);
        let message = match value {
            Value::Null => format!("Missing {name}"),
            _ if self.accepts(value) => return Ok(()),
            _ => format!("Expected type {} for {name}, got {}", self.name(), name_of(value)),
        };
        Err(RpcError::new(error::TYPE, message))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number",
            Self::Flag => "bool",
            Self::List => "array",
            Self::Object => "object",
        }
    }
}

fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A whole number.
///
/// # Errors
/// Another type, or a fraction.
pub fn whole(value: &Value) -> Result<i64> {
    if !value.is_number() {
        return Err(RpcError::new(error::MISC, "JSON value is not an integer as expected"));
    }
    value.as_i64().ok_or_else(|| RpcError::new(error::MISC, "JSON integer out of range"))
}

/// Bytes in hexadecimal, without the prefix that other programs write; `None` also for no bytes (`IsHex`).
#[must_use]
pub fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits { shared_vendor::hex::decode(text).ok() } else { None }
}

fn no_hex(code: i32, name: &str, text: &str) -> RpcError {
    RpcError::new(code, format!("{name} must be hexadecimal string (not '{text}')"))
}

/// As the reference reads hashes: hexadecimal digits from the start, of too many the last, whatever follows is ignored
/// (`uint256::SetHex`).
#[must_use]
pub fn lenient_hash(text: &str) -> Hash256 {
    let text = text.trim_start();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let end = text.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(text.len());
    let digits = text.get(end.saturating_sub(64)..end).unwrap_or_default();
    Hash256::from_str(&format!("{digits:0>64}")).unwrap_or(Hash256::ZERO)
}

/// A hash in hexadecimal (`ParseHashV`).
///
/// # Errors
/// Not hexadecimal.
pub fn hash(value: &Value, name: &str) -> Result<Hash256> {
    let text = value.as_str().unwrap_or_default();
    hex(text).map(|_| lenient_hash(text)).ok_or_else(|| no_hex(error::PARAMETER, name, text))
}

/// A hash in hexadecimal, for methods that call anything else a miscellaneous error (`ParseHashStr`).
///
/// # Errors
/// Not hexadecimal.
pub fn text_hash(text: &str, name: &str) -> Result<Hash256> {
    hex(text).map(|_| lenient_hash(text)).ok_or_else(|| no_hex(error::MISC, name, text))
}

/// Bytes in hexadecimal (`ParseHexV`).
///
/// # Errors
/// Not hexadecimal.
pub fn bytes(value: &Value, name: &str) -> Result<Vec<u8>> {
    let text = value.as_str().unwrap_or_default();
    hex(text).ok_or_else(|| no_hex(error::PARAMETER, name, text))
}

/// A transaction or block in hexadecimal; bytes behind it are ignored (`DecodeHexTx`, `DecodeHexBlk`).
#[must_use]
pub fn wire<T: Codec>(text: &str) -> Option<T> {
    T::decode(&mut Reader::new(&hex(text)?)).ok()
}

/// An amount, written as a number or a text with at most eight decimals.
///
/// # Errors
/// Another type, more decimals, or out of the range of money.
pub fn amount(value: &Value) -> Result<Amount> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return Err(RpcError::new(error::TYPE, "Amount is not a number or string")),
    };
    let zat = fixed_point(&text).ok_or_else(|| RpcError::new(error::TYPE, "Invalid amount"))?;
    let amount = Amount::from_zat(zat);
    if zat < 0 || amount > MAX_MONEY {
        return Err(RpcError::new(error::TYPE, "Amount out of range"));
    }
    Ok(amount)
}

/// A decimal with at most eight places in units of 10^-8 (`ParseFixedPoint`).
fn fixed_point(text: &str) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (before, after) =
        digits.split_once('.').map_or((digits, None), |(before, after)| (before, Some(after)));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = before.len() > 1 && before.starts_with('0');
    if !number(before) || leading_zero || after.is_some_and(|after| !number(after)) {
        return None;
    }
    let after = after.unwrap_or_default();
    let all = format!("{before}{after}");
    let shift = 8_i32.checked_add(exponent)?.checked_sub(i32::try_from(after.len()).ok()?)?;
    let mut value: i128 = all.parse().ok()?;
    if shift >= 0 {
        value = value.checked_mul(10_i128.checked_pow(shift.unsigned_abs())?)?;
    } else {
        let divisor = 10_i128.checked_pow(shift.unsigned_abs())?;
        if value % divisor != 0 {
            return None;
        }
        value /= divisor;
    }
    i64::try_from(if negative { -value } else { value })
        .ok()
        .filter(|value| value.unsigned_abs() < 10_u64.pow(18))
}

/// A transparent address, or `None`.
#[must_use]
pub fn address(text: &str, format: &fluxd_primitives::AddressFormat) -> Option<Address> {
    Address::decode(text, format)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (value, zat) in [
            (json!(0), 0),
            (json!(1), 100_000_000),
            (json!("0.00000001"), 1),
            (json!(1e-8), 1),
            (json!(0.1), 10_000_000),
            (json!("0.5e-7"), 5),
            (json!(20_999_999.999_999_99), 2_099_999_999_999_999),
        ] {
            assert_eq!(amount(&value).map(Amount::zat), Ok(zat), "{value}");
        }
        for value in
            [json!("1e-9"), json!("0.000000019"), json!(-1), json!(true), json!(""), json!("01"), json!("1.")]
        {
            assert!(amount(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn types_are_told_by_name() {
        let args = Args(vec![json!("x"), json!(1), json!(null)]);
        assert!(args.check_types(&[Kind::Text, Kind::Number, Kind::List], true).is_ok());
        let err = args.check_types(&[Kind::Number], false).unwrap_err();
        assert_eq!((err.code, err.message.as_str()), (-3, "Expected type number, got string"));
        assert_eq!(args.int(0).unwrap_err().message, "JSON value is not an integer as expected");
    }
}
