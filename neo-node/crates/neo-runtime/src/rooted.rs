//! States by their root instead of their height, as proofs and historic reads name them, and proofs themselves.
//! Mirrors `StatePlugin.cs`.

use neo_base::UInt256;
use neo_contract::native;

use crate::{Ledger, LedgerError, state_root::proof, view::HistoricView};

impl Ledger {
    /// The contracts' storage of the state with this root. Blocks and transactions are those of the tip.
    ///
    /// # Errors
    /// The store fails. Whether the root is known shows when it is read.
    pub fn at_root(&self, root: UInt256) -> Result<HistoricView<'_>, LedgerError> {
        let now = self.view()?;
        let tip = native::ledger::current(&now)?;
        let (hash, height) = tip.ok_or(LedgerError::NoState(0))?;
        Ok(HistoricView { now, root, current: native::ledger::current_row(hash, height) })
    }

    /// The nodes that prove a key of the state with this root; `None` when it has no value.
    ///
    /// # Errors
    /// The root is not known, the key is too long, or the store fails.
    pub fn prove(&self, root: UInt256, key: &[u8]) -> Result<Option<Vec<Vec<u8>>>, LedgerError> {
        Ok(proof::prove(root, key, &self.view()?)?)
    }
}
