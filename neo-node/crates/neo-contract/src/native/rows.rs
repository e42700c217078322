//! Rows of native contracts: plain numbers, and lists of plain values in the form of serialised items. Written and
//! read without a heap, because every transaction changes some of them.

use neo_base::{
    Int,
    codec::{Wire, read_var_bytes, read_var_int, write_count, write_var_bytes},
};
use neo_crypto::secp256r1::PublicKey;
use neo_vm::{Bytes, StackItem};
use shared_vendor::bytes::{Reader, Writer};

use crate::engine::{EngineError, Store, storage_key};

/// Result of reading state.
pub type Read<T> = Result<T, EngineError>;

/// A public key as it is stored: compressed.
pub type Key = [u8; 33];

const ARRAY: u8 = 0x40;
const STRUCT: u8 = 0x41;

/// What all keys of a contract begin with.
#[must_use]
pub const fn id_prefix(contract: i32) -> [u8; 4] {
    contract.to_le_bytes()
}

/// The key of a row: number of the contract, prefix, and the parts of its own key.
pub(crate) fn key(contract: i32, prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = storage_key(contract, &[prefix]);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// The bytes of a row.
pub(crate) fn bytes<S: Store + ?Sized>(store: &S, key: &[u8]) -> Read<Option<Bytes>> {
    store.get(key).map_err(EngineError::Store)
}

/// A plain number that must be there.
pub(crate) fn number<S: Store + ?Sized>(store: &S, key: &[u8]) -> Read<Int> {
    number_or_none(store, key)?.ok_or(EngineError::State("a number is missing"))
}

/// A plain number.
pub(crate) fn number_or_none<S: Store + ?Sized>(store: &S, key: &[u8]) -> Read<Option<Int>> {
    Ok(bytes(store, key)?.map(|bytes| Int::from_bytes(&bytes)))
}

/// A plain number in a range.
pub(crate) fn small<S: Store + ?Sized, T: TryFrom<u64>>(store: &S, key: &[u8]) -> Read<T> {
    let value = number(store, key)?.to_u64().and_then(|value| T::try_from(value).ok());
    value.ok_or(EngineError::State("a number is out of its range"))
}

/// The elements of a list of plain values.
pub(crate) fn list<S: Store + ?Sized>(store: &S, key: &[u8]) -> Read<Option<Vec<StackItem>>> {
    let Some(bytes) = bytes(store, key)? else { return Ok(None) };
    decode_list(&bytes).map(Some)
}

/// The elements of an array or struct of plain values.
pub(crate) fn decode_list(bytes: &[u8]) -> Read<Vec<StackItem>> {
    let mut reader = Reader::new(bytes);
    read_list(&mut reader).ok_or(EngineError::State("not a list of plain values"))
}

/// The elements of an array of structs of plain values.
pub(crate) fn decode_table(bytes: &[u8]) -> Read<Vec<Vec<StackItem>>> {
    let read = || {
        let mut reader = Reader::new(bytes);
        (reader.u8().ok()? == ARRAY).then_some(())?;
        let count = read_var_int(&mut reader).ok()?;
        let count = reader.count(count, 2048, 2).ok()?;
        (0..count).map(|_| read_list(&mut reader)).collect::<Option<Vec<_>>>()
    };
    read().ok_or(EngineError::State("not a table"))
}

fn read_list(reader: &mut Reader<'_>) -> Option<Vec<StackItem>> {
    matches!(reader.u8().ok()?, ARRAY | STRUCT).then_some(())?;
    let count = read_var_int(reader).ok()?;
    let count = reader.count(count, 2048, 1).ok()?;
    (0..count).map(|_| read_plain(reader)).collect()
}

fn read_plain(reader: &mut Reader<'_>) -> Option<StackItem> {
    Some(match reader.u8().ok()? {
        0x00 => StackItem::Null,
        0x20 => StackItem::Boolean(reader.u8().ok()? != 0),
        0x21 => StackItem::Integer(Int::from_bytes(read_var_bytes(reader, 32).ok()?)),
        0x28 => StackItem::bytes(read_var_bytes(reader, 131_070).ok()?),
        _ => return None,
    })
}

/// The bytes of a struct of plain values.
pub(crate) fn encode_struct(items: &[StackItem]) -> Bytes {
    let mut out = Writer::new();
    write_list(&mut out, STRUCT, items);
    out.into_vec().into()
}

/// The bytes of an array of plain values.
pub(crate) fn encode_array(items: &[StackItem]) -> Bytes {
    let mut out = Writer::new();
    write_list(&mut out, ARRAY, items);
    out.into_vec().into()
}

/// The bytes of an array of structs of plain values.
pub(crate) fn encode_table(rows: &[Vec<StackItem>]) -> Bytes {
    let mut out = Writer::new();
    out.u8(ARRAY);
    write_count(&mut out, rows.len());
    rows.iter().for_each(|row| write_list(&mut out, STRUCT, row));
    out.into_vec().into()
}

fn write_list(out: &mut Writer, kind: u8, items: &[StackItem]) {
    out.u8(kind);
    write_count(out, items.len());
    for item in items {
        match item {
            StackItem::Boolean(value) => {
                out.u8(0x20).u8((*value).into());
            }
            StackItem::Integer(value) => {
                out.u8(0x21);
                write_var_bytes(out, &value.to_bytes());
            }
            StackItem::ByteString(bytes) => {
                out.u8(0x28);
                write_var_bytes(out, bytes);
            }
            _ => {
                out.u8(0x00);
            }
        }
    }
}

/// Fields of a stored list by place.
pub(crate) trait Fields {
    /// An integer.
    fn int(&self, index: usize) -> Read<Int>;
    /// A boolean.
    fn flag(&self, index: usize) -> Read<bool>;
    /// Bytes.
    fn raw(&self, index: usize) -> Read<Bytes>;
    /// A public key, or null.
    fn key_or_null(&self, index: usize) -> Read<Option<Key>>;
    /// True when there is nothing or null.
    fn is_null(&self, index: usize) -> bool;
}

impl Fields for [StackItem] {
    fn int(&self, index: usize) -> Read<Int> {
        let value = self.get(index).and_then(|item| item.to_int().ok());
        value.ok_or(EngineError::State("a field is no integer"))
    }

    fn flag(&self, index: usize) -> Read<bool> {
        let value = self.get(index).and_then(|item| item.to_bool().ok());
        value.ok_or(EngineError::State("a field is no boolean"))
    }

    fn raw(&self, index: usize) -> Read<Bytes> {
        let value = self.get(index).and_then(|item| item.primitive_bytes().ok());
        value.ok_or(EngineError::State("a field is no byte string"))
    }

    fn key_or_null(&self, index: usize) -> Read<Option<Key>> {
        if self.is_null(index) {
            return Ok(None);
        }
        let key = Key::try_from(&*self.raw(index)?);
        key.map(Some).map_err(|_| EngineError::State("a field is no public key"))
    }

    fn is_null(&self, index: usize) -> bool {
        matches!(self.get(index), None | Some(StackItem::Null))
    }
}

/// A key as an item, or null.
pub(crate) fn key_item(key: Option<&Key>) -> StackItem {
    key.map_or(StackItem::Null, |key| StackItem::bytes(*key))
}

/// The point of a stored key.
///
/// # Errors
/// The bytes are no point.
pub fn point(key: &Key) -> Read<PublicKey> {
    PublicKey::from_bytes(key).ok_or(EngineError::State("a stored key is no point"))
}

/// Order of keys: by X, then by Y.
pub(crate) fn compare_keys(a: &Key, b: &Key) -> std::cmp::Ordering {
    let ([_, a_x @ ..], [_, b_x @ ..]) = (a, b);
    a_x.cmp(b_x).then_with(|| PublicKey::from_bytes(a).cmp(&PublicKey::from_bytes(b)))
}

/// The account that one key stands for.
#[must_use]
pub fn account_of(key: &Key) -> neo_base::UInt160 {
    let mut script = [0; 40];
    script[..2].copy_from_slice(&[0x0c, 33]);
    script[2..35].copy_from_slice(key);
    script[35..].copy_from_slice(&[0x41, 0x56, 0xe7, 0xb3, 0x27]);
    neo_base::account::script_hash(&script)
}

/// The decoded form of a row.
pub(crate) fn wire<S: Store + ?Sized, T: Wire>(store: &S, key: &[u8]) -> Read<Option<T>> {
    let Some(bytes) = bytes(store, key)? else { return Ok(None) };
    T::from_bytes(&bytes).map(Some).map_err(|_| EngineError::State("a row has another form"))
}

#[cfg(test)]
mod tests {
    use neo_vm::Heap;

    use super::*;
    use crate::binary;

    #[test]
    fn lists_have_the_bytes_of_serialised_items() {
        let items =
            vec![StackItem::Null, StackItem::Boolean(true), StackItem::int(-300), StackItem::bytes([7; 40])];
        let mut heap = Heap::default();
        let item = heap.new_struct(items.clone());
        let expected = binary::serialize(&heap, &item).expect("plain values");
        assert_eq!(&*encode_struct(&items), expected);
        assert_eq!(encode_struct(&decode_list(&expected).expect("a list")), encode_struct(&items));
        assert!(decode_list(&[0x41, 2, 0]).is_err());
    }

    #[test]
    fn the_account_of_a_key_is_that_of_its_script() {
        let mut key = [0; 33];
        let bytes =
            shared_vendor::hex::decode("02486fd15702c4490a26703112a5cc1d0923fd697a33406bd5a1c00e0013b09a70");
        key.copy_from_slice(&bytes.expect("hex"));
        let script = neo_base::account::signature_script(&point(&key).expect("a point"));
        assert_eq!(account_of(&key), neo_base::account::script_hash(&script));
    }
}
