//! Byte strings and buffers. Mirrors `JumpTable.Splice.cs`.

use crate::{
    engine::{Engine, Host},
    fault::{Fault, Result},
    item::StackItem,
    limits::MAX_ITEM_SIZE,
};

impl<H: Host> Engine<H> {
    pub(super) fn new_buffer(&mut self) -> Result<()> {
        let len = self.pop_index()?;
        if len > MAX_ITEM_SIZE {
            return Err(Fault::ItemTooLarge(len));
        }
        let buffer = self.heap.new_buffer(vec![0; len]);
        self.push(buffer);
        Ok(())
    }

    pub(super) fn memcpy(&mut self) -> Result<()> {
        let count = self.pop_index()?;
        let from = self.pop_index()?;
        let source = self.pop()?;
        let part = self.heap.with_bytes(&source, |bytes| slice(bytes, from, count).map(<[u8]>::to_vec))?;
        let part = part.ok_or(Fault::OutOfRange)?;
        let to = self.pop_index()?;
        let target = self.pop()?;
        let StackItem::Buffer(id) = target else { return Err(Fault::InvalidType(target.item_type())) };
        let end = to.checked_add(count).ok_or(Fault::OutOfRange)?;
        let bytes = self.heap.buffer_mut(id).get_mut(to..end).ok_or(Fault::OutOfRange)?;
        bytes.copy_from_slice(&part);
        Ok(())
    }

    pub(super) fn cat(&mut self) -> Result<()> {
        let tail = self.pop()?;
        let tail_len = self.heap.with_bytes(&tail, <[u8]>::len)?;
        let head = self.pop()?;
        let mut bytes = self.heap.bytes_of(&head)?;
        let len = bytes.len().saturating_add(tail_len);
        if len > MAX_ITEM_SIZE {
            return Err(Fault::ItemTooLarge(len));
        }
        self.heap.with_bytes(&tail, |tail| bytes.extend_from_slice(tail))?;
        let buffer = self.heap.new_buffer(bytes);
        self.push(buffer);
        Ok(())
    }

    pub(super) fn substr(&mut self) -> Result<()> {
        let count = self.pop_index()?;
        let index = self.pop_index()?;
        self.push_part(|bytes| slice(bytes, index, count))
    }

    pub(super) fn left(&mut self) -> Result<()> {
        let count = self.pop_index()?;
        self.push_part(|bytes| bytes.get(..count))
    }

    pub(super) fn right(&mut self) -> Result<()> {
        let count = self.pop_index()?;
        self.push_part(|bytes| bytes.len().checked_sub(count).and_then(|start| bytes.get(start..)))
    }

    fn push_part(&mut self, part: impl FnOnce(&[u8]) -> Option<&[u8]>) -> Result<()> {
        let item = self.pop()?;
        let bytes = self.heap.with_bytes(&item, |bytes| part(bytes).map(<[u8]>::to_vec))?;
        let buffer = self.heap.new_buffer(bytes.ok_or(Fault::OutOfRange)?);
        self.push(buffer);
        Ok(())
    }
}

fn slice(bytes: &[u8], from: usize, count: usize) -> Option<&[u8]> {
    bytes.get(from..from.checked_add(count)?)
}
