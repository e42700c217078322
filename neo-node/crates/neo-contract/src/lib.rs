//! Contracts of Neo N3: executable files, manifests, their stored form, native contracts, and the engine that runs
//! contracts with its interop services.
//!
//! Not here: which blocks and transactions are valid, and where the storage is kept. Mirrors `src/Neo/SmartContract` and `src/Neo.Json` of the C# reference.

pub mod base64;
pub mod binary;
pub mod engine;
pub mod flags;
pub mod hardfork;
pub mod json;
pub mod manifest;
pub mod native;
pub mod nef;
pub mod script;
pub mod settings;
pub mod state;

pub use flags::CallFlags;
pub use hardfork::{Hardfork, Hardforks};
pub use json::Json;
pub use manifest::Manifest;
pub use nef::{MethodToken, Nef};
pub use settings::ProtocolSettings;
pub use state::ContractState;
