//! One chain at work: a thread that owns the engines, calls the virtual machine, and sends what comes of it. Nothing is
//! decided here; [`VmChain`] translates between the two boundaries.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::RangeInclusive,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    time::Duration,
};

use avalanche_db::{Batch, Database, Prefixed};
use avalanche_ids::{Id, NodeId};
use avalanche_net::{throttle::Held, transport::Network};
use avalanche_snow::{
    chain::{Block, Chain, Fault, Refused, State, Unverified},
    consensus::Polls,
    engine::{
        bootstrap::Progress,
        machine::{Effect, Input, Machine},
        snowman::Accepted,
    },
    message::{Content, Message},
};
use avalanche_vm::{
    chain::{self as vm, AppMessage, BlockContext, ChainVm, Phase, VmError, Wanted},
    index::Index,
};
use parking_lot::Mutex;
use shared_vendor::{
    clock::{Clock, Time, Wall},
    exit::{self, Report},
    log,
    machine::Machine as _,
    tasks::Stop,
};

/// Inputs that wait for a chain.
pub const QUEUE: usize = 4096;
/// Parsed blocks kept between being read and being verified.
const PARSED: usize = 4096;
/// Most threads that check signatures of fetched blocks.
const CHECKING_THREADS: usize = 8;
/// Longest sleep of a chain.
const NAP: Duration = Duration::from_millis(250);
/// Time between questions for messages of the machine.
const APP_PERIOD: Duration = Duration::from_millis(500);
/// Shortest time between two attempts to build.
const BUILD_PERIOD: Duration = Duration::from_millis(20);
/// Inputs handled before the machine is looked after.
const INPUTS_AT_ONCE: usize = 64;

/// What a chain tells the node.
#[derive(Debug)]
pub enum Event {
    /// What was accepted when bootstrapping began is executed.
    Synced(Id),
    /// Consensus has begun.
    Following(Id),
    /// A block was accepted by consensus.
    Accepted(Id, Accepted),
}

/// What wakes a chain.
#[derive(Debug)]
pub enum Command {
    /// For the engines, with the room that a peer's message takes.
    Input(Box<Input>, Held),
    /// The machine may want something else than before.
    Changed,
}

/// What others may know of a chain.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// How far bootstrapping is, while it lasts.
    pub progress: Option<Progress>,
    /// True in consensus.
    pub is_following: bool,
    /// The last accepted block and its height.
    pub last_accepted: (Id, u64),
    /// Blocks in consensus that are not decided.
    pub processing: usize,
    /// What came of polls.
    pub polls: Polls,
    /// Answers that are waited for.
    pub outstanding: usize,
    /// Who is not asked.
    pub benched: Vec<NodeId>,
    /// The part of the stake that is connected.
    pub connected_part: f64,
    /// When the last block was accepted in consensus.
    pub accepted_at: Option<Wall>,
}

/// Hands inputs to a chain.
#[derive(Debug, Clone)]
pub struct Handle {
    /// The chain.
    pub id: Id,
    /// Its name for people: P, X.
    pub alias: &'static str,
    inputs: SyncSender<Command>,
    /// What it is doing.
    pub view: Arc<Mutex<View>>,
}

impl Handle {
    /// The handle of a chain and the end that its thread takes.
    #[must_use]
    pub fn new(id: Id, alias: &'static str) -> (Self, Receiver<Command>) {
        let (inputs, received) = std::sync::mpsc::sync_channel(QUEUE);
        (Self { id, alias, inputs, view: Arc::default() }, received)
    }

    /// Gives an input to the chain; false when its queue is full and the input is lost. Messages may be lost, the rest
    /// waits for room.
    #[must_use]
    pub fn message(&self, node: NodeId, message: Message, held: Held) -> bool {
        self.inputs.try_send(Command::Input(Box::new(Input::Message(node, message)), held)).is_ok()
    }

    /// Gives an input that must not be lost. May block while the chain is busy.
    pub fn input(&self, input: Input) {
        drop(self.inputs.send(Command::Input(Box::new(input), Held::default())));
    }

    /// Something changed in the machine.
    pub fn wake(&self) {
        match self.inputs.try_send(Command::Changed) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

/// A virtual machine as the engines see it.
pub struct VmChain {
    vm: Arc<dyn ChainVm>,
    clock: Arc<dyn Clock>,
    stash: Prefixed<Arc<dyn Database>>,
    index: Option<Arc<Index>>,
    last_accepted: (Id, u64),
    parsed: HashMap<Id, vm::Block>,
    order: VecDeque<Id>,
}

impl std::fmt::Debug for VmChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VmChain").field("last_accepted", &self.last_accepted).finish_non_exhaustive()
    }
}

fn fault(err: &(dyn std::error::Error + 'static)) -> Fault {
    Fault(log::Chain(err).to_string())
}

fn plain(block: &vm::Block) -> Block {
    Block { id: block.id, parent: block.parent, height: block.height, bytes: Arc::clone(&block.bytes) }
}

impl VmChain {
    /// A machine, where fetched blocks are kept, and the index of what is accepted.
    ///
    /// # Errors
    /// The store failed.
    pub fn new(
        vm: Arc<dyn ChainVm>,
        store: Arc<dyn Database>,
        chain: Id,
        clock: Arc<dyn Clock>,
        index: Option<Arc<Index>>,
    ) -> Result<Self, VmError> {
        let last = vm.last_accepted()?;
        let mut prefix = b"fetched blocks of ".to_vec();
        prefix.extend(chain.0);
        Ok(Self {
            last_accepted: (last.id, last.height),
            vm,
            clock,
            index,
            stash: Prefixed::new(store, &prefix),
            parsed: HashMap::new(),
            order: VecDeque::new(),
        })
    }

    fn context(&self) -> BlockContext {
        BlockContext { now: self.clock.wall(), p_chain_height: None }
    }

    fn keep(&mut self, block: vm::Block) {
        if self.order.len() >= PARSED
            && let Some(oldest) = self.order.pop_front()
        {
            self.parsed.remove(&oldest);
        }
        self.order.push_back(block.id);
        self.parsed.insert(block.id, block);
    }

    fn full(&mut self, block: &Block) -> Result<vm::Block, VmError> {
        match self.parsed.get(&block.id) {
            Some(found) => Ok(found.clone()),
            None => self.vm.parse(&block.bytes),
        }
    }
}

impl Chain for VmChain {
    fn last_accepted(&self) -> (Id, u64) {
        self.last_accepted
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<Block, Refused> {
        let block = self.vm.parse(bytes).map_err(|err| Refused(log::Chain(&err).to_string()))?;
        let known = plain(&block);
        self.keep(block);
        Ok(known)
    }

    fn link(&mut self, bytes: &[u8]) -> Result<Block, Refused> {
        match self.vm.parse_unchecked(bytes) {
            Ok(block) => Ok(plain(&block)),
            Err(err) => Err(Refused(log::Chain(&err).to_string())),
        }
    }

    fn check(&mut self, blocks: &[Block]) -> Result<(), Refused> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(CHECKING_THREADS);
        let share = blocks.len().div_ceil(threads).max(1);
        let vm = &self.vm;
        let is_sound = |block: &Block| vm.parse(&block.bytes).is_ok_and(|parsed| parsed.id == block.id);
        let all_sound = std::thread::scope(|scope| {
            let shares: Vec<_> =
                blocks.chunks(share).map(|share| scope.spawn(move || share.iter().all(is_sound))).collect();
            shares.into_iter().all(|share| share.join().unwrap_or(false))
        });
        if all_sound { Ok(()) } else { Err(Refused("a block is not as its proposer signed it".to_owned())) }
    }

    fn block(&mut self, id: Id) -> Option<Block> {
        self.vm.block(id).ok().map(|block| plain(&block))
    }

    fn accepted_at(&mut self, height: u64) -> Option<Id> {
        self.vm.block_id_at_height(height).ok().flatten()
    }

    fn verify(&mut self, block: &Block) -> Result<Vec<Block>, Unverified> {
        let judge = |err: VmError| {
            if err.is_fatal() {
                Unverified::Fault(fault(&err))
            } else {
                Unverified::Refused(Refused(log::Chain(&err).to_string()))
            }
        };
        let full = self.full(block).map_err(judge)?;
        self.vm.verify(&full, &self.context()).map_err(|err| {
            tracing::debug!(target: "chain", block = %block.id, height = block.height, error = %log::Chain(&err), "block refused");
            judge(err)
        })?;
        let options = self.vm.options(&full).map_err(judge)?;
        let plain_options = options.iter().flatten().map(plain).collect();
        for option in options.into_iter().flatten() {
            self.keep(option);
        }
        Ok(plain_options)
    }

    fn open_options(&mut self) -> Vec<Block> {
        let Ok(last) = self.vm.last_accepted() else { return Vec::new() };
        let options = self.vm.options(&last).ok().flatten();
        let plain_options = options.iter().flatten().map(plain).collect();
        for option in options.into_iter().flatten() {
            self.keep(option);
        }
        plain_options
    }

    fn accept(&mut self, id: Id) -> Result<(), Fault> {
        let block = self.vm.block(id).map_err(|err| fault(&err))?;
        if let Some(index) = &self.index {
            index.accept(id, &block.bytes, self.clock.wall()).map_err(|err| fault(&err))?;
        }
        self.vm.accept(id).map_err(|err| fault(&err))?;
        self.last_accepted = (id, block.height);
        self.parsed.remove(&id);
        Ok(())
    }

    fn reject(&mut self, id: Id) -> Result<(), Fault> {
        self.parsed.remove(&id);
        self.vm.reject(id).map_err(|err| fault(&err))
    }

    fn prefer(&mut self, id: Id) {
        if let Err(err) = self.vm.set_preference(id) {
            tracing::warn!(target: "chain", block = %id, error = %log::Chain(&err), "preference not taken");
        }
    }

    fn build(&mut self) -> Result<Block, Refused> {
        match self.vm.build(&self.context()) {
            Ok(block) => {
                let built = plain(&block);
                tracing::debug!(target: "chain", block = %built.id, height = built.height, "block built");
                self.keep(block);
                Ok(built)
            }
            Err(err) => {
                tracing::debug!(target: "chain", reason = %log::Chain(&err), "no block built");
                Err(Refused(log::Chain(&err).to_string()))
            }
        }
    }

    fn set_state(&mut self, state: State) -> Result<(), Fault> {
        let phase = match state {
            State::Bootstrapping => Phase::Bootstrapping,
            State::NormalOp => Phase::Normal,
        };
        self.vm.set_phase(phase).map_err(|err| fault(&err))
    }

    fn stash(&mut self, blocks: &[Block]) -> Result<(), Fault> {
        let mut batch = Batch::new();
        for block in blocks {
            batch.put(&block.height.to_be_bytes(), &block.bytes);
        }
        self.stash.write(&batch).map_err(|err| fault(&err))
    }

    fn stashed(&mut self, height: u64) -> Option<Block> {
        let bytes = self.stash.get(&height.to_be_bytes()).ok().flatten()?;
        let block = self.vm.parse_unchecked(&bytes).ok()?;
        let known = plain(&block);
        self.keep(block);
        Some(known)
    }

    fn unstash(&mut self, heights: RangeInclusive<u64>) -> Result<(), Fault> {
        let mut batch = Batch::new();
        for height in heights {
            batch.delete(&height.to_be_bytes());
        }
        self.stash.write(&batch).map_err(|err| fault(&err))
    }

    fn stashed_heights(&mut self) -> Vec<u64> {
        let key =
            |entry: Result<avalanche_db::Entry, _>| entry.ok()?.0.try_into().ok().map(u64::from_be_bytes);
        self.stash.iterate(&[], &[]).filter_map(key).collect()
    }
}

/// What the thread of a chain owns.
pub struct Runner {
    /// The chain.
    pub handle: Handle,
    /// Its engines.
    pub machine: Machine<VmChain>,
    /// Its machine.
    pub vm: Arc<dyn ChainVm>,
    /// Where messages go.
    pub network: Arc<Network>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What the node is told.
    pub events: tokio::sync::mpsc::Sender<Event>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("chain", &self.handle.alias).finish_non_exhaustive()
    }
}

impl Runner {
    /// Runs the chain until told to stop.
    ///
    /// # Errors
    /// The chain cannot go on.
    pub fn run(mut self, commands: &Receiver<Command>, stop: &Stop) -> Result<(), Report> {
        let waker = self.handle.clone();
        self.vm.on_change(Arc::new(move || waker.wake()));
        let (mut next_app, mut next_build) = (Time::ZERO, Time::ZERO);
        let mut before = Progress::default();
        self.step(Input::Tick)?;
        while !stop.is_set() {
            let now = self.clock.now();
            let due = self.machine.deadline().map_or(NAP, |at| at.since(now)).min(NAP);
            let mut command = match commands.recv_timeout(due) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            for _ in 0..INPUTS_AT_ONCE {
                match command.take() {
                    Some(Command::Input(input, _held)) => self.take(*input)?,
                    Some(Command::Changed) => next_build = Time::ZERO,
                    None => break,
                }
                command = commands.try_recv().ok();
            }
            if let Some(Command::Input(input, _held)) = command {
                self.take(*input)?;
            }
            let now = self.clock.now();
            if self.machine.deadline().is_some_and(|at| at <= now) {
                self.step(Input::Tick)?;
            }
            if self.machine.engine().is_some() {
                if next_build <= now {
                    next_build = now.after(self.ask_to_build()?);
                }
                if next_app <= now {
                    next_app = now.after(APP_PERIOD);
                    self.app_messages()?;
                }
            }
            if let Some(now) = self.machine.progress() {
                self.log_progress(std::mem::replace(&mut before, now), now);
            }
            self.show();
        }
        Ok(())
    }

    /// One line for each step of a round of bootstrapping that brings anything.
    fn log_progress(&self, before: Progress, now: Progress) {
        let (chain, fetched, height) = (self.handle.alias, now.fetched, now.executed);
        if now.fetching && !before.fetching {
            tracing::info!(target: "sync", chain, height, "fetching blocks");
        }
        if now.executing && !before.executing {
            tracing::info!(target: "sync", chain, height, blocks = fetched, "executing blocks");
        }
        if before.executing && !now.executing {
            tracing::info!(target: "sync", chain, height, "executed blocks");
        }
    }

    /// Lets the engine build when the machine wants it. Answers when to ask the machine again.
    fn ask_to_build(&mut self) -> Result<Duration, Report> {
        let wall = self.clock.wall();
        match self.vm.wanted(wall) {
            Wanted::Block => {
                self.step(Input::Build)?;
                Ok(BUILD_PERIOD)
            }
            Wanted::Later(at) => {
                let wait = Duration::from_nanos(at.as_nanos().saturating_sub(wall.as_nanos()));
                Ok(wait.clamp(BUILD_PERIOD, NAP))
            }
            Wanted::Nothing => Ok(NAP),
        }
    }

    fn app_messages(&mut self) -> Result<(), Report> {
        for message in self.vm.app_messages(self.clock.wall()) {
            self.step(match message {
                AppMessage::Gossip { validators, non_validators, peers, bytes } => {
                    Input::AppGossip { validators, non_validators, peers, bytes }
                }
                AppMessage::Request { to, request, bytes } => Input::AppRequest { to, tag: request, bytes },
            })?;
        }
        Ok(())
    }

    fn take(&mut self, input: Input) -> Result<(), Report> {
        match &input {
            Input::Connected(node) => self.vm.connected(*node, self.clock.wall()),
            Input::Disconnected(node) => self.vm.disconnected(*node, self.clock.wall()),
            Input::Message(node, _) => {
                let (node, began) = (*node, self.clock.now());
                let done = self.step(input);
                self.network.charge(node, self.clock.now().since(began));
                return done;
            }
            _ => {}
        }
        self.step(input)
    }

    fn step(&mut self, input: Input) -> Result<(), Report> {
        let mut effects = Vec::new();
        self.machine.step(self.clock.now(), input, &mut effects);
        let deadline = self.machine.request_deadline();
        for effect in effects {
            match effect {
                Effect::Send(node, message) => {
                    self.network.send(node, message.into_body(self.handle.id, deadline));
                }
                Effect::App(node, message) => self.app(node, message),
                Effect::AppAnswer { node, tag, answer } => {
                    self.vm.app_response(node, tag, answer.as_deref(), self.clock.wall());
                }
                Effect::Synced => self.tell(Event::Synced(self.handle.id)),
                Effect::Following => self.tell(Event::Following(self.handle.id)),
                Effect::Accepted(accepted) => {
                    tracing::info!(target: "chain", chain = self.handle.alias, height = accepted.height, block = %accepted.id, "block accepted");
                    self.handle.view.lock().accepted_at = Some(self.clock.wall());
                    self.tell(Event::Accepted(self.handle.id, accepted));
                }
                Effect::Fault(fault) => {
                    let what = format!("the {}-chain cannot go on: {fault}", self.handle.alias);
                    return Err(Report::new(exit::UNEXPECTED, what).advice(
                        "if the disk is sound, remove the folder `db` of the network and start again",
                    ));
                }
            }
        }
        Ok(())
    }

    fn app(&self, node: NodeId, message: Message) {
        let wall = self.clock.wall();
        let content = match message.content {
            Content::AppGossip(bytes) => return self.vm.app_gossip(node, &bytes, wall),
            Content::AppRequest(bytes) => match self.vm.app_request(node, &bytes, wall) {
                Ok(answer) => Content::AppResponse(answer),
                Err(err) => Content::AppError { code: err.code, text: err.message },
            },
            _ => return,
        };
        let answer = Message { request: message.request, content };
        self.network.send(node, answer.into_body(self.handle.id, Duration::ZERO));
    }

    /// The node may be busy with stopping: then it needs to hear nothing more.
    fn tell(&self, event: Event) {
        drop(self.events.blocking_send(event));
    }

    fn show(&self) {
        let out = self.machine.outbox();
        let mut view = self.handle.view.lock();
        view.progress = self.machine.progress();
        view.is_following = self.machine.consensus().is_some();
        view.last_accepted = self.machine.chain().last_accepted();
        view.processing = self.machine.consensus().map_or(0, |consensus| consensus.num_processing());
        view.polls = self.machine.consensus().map_or_else(Polls::default, |consensus| consensus.polls());
        view.outstanding = out.timeouts.len();
        view.benched = out.bench.benched().iter().copied().collect();
        view.connected_part = out.connected_part();
    }
}

/// Weights of a validator set, as the engines take them.
#[must_use]
pub fn weights(set: &vm::ValidatorSet) -> BTreeMap<NodeId, u64> {
    set.iter().map(|(node, validator)| (*node, validator.weight)).collect()
}
