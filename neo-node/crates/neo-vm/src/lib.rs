//! The Neo virtual machine: a pure, deterministic interpreter of scripts.
//!
//! [`Engine`] runs scripts one instruction at a time and asks a [`Host`] about everything outside: fees, interop
//! services, method tokens. Stack items that can be shared or form cycles live in a [`Heap`] and are named by index,
//! so nothing leaks and nothing is counted twice. Not here: contracts, storage, gas, JSON.
//! Mirrors `src/Neo.VM` of the C# reference (version 3.10); [`Era`] selects the three behaviours that hardforks
//! left behind.

mod debugger;
mod engine;
mod fault;
mod heap;
mod item;
pub mod limits;
mod opcode;
mod ops;
mod script;

pub use debugger::Debugger;
pub use engine::{Context, Engine, Era, FrameView, Host, NoHost, State, Unloaded};
pub use fault::{Fault, Result};
pub use heap::{BufferId, CompoundId, Heap, MapItems};
pub use item::{Bytes, Interop, InteropObject, ItemType, MapKey, Pointer, StackItem};
pub use opcode::{OpCode, Operand};
pub use script::{Instruction, Script};
