//! Which headers and blocks to ask of whom: headers first, then blocks from many peers at once, handed on in order.
//! Decides nothing about validity: headers and blocks are judged outside. Mirrors `TaskManager.cs`.

use std::{collections::BTreeMap, time::Duration};

use neo_base::{
    UInt256,
    ledger::{Block, Header},
};
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use crate::{
    message::Message,
    payload::{BlockRequest, MAX_HEADERS},
};

/// Verified headers that are kept above the chain.
const MAX_HEADERS_AHEAD: usize = 10_000;
/// Blocks that are asked for above the chain.
const WINDOW: u32 = 500;
/// Blocks of one request.
const RUN: u32 = 40;
/// Blocks that one peer owes at once.
const MAX_OWED: usize = 120;
/// Blocks that are handed on and not answered.
const MAX_HANDED: u32 = 32;
/// Time for headers.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a block; each block that comes gives the peer the same time again.
const BLOCKS_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that a peer may leave unanswered before it is dropped.
const MAX_LATE: u32 = 3;

/// Number of a connection.
pub type PeerId = u64;

/// What the machine is told.
#[derive(Debug)]
pub enum Input {
    /// A deadline has come.
    Tick,
    /// A peer is there, with the height of its chain.
    Ready(PeerId, u32),
    /// A peer is gone.
    Gone(PeerId),
    /// A peer's chain has grown.
    Height(PeerId, u32),
    /// Headers came.
    Headers(PeerId, Vec<Header>),
    /// The answer to [`Effect::CheckHeaders`]: whether they are valid.
    HeadersChecked(bool),
    /// A block came.
    Block(PeerId, Box<Block>),
    /// Our chain has grown to this height and hash.
    Stored(u32, UInt256),
    /// A block that was handed on is invalid.
    Refused(u32),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Send to a peer.
    Send(PeerId, Message),
    /// Verify headers that follow the last known one; one run at a time.
    CheckHeaders(Vec<Header>),
    /// Add the next block.
    Add(Box<Block>),
    /// The peer has sent what no honest peer sends.
    Misbehaved(PeerId, &'static str),
    /// The peer answers too slowly.
    Slow(PeerId),
}

/// The state machine; see the module.
#[derive(Debug)]
pub struct Sync {
    tip: u32,
    /// Highest block handed on.
    handed: u32,
    /// Verified headers above the tip.
    headers: BTreeMap<u32, UInt256>,
    last_header: UInt256,
    /// Headers that are being verified, and who sent them.
    checking: Option<(PeerId, Vec<(u32, UInt256)>)>,
    peers: BTreeMap<PeerId, Remote>,
    /// Blocks that wait for those below them.
    blocks: BTreeMap<u32, (PeerId, Box<Block>)>,
    /// Who sent what was handed on.
    sources: BTreeMap<u32, PeerId>,
    /// Turns among peers.
    turn: PeerId,
}

#[derive(Debug, Default)]
struct Remote {
    height: u32,
    headers_until: Option<Time>,
    owed: BTreeMap<u32, Time>,
    late: u32,
}

impl Sync {
    /// Starts at our chain's height and last hash.
    #[must_use]
    pub fn new(tip: u32, hash: UInt256) -> Self {
        Self {
            tip,
            handed: tip,
            headers: BTreeMap::new(),
            last_header: hash,
            checking: None,
            peers: BTreeMap::new(),
            blocks: BTreeMap::new(),
            sources: BTreeMap::new(),
            turn: 0,
        }
    }

    /// Height of the last verified header.
    #[must_use]
    pub fn header_height(&self) -> u32 {
        self.headers.last_key_value().map_or(self.tip, |(height, _)| *height)
    }

    /// The best height that peers tell of and could be asked for; nobody has proven it.
    #[must_use]
    pub fn best_claim(&self) -> u32 {
        let credible = self.peers.values().filter(|peer| peer.late < MAX_LATE);
        credible.map(|peer| peer.height).max().unwrap_or(self.tip).max(self.tip)
    }

    /// Height that a peer has told.
    #[must_use]
    pub fn height_of(&self, peer: PeerId) -> Option<u32> {
        self.peers.get(&peer).map(|peer| peer.height)
    }

    fn on_headers(&mut self, id: PeerId, headers: Vec<Header>, out: &mut Vec<Effect>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let asked = peer.headers_until.take().is_some();
        let Some(last) = headers.last() else { return };
        peer.height = peer.height.max(last.body().index);
        if !asked || self.checking.is_some() {
            return;
        }
        // Another peer may have been faster with a part of them.
        let (mut height, mut previous) = (self.header_height(), self.last_header);
        let new: Vec<Header> = headers.into_iter().filter(|header| header.body().index > height).collect();
        for header in &new {
            let body = header.body();
            if height.checked_add(1) != Some(body.index) || body.previous != previous {
                return out.push(Effect::Misbehaved(id, "headers that do not follow each other"));
            }
            (height, previous) = (body.index, header.hash());
        }
        if new.is_empty() {
            // It boasts of a height it cannot show.
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.late = peer.late.saturating_add(1);
            }
        } else {
            let hashes = new.iter().map(|header| (header.body().index, header.hash())).collect();
            self.checking = Some((id, hashes));
            out.push(Effect::CheckHeaders(new));
        }
    }

    fn on_checked(&mut self, valid: bool, out: &mut Vec<Effect>) {
        let Some((id, hashes)) = self.checking.take() else { return };
        if !valid {
            return out.push(Effect::Misbehaved(id, "an invalid header"));
        }
        for (height, hash) in hashes {
            self.last_header = hash;
            if height > self.tip {
                self.headers.insert(height, hash);
            }
        }
        // Blocks that came before their headers and are others.
        let headers = &self.headers;
        self.blocks.retain(|height, (_, block)| {
            headers.get(height).is_none_or(|expected| *expected == block.header.hash())
        });
    }

    fn on_block(&mut self, now: Time, id: PeerId, block: Box<Block>, out: &mut Vec<Effect>) {
        let height = block.header.body().index;
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.height = peer.height.max(height);
            if peer.owed.remove(&height).is_some() {
                peer.late = 0;
                peer.owed.values_mut().for_each(|until| *until = now.after(BLOCKS_TIMEOUT));
            }
        }
        if height <= self.handed || height > self.tip.saturating_add(WINDOW) {
            return;
        }
        match self.headers.get(&height) {
            Some(expected) if *expected != block.header.hash() => {
                out.push(Effect::Misbehaved(id, "another block than its header"));
            }
            // Without a verified header only the very next block is worth a look.
            None if height != self.tip.saturating_add(1) => {}
            _ => {
                self.blocks.entry(height).or_insert((id, block));
            }
        }
    }

    fn on_stored(&mut self, height: u32, hash: UInt256) {
        self.tip = self.tip.max(height);
        self.handed = self.handed.max(self.tip);
        self.headers = self.headers.split_off(&self.tip.saturating_add(1));
        self.blocks = self.blocks.split_off(&self.tip.saturating_add(1));
        self.sources = self.sources.split_off(&self.tip.saturating_add(1));
        if self.headers.is_empty() && height == self.tip {
            self.last_header = hash;
        }
        for peer in self.peers.values_mut() {
            peer.owed = peer.owed.split_off(&self.tip.saturating_add(1));
        }
    }

    fn on_refused(&mut self, height: u32, out: &mut Vec<Effect>) {
        if let Some(id) = self.sources.get(&height) {
            out.push(Effect::Misbehaved(*id, "an invalid block"));
        }
        self.handed = self.tip;
        self.sources.clear();
        self.blocks.remove(&height);
    }

    fn on_gone(&mut self, id: PeerId) {
        self.peers.remove(&id);
    }

    fn on_tick(&mut self, now: Time, out: &mut Vec<Effect>) {
        for (id, peer) in &mut self.peers {
            let before = peer.owed.len();
            peer.owed.retain(|_, until| *until > now);
            let late_headers = peer.headers_until.is_some_and(|until| until <= now);
            if late_headers {
                peer.headers_until = None;
            }
            if late_headers || peer.owed.len() < before {
                peer.late = peer.late.saturating_add(1);
                if peer.late >= MAX_LATE {
                    out.push(Effect::Slow(*id));
                }
            }
        }
    }

    /// Hands on what is next and asks for what is missing.
    fn schedule(&mut self, now: Time, out: &mut Vec<Effect>) {
        while self.handed.saturating_sub(self.tip) < MAX_HANDED
            && let Some(next) = self.handed.checked_add(1)
            && let Some((id, block)) = self.blocks.remove(&next)
        {
            self.handed = next;
            self.sources.insert(next, id);
            out.push(Effect::Add(block));
        }
        self.ask_headers(now, out);
        self.ask_blocks(now, out);
    }

    fn ask_headers(&mut self, now: Time, out: &mut Vec<Effect>) {
        let asked = self.peers.values().any(|peer| peer.headers_until.is_some());
        if asked || self.checking.is_some() || self.headers.len() > MAX_HEADERS_AHEAD - MAX_HEADERS {
            return;
        }
        let height = self.header_height();
        let Some(id) = self.next_peer(|peer| peer.height > height && peer.late < MAX_LATE) else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.headers_until = Some(now.after(HEADERS_TIMEOUT));
        let request = BlockRequest { start: height.saturating_add(1), count: None };
        out.push(Effect::Send(id, Message::GetHeaders(Box::new(request))));
    }

    fn ask_blocks(&mut self, now: Time, out: &mut Vec<Effect>) {
        let end = self.header_height().min(self.tip.saturating_add(WINDOW));
        let mut height = self.handed.saturating_add(1);
        while height <= end {
            let start = height;
            let mut count: u32 = 0;
            while height <= end && count < RUN && self.is_missing(height) {
                (height, count) = (height.saturating_add(1), count.saturating_add(1));
            }
            if count == 0 {
                height = height.saturating_add(1);
                continue;
            }
            let last = start.saturating_add(count).saturating_sub(1);
            // The window moves by one block at a time: wait until a whole run fits.
            let cut = count < RUN && last == end && end < self.header_height();
            if cut && self.handed.saturating_add(RUN) < end {
                return;
            }
            let free = |peer: &Remote| {
                let owes = usize::try_from(count).unwrap_or(MAX_OWED).saturating_add(peer.owed.len());
                peer.height >= last && owes <= MAX_OWED && peer.late < MAX_LATE
            };
            let Some(id) = self.next_peer(free) else { return };
            let Some(peer) = self.peers.get_mut(&id) else { return };
            peer.owed.extend((start..=last).map(|height| (height, now.after(BLOCKS_TIMEOUT))));
            let request = BlockRequest { start, count: u16::try_from(count).ok() };
            out.push(Effect::Send(id, Message::GetBlocksByIndex(Box::new(request))));
        }
    }

    fn is_missing(&self, height: u32) -> bool {
        !self.blocks.contains_key(&height) && !self.peers.values().any(|peer| peer.owed.contains_key(&height))
    }

    /// The next peer in turn that will do.
    fn next_peer(&mut self, suits: impl Fn(&Remote) -> bool) -> Option<PeerId> {
        let after = self.peers.range(self.turn.saturating_add(1)..);
        let (id, _) = after.chain(self.peers.range(..=self.turn)).find(|(_, peer)| suits(peer))?;
        self.turn = *id;
        Some(self.turn)
    }
}

impl Machine for Sync {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Tick => self.on_tick(now, out),
            Input::Ready(id, height) => {
                self.peers.insert(id, Remote { height, ..Remote::default() });
            }
            Input::Gone(id) => self.on_gone(id),
            Input::Height(id, height) => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.height = peer.height.max(height);
                }
            }
            Input::Headers(id, headers) => self.on_headers(id, headers, out),
            Input::HeadersChecked(valid) => self.on_checked(valid, out),
            Input::Block(id, block) => self.on_block(now, id, block, out),
            Input::Stored(height, hash) => self.on_stored(height, hash),
            Input::Refused(height) => self.on_refused(height, out),
        }
        self.schedule(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let owed = self.peers.values().flat_map(|peer| peer.owed.values().chain(&peer.headers_until));
        owed.min().copied()
    }
}

#[cfg(test)]
mod tests;
