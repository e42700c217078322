//! One chain as a state machine: connections, messages and time come in, messages and news go out. Unexpected answers
//! are dropped here, late ones turned into failures. Mirrors `snow/networking/{router,handler}`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use avalanche_ids::NodeId;
use avalanche_utils::sampler::WeightOverflow;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use shared_vendor::{
    clock::Time,
    machine::{self, Tick},
};

use super::{
    bootstrap::{self, Bootstrapper, Progress},
    getter,
    snowman::{Accepted, Snowman},
};
use crate::{
    chain::{Chain, Fault},
    consensus::{Params, Topological},
    message::{Answer, Content, Message},
    networking::{
        bench::{self, Bench},
        outbox::{Local, Outbox},
        timeouts::{self, Key, Timeouts},
        validators::Validators,
    },
};

/// Time between questions when nothing processes.
pub const FRONTIER_POLL_PERIOD: Duration = Duration::from_millis(100);
/// What we told ourselves is handled in portions, between which messages of others have their turn.
const LOCAL_AT_ONCE: usize = 256;

/// What a chain's engines depend on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This node.
    pub me: NodeId,
    /// Parameters of consensus.
    pub params: Params,
    /// Limits of waiting.
    pub timeouts: timeouts::Settings,
    /// Rules of the bench.
    pub bench: bench::Settings,
    /// Beacons and checkpoints.
    pub bootstrap: bootstrap::Settings,
    /// Time between questions when nothing processes.
    pub frontier_poll_period: Duration,
    /// Seed of all samples.
    pub seed: [u8; 32],
}

impl Settings {
    /// The network's settings for a node.
    #[must_use]
    pub fn new(me: NodeId, params: Params, bootstrap: bootstrap::Settings, seed: [u8; 32]) -> Self {
        Self {
            me,
            params,
            timeouts: timeouts::Settings::default(),
            bench: bench::Settings::for_quorum(params.alpha_confidence, params.k),
            bootstrap,
            frontier_poll_period: FRONTIER_POLL_PERIOD,
            seed,
        }
    }
}

/// What happens to a chain.
#[derive(Debug)]
pub enum Input {
    /// A handshake is over.
    Connected(NodeId),
    /// A peer is gone.
    Disconnected(NodeId),
    /// A message came.
    Message(NodeId, Message),
    /// The validators are these from now on.
    Validators(BTreeMap<NodeId, u64>),
    /// The beacons are these from now on.
    Beacons(BTreeMap<NodeId, u64>),
    /// The chain has something to build.
    Build,
    /// All chains of the subnet are synced, or not.
    SubnetSynced(bool),
    /// The chain asks a peer in a protocol of its own; the answer comes back as [`Effect::AppAnswer`].
    AppRequest {
        /// Whom; None for any connected validator.
        to: Option<NodeId>,
        /// The chain's own number of the request.
        tag: u32,
        /// What.
        bytes: Vec<u8>,
    },
    /// The chain tells something in a protocol of its own.
    AppGossip {
        /// To how many connected validators.
        validators: usize,
        /// To how many connected nodes that do not validate.
        non_validators: usize,
        /// To how many connected nodes of any kind.
        peers: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// Time has passed.
    Tick,
}

impl From<Tick> for Input {
    fn from(_: Tick) -> Self {
        Self::Tick
    }
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a message.
    Send(NodeId, Message),
    /// A peer's application asks or tells something; answers go out as messages.
    App(NodeId, Message),
    /// The answer to a request of the chain; None when it failed.
    AppAnswer {
        /// Who was asked.
        node: NodeId,
        /// The chain's own number of the request.
        tag: u32,
        /// The answer.
        answer: Option<Vec<u8>>,
    },
    /// Everything that was accepted when bootstrapping began is executed.
    Synced,
    /// Consensus has begun.
    Following,
    /// A block was accepted by consensus.
    Accepted(Accepted),
    /// The chain cannot go on. Nothing follows.
    Fault(Fault),
}

#[derive(Debug)]
enum Phase {
    Bootstrapping(Box<Bootstrapper>),
    Following(Box<Snowman>),
    /// A fault ended it, or it has not had its first step.
    Idle,
}

/// The engines of a chain.
#[derive(Debug)]
pub struct Machine<C> {
    settings: Settings,
    chain: C,
    out: Outbox,
    phase: Phase,
    is_started: bool,
    told_synced: bool,
    next_gossip: Time,
    /// The chain's numbers of its own requests.
    tags: HashMap<(NodeId, u32), u32>,
}

impl<C: Chain> Machine<C> {
    /// Engines above a chain. The first step, with any input, starts bootstrapping.
    ///
    /// # Errors
    /// The weights of the validators overflow.
    pub fn new(
        settings: Settings,
        validators: BTreeMap<NodeId, u64>,
        chain: C,
        now: Time,
    ) -> Result<Self, WeightOverflow> {
        let timeouts = Timeouts::new(settings.timeouts, now);
        let random = StdRng::from_seed(settings.seed);
        let mut out = Outbox::new(settings.me, timeouts, Bench::new(settings.bench), random);
        out.validators = Validators::new(validators)?;
        let next_gossip = now;
        Ok(Self {
            settings,
            chain,
            out,
            phase: Phase::Idle,
            is_started: false,
            told_synced: false,
            next_gossip,
            tags: HashMap::new(),
        })
    }

    /// The chain below.
    #[must_use]
    pub const fn chain(&self) -> &C {
        &self.chain
    }

    /// The chain below, for a simulator that takes it to another machine.
    #[must_use]
    pub fn into_chain(self) -> C {
        self.chain
    }

    /// How far bootstrapping is, while it lasts.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        match &self.phase {
            Phase::Bootstrapping(bootstrapper) => Some(bootstrapper.progress()),
            _ => None,
        }
    }

    /// Consensus, once it has begun.
    #[must_use]
    pub fn consensus(&self) -> Option<&Topological> {
        match &self.phase {
            Phase::Following(engine) => Some(engine.consensus()),
            _ => None,
        }
    }

    /// The engine of consensus, once it has begun.
    #[must_use]
    pub fn engine(&self) -> Option<&Snowman> {
        match &self.phase {
            Phase::Following(engine) => Some(engine),
            _ => None,
        }
    }

    /// Who is reached and who is not asked.
    #[must_use]
    pub const fn outbox(&self) -> &Outbox {
        &self.out
    }

    /// How long an answer is waited for now.
    #[must_use]
    pub const fn request_deadline(&self) -> Duration {
        self.out.timeouts.limit()
    }

    fn start(&mut self) -> Result<(), Fault> {
        self.is_started = true;
        let settings = self.settings.bootstrap.clone();
        let bootstrapper = Bootstrapper::start(settings, &mut self.chain, &mut self.out)?;
        self.phase = Phase::Bootstrapping(Box::new(bootstrapper));
        Ok(())
    }

    fn handle(&mut self, input: Input, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        if !self.is_started {
            self.start()?;
        }
        match input {
            Input::Connected(node) => {
                self.out.connected.insert(node);
                if let Phase::Bootstrapping(bootstrapper) = &mut self.phase {
                    bootstrapper.connected(&mut self.chain, &mut self.out)?;
                }
            }
            Input::Disconnected(node) => {
                self.out.connected.remove(&node);
                if let Phase::Bootstrapping(bootstrapper) = &mut self.phase {
                    bootstrapper.disconnected(node);
                }
            }
            Input::Message(node, message) => self.message(node, message, effects)?,
            Input::Validators(weights) => self.set_validators(weights),
            Input::Beacons(weights) => self.set_beacons(weights)?,
            Input::Build => {
                if let Phase::Following(engine) = &mut self.phase {
                    engine.build_requested(&mut self.chain, &mut self.out)?;
                }
            }
            Input::SubnetSynced(synced) => {
                if let Phase::Bootstrapping(bootstrapper) = &mut self.phase {
                    bootstrapper.others_ready(synced);
                }
            }
            Input::AppRequest { to, tag, bytes } => self.app_request(to, tag, bytes, effects),
            Input::AppGossip { validators, non_validators, peers, bytes } => {
                self.app_gossip([validators, non_validators, peers], &bytes);
            }
            Input::Tick => self.tick(effects)?,
        }
        self.finish(effects)
    }

    fn set_validators(&mut self, weights: BTreeMap<NodeId, u64>) {
        // The sum of stakes is bounded by the supply, which fits; were it not so, the old set would remain.
        if let Ok(validators) = Validators::new(weights) {
            self.out.validators = validators;
            let validators = &self.out.validators;
            if let Phase::Following(engine) = &mut self.phase {
                engine.forget(|node| validators.weight(node) > 0);
            }
        }
    }

    fn set_beacons(&mut self, weights: BTreeMap<NodeId, u64>) -> Result<(), Fault> {
        if let (Ok(beacons), Phase::Bootstrapping(bootstrapper)) = (Validators::new(weights), &mut self.phase)
        {
            bootstrapper.set_beacons(beacons);
            bootstrapper.connected(&mut self.chain, &mut self.out)?;
        }
        Ok(())
    }

    fn app_request(&mut self, to: Option<NodeId>, tag: u32, bytes: Vec<u8>, effects: &mut Vec<Effect>) {
        match to.or_else(|| self.out.any_validator()).filter(|node| *node != self.out.me) {
            Some(node) => {
                let request = self.out.next_request();
                self.tags.insert((node, request), tag);
                self.out.ask([node], request, &Content::AppRequest(bytes));
            }
            None => effects.push(Effect::AppAnswer { node: self.out.me, tag, answer: None }),
        }
    }

    fn app_gossip(&mut self, [validators, non_validators, peers]: [usize; 3], bytes: &[u8]) {
        let others = |out: &Outbox| out.connected.iter().filter(|node| **node != out.me).copied().collect();
        let others: Vec<NodeId> = others(&self.out);
        let (staking, other): (Vec<_>, Vec<_>) =
            others.iter().copied().partition(|node| self.out.validators.weight(*node) > 0);
        let mut told = BTreeSet::new();
        for (mut from, count) in [(staking, validators), (other, non_validators), (others, peers)] {
            for _ in 0..count.min(from.len()) {
                let index = self.out.random.random_range(0..from.len());
                told.insert(from.swap_remove(index));
            }
        }
        for node in told {
            self.out.answer(node, 0, Content::AppGossip(bytes.to_vec()));
        }
    }

    fn app_answer(&mut self, node: NodeId, request: u32, answer: Option<Vec<u8>>, effects: &mut Vec<Effect>) {
        if let Some(tag) = self.tags.remove(&(node, request)) {
            effects.push(Effect::AppAnswer { node, tag, answer });
        }
    }

    fn message(&mut self, node: NodeId, message: Message, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        let Message { request, content } = message;
        if let Some(answer) = content.answers() {
            let key = Key { node, request, answer };
            let measure = node != self.out.me && answer != Answer::Put;
            if !self.out.timeouts.answered(key, measure, self.out.now) {
                return Ok(());
            }
            self.out.bench.observe(node, false, &self.out.validators, self.out.now);
        }
        match content {
            Content::AppResponse(bytes) => self.app_answer(node, request, Some(bytes), effects),
            Content::AppError { .. } => self.app_answer(node, request, None, effects),
            Content::AppRequest(_) | Content::AppGossip(_) => {
                effects.push(Effect::App(node, Message { request, content }));
            }
            content if getter::answer(node, request, &content, &mut self.chain, &mut self.out) => {}
            content => match &mut self.phase {
                Phase::Bootstrapping(bootstrapper) => {
                    bootstrapper.message(node, request, content, &mut self.chain, &mut self.out)?;
                }
                Phase::Following(engine) => {
                    engine.message(node, request, content, &mut self.chain, &mut self.out)?;
                }
                Phase::Idle => {}
            },
        }
        Ok(())
    }

    fn failed(&mut self, key: Key, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        match &mut self.phase {
            _ if key.answer == Answer::App => self.app_answer(key.node, key.request, None, effects),
            Phase::Bootstrapping(bootstrapper) => {
                bootstrapper.failed(key, &mut self.chain, &mut self.out)?;
            }
            Phase::Following(engine) => engine.failed(key, &mut self.chain, &mut self.out)?,
            Phase::Idle => {}
        }
        Ok(())
    }

    fn tick(&mut self, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        let now = self.out.now;
        self.out.bench.expire(now);
        for key in self.out.timeouts.late(now) {
            if key.answer != Answer::App && key.node != self.out.me {
                self.out.bench.observe(key.node, true, &self.out.validators, now);
            }
            self.failed(key, effects)?;
        }
        match &mut self.phase {
            Phase::Bootstrapping(bootstrapper) => bootstrapper.tick(&mut self.chain, &mut self.out),
            Phase::Following(engine) if self.next_gossip <= now => {
                engine.gossip(&mut self.out);
                self.next_gossip = now.after(self.settings.frontier_poll_period);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Handles what we told ourselves, changes phases, and hands out what is to be sent.
    fn finish(&mut self, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        let mut left = LOCAL_AT_ONCE;
        loop {
            while left > 0
                && let Some(local) = self.out.local.pop_front()
            {
                left -= 1;
                match local {
                    Local::Message(message) => self.message(self.out.me, message, effects)?,
                    Local::Failed(key) => self.failed(key, effects)?,
                }
            }
            let Phase::Bootstrapping(bootstrapper) = &self.phase else { break };
            if bootstrapper.is_synced() && !self.told_synced {
                self.told_synced = true;
                effects.push(Effect::Synced);
            }
            if !bootstrapper.is_done() {
                break;
            }
            let engine = Snowman::start(self.settings.params, &mut self.chain, &mut self.out)?;
            self.phase = Phase::Following(Box::new(engine));
            self.next_gossip = self.out.now.after(self.settings.frontier_poll_period);
            effects.push(Effect::Following);
        }
        if let Phase::Following(engine) = &mut self.phase {
            effects.extend(engine.take_accepted().into_iter().map(Effect::Accepted));
        }
        effects.extend(self.out.sent.drain(..).map(|(node, message)| Effect::Send(node, message)));
        Ok(())
    }
}

impl<C: Chain> machine::Machine for Machine<C> {
    type Input = Input;
    type Effect = Effect;

    fn step(&mut self, now: Time, input: Input, out: &mut Vec<Effect>) {
        self.out.now = now;
        if self.is_started && matches!(self.phase, Phase::Idle) {
            return;
        }
        if let Err(fault) = self.handle(input, out) {
            self.phase = Phase::Idle;
            out.push(Effect::Fault(fault));
        }
    }

    fn deadline(&self) -> Option<Time> {
        if !self.out.local.is_empty() && !matches!(self.phase, Phase::Idle) {
            return Some(self.out.now);
        }
        let phase = match &self.phase {
            Phase::Bootstrapping(bootstrapper) => bootstrapper.deadline(self.out.now),
            Phase::Following(_) => Some(self.next_gossip),
            Phase::Idle if self.is_started => return None,
            Phase::Idle => Some(self.out.now),
        };
        [phase, self.out.timeouts.deadline(), self.out.bench.deadline()].into_iter().flatten().min()
    }
}
