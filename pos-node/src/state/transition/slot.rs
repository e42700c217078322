//! Time passing: every slot keeps the roots of the one before, every epoch end runs its steps. Mirrors `process_slots`
//! and `process_slot` of `specs/phase0/beacon-chain.md`.

use super::super::{AppWrites, State};
use super::epoch::{self, Registrations};
use crate::types::{
    params::Params,
    primitives::{Root, Slot},
    ssz::TreeHash,
};

/// The application side of a state while slots pass: what epochs read of it, write to it, and its root.
pub trait Application: Registrations {
    /// Applies what an epoch end wrote.
    fn apply(&mut self, writes: &AppWrites);

    /// Root of the application tree as it stands.
    fn root(&self) -> Root;
}

impl State {
    /// Root of the last block, whose header may still lack its state root.
    #[must_use]
    pub fn latest_block_root(&self) -> Root {
        Root(self.latest_block_header.tree_root())
    }

    /// Advances to `slot`; nothing happens when the state is already there or beyond.
    pub fn advance_to(&mut self, params: &Params, slot: Slot, app: &mut impl Application) {
        while self.slot < slot {
            self.keep_roots(params, &app.root());
            if (self.slot + 1).is_multiple_of(params.slots_per_epoch) {
                let mut writes = AppWrites::default();
                epoch::process(self, params, &*app, &mut writes);
                app.apply(&writes);
            }
            self.slot += 1;
        }
    }

    /// Stores the roots of the slot that ends and completes the last header with them.
    fn keep_roots(&mut self, params: &Params, app_root: &Root) {
        let ring = params.slots_per_historical_root;
        let state_root = self.combined_root(params, app_root);
        if let Some(kept) = self.state_roots.at_mut(self.slot % ring) {
            *kept = state_root;
        }
        if self.latest_block_header.state_root == Root::ZERO {
            self.latest_block_header.state_root = state_root;
        }
        let block_root = self.latest_block_root();
        if let Some(kept) = self.block_roots.at_mut(self.slot % ring) {
            *kept = block_root;
        }
    }
}
