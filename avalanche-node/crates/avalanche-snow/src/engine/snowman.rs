//! Follows a chain: fetches the blocks that validators prefer, gives them to consensus when their parents are there,
//! polls, and counts answers when the blocks they name have been issued. Mirrors `snow/engine/snowman/{engine,issuer,voter}.go`.
//!
//! Blocks that wait for their parents and answers that wait for blocks are jobs. What becomes runnable is put on a
//! stack instead of being called, so that a long chain of waiting blocks cannot exhaust the thread's stack; the order is
//! that of nested calls.

use std::collections::{BTreeMap, HashMap};

use avalanche_ids::{Id, NodeId};

use super::{ancestors::Ancestors, dead::Dead, jobs::Jobs, poll::Polls};
use crate::{
    chain::{Block, Chain, Fault, State, Unverified},
    consensus::{Decision, Flavor, Params, ParamsError, Topological, instance::Rule},
    message::{Answer, Content},
    networking::{outbox::Outbox, timeouts::Key},
};

/// Blocks that may wait for their parents. A peer can make us wait only for blocks that it sends one by one.
pub const MAX_PENDING: usize = 16_384;

/// Work that waits for blocks.
#[derive(Debug)]
enum Job {
    /// Give a block to consensus.
    Issue { block: Block, push: bool },
    /// Count an answer for the first of these that can be counted.
    Vote { node: NodeId, request: u32, options: Vec<Id> },
}

/// What is to be done next, last first.
#[derive(Debug)]
enum Work {
    Run(Job, bool),
    Resolve(Id, bool),
    /// An option that was issued: a query for it, then what waits for it.
    Issued(Block, bool),
    Repoll,
}

/// What an engine reports beside messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The block.
    pub id: Id,
    /// Its height.
    pub height: u64,
}

/// The engine of a chain that is bootstrapped.
#[derive(Debug)]
pub struct Snowman {
    consensus: Topological,
    polls: Polls,
    /// Requests for blocks, both ways.
    requests: HashMap<(NodeId, u32), Id>,
    requested: HashMap<Id, (NodeId, u32)>,
    /// Blocks that wait for their parents.
    pending: HashMap<Id, Block>,
    unverified: Ancestors,
    dead: Dead,
    /// Last accepted blocks of others.
    frontiers: BTreeMap<NodeId, (Id, u64)>,
    jobs: Jobs<Job>,
    work: Vec<Work>,
    /// The chain asked for a block to be built.
    builds: bool,
    /// Blocks accepted since they were last taken.
    accepted: Vec<Accepted>,
}

impl Snowman {
    /// Starts above the chain's last accepted block.
    ///
    /// # Errors
    /// The store failed, or the parameters break a constraint.
    pub fn start(params: Params, chain: &mut impl Chain, out: &mut Outbox) -> Result<Self, Fault> {
        let (id, height) = chain.last_accepted();
        let rule = Rule { flavor: Flavor::Snowflake, params };
        let consensus =
            Topological::new(rule, id, height).map_err(|err: ParamsError| Fault(err.to_string()))?;
        let mut engine = Self {
            consensus,
            polls: Polls::default(),
            requests: HashMap::new(),
            requested: HashMap::new(),
            pending: HashMap::new(),
            unverified: Ancestors::default(),
            dead: Dead::default(),
            frontiers: BTreeMap::new(),
            jobs: Jobs::default(),
            work: Vec::new(),
            builds: false,
            accepted: Vec::new(),
        };
        chain.prefer(id);
        let options = chain.open_options();
        chain.set_state(State::NormalOp)?;
        for block in options {
            engine.deliver(&block, false, chain, out)?;
            engine.finish_work(chain, out)?;
        }
        Ok(engine)
    }

    /// The structure of consensus.
    #[must_use]
    pub const fn consensus(&self) -> &Topological {
        &self.consensus
    }

    /// Polls that wait for answers.
    #[must_use]
    pub fn open_polls(&self) -> usize {
        self.polls.len()
    }

    /// Blocks that wait for others.
    #[must_use]
    pub fn blocked(&self) -> usize {
        self.pending.len()
    }

    /// Blocks that were asked for.
    #[must_use]
    pub fn outstanding_requests(&self) -> usize {
        self.requested.len()
    }

    /// Blocks accepted since the last call.
    pub fn take_accepted(&mut self) -> Vec<Accepted> {
        std::mem::take(&mut self.accepted)
    }

    /// Forgets what a node said; it left the validators.
    pub fn forget(&mut self, keep: impl Fn(NodeId) -> bool) {
        self.frontiers.retain(|node, _| keep(*node));
    }

    /// Time to tell others and ask them: one of them when nothing processes, else all open places for polls.
    ///
    /// # Errors
    /// The store failed.
    pub fn gossip(&mut self, out: &mut Outbox) {
        if self.consensus.num_processing() > 0 {
            self.repoll(out);
            return;
        }
        let Some(node) = out.any_validator() else { return };
        let (_, height) = self.consensus.last_accepted();
        let request = out.next_request();
        let query = Content::PullQuery { id: self.consensus.preference(), height: height.saturating_add(1) };
        out.ask([node], request, &query);
    }

    /// The chain has something to build.
    ///
    /// # Errors
    /// The store failed.
    pub fn build_requested(&mut self, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        self.builds = true;
        self.build(chain, out)
    }

    /// A message that concerns this engine; others are ignored.
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
            Content::PullQuery { id, height } => {
                self.send_chits(node, request, height, chain, out);
                self.issue_from_id(node, id, chain, out)?;
            }
            Content::PushQuery { block, height } => {
                self.send_chits(node, request, height, chain, out);
                if let Ok(block) = chain.parse(&block) {
                    self.issue_from(node, block, chain, out)?;
                }
            }
            Content::Put(bytes) => self.put(node, request, &bytes, chain, out)?,
            Content::Chits { preferred, preferred_at_height, accepted, accepted_height } => {
                if out.validators.weight(node) > 0 {
                    self.frontiers.insert(node, (accepted, accepted_height));
                }
                self.chits(node, request, preferred, preferred_at_height, chain, out)?;
            }
            _ => return Ok(()),
        }
        self.build(chain, out)
    }

    /// An answer will not come.
    ///
    /// # Errors
    /// The store failed.
    pub fn failed(&mut self, key: Key, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        match key.answer {
            Answer::Put => self.request_failed(key.node, key.request, chain, out)?,
            Answer::Chits => match self.frontiers.get(&key.node) {
                Some((accepted, _)) => {
                    let accepted = *accepted;
                    self.chits(key.node, key.request, accepted, accepted, chain, out)?;
                }
                None => {
                    let vote = Job::Vote { node: key.node, request: key.request, options: Vec::new() };
                    self.schedule(vote, &[], chain, out)?;
                }
            },
            _ => return Ok(()),
        }
        self.build(chain, out)
    }

    fn put(
        &mut self,
        node: NodeId,
        request: u32,
        bytes: &[u8],
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let wanted = self.requests.get(&(node, request)).copied();
        match chain.parse(bytes) {
            Ok(block) if wanted.is_none_or(|wanted| wanted == block.id) => {
                self.issue_from(node, block, chain, out)
            }
            _ => self.request_failed(node, request, chain, out),
        }
    }

    fn request_failed(
        &mut self,
        node: NodeId,
        request: u32,
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let Some(id) = self.requests.remove(&(node, request)) else { return Ok(()) };
        self.requested.remove(&id);
        self.abandon(id, chain, out)
    }

    fn chits(
        &mut self,
        node: NodeId,
        request: u32,
        preferred: Id,
        at_height: Id,
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        self.issue_from_id(node, preferred, chain, out)?;
        let mut options = vec![preferred];
        let mut dependencies = Vec::new();
        if preferred != at_height {
            self.issue_from_id(node, at_height, chain, out)?;
            options.push(at_height);
        }
        for id in &options {
            if self.can_depend_on(*id) {
                dependencies.push(*id);
            }
        }
        self.schedule(Job::Vote { node, request, options }, &dependencies, chain, out)
    }

    fn send_chits(&self, node: NodeId, request: u32, height: u64, chain: &mut impl Chain, out: &mut Outbox) {
        let (accepted, accepted_height) = self.consensus.last_accepted();
        let preferred = self.consensus.preference();
        let preferred_at_height = if height < accepted_height {
            chain.accepted_at(height).unwrap_or(accepted)
        } else {
            self.consensus.preference_at_height(height).unwrap_or(preferred)
        };
        let chits = Content::Chits { preferred, preferred_at_height, accepted, accepted_height };
        out.answer(node, request, chits);
    }

    /// Builds when asked to and when few enough blocks process.
    fn build(&mut self, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        let optimal = usize::try_from(self.consensus.params().optimal_processing).unwrap_or(usize::MAX);
        if !self.builds || self.consensus.num_processing() >= optimal {
            return Ok(());
        }
        self.builds = false;
        match chain.build() {
            Ok(block) => self.issue_built(block, chain, out),
            Err(_) => Ok(()),
        }
    }

    /// Issues a block of our own with those of its ancestors that are at hand.
    fn issue_built(&mut self, block: Block, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        let mut id = block.id;
        let mut next = Some(block);
        while let Some(block) = next.filter(|block| self.should_issue(block)) {
            id = block.parent;
            self.issue(block, true, chain, out)?;
            next = self.find(id, chain);
        }
        if self.requested.contains_key(&id) { Ok(()) } else { self.abandon(id, chain, out) }
    }

    /// Issues the branch that ends with a block, asking `node` for what is missing.
    fn issue_from(
        &mut self,
        node: NodeId,
        block: Block,
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let mut id = block.id;
        let mut block = block;
        while self.should_issue(&block) {
            id = block.parent;
            self.issue(block, false, chain, out)?;
            match self.find(id, chain) {
                Some(parent) => block = parent,
                None if self.dead.has(id) => return self.abandon(id, chain, out),
                None => {
                    self.request(node, id, out);
                    return Ok(());
                }
            }
        }
        self.forget_request(id);
        if self.is_decided(&block) && chain.accepted_at(block.height) != Some(id) {
            self.dead.add(id);
        }
        if self.pending.contains_key(&id) { Ok(()) } else { self.abandon(id, chain, out) }
    }

    fn issue_from_id(
        &mut self,
        node: NodeId,
        id: Id,
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        match self.find(id, chain) {
            Some(block) => self.issue_from(node, block, chain, out),
            None if self.dead.has(id) => Ok(()),
            None => {
                self.request(node, id, out);
                Ok(())
            }
        }
    }

    /// Gives a block to consensus as soon as its parent is there.
    fn issue(
        &mut self,
        block: Block,
        push: bool,
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        self.forget_request(block.id);
        let parent = block.parent;
        self.pending.insert(block.id, block.clone());
        let job = Job::Issue { block, push };
        if self.can_issue_child_on(parent) {
            self.schedule(job, &[], chain, out)
        } else {
            self.schedule(job, &[parent], chain, out)
        }
    }

    fn request(&mut self, node: NodeId, id: Id, out: &mut Outbox) {
        if self.requested.contains_key(&id) {
            return;
        }
        let request = out.next_request();
        self.requests.insert((node, request), id);
        self.requested.insert(id, (node, request));
        if self.pending.len() >= MAX_PENDING {
            out.wait_in_vain(request, Answer::Put); // too much waits already: this branch is given up in a while
        } else {
            out.ask([node], request, &Content::Get(id));
        }
    }

    fn forget_request(&mut self, id: Id) {
        if let Some(key) = self.requested.remove(&id) {
            self.requests.remove(&key);
        }
    }

    /// A block that is at hand.
    fn find(&self, id: Id, chain: &mut impl Chain) -> Option<Block> {
        let known = self.pending.get(&id).or_else(|| self.unverified.block(id)).cloned();
        known.or_else(|| chain.block(id))
    }

    fn schedule(
        &mut self,
        job: Job,
        dependencies: &[Id],
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        if !dependencies.is_empty() {
            self.jobs.wait(job, dependencies);
            return Ok(());
        }
        self.work.push(Work::Run(job, false));
        self.finish_work(chain, out)
    }

    fn abandon(&mut self, id: Id, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        self.work.push(Work::Resolve(id, true));
        self.finish_work(chain, out)
    }

    fn finish_work(&mut self, chain: &mut impl Chain, out: &mut Outbox) -> Result<(), Fault> {
        while let Some(work) = self.work.pop() {
            match work {
                Work::Resolve(id, abandoned) => {
                    let ready = self.jobs.resolve(id, abandoned);
                    let runs = ready.into_iter().rev().map(|(job, abandoned)| Work::Run(job, abandoned));
                    self.work.extend(runs);
                }
                Work::Run(Job::Issue { block, push }, false) => self.deliver(&block, push, chain, out)?,
                Work::Run(Job::Issue { block, .. }, true) => {
                    self.pending.remove(&block.id);
                    self.work.push(Work::Resolve(block.id, true));
                    if self.dead.has(block.parent) {
                        self.dead.add(block.id);
                    }
                    self.mark_unverified(block);
                }
                Work::Run(Job::Vote { node, request, options }, _) => {
                    self.vote(node, request, &options, chain, out)?;
                }
                Work::Issued(block, push) => {
                    if self.consensus.is_preferred(block.id) {
                        self.query(&block, push, out);
                    }
                    self.pending.remove(&block.id);
                    self.forget_request(block.id);
                    self.work.push(Work::Resolve(block.id, false));
                }
                Work::Repoll => {
                    if self.consensus.num_processing() > 0 {
                        self.repoll(out);
                    }
                }
            }
        }
        Ok(())
    }

    /// Verifies a block and adds it to consensus, with its options.
    fn deliver(
        &mut self,
        block: &Block,
        push: bool,
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        self.pending.remove(&block.id);
        if !self.can_issue_child_on(block.parent) || self.consensus.processing(block.id) {
            self.work.push(Work::Resolve(block.id, true));
            return Ok(());
        }
        let Some(options) = self.add(block, chain)? else {
            self.work.push(Work::Resolve(block.id, true));
            return Ok(());
        };
        self.work.push(Work::Repoll);
        let mut added = Vec::new();
        for option in options {
            if self.add(&option, chain)?.is_some() {
                added.push(option);
            } else {
                self.pending.remove(&option.id);
                self.forget_request(option.id);
                self.work.push(Work::Resolve(option.id, true));
            }
        }
        self.work.extend(added.into_iter().rev().map(|option| Work::Issued(option, push)));
        chain.prefer(self.consensus.preference());
        if self.consensus.is_preferred(block.id) {
            self.query(block, push, out);
        }
        self.work.push(Work::Resolve(block.id, false));
        Ok(())
    }

    /// Verifies a block and adds it; its options, or None when it is not valid.
    fn add(&mut self, block: &Block, chain: &mut impl Chain) -> Result<Option<Vec<Block>>, Fault> {
        let options = match chain.verify(block) {
            Ok(options) => Some(options),
            Err(Unverified::Refused(_)) => None,
            Err(Unverified::Fault(fault)) => return Err(fault),
        };
        let added = options.filter(|_| self.consensus.add(block.id, block.parent, block.height).is_ok());
        match &added {
            Some(_) => self.unverified.remove(block.id),
            None => self.mark_unverified(block.clone()),
        }
        Ok(added)
    }

    /// Keeps a block that cannot be issued, as long as its parent is undecided: votes for it count for its ancestors.
    fn mark_unverified(&mut self, block: Block) {
        if !self.consensus.processing(block.id)
            && (self.unverified.has(block.parent) || self.consensus.processing(block.parent))
        {
            self.unverified.add(block);
        }
    }

    fn vote(
        &mut self,
        node: NodeId,
        request: u32,
        options: &[Id],
        chain: &mut impl Chain,
        out: &mut Outbox,
    ) -> Result<(), Fault> {
        let vote = options.iter().find_map(|option| self.processing_ancestor(*option));
        let consensus = &self.consensus;
        let results = self.polls.answer(request, node, vote, consensus.params(), |id| consensus.parent(id));
        if results.is_empty() {
            return Ok(());
        }
        for votes in results {
            for decision in self.consensus.record_poll(&votes) {
                self.decided(decision, chain)?;
            }
        }
        chain.prefer(self.consensus.preference());
        if self.consensus.num_processing() > 0 {
            self.repoll(out);
        }
        Ok(())
    }

    fn decided(&mut self, decision: Decision, chain: &mut impl Chain) -> Result<(), Fault> {
        match decision {
            Decision::Accept(id) => {
                if let Some(block) = chain.block(id) {
                    self.unverified.remove_descendants(block.parent);
                    self.accepted.push(Accepted { id, height: block.height });
                }
                chain.accept(id)
            }
            Decision::Reject(id) => {
                self.unverified.remove_descendants(id);
                self.dead.add(id);
                chain.reject(id)
            }
        }
    }

    /// The nearest ancestor of a block, or the block itself, that can be voted for.
    fn processing_ancestor(&self, vote: Id) -> Option<Id> {
        let mut id = self.unverified.oldest(vote);
        loop {
            if self.consensus.processing(id) {
                return Some(id);
            }
            let block = self.unverified.block(id)?;
            if self.is_decided(block) {
                return None;
            }
            id = block.parent;
        }
    }

    fn repoll(&mut self, out: &mut Outbox) {
        let wanted = usize::try_from(self.consensus.params().concurrent_repolls).unwrap_or(usize::MAX);
        for _ in self.polls.len()..wanted {
            let id = self.consensus.preference();
            self.open_poll(|height| Content::PullQuery { id, height }, out);
        }
    }

    /// Asks what others prefer now that there is this block.
    fn query(&mut self, block: &Block, push: bool, out: &mut Outbox) {
        let (id, bytes) = (block.id, &block.bytes);
        self.open_poll(
            |height| {
                if push {
                    Content::PushQuery { block: bytes.to_vec(), height }
                } else {
                    Content::PullQuery { id, height }
                }
            },
            out,
        );
    }

    fn open_poll(&mut self, query: impl FnOnce(u64) -> Content, out: &mut Outbox) {
        let params = self.consensus.params();
        if out.connected_part() < f64::from(params.alpha_confidence) / f64::from(params.k) {
            return;
        }
        let count = usize::try_from(params.k).unwrap_or(usize::MAX);
        let Some(sample) = out.validators.sample(&mut out.random, count) else { return };
        let (_, height) = self.consensus.last_accepted();
        let request = out.next_request();
        let sample: avalanche_utils::Bag<NodeId> = sample.into_iter().collect();
        let nodes: Vec<_> = sample.iter().map(|(node, _)| node).collect();
        if self.polls.open(request, sample) {
            out.ask(nodes, request, &query(height.saturating_add(1)));
        }
    }

    fn should_issue(&self, block: &Block) -> bool {
        !self.is_decided(block)
            && !self.pending.contains_key(&block.id)
            && !self.consensus.processing(block.id)
    }

    fn can_depend_on(&self, id: Id) -> bool {
        self.pending.contains_key(&id) || self.requested.contains_key(&id)
    }

    fn can_issue_child_on(&self, parent: Id) -> bool {
        parent == self.consensus.last_accepted().0 || self.consensus.processing(parent)
    }

    /// True when the block's height tells that it was accepted or rejected.
    fn is_decided(&self, block: &Block) -> bool {
        let (accepted, height) = self.consensus.last_accepted();
        block.height <= height || (height.checked_add(1) == Some(block.height) && block.parent != accepted)
    }
}
