//! Contracts of Neo N3: executable files, manifests, their stored form, and what native contracts declare.
//!
//! Not here yet: the interop services and the methods of native contracts. Not here at all: storage, blocks, fees of
//! transactions. Mirrors `src/Neo/SmartContract` and `src/Neo.Json` of the C# reference.

pub mod base64;
pub mod binary;
pub mod flags;
pub mod hardfork;
pub mod json;
pub mod manifest;
pub mod native;
pub mod nef;
pub mod state;

pub use flags::CallFlags;
pub use hardfork::{Hardfork, Hardforks};
pub use json::Json;
pub use manifest::Manifest;
pub use nef::{MethodToken, Nef};
pub use state::ContractState;
