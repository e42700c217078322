//! The methods of StdLib. Mirrors `Native/StdLib.cs`, `JsonSerializer.cs` and what they use of .NET.

use neo_base::Int;
use neo_crypto::base58;
use neo_vm::{Fault, Heap, MapItems, MapKey, StackItem, limits::MAX_ITEM_SIZE};
use shared_vendor::hex;
use unicode_segmentation::UnicodeSegmentation;

use super::Method;
use crate::{
    base64,
    binary::{self, SerializeError},
    json::{Json, JsonError, format_number},
};

/// Longest input of most methods.
const MAX_INPUT: usize = 1024;

/// Deepest JSON that is read.
const JSON_DEPTH: usize = 10;

/// Deepest JSON that is written.
const JSON_WRITE_DEPTH: usize = 1000;

/// Items of one JSON value that is read; names of members count too.
const JSON_ITEMS: usize = 2048;

/// Largest integer that JSON holds exactly, and its negative the smallest.
const MAX_SAFE_INTEGER: i64 = 9_007_199_254_740_991;

/// Why a method faults.
#[derive(Debug, thiserror::Error)]
pub enum StdError {
    /// The method is not one of StdLib.
    #[error("no such method")]
    NoMethod,
    /// An argument is missing or null.
    #[error("an argument is missing")]
    Missing,
    /// An argument is longer than 1024 bytes.
    #[error("an argument is too long")]
    TooLong,
    /// An argument is of another type.
    #[error("an argument cannot be converted")]
    Convert(#[from] Fault),
    /// Text that is not a number, Base64, Base58 or hexadecimal, or a base other than 10 and 16.
    #[error("{0}")]
    Text(&'static str),
    /// A position outside the bytes.
    #[error("position outside the bytes")]
    Range,
    /// An item without serialised form.
    #[error(transparent)]
    Serialize(#[from] SerializeError),
    /// Bytes that are no item.
    #[error(transparent)]
    Deserialize(#[from] neo_base::codec::DecodeError),
    /// Bytes that are no JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// An item that JSON cannot hold, or JSON that is no item.
    #[error("no JSON of this item, or no item of this JSON")]
    JsonItem,
}

type Result<T> = std::result::Result<T, StdError>;

/// Runs a method of StdLib with its arguments in order. `exact_numbers` is true before Basilisk: JSON numbers then
/// become the exact value of the double.
///
/// # Errors
/// See [`StdError`]; every error is a fault of the script.
pub fn invoke(
    heap: &mut Heap,
    method: &Method,
    arguments: &[StackItem],
    exact_numbers: bool,
) -> Result<StackItem> {
    let input = Arguments { heap, items: arguments };
    let result = match method.name {
        "serialize" => StackItem::bytes(binary::serialize(heap, input.any(0)?)?),
        "deserialize" => {
            let bytes = input.bytes(0)?;
            binary::deserialize(heap, &bytes)?
        }
        "jsonSerialize" => StackItem::bytes(write_json(heap, input.any(0)?)?),
        "jsonDeserialize" => {
            let json = Json::parse(&input.bytes(0)?, JSON_DEPTH)?;
            let mut left = JSON_ITEMS;
            read_json(heap, &json, &mut left, exact_numbers)?
        }
        "itoa" => text(itoa(&input.int(0)?, input.base(1)?)?),
        "atoi" => StackItem::Integer(atoi(&input.short_text(0)?, input.base(1)?)?),
        "base64Encode" => text(base64::encode(&input.short(0)?)),
        "base64Decode" => decoded(base64::decode(&input.short_text(0)?), "not Base64")?,
        "base64UrlEncode" => text(base64_url_encode(input.short_text(0)?.as_bytes())),
        "base64UrlDecode" => {
            let bytes = base64_url_decode(&input.short_text(0)?).ok_or(StdError::Text("not Base64"))?;
            text(String::from_utf8_lossy(&bytes).into_owned())
        }
        "base58Encode" => text(base58::encode(&input.short(0)?)),
        "base58Decode" => decoded(base58::decode(&input.short_text(0)?).ok(), "not Base58")?,
        "base58CheckEncode" => text(base58::encode_check(&input.short(0)?)),
        "base58CheckDecode" => decoded(base58::decode_check(&input.short_text(0)?).ok(), "not Base58")?,
        "hexEncode" => text(hex::encode(input.short(0)?)),
        "hexDecode" => decoded(hex_decode(&input.short_text(0)?), "not hexadecimal")?,
        "memoryCompare" => {
            let order = input.short(0)?.cmp(&input.short(1)?);
            StackItem::int(i32::from(order.is_gt()) - i32::from(order.is_lt()))
        }
        "memorySearch" => memory_search(&input)?,
        "strLen" => StackItem::int(input.short_text(0)?.graphemes(true).count()),
        "stringSplit" => {
            let parts = string_split(&input)?;
            heap.new_array(parts)
        }
        _ => return Err(StdError::NoMethod),
    };
    match &result {
        StackItem::Integer(value) if !value.fits_vm() => Err(Fault::IntegerTooLarge.into()),
        _ => Ok(result),
    }
}

struct Arguments<'a> {
    heap: &'a Heap,
    items: &'a [StackItem],
}

impl<'a> Arguments<'a> {
    fn any(&self, index: usize) -> Result<&'a StackItem> {
        self.items.get(index).ok_or(StdError::Missing)
    }

    fn bytes(&self, index: usize) -> Result<Vec<u8>> {
        Ok(self.heap.bytes_of(self.any(index)?)?)
    }

    fn short(&self, index: usize) -> Result<Vec<u8>> {
        let bytes = self.bytes(index)?;
        if bytes.len() > MAX_INPUT { Err(StdError::TooLong) } else { Ok(bytes) }
    }

    fn text(&self, index: usize) -> Result<String> {
        String::from_utf8(self.bytes(index)?).map_err(|_| Fault::NotText.into())
    }

    fn short_text(&self, index: usize) -> Result<String> {
        String::from_utf8(self.short(index)?).map_err(|_| Fault::NotText.into())
    }

    fn int(&self, index: usize) -> Result<Int> {
        Ok(self.any(index)?.to_int()?)
    }

    /// The base of a number: 10 when the argument is not declared.
    fn base(&self, index: usize) -> Result<i32> {
        if self.items.len() <= index {
            return Ok(10);
        }
        self.int(index)?.to_i32().ok_or_else(|| Fault::OutOfRange.into())
    }

    fn flag(&self, index: usize) -> Result<bool> {
        match self.items.get(index) {
            None => Ok(false),
            Some(StackItem::Null) => Err(StdError::Missing),
            Some(item) => Ok(item.to_bool()?),
        }
    }
}

fn text(text: String) -> StackItem {
    StackItem::bytes(text.into_bytes())
}

fn decoded(bytes: Option<Vec<u8>>, reason: &'static str) -> Result<StackItem> {
    bytes.map(StackItem::bytes).ok_or(StdError::Text(reason))
}

/// Base 16 is two's complement in as few digits as show the sign.
fn itoa(value: &Int, base: i32) -> Result<String> {
    match base {
        10 => Ok(value.to_string()),
        16 => {
            let mut bytes = value.to_bytes();
            if bytes.is_empty() {
                bytes.push(0);
            }
            bytes.reverse();
            let digits = hex::encode(&bytes);
            // one digit of the first byte is enough where it carries the sign of the whole byte
            let short = bytes.first().is_some_and(|first| *first < 8 || *first > 0xf7);
            Ok(digits.get(usize::from(short)..).unwrap_or_default().to_owned())
        }
        _ => Err(StdError::Text("bases are 10 and 16")),
    }
}

/// Zero characters behind the digits are allowed, as .NET does.
fn atoi(text: &str, base: i32) -> Result<Int> {
    let bad = StdError::Text("not a number");
    let digits = text.trim_end_matches('\0');
    match base {
        10 => {
            let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
            if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(bad);
            }
            digits.strip_prefix('+').unwrap_or(digits).parse().map_err(|_| bad)
        }
        16 => {
            let first = digits
                .chars()
                .next()
                .and_then(|digit| digit.to_digit(16))
                .ok_or(StdError::Text("no digits"))?;
            let fill = if first >= 8 { "f" } else { "0" };
            let even = if digits.len() % 2 == 1 { format!("{fill}{digits}") } else { digits.to_owned() };
            let mut bytes = hex_decode(&even).ok_or(bad)?;
            bytes.reverse();
            Ok(Int::from_bytes(&bytes))
        }
        _ => Err(StdError::Text("bases are 10 and 16")),
    }
}

/// Digits only: no `0x` in front.
fn hex_decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex::decode(text).ok().filter(|_| digits)
}

fn base64_url_encode(bytes: &[u8]) -> String {
    base64::encode(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// Padding may be missing, and both alphabets are read.
fn base64_url_decode(text: &str) -> Option<Vec<u8>> {
    let units = text.encode_utf16().count();
    let padding = match units % 4 {
        0 => "",
        2 => "==",
        3 => "=",
        _ => return None,
    };
    base64::decode(&format!("{}{padding}", text.replace('-', "+").replace('_', "/")))
}

/// The position of bytes in others from a start, or backwards from it; -1 when there is none. Nothing is found at
/// the start of a search forwards, and at its end backwards.
fn memory_search(input: &Arguments<'_>) -> Result<StackItem> {
    let (memory, value) = (input.short(0)?, input.bytes(1)?);
    let start = match input.items.get(2) {
        None => 0,
        Some(item) => item.to_int()?.to_i32().ok_or(Fault::OutOfRange)?,
    };
    let start = usize::try_from(start).map_err(|_| StdError::Range)?;
    let is_match = |at: &usize| memory.get(*at..).is_some_and(|rest| rest.starts_with(&value));
    let (before, after) = memory.split_at_checked(start).ok_or(StdError::Range)?;
    let found = if input.flag(3)? {
        let last = before.len().checked_sub(value.len());
        last.and_then(|last| (0..=last).rev().find(is_match))
    } else {
        let last = after.len().checked_sub(value.len());
        last.and_then(|last| (start..=last.saturating_add(start)).find(is_match))
    };
    Ok(found.map_or_else(|| StackItem::int(-1), StackItem::int))
}

/// An empty separator leaves the text whole.
fn string_split(input: &Arguments<'_>) -> Result<Vec<StackItem>> {
    let (whole, separator) = (input.short_text(0)?, input.text(1)?);
    let drop_empty = input.flag(2)?;
    let parts: Vec<&str> =
        if separator.is_empty() { vec![&whole] } else { whole.split(separator.as_str()).collect() };
    let parts = parts.into_iter().filter(|part| !(drop_empty && part.is_empty()));
    Ok(parts.map(|part| StackItem::bytes(part.as_bytes())).collect())
}

/// What is left to write.
enum Part {
    Item(StackItem),
    Name(StackItem),
    Text(&'static str),
    /// The end of an array or object.
    End(&'static str),
}

fn write_json(heap: &Heap, item: &StackItem) -> Result<Vec<u8>> {
    let mut out = String::new();
    let mut depth = 0usize;
    let mut pending = vec![Part::Item(item.clone())];
    while let Some(part) = pending.pop() {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::End(text) => {
                depth = depth.saturating_sub(1);
                out.push_str(text);
            }
            Part::Name(name) => {
                out.push_str(&json_text(heap, &name)?);
                out.push(':');
            }
            Part::Item(StackItem::Null) => out.push_str("null"),
            Part::Item(StackItem::Boolean(value)) => out.push_str(if value { "true" } else { "false" }),
            Part::Item(StackItem::Integer(value)) => {
                let value = value.to_i64().filter(|value| value.abs() <= MAX_SAFE_INTEGER);
                out.push_str(&safe_number(value.ok_or(StdError::JsonItem)?));
            }
            Part::Item(item @ (StackItem::ByteString(_) | StackItem::Buffer(_))) => {
                out.push_str(&json_text(heap, &item)?);
            }
            Part::Item(StackItem::Array(id) | StackItem::Struct(id)) => {
                out.push('[');
                depth = deeper(depth)?;
                pending.push(Part::End("]"));
                let items = heap.list(id);
                for (index, item) in items.iter().enumerate().rev() {
                    pending.push(Part::Item(item.clone()));
                    if index > 0 {
                        pending.push(Part::Text(","));
                    }
                }
            }
            Part::Item(StackItem::Map(id)) => {
                out.push('{');
                depth = deeper(depth)?;
                pending.push(Part::End("}"));
                let Some(entries) = heap.map(id) else { continue };
                for (index, (key, value)) in entries.iter().enumerate().rev() {
                    let MapKey::ByteString(_) = key else { return Err(StdError::JsonItem) };
                    pending.push(Part::Item(value.clone()));
                    pending.push(Part::Name(key.to_item()));
                    if index > 0 {
                        pending.push(Part::Text(","));
                    }
                }
            }
            Part::Item(_) => return Err(StdError::JsonItem),
        }
        if out.len() > MAX_ITEM_SIZE {
            return Err(StdError::JsonItem);
        }
    }
    Ok(out.into_bytes())
}

fn deeper(depth: usize) -> Result<usize> {
    if depth < JSON_WRITE_DEPTH { Ok(depth.saturating_add(1)) } else { Err(StdError::JsonItem) }
}

fn json_text(heap: &Heap, item: &StackItem) -> Result<String> {
    let text = String::from_utf8(heap.bytes_of(item)?).map_err(|_| Fault::NotText)?;
    Ok(Json::Text(text).to_string())
}

/// The text of an integer that a double holds exactly, in the form of doubles.
fn safe_number(value: i64) -> String {
    // the decimal text of such an integer reads back as exactly that double
    value.to_string().parse().map_or_else(|_| value.to_string(), format_number)
}

fn read_json(heap: &mut Heap, json: &Json, left: &mut usize, exact: bool) -> Result<StackItem> {
    *left = left.checked_sub(1).ok_or(StdError::JsonItem)?;
    Ok(match json {
        Json::Null => StackItem::Null,
        Json::Bool(value) => StackItem::Boolean(*value),
        Json::Text(text) => StackItem::bytes(text.as_bytes()),
        Json::Number(value) => StackItem::Integer(whole_number(*value, exact)?),
        Json::Array(items) => {
            let items = items.iter().map(|item| read_json(heap, item, left, exact)).collect::<Result<_>>()?;
            heap.new_array(items)
        }
        Json::Object(members) => {
            let mut items = MapItems::default();
            for (name, value) in members {
                *left = left.checked_sub(1).ok_or(StdError::JsonItem)?;
                let value = read_json(heap, value, left, exact)?;
                items.insert(MapKey::from_item(&StackItem::bytes(name.as_bytes()))?, value);
            }
            heap.new_map(items)
        }
    })
}

/// The integer of a double without fraction: its exact value, or the value of its shortest decimal text.
fn whole_number(value: f64, exact: bool) -> Result<Int> {
    if value.fract() != 0.0 {
        return Err(StdError::JsonItem);
    }
    // Rust writes the exact value of a double in full
    let number = if exact { format!("{value:.0}") } else { format!("{value}") };
    let number: Int = number.parse().map_err(|_| StdError::JsonItem)?;
    if number.fits_vm() { Ok(number) } else { Err(Fault::IntegerTooLarge.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_read_back_in_both_bases(value in any::<i128>()) {
            let value = Int::from(value);
            for base in [10, 16] {
                let text = itoa(&value, base).expect("valid base");
                prop_assert_eq!(atoi(&text, base).ok(), Some(value.clone()));
            }
        }
    }

    #[test]
    fn hexadecimal_numbers_carry_their_sign_in_the_first_digit() {
        for (value, text) in
            [(0, "0"), (7, "7"), (8, "08"), (255, "0ff"), (-1, "f"), (-8, "8"), (-9, "f7"), (-128, "80")]
        {
            assert_eq!(itoa(&Int::from(value), 16).ok().as_deref(), Some(text));
        }
    }

    #[test]
    fn numbers_of_json_are_exact_before_basilisk_and_decimal_since() {
        assert_eq!(whole_number(1e23, false).ok(), "100000000000000000000000".parse().ok());
        assert_eq!(whole_number(1e23, true).ok(), "99999999999999991611392".parse().ok());
        assert!(whole_number(1e80, false).is_err() && whole_number(0.5, false).is_err());
    }

    #[test]
    fn address_safe_base64_is_read_with_and_without_padding() {
        assert_eq!(base64_url_decode("aGVsbG8").as_deref(), Some(&b"hello"[..]));
        assert_eq!(base64_url_decode("__8=").as_deref(), Some(&[255, 255][..]));
        assert_eq!(base64_url_decode("a"), None);
    }

    #[test]
    fn an_array_in_itself_has_no_json() {
        let mut heap = Heap::default();
        let item = heap.new_array(Vec::new());
        let id = item.compound().expect("an array");
        heap.list_mut(id).expect("not read-only").push(item.clone());
        assert!(write_json(&heap, &item).is_err());
    }
}
