//! Stack items in JSON. Mirrors `VM/Helper.cs` (`ToJson`).

use neo_vm::{Heap, Interop, StackItem};
use serde_json::{Value, json};

use super::bytes;

/// Why an item cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemError {
    /// It holds itself.
    Recursive,
    /// It has more bytes than are shown.
    TooLarge,
}

impl ItemError {
    /// The text that takes the item's place.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Recursive => "error: recursive reference",
            Self::TooLarge => "error: max size reached",
        }
    }
}

/// An item with all it holds. `interop` shows objects of the host; `budget` is the number of bytes that may be shown.
///
/// # Errors
/// The item holds itself, or is larger than the budget.
pub fn item(
    heap: &Heap,
    of: &StackItem,
    budget: &mut usize,
    interop: &mut dyn FnMut(&Interop) -> Value,
) -> Result<Value, ItemError> {
    Render { heap, budget, interop, path: Vec::new() }.item(of)
}

struct Render<'a> {
    heap: &'a Heap,
    budget: &'a mut usize,
    interop: &'a mut dyn FnMut(&Interop) -> Value,
    path: Vec<neo_vm::CompoundId>,
}

/// The macro `json` would copy what is inside once for each level.
fn compound(kind: &str, value: Value) -> Value {
    Value::Object([("type".to_owned(), kind.into()), ("value".to_owned(), value)].into_iter().collect())
}

impl Render<'_> {
    fn item(&mut self, of: &StackItem) -> Result<Value, ItemError> {
        self.spend(12)?;
        Ok(match of {
            StackItem::Null => json!({ "type": "Any" }),
            StackItem::Boolean(value) => json!({ "type": "Boolean", "value": value }),
            StackItem::Integer(value) => json!({ "type": "Integer", "value": value.to_string() }),
            StackItem::ByteString(data) => {
                self.spend(data.len().saturating_mul(4) / 3)?;
                json!({ "type": "ByteString", "value": bytes(data) })
            }
            StackItem::Buffer(id) => {
                let data = self.heap.buffer(*id);
                self.spend(data.len().saturating_mul(4) / 3)?;
                json!({ "type": "Buffer", "value": bytes(data) })
            }
            StackItem::Array(id) => compound("Array", self.list(*id)?),
            StackItem::Struct(id) => compound("Struct", self.list(*id)?),
            StackItem::Map(id) => compound("Map", self.map(*id)?),
            StackItem::Pointer(pointer) => json!({ "type": "Pointer", "value": pointer.position }),
            StackItem::Interop(object) => (self.interop)(object),
        })
    }

    fn list(&mut self, id: neo_vm::CompoundId) -> Result<Value, ItemError> {
        self.enter(id)?;
        let heap = self.heap;
        let items = heap.list(id).iter().map(|item| self.item(item)).collect();
        self.path.pop();
        items
    }

    fn map(&mut self, id: neo_vm::CompoundId) -> Result<Value, ItemError> {
        self.enter(id)?;
        let heap = self.heap;
        let entries = heap
            .map(id)
            .into_iter()
            .flatten()
            .map(|(key, value)| {
                let (key, value) = (self.item(&key.to_item())?, self.item(value)?);
                Ok(Value::Object(
                    [("key".to_owned(), key), ("value".to_owned(), value)].into_iter().collect(),
                ))
            })
            .collect();
        self.path.pop();
        entries
    }

    fn enter(&mut self, id: neo_vm::CompoundId) -> Result<(), ItemError> {
        if self.path.contains(&id) {
            return Err(ItemError::Recursive);
        }
        self.path.push(id);
        Ok(())
    }

    fn spend(&mut self, size: usize) -> Result<(), ItemError> {
        *self.budget = self.budget.checked_sub(size).ok_or(ItemError::TooLarge)?;
        Ok(())
    }
}
