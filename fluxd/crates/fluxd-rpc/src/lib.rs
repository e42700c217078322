//! What the node says over HTTP: JSON-RPC with the C++ node's argument rules, member order, number forms, codes and
//! texts, its `/daemon/<method>` routes and its REST paths. No rules of its own: it asks the chain state, the miner and
//! the network of the node. Mirrors `src/rpc/*.cpp`, `src/httprpc.cpp` and `src/rest.cpp`.

pub mod context;
pub mod error;
pub mod json;
pub mod methods;
pub mod params;
pub mod present;
mod rest;
pub mod server;

pub use context::{Context, Network, PeerInfo};
pub use error::RpcError;
pub use json::Json;
pub use methods::Methods;
