//! What the transactions of one block are to each other: the fees of one sender add up, an oracle request has one
//! answer, and none may exclude another. Mirrors `TransactionVerificationContext.cs` as dBFT uses it.

use std::collections::{HashMap, HashSet};

use neo_base::{
    UInt160, UInt256,
    ledger::{Attribute, Transaction},
};

use crate::mempool::Others;

/// The transactions of a block so far.
#[derive(Debug, Default)]
pub(crate) struct BlockCheck {
    fees: HashMap<UInt160, i64>,
    answers: HashSet<u64>,
    hashes: HashSet<UInt256>,
    /// Who excludes a hash: the signers of the transactions that do.
    excluded: HashMap<UInt256, HashSet<UInt160>>,
}

impl BlockCheck {
    /// Adds a transaction; what those before it mean for it. `None` when it and another one exclude each other.
    pub(crate) fn add(&mut self, transaction: &Transaction) -> Option<Others> {
        let body = transaction.body();
        let signers = || body.signers.iter().map(|signer| signer.account);
        let excluders = self.excluded.get(&transaction.hash());
        if excluders.is_some_and(|accounts| signers().any(|account| accounts.contains(&account))) {
            return None;
        }
        let mut others = Others::default();
        for attribute in &body.attributes {
            match attribute {
                Attribute::Conflicts(hash) if self.hashes.contains(hash) => return None,
                Attribute::Conflicts(hash) => self.excluded.entry(*hash).or_default().extend(signers()),
                Attribute::OracleResponse { id, .. } => others.oracle_answered = !self.answers.insert(*id),
                _ => {}
            }
        }
        self.hashes.insert(transaction.hash());
        let fees = self.fees.entry(body.sender()).or_default();
        others.sender_fees = *fees;
        *fees = fees.saturating_add(body.system_fee).saturating_add(body.network_fee);
        Some(others)
    }
}
