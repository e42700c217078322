//! Reading fields of JSON vectors; what is missing or malformed fails the case with its name.

use std::fmt::Debug;

use rustock::params::{Network, Params};
use serde_json::Value;
use shared_vendor::hex;

pub type Outcome<T = ()> = Result<T, String>;

pub fn text<'a>(value: &'a Value, name: &str) -> Outcome<&'a str> {
    value.get(name).and_then(Value::as_str).ok_or_else(|| format!("no text field {name}"))
}

pub fn bytes(value: &Value, name: &str) -> Outcome<Vec<u8>> {
    let digits = text(value, name)?;
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let even = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_owned() };
    hex::decode(&even).map_err(|err| format!("{name}: {err}"))
}

/// A JSON number, or a hexadecimal or decimal string.
pub fn number(value: &Value, name: &str) -> Outcome<u64> {
    let field = value.get(name).ok_or_else(|| format!("no field {name}"))?;
    let parsed = match field {
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        other => other.as_u64(),
    };
    parsed.ok_or_else(|| format!("{name} is not a number: {field}"))
}

pub fn params(name: &str) -> Outcome<Params> {
    // vectors made with the main network's layout say so
    let name = name.strip_suffix("-layout").unwrap_or(name);
    Network::by_name(name).map(Params::of).ok_or_else(|| format!("unknown network {name}"))
}

pub fn same<T: PartialEq + Debug>(what: &str, actual: &T, expected: &T) -> Outcome {
    if actual == expected {
        Ok(())
    } else {
        Err(format!("{what}\n      actual   {actual:02x?}\n      expected {expected:02x?}"))
    }
}

pub fn show(err: impl std::error::Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
