//! The X-chain: transactions, blocks and genesis, and the stop vertex that ended its DAG. All of it is pure; there is no
//! state and no execution yet. Mirrors `vms/avm` and, for the vertex, `snow/engine/avalanche/vertex`.

pub mod block;
pub mod fx;
pub mod genesis;
pub mod txs;
pub mod vertex;
