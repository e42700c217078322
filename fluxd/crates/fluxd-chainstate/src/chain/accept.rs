//! Headers and bodies come in. Mirrors `AcceptBlockHeader` and `AcceptBlock` in `src/main.cpp`: what is accepted is
//! stored and linked, but not connected yet.

use std::sync::Arc;

use fluxd_consensus::check::{self, CheckedBlock, HeaderContext, HeaderError};
use fluxd_fluxnode::NodeState;
use fluxd_pon::{MAX_EMERGENCY_SIGNATURES_SIZE, MAX_SIGNATURE, PonError};
use fluxd_pow::difficulty::HISTORY;
use fluxd_primitives::{Amount, BlockHash, BlockHeader, Proof};
use fluxd_storage::{BlockRow, Position, Validity};
use rayon::prelude::*;

use crate::{
    chain::{ChainState, Result},
    error::{AcceptError, ConnectError, Invalid},
    index::{BlockId, NewEntry},
};

/// An unrequested block that is further ahead of the tip than this is not stored.
const MAX_AHEAD: u32 = 288;
/// Rows that wait for a commit before one is made for their sake.
const MAX_ROWS: usize = 4096;

/// What became of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored now.
    New(BlockId),
    /// It was stored before.
    Known(BlockId),
    /// Nobody asked for it and it does not help.
    Ignored(BlockId),
}

impl ChainState {
    /// Adds a header to the index. `now` is the time in seconds since the epoch.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn accept_header(&mut self, header: &BlockHeader, now: i64) -> std::result::Result<BlockId, Invalid> {
        let (params, height) = (Arc::clone(&self.params), self.index.height());
        self.add_header(header, header.hash(), || check::check_header(header, &params, height, now))
    }

    /// Adds headers that follow each other; their proofs are checked on all threads. Returns how many were accepted, and
    /// the rule that the next one breaks.
    pub fn accept_headers(&mut self, headers: &[BlockHeader], now: i64) -> (usize, Option<Invalid>) {
        let tip_height = self.index.height();
        let verdicts: Vec<_> = headers
            .par_iter()
            .map(|header| {
                let hash = header.hash();
                let verdict = match self.index.find(&hash) {
                    Some(_) => Ok(()),
                    None => check::check_header(header, &self.params, tip_height, now),
                };
                (hash, verdict)
            })
            .collect();
        for (place, (header, (hash, verdict))) in headers.iter().zip(verdicts).enumerate() {
            if let Err(invalid) = self.add_header(header, hash, || verdict) {
                return (place, Some(invalid));
            }
        }
        (headers.len(), None)
    }

    /// Adds headers that follow each other and whose proofs of work stand without their solutions, each with the hash that
    /// the sender claims. Only a known block above them vouches for them.
    pub fn accept_compact_headers(
        &mut self,
        headers: &[(BlockHeader, BlockHash)],
        now: i64,
    ) -> (usize, Option<Invalid>) {
        for (place, (header, claimed)) in headers.iter().enumerate() {
            let result = match &header.proof {
                Proof::Node { .. } => self.accept_header(header, now).map(|_| ()),
                Proof::Work { .. } if self.index.find(claimed).is_some() => Ok(()),
                Proof::Work { .. } => self.add_compact(header, *claimed),
            };
            if let Err(invalid) = result {
                return (place, Some(invalid));
            }
        }
        (headers.len(), None)
    }

    /// Stores a body, and its header where that is new. `requested` says that somebody asked for it.
    ///
    /// # Errors
    /// The rule that it breaks, or the store fails.
    pub fn accept_block(
        &mut self,
        body: &Arc<CheckedBlock>,
        requested: bool,
        now: i64,
    ) -> std::result::Result<Accepted, AcceptError> {
        self.take_block(body, requested, now, None)
    }

    /// As [`Self::accept_block`], for a body that lies in a flat file already.
    ///
    /// # Errors
    /// The rule that it breaks, or the store fails.
    pub(crate) fn adopt_block(
        &mut self,
        body: &Arc<CheckedBlock>,
        position: Position,
        now: i64,
    ) -> std::result::Result<Accepted, AcceptError> {
        self.take_block(body, true, now, Some(position))
    }

    fn take_block(
        &mut self,
        body: &Arc<CheckedBlock>,
        requested: bool,
        now: i64,
        known_position: Option<Position>,
    ) -> std::result::Result<Accepted, AcceptError> {
        let header = &body.block().header;
        let id = self.header_of_body(body, now)?;
        let entry = self.index.entry(id);
        let height = entry.height();
        if entry.has_body() {
            return Ok(Accepted::Known(id));
        }
        if !requested {
            let pruned = entry.transactions() > 0;
            let more_work = entry.work() > self.index.entry(self.index.tip()).work();
            let too_far = height > self.index.height().saturating_add(MAX_AHEAD);
            if pruned || !more_work || too_far {
                return Ok(Accepted::Ignored(id));
            }
        }
        if let Err(invalid) = self.check_body(body, id, height) {
            if !invalid.is_about_bytes() {
                self.mark_failed(id)?;
            }
            return Err(invalid.into());
        }
        let position = match known_position {
            Some(position) => {
                self.store.adopt_block(position, body.block(), height);
                position
            }
            None => self.store.append_block(body.block(), height)?,
        };
        let mut row = self.row(id)?;
        row.header = header.clone();
        row.validity = Validity::Body;
        row.transactions = u32::try_from(body.txids().len()).unwrap_or(u32::MAX);
        row.block = Some(position);
        let transactions = row.transactions;
        self.rows.insert(id, row);
        self.bodies.keep(id, Arc::clone(body));
        let least = self.index.entry(self.index.tip()).work();
        for complete in self.index.link(id, transactions) {
            let entry = self.index.entry(complete);
            if entry.work() >= least && !entry.is_failed() {
                self.candidates.insert(&self.index, complete);
            }
        }
        self.relieve()?;
        Ok(Accepted::New(id))
    }

    /// The entry of a body's header, which is checked unless it is known with its proof.
    fn header_of_body(&mut self, body: &CheckedBlock, now: i64) -> std::result::Result<BlockId, Invalid> {
        let header = &body.block().header;
        let (hash, height) = (body.hash(), self.index.height());
        if let Proof::Node { collateral, signature } = &header.proof {
            // The signature is not part of the hash, so a known header says nothing about it.
            let emergency = self.params.pon.emergency.is_emergency(collateral);
            if signature.len() > if emergency { MAX_EMERGENCY_SIGNATURES_SIZE } else { MAX_SIGNATURE } {
                return Err(HeaderError::PonSignatureSize.into());
            }
        }
        let known = self.index.find(&hash);
        if let Some(id) = known.filter(|id| self.index.entry(*id).is_compact()) {
            check::check_header(header, &self.params, height, now)?;
            self.index.set_complete_header(id);
        }
        let params = Arc::clone(&self.params);
        self.add_header(header, hash, || check::check_header(header, &params, height, now))
    }

    fn check_body(&self, body: &CheckedBlock, id: BlockId, height: u32) -> std::result::Result<(), Invalid> {
        let header = &body.block().header;
        if let Proof::Node { collateral, signature } = &header.proof {
            let tip = self.index.height();
            // Elsewhere the node list belongs to another moment, and connecting decides.
            let is_next =
                self.index.entry(id).prev() == Some(self.index.tip()) && height == tip.saturating_add(1);
            if is_next {
                let key = node_key(&self.nodes, collateral);
                self.params
                    .pon
                    .check_signature(header, collateral, signature, height, key.as_ref())
                    .map_err(|error| Invalid::Connect(ConnectError::ProofOfNode(error)))?;
            } else if self.params.pon.emergency.is_emergency(collateral)
                && !self.params.pon.emergency.check(&body.hash(), signature)
            {
                return Err(ConnectError::ProofOfNode(PonError::BadEmergencySignatures).into());
            }
        }
        Ok(check::check_block_at(body.block(), &self.params, height)?)
    }

    fn add_header(
        &mut self,
        header: &BlockHeader,
        hash: BlockHash,
        check: impl FnOnce() -> std::result::Result<(), HeaderError>,
    ) -> std::result::Result<BlockId, Invalid> {
        if let Some(known) = self.index.find(&hash) {
            let failed = self.index.entry(known).is_failed();
            return if failed { Err(Invalid::KnownInvalid) } else { Ok(known) };
        }
        check()?;
        self.check_place(header, &hash)?;
        Ok(self.insert_header(header, hash))
    }

    fn add_compact(&mut self, header: &BlockHeader, claimed: BlockHash) -> std::result::Result<(), Invalid> {
        let prev = self.index.find(&header.prev).ok_or(Invalid::UnknownParent)?;
        let height = self.index.entry(prev).height().saturating_add(1);
        let last_known = self.params.checkpoints.last().map_or(0, |(height, _)| *height);
        if !self.options.checkpoints || height >= last_known {
            return Err(Invalid::CompactHeaderTooHigh);
        }
        self.check_place(header, &claimed)?;
        self.insert_header(header, claimed);
        Ok(())
    }

    fn check_place(&self, header: &BlockHeader, hash: &BlockHash) -> std::result::Result<(), Invalid> {
        let prev = self.index.find(&header.prev).ok_or(Invalid::UnknownParent)?;
        let entry = self.index.entry(prev);
        if entry.is_failed() {
            return Err(Invalid::InvalidParent);
        }
        let recent = self.index.history(prev, HISTORY);
        let context =
            HeaderContext { prev_height: entry.height(), recent: &recent, tip_height: self.index.height() };
        check::header::check_in_chain(header, &self.params, &context)?;
        let height = entry.height().saturating_add(1);
        let last_known = self.last_checkpoint().map(|known| self.index.entry(known).height());
        if last_known.is_some_and(|known| height < known) {
            return Err(Invalid::ForkBeforeCheckpoint);
        }
        if self.options.checkpoints {
            check::header::check_known(hash, &self.params, &context)?;
        }
        Ok(())
    }

    fn insert_header(&mut self, header: &BlockHeader, hash: BlockHash) -> BlockId {
        let id = self.index.add(NewEntry::of(hash, header));
        let entry = self.index.entry(id);
        let row = BlockRow {
            header: header.clone(),
            height: entry.height(),
            chain_work: entry.work(),
            validity: Validity::Header,
            transactions: 0,
            block: None,
            undo_offset: None,
            sprout_value: Amount::ZERO,
            sapling_value: Amount::ZERO,
        };
        self.rows.insert(id, row);
        id
    }

    /// Marks a block, and everything built on it, as breaking rules.
    pub(super) fn mark_failed(&mut self, id: BlockId) -> Result<()> {
        for changed in self.index.fail(id) {
            let mut row = self.row(changed)?;
            row.validity = if changed == id { Validity::Invalid } else { Validity::InvalidAncestor };
            self.rows.insert(changed, row);
            self.candidates.remove(&self.index, changed);
            self.bodies.forget(changed);
        }
        Ok(())
    }

    /// Commits when many rows wait, so that memory stays bounded while nothing can be connected.
    pub(super) fn relieve(&mut self) -> Result<()> {
        if self.rows.len() >= MAX_ROWS { self.flush() } else { Ok(()) }
    }
}

fn node_key(
    nodes: &NodeState,
    collateral: &fluxd_primitives::OutPoint,
) -> Option<fluxd_primitives::PublicKey> {
    nodes.node(collateral).map(|node| node.node_key.clone())
}
