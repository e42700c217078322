//! Types and conversions. Mirrors `JumpTable.Types.cs` and the `ConvertTo` methods of `Types/*.cs`.

use crate::{
    engine::{Engine, Host},
    fault::{Fault, Result},
    item::{ItemType, StackItem},
};

impl<H: Host> Engine<H> {
    pub(super) fn is_type(&mut self, byte: u8) -> Result<()> {
        let item = self.pop()?;
        match ItemType::from_byte(byte) {
            None | Some(ItemType::Any) => Err(Fault::UnknownType(byte)),
            Some(wanted) => {
                self.push_bool(item.item_type() == wanted);
                Ok(())
            }
        }
    }

    pub(super) fn convert(&mut self, byte: u8) -> Result<()> {
        let item = self.pop()?;
        let wanted = ItemType::from_byte(byte).ok_or(Fault::UnknownType(byte))?;
        let converted = self.converted(item, wanted)?;
        self.push(converted);
        Ok(())
    }

    fn converted(&mut self, item: StackItem, wanted: ItemType) -> Result<StackItem> {
        match (&item, wanted) {
            (StackItem::Null, ItemType::Any) => Err(Fault::InvalidType(ItemType::Any)),
            (StackItem::Null, _) => Ok(item),
            _ if item.item_type() == wanted => Ok(item),
            (_, ItemType::Boolean) => Ok(StackItem::Boolean(item.to_bool()?)),
            (StackItem::Boolean(_) | StackItem::Integer(_) | StackItem::ByteString(_), ItemType::Integer) => {
                Ok(StackItem::Integer(item.to_int()?))
            }
            (StackItem::Boolean(_) | StackItem::Integer(_), ItemType::ByteString) => {
                Ok(StackItem::ByteString(item.primitive_bytes()?))
            }
            (StackItem::Boolean(_) | StackItem::Integer(_) | StackItem::ByteString(_), ItemType::Buffer) => {
                let bytes = item.primitive_bytes()?.to_vec();
                Ok(self.heap.new_buffer(bytes))
            }
            (StackItem::Buffer(id), ItemType::ByteString) => {
                Ok(StackItem::bytes(self.heap.buffer(*id).as_slice()))
            }
            (StackItem::Buffer(id), ItemType::Integer) => {
                StackItem::bytes(self.heap.buffer(*id).as_slice()).to_int().map(StackItem::Integer)
            }
            (StackItem::Array(id), ItemType::Struct) => {
                let items = self.heap.list(*id).to_vec();
                Ok(self.heap.new_struct(items))
            }
            (StackItem::Struct(id), ItemType::Array) => {
                let items = self.heap.list(*id).to_vec();
                Ok(self.heap.new_array(items))
            }
            _ => Err(Fault::InvalidType(item.item_type())),
        }
    }
}
