//! Runner for the official RLP tests.

use num::from_decimal;
use rustock::codec::rlp::{self, Encoder, Item, Items};
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

use crate::json::{Outcome, same, show};

const DEPTH: usize = 64;

pub fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, _) = file.path.split_once('/')?;
    let json: Value = serde_json::from_slice(file.bytes).ok()?;
    let is_suite =
        json.as_object()?.values().all(|test| test.get("in").is_some() && test.get("out").is_some());
    (folder == "rlp" && is_suite).then_some(Claim::Run(suite))
}

fn suite(file: &File<'_>, cases: &mut Cases) {
    for (name, test) in file.json().as_object().into_iter().flatten() {
        cases.case(name, || {
            let encoded = hex::decode(test["out"].as_str().ok_or("no out")?).map_err(show)?;
            match &test["in"] {
                Value::String(verdict) if verdict == "INVALID" => refused(&encoded),
                Value::String(verdict) if verdict == "VALID" => rlp::check(&encoded, DEPTH).map_err(show),
                value => round_trip(value, &encoded),
            }
        });
    }
}

fn refused(encoded: &[u8]) -> Outcome {
    match rlp::check(encoded, DEPTH) {
        Ok(()) => Err("was accepted".into()),
        Err(_) => Ok(()),
    }
}

fn round_trip(value: &Value, encoded: &[u8]) -> Outcome {
    let mut encoder = Encoder::new();
    encode(value, &mut encoder)?;
    same("encoding", &encoder.as_slice(), &encoded)?;
    rlp::check(encoded, DEPTH).map_err(show)?;
    let mut items = Items::new(encoded);
    let mut again = Encoder::new();
    copy(items.item().map_err(show)?, &mut again)?;
    same("decoded and encoded again", &again.as_slice(), &encoded)
}

fn encode(value: &Value, encoder: &mut Encoder) -> Outcome {
    match value {
        Value::String(text) => match text.strip_prefix('#') {
            Some(digits) => encoder.unsigned(&from_decimal(digits)),
            None => encoder.string(text.as_bytes()),
        },
        Value::Number(number) => encoder.u64(number.as_u64().ok_or("not an unsigned number")?),
        Value::Array(values) => {
            let mut inner = Encoder::new();
            for value in values {
                encode(value, &mut inner)?;
            }
            encoder.list_of(inner.as_slice())
        }
        other => return Err(format!("cannot encode {other}")),
    };
    Ok(())
}

fn copy(item: Item<'_>, encoder: &mut Encoder) -> Outcome {
    match item {
        Item::String(content) => encoder.string(content),
        Item::List(content) => {
            let (mut items, mut inner) = (Items::new(content), Encoder::new());
            while !items.is_empty() {
                copy(items.item().map_err(show)?, &mut inner)?;
            }
            encoder.list_of(inner.as_slice())
        }
    };
    Ok(())
}

mod num {
    /// Big-endian bytes of a decimal number of any size.
    pub fn from_decimal(digits: &str) -> Vec<u8> {
        let mut little_endian: Vec<u8> = Vec::new();
        for digit in digits.chars().filter_map(|character| character.to_digit(10)) {
            let mut carry = digit;
            for byte in &mut little_endian {
                let value = u32::from(*byte) * 10 + carry;
                *byte = (value & 0xff) as u8;
                carry = value >> 8;
            }
            if carry > 0 {
                little_endian.push(carry as u8);
            }
        }
        little_endian.reverse();
        little_endian
    }
}
