//! Range sync: the canonical chain of better peers, one epoch a batch, several batches under way, imported in order.
//! A batch that does not link is asked of another peer; who sent it pays when the other one's fits.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use crate::types::{operation::Checkpoint, primitives::Slot};

/// Batches that are asked for or wait for their turn.
const AHEAD: usize = 5;
/// A batch not answered by then is asked of somebody else.
const PATIENCE: Duration = Duration::from_secs(15);
/// A batch that failed this often is given up, and with it the whole attempt.
const ATTEMPTS: usize = 6;
/// After an attempt that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// A peer, by the number that the transport gave it.
pub type Peer = u64;

/// What a peer says of its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Claim {
    /// Its final checkpoint.
    pub finalized: Checkpoint,
    /// Slot of its head.
    pub head_slot: Slot,
    /// First slot it can serve.
    pub earliest_slot: Slot,
}

/// Where this node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Local {
    /// Slot of the head.
    pub head_slot: Slot,
    /// First slot of the final epoch.
    pub final_slot: Slot,
}

/// What became of a batch that was to be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// Every block is in the tree.
    All,
    /// A parent is missing: something before is wrong or was left out.
    Unlinked,
    /// A block is invalid.
    Invalid,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<B> {
    /// Time has come.
    Tick,
    /// A peer told its status.
    Claim(Peer, Claim),
    /// A peer has left.
    Gone(Peer),
    /// A peer's chain left ours long ago, though it is no longer: get it from that peer.
    Forked(Peer),
    /// This node's chain has moved.
    Local(Local),
    /// The answer to a batch; nothing when the peer failed. Blocks come with their slots, in order.
    Blocks {
        /// First slot of the batch.
        start: Slot,
        /// Who answered.
        peer: Peer,
        /// Slot and block.
        blocks: Option<Vec<(Slot, B)>>,
    },
    /// What became of a batch.
    Imported {
        /// First slot of the batch.
        start: Slot,
        /// The result.
        result: Imported,
    },
}

impl<B> From<Tick> for Input<B> {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<B> {
    /// Ask a peer for blocks.
    Ask {
        /// Whom.
        peer: Peer,
        /// First slot.
        start: Slot,
        /// Slots.
        count: u64,
    },
    /// Import blocks in order.
    Import {
        /// First slot of the batch.
        start: Slot,
        /// Who sent them.
        peer: Peer,
        /// The blocks.
        blocks: Vec<B>,
    },
    /// A peer sent blocks that are invalid or not the chain it claims.
    Blame(Peer),
    /// A peer did not answer.
    Slow(Peer),
}

#[derive(Debug)]
enum Stage<B> {
    Queued,
    Asked {
        peer: Peer,
        until: Time,
    },
    Here {
        peer: Peer,
        blocks: Vec<B>,
    },
    Importing {
        peer: Peer,
    },
    /// Imported, or empty; kept until the next batch links to it.
    Done,
}

#[derive(Debug)]
struct Batch<B> {
    stage: Stage<B>,
    tried: BTreeSet<Peer>,
    attempts: usize,
}

impl<B> Default for Batch<B> {
    fn default() -> Self {
        Self { stage: Stage::Queued, tried: BTreeSet::new(), attempts: 0 }
    }
}

/// The machine.
#[derive(Debug)]
pub struct RangeSync<B> {
    per_batch: u64,
    local: Local,
    claims: BTreeMap<Peer, Claim>,
    batches: BTreeMap<Slot, Batch<B>>,
    /// Slot to reach; nothing while this node is not behind.
    target: Option<Slot>,
    /// The only peer to ask, when it is about its fork.
    only: Option<Peer>,
    /// First slot of the next new batch.
    next: Slot,
    paused_until: Option<Time>,
}

impl<B> RangeSync<B> {
    /// Not behind yet. Batches have `per_batch` slots.
    #[must_use]
    pub const fn new(per_batch: u64) -> Self {
        Self {
            per_batch,
            local: Local { head_slot: 0, final_slot: 0 },
            claims: BTreeMap::new(),
            batches: BTreeMap::new(),
            target: None,
            only: None,
            next: 0,
            paused_until: None,
        }
    }

    /// The slot it works towards, while it is behind.
    #[must_use]
    pub const fn target(&self) -> Option<Slot> {
        self.target
    }

    /// Peers and what they say.
    #[must_use]
    pub const fn claims(&self) -> &BTreeMap<Peer, Claim> {
        &self.claims
    }

    /// The best head any peer claims.
    #[must_use]
    pub fn best_head(&self) -> Slot {
        self.claims.values().map(|claim| claim.head_slot).max().unwrap_or(0)
    }

    fn begin(&mut self, now: Time) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        let best = self.best_head();
        if self.target.is_none() && best > self.local.head_slot.saturating_add(self.per_batch) {
            self.target = Some(best);
            self.next = self.local.head_slot.saturating_add(1);
            self.batches.clear();
        }
        if let Some(target) = self.target.as_mut().filter(|_| self.only.is_none()) {
            *target = best.max(*target);
        }
    }

    /// Ends the attempt; the next one starts where this node then stands, after a pause when this one failed.
    fn end(&mut self, pause: Option<Time>) {
        self.target = None;
        self.only = None;
        self.batches.clear();
        self.paused_until = pause;
    }

    /// Asks for what is wanted of those who have it and have the least to do.
    fn ask(&mut self, now: Time, out: &mut Vec<Effect<B>>) {
        let Some(target) = self.target else { return };
        let open = |batch: &&Batch<B>| !matches!(batch.stage, Stage::Done);
        while self.batches.values().filter(open).count() < AHEAD && self.next <= target {
            self.batches.insert(self.next, Batch::default());
            self.next = self.next.saturating_add(self.per_batch);
        }
        let mut load: BTreeMap<Peer, usize> = BTreeMap::new();
        for batch in self.batches.values() {
            if let Stage::Asked { peer, .. } = batch.stage {
                *load.entry(peer).or_default() += 1;
            }
        }
        for (start, batch) in &mut self.batches {
            if !matches!(batch.stage, Stage::Queued) {
                continue;
            }
            let has = |claim: &Claim| claim.head_slot >= *start && claim.earliest_slot <= *start;
            let only = self.only;
            let able = |peers: &BTreeMap<Peer, Claim>, tried: &BTreeSet<Peer>| {
                let able = peers.iter().filter(|(peer, claim)| {
                    has(claim) && !tried.contains(peer) && only.is_none_or(|only| only == **peer)
                });
                able.map(|(peer, _)| *peer).min_by_key(|peer| (load.get(peer).copied().unwrap_or(0), *peer))
            };
            let chosen = able(&self.claims, &batch.tried).or_else(|| {
                batch.tried.clear();
                able(&self.claims, &batch.tried)
            });
            let Some(peer) = chosen else { continue };
            *load.entry(peer).or_default() += 1;
            batch.stage = Stage::Asked { peer, until: now.after(PATIENCE) };
            batch.tried.insert(peer);
            batch.attempts += 1;
            out.push(Effect::Ask { peer, start: *start, count: self.per_batch });
        }
    }

    /// Hands the first batch that is not done to the importer, if it is here.
    fn import(&mut self, out: &mut Vec<Effect<B>>) {
        let first = self.batches.iter_mut().find(|(_, batch)| !matches!(batch.stage, Stage::Done));
        let Some((start, batch)) = first else { return };
        if let Stage::Here { peer, .. } = batch.stage
            && let Stage::Here { blocks, .. } = std::mem::replace(&mut batch.stage, Stage::Importing { peer })
        {
            out.push(Effect::Import { start: *start, peer, blocks });
        }
    }

    fn on_blocks(
        &mut self,
        now: Time,
        start: Slot,
        from: Peer,
        blocks: Option<Vec<(Slot, B)>>,
        out: &mut Vec<Effect<B>>,
    ) {
        let end = start.saturating_add(self.per_batch);
        let Some(batch) = self.batches.get_mut(&start) else { return };
        if !matches!(batch.stage, Stage::Asked { peer, .. } if peer == from) {
            return;
        }
        let Some(blocks) = blocks else {
            self.retry(now, start);
            return;
        };
        let increasing = blocks.is_sorted_by(|(a, _), (b, _)| a < b);
        if !increasing || blocks.iter().any(|(slot, _)| !(start..end).contains(slot)) {
            out.push(Effect::Blame(from));
            self.retry(now, start);
            return;
        }
        let blocks = blocks.into_iter().map(|(_, block)| block).collect();
        batch.stage = Stage::Here { peer: from, blocks };
    }

    fn on_imported(&mut self, now: Time, start: Slot, result: Imported, out: &mut Vec<Effect<B>>) {
        let Some(batch) = self.batches.get_mut(&start) else { return };
        let Stage::Importing { peer } = batch.stage else { return };
        match result {
            Imported::All => {
                batch.stage = Stage::Done;
                let after = start.saturating_add(self.per_batch);
                // known before the chain says so, or the next attempt would begin where this one did
                let reached = after.saturating_sub(1).min(self.target.unwrap_or(after));
                self.local.head_slot = self.local.head_slot.max(reached);
                if self.target.is_some_and(|target| after > target) {
                    self.end(None);
                    return;
                }
                // only the last batch that is done may yet turn out to have been short
                while self.batches.len() > 1
                    && self.batches.keys().nth(1).is_some_and(|second| *second <= start)
                {
                    self.batches.pop_first();
                }
            }
            Imported::Invalid => {
                out.push(Effect::Blame(peer));
                self.retry(now, start);
            }
            Imported::Unlinked => {
                // either this batch is from another chain or the one before was short: ask for both again
                self.retry(now, start);
                let before = self.batches.range(..start).next_back().map(|(slot, _)| *slot);
                match before {
                    Some(before) => self.retry(now, before),
                    None if start > self.local.final_slot.saturating_add(1) => {
                        // the peers left our chain before our head: start from the final block
                        self.batches.clear();
                        self.next = self.local.final_slot.saturating_add(1);
                    }
                    None => {}
                }
            }
        }
    }

    fn retry(&mut self, now: Time, start: Slot) {
        let Some(batch) = self.batches.get_mut(&start) else { return };
        if batch.attempts >= ATTEMPTS {
            self.end(Some(now.after(PAUSE)));
        } else {
            batch.stage = Stage::Queued;
        }
    }

    fn on_time(&mut self, now: Time, out: &mut Vec<Effect<B>>) {
        let late: Vec<(Slot, Peer)> = self
            .batches
            .iter()
            .filter_map(|(start, batch)| match batch.stage {
                Stage::Asked { peer, until } if until <= now => Some((*start, peer)),
                _ => None,
            })
            .collect();
        for (start, peer) in late {
            out.push(Effect::Slow(peer));
            self.retry(now, start);
        }
        if self.paused_until.is_some_and(|until| until <= now) {
            self.paused_until = None;
        }
    }
}

impl<B> Machine for RangeSync<B> {
    type Input = Input<B>;
    type Effect = Effect<B>;

    fn step(&mut self, now: Time, input: Input<B>, out: &mut Vec<Effect<B>>) {
        match input {
            Input::Tick => self.on_time(now, out),
            Input::Claim(peer, claim) => {
                self.claims.insert(peer, claim);
            }
            Input::Gone(peer) => {
                self.claims.remove(&peer);
                let asked =
                    |batch: &Batch<B>| matches!(batch.stage, Stage::Asked { peer: of, .. } if of == peer);
                for batch in self.batches.values_mut().filter(|batch| asked(batch)) {
                    batch.stage = Stage::Queued;
                }
                if self.claims.is_empty() || self.only == Some(peer) {
                    self.end(None);
                }
            }
            Input::Forked(peer) => {
                if let Some(claim) = self.claims.get(&peer)
                    && self.target.is_none()
                {
                    self.target = Some(claim.head_slot);
                    self.only = Some(peer);
                    self.next = self.local.final_slot.saturating_add(1);
                    self.batches.clear();
                }
            }
            Input::Local(local) => self.local = local,
            Input::Blocks { start, peer, blocks } => self.on_blocks(now, start, peer, blocks, out),
            Input::Imported { start, result } => self.on_imported(now, start, result, out),
        }
        self.begin(now);
        self.ask(now, out);
        self.import(out);
    }

    fn deadline(&self) -> Option<Time> {
        let asked = self.batches.values().filter_map(|batch| match batch.stage {
            Stage::Asked { until, .. } => Some(until),
            _ => None,
        });
        asked.chain(self.paused_until).min()
    }
}
