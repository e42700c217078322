//! What executions did: results, gas, notifications, in a form that outlives the engine. Mirrors the plugin
//! `ApplicationLogs` of the C# reference; the bytes are our own.

use neo_base::{
    Int, UInt160, UInt256,
    codec::{self, DecodeError, Wire, read_var_bytes, read_var_int, write_count, write_var_bytes},
};
use neo_contract::engine::{ApplicationEngine, Store, Trigger};
use neo_vm::{Bytes, Heap, StackItem, State};
use shared_vendor::bytes::{Reader, Writer};

/// Items of one logged value; a value with more, or with a cycle, has no logged form.
const MAX_ITEMS: usize = 4096;

/// Deepest nesting of a logged value.
const MAX_DEPTH: usize = 64;

/// Longest byte string on a stack.
const MAX_BYTES: usize = 131_070;

/// A stack item as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogItem {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// An integer.
    Integer(Int),
    /// Immutable bytes.
    ByteString(Bytes),
    /// What was a buffer.
    Buffer(Bytes),
    /// A list.
    Array(Vec<Self>),
    /// A list that is copied by value.
    Struct(Vec<Self>),
    /// Keys and values in order of insertion.
    Map(Vec<(Self, Self)>),
    /// A position in a script.
    Pointer(u32),
    /// An object of the engine.
    Interop,
}

impl LogItem {
    /// The value of an item; `None` when it is too large or contains itself.
    #[must_use]
    pub fn new(heap: &Heap, item: &StackItem) -> Option<Self> {
        let mut budget = MAX_ITEMS;
        convert(heap, item, MAX_DEPTH, &mut budget)
    }
}

fn convert(heap: &Heap, item: &StackItem, depth: usize, budget: &mut usize) -> Option<LogItem> {
    *budget = budget.checked_sub(1)?;
    let below = depth.checked_sub(1)?;
    Some(match item {
        StackItem::Null => LogItem::Null,
        StackItem::Boolean(value) => LogItem::Boolean(*value),
        StackItem::Integer(value) => LogItem::Integer(value.clone()),
        StackItem::ByteString(bytes) => LogItem::ByteString(bytes.clone()),
        StackItem::Buffer(id) => LogItem::Buffer(heap.buffer(*id).as_slice().into()),
        StackItem::Array(id) => LogItem::Array(convert_list(heap, heap.list(*id), below, budget)?),
        StackItem::Struct(id) => LogItem::Struct(convert_list(heap, heap.list(*id), below, budget)?),
        StackItem::Map(id) => {
            let entries = heap.map(*id).into_iter().flatten();
            let entries = entries.map(|(key, value)| {
                let key = convert(heap, &key.to_item(), below, budget)?;
                Some((key, convert(heap, value, below, budget)?))
            });
            LogItem::Map(entries.collect::<Option<_>>()?)
        }
        StackItem::Pointer(pointer) => LogItem::Pointer(u32::try_from(pointer.position).ok()?),
        StackItem::Interop(_) => LogItem::Interop,
    })
}

fn convert_list(heap: &Heap, items: &[StackItem], depth: usize, budget: &mut usize) -> Option<Vec<LogItem>> {
    items.iter().map(|item| convert(heap, item, depth, budget)).collect()
}

/// An event of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogNotification {
    /// The contract.
    pub contract: UInt160,
    /// Name of the event.
    pub name: String,
    /// What was sent; `None` when it has no logged form.
    pub state: Option<LogItem>,
}

/// What one execution did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// What started it.
    pub trigger: Trigger,
    /// True when it ended in HALT, false for FAULT.
    pub halted: bool,
    /// Gas used, in datoshi.
    pub gas: u64,
    /// Why it faulted, for people.
    pub exception: Option<String>,
    /// The results, the last on top; `None` when they have no logged form.
    pub stack: Option<Vec<LogItem>>,
    /// Events in order.
    pub notifications: Vec<LogNotification>,
}

impl Execution {
    /// What an engine that has ended did.
    #[must_use]
    pub fn of<S: Store>(engine: &ApplicationEngine<S>) -> Self {
        let heap = &engine.heap;
        let notifications = engine.host.notifications().iter().map(|sent| LogNotification {
            contract: sent.contract,
            name: sent.name.clone(),
            state: LogItem::new(heap, &sent.state),
        });
        Self {
            trigger: engine.host.environment().trigger,
            halted: engine.state() == State::Halt,
            gas: u64::try_from(engine.host.gas_used()).unwrap_or(u64::MAX),
            exception: engine.fault().map(ToString::to_string),
            stack: engine.results().iter().map(|item| LogItem::new(heap, item)).collect(),
            notifications: notifications.collect(),
        }
    }
}

/// The log of a block (what native contracts did before and after its transactions) or of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// Executions in order.
    pub executions: Vec<Execution>,
}

impl Wire for LogItem {
    fn read(reader: &mut Reader<'_>) -> codec::Result<Self> {
        read_item(reader, MAX_DEPTH)
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Null => {
                writer.u8(0x00);
            }
            Self::Boolean(value) => {
                writer.u8(0x20).u8((*value).into());
            }
            Self::Integer(value) => {
                writer.u8(0x21);
                write_var_bytes(writer, &value.to_bytes());
            }
            Self::ByteString(bytes) => {
                writer.u8(0x28);
                write_var_bytes(writer, bytes);
            }
            Self::Buffer(bytes) => {
                writer.u8(0x30);
                write_var_bytes(writer, bytes);
            }
            Self::Array(items) => {
                writer.u8(0x40);
                codec::write_list(writer, items);
            }
            Self::Struct(items) => {
                writer.u8(0x41);
                codec::write_list(writer, items);
            }
            Self::Map(entries) => {
                writer.u8(0x48);
                write_count(writer, entries.len());
                for (key, value) in entries {
                    key.write(writer);
                    value.write(writer);
                }
            }
            Self::Pointer(position) => {
                writer.u8(0x10).u32_le(*position);
            }
            Self::Interop => {
                writer.u8(0x60);
            }
        }
    }
}

fn read_item(reader: &mut Reader<'_>, depth: usize) -> codec::Result<LogItem> {
    let below = depth.checked_sub(1).ok_or(DecodeError::Invalid("a logged item is nested too deep"))?;
    let count = |reader: &mut Reader<'_>, size| -> codec::Result<usize> {
        let count = read_var_int(reader)?;
        Ok(reader.count(count, MAX_ITEMS, size)?)
    };
    Ok(match reader.u8()? {
        0x00 => LogItem::Null,
        0x10 => LogItem::Pointer(reader.u32_le()?),
        0x20 => LogItem::Boolean(codec::read_bool(reader)?),
        0x21 => LogItem::Integer(Int::from_bytes(read_var_bytes(reader, 32)?)),
        0x28 => LogItem::ByteString(read_var_bytes(reader, MAX_BYTES)?.into()),
        0x30 => LogItem::Buffer(read_var_bytes(reader, MAX_BYTES)?.into()),
        kind @ (0x40 | 0x41) => {
            let items =
                (0..count(reader, 1)?).map(|_| read_item(reader, below)).collect::<codec::Result<_>>()?;
            if kind == 0x40 { LogItem::Array(items) } else { LogItem::Struct(items) }
        }
        0x48 => {
            let entries =
                (0..count(reader, 2)?).map(|_| Ok((read_item(reader, below)?, read_item(reader, below)?)));
            LogItem::Map(entries.collect::<codec::Result<_>>()?)
        }
        0x60 => LogItem::Interop,
        _ => return Err(DecodeError::Invalid("unknown type of a logged item")),
    })
}

fn write_option<T: Wire>(writer: &mut Writer, value: Option<&T>) {
    writer.u8(value.is_some().into());
    if let Some(value) = value {
        value.write(writer);
    }
}

fn read_option<T>(
    reader: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> codec::Result<T>,
) -> codec::Result<Option<T>> {
    if codec::read_bool(reader)? { read(reader).map(Some) } else { Ok(None) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Wire for LogNotification {
    fn read(reader: &mut Reader<'_>) -> codec::Result<Self> {
        Ok(Self {
            contract: Wire::read(reader)?,
            name: text(read_var_bytes(reader, MAX_BYTES)?),
            state: read_option(reader, LogItem::read)?,
        })
    }

    fn write(&self, writer: &mut Writer) {
        self.contract.write(writer);
        write_var_bytes(writer, self.name.as_bytes());
        write_option(writer, self.state.as_ref());
    }
}

impl Wire for Execution {
    fn read(reader: &mut Reader<'_>) -> codec::Result<Self> {
        let trigger = match reader.u8()? {
            0x01 => Trigger::OnPersist,
            0x02 => Trigger::PostPersist,
            0x20 => Trigger::Verification,
            0x40 => Trigger::Application,
            _ => return Err(DecodeError::Invalid("unknown trigger")),
        };
        let (halted, gas) = (codec::read_bool(reader)?, reader.u64_le()?);
        let exception = read_option(reader, |reader| Ok(text(read_var_bytes(reader, MAX_BYTES)?)))?;
        let stack = read_option(reader, |reader| codec::read_list(reader, MAX_ITEMS, 1))?;
        let notifications = codec::read_list(reader, usize::MAX, 22)?;
        Ok(Self { trigger, halted, gas, exception, stack, notifications })
    }

    fn write(&self, writer: &mut Writer) {
        let trigger = match self.trigger {
            Trigger::OnPersist => 0x01,
            Trigger::PostPersist => 0x02,
            Trigger::Verification => 0x20,
            Trigger::Application => 0x40,
        };
        writer.u8(trigger).u8(self.halted.into()).u64_le(self.gas).u8(self.exception.is_some().into());
        if let Some(exception) = &self.exception {
            write_var_bytes(writer, exception.as_bytes());
        }
        writer.u8(self.stack.is_some().into());
        if let Some(stack) = &self.stack {
            codec::write_list(writer, stack);
        }
        codec::write_list(writer, &self.notifications);
    }
}

impl Wire for Log {
    fn read(reader: &mut Reader<'_>) -> codec::Result<Self> {
        Ok(Self { executions: codec::read_list(reader, 16, 10)? })
    }

    fn write(&self, writer: &mut Writer) {
        codec::write_list(writer, &self.executions);
    }
}

/// The key of a log.
pub(crate) fn key(hash: &UInt256) -> Vec<u8> {
    hash.0.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_reads_back_and_a_cycle_has_no_logged_form() {
        let mut heap = Heap::default();
        let list = heap.new_array(vec![StackItem::int(5), StackItem::Null]);
        let item = LogItem::new(&heap, &list).expect("a small list");
        let execution = Execution {
            trigger: Trigger::Application,
            halted: true,
            gas: 7,
            exception: Some("text".into()),
            stack: Some(vec![item.clone(), LogItem::Map(vec![(LogItem::Boolean(true), LogItem::Interop)])]),
            notifications: vec![LogNotification {
                contract: UInt160::ZERO,
                name: "e".into(),
                state: Some(item),
            }],
        };
        let log = Log { executions: vec![execution] };
        assert_eq!(Log::from_bytes(&log.to_bytes()), Ok(log));
        let id = list.compound().expect("an array");
        heap.list_mut(id).expect("writable").push(list.clone());
        assert_eq!(LogItem::new(&heap, &list), None);
    }
}
