//! Why execution ended in FAULT. The reference distinguishes faults only by text; the text is not part of consensus.

use crate::{item::ItemType, limits};

/// A fault that no script can catch.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A byte that is no instruction.
    #[error("{0:#04x} is no instruction")]
    InvalidOpCode(u8),
    /// The operand reaches beyond the script.
    #[error("instruction at {0} is cut off")]
    CutOff(usize),
    /// A jump, call or handler outside the script.
    #[error("position {0} is outside the script")]
    OutOfScript(i64),
    /// The stack has fewer items than the instruction needs.
    #[error("not enough items on the stack")]
    StackUnderflow,
    /// An item of another type is needed.
    #[error("{0:?} cannot be used here")]
    InvalidType(ItemType),
    /// The byte is no type of items.
    #[error("{0:#04x} is no type of items")]
    UnknownType(u8),
    /// A number is out of the range of its use.
    #[error("number out of range")]
    OutOfRange,
    /// An integer of more than 32 bytes.
    #[error("integer of more than 32 bytes")]
    IntegerTooLarge,
    /// A byte string that is too long to be an integer or boolean.
    #[error("byte string is too long to be a number")]
    BytesTooLong,
    /// Division or remainder by zero, or a root or inverse that does not exist.
    #[error("no such number")]
    NoSuchNumber,
    /// A byte string or buffer above the limit.
    #[error("item of {0} bytes, the limit is {max}", max = limits::MAX_ITEM_SIZE)]
    ItemTooLarge(usize),
    /// More references than allowed.
    #[error("{0} references, the limit is {max}", max = limits::MAX_STACK_SIZE)]
    StackOverflow(i64),
    /// More nested calls than allowed.
    #[error("calls nested deeper than {max}", max = limits::MAX_INVOCATION_DEPTH)]
    InvocationTooDeep,
    /// More nested handlers than allowed.
    #[error("TRY nested deeper than {max}", max = limits::MAX_TRY_NESTING)]
    TryTooDeep,
    /// A handler instruction without its TRY, or in the wrong part of it.
    #[error("no TRY block for this instruction")]
    NoTry,
    /// Slots that do not exist or exist already.
    #[error("slots are missing or initialised twice")]
    Slots,
    /// A map key above the limit.
    #[error("map key of {0} bytes, the limit is {max}", max = limits::MAX_KEY_SIZE)]
    KeyTooLarge(usize),
    /// A comparison above the limit.
    #[error("comparison is too large")]
    CompareTooLarge,
    /// An array or map that must not change.
    #[error("the array or map is read-only")]
    ReadOnly,
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    NotText,
    /// A pointer into another script.
    #[error("pointer into another script")]
    ForeignPointer,
    /// A context returned another number of items than its caller expects.
    #[error("{found} items returned, {expected} expected")]
    ReturnCount {
        /// Items left by the context.
        found: usize,
        /// Items that the caller expects.
        expected: usize,
    },
    /// `ABORT`, `ABORTMSG`, or a failed assertion.
    #[error("aborted: {0}")]
    Aborted(String),
    /// An exception that nothing catches.
    #[error("unhandled exception: {0}")]
    Unhandled(String),
    /// The interop service does not exist or is not offered.
    #[error("no interop service {0:#010x}")]
    UnknownSyscall(u32),
    /// The method token does not exist.
    #[error("no method token {0}")]
    UnknownToken(u16),
    /// The host refused.
    #[error(transparent)]
    Host(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// Result of an instruction.
pub type Result<T> = std::result::Result<T, Fault>;
