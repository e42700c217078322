//! Readers of the JSON shapes that several runners share.

use fluxd_primitives::codec::Codec;
use serde_json::Value;
use shared_vendor::{hex, testing::vectors::File};

/// The rows of a file that is one array.
pub(crate) fn rows(file: &File<'_>) -> Vec<Value> {
    file.parse()
}

/// The rows of a zcash test vector file: origin, column names, data.
pub(crate) fn table(file: &File<'_>) -> Vec<Value> {
    let rows: Vec<Vec<Value>> = file.parse();
    let names: Vec<String> = rows[1]
        .iter()
        .flat_map(|cell| cell.as_str().expect("column names are text").split(", "))
        .map(str::to_owned)
        .collect();
    rows[2..]
        .iter()
        .map(|row| {
            assert_eq!(row.len(), names.len(), "a row has a cell for each column");
            Value::Object(names.iter().cloned().zip(row.iter().cloned()).collect())
        })
        .collect()
}

/// A text field.
pub(crate) fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("{field} is text"))
}

/// A field of hexadecimal text.
pub(crate) fn bytes(row: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(row, field)).unwrap_or_else(|err| panic!("{field}: {err}"))
}

/// A field of hexadecimal text that is the wire form of a value.
pub(crate) fn wire<T: Codec>(row: &Value, field: &str) -> T {
    T::from_bytes(&bytes(row, field)).unwrap_or_else(|err| panic!("{field}: {err}"))
}

/// A field of an unsigned number.
pub(crate) fn number(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or_else(|| panic!("{field} is a number"))
}
