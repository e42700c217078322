//! How blocks, transactions and scripts look in JSON. Mirrors `ScriptToAsmStr` and `TxToJSON` of `src/core_write.cpp`
//! and `src/rpc/rawtransaction.cpp`, `blockToJSON` and `blockheaderToJSON` of `src/rpc/blockchain.cpp`.

pub mod block;
pub mod chain;
pub mod node;
pub mod script;
pub mod transaction;
