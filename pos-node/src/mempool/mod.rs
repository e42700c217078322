//! Transactions that wait for a block: by sender in the order of nonces, between senders by what they pay the proposer.
//! Everything is bounded by count per sender and by bytes in all. Signatures are verified after all cheaper checks.
//!
//! Not here: what makes a transaction valid in a block (`state::transition::tx`), which head the pool follows, gossip.

pub mod best;

use crate::{
    crypto::ed25519,
    state::{
        app::Account,
        fees::cost_up,
        transition::tx::{Prepared, TxError, check_static, intrinsic_gas, value_moved},
        verifier::Verifier,
    },
    types::{
        params::{Config, GovernedParams},
        primitives::{Address, Nano, Root, Slot},
        transaction::{AccountKey, AccountSignature, Tx},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Bounds of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Transactions of one sender.
    pub per_sender: usize,
    /// Transactions of one sender that wait for an earlier nonce to arrive.
    pub gapped_per_sender: usize,
    /// Bytes of all transactions.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_sender: 1024, gapped_per_sender: 64, bytes: 256 << 20 }
    }
}

/// Why a transaction is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is in the pool.
    #[error("known transaction")]
    Known,
    /// It could be in no block.
    #[error("invalid transaction")]
    Invalid(#[from] TxError),
    /// A signature is bad.
    #[error("bad signature")]
    Signature,
    /// It replaces another one of that nonce without paying an eighth more on both fees.
    #[error("replacement underpriced")]
    Underpriced,
    /// The sender cannot pay for it together with its others.
    #[error("balance too low for all transactions of the sender")]
    Unfundable,
    /// The sender has too many.
    #[error("too many transactions of the sender")]
    SenderFull,
    /// The pool is full of transactions that pay more.
    #[error("pool is full")]
    Full,
}

impl Refusal {
    /// Whether an honest node could not have passed it on.
    #[must_use]
    pub const fn is_offence(&self) -> bool {
        matches!(
            self,
            Self::Signature
                | Self::Invalid(TxError::ChainId(_) | TxError::Size | TxError::Range(_) | TxError::Disabled)
        )
    }
}

/// The head that the pool follows.
pub struct Head<'a> {
    /// Accounts after the head.
    pub account: &'a dyn Fn(&Address) -> Account,
    /// Constants and chain.
    pub config: &'a Config,
    /// Binds signatures to the chain.
    pub genesis_validators_root: Root,
    /// Governed parameters after the head.
    pub params: &'a GovernedParams,
    /// Price of gas in the next block.
    pub base_fee: u64,
    /// Slot of the next block.
    pub slot: Slot,
}

/// What the bytes of a transaction alone determine.
#[derive(Debug, Clone, Copy)]
struct Identity {
    id: Root,
    bytes: usize,
    sender: Address,
}

#[derive(Debug, Clone)]
struct Entry {
    id: Root,
    tx: Arc<Tx>,
    bytes: usize,
    cost: Nano,
}

#[derive(Debug, Clone, Default)]
struct Queue {
    /// Nonce of the sender's account at the head.
    next: u64,
    /// The first nonce from `next` on that is not here.
    gap: u64,
    by_nonce: BTreeMap<u64, Entry>,
    /// What all entries may cost.
    cost: u128,
}

impl Queue {
    /// Entries that could be executed one after the other now.
    fn ready(&self) -> impl Iterator<Item = &Entry> {
        self.by_nonce.range(self.next..self.gap.max(self.next)).map(|(_, entry)| entry)
    }

    /// Number of entries that wait for an earlier nonce.
    fn gapped(&self) -> usize {
        self.by_nonce.range(self.gap.max(self.next)..).count()
    }

    /// The sender's account has another nonce now.
    fn follow(&mut self, next: u64) {
        self.gap = if next < self.next { next } else { self.gap.max(next) };
        self.next = next;
        self.advance();
    }

    fn advance(&mut self) {
        while self.by_nonce.contains_key(&self.gap) {
            self.gap = self.gap.saturating_add(1);
        }
    }

    fn insert(&mut self, nonce: u64, entry: Entry) -> Option<Entry> {
        self.cost = self.cost.saturating_add(u128::from(entry.cost));
        let old = self.by_nonce.insert(nonce, entry);
        let replaced = old.as_ref().map_or(0, |old| u128::from(old.cost));
        self.cost = self.cost.saturating_sub(replaced);
        self.advance();
        old
    }

    /// Takes out the entries from a nonce on.
    fn cut(&mut self, nonce: u64) -> BTreeMap<u64, Entry> {
        let cut = self.by_nonce.split_off(&nonce);
        self.gap = self.gap.min(nonce).max(self.next);
        self.lessen(&cut);
        cut
    }

    /// Takes out the entries before a nonce.
    fn cut_before(&mut self, nonce: u64) -> BTreeMap<u64, Entry> {
        let kept = self.by_nonce.split_off(&nonce);
        let cut = std::mem::replace(&mut self.by_nonce, kept);
        self.lessen(&cut);
        cut
    }

    fn lessen(&mut self, cut: &BTreeMap<u64, Entry>) {
        let cost: u128 = cut.values().map(|entry| u128::from(entry.cost)).sum();
        self.cost = self.cost.saturating_sub(cost);
    }
}

/// The pool.
#[derive(Debug, Clone, Default)]
pub struct Mempool {
    limits: Limits,
    queues: BTreeMap<Address, Queue>,
    by_id: BTreeMap<Root, (Address, u64)>,
    by_tip: BTreeSet<(u64, Root)>,
    by_end: BTreeSet<(Slot, Root)>,
    bytes: usize,
}

impl Mempool {
    /// An empty pool.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Number of transactions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Bytes of all transactions.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A transaction by its id. Its signatures were verified.
    #[must_use]
    pub fn get(&self, id: &Root) -> Option<&Arc<Tx>> {
        let (sender, nonce) = self.by_id.get(id)?;
        self.queues.get(sender)?.by_nonce.get(nonce).map(|entry| &entry.tx)
    }

    /// Every transaction, by sender and nonce.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tx>> {
        self.queues.values().flat_map(|queue| queue.by_nonce.values()).map(|entry| &entry.tx)
    }

    /// A sender's transactions in the order of nonces.
    pub fn of_sender(&self, sender: &Address) -> impl Iterator<Item = &Arc<Tx>> {
        self.queues.get(sender).into_iter().flat_map(|queue| queue.by_nonce.values()).map(|entry| &entry.tx)
    }

    /// The first nonce of a sender that neither a block nor the pool has.
    #[must_use]
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        self.queues.get(sender).map(|queue| queue.gap)
    }

    /// Takes in transactions, each on its own; signatures are verified together. Gives their ids or why not.
    pub fn insert(
        &mut self,
        txs: Vec<Tx>,
        head: &Head<'_>,
        verifier: &dyn Verifier,
    ) -> Vec<Result<Root, Refusal>> {
        let mut verdicts: Vec<Result<Identity, Refusal>> = txs
            .iter()
            .map(|tx| {
                let prepared = Prepared::new(tx);
                self.check(&prepared, head)?;
                Ok(Identity { id: prepared.id, bytes: prepared.bytes, sender: prepared.sender })
            })
            .collect();
        verify(&txs, &mut verdicts, head, verifier);
        let verdicts = verdicts.into_iter().zip(txs);
        verdicts.map(|(verdict, tx)| verdict.and_then(|identity| self.place(tx, identity, head))).collect()
    }

    /// Every check but signatures; gives what the transaction may cost its sender.
    fn check(&self, prepared: &Prepared<'_>, head: &Head<'_>) -> Result<Nano, Refusal> {
        if self.by_id.contains_key(&prepared.id) {
            return Err(Refusal::Known);
        }
        let body = &prepared.tx.body;
        check_static(prepared)?;
        if body.chain_id != head.config.chain_id {
            return Err(TxError::ChainId(body.chain_id).into());
        }
        if body.valid_until < head.slot || body.valid_until > head.slot.saturating_add(MAX_VALID_AHEAD) {
            return Err(TxError::ValidUntil(body.valid_until).into());
        }
        if body.tip > body.max_fee {
            return Err(TxError::Tip.into());
        }
        let intrinsic = intrinsic_gas(head.params, prepared);
        if body.gas_limit < intrinsic {
            return Err(TxError::IntrinsicGas(intrinsic).into());
        }
        if body.gas_limit > head.params.get(crate::types::params::Governed::BlockGasLimit) {
            return Err(TxError::BlockGas.into());
        }
        let fee = cost_up(body.gas_limit, body.max_fee).ok_or(TxError::Balance)?;
        let cost =
            value_moved(&body.action).and_then(|value| fee.checked_add(value)).ok_or(TxError::Balance)?;
        let account = (head.account)(&prepared.sender);
        if body.nonce < account.nonce {
            return Err(TxError::Nonce { found: body.nonce, expected: account.nonce }.into());
        }
        let queue = self.queues.get(&prepared.sender);
        let replaced = queue.and_then(|queue| queue.by_nonce.get(&body.nonce));
        if let Some(old) = replaced {
            let enough = |new: u64, old: u64| new >= old.saturating_add(old.div_ceil(8).max(1));
            if !enough(body.max_fee, old.tx.body.max_fee) || !enough(body.tip, old.tx.body.tip) {
                return Err(Refusal::Underpriced);
            }
        }
        let others = queue.map_or(0, |queue| queue.cost) - replaced.map_or(0, |old| u128::from(old.cost));
        if others.saturating_add(u128::from(cost)) > u128::from(account.balance) {
            return Err(Refusal::Unfundable);
        }
        let count = queue.map_or(0, |queue| queue.by_nonce.len());
        let first_gap = queue.map_or(account.nonce, |queue| queue.gap.max(account.nonce));
        let too_far = || {
            let gapped = queue.map_or(0, Queue::gapped);
            body.nonce > first_gap && gapped >= self.limits.gapped_per_sender
        };
        if replaced.is_none() && (count >= self.limits.per_sender || too_far()) {
            return Err(Refusal::SenderFull);
        }
        Ok(cost)
    }

    /// Puts a verified transaction in its place; checks again, since others of the same call may have come before it.
    fn place(&mut self, tx: Tx, identity: Identity, head: &Head<'_>) -> Result<Root, Refusal> {
        let Identity { id, bytes, sender } = identity;
        let cost = self.check(&Prepared { tx: &tx, id, bytes, sender }, head)?;
        let (nonce, tip, end) = (tx.body.nonce, tx.body.tip, tx.body.valid_until);
        self.make_room(bytes, tip)?;
        let queue = self.queues.entry(sender).or_default();
        queue.follow((head.account)(&sender).nonce);
        let old = queue.insert(nonce, Entry { id, tx: Arc::new(tx), bytes, cost });
        if let Some(old) = old {
            self.unlist(&old);
        }
        self.by_id.insert(id, (sender, nonce));
        self.by_tip.insert((tip, id));
        self.by_end.insert((end, id));
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(id)
    }

    /// Drops what pays least, with everything that waits for it, until there is room.
    fn make_room(&mut self, bytes: usize, tip: u64) -> Result<(), Refusal> {
        while self.bytes.saturating_add(bytes) > self.limits.bytes {
            match self.by_tip.first().copied() {
                Some((lowest, id)) if lowest < tip => self.drop_with_followers(&id),
                _ => return Err(Refusal::Full),
            }
        }
        Ok(())
    }

    fn drop_with_followers(&mut self, id: &Root) {
        let Some((sender, nonce)) = self.by_id.get(id).copied() else { return };
        let Some(queue) = self.queues.get_mut(&sender) else { return };
        let dropped = queue.cut(nonce);
        if queue.by_nonce.is_empty() {
            self.queues.remove(&sender);
        }
        for entry in dropped.values() {
            self.unlist(entry);
        }
    }

    fn unlist(&mut self, entry: &Entry) {
        self.by_id.remove(&entry.id);
        self.by_tip.remove(&(entry.tx.body.tip, entry.id));
        self.by_end.remove(&(entry.tx.body.valid_until, entry.id));
        self.bytes = self.bytes.saturating_sub(entry.bytes);
    }

    /// Follows a new head: `senders` are those of transactions in blocks that came or went. Drops what was included, is
    /// too late, or can be paid no more.
    pub fn on_head(&mut self, head: &Head<'_>, senders: impl IntoIterator<Item = Address>) {
        while let Some((end, id)) = self.by_end.first().copied()
            && end < head.slot
        {
            self.drop_with_followers(&id);
        }
        for sender in senders {
            let Some(queue) = self.queues.get_mut(&sender) else { continue };
            let account = (head.account)(&sender);
            let mut dropped: Vec<Entry> = queue.cut_before(account.nonce).into_values().collect();
            queue.follow(account.nonce);
            let mut left = u128::from(account.balance);
            let unfundable = queue.by_nonce.iter().find_map(|(nonce, entry)| {
                let cost = u128::from(entry.cost);
                left.checked_sub(cost).map(|rest| left = rest).is_none().then_some(*nonce)
            });
            if let Some(nonce) = unfundable {
                dropped.extend(queue.cut(nonce).into_values());
            }
            if queue.by_nonce.is_empty() {
                self.queues.remove(&sender);
            }
            for entry in &dropped {
                self.unlist(entry);
            }
        }
    }
}

/// Most slots that a transaction may be valid ahead.
const MAX_VALID_AHEAD: u64 = 1024 * 8;

/// Verifies the signatures of all transactions that passed so far, together; alone when one is bad.
fn verify(txs: &[Tx], verdicts: &mut [Result<Identity, Refusal>], head: &Head<'_>, verifier: &dyn Verifier) {
    type Signer = (usize, AccountKey, AccountSignature);
    let mut messages = Vec::new();
    let mut signers: Vec<Signer> = Vec::new();
    for (tx, _) in txs.iter().zip(verdicts.iter()).filter(|(_, verdict)| verdict.is_ok()) {
        let signed_by = tx.auth.signers().into_iter();
        signers.extend(signed_by.map(|(key, signature)| (messages.len(), key, signature)));
        messages
            .push(tx.body.signing_message(head.config.genesis_fork_version, head.genesis_validators_root));
    }
    let items = |of: Option<usize>| -> Vec<ed25519::Item<'_>> {
        let wanted = signers.iter().filter(|(at, ..)| of.is_none_or(|of| of == *at));
        wanted
            .filter_map(|(at, key, signature)| {
                Some(ed25519::Item { key, signature, message: messages.get(*at)?.as_slice() })
            })
            .collect()
    };
    if messages.is_empty() || verifier.accounts(&items(None)).is_ok() {
        return;
    }
    for (at, verdict) in verdicts.iter_mut().filter(|verdict| verdict.is_ok()).enumerate() {
        if verifier.accounts(&items(Some(at))).is_err() {
            *verdict = Err(Refusal::Signature);
        }
    }
}

#[cfg(test)]
mod tests;
