//! Encoding, ids, block, transaction, address, amount.
