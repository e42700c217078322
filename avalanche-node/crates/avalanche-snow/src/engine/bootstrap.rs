//! Finds out what the network accepted and executes it. A sample of the beacons is asked for their last accepted blocks,
//! all beacons which of those they accept; what more than half of their weight accepts is fetched with its ancestors,
//! from the top down, and executed from the bottom up. This is repeated until a round brings less than half of what
//! the round before brought. A block names its parent, so the next blocks are asked for before the signatures of those
//! that came are checked. Mirrors `snow/engine/snowman/bootstrap` and `snow/consensus/snowman/bootstrapper`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use avalanche_ids::{Id, NodeId};
use shared_vendor::clock::Time;

use super::{peers::Peers, ranges::Ranges};
use crate::{
    chain::{Block, Chain, Fault, State},
    message::{Answer, Content},
    networking::{outbox::Outbox, timeouts::Key, validators::Validators},
};

/// Most beacons that are asked at a time.
pub const MAX_OUTSTANDING: usize = 50;
/// Most blocks taken from one answer.
pub const MAX_ANCESTORS: usize = 2000;
/// Time between rounds while other chains are not ready.
pub const REST: Duration = Duration::from_secs(10);
/// Blocks executed in one step.
pub const EXECUTED_AT_ONCE: u64 = 64;

/// What bootstrapping depends on.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Who is asked what is accepted. None: nobody has anything to tell, the chain is as it is.
    pub beacons: Validators,
    /// Beacons whose last accepted blocks start a round.
    pub sample: usize,
    /// Blocks known to be accepted.
    pub checkpoints: Vec<Id>,
}

/// How far bootstrapping is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Blocks fetched and not executed.
    pub fetched: u64,
    /// Height of the first block that was not there at the start.
    pub start: u64,
    /// Height of the last accepted block.
    pub executed: u64,
    /// Greatest height heard of.
    pub tip: u64,
    /// True while blocks are fetched.
    pub fetching: bool,
    /// True while blocks are executed.
    pub executing: bool,
}

/// One question to many nodes.
#[derive(Debug, Default)]
struct Survey {
    to_ask: Vec<NodeId>,
    asked: BTreeSet<NodeId>,
}

impl Survey {
    fn next(&mut self) -> Vec<NodeId> {
        let free = MAX_OUTSTANDING.saturating_sub(self.asked.len()).min(self.to_ask.len());
        let next = self.to_ask.split_off(self.to_ask.len().saturating_sub(free));
        self.asked.extend(&next);
        next
    }

    fn is_over(&self) -> bool {
        self.to_ask.is_empty() && self.asked.is_empty()
    }
}

#[derive(Debug)]
enum Phase {
    /// Too few beacons are connected.
    Waiting,
    Frontier {
        survey: Survey,
        request: u32,
        found: BTreeSet<Id>,
    },
    Accepted {
        survey: Survey,
        request: u32,
        weights: BTreeMap<Id, u64>,
    },
    Fetching,
    Executing {
        total: u64,
    },
    /// This chain is ready and others are not.
    Resting(Time),
    Done,
}

/// Ancestors of an accepted block, from the top down, whose signatures are not checked.
#[derive(Debug)]
struct Fetched {
    from: NodeId,
    blocks: Vec<Block>,
}

/// The bootstrapper of a chain.
#[derive(Debug)]
pub struct Bootstrapper {
    settings: Settings,
    phase: Phase,
    peers: Peers,
    requests: HashMap<(NodeId, u32), (Id, Time)>,
    requested: BTreeSet<Id>,
    missing: BTreeSet<Id>,
    unchecked: VecDeque<Fetched>,
    stash: Ranges,
    executed_before: u64,
    is_synced_once: bool,
    others_ready: bool,
    progress: Progress,
}

impl Bootstrapper {
    /// Starts where the chain and its stash are.
    ///
    /// # Errors
    /// The store failed.
    pub fn start(settings: Settings, chain: &mut impl Chain, out: &mut Outbox) -> Result<Self, Fault> {
        chain.set_state(State::Bootstrapping)?;
        let (_, height) = chain.last_accepted();
        let heights = chain.stashed_heights();
        let stale = heights.iter().take_while(|stashed| **stashed <= height).copied().max();
        if let (Some(stale), Some(first)) = (stale, heights.first()) {
            chain.unstash(*first..=stale)?;
        }
        let stash: Ranges = heights.into_iter().filter(|stashed| *stashed > height).collect();
        let mut missing = BTreeSet::new();
        for range in stash.iter().filter(|range| Some(*range.start()) != height.checked_add(1)) {
            missing.extend(chain.stashed(*range.start()).map(|block| block.parent));
        }
        let tip = stash.iter().last().map_or(height, |range| *range.end());
        let mut bootstrapper = Self {
            settings,
            phase: Phase::Waiting,
            peers: Peers::default(),
            requests: HashMap::new(),
            requested: BTreeSet::new(),
            missing,
            unchecked: VecDeque::new(),
            progress: Progress {
                start: height,
                executed: height,
                tip,
                fetched: stash.len(),
                fetching: false,
                executing: false,
            },
            stash,
            executed_before: u64::MAX,
            is_synced_once: false,
            others_ready: false,
        };
        bootstrapper.try_start(chain, out)?;
        Ok(bootstrapper)
    }

    /// How far it is.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// True once everything that was accepted when a round began has been executed.
    #[must_use]
    pub const fn is_synced(&self) -> bool {
        self.is_synced_once
    }

    /// True when consensus may take over.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// When to be called again.
    #[must_use]
    pub fn deadline(&self, now: Time) -> Option<Time> {
        match &self.phase {
            Phase::Executing { .. } => Some(now),
            _ if !self.unchecked.is_empty() => Some(now),
            Phase::Resting(until) => Some(*until),
            _ => None,
        }
    }

    /// New beacons; they count from the next round on.
    pub fn set_beacons(&mut self, beacons: Validators) {
        self.settings.beacons = beacons;
    }

    /// A node was connected; the outbox knows already.
    ///
    /// # Errors
    /// The store failed.
    pub fn connected(&mut self, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        self.try_start(chain, out)
    }

    /// A node is gone.
    pub fn disconnected(&mut self, node: NodeId) {
        self.peers.disconnected(node);
    }

    /// All other chains are synced as well, or some are not.
    ///
    /// # Errors
    /// The store failed.
    pub fn others_ready(&mut self, ready: bool) {
        self.others_ready = ready;
        if ready && matches!(self.phase, Phase::Resting(_)) {
            self.phase = Phase::Done;
        }
    }

    /// Time has passed.
    ///
    /// # Errors
    /// The store failed, or what the network accepted cannot be executed.
    pub fn tick(&mut self, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        if let Some(fetched) = self.unchecked.pop_front() {
            return self.check(fetched, chain, out);
        }
        match &self.phase {
            Phase::Executing { total } => self.execute(*total, chain, out),
            Phase::Resting(until) if *until <= out.now => self.survey(chain, out),
            _ => Ok(()),
        }
    }

    /// An answer.
    ///
    /// # Errors
    /// The store failed.
    pub fn message(
        &mut self,
        node: NodeId,
        request: u32,
        content: Content,
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        match content {
            Content::AcceptedFrontier(id) => self.frontier_of(node, request, Some(id), chain, out),
            Content::Accepted(ids) => self.accepted_by(node, request, &ids, chain, out),
            Content::Ancestors(blocks) => self.ancestors(node, request, &blocks, chain, out),
            _ => Ok(()),
        }
    }

    /// An answer will not come.
    ///
    /// # Errors
    /// The store failed.
    pub fn failed(&mut self, key: Key, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        match key.answer {
            Answer::AcceptedFrontier => self.frontier_of(key.node, key.request, None, chain, out),
            Answer::Accepted => self.accepted_by(key.node, key.request, &[], chain, out),
            Answer::Ancestors => {
                if let Some((id, _)) = self.requests.remove(&(key.node, key.request)) {
                    self.requested.remove(&id);
                    self.peers.failed(key.node, out.now);
                    self.fetch(id, out);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn try_start(&mut self, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        let beacons = &self.settings.beacons;
        let enough = (u128::from(beacons.total()) * 3).div_ceil(4);
        if !matches!(self.phase, Phase::Waiting) || u128::from(beacons.weight_of(&out.connected)) < enough {
            return Ok(());
        }
        self.survey(chain, out)
    }

    /// Starts a round.
    fn survey(&mut self, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        self.requests.clear();
        self.requested.clear();
        if self.settings.beacons.is_empty() {
            return self.fetch_all(Vec::new(), chain, out);
        }
        let beacons = &self.settings.beacons;
        let count = self.settings.sample.min(usize::try_from(beacons.total()).unwrap_or(usize::MAX));
        let sample: BTreeSet<_> =
            beacons.sample(&mut out.random, count).unwrap_or_default().into_iter().collect();
        let survey = Survey { to_ask: sample.into_iter().collect(), ..Survey::default() };
        let request = out.next_request();
        self.phase = Phase::Frontier { survey, request, found: BTreeSet::new() };
        self.go_on(chain, out)
    }

    fn frontier_of(
        &mut self,
        node: NodeId,
        number: u32,
        id: Option<Id>,
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let Phase::Frontier { survey, request, found } = &mut self.phase else { return Ok(()) };
        if *request != number || !survey.asked.remove(&node) {
            return Ok(());
        }
        found.extend(id);
        self.go_on(chain, out)
    }

    fn accepted_by(
        &mut self,
        node: NodeId,
        number: u32,
        ids: &[Id],
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let Phase::Accepted { survey, request, weights } = &mut self.phase else { return Ok(()) };
        if *request != number || !survey.asked.remove(&node) {
            return Ok(());
        }
        let weight = self.settings.beacons.weight(node);
        for id in ids.iter().collect::<BTreeSet<_>>() {
            let sum = weights.entry(*id).or_default();
            *sum = sum.saturating_add(weight);
        }
        self.go_on(chain, out)
    }

    /// Asks the next beacons, or goes to the next phase when all have answered.
    fn go_on(&mut self, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        match &mut self.phase {
            Phase::Frontier { survey, request, found } => {
                let next = survey.next();
                if !next.is_empty() {
                    out.ask(next, *request, &Content::GetAcceptedFrontier);
                } else if survey.is_over() {
                    let request = out.next_request();
                    let to_ask = self.settings.beacons.iter().map(|(node, _)| node).collect();
                    let weights = found.iter().map(|id| (*id, 0)).collect();
                    let survey = Survey { to_ask, ..Survey::default() };
                    self.phase = Phase::Accepted { survey, request, weights };
                    return self.go_on(chain, out);
                }
                Ok(())
            }
            Phase::Accepted { survey, request, weights } => {
                let next = survey.next();
                if !next.is_empty() {
                    let question = Content::GetAccepted(weights.keys().copied().collect());
                    out.ask(next, *request, &question);
                } else if survey.is_over() {
                    let enough = self.settings.beacons.total() / 2 + 1;
                    let accepted: Vec<_> =
                        weights.iter().filter(|(_, sum)| **sum >= enough).map(|(id, _)| *id).collect();
                    if accepted.is_empty() {
                        // Nobody answered, or they disagree: once more, when a request has had time to be answered.
                        self.phase = Phase::Resting(out.now.after(out.timeouts.limit()));
                        return Ok(());
                    }
                    return self.fetch_all(accepted, chain, out);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn fetch_all(
        &mut self,
        accepted: Vec<Id>,
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        self.phase = Phase::Fetching;
        self.progress.fetching = true;
        self.missing.extend(accepted);
        self.missing.extend(&self.settings.checkpoints);
        let mut at_hand = Vec::new();
        for id in self.missing.clone() {
            match chain.block(id) {
                Some(block) => at_hand.push(block),
                None => self.fetch(id, out),
            }
        }
        for block in at_hand {
            self.process(out.me, block, &mut HashMap::new(), chain, out);
        }
        self.try_execute(chain, out)
    }

    fn fetch(&mut self, id: Id, out: &mut Outbox) {
        if !self.requested.insert(id) {
            return;
        }
        let request = out.next_request();
        let node = self.peers.select(out);
        self.requests.insert((node.unwrap_or(out.me), request), (id, out.now));
        match node {
            Some(node) => out.ask([node], request, &Content::GetAncestors(id)),
            None => out.wait_in_vain(request, Answer::Ancestors),
        }
    }

    fn ancestors(
        &mut self,
        node: NodeId,
        request: u32,
        blocks: &[Vec<u8>],
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let Some((wanted, asked)) = self.requests.remove(&(node, request)) else { return Ok(()) };
        self.requested.remove(&wanted);
        let blocks = blocks.get(..MAX_ANCESTORS).unwrap_or(blocks);
        let linked: Result<Vec<_>, _> = blocks.iter().map(|bytes| chain.link(bytes)).collect();
        let mut linked = linked.unwrap_or_default().into_iter();
        let Some(first) = linked.next().filter(|first| first.id == wanted) else {
            self.peers.failed(node, out.now);
            self.fetch(wanted, out);
            return Ok(());
        };
        let bytes = blocks.iter().map(Vec::len).sum();
        self.peers.answered(node, bytes, out.now.since(asked), out.now);
        let mut others = linked.map(|block| (block.id, block)).collect();
        self.process(node, first, &mut others, chain, out);
        self.try_execute(chain, out)
    }

    /// Keeps a block known to be accepted, and those of `others` that are its ancestors, for [`Self::check`]; asks for
    /// the next.
    fn process(
        &mut self,
        from: NodeId,
        block: Block,
        others: &mut HashMap<Id, Block>,
        chain: &impl Chain,
        out: &mut Outbox,
    ) {
        let (_, last) = chain.last_accepted();
        let mut blocks = Vec::new();
        let mut next = Some(block);
        let mut wanted = None;
        while let Some(block) = next.take() {
            self.missing.remove(&block.id);
            self.progress.tip = self.progress.tip.max(block.height);
            if block.height <= last || self.stash.contains(block.height) {
                break;
            }
            let below = block.height.saturating_sub(1);
            let parent = block.parent;
            blocks.push(block);
            if below == last || self.stash.contains(below) {
                break;
            }
            next = others.remove(&parent);
            if next.is_none() {
                wanted = Some(parent);
            }
        }
        if !blocks.is_empty() {
            self.unchecked.push_back(Fetched { from, blocks });
        }
        if let Some(id) = wanted {
            self.missing.insert(id);
            self.fetch(id, out);
        }
    }

    /// Checks the signatures of blocks, which their ids do not cover, and keeps the blocks; all are asked for again when
    /// one is wrong.
    fn check(&mut self, fetched: Fetched, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        let Fetched { from, mut blocks } = fetched;
        blocks.retain(|block| !self.stash.contains(block.height));
        if chain.check(&blocks).is_err() {
            self.peers.failed(from, out.now);
            if let Some(first) = blocks.first() {
                self.missing.insert(first.id);
                self.fetch(first.id, out);
            }
            return Ok(());
        }
        chain.stash(&blocks)?;
        for block in &blocks {
            self.stash.add(block.height);
        }
        self.progress.fetched = self.stash.len();
        self.try_execute(chain, out)
    }

    fn try_execute(&mut self, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        let is_fetching = matches!(self.phase, Phase::Fetching);
        if !is_fetching || !self.missing.is_empty() || !self.unchecked.is_empty() {
            return Ok(());
        }
        let total = self.stash.len();
        self.phase = Phase::Executing { total };
        self.progress.fetching = false;
        self.execute(total, chain, out)
    }

    /// Executes the next blocks; when none are left, ends the round.
    fn execute(&mut self, total: u64, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        self.progress.executing = true;
        let (_, first) = chain.last_accepted();
        let mut height = first;
        for _ in 0..EXECUTED_AT_ONCE {
            let Some(next) = height.checked_add(1).filter(|next| self.stash.contains(*next)) else { break };
            let block = chain.stashed(next).ok_or_else(|| Fault(format!("block {next} is not stashed")))?;
            let id = block.id;
            chain.verify(&block).map_err(|err| {
                Fault(format!("accepted block {id} at height {next} cannot be executed: {err}"))
            })?;
            chain.accept(id)?;
            height = next;
        }
        if height > first {
            chain.unstash(first.saturating_add(1)..=height)?;
            self.stash.remove_through(height);
        }
        self.progress.executed = height;
        self.progress.fetched = self.stash.len();
        if !height.checked_add(1).is_some_and(|next| self.stash.contains(next)) {
            self.progress.executing = false;
            return self.round_is_over(total, chain, out);
        }
        Ok(())
    }

    fn round_is_over(
        &mut self,
        executed: u64,
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let before = std::mem::replace(&mut self.executed_before, executed);
        if executed > 0 && executed < before / 2 {
            return self.survey(chain, out);
        }
        self.is_synced_once = true;
        self.phase = if self.others_ready { Phase::Done } else { Phase::Resting(out.now.after(REST)) };
        Ok(())
    }
}
