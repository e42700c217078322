//! A deployed contract, as it is stored. Mirrors `ContractState.cs` and `Helper.GetContractHash`.

use neo_base::{UInt160, account::script_hash, codec::Wire};
use neo_vm::{Heap, StackItem};
use shared_vendor::bytes::Writer;

use crate::{
    binary::{self, SerializeError},
    json::Json,
    manifest::{ItemError, Manifest, item::Fields},
    nef::Nef,
};

/// A contract on the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct ContractState {
    /// Number in order of deployment; negative for native contracts.
    pub id: i32,
    /// How often it was updated.
    pub update_counter: u16,
    /// Its hash, which updates do not change.
    pub hash: UInt160,
    /// What it runs.
    pub nef: Nef,
    /// What it declares.
    pub manifest: Manifest,
}

impl ContractState {
    /// The stack item of the contract.
    pub fn to_item(&self, heap: &mut Heap) -> StackItem {
        let manifest = self.manifest.to_item(heap);
        heap.new_array(vec![
            StackItem::int(self.id),
            StackItem::int(self.update_counter),
            StackItem::bytes(self.hash.0),
            StackItem::bytes(self.nef.to_bytes()),
            manifest,
        ])
    }

    /// The contract of a stack item.
    ///
    /// # Errors
    /// The item has another form.
    pub fn from_item(heap: &Heap, item: &StackItem) -> Result<Self, ItemError> {
        let fields = Fields::of(heap, item)?;
        let counter = fields.get(1)?.to_int()?.to_u64().and_then(|counter| u16::try_from(counter).ok());
        let nef = heap.bytes_of(fields.get(3)?)?;
        Ok(Self {
            id: fields.get(0)?.to_int()?.to_i32().ok_or(ItemError::Value("id"))?,
            update_counter: counter.ok_or(ItemError::Value("update counter"))?,
            hash: UInt160::from_slice(&heap.bytes_of(fields.get(2)?)?).ok_or(ItemError::Value("hash"))?,
            nef: Nef::from_bytes(&nef).map_err(|_| ItemError::Value("executable file"))?,
            manifest: Manifest::from_item(heap, fields.get(4)?)?,
        })
    }

    /// The bytes in storage.
    ///
    /// # Errors
    /// The manifest is too large to be stored.
    pub fn to_storage(&self) -> Result<Vec<u8>, SerializeError> {
        let mut heap = Heap::default();
        let item = self.to_item(&mut heap);
        binary::serialize(&heap, &item)
    }

    /// The contract of its bytes in storage.
    ///
    /// # Errors
    /// The bytes have another form.
    pub fn from_storage(bytes: &[u8]) -> Result<Self, ItemError> {
        let mut heap = Heap::default();
        let item = binary::deserialize(&mut heap, bytes).map_err(|_| ItemError::Value("stored contract"))?;
        Self::from_item(&heap, &item)
    }

    /// The form of `getcontractstate`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Json::object([
            ("id", Json::Number(self.id.into())),
            ("updatecounter", Json::Number(self.update_counter.into())),
            ("hash", Json::text(self.hash.to_string())),
            ("nef", self.nef.to_json()),
            ("manifest", self.manifest.to_json()),
        ])
    }
}

/// Hash of a contract: of a script that aborts and names who deployed it, the checksum of its file, and its name.
#[must_use]
pub fn contract_hash(sender: &UInt160, checksum: u32, name: &str) -> UInt160 {
    let mut script = Writer::new();
    script.u8(0x38).u8(0x0c).u8(20).put(sender.as_bytes());
    push_number(&mut script, checksum);
    push_data(&mut script, name.as_bytes());
    script_hash(script.as_slice())
}

/// The shortest instruction that pushes a number.
fn push_number(script: &mut Writer, number: u32) {
    let small = u8::try_from(number).ok().filter(|number| *number <= 16);
    match (small, i8::try_from(number), i16::try_from(number), i32::try_from(number)) {
        (Some(small), ..) => script.u8(small.saturating_add(0x10)),
        (_, Ok(byte), ..) => script.u8(0x00).u8(byte.cast_unsigned()),
        (_, _, Ok(short), _) => script.u8(0x01).u16_le(short.cast_unsigned()),
        (.., Ok(word)) => script.u8(0x02).i32_le(word),
        _ => script.u8(0x03).u64_le(number.into()),
    };
}

/// The shortest instruction that pushes bytes.
fn push_data(script: &mut Writer, data: &[u8]) {
    match (u8::try_from(data.len()), u16::try_from(data.len()), u32::try_from(data.len())) {
        (Ok(len), ..) => script.u8(0x0c).u8(len),
        (_, Ok(len), _) => script.u8(0x0d).u16_le(len),
        (.., len) => script.u8(0x0e).u32_le(len.unwrap_or(u32::MAX)),
    };
    script.put(data);
}
