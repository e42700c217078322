//! One node that syncs from several peers, some of which lie, on the simulator.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use fluxd_primitives::BlockHash;
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
    testing::sim::{Node, Outcome, Sim, Weather},
};

use super::{
    PeerKey,
    blocks::{self, BlockSync},
    headers::{self, HeaderSync, Start},
};

const BATCH: u32 = 160;

/// The honest chain: a hash for every height.
fn hash(height: u32) -> BlockHash {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&height.to_be_bytes());
    BlockHash(bytes)
}

fn height_of(hash: &BlockHash) -> u32 {
    u32::from_be_bytes([hash.0[0], hash.0[1], hash.0[2], hash.0[3]])
}

#[derive(Clone, Debug)]
enum Wire {
    /// Headers behind this height are wanted.
    GetHeaders(u32),
    Headers(Vec<BlockHash>),
    GetBlocks(Vec<BlockHash>),
    Block(BlockHash),
    NotFound(BlockHash),
}

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Conduct {
    Honest,
    /// Answers nothing at all.
    Mute,
    /// Sends headers and no bodies.
    Withholder,
    /// Sends headers that are not of the chain.
    Forger,
    /// Says of every body that it does not have it.
    Forgetful,
    /// Sends each answer to `getheaders` twenty times.
    Spammer,
}

enum Input {
    Wire(usize, Wire),
    Tick,
    Start(Vec<u32>),
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

enum Actor {
    Peer(Conduct, u32),
    Node(Box<Syncing>),
}

#[derive(Default)]
struct Syncing {
    headers: HeaderSync,
    blocks: BlockSync,
    best: u32,
    last: BTreeMap<PeerKey, u32>,
    claims: BTreeMap<PeerKey, u32>,
    bodies: BTreeSet<u32>,
    dropped: BTreeSet<PeerKey>,
    most_in_flight: usize,
}

impl Syncing {
    fn headers(&mut self, now: Time, input: headers::Input, out: &mut Vec<Outcome<Wire>>) {
        let mut effects = Vec::new();
        self.headers.step(now, input, &mut effects);
        for effect in effects {
            match effect {
                headers::Effect::Ask(key, start) => {
                    let from = if start == Start::Best { self.best } else { self.last[&key] };
                    out.push(Outcome::Send(key as usize, Wire::GetHeaders(from)));
                }
                headers::Effect::Drop(key) | headers::Effect::Flood(key) => self.drop_peer(now, key, out),
            }
        }
    }

    fn blocks(&mut self, now: Time, input: blocks::Input, out: &mut Vec<Outcome<Wire>>) {
        let mut effects = Vec::new();
        self.blocks.step(now, input, &mut effects);
        self.most_in_flight = self.most_in_flight.max(self.blocks.in_flight());
        for effect in effects {
            match effect {
                blocks::Effect::Ask(key, hashes) => {
                    out.push(Outcome::Send(key as usize, Wire::GetBlocks(hashes)))
                }
                blocks::Effect::More => self.want(now, out),
                blocks::Effect::Drop(key) => self.drop_peer(now, key, out),
            }
        }
    }

    fn want(&mut self, now: Time, out: &mut Vec<Outcome<Wire>>) {
        let missing = (1..=self.best).filter(|height| !self.bodies.contains(height)).take(2048);
        let list = missing.map(|height| (height, hash(height))).collect();
        self.blocks(now, blocks::Input::Wanted(list), out);
    }

    fn drop_peer(&mut self, now: Time, key: PeerKey, out: &mut Vec<Outcome<Wire>>) {
        if self.dropped.insert(key) {
            self.headers(now, headers::Input::Gone(key), out);
            self.blocks(now, blocks::Input::Gone(key), out);
        }
    }

    fn received(&mut self, now: Time, key: PeerKey, message: Wire, out: &mut Vec<Outcome<Wire>>) {
        if self.dropped.contains(&key) {
            return;
        }
        match message {
            Wire::Headers(list) => {
                self.headers(now, headers::Input::Received(key), out);
                if list.iter().any(|one| *one != hash(height_of(one))) {
                    self.headers(now, headers::Input::Refused(key), out);
                    return self.drop_peer(now, key, out);
                }
                let height = list.last().map_or(self.best, height_of);
                let new = height.saturating_sub(self.best) as usize;
                let full = list.len() == BATCH as usize;
                self.best = self.best.max(height);
                self.last.insert(key, height);
                // What the others claim is believed as far as the headers go.
                for (key, claim) in self.claims.clone() {
                    self.blocks(now, blocks::Input::Has(key, claim.min(self.best)), out);
                }
                self.headers(now, headers::Input::Accepted { peer: key, full, height, new }, out);
                if !full {
                    // In the present: everybody is asked what they have.
                    self.headers(now, headers::Input::NearPresent(true), out);
                }
                self.want(now, out);
            }
            Wire::Block(hash) => {
                self.bodies.insert(height_of(&hash));
                self.blocks(now, blocks::Input::Received(key, hash), out);
                if self.bodies.len() as u32 == self.best {
                    out.push(Outcome::Log(format!("synced to {}", self.best)));
                }
            }
            Wire::NotFound(hash) => self.blocks(now, blocks::Input::Missing(key, hash), out),
            Wire::GetHeaders(_) | Wire::GetBlocks(_) => {}
        }
    }
}

impl Machine for Actor {
    type Input = Input;
    type Effect = Outcome<Wire>;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Outcome<Wire>>) {
        match (self, input) {
            (Self::Peer(conduct, height), Input::Wire(from, message)) => {
                answer(*conduct, *height, from, message, out)
            }
            (Self::Node(node), Input::Wire(from, message)) => {
                node.received(now, from as PeerKey, message, out)
            }
            (Self::Node(node), Input::Tick) => {
                node.headers(now, headers::Input::Tick, out);
                node.blocks(now, blocks::Input::Tick, out);
            }
            (Self::Node(node), Input::Start(heights)) => {
                node.claims = (1..).zip(heights.iter().copied()).collect();
                for (key, height) in (1..).zip(heights) {
                    node.blocks(now, blocks::Input::Ready(key), out);
                    node.headers(now, headers::Input::Ready(key, height), out);
                }
            }
            (Self::Peer(..), _) => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        match self {
            Self::Peer(..) => None,
            Self::Node(node) => node.headers.deadline().into_iter().chain(node.blocks.deadline()).min(),
        }
    }
}

fn answer(conduct: Conduct, height: u32, from: usize, message: Wire, out: &mut Vec<Outcome<Wire>>) {
    match (conduct, message) {
        (Conduct::Mute, _) | (Conduct::Withholder, Wire::GetBlocks(_)) => {}
        (Conduct::Forger, Wire::GetHeaders(behind)) => {
            let forged =
                (behind + 1..=height).take(BATCH as usize).map(|height| BlockHash([height as u8; 32]));
            out.push(Outcome::Send(from, Wire::Headers(forged.collect())));
        }
        (_, Wire::GetHeaders(behind)) => {
            let list: Vec<_> = (behind + 1..=height).take(BATCH as usize).map(hash).collect();
            let times = if conduct == Conduct::Spammer { 20 } else { 1 };
            out.extend((0..times).map(|_| Outcome::Send(from, Wire::Headers(list.clone()))));
        }
        (Conduct::Forgetful, Wire::GetBlocks(hashes)) => {
            out.extend(hashes.into_iter().map(|hash| Outcome::Send(from, Wire::NotFound(hash))));
        }
        (_, Wire::GetBlocks(hashes)) => {
            out.extend(hashes.into_iter().map(|hash| Outcome::Send(from, Wire::Block(hash))));
        }
        _ => {}
    }
}

impl Node for Actor {
    type Message = Wire;

    fn receive(from: usize, message: Wire) -> Input {
        Input::Wire(from, message)
    }

    fn outcome(effect: Outcome<Wire>) -> Outcome<Wire> {
        effect
    }
}

fn sync(seed: u64, peers: &[(Conduct, u32)], limit: Duration) -> (Sim<Actor>, bool) {
    let node = Actor::Node(Box::default());
    let actors =
        std::iter::once(node).chain(peers.iter().map(|(conduct, height)| Actor::Peer(*conduct, *height)));
    let mut sim = Sim::new(seed, actors, Weather::default());
    sim.input(0, Input::Start(peers.iter().map(|(_, height)| *height).collect()));
    let goal =
        peers.iter().filter(|(conduct, _)| *conduct == Conduct::Honest).map(|(_, height)| *height).max();
    let end = Time::ZERO.after(limit);
    let done = sim.run_while(end, |sim| node_of(sim).bodies.len() as u32 != goal.unwrap_or_default());
    (sim, done)
}

fn node_of(sim: &Sim<Actor>) -> &Syncing {
    match sim.node(0) {
        Some(Actor::Node(node)) => node,
        _ => unreachable!(),
    }
}

#[test]
fn blocks_come_from_all_peers_at_once_and_no_more_than_allowed_of_each() {
    let (sim, done) = sync(1, &[(Conduct::Honest, 3000); 4], Duration::from_secs(30));
    assert!(done);
    let most = node_of(&sim).most_in_flight;
    assert!(most > blocks::PER_PEER && most <= 4 * blocks::PER_PEER, "{most}");
    let askings = |peer: usize| sim.log().matches(&format!("0>{peer} GetBlocks")).count();
    let counts: Vec<usize> = (1..=4).map(askings).collect();
    assert!(counts.iter().all(|count| *count > 10), "{counts:?}");
}

#[test]
fn one_honest_peer_among_liars_of_every_kind_is_enough() {
    let seeds = std::env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    for seed in 0..seeds {
        let peers = [
            (Conduct::Mute, 9000),
            (Conduct::Withholder, 3000),
            (Conduct::Forger, 5000),
            (Conduct::Honest, 3000),
            (Conduct::Forgetful, 3000),
            (Conduct::Spammer, 3000),
        ];
        let (sim, done) = sync(seed, &peers, Duration::from_secs(1200));
        let node = node_of(&sim);
        assert!(done, "seed {seed}: {} of {}, dropped {:?}", node.bodies.len(), node.best, node.dropped);
        assert!(!node.dropped.contains(&4), "seed {seed}: the honest peer was dropped");
        for liar in [1, 3, 6] {
            assert!(node.dropped.contains(&liar), "seed {seed}: {liar} was kept");
        }
        assert!(node.most_in_flight <= peers.len() * blocks::PER_PEER);
    }
}

#[test]
fn the_same_seed_gives_the_same_sync() {
    let peers = [(Conduct::Honest, 500), (Conduct::Withholder, 500)];
    let run = |seed| sync(seed, &peers, Duration::from_secs(600)).0.digest();
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_peer_that_holds_up_the_window_is_parted_from_within_seconds() {
    let mut node = BlockSync::default();
    let mut out = Vec::new();
    for key in [1, 2] {
        node.step(Time::ZERO, blocks::Input::Ready(key), &mut out);
        node.step(Time::ZERO, blocks::Input::Has(key, 5000), &mut out);
    }
    let list: Vec<_> = (1..=2048).map(|height| (height, hash(height))).collect();
    node.step(Time::ZERO, blocks::Input::Wanted(list), &mut out);
    // Peer 2 delivers whatever it is asked for, peer 1 nothing.
    let mut parted = None;
    for millis in 1..20_000 {
        let now = Time::from_millis(millis);
        let asked: Vec<BlockHash> = (1..=2048).map(hash).filter(|hash| node.is_asked(2, hash)).collect();
        for hash in asked {
            node.step(now, blocks::Input::Received(2, hash), &mut out);
        }
        node.step(now, blocks::Input::Tick, &mut out);
        if out.contains(&blocks::Effect::Drop(1)) {
            parted = Some(millis);
            break;
        }
    }
    assert!(parted.is_some_and(|millis| millis < 4000), "{parted:?}");
    assert!(!out.contains(&blocks::Effect::Drop(2)));
}

#[test]
fn while_the_chain_is_busy_nothing_is_asked_and_nobody_is_slow() {
    let mut node = BlockSync::default();
    let mut out = Vec::new();
    node.step(Time::ZERO, blocks::Input::Busy(true), &mut out);
    node.step(Time::ZERO, blocks::Input::Ready(1), &mut out);
    node.step(Time::ZERO, blocks::Input::Has(1, 50), &mut out);
    node.step(Time::ZERO, blocks::Input::Wanted(vec![(1, hash(1))]), &mut out);
    assert!(out.is_empty() && node.deadline().is_none());
    node.step(Time::from_millis(90_000), blocks::Input::Busy(false), &mut out);
    assert_eq!(out, [blocks::Effect::Ask(1, vec![hash(1)])]);
}
