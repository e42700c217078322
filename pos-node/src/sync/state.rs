//! State sync: everything a node needs to start at a trusted final checkpoint, from peers that are not trusted. The
//! block must be the checkpoint's, the consensus state and the root of the application tree must be those that the
//! block's header commits to, and every piece of the application state comes with the proof that it is all there is
//! in its range. Pieces come from several peers at once.

use std::{collections::BTreeMap, mem, time::Duration};

use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
};

use super::range::Peer;
use crate::{
    consensus::chain::checkpoint::{Anchor, Entry, StatePiece},
    state::State,
    types::{
        block::SignedBlock,
        codec,
        operation::Checkpoint,
        params::Params,
        primitives::{Epoch, Root},
        ssz::Chunk,
    },
};

/// Most bytes of the entries of one piece.
const PIECE_BYTES: u64 = 1 << 20;

/// Most bytes of a consensus state.
const MAX_STATE_BYTES: usize = 1 << 30;
/// Ranges that are fetched at once, when there is more than one piece.
const RANGES: u8 = 8;
const PATIENCE: Duration = Duration::from_secs(20);
/// A peer that lacks what is asked for is asked again after this.
const AGAIN: Duration = Duration::from_secs(12);

/// What happens.
#[derive(Debug)]
pub enum Input {
    /// Time has come.
    Tick,
    /// A peer is connected.
    Connected(Peer),
    /// A peer has left.
    Gone(Peer),
    /// A peer's answer to what it was asked last; nothing when it failed.
    Answered(Peer, Option<Got>),
}

/// What a peer can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// The block and the roots of the final checkpoint of an epoch.
    Manifest(Epoch),
    /// The consensus state under a state root.
    Consensus(Root),
    /// A piece of the application state.
    Piece {
        /// Root of its tree.
        app_root: Root,
        /// First key hash.
        start: Root,
        /// Most bytes of entries.
        max_bytes: u64,
    },
}

/// What a peer answers.
#[derive(Debug, Clone)]
pub enum Got {
    /// To [`Want::Manifest`].
    Manifest(Box<Manifest>),
    /// To [`Want::Consensus`]: the encoded state.
    Consensus(Vec<u8>),
    /// To [`Want::Piece`].
    Piece(Box<StatePiece>),
}

/// What the state of a checkpoint consists of, as a peer says.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Its block.
    pub block: SignedBlock,
    /// Root of the application tree after the block.
    pub app_root: Root,
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Ask a peer.
    Ask(Peer, Want),
    /// A peer sent something that cannot be.
    Blame(Peer),
    /// Everything is here.
    Done(Box<Anchor>),
}

/// What a peer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Idle,
    /// It lacks what is wanted; it is asked again later.
    Resting(Time),
    Manifest(Time),
    Consensus(Time),
    /// A piece of the range with this number.
    Piece(usize, Time),
}

/// Key hashes that are still to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    next: Chunk,
    end: Chunk,
    is_done: bool,
}

/// What is known.
#[derive(Debug)]
enum Stage {
    Manifest,
    Consensus(Box<Manifest>),
    Pieces { block: Box<SignedBlock>, app_root: Root, state: Box<State> },
    Done,
}

/// The machine.
#[derive(Debug)]
pub struct StateSync {
    params: Params,
    checkpoint: Checkpoint,
    peers: BTreeMap<Peer, Work>,
    stage: Stage,
    spans: Vec<Span>,
    entries: Vec<Entry>,
}

impl StateSync {
    /// Wants the state of a trusted checkpoint.
    #[must_use]
    pub const fn new(params: Params, checkpoint: Checkpoint) -> Self {
        Self {
            params,
            checkpoint,
            peers: BTreeMap::new(),
            stage: Stage::Manifest,
            spans: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Entries that are here.
    #[must_use]
    pub const fn entries(&self) -> usize {
        self.entries.len()
    }

    fn take(&mut self, now: Time, peer: Peer, work: Work, answer: Option<Got>, out: &mut Vec<Effect>) {
        let rest = Work::Resting(now.after(AGAIN));
        let next = match (work, answer) {
            (Work::Manifest(_), Some(Got::Manifest(manifest))) => self.take_manifest(*manifest),
            (Work::Consensus(_), Some(Got::Consensus(bytes))) => self.take_state(&bytes),
            (Work::Piece(span, _), Some(Got::Piece(piece))) => self.take_piece(span, *piece),
            _ => {
                self.peers.insert(peer, rest);
                return;
            }
        };
        match next {
            Ok(()) => {
                self.peers.insert(peer, Work::Idle);
            }
            Err(Wrong) => {
                self.peers.remove(&peer);
                out.push(Effect::Blame(peer));
            }
        }
    }

    fn take_manifest(&mut self, manifest: Manifest) -> Result<(), Wrong> {
        let fits = manifest.checkpoint == self.checkpoint
            && manifest.block.root() == self.checkpoint.root
            && manifest.block.body_matches();
        if !fits {
            return Err(Wrong);
        }
        if matches!(self.stage, Stage::Manifest) {
            self.stage = Stage::Consensus(Box::new(manifest));
        }
        Ok(())
    }

    fn take_state(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let Stage::Consensus(manifest) = &self.stage else { return Ok(()) };
        let state: State = codec::decode(bytes, MAX_STATE_BYTES).map_err(|_| Wrong)?;
        let promised = manifest.block.header.header.state_root;
        if !state.is_well_formed(&self.params)
            || state.combined_root(&self.params, &manifest.app_root) != promised
        {
            // the app root may be the liar's: begin again with another peer
            self.stage = Stage::Manifest;
            return Err(Wrong);
        }
        let Stage::Consensus(manifest) = mem::replace(&mut self.stage, Stage::Done) else { return Ok(()) };
        self.stage = Stage::Pieces {
            block: Box::new(manifest.block),
            app_root: manifest.app_root,
            state: Box::new(state),
        };
        self.spans = vec![Span { next: [0; 32], end: [0xff; 32], is_done: false }];
        Ok(())
    }

    fn take_piece(&mut self, at: usize, piece: StatePiece) -> Result<(), Wrong> {
        let Stage::Pieces { app_root, .. } = &self.stage else { return Ok(()) };
        let only = self.spans.len() == 1;
        let Some(span) = self.spans.get_mut(at) else { return Ok(()) };
        if span.is_done {
            return Ok(());
        }
        match piece.verify(app_root, &span.next).map_err(|_| Wrong)? {
            Some(next) if next <= span.end => span.next = next,
            _ => span.is_done = true,
        }
        let rest = (only && !span.is_done).then_some(span.next);
        self.entries.extend(piece.entries.into_vec());
        if let Some(first) = rest {
            self.spans = divide(first);
        }
        Ok(())
    }

    /// Gives every idle peer something to do.
    fn ask(&mut self, now: Time, out: &mut Vec<Effect>) {
        let until = now.after(PATIENCE);
        let mut busy = vec![false; self.spans.len()];
        for work in self.peers.values() {
            if let Work::Piece(at, _) = work
                && let Some(busy) = busy.get_mut(*at)
            {
                *busy = true;
            }
        }
        let consensus_asked = self.peers.values().any(|work| matches!(work, Work::Consensus(_)));
        for (peer, work) in &mut self.peers {
            let rested = matches!(work, Work::Resting(until) if *until <= now);
            if *work != Work::Idle && !rested {
                continue;
            }
            match &self.stage {
                Stage::Manifest => {
                    *work = Work::Manifest(until);
                    out.push(Effect::Ask(*peer, Want::Manifest(self.checkpoint.epoch)));
                }
                Stage::Consensus(_) if consensus_asked => return,
                Stage::Consensus(manifest) => {
                    *work = Work::Consensus(until);
                    let root = manifest.block.header.header.state_root;
                    out.push(Effect::Ask(*peer, Want::Consensus(root)));
                    return; // it is one large answer: one peer is enough at a time
                }
                Stage::Pieces { app_root, .. } => {
                    let free = |(busy, span): (&bool, &Span)| !busy && !span.is_done;
                    let Some(at) = busy.iter().zip(&self.spans).position(free) else { return };
                    let Some(span) = self.spans.get(at) else { return };
                    if let Some(busy) = busy.get_mut(at) {
                        *busy = true;
                    }
                    *work = Work::Piece(at, until);
                    let (app_root, start) = (*app_root, Root(span.next));
                    out.push(Effect::Ask(*peer, Want::Piece { app_root, start, max_bytes: PIECE_BYTES }));
                }
                Stage::Done => return,
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<Effect>) {
        let complete = !self.spans.is_empty() && self.spans.iter().all(|span| span.is_done);
        if !complete || !matches!(self.stage, Stage::Pieces { .. }) {
            return;
        }
        if let Stage::Pieces { block, state, .. } = mem::replace(&mut self.stage, Stage::Done) {
            out.push(Effect::Done(Box::new(Anchor {
                checkpoint: self.checkpoint,
                block: *block,
                state: *state,
                entries: mem::take(&mut self.entries),
            })));
        }
    }
}

/// The answer proves that the peer lies or is broken.
struct Wrong;

/// The key hashes from `first` on, in ranges of about equal size.
fn divide(first: Chunk) -> Vec<Span> {
    let top = first.first().copied().unwrap_or(0);
    let step = (u8::MAX - top) / RANGES;
    if step == 0 {
        return vec![Span { next: first, end: [0xff; 32], is_done: false }];
    }
    let start = |number: u8| {
        if number == 0 {
            return first;
        }
        let mut hash = [0; 32];
        if let Some(byte) = hash.first_mut() {
            *byte = top + step * number;
        }
        hash
    };
    let end = |number: u8| {
        if number + 1 == RANGES {
            return [0xff; 32];
        }
        let mut hash = [0xff; 32];
        if let Some(byte) = hash.first_mut() {
            *byte = top + step * (number + 1) - 1;
        }
        hash
    };
    (0..RANGES).map(|number| Span { next: start(number), end: end(number), is_done: false }).collect()
}

impl Machine for StateSync {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Tick => {}
            Input::Connected(peer) => {
                self.peers.entry(peer).or_insert(Work::Idle);
            }
            Input::Gone(peer) => {
                self.peers.remove(&peer);
            }
            Input::Answered(peer, answer) => {
                if let Some(work) = self.peers.get(&peer).copied() {
                    self.take(now, peer, work, answer, out);
                }
            }
        }
        for work in self.peers.values_mut() {
            if let Work::Manifest(until) | Work::Consensus(until) | Work::Piece(_, until) = work
                && *until <= now
            {
                *work = Work::Resting(now.after(AGAIN));
            }
        }
        self.finish(out);
        self.ask(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let until = |work: &Work| match work {
            Work::Idle => None,
            Work::Resting(until) | Work::Manifest(until) | Work::Consensus(until) | Work::Piece(_, until) => {
                Some(*until)
            }
        };
        self.peers.values().filter_map(until).min()
    }
}
