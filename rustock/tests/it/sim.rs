//! Header synchronisation over a simulated network: the production state machine against peers that answer honestly,
//! lie, or keep silent, on a virtual clock. Blocks are names: block n of branch b has the hash (n, b), and only branch 0
//! has proof of work. SIM_SEEDS says how many seeds are run (default 40).

#![allow(clippy::print_stdout)] // figures and traces of a run

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use bytes::Bytes;
use rustock::{
    sync::{
        Effect, Fault, HeaderSync, Imported, Input, Part,
        serve::{self, View},
    },
    types::{BlockHash, BlockNumber},
    wire::rsk::{BlockId, Message},
};
use shared_vendor::{
    clock::Time,
    machine::{Machine, Tick},
    testing::sim::{Node, Outcome, Sim, Weather},
};

/// A branch that is as high as it says.
#[derive(Debug, Clone, Copy)]
struct Chain {
    branch: u8,
    best: u64,
}

impl Chain {
    fn id(self, number: u64) -> BlockId {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        // Genesis is everybody's.
        hash[8] = if number == 0 { 0 } else { self.branch };
        BlockId { hash: BlockHash(hash), number: BlockNumber(number) }
    }

    fn number_of(self, hash: &BlockHash) -> Option<u64> {
        let number = u64::from_be_bytes(*hash.0.first_chunk()?);
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
        let parent = self.id(number.checked_sub(1)?).hash;
        Some((Bytes::copy_from_slice(&of.0), parent))
    }
}

/// What a peer does instead of answering honestly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conduct {
    Honest,
    /// Names blocks of a branch without work; all such peers name the same.
    Counterfeiter,
    /// Names blocks of a branch of its own without work.
    Inventor(u8),
    /// Answers with other headers than it was asked for.
    Swapper,
    /// Leaves a header out.
    Shortener,
    /// Never answers.
    Mute,
}

impl Conduct {
    fn answer(self, chain: Chain, request: &Message) -> Option<Message> {
        let of = |branch| serve::answer(&Chain { branch, ..chain }, request);
        match (self, of(0)) {
            (Self::Honest, answer) => answer,
            (Self::Counterfeiter, _) => of(66),
            (Self::Inventor(branch), _) => of(branch),
            (Self::Swapper, Some(Message::HeadersResponse { id, mut headers })) => {
                headers.reverse();
                Some(Message::HeadersResponse { id, headers })
            }
            (Self::Shortener, Some(Message::HeadersResponse { id, mut headers })) => {
                headers.pop();
                Some(Message::HeadersResponse { id, headers })
            }
            (Self::Mute, _) => None,
            (_, answer) => answer,
        }
    }
}

enum Actor {
    Us { machine: Box<HeaderSync>, chain: Chain },
    Peer { conduct: Conduct, chain: Chain, first_lie: Option<Time> },
}

enum Event {
    Tick,
    Begin(BTreeMap<usize, BlockId>),
    Message(usize, Wire),
}

impl From<Tick> for Event {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// A message whose trace is short.
#[derive(Clone)]
struct Wire(Message);

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Message::HeadersResponse { id, headers } => write!(f, "headers {id} {}", headers.len()),
            Message::SkeletonResponse { id, entries } => write!(f, "skeleton {id} {}", entries.len()),
            other => write!(f, "{other:?}"),
        }
    }
}

enum Out {
    Send(usize, Message),
    Fault(usize, Fault),
}

impl Machine for Actor {
    type Input = Event;
    type Effect = Out;

    fn step(&mut self, now: Time, event: Event, out: &mut Vec<Out>) {
        match (self, event) {
            (Self::Peer { conduct, chain, first_lie }, Event::Message(from, Wire(request))) => {
                let answer = conduct.answer(*chain, &request);
                if answer.is_some() && answer != Conduct::Honest.answer(*chain, &request) {
                    first_lie.get_or_insert(now);
                }
                out.extend(answer.map(|answer| Out::Send(from, answer)));
            }
            (Self::Us { machine, chain }, Event::Begin(peers)) => {
                for (peer, best) in peers {
                    feed(machine, chain, now, Input::PeerReady(peer as u64), out);
                    feed(machine, chain, now, Input::Announced(peer as u64, best), out);
                }
            }
            (Self::Us { machine, chain }, Event::Message(from, Wire(message))) => {
                feed(machine, chain, now, Input::Message(from as u64, message), out);
            }
            (Self::Us { machine, chain }, Event::Tick) => feed(machine, chain, now, Input::Tick, out),
            (Self::Peer { .. }, _) => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        match self {
            Self::Us { machine, .. } => machine.deadline(),
            Self::Peer { .. } => None,
        }
    }
}

/// Steps the machine and carries out what concerns the store. A peer that breaks a rule is parted from at once.
fn feed(machine: &mut HeaderSync, chain: &mut Chain, now: Time, input: Input, out: &mut Vec<Out>) {
    let mut inputs = vec![input];
    while let Some(input) = inputs.pop() {
        let mut effects = Vec::new();
        machine.step(now, input, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send(peer, message) => out.push(Out::Send(peer as usize, message)),
                Effect::Locate { query, hash } => {
                    let height = chain.number_of(&hash).map(BlockNumber);
                    inputs.push(Input::Located { query, known: height.is_some(), height });
                }
                Effect::Import { job, parts } => {
                    inputs.push(Input::Imported { job, result: import(chain, &parts) });
                }
                Effect::Fault(peer, fault) => {
                    out.push(Out::Fault(peer as usize, fault));
                    if fault != Fault::Timeout {
                        inputs.push(Input::PeerGone(peer));
                    }
                }
            }
        }
    }
}

fn import(chain: &mut Chain, parts: &[Part]) -> Imported {
    let mut added = 0;
    for (part, Part { top, headers, .. }) in parts.iter().enumerate() {
        if headers.last().map(Bytes::as_ref) != Some(&top.hash.0) {
            return Imported::Unfit { part };
        }
        for header in headers {
            let hash = BlockHash(header.as_ref().try_into().unwrap());
            if chain.number_of(&hash).is_some() {
                continue;
            }
            let next = chain.id(chain.best + 1);
            if hash.0[..8] != next.hash.0[..8] {
                return Imported::Misplaced { part };
            }
            if hash != next.hash {
                return Imported::Invalid { part };
            }
            chain.best += 1;
            added += 1;
        }
    }
    Imported::Stored { tip: chain.id(chain.best), added }
}

impl Node for Actor {
    type Message = Wire;

    fn receive(from: usize, message: Wire) -> Event {
        Event::Message(from, message)
    }

    fn outcome(effect: Out) -> Outcome<Wire> {
        match effect {
            Out::Send(to, message) => Outcome::Send(to, Wire(message)),
            Out::Fault(peer, fault) => Outcome::Log(format!("{peer} {fault:?}")),
        }
    }
}

struct Run {
    took: Duration,
    banned: BTreeSet<usize>,
    /// Peers that lied in the first three quarters of the time.
    lied: BTreeSet<usize>,
    digest: u64,
}

/// Synchronises `headers` headers from these peers, 100 ms away, and says how long it took.
fn run(seed: u64, headers: u64, conducts: &[Conduct], loss: f64) -> Run {
    let latency = Duration::from_millis(90)..Duration::from_millis(110);
    let ours = Chain { branch: 0, best: 0 };
    let theirs = Chain { branch: 0, best: headers };
    let us = Actor::Us { machine: Box::new(HeaderSync::new(ours.id(0))), chain: ours };
    let peers =
        conducts.iter().map(|conduct| Actor::Peer { conduct: *conduct, chain: theirs, first_lie: None });
    let mut sim = Sim::new(seed, std::iter::once(us).chain(peers), Weather { latency, loss });
    let claims = (1..).zip(conducts).map(|(peer, conduct)| {
        let branch = match conduct {
            Conduct::Counterfeiter => 66,
            Conduct::Inventor(branch) => *branch,
            _ => 0,
        };
        (peer, Chain { branch, ..theirs }.id(headers))
    });
    sim.input(0, Event::Begin(claims.collect()));
    let end = Time::ZERO.after(Duration::from_secs(3_600));
    let arrived = |sim: &Sim<Actor>| match sim.node(0) {
        Some(Actor::Us { chain, .. }) => chain.best == headers,
        _ => false,
    };
    sim.run_while(end, |sim| !arrived(sim));
    assert!(arrived(&sim), "seed {seed}: not synchronised within an hour; {:?}", sim.decisions);
    if std::env::var_os("SIM_SEED").is_some() {
        println!("{}", sim.log());
    }
    let banned = sim.decisions.iter().filter(|(_, _, text)| !text.ends_with("Timeout"));
    let banned = banned.map(|(_, _, text)| text.split(' ').next().unwrap().parse().unwrap());
    let took = sim.now().since(Time::ZERO);
    let early = |peer: &usize| {
        let Some(Actor::Peer { first_lie: Some(at), .. }) = sim.node(*peer) else { return false };
        at.since(Time::ZERO) < took / 4 * 3
    };
    let lied = (1..=conducts.len()).filter(early).collect();
    Run { took, banned: banned.collect(), lied, digest: sim.digest() }
}

/// From 0, or the one that SIM_SEED names.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    number("SIM_SEED").map_or_else(|| 0..number("SIM_SEEDS").unwrap_or(40), |seed| seed..seed + 1)
}

#[test]
fn eight_peers_are_nearly_eight_times_as_fast_as_one() {
    const HEADERS: u64 = 300_000;
    let one = run(1, HEADERS, &[Conduct::Honest], 0.0);
    let eight = run(1, HEADERS, &[Conduct::Honest; 8], 0.0);
    let ratio = one.took.as_secs_f64() / eight.took.as_secs_f64();
    println!("one peer {:?}, eight {:?}: {ratio:.2} times", one.took, eight.took);
    assert!(ratio >= 0.9 * 8.0, "{ratio}");
}

#[test]
fn with_three_liars_of_ten_the_rate_stays_above_half_and_all_liars_are_banned() {
    use Conduct::{Counterfeiter, Honest, Inventor, Shortener, Swapper};
    const HEADERS: u64 = 200_000;
    let honest = run(0, HEADERS, &[Honest; 10], 0.0);
    let mut worst = 0.0_f64;
    for seed in seeds() {
        let kinds = [Counterfeiter, Inventor(67), Swapper, Shortener, Counterfeiter, Inventor(68)];
        let mut conducts = [Honest; 10];
        for liar in 0..3_usize {
            let place = (seed as usize + liar * 3) % 10;
            conducts[place] = kinds[(seed as usize / 10 + liar * (1 + seed as usize % 2)) % kinds.len()];
        }
        let run = run(seed, HEADERS, &conducts, 0.0);
        let liars: BTreeSet<usize> =
            (1..).zip(conducts).filter(|(_, conduct)| *conduct != Honest).map(|(peer, _)| peer).collect();
        assert!(run.banned.is_subset(&liars), "seed {seed}: {conducts:?} {:?}", run.banned);
        assert!(run.lied.is_subset(&run.banned), "seed {seed}: {conducts:?} {:?} {:?}", run.lied, run.banned);
        let slower = run.took.as_secs_f64() / honest.took.as_secs_f64();
        assert!(slower <= 2.0, "seed {seed}: {slower} times as long; {conducts:?}");
        worst = worst.max(slower);
    }
    println!("ten honest peers {:?}; with liars at most {worst:.2} times as long", honest.took);
}

#[test]
fn loss_and_mute_peers_slow_it_down_and_ban_nobody_and_a_seed_repeats() {
    use Conduct::{Honest, Mute};
    for seed in seeds() {
        let conducts = [Honest, Mute, Honest, Honest, Mute, Honest];
        let first = run(seed, 20_000, &conducts, 0.05);
        assert_eq!(first.banned, BTreeSet::new(), "seed {seed}");
        if seed % 8 == 0 {
            assert_eq!(run(seed, 20_000, &conducts, 0.05).digest, first.digest, "seed {seed}");
        }
    }
}
