//! Range sync: the canonical chain of better peers, one epoch a batch, several batches under way, imported in order.
//! A batch that does not link is asked of another peer; who left blocks out of it pays when the other one's fits. Who
//! claimed a head and never showed it is not believed again until it says something new.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use crate::types::primitives::{Root, Slot};

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
    /// Its head.
    pub head_root: Root,
    /// Slot of its head.
    pub head_slot: Slot,
    /// First slot it can serve.
    pub earliest_slot: Slot,
    /// Whether its head is in this node's tree: there is nothing to fetch from it then, but it may serve others' blocks.
    pub known: bool,
}

/// A block of an answer, and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<B> {
    /// Its slot.
    pub slot: Slot,
    /// Its root.
    pub root: Root,
    /// The root of its parent.
    pub parent: Root,
    /// The block.
    pub block: B,
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
    /// The answer to a question for a batch or the rest of one; nothing when the peer failed.
    Blocks {
        /// First slot of the batch.
        batch: Slot,
        /// Who answered.
        peer: Peer,
        /// The blocks in the order of their slots.
        blocks: Option<Vec<Item<B>>>,
        /// Whether the answer is so long that the peer may have ended it early.
        cut: bool,
    },
    /// What became of a batch; where this node stands after it is told before.
    Imported {
        /// First slot of the batch.
        batch: Slot,
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
        /// First slot of the batch they belong to.
        batch: Slot,
        /// First slot.
        start: Slot,
        /// Slots.
        count: u64,
    },
    /// Import blocks in order.
    Import {
        /// First slot of the batch.
        batch: Slot,
        /// The blocks.
        blocks: Vec<B>,
    },
    /// A peer sent blocks that are invalid, or left some out.
    Blame(Peer),
    /// A peer has no block of the slot that it said its head was at.
    Short(Peer),
    /// A peer did not answer.
    Slow(Peer),
}

#[derive(Debug)]
enum Stage<B> {
    Queued,
    /// With what came of it so far.
    Asked {
        peer: Peer,
        until: Time,
        have: Vec<Item<B>>,
    },
    Here {
        peer: Peer,
        blocks: Vec<Item<B>>,
    },
    Importing {
        peer: Peer,
        roots: Vec<Root>,
    },
    /// Imported, or empty; kept until the next batch links to it.
    Done,
}

#[derive(Debug)]
struct Batch<B> {
    stage: Stage<B>,
    tried: BTreeSet<Peer>,
    attempts: usize,
    /// What was sent before and did not lead on.
    answers: Vec<(Peer, Vec<Root>)>,
}

impl<B> Default for Batch<B> {
    fn default() -> Self {
        Self { stage: Stage::Queued, tried: BTreeSet::new(), attempts: 0, answers: Vec::new() }
    }
}

impl<B> Batch<B> {
    const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    const fn is_queued(&self) -> bool {
        matches!(self.stage, Stage::Queued)
    }
}

/// Whether who sent `short` left out blocks that `whole` has before the last block of both.
fn left_out(short: &[Root], whole: &[Root]) -> bool {
    let both = short.last().and_then(|last| whole.iter().position(|root| root == last));
    both.is_some_and(|at| whole.iter().take(at).any(|root| !short.contains(root)))
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
    pub const fn new(per_batch: u64, local: Local) -> Self {
        Self {
            per_batch,
            local,
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

    /// The best head that is not known here, of peers that can serve blocks from a slot on.
    fn best_head(&self, from: Slot) -> Option<Slot> {
        let able = |(peer, claim): &(&Peer, &Claim)| {
            claim.earliest_slot <= from && self.only.map_or(!claim.known, |only| only == **peer)
        };
        self.claims.iter().filter(able).map(|(_, claim)| claim.head_slot).max()
    }

    /// First slot that is not imported in this attempt.
    fn open(&self) -> Slot {
        let open = self.batches.iter().find(|(_, batch)| !batch.is_done());
        open.map_or(self.next, |(start, _)| *start)
    }

    fn begin(&mut self, now: Time) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        if self.target.is_some() {
            return self.aim();
        }
        let from = self.local.head_slot.saturating_add(1);
        let best = self.best_head(from);
        if best.is_some_and(|best| best > self.local.head_slot.saturating_add(self.per_batch)) {
            self.target = best;
            self.next = from;
            self.batches.clear();
        }
    }

    /// Claims come and go, and the target with them.
    fn aim(&mut self) {
        let open = self.open();
        match self.best_head(open).filter(|best| *best >= open) {
            Some(best) => {
                self.target = Some(best);
                let beyond = |(start, batch): &(&Slot, &Batch<B>)| **start > best && batch.is_queued();
                if let Some(first) = self.batches.iter().find(beyond).map(|(start, _)| *start) {
                    self.batches.split_off(&first);
                    self.next = first;
                }
            }
            None => self.end(None),
        }
    }

    /// Ends the attempt; the next one starts where this node then stands, after a pause when this one failed.
    fn end(&mut self, pause: Option<Time>) {
        self.target = None;
        self.only = None;
        self.batches.clear();
        self.paused_until = pause;
    }

    /// Everything up to the target is imported: heads that were claimed up to there and not shown are not believed.
    fn complete(&mut self, target: Slot, out: &mut Vec<Effect<B>>) {
        let only = self.only;
        self.claims.retain(|peer, claim| {
            let asked = only.is_none_or(|only| only == *peer);
            let shown = claim.known || claim.head_slot > target || !asked;
            if !shown {
                out.push(Effect::Short(*peer));
            }
            shown
        });
        self.end(None);
    }

    /// Asks for what is wanted of those who have it and have the least to do.
    fn ask(&mut self, now: Time, out: &mut Vec<Effect<B>>) {
        let Some(target) = self.target else { return };
        while self.batches.values().filter(|batch| !batch.is_done()).count() < AHEAD && self.next <= target {
            self.batches.insert(self.next, Batch::default());
            self.next = self.next.saturating_add(self.per_batch);
        }
        let mut load: BTreeMap<Peer, usize> = BTreeMap::new();
        for batch in self.batches.values() {
            if let Stage::Asked { peer, .. } = batch.stage {
                *load.entry(peer).or_default() += 1;
            }
        }
        for (start, batch) in self.batches.iter_mut().filter(|(_, batch)| batch.is_queued()) {
            let only = self.only;
            let able = |tried: &BTreeSet<Peer>| {
                let able = self.claims.iter().filter(|(peer, claim)| {
                    claim.head_slot >= *start
                        && claim.earliest_slot <= *start
                        && !tried.contains(peer)
                        && only.is_none_or(|only| only == **peer)
                });
                able.map(|(peer, _)| *peer).min_by_key(|peer| (load.get(peer).copied().unwrap_or(0), *peer))
            };
            let chosen = able(&batch.tried).or_else(|| {
                batch.tried.clear();
                able(&batch.tried)
            });
            let Some(peer) = chosen else { continue };
            *load.entry(peer).or_default() += 1;
            batch.stage = Stage::Asked { peer, until: now.after(PATIENCE), have: Vec::new() };
            batch.tried.insert(peer);
            batch.attempts += 1;
            out.push(Effect::Ask { peer, batch: *start, start: *start, count: self.per_batch });
        }
    }

    /// Hands the first batch that is not done to the importer, if it is here.
    fn import(&mut self, out: &mut Vec<Effect<B>>) {
        let Some((start, batch)) = self.batches.iter_mut().find(|(_, batch)| !batch.is_done()) else {
            return;
        };
        if !matches!(batch.stage, Stage::Here { .. }) {
            return;
        }
        if let Stage::Here { peer, blocks } = std::mem::replace(&mut batch.stage, Stage::Queued) {
            let roots = blocks.iter().map(|item| item.root).collect();
            batch.stage = Stage::Importing { peer, roots };
            let blocks = blocks.into_iter().map(|item| item.block).collect();
            out.push(Effect::Import { batch: *start, blocks });
        }
    }

    fn on_blocks(
        &mut self,
        now: Time,
        start: Slot,
        from: Peer,
        answer: Option<(Vec<Item<B>>, bool)>,
        out: &mut Vec<Effect<B>>,
    ) {
        let end = start.saturating_add(self.per_batch);
        let Some(batch) = self.batches.get_mut(&start) else { return };
        let Stage::Asked { peer, have, .. } = &mut batch.stage else { return };
        if *peer != from {
            return;
        }
        let Some((blocks, cut)) = answer else {
            self.retry(now, start);
            return;
        };
        let next = have.last().map_or(start, |last| last.slot.saturating_add(1));
        let in_place = blocks.iter().all(|item| (next..end).contains(&item.slot));
        let in_order = blocks.is_sorted_by(|a, b| a.slot < b.slot);
        let linked = blocks.iter().zip(blocks.iter().skip(1)).all(|(a, b)| a.root == b.parent);
        if !in_place || !in_order || !linked {
            out.push(Effect::Blame(from));
            self.retry(now, start);
            return;
        }
        if have.last().zip(blocks.first()).is_some_and(|(a, b)| a.root != b.parent) {
            self.retry(now, start); // the peer's chain has changed meanwhile
            return;
        }
        let mut have = std::mem::take(have);
        let cut = cut && !blocks.is_empty();
        have.extend(blocks);
        let rest = have.last().map_or(end, |last| last.slot.saturating_add(1));
        batch.stage = if cut && rest < end {
            out.push(Effect::Ask { peer: from, batch: start, start: rest, count: end.saturating_sub(rest) });
            Stage::Asked { peer: from, until: now.after(PATIENCE), have }
        } else {
            Stage::Here { peer: from, blocks: have }
        };
    }

    fn on_imported(&mut self, now: Time, start: Slot, result: Imported, out: &mut Vec<Effect<B>>) {
        let Some(batch) = self.batches.get_mut(&start) else { return };
        let Stage::Importing { peer, roots } = &mut batch.stage else { return };
        let (peer, roots) = (*peer, std::mem::take(roots));
        match result {
            Imported::All => {
                for (other, short) in std::mem::take(&mut batch.answers) {
                    if other != peer && left_out(&short, &roots) {
                        out.push(Effect::Blame(other));
                    }
                }
                for claim in self.claims.values_mut() {
                    claim.known |= roots.contains(&claim.head_root);
                }
                batch.stage = Stage::Done;
                // it may yet turn out to have been short
                batch.answers.push((peer, roots));
                while self.batches.keys().nth(1).is_some_and(|second| *second <= start) {
                    self.batches.pop_first();
                }
            }
            Imported::Invalid => {
                out.push(Effect::Blame(peer));
                self.retry(now, start);
            }
            Imported::Unlinked => {
                // either this batch is from another chain or the one before was short: ask for both again
                batch.answers.push((peer, roots));
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
        if let Some(target) = self.target.filter(|target| self.open() > *target) {
            self.complete(target, out);
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
                Stage::Asked { peer, until, .. } if until <= now => Some((*start, peer)),
                _ => None,
            })
            .collect();
        for (start, peer) in late {
            out.push(Effect::Slow(peer));
            self.retry(now, start);
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
            Input::Blocks { batch, peer, blocks, cut } => {
                self.on_blocks(now, batch, peer, blocks.map(|blocks| (blocks, cut)), out);
            }
            Input::Imported { batch, result } => self.on_imported(now, batch, result, out),
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

#[cfg(test)]
mod tests;
