//! Networks of engines on a virtual clock: one node crashes, one lies, messages are late or lost. No two honest nodes may
//! accept different blocks, and the others must go on. `SIM_SEEDS` sets the number of seeds, `SIM_FIRST` the first one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::RangeInclusive,
    time::Duration,
};

use avalanche_ids::{Id, NodeId};
use avalanche_snow::{
    chain::{Block, Chain, Fault, Refused, State, Unverified},
    consensus::Params,
    engine::{
        bootstrap,
        machine::{Effect, Input, Machine, Settings},
    },
    message::{Content, Message},
    networking::validators::Validators,
};
use shared_vendor::{
    clock::Time,
    testing::sim::{Node, Outcome, Sim, Weather},
};

const NODES: u8 = 10;
/// Four honest nodes of five hold hardly more than a quorum: a poll has 15 of its 20 votes from them four times of five,
/// and twenty such polls in a row take 391 on average, where nine honest of ten need 23.
const FEW: u8 = 5;
const BLOCKS: u64 = 4;
const WEIGHT: u64 = 1_000;
/// Virtual time in which all must agree: ten nodes, or five.
const PATIENCE: [Duration; 2] = [Duration::from_secs(120), Duration::from_secs(900)];

/// Blocks that hold nothing but their author's number of the block.
#[derive(Debug, Default)]
struct Ledger {
    author: u8,
    built: u64,
    blocks: HashMap<Id, Block>,
    accepted: Vec<Id>,
    preferred: Id,
    stash: BTreeMap<u64, Block>,
}

fn make(parent: Id, height: u64, author: u8, number: u64) -> Block {
    let mut bytes = parent.0.to_vec();
    bytes.extend(height.to_be_bytes());
    bytes.push(author);
    bytes.extend(number.to_be_bytes());
    Block { id: Id::hash_of(&bytes), parent, height, bytes: bytes.into() }
}

fn genesis() -> Block {
    make(Id::EMPTY, 0, 0, 0)
}

fn read(bytes: &[u8]) -> Option<Block> {
    let (parent, rest) = bytes.split_first_chunk::<32>()?;
    let (height, rest) = rest.split_first_chunk::<8>()?;
    (rest.len() == 9).then(|| Block {
        id: Id::hash_of(bytes),
        parent: Id(*parent),
        height: u64::from_be_bytes(*height),
        bytes: bytes.into(),
    })
}

impl Ledger {
    fn new(author: u8) -> Self {
        let genesis = genesis();
        Self {
            author,
            accepted: vec![genesis.id],
            preferred: genesis.id,
            blocks: HashMap::from([(genesis.id, genesis)]),
            ..Self::default()
        }
    }

    /// What a store holds after a crash: accepted blocks and the stash.
    fn restarted(mut self) -> Self {
        let accepted: BTreeSet<_> = self.accepted.iter().copied().collect();
        self.blocks.retain(|id, _| accepted.contains(id));
        self
    }
}

impl Chain for Ledger {
    fn last_accepted(&self) -> (Id, u64) {
        (*self.accepted.last().unwrap(), self.accepted.len() as u64 - 1)
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<Block, Refused> {
        read(bytes).ok_or_else(|| Refused("malformed".to_owned()))
    }

    fn block(&mut self, id: Id) -> Option<Block> {
        self.blocks.get(&id).cloned()
    }

    fn accepted_at(&mut self, height: u64) -> Option<Id> {
        self.accepted.get(usize::try_from(height).ok()?).copied()
    }

    fn verify(&mut self, block: &Block) -> Result<Vec<Block>, Unverified> {
        let parent = self.blocks.get(&block.parent).ok_or_else(|| Refused("no parent".to_owned()))?;
        if parent.height + 1 != block.height {
            return Err(Refused("height".to_owned()).into());
        }
        self.blocks.insert(block.id, block.clone());
        Ok(Vec::new())
    }

    fn open_options(&mut self) -> Vec<Block> {
        Vec::new()
    }

    fn accept(&mut self, id: Id) -> Result<(), Fault> {
        let block = &self.blocks[&id];
        assert_eq!(Some(&block.parent), self.accepted.last(), "accepted out of order");
        self.accepted.push(id);
        Ok(())
    }

    fn reject(&mut self, id: Id) -> Result<(), Fault> {
        assert!(self.blocks.remove(&id).is_some(), "rejected twice");
        Ok(())
    }

    fn prefer(&mut self, id: Id) {
        self.preferred = id;
    }

    fn build(&mut self) -> Result<Block, Refused> {
        self.built += 1;
        let parent = &self.blocks[&self.preferred];
        Ok(make(parent.id, parent.height + 1, self.author, self.built))
    }

    fn set_state(&mut self, _: State) -> Result<(), Fault> {
        Ok(())
    }

    fn stash(&mut self, blocks: &[Block]) -> Result<(), Fault> {
        self.stash.extend(blocks.iter().map(|block| (block.height, block.clone())));
        Ok(())
    }

    fn stashed(&mut self, height: u64) -> Option<Block> {
        self.stash.get(&height).cloned()
    }

    fn unstash(&mut self, heights: RangeInclusive<u64>) -> Result<(), Fault> {
        self.stash.retain(|height, _| !heights.contains(height));
        Ok(())
    }

    fn stashed_heights(&mut self) -> Vec<u64> {
        self.stash.keys().copied().collect()
    }
}

/// Tells every node something else: builds on what it hears, shows different blocks to different nodes, and votes for
/// whatever comes next in its list.
#[derive(Debug)]
struct Equivocator {
    seen: Vec<Block>,
    number: u64,
}

impl Equivocator {
    fn new() -> Self {
        Self { seen: vec![genesis()], number: 0 }
    }

    fn step(&mut self, input: Input, out: &mut Vec<Effect>) {
        let Input::Message(from, Message { request, content }) = input else { return };
        self.number += 1;
        let any = |seen: &[Block], number: u64| {
            let tail = &seen[seen.len().saturating_sub(6)..];
            tail[usize::try_from(number).unwrap() % tail.len()].clone()
        };
        let answer = match content {
            Content::GetAcceptedFrontier => Content::AcceptedFrontier(any(&self.seen, self.number).id),
            Content::GetAccepted(ids) => Content::Accepted(ids),
            Content::GetAncestors(_) => Content::Ancestors(vec![any(&self.seen, self.number).bytes.to_vec()]),
            Content::Get(id) => match self.seen.iter().find(|block| block.id == id) {
                Some(block) => Content::Put(block.bytes.to_vec()),
                None => Content::Put(vec![1, 2, 3]),
            },
            Content::PushQuery { block, .. } => {
                self.seen.extend(read(&block));
                self.chits(from, &any(&self.seen, self.number))
            }
            Content::PullQuery { id, height } => {
                if self.number.is_multiple_of(16) {
                    let on = any(&self.seen, self.number / 16);
                    let rival = make(on.id, on.height + 1, from.0[0], self.number);
                    self.seen.push(rival.clone());
                    let query = Content::PushQuery { block: rival.bytes.to_vec(), height };
                    out.push(Effect::Send(from, Message { request: u32::MAX - request, content: query }));
                }
                if !self.seen.iter().any(|block| block.id == id) {
                    out.push(Effect::Send(from, Message { request, content: Content::Get(id) }));
                }
                self.chits(from, &any(&self.seen, self.number))
            }
            Content::Put(bytes) => {
                self.seen.extend(read(&bytes).filter(|block| self.seen.iter().all(|b| b.id != block.id)));
                return;
            }
            _ => return,
        };
        out.push(Effect::Send(from, Message { request, content: answer }));
    }

    fn chits(&self, to: NodeId, vote: &Block) -> Content {
        let other = &self.seen[usize::from(to.0[0]) % self.seen.len()];
        Content::Chits {
            preferred: vote.id,
            preferred_at_height: other.id,
            accepted: other.id,
            accepted_height: other.height,
        }
    }
}

#[derive(Debug)]
enum Actor {
    Honest(Box<Machine<Ledger>>),
    Equivocator(Equivocator),
}

/// A message whose text in the log is short.
#[derive(Clone)]
struct Wire(Message);

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0.content {
            Content::PushQuery { .. } => "push",
            Content::PullQuery { .. } => "pull",
            Content::Chits { .. } => "chits",
            Content::Get(_) => "get",
            Content::Put(_) => "put",
            _ => "other",
        };
        write!(f, "{kind} {}", self.0.request)
    }
}

fn node_id(index: usize) -> NodeId {
    NodeId([u8::try_from(index).unwrap(); 20])
}

impl shared_vendor::machine::Machine for Actor {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        match self {
            Self::Honest(machine) => machine.step(now, input, out),
            Self::Equivocator(liar) => liar.step(input, out),
        }
    }

    fn deadline(&self) -> Option<Time> {
        match self {
            Self::Honest(machine) => machine.deadline(),
            Self::Equivocator(_) => None,
        }
    }
}

impl Node for Actor {
    type Message = Wire;

    fn receive(from: usize, message: Wire) -> Input {
        Input::Message(node_id(from), message.0)
    }

    fn outcome(effect: Effect) -> Outcome<Wire> {
        match effect {
            Effect::Send(to, message) => Outcome::Send(usize::from(to.0[0]), Wire(message)),
            Effect::Accepted(accepted) => {
                Outcome::Log(format!("accepted {} {:?}", accepted.height, accepted.id))
            }
            Effect::Fault(fault) => Outcome::Log(format!("fault {fault}")),
            other => Outcome::Log(format!("{other:?}")),
        }
    }
}

fn weights(nodes: u8) -> BTreeMap<NodeId, u64> {
    (0..usize::from(nodes)).map(|index| (node_id(index), WEIGHT)).collect()
}

fn honest([index, nodes]: [u8; 2], seed: u64, ledger: Ledger, now: Time) -> Actor {
    let bootstrap = bootstrap::Settings {
        beacons: Validators::new(weights(nodes)).unwrap(),
        sample: 20,
        checkpoints: Vec::new(),
    };
    let mut sample_seed = [index; 32];
    sample_seed[..8].copy_from_slice(&seed.to_be_bytes());
    let mut settings = Settings::new(node_id(usize::from(index)), Params::default(), bootstrap, sample_seed);
    settings.frontier_poll_period = Duration::from_millis(500);
    Actor::Honest(Box::new(Machine::new(settings, weights(nodes), ledger, now).unwrap()))
}

fn connect(sim: &mut Sim<Actor>, index: usize, nodes: u8) {
    for other in 0..usize::from(nodes) {
        if other != index {
            sim.input(index, Input::Connected(node_id(other)));
        }
    }
    sim.input(index, Input::SubnetSynced(true));
}

fn accepted(sim: &Sim<Actor>, index: usize) -> Option<&[Id]> {
    match sim.node(index)? {
        Actor::Honest(machine) => Some(&machine.chain().accepted),
        Actor::Equivocator(_) => None,
    }
}

/// True when all honest nodes follow, accepted the same last block, and have nothing to decide.
fn is_quiet(sim: &Sim<Actor>) -> bool {
    let mut last = BTreeSet::new();
    for index in 0..usize::from(NODES) {
        if let Some(Actor::Honest(machine)) = sim.node(index) {
            match machine.consensus() {
                Some(consensus) if consensus.num_processing() == 0 => last.insert(consensus.last_accepted()),
                _ => return false,
            };
        }
    }
    last.len() == 1
}

/// Nodes agree as far as both have come.
fn assert_agreement(seed: u64, chains: &[Vec<Id>]) {
    for (left, right) in chains.iter().zip(chains.iter().skip(1)) {
        let common = left.len().min(right.len());
        assert_eq!(left[..common], right[..common], "seed {seed}: two nodes accepted different blocks");
    }
}

fn run(nodes: u8, seed: u64, loss: f64) -> Sim<Actor> {
    let count = usize::from(nodes);
    let patience = PATIENCE[usize::from(nodes == FEW)];
    let weather = Weather { latency: Duration::from_millis(20)..Duration::from_millis(120), loss };
    let liar = usize::try_from(seed).unwrap() % count;
    let actors = (0..nodes).map(|index| {
        if usize::from(index) == liar {
            Actor::Equivocator(Equivocator::new())
        } else {
            honest([index, nodes], seed, Ledger::new(index), Time::ZERO)
        }
    });
    let mut sim = Sim::new(seed, actors, weather);
    for index in 0..count {
        connect(&mut sim, index, nodes);
    }
    let victim = (liar + 1) % count;
    let mut crashed = None;
    for block in 0..BLOCKS {
        let start = sim.now();
        sim.run_until(start.after(Duration::from_millis(700)));
        // Two builders at once: rivals at the same height.
        for builder in [(liar + 2) % count, (liar + 3 + usize::try_from(block).unwrap()) % count] {
            sim.input(builder, Input::Build);
        }
        if block == 1 {
            crashed = sim.crash(victim);
        }
    }
    let back = match crashed {
        Some(Actor::Honest(machine)) => machine.into_chain().restarted(),
        _ => unreachable!("the victim is honest"),
    };
    let now = sim.now();
    sim.restart(victim, honest([u8::try_from(victim).unwrap(), nodes], seed ^ 1, back, now));
    connect(&mut sim, victim, nodes);
    let end = now.after(patience);
    let decided = sim.run_while(end, |sim| !is_quiet(sim));
    let tallest = (0..count).filter_map(|index| accepted(&sim, index)).map(<[Id]>::len).max();
    sim.input((liar + 2) % count, Input::Build);
    let goal = tallest.unwrap_or_default();
    let end = sim.now().after(patience);
    let went_on = sim.run_while(end, |sim| {
        !(0..count).filter_map(|index| accepted(sim, index)).all(|chain| chain.len() > goal)
    });
    let faults: Vec<_> = sim.decisions.iter().filter(|(_, _, text)| text.starts_with("fault")).collect();
    assert!(faults.is_empty(), "seed {seed}: {faults:?}");
    let chains: Vec<_> = (0..count).filter_map(|index| Some(accepted(&sim, index)?.to_vec())).collect();
    assert_agreement(seed, &chains);
    let heights: Vec<_> = chains.iter().map(Vec::len).collect();
    assert!(
        decided && went_on && goal > 1,
        "seed {seed}: {decided} {went_on} {heights:?} at {:?}",
        sim.now()
    );
    sim
}

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("SIM_FIRST").unwrap_or(0);
    first..first + number("SIM_SEEDS").unwrap_or(usual)
}

#[test]
fn five_nodes_agree_and_go_on_with_one_crash_and_one_equivocator() {
    for seed in seeds(160) {
        run(FEW, seed, 0.0);
    }
}

#[test]
fn ten_nodes_agree_and_go_on_with_one_crash_and_one_equivocator() {
    for seed in seeds(40) {
        run(NODES, seed, 0.0);
    }
}

#[test]
fn nodes_agree_and_go_on_when_messages_are_lost() {
    for seed in seeds(16) {
        run([FEW, NODES][usize::from(seed % 4 == 3)], seed, 0.02);
    }
}

/// A network that accepted `height` blocks, and one node that has none.
fn newcomer(height: u64) -> Sim<Actor> {
    let mut full = Vec::new();
    let mut tip = genesis();
    for at in 1..=height {
        tip = make(tip.id, at, 1, at);
        full.push(tip.clone());
    }
    let nodes = (0..NODES).map(|index| {
        let mut ledger = Ledger::new(index);
        if index > 0 {
            ledger.accepted.extend(full.iter().map(|block| block.id));
            ledger.blocks.extend(full.iter().map(|block| (block.id, block.clone())));
        }
        honest([index, NODES], 5, ledger, Time::ZERO)
    });
    let mut sim = Sim::new(5, nodes, Weather::default());
    for index in 0..usize::from(NODES) {
        connect(&mut sim, index, NODES);
    }
    sim
}

#[test]
fn a_newcomer_fetches_and_executes_all_that_the_others_accepted_even_when_it_crashes_on_the_way() {
    const HEIGHT: u64 = 9_000;
    let mut sim = newcomer(HEIGHT);
    let stashed = |sim: &Sim<Actor>| match sim.node(0) {
        Some(Actor::Honest(machine)) => machine.chain().stash.len(),
        _ => 0,
    };
    assert!(sim.run_while(Time::from_millis(60_000), |sim| stashed(sim) < 5_000), "half is fetched");
    let Some(Actor::Honest(machine)) = sim.crash(0) else { unreachable!("it is honest") };
    let ledger = machine.into_chain().restarted();
    sim.restart(0, honest([0, NODES], 6, ledger, sim.now()));
    connect(&mut sim, 0, NODES);
    let height = |sim: &Sim<Actor>| accepted(sim, 0).map_or(0, <[Id]>::len) as u64 - 1;
    assert!(sim.run_while(Time::from_millis(120_000), |sim| height(sim) < HEIGHT), "it caught up");
    assert_eq!(accepted(&sim, 0), accepted(&sim, 1));
    let Some(Actor::Honest(machine)) = sim.node(0) else { unreachable!("it is honest") };
    assert!(machine.chain().stash.is_empty());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for nodes in [FEW, NODES] {
        let (first, second) = (run(nodes, 7, 0.01), run(nodes, 7, 0.01));
        assert_eq!(first.digest(), second.digest());
        assert!(first.log() == second.log(), "two logs");
    }
}
