//! The ledger: which headers, transactions and blocks are valid ([`verify`]), what blocks change ([`execute`]), the
//! state trie and its roots ([`state_root`]), what accounts hold ([`tokens`]), what is kept and how it is read ([`ledger`], [`view`], [`log`]), files of
//! blocks ([`acc`]), and transactions that wait ([`mempool`]).
//!
//! Not here: the network, consensus, RPC, and the tables themselves.

pub mod acc;
pub mod admission;
mod block_check;
mod commit;
pub mod execute;
pub mod fee;
pub mod ledger;
pub mod log;
pub mod mempool;
mod rooted;
pub mod state_root;
pub mod tokens;
pub mod verify;
pub mod view;

pub use admission::Admission;
pub use commit::StateRoot;
pub use execute::Executed;
pub use ledger::{CheckedBlock, Ledger, LedgerError, LedgerOptions, PersistError, SignedRoot, Tip};
pub use view::{HistoricView, LedgerView};
