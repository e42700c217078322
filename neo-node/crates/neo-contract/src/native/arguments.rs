//! Arguments of native methods as values. Mirrors `InteropParameterDescriptor.cs` and `ApplicationEngine.Convert`.

use neo_base::{Int, UInt160, UInt256};
use neo_crypto::secp256r1::PublicKey;
use neo_vm::{Fault, Heap, Result, StackItem};

use crate::engine::EngineError;

/// The arguments of one call.
#[derive(Clone, Copy)]
pub(super) struct Arguments<'h, 'a> {
    pub(super) heap: &'h Heap,
    pub(super) items: &'a [StackItem],
}

impl<'a> Arguments<'_, 'a> {
    /// The item itself.
    pub(super) fn item(self, index: usize) -> Result<&'a StackItem> {
        self.items.get(index).ok_or(Fault::StackUnderflow)
    }

    pub(super) fn is_null(self, index: usize) -> bool {
        matches!(self.items.get(index), None | Some(StackItem::Null))
    }

    pub(super) fn int(self, index: usize) -> Result<Int> {
        self.item(index)?.to_int()
    }

    /// An integer in the range of a type.
    pub(super) fn number<T: TryFrom<i128>>(self, index: usize) -> Result<T> {
        let value = self.int(index)?;
        let wide = value.to_i64().map(i128::from).or_else(|| value.to_u64().map(i128::from));
        wide.and_then(|wide| T::try_from(wide).ok()).ok_or(Fault::OutOfRange)
    }

    pub(super) fn bytes(self, index: usize) -> Result<Vec<u8>> {
        if self.is_null(index) {
            return Err(EngineError::Argument("an argument is null").into());
        }
        self.heap.bytes_of(self.item(index)?)
    }

    pub(super) fn bytes_or_null(self, index: usize) -> Result<Option<Vec<u8>>> {
        if self.is_null(index) { Ok(None) } else { self.bytes(index).map(Some) }
    }

    pub(super) fn text(self, index: usize) -> Result<String> {
        String::from_utf8(self.bytes(index)?).map_err(|_| Fault::NotText)
    }

    pub(super) fn text_or_null(self, index: usize) -> Result<Option<String>> {
        if self.is_null(index) { Ok(None) } else { self.text(index).map(Some) }
    }

    pub(super) fn account(self, index: usize) -> Result<UInt160> {
        let hash = UInt160::from_slice(&self.bytes(index)?);
        hash.ok_or_else(|| EngineError::Argument("a hash has 20 bytes").into())
    }

    pub(super) fn account_or_null(self, index: usize) -> Result<Option<UInt160>> {
        if self.is_null(index) { Ok(None) } else { self.account(index).map(Some) }
    }

    pub(super) fn hash(self, index: usize) -> Result<UInt256> {
        let hash = UInt256::from_slice(&self.bytes(index)?);
        hash.ok_or_else(|| EngineError::Argument("a hash has 32 bytes").into())
    }

    pub(super) fn key(self, index: usize) -> Result<PublicKey> {
        decode_key(&self.bytes(index)?)
    }

    pub(super) fn key_or_null(self, index: usize) -> Result<Option<PublicKey>> {
        if self.is_null(index) { Ok(None) } else { self.key(index).map(Some) }
    }

    /// A list of keys.
    pub(super) fn keys(self, index: usize) -> Result<Vec<PublicKey>> {
        let (StackItem::Array(id) | StackItem::Struct(id)) = self.item(index)? else {
            return Err(EngineError::Argument("not a list").into());
        };
        self.heap.list(*id).iter().map(|item| decode_key(&self.heap.bytes_of(item)?)).collect()
    }
}

/// The point of bytes.
pub(super) fn decode_key(bytes: &[u8]) -> Result<PublicKey> {
    PublicKey::from_bytes(bytes).ok_or_else(|| EngineError::Argument("not a public key").into())
}
