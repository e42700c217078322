//! Many machines on a virtual clock: seeded latency, loss, partition and crash. The same seed gives the same log, byte
//! for byte; its digest proves that a run repeats.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    fmt::{Debug, Write as _},
    ops::Range,
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    clock::Time,
    machine::{Machine, Tick},
};

/// How a machine is wired into the simulated network.
pub trait Node: Machine<Input: From<Tick>> {
    /// What travels between nodes.
    type Message: Clone + Debug;

    /// The input for a message that has arrived.
    fn receive(from: usize, message: Self::Message) -> Self::Input;

    /// What an effect means outside.
    fn outcome(effect: Self::Effect) -> Outcome<Self::Message>;
}

/// What the simulator does with an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<M> {
    /// Sends to one node.
    Send(usize, M),
    /// Sends to all others.
    Broadcast(M),
    /// Is written into the log and goes nowhere: a decision, a commit.
    Log(String),
}

/// The weather.
#[derive(Clone, Debug)]
pub struct Weather {
    /// Time a message travels.
    pub latency: Range<Duration>,
    /// Part of the messages that is lost, 0.0 to 1.0.
    pub loss: f64,
}

impl Default for Weather {
    fn default() -> Self {
        Self { latency: Duration::from_millis(5)..Duration::from_millis(50), loss: 0.0 }
    }
}

/// A simulated network.
#[derive(Debug)]
pub struct Sim<N: Node> {
    nodes: Vec<Option<N>>,
    /// Changes apply to messages sent from then on.
    pub weather: Weather,
    groups: Vec<BTreeSet<usize>>,
    rng: StdRng,
    now: Time,
    sequence: u64,
    queue: BinaryHeap<Reverse<Flight<N::Message>>>,
    log: String,
    /// Lines of decisions: time, node, text.
    pub decisions: Vec<(Time, usize, String)>,
}

#[derive(Debug)]
struct Flight<M> {
    at: Time,
    sequence: u64,
    from: usize,
    to: usize,
    message: M,
}

impl<M> Ord for Flight<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

impl<M> PartialOrd for Flight<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<M> PartialEq for Flight<M> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<M> Eq for Flight<M> {}

impl<N: Node> Sim<N> {
    /// A network of these nodes. Everything random comes from the seed.
    #[must_use]
    pub fn new(seed: u64, nodes: impl IntoIterator<Item = N>, weather: Weather) -> Self {
        Self {
            nodes: nodes.into_iter().map(Some).collect(),
            weather,
            groups: Vec::new(),
            rng: StdRng::seed_from_u64(seed),
            now: Time::ZERO,
            sequence: 0,
            queue: BinaryHeap::new(),
            log: String::new(),
            decisions: Vec::new(),
        }
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// A node, unless it has crashed.
    #[must_use]
    pub fn node(&self, index: usize) -> Option<&N> {
        self.nodes.get(index)?.as_ref()
    }

    /// Gives a node an input from above: a request, a transaction.
    pub fn input(&mut self, index: usize, input: N::Input) {
        let Some(Some(node)) = self.nodes.get_mut(index) else { return };
        let mut effects = Vec::new();
        node.step(self.now, input, &mut effects);
        for effect in effects {
            match N::outcome(effect) {
                Outcome::Send(to, message) => self.send(index, to, message),
                Outcome::Broadcast(message) => {
                    for to in (0..self.nodes.len()).filter(|to| *to != index) {
                        self.send(index, to, message.clone());
                    }
                }
                Outcome::Log(text) => {
                    self.note(&format!("{index} {text}"));
                    self.decisions.push((self.now, index, text));
                }
            }
        }
    }

    /// Splits the network: only nodes of the same group reach each other; nodes in no group reach nobody.
    pub fn partition(&mut self, groups: impl IntoIterator<Item = BTreeSet<usize>>) {
        self.groups = groups.into_iter().collect();
        self.note(&format!("partition {:?}", self.groups));
    }

    /// Ends the partition.
    pub fn heal(&mut self) {
        self.groups.clear();
        self.note("heal");
    }

    /// Takes a node away with all its memory; what is on the way to it is lost. The machine is handed back, for what
    /// its store would still hold.
    pub fn crash(&mut self, index: usize) -> Option<N> {
        self.note(&format!("crash {index}"));
        self.queue.retain(|flight| flight.0.to != index);
        self.nodes.get_mut(index)?.take()
    }

    /// Puts a node in place of one that has crashed.
    pub fn restart(&mut self, index: usize, node: N) {
        self.note(&format!("restart {index}"));
        if let Some(place) = self.nodes.get_mut(index) {
            *place = Some(node);
        }
    }

    /// Runs until `end`, or until nothing is left to happen.
    pub fn run_until(&mut self, end: Time) {
        self.run_while(end, |_| true);
    }

    /// Runs until `end` or while `go` holds; says whether it ended because `go` did not hold any more.
    pub fn run_while(&mut self, end: Time, mut go: impl FnMut(&Self) -> bool) -> bool {
        while go(self) {
            let arrival = self.queue.peek().map(|flight| flight.0.at);
            let timer = self
                .nodes
                .iter()
                .enumerate()
                .filter_map(|(i, node)| Some((node.as_ref()?.deadline()?, i)))
                .min();
            match (arrival, timer) {
                (arrival, Some((at, index))) if at <= end && arrival.is_none_or(|arrival| at <= arrival) => {
                    self.now = self.now.max(at);
                    self.note(&format!("tick {index}"));
                    self.input(index, N::Input::from(Tick));
                }
                (Some(at), _) if at <= end => {
                    let Some(Reverse(flight)) = self.queue.pop() else { continue };
                    self.now = self.now.max(at);
                    self.note(&format!("{}>{} {:?}", flight.from, flight.to, flight.message));
                    self.input(flight.to, N::receive(flight.from, flight.message));
                }
                _ => {
                    self.now = self.now.max(end);
                    return false;
                }
            }
        }
        true
    }

    /// The log so far: one line an event.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// FNV-1a of the log: equal for equal runs.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.log.bytes().fold(0xcbf2_9ce4_8422_2325, step)
    }

    fn send(&mut self, from: usize, to: usize, message: N::Message) {
        let together = self.groups.is_empty()
            || self.groups.iter().any(|group| group.contains(&from) && group.contains(&to));
        // Both are drawn always, so that a partition does not shift the random numbers of other links.
        let lost = self.rng.random_bool(self.weather.loss.clamp(0.0, 1.0));
        let latency = self.rng.random_range(self.weather.latency.clone());
        if !together || lost || !matches!(self.nodes.get(to), Some(Some(_))) {
            return;
        }
        self.sequence += 1;
        let flight = Flight { at: self.now.after(latency), sequence: self.sequence, from, to, message };
        self.queue.push(Reverse(flight));
    }

    fn note(&mut self, line: &str) {
        let _ = writeln!(self.log, "{} {line}", self.now.as_nanos());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each node tells the largest number it knows, again every 100 ms until it is 30.
    struct Gossip {
        best: u32,
        next: Option<Time>,
    }

    enum Input {
        Heard(u32),
        Timer,
    }

    impl From<Tick> for Input {
        fn from(_: Tick) -> Self {
            Self::Timer
        }
    }

    impl Machine for Gossip {
        type Input = Input;
        type Effect = Outcome<u32>;

        fn step(&mut self, now: Time, input: Input, out: &mut Vec<Outcome<u32>>) {
            match input {
                Input::Heard(number) if number > self.best => {
                    self.best = number;
                    out.push(Outcome::Log(format!("best {number}")));
                }
                Input::Heard(_) => {}
                Input::Timer => {
                    out.push(Outcome::Broadcast(self.best));
                    self.next = Some(now.after(Duration::from_millis(100)));
                }
            }
        }

        fn deadline(&self) -> Option<Time> {
            self.next
        }
    }

    impl Node for Gossip {
        type Message = u32;

        fn receive(_: usize, message: u32) -> Input {
            Input::Heard(message)
        }

        fn outcome(effect: Outcome<u32>) -> Outcome<u32> {
            effect
        }
    }

    fn network(seed: u64) -> Sim<Gossip> {
        let nodes = (0..5).map(|best| Gossip { best, next: Some(Time::ZERO) });
        Sim::new(seed, nodes, Weather { loss: 0.3, ..Weather::default() })
    }

    fn bests(sim: &Sim<Gossip>) -> Vec<Option<u32>> {
        (0..5).map(|i| sim.node(i).map(|node| node.best)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_log() {
        let run = |seed| {
            let mut sim = network(seed);
            sim.run_until(Time::from_millis(500));
            (sim.digest(), sim.log().to_owned())
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1).0, run(2).0);
    }

    #[test]
    fn news_cross_a_partition_only_after_it_heals() {
        let mut sim = network(3);
        sim.partition([[0, 1].into(), [2, 3, 4].into()]);
        sim.run_until(Time::from_millis(2000));
        assert_eq!(bests(&sim), [Some(1), Some(1), Some(4), Some(4), Some(4)]);
        sim.heal();
        let done =
            sim.run_while(Time::from_millis(9000), |sim| bests(sim).iter().any(|best| *best != Some(4)));
        assert!(done, "{}", sim.log());
    }

    #[test]
    fn a_crashed_node_hears_nothing_and_learns_again() {
        let mut sim = network(4);
        let held = sim.crash(0).map(|node| node.best);
        assert_eq!(held, Some(0));
        sim.run_until(Time::from_millis(1000));
        assert_eq!(bests(&sim)[0], None);
        sim.restart(0, Gossip { best: 0, next: None });
        sim.run_until(Time::from_millis(3000));
        assert_eq!(bests(&sim)[0], Some(4));
    }
}
