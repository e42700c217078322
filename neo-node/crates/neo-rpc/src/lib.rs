//! JSON-RPC of the node: methods, shapes and error codes of the C# node's RPC server, with neo-go's additions where they
//! do not clash. Envelope, limits and HTTP are the shared frame's.
//!
//! [`render`] shows protocol values, `params` reads what callers send, [`script`] builds what they want to run. Not
//! here: rules. Methods read the ledger, ask the pool, and run scripts that change nothing.

mod context;
pub mod error;
mod invoke;
mod methods;
mod params;
pub mod render;
pub mod sessions;

pub use context::{Context, Network, Options, Peer, SubmittedBlock, Tokens};
pub use methods::methods;
pub use neo_contract::script;
