//! The checks that need no coins, trees or node list: of headers against their chain, of transactions and of blocks.

pub mod block;
pub mod header;
pub mod payout;
pub mod transaction;

pub use block::{BlockError, CheckedBlock, check_block, check_block_at};
pub use header::{HeaderContext, HeaderError, check_header, check_header_at, check_header_without_proof};
pub use payout::{PayoutError, check_payouts};
pub use transaction::{
    TxError, check_coinbase_at, check_transaction, check_transaction_at, is_expired, is_final,
};
