//! The downloading side: finds where a peer's chain leaves ours, asks for a skeleton above that point, then for the
//! headers between its entries, and hands them on in the order of the chain; at the tip it follows announcements.
//!
//! Every header is verified by the chain before it counts, the lowest of each chunk included. One peer at a time is
//! asked; chunks already know whom they were asked of, so that several peers can share one skeleton.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use super::chunks::Chunks;
use crate::{
    types::{BlockHash, BlockNumber},
    wire::rsk::{BlockId, CHUNK_HEADERS, Message},
};

/// How long a peer may take to answer; it stays silent when it has no answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a peer that failed is left alone.
const PAUSE: Duration = Duration::from_secs(10);
/// Requests for chunks that are under way at once.
const CHUNKS_ASKED: usize = 2;
/// Chunks that have come and wait for import; above this nothing more is asked for.
const CHUNKS_WAITING: usize = 8;
/// Announced blocks that need no more attention.
const EXAMINED: usize = 256;

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

/// How an import ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// All headers are valid and stored; this is the best block now.
    Stored(BlockId),
    /// We do not have the parent of the lowest header.
    NoParent,
    /// A header breaks a rule, cannot be decoded, or does not lead to the block that was asked for.
    Invalid,
    /// We failed, not the peer.
    Failed,
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
        /// Who sent the headers.
        peer: PeerKey,
        /// The block that the last header must be.
        top: BlockId,
        /// Encoded headers, ascending.
        headers: Vec<Bytes>,
    },
    /// A peer broke a rule or kept silent.
    Fault(PeerKey, Fault),
}

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No answer in time. Silence is also how a peer refuses a legal request, so this alone is no offence.
    Timeout,
    /// An answer that does not fit the request.
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
    peers: BTreeMap<PeerKey, Peer>,
    examined: VecDeque<BlockHash>,
    phase: Phase,
    last_id: u64,
}

#[derive(Debug, Default)]
struct Peer {
    best: Option<BlockId>,
    paused_until: Time,
}

#[derive(Debug)]
enum Phase {
    Idle,
    /// Do we have the block that the peer is at?
    Choosing {
        peer: PeerKey,
        target: BlockId,
        query: u64,
    },
    /// The highest common block lies at or above `low` and below `high`.
    Searching {
        peer: PeerKey,
        target: BlockId,
        low: u64,
        high: u64,
        probe: u64,
        waiting: Waiting,
    },
    Skeleton {
        peer: PeerKey,
        target: BlockId,
        point: BlockNumber,
        request: u64,
        deadline: Time,
    },
    Download(Download),
}

/// What a search waits for.
#[derive(Debug, Clone, Copy)]
enum Waiting {
    Peer { request: u64, deadline: Time },
    Store { query: u64 },
}

#[derive(Debug)]
struct Download {
    peer: PeerKey,
    target: BlockId,
    chunks: Chunks,
    asked: usize,
    deadline: Time,
    job: Option<u64>,
    /// The connection point was not searched for: the parent may be missing.
    guessed: bool,
}

impl Machine for HeaderSync {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Tick => self.on_tick(now, out),
            Input::Tip(tip) => self.tip = tip,
            Input::PeerReady(peer) => drop(self.peers.insert(peer, Peer::default())),
            Input::PeerGone(peer) => {
                self.peers.remove(&peer);
                if self.asked_peer() == Some(peer) {
                    self.phase = Phase::Idle;
                }
            }
            Input::Announced(peer, block) => self.announced(peer, block),
            Input::Message(peer, message) => self.on_message(now, peer, message, out),
            Input::Located { query, known, height } => self.on_located(now, query, known, height, out),
            Input::Imported { job, result } => self.on_imported(now, job, result, out),
        }
        self.choose(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        match &self.phase {
            Phase::Idle => {
                self.peers.values().map(|peer| peer.paused_until).filter(|at| *at > Time::ZERO).min()
            }
            Phase::Searching { waiting: Waiting::Peer { deadline, .. }, .. }
            | Phase::Skeleton { deadline, .. } => Some(*deadline),
            Phase::Download(download) => (download.asked > 0).then_some(download.deadline),
            Phase::Choosing { .. } | Phase::Searching { .. } => None,
        }
    }
}

impl HeaderSync {
    /// A machine whose best block is `tip`, without peers.
    #[must_use]
    pub fn new(tip: BlockId) -> Self {
        Self { tip, peers: BTreeMap::new(), examined: VecDeque::new(), phase: Phase::Idle, last_id: 0 }
    }

    /// Where the synchronisation stands.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let claims = self.peers.values().filter(|peer| peer.paused_until == Time::ZERO);
        let target = claims.filter_map(|peer| peer.best).map(|best| best.number).max();
        Progress {
            tip: self.tip,
            target: target.unwrap_or_default().max(self.tip.number),
            busy: !matches!(self.phase, Phase::Idle),
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }

    fn asked_peer(&self) -> Option<PeerKey> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Choosing { peer, .. } | Phase::Searching { peer, .. } | Phase::Skeleton { peer, .. } => {
                Some(*peer)
            }
            Phase::Download(download) => Some(download.peer),
        }
    }

    fn announced(&mut self, peer: PeerKey, block: BlockId) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.best = Some(block);
        }
    }

    /// With nothing under way, turns to the peer that claims the highest block we have not looked at. A block below
    /// our tip may still be the end of a branch with more work, unless it is too far below to be a plausible one.
    fn choose(&mut self, now: Time, out: &mut Vec<Effect>) {
        if !matches!(self.phase, Phase::Idle) {
            return;
        }
        let lowest = self.tip.number.0.saturating_sub(CHUNK_HEADERS);
        let best = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.paused_until <= now)
            .filter_map(|(key, peer)| peer.best.map(|best| (best, *key)))
            .filter(|(best, _)| best.number.0 >= lowest && !self.examined.contains(&best.hash))
            .max_by_key(|(best, _)| best.number);
        if let Some((target, peer)) = best {
            let query = self.next_id();
            self.phase = Phase::Choosing { peer, target, query };
            out.push(Effect::Locate { query, hash: target.hash });
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
            Phase::Choosing { peer, target, query: expected } if expected == query => {
                let above = target.number.0.checked_sub(self.tip.number.0).filter(|above| *above > 0);
                match above {
                    _ if known => self.examine(target.hash),
                    Some(count) if count <= CHUNK_HEADERS => {
                        let chunks = Chunks::of_announcement(target, count);
                        self.download(now, peer, target, chunks, true, out);
                    }
                    _ => self.search(now, peer, target, out),
                }
            }
            Phase::Searching {
                peer,
                target,
                low,
                high,
                probe,
                waiting: Waiting::Store { query: expected },
            } if expected == query => {
                let common = height == Some(BlockNumber(probe));
                let (low, high) = if common { (probe, high) } else { (low, probe) };
                self.narrow(now, peer, target, low, high, out);
            }
            _ => {}
        }
    }

    /// Looks for the highest common block. Genesis is common: the handshake has compared it.
    fn search(&mut self, now: Time, peer: PeerKey, target: BlockId, out: &mut Vec<Effect>) {
        let highest = self.tip.number.min(target.number).0;
        // Our tip first: it nearly always is on the peer's chain.
        self.probe(now, peer, target, 0, highest.saturating_add(1), highest, out);
    }

    fn narrow(
        &mut self,
        now: Time,
        peer: PeerKey,
        target: BlockId,
        low: u64,
        high: u64,
        out: &mut Vec<Effect>,
    ) {
        let half = high.saturating_sub(low) / 2;
        self.probe(now, peer, target, low, high, low.saturating_add(half), out);
    }

    #[expect(clippy::too_many_arguments, reason = "the state of a search, not a public interface")]
    fn probe(
        &mut self,
        now: Time,
        peer: PeerKey,
        target: BlockId,
        low: u64,
        high: u64,
        probe: u64,
        out: &mut Vec<Effect>,
    ) {
        let request = self.next_id();
        let deadline = now.after(REQUEST_TIMEOUT);
        if high.saturating_sub(low) <= 1 {
            let point = BlockNumber(low);
            self.phase = Phase::Skeleton { peer, target, point, request, deadline };
            out.push(Effect::Send(peer, Message::SkeletonRequest { id: request, start: low }));
        } else {
            let waiting = Waiting::Peer { request, deadline };
            self.phase = Phase::Searching { peer, target, low, high, probe, waiting };
            out.push(Effect::Send(peer, Message::BlockHashRequest { id: request, height: probe }));
        }
    }

    fn on_message(&mut self, now: Time, from: PeerKey, message: Message, out: &mut Vec<Effect>) {
        match message {
            Message::Status(status) => self.announced(from, status.best),
            Message::NewBlockHashes(blocks) => {
                if let Some(highest) = blocks.into_iter().max_by_key(|block| block.number) {
                    self.announced(from, highest);
                }
            }
            Message::BlockHashResponse { id, hash } => self.on_block_hash(from, id, hash, out),
            Message::SkeletonResponse { id, entries } => self.on_skeleton(now, from, id, &entries, out),
            Message::HeadersResponse { id, headers } => self.on_headers(now, from, id, headers, out),
            _ => {}
        }
    }

    fn on_block_hash(&mut self, from: PeerKey, id: u64, hash: BlockHash, out: &mut Vec<Effect>) {
        let query = self.next_id();
        if let Phase::Searching { peer, waiting, .. } = &mut self.phase
            && *peer == from
            && matches!(waiting, Waiting::Peer { request, .. } if *request == id)
        {
            *waiting = Waiting::Store { query };
            out.push(Effect::Locate { query, hash });
        }
    }

    fn on_skeleton(&mut self, now: Time, from: PeerKey, id: u64, entries: &[BlockId], out: &mut Vec<Effect>) {
        let Phase::Skeleton { peer, target, point, request, .. } = self.phase else { return };
        if (peer, request) != (from, id) {
            return;
        }
        match Chunks::of_skeleton(entries, point) {
            Err(_) => self.fault(now, peer, Fault::InvalidMessage, out),
            Ok(chunks) if chunks.is_empty() => {
                // The peer has gone back to a chain that we have all of.
                self.examine(target.hash);
            }
            Ok(chunks) => self.download(now, peer, target, chunks, false, out),
        }
    }

    fn download(
        &mut self,
        now: Time,
        peer: PeerKey,
        target: BlockId,
        chunks: Chunks,
        guessed: bool,
        out: &mut Vec<Effect>,
    ) {
        let deadline = now.after(REQUEST_TIMEOUT);
        self.phase =
            Phase::Download(Download { peer, target, chunks, asked: 0, deadline, job: None, guessed });
        self.advance(now, out);
    }

    /// Asks for more chunks, hands the lowest one on, and ends the download when nothing is left.
    fn advance(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Phase::Download(download) = &mut self.phase else { return };
        let last_id = &mut self.last_id;
        let mut next_id = || {
            *last_id = last_id.wrapping_add(1);
            *last_id
        };
        if download.job.is_none()
            && let Some((chunk, peer, headers)) = download.chunks.next_import()
        {
            let job = next_id();
            download.job = Some(job);
            out.push(Effect::Import { job, peer, top: chunk.top, headers });
        }
        while download.asked < CHUNKS_ASKED && download.chunks.waiting_for_import() < CHUNKS_WAITING {
            let request = next_id();
            let Some(chunk) = download.chunks.ask(download.peer, request) else { break };
            download.asked = download.asked.saturating_add(1);
            download.deadline = now.after(REQUEST_TIMEOUT);
            let ask = Message::HeadersRequest { id: request, hash: chunk.top.hash, count: chunk.count };
            out.push(Effect::Send(download.peer, ask));
        }
        if download.chunks.is_empty() && download.job.is_none() {
            self.phase = Phase::Idle;
        }
    }

    fn on_headers(
        &mut self,
        now: Time,
        from: PeerKey,
        id: u64,
        mut headers: Vec<Bytes>,
        out: &mut Vec<Effect>,
    ) {
        let Phase::Download(download) = &mut self.phase else { return };
        let Some(chunk) = download.chunks.asked(from, id) else { return };
        if u64::try_from(headers.len()) != Ok(chunk.count) {
            self.fault(now, from, Fault::InvalidMessage, out);
            return;
        }
        headers.reverse();
        download.chunks.receive(from, id, headers);
        download.asked = download.asked.saturating_sub(1);
        download.deadline = now.after(REQUEST_TIMEOUT);
        self.advance(now, out);
    }

    fn on_imported(&mut self, now: Time, job: u64, result: Imported, out: &mut Vec<Effect>) {
        if let Imported::Stored(tip) = result {
            self.tip = tip;
        }
        let Phase::Download(download) = &mut self.phase else { return };
        if download.job != Some(job) {
            return;
        }
        download.job = None;
        let (peer, target, guessed) = (download.peer, download.target, download.guessed);
        match result {
            Imported::Stored(_) => self.advance(now, out),
            Imported::NoParent if guessed => self.search(now, peer, target, out),
            Imported::NoParent | Imported::Invalid => self.fault(now, peer, Fault::InvalidHeader, out),
            Imported::Failed => self.pause(now, peer),
        }
    }

    fn on_tick(&mut self, now: Time, out: &mut Vec<Effect>) {
        for peer in self.peers.values_mut().filter(|peer| peer.paused_until <= now) {
            peer.paused_until = Time::ZERO;
        }
        let due =
            !matches!(self.phase, Phase::Idle) && self.deadline().is_some_and(|deadline| deadline <= now);
        if due && let Some(peer) = self.asked_peer() {
            self.fault(now, peer, Fault::Timeout, out);
        }
    }

    fn fault(&mut self, now: Time, peer: PeerKey, fault: Fault, out: &mut Vec<Effect>) {
        out.push(Effect::Fault(peer, fault));
        self.pause(now, peer);
    }

    fn pause(&mut self, now: Time, peer: PeerKey) {
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.paused_until = now.after(PAUSE);
        }
        self.phase = Phase::Idle;
    }

    fn examine(&mut self, hash: BlockHash) {
        self.examined.push_back(hash);
        if self.examined.len() > EXAMINED {
            self.examined.pop_front();
        }
        self.phase = Phase::Idle;
    }
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
