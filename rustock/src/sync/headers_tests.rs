//! The machine against simulated peers whose answers come from [`crate::sync::serve`].

use super::*;
use crate::sync::{
    Part,
    serve::{self, View},
};

/// A chain of named blocks: block n of branch b has hash [b, n]. Branches leave branch 0 at a height.
#[derive(Clone)]
struct Chain {
    branch: u8,
    from: u64,
    best: u64,
}

fn hash(branch: u8, number: u64) -> BlockHash {
    let mut bytes = [branch; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    BlockHash(bytes)
}

impl Chain {
    fn new(best: u64) -> Self {
        Self { branch: 0, from: 0, best }
    }

    fn id(&self, number: u64) -> BlockId {
        let branch = if number > self.from { self.branch } else { 0 };
        BlockId { hash: hash(branch, number), number: BlockNumber(number) }
    }

    fn tip(&self) -> BlockId {
        self.id(self.best)
    }

    fn number_of(&self, hash: &BlockHash) -> Option<u64> {
        let number = u64::from_be_bytes(*hash.0.first_chunk().unwrap());
        (number <= self.best && self.id(number).hash == *hash).then_some(number)
    }
}

impl View for Chain {
    fn best_number(&self) -> BlockNumber {
        BlockNumber(self.best)
    }

    fn hash_at(&self, number: BlockNumber) -> Option<BlockHash> {
        (number.0 <= self.best).then(|| self.id(number.0).hash)
    }

    fn header(&self, of: &BlockHash) -> Option<(Bytes, BlockHash)> {
        let number = self.number_of(of)?;
        let parent = number.checked_sub(1).map_or(BlockHash([0xff; 32]), |below| self.id(below).hash);
        Some((Bytes::copy_from_slice(&of.0), parent))
    }
}

type Spoil = fn(Message) -> Option<Message>;

struct World {
    machine: HeaderSync,
    ours: Chain,
    theirs: Chain,
    now: Time,
    faults: Vec<Fault>,
    asked: usize,
    /// The peer breaks its answers in this way.
    spoil: Spoil,
}

impl World {
    fn new(ours: Chain, theirs: Chain) -> Self {
        let machine = HeaderSync::new(ours.tip());
        let now = Time::from_millis(1);
        Self { machine, ours, theirs, now, faults: vec![], asked: 0, spoil: Some }
    }

    fn run(&mut self) -> BlockId {
        self.input(Input::PeerReady(1));
        self.announce();
        self.ours.tip()
    }

    fn announce(&mut self) {
        self.input(Input::Announced(1, self.theirs.tip()));
    }

    fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Vec::new();
            self.machine.step(self.now, input, &mut effects);
            inputs.extend(effects.into_iter().filter_map(|effect| self.perform(effect)));
        }
    }

    fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Send(peer, request) => {
                self.asked += 1;
                let answer = serve::answer(&self.theirs, &request).and_then(self.spoil)?;
                Some(Input::Message(peer, answer))
            }
            Effect::Locate { query, hash } => {
                let height = self.ours.number_of(&hash).map(BlockNumber);
                Some(Input::Located { query, known: height.is_some(), height })
            }
            Effect::Import { job, parts } => {
                let (tip, mut added) = (self.ours.tip(), 0);
                let mut result = Imported::Stored { tip, added };
                for (part, Part { top, headers, .. }) in parts.into_iter().enumerate() {
                    added += headers.len();
                    result = self.import(part, top, &headers, added);
                    if !matches!(result, Imported::Stored { .. }) {
                        break;
                    }
                }
                Some(Input::Imported { job, result })
            }
            Effect::Fault(_, fault) => {
                self.faults.push(fault);
                None
            }
        }
    }

    /// Takes the peer's branch over when the headers connect to our chain and end where they should.
    fn import(&mut self, part: usize, top: BlockId, headers: &[Bytes], added: usize) -> Imported {
        let hashes: Vec<_> =
            headers.iter().map(|header| BlockHash(header.as_ref().try_into().unwrap())).collect();
        if hashes.last() != Some(&top.hash) {
            return Imported::Unfit { part };
        }
        let Some(first) = hashes.first().and_then(|first| self.theirs.number_of(first)) else {
            return Imported::Invalid { part };
        };
        if self.ours.number_of(&self.theirs.id(first - 1).hash).is_none() {
            return Imported::Misplaced { part };
        }
        self.ours = Chain { best: top.number.0, ..self.theirs };
        Imported::Stored { tip: self.ours.tip(), added }
    }
}

#[test]
fn a_long_chain_is_fetched_from_genesis_in_skeletons_and_chunks() {
    let mut world = World::new(Chain::new(0), Chain::new(10_000));
    assert_eq!(world.run(), world.theirs.tip());
    assert_eq!(world.faults, []);
    assert!(!world.machine.progress().busy);
    // 53 chunks, three skeletons, and a probe of our tip before each further one
    assert!(world.asked <= 60, "{}", world.asked);
}

#[test]
fn a_new_block_at_the_tip_is_one_request() {
    let mut world = World::new(Chain::new(700), Chain::new(701));
    assert_eq!(world.run(), world.theirs.tip());
    assert_eq!(world.asked, 1);
    world.announce();
    assert_eq!(world.asked, 1, "a known block is not asked for again");
}

#[test]
fn a_deep_fork_is_found_by_bisection_and_followed() {
    let ours = Chain { branch: 1, from: 137, best: 900 };
    let mut world = World::new(ours, Chain { branch: 2, from: 137, best: 1_000 });
    assert_eq!(world.run(), world.theirs.tip());
    assert_eq!(world.faults, []);
}

#[test]
fn silence_is_a_timeout_and_the_peer_is_asked_again_later() {
    let mut world = World::new(Chain::new(0), Chain::new(1_000));
    world.spoil = |_| None;
    world.run();
    world.now = world.machine.deadline().unwrap();
    world.input(Input::Tick);
    assert_eq!(world.faults, [Fault::Timeout]);
    assert_eq!(world.machine.progress().target, BlockNumber(0), "its claim does not count meanwhile");
    world.spoil = Some;
    world.now = world.machine.deadline().unwrap();
    world.input(Input::Tick);
    assert_eq!(world.ours.tip(), world.theirs.tip());
}

#[test]
fn short_chunks_and_foreign_skeletons_are_offences() {
    let short = |answer| match answer {
        Message::HeadersResponse { id, mut headers } => {
            headers.pop();
            Some(Message::HeadersResponse { id, headers })
        }
        other => Some(other),
    };
    let gap = |answer| match answer {
        Message::SkeletonResponse { id, mut entries } => {
            entries.remove(1);
            Some(Message::SkeletonResponse { id, entries })
        }
        other => Some(other),
    };
    let reversed = |answer| match answer {
        Message::HeadersResponse { id, mut headers } => {
            headers.reverse();
            Some(Message::HeadersResponse { id, headers })
        }
        other => Some(other),
    };
    let spoils: [(Spoil, Fault); 3] =
        [(short, Fault::InvalidMessage), (gap, Fault::InvalidMessage), (reversed, Fault::InvalidMessage)];
    for (spoil, fault) in spoils {
        let mut world = World::new(Chain::new(0), Chain::new(1_000));
        world.spoil = spoil;
        world.run();
        assert_eq!(world.faults, [fault]);
    }
}

#[test]
fn a_peer_that_leaves_in_the_middle_leaves_no_trace() {
    let mut world = World::new(Chain::new(0), Chain::new(1_000));
    world.spoil = |_| None;
    world.run();
    world.input(Input::PeerGone(1));
    assert!(!world.machine.progress().busy);
    world.spoil = Some;
    world.input(Input::PeerReady(2));
    world.input(Input::Announced(2, world.theirs.tip()));
    assert_eq!(world.ours.tip(), world.theirs.tip());
}
