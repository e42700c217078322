//! The downloading side: finds where the chain of the peer that claims most leaves ours, asks several peers for the
//! skeleton above that point, all of them for the headers between its entries, and hands these on in the order of the
//! chain; at the tip it follows announcements.
//!
//! Every header is verified by the chain before it counts, the lowest of each chunk included. Who is asked for what is
//! decided anew with every answer: an idle peer takes the lowest chunk that nobody works on, or one whose answer is
//! overdue. Who delivered a header that breaks a rule, or said that it is on the chain, is told on.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use super::{
    Ask,
    chunks::{Chunks, Slot},
    peers::Peers,
    skeleton::{NobodyKnows, Skeletons},
};
use crate::{
    types::{BlockHash, BlockNumber},
    wire::rsk::{BlockId, CHUNK_HEADERS, Message, SKELETON_STEPS},
};

/// Announced blocks that need no more attention.
const EXAMINED: usize = 256;
/// Nodes that follow the same chain differ in no block so far below the best one.
const SETTLED: u64 = CHUNK_HEADERS * SKELETON_STEPS;

/// Names a connection for as long as it lasts.
pub type PeerKey = u64;

/// What the machine is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A deadline has come.
    Tick,
    /// Our best block, at the start and after changes that the machine did not cause.
    Tip(BlockId),
    /// A peer has passed both handshakes.
    PeerReady(PeerKey),
    /// A peer is gone; its answers will not come.
    PeerGone(PeerKey),
    /// A peer has this block, or says that it does.
    Announced(PeerKey, BlockId),
    /// A peer sent a message of the protocol; what is no announcement and no answer is ignored.
    Message(PeerKey, Message),
    /// Answer to [`Effect::Locate`].
    Located {
        /// The number of the query.
        query: u64,
        /// We have the header, on any branch.
        known: bool,
        /// Its height, when it is on our best chain.
        height: Option<BlockNumber>,
    },
    /// Answer to [`Effect::Import`].
    Imported {
        /// The number of the job.
        job: u64,
        /// How it ended.
        result: Imported,
    },
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// How an import ended. Parts are counted from 0; those before the named one are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// All headers are valid and stored.
    Stored {
        /// The best block now.
        tip: BlockId,
        /// How many we did not have.
        added: usize,
    },
    /// What was sent cannot be decoded, or does not lead down from the block that was asked for: the sender's fault.
    Unfit {
        /// Which part.
        part: usize,
    },
    /// The block is at another height than was said, or does not continue what lies below (for the first part: we do
    /// not have its parent). The fault of those who named it.
    Misplaced {
        /// Which part.
        part: usize,
    },
    /// A header breaks a rule.
    Invalid {
        /// In which part.
        part: usize,
    },
    /// We failed, not a peer.
    Failed,
}

/// Headers of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Who sent them.
    pub peer: PeerKey,
    /// The block that the last header must be.
    pub top: BlockId,
    /// Encoded headers, ascending.
    pub headers: Vec<Bytes>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send to this peer.
    Send(PeerKey, Message),
    /// Look the block up in our store; answered by [`Input::Located`].
    Locate {
        /// Number of the query.
        query: u64,
        /// What to look for.
        hash: BlockHash,
    },
    /// Decode, verify and store; answered by [`Input::Imported`]. Only one job at a time.
    Import {
        /// Number of the job.
        job: u64,
        /// Consecutive parts of the chain, ascending.
        parts: Vec<Part>,
    },
    /// A peer broke a rule or kept silent.
    Fault(PeerKey, Fault),
}

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No answer in time. Silence is also how a peer refuses a legal request, so this alone is no offence.
    Timeout,
    /// An answer that does not fit the request, or a hash that is not on the chain.
    InvalidMessage,
    /// A header that breaks a rule of the chain.
    InvalidHeader,
}

/// Where the synchronisation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Our best block.
    pub tip: BlockId,
    /// Highest block that a peer in good standing claims, at least our own.
    pub target: BlockNumber,
    /// A download is under way.
    pub busy: bool,
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct HeaderSync {
    tip: BlockId,
    /// Height that every valid chain shares with ours.
    floor: u64,
    peers: Peers,
    examined: VecDeque<BlockHash>,
    /// Peers that say that our best block is not on their chain. One alone is not believed while others can be asked.
    denying: BTreeSet<PeerKey>,
    phase: Phase,
    last_id: u64,
    wake: Option<Time>,
    /// Time of the last step: what a pause is compared with between steps.
    now: Time,
}

#[derive(Debug)]
enum Phase {
    Idle,
    /// Do we have the block that the peer is at?
    Choosing {
        guide: Guide,
        query: u64,
    },
    /// The highest common block lies at or above `low` and below `high`.
    Searching {
        guide: Guide,
        low: u64,
        high: u64,
        probe: u64,
        waiting: Waiting,
    },
    Download(Box<Download>),
}

/// The peer whose chain is to become ours, and the block it claims to be at.
#[derive(Debug, Clone, Copy)]
struct Guide {
    peer: PeerKey,
    target: BlockId,
}

/// What a search waits for.
#[derive(Debug, Clone, Copy)]
enum Waiting {
    Peer(Ask),
    Store { query: u64 },
}

#[derive(Debug)]
struct Download {
    guide: Guide,
    point: BlockNumber,
    skeletons: Skeletons,
    chunks: Chunks,
    job: Option<Job>,
    /// Something came that we did not have.
    gained: bool,
    /// Peers that named other hashes up to this height than those we follow.
    disputed: Vec<(BlockNumber, PeerKey)>,
    /// The connection point was not searched for: the parent may be missing.
    guessed: bool,
}

/// Chunks that are being imported, and who delivered them.
#[derive(Debug)]
struct Job {
    number: u64,
    slots: Vec<(Slot, PeerKey)>,
}

impl Machine for HeaderSync {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        self.now = now;
        match input {
            Input::Tick => {}
            Input::Tip(tip) => self.set_tip(tip),
            Input::PeerReady(peer) => self.peers.add(now, peer),
            Input::PeerGone(peer) => self.on_gone(peer),
            Input::Announced(peer, block) => self.announced(peer, block),
            Input::Message(peer, message) => self.on_message(now, peer, message, out),
            Input::Located { query, known, height } => self.on_located(now, query, known, height, out),
            Input::Imported { job, result } => self.on_imported(now, job, result, out),
        }
        self.expire(now, out);
        self.advance(now, out);
        self.choose(now, out);
        self.wake = self.next_wake(now);
    }

    fn deadline(&self) -> Option<Time> {
        self.wake
    }
}

impl HeaderSync {
    /// A machine whose best block is `tip`, without peers.
    #[must_use]
    pub fn new(tip: BlockId) -> Self {
        Self {
            tip,
            floor: 0,
            peers: Peers::default(),
            examined: VecDeque::new(),
            denying: BTreeSet::new(),
            phase: Phase::Idle,
            last_id: 0,
            wake: None,
            now: Time::ZERO,
        }
    }

    /// Our chain begins at a block that is trusted: the search for what is common ends there.
    #[must_use]
    pub fn with_floor(self, floor: BlockNumber) -> Self {
        Self { floor: floor.0, ..self }
    }

    /// Where the synchronisation stands.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let claims = self.peers.active(self.now).filter_map(|(_, peer)| peer.best);
        let target = claims.map(|best| best.number).max();
        Progress {
            tip: self.tip,
            target: target.unwrap_or_default().max(self.tip.number),
            busy: !matches!(self.phase, Phase::Idle),
        }
    }

    fn set_tip(&mut self, tip: BlockId) {
        if self.tip != tip {
            self.tip = tip;
            self.denying.clear();
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    fn next_wake(&self, now: Time) -> Option<Time> {
        let ready = self.peers.next_ready(now);
        let due = match &self.phase {
            Phase::Idle | Phase::Choosing { .. } => None,
            Phase::Searching { waiting: Waiting::Store { .. }, .. } => return None,
            Phase::Searching { waiting: Waiting::Peer(ask), .. } => return Some(ask.deadline),
            Phase::Download(download) => download
                .chunks
                .deadline(now, &self.peers)
                .into_iter()
                .chain(download.skeletons.deadline(now, &self.peers))
                .min(),
        };
        due.into_iter().chain(ready).min()
    }

    fn announced(&mut self, peer: PeerKey, block: BlockId) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.best = Some(block);
        }
    }

    fn on_gone(&mut self, gone: PeerKey) {
        self.peers.remove(gone);
        self.denying.remove(&gone);
        match &mut self.phase {
            Phase::Choosing { guide, .. } | Phase::Searching { guide, .. } if guide.peer == gone => {
                self.idle();
            }
            Phase::Download(download) => {
                download.chunks.give_up(|ask| ask.peer == gone);
                download.skeletons.give_up(|ask| ask.peer == gone);
            }
            _ => {}
        }
    }

    /// With nothing under way, turns to the peer that claims the highest block we have not looked at. A block below
    /// our tip may still be the end of a branch with more work, unless it is too far below to be a plausible one.
    fn choose(&mut self, now: Time, out: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Idle) {
            return;
        }
        let lowest = self.tip.number.0.saturating_sub(CHUNK_HEADERS);
        let guide = self
            .peers
            .active(now)
            .filter_map(|(peer, known)| known.best.map(|target| Guide { peer, target }))
            .filter(|guide| guide.target.number.0 >= lowest && !self.examined.contains(&guide.target.hash))
            .max_by_key(|guide| (!self.denying.contains(&guide.peer), guide.target.number));
        if let Some(guide) = guide {
            let query = self.next_id();
            self.phase = Phase::Choosing { guide, query };
            out.push(Effect::Locate { query, hash: guide.target.hash });
        }
    }

    fn on_located(
        &mut self,
        now: Time,
        query: u64,
        known: bool,
        height: Option<BlockNumber>,
        out: &mut Vec<Effect>,
    ) {
        match self.phase {
            Phase::Choosing { guide, query: expected } if expected == query => {
                let above = guide.target.number.0.checked_sub(self.tip.number.0).filter(|above| *above > 0);
                match above {
                    _ if known => self.examine(guide.target.hash),
                    Some(count) if count <= CHUNK_HEADERS => {
                        let chunks = Chunks::of_announcement(guide.peer, guide.target, count);
                        self.download(guide, self.tip.number, Skeletons::none(), chunks, true);
                    }
                    // Genesis is common: the handshake has compared it, and a checkpoint has to be. Our tip nearly always is, too.
                    _ => {
                        let highest = self.tip.number.min(guide.target.number).0;
                        self.probe(now, guide, self.floor, highest.saturating_add(1), highest, out);
                    }
                }
            }
            Phase::Searching { guide, low, high, probe, waiting: Waiting::Store { query: expected } }
                if expected == query =>
            {
                let common = height == Some(BlockNumber(probe));
                let is_tip = probe == self.tip.number.0 && high == probe.saturating_add(1);
                if is_tip && !common && self.denying.insert(guide.peer) && self.others_may_know(now, probe) {
                    return self.idle();
                }
                let (low, high) = if common { (probe, high) } else { (low, probe) };
                let half = high.saturating_sub(low) / 2;
                self.probe(now, guide, low, high, low.saturating_add(half), out);
            }
            _ => {}
        }
    }

    /// Somebody claims a block at this height and has not been asked whether ours is on its chain.
    fn others_may_know(&self, now: Time, height: u64) -> bool {
        self.peers.active(now).any(|(key, peer)| peer.claims(height) && !self.denying.contains(&key))
    }

    /// Asks for the hash at height `probe`, unless the highest common block is known to be `low` already.
    fn probe(&mut self, now: Time, guide: Guide, low: u64, high: u64, probe: u64, out: &mut Vec<Effect>) {
        if high.saturating_sub(low) <= 1 {
            let point = BlockNumber(low);
            let skeletons = Skeletons::new(point, guide.target.number);
            self.download(guide, point, skeletons, Chunks::default(), false);
            return;
        }
        let request = self.next_id();
        let deadline = self.peers.asked(now, guide.peer);
        let waiting = Waiting::Peer(Ask { peer: guide.peer, request, at: now, deadline });
        self.phase = Phase::Searching { guide, low, high, probe, waiting };
        out.push(Effect::Send(guide.peer, Message::BlockHashRequest { id: request, height: probe }));
    }

    fn download(
        &mut self,
        guide: Guide,
        point: BlockNumber,
        skeletons: Skeletons,
        chunks: Chunks,
        guessed: bool,
    ) {
        self.phase = Phase::Download(Box::new(Download {
            guide,
            point,
            skeletons,
            chunks,
            job: None,
            gained: false,
            disputed: Vec::new(),
            guessed,
        }));
    }

    fn on_message(&mut self, now: Time, from: PeerKey, message: Message, out: &mut Vec<Effect>) {
        match message {
            Message::Status(status) => self.announced(from, status.best),
            Message::NewBlockHashes(blocks) => {
                if let Some(highest) = blocks.into_iter().max_by_key(|block| block.number) {
                    self.announced(from, highest);
                }
            }
            Message::BlockHashResponse { id, hash } => self.on_block_hash(now, from, id, hash, out),
            Message::SkeletonResponse { id, entries } => {
                let Phase::Download(download) = &mut self.phase else { return };
                let Some((ask, fits)) = download.skeletons.receive(from, id, entries) else { return };
                self.on_answer(now, &ask, fits, out);
            }
            Message::HeadersResponse { id, headers } => {
                let Phase::Download(download) = &mut self.phase else { return };
                let Some((ask, fits)) = download.chunks.receive(from, id, headers) else { return };
                self.on_answer(now, &ask, fits, out);
            }
            _ => {}
        }
    }

    fn on_answer(&mut self, now: Time, ask: &Ask, fits: bool, out: &mut Vec<Effect>) {
        self.peers.answered(now, ask);
        if !fits {
            self.fault(now, ask.peer, Fault::InvalidMessage, out);
        }
    }

    fn on_block_hash(&mut self, now: Time, from: PeerKey, id: u64, hash: BlockHash, out: &mut Vec<Effect>) {
        let query = self.next_id();
        if let Phase::Searching { waiting, .. } = &mut self.phase
            && let Waiting::Peer(ask) = *waiting
            && (ask.peer, ask.request) == (from, id)
        {
            *waiting = Waiting::Store { query };
            self.peers.answered(now, &ask);
            out.push(Effect::Locate { query, hash });
        }
    }

    /// Moves a download on: takes what peers agree on into the plan, hands the lowest headers on, asks for more, and
    /// ends it when nothing is left.
    fn advance(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Phase::Download(download) = &mut self.phase else { return };
        if download.agree(now, &self.peers).is_err() {
            let guide = download.guide;
            self.peers.pause(now, guide.peer);
            return self.idle();
        }
        if download.job.is_none() {
            let run = download.chunks.next_run();
            if !run.is_empty() {
                self.last_id = self.last_id.wrapping_add(1);
                let part = |(slot, peer, headers): &mut (Slot, PeerKey, Vec<Bytes>)| Part {
                    peer: *peer,
                    top: slot.chunk.top,
                    headers: std::mem::take(headers),
                };
                let mut run = run;
                let parts = run.iter_mut().map(part).collect();
                let slots = run.into_iter().map(|(slot, peer, _)| (slot, peer)).collect();
                download.job = Some(Job { number: self.last_id, slots });
                out.push(Effect::Import { job: self.last_id, parts });
            }
        }
        let (last_id, peers) = (&mut self.last_id, &mut self.peers);
        let mut ask = |peer| {
            *last_id = last_id.wrapping_add(1);
            Ask { peer, request: *last_id, at: now, deadline: Time::ZERO }
        };
        while download.chunks.is_short()
            && let Some((peer, start)) = download.skeletons.wanted(now, peers)
        {
            let ask = Ask { deadline: peers.asked(now, peer), ..ask(peer) };
            download.skeletons.asked(start, ask);
            out.push(Effect::Send(peer, Message::SkeletonRequest { id: ask.request, start }));
        }
        while let Some((peer, chunk)) = download.chunks.wanted(now, peers) {
            let ask = Ask { deadline: peers.asked(now, peer), ..ask(peer) };
            download.chunks.asked(&chunk.top, ask);
            let (id, hash, count) = (ask.request, chunk.top.hash, chunk.count);
            out.push(Effect::Send(peer, Message::HeadersRequest { id, hash, count }));
        }
        if let Some(slot) = download.chunks.hopeless(now, peers) {
            // Those who said that it is on the chain could not show it.
            slot.voters.iter().for_each(|peer| peers.pause(now, *peer));
            self.idle();
        } else if download.chunks.is_empty() && download.skeletons.is_complete() && download.job.is_none() {
            // Those we asked may be below the guide's block: then it is looked at again.
            let (gained, target) = (download.gained, download.guide.target.hash);
            if gained { self.idle() } else { self.examine(target) }
        }
    }

    fn on_imported(&mut self, now: Time, job: u64, result: Imported, out: &mut Vec<Effect>) {
        if let Imported::Stored { tip, .. } = result {
            self.set_tip(tip);
        }
        let Phase::Download(download) = &mut self.phase else { return };
        let Some(Job { slots, .. }) = download.job.take_if(|running| running.number == job) else { return };
        let guide = download.guide;
        match result {
            Imported::Stored { added, .. } => {
                download.gained |= added > 0;
                let done = slots.last().map(|(slot, _)| slot.chunk.top.number).unwrap_or_default();
                self.settle(now, done, out);
            }
            Imported::Misplaced { part: 0 } if download.guessed => {
                let highest = self.tip.number.min(guide.target.number).0;
                self.probe(now, guide, self.floor, highest.saturating_add(1), highest, out);
            }
            Imported::Misplaced { part } => {
                // Near the best block peers may well be on another branch.
                let settled = guide.target.number.0.saturating_sub(SETTLED);
                if let Some((slot, _)) = slots.get(part) {
                    slot.voters.iter().for_each(|peer| self.peers.pause(now, *peer));
                    let fault = |peer: &PeerKey| Effect::Fault(*peer, Fault::InvalidMessage);
                    let lie = slot.chunk.top.number.0 <= settled;
                    out.extend(slot.voters.iter().filter(|_| lie).map(fault));
                }
                self.idle();
            }
            Imported::Invalid { part } => self.accuse(now, slots.get(part), out),
            Imported::Unfit { part } => {
                let mut slots = slots.into_iter().skip(part).peekable();
                let Some(culprit) = slots.peek().map(|(_, peer)| *peer) else { return };
                download.chunks.put_back(slots.map(|(slot, _)| slot).collect(), culprit);
                self.fault(now, culprit, Fault::InvalidMessage, out);
            }
            Imported::Failed => {
                self.peers.pause(now, guide.peer);
                self.idle();
            }
        }
    }

    /// A header breaks a rule: whoever sent it has it in its store, and whoever named its chunk has seen it too.
    fn accuse(&mut self, now: Time, slot: Option<&(Slot, PeerKey)>, out: &mut Vec<Effect>) {
        if let Some((slot, sender)) = slot {
            let others = slot.voters.iter().filter(|peer| *peer != sender);
            for peer in std::iter::once(sender).chain(others).copied() {
                self.fault(now, peer, Fault::InvalidHeader, out);
            }
        }
        self.idle();
    }

    /// The chain is verified up to `done`: who named other hashes far below the best block has lied.
    fn settle(&mut self, now: Time, done: BlockNumber, out: &mut Vec<Effect>) {
        let Phase::Download(download) = &mut self.phase else { return };
        let settled = download.guide.target.number.0.saturating_sub(SETTLED);
        let (liars, open): (Vec<_>, Vec<_>) =
            download.disputed.drain(..).partition(|(top, _)| *top <= done && top.0 <= settled);
        download.disputed = open;
        let mut liars: Vec<_> = liars.into_iter().map(|(_, peer)| peer).collect();
        liars.dedup();
        for peer in liars {
            self.fault(now, peer, Fault::InvalidMessage, out);
        }
    }

    /// Gives up requests whose time is over.
    fn expire(&mut self, now: Time, out: &mut Vec<Effect>) {
        let expired = |ask: &Ask| ask.deadline <= now;
        let given_up = match &mut self.phase {
            Phase::Searching { waiting: Waiting::Peer(ask), .. } if expired(ask) => {
                let ask = *ask;
                self.idle();
                vec![ask]
            }
            Phase::Download(download) => {
                let mut given_up = download.chunks.give_up(expired);
                given_up.extend(download.skeletons.give_up(expired));
                given_up
            }
            _ => return,
        };
        let mut silent: Vec<_> =
            given_up.iter().filter(|ask| self.peers.gave_up(ask)).map(|ask| ask.peer).collect();
        silent.sort_unstable();
        silent.dedup();
        for peer in silent {
            self.fault(now, peer, Fault::Timeout, out);
        }
    }

    fn fault(&mut self, now: Time, peer: PeerKey, fault: Fault, out: &mut Vec<Effect>) {
        out.push(Effect::Fault(peer, fault));
        self.peers.pause(now, peer);
    }

    fn idle(&mut self) {
        self.peers.forget_requests();
        self.phase = Phase::Idle;
    }

    fn examine(&mut self, hash: BlockHash) {
        self.examined.push_back(hash);
        if self.examined.len() > EXAMINED {
            self.examined.pop_front();
        }
        self.idle();
    }
}

impl Download {
    /// Takes over what peers agree on.
    fn agree(&mut self, now: Time, peers: &Peers) -> Result<(), NobodyKnows> {
        while let Some(agreed) = self.skeletons.next_agreed(now, peers)? {
            self.chunks.extend(&agreed.entries, self.point, &agreed.voters);
            if let Some(end) = agreed.entries.last() {
                self.disputed.extend(agreed.dissenters.into_iter().map(|peer| (end.number, peer)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
