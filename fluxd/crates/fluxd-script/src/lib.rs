//! Scripts: instructions, the interpreter, signature hashes of all eras, standard forms, signing, and the secp256k1 questions
//! that scripts and the layers above ask.
//!
//! Mirrors `src/script/{script,interpreter,standard,sign}.cpp` and `src/pubkey.cpp` of the C++ node. Pure: a verdict depends
//! on the arguments alone.

pub mod ecdsa;
pub mod instruction;
pub mod interpreter;
pub mod number;
pub mod opcode;
mod sha1;
pub mod sighash;
pub mod sign;
pub mod standard;

pub use interpreter::{Flags, InputContext, ScriptError, verify_script};
pub use sighash::{SighashParts, signature_hash};
pub use standard::Standard;
