//! A virtual machine whose blocks are wrapped: the inner machine makes and judges blocks, the wrapper says who may propose
//! them when. Several wrappers can hold the same inner block; it is judged once, and rejected only when another inner block
//! is accepted in its place. Mirrors `vms/proposervm/vm.go`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use avalanche_db::{Batch, Database, DbError, Prefixed};
use avalanche_ids::{Id, NodeId};
use avalanche_utils::upgrade::{Fork, Upgrades};
use avalanche_vm::chain::{
    AppError, AppMessage, Block, BlockContext, ChainVm, Notify, Phase, ValidatorState, VmError, Wanted,
};
use parking_lot::Mutex;
use shared_vendor::clock::Wall;

use crate::{
    block::{
        self, BlockError, GraniteBlock, OptionBlock, ParsedBlock, PreGraniteBlock, UnsignedBlock, header,
    },
    epoch::Epoch,
    rules::{self, Child, Parent, RuleError},
    windower::{MAX_BUILD_WINDOWS, MAX_VERIFY_WINDOWS, WINDOW, Windower, time_to_slot},
};

const LAST_ACCEPTED: &[u8] = b"last accepted";
const FORK_HEIGHT: &[u8] = b"fork height";

/// Signs the bytes of a header with this node's staking key; None when it cannot.
pub type Sign = Arc<dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync>;

/// What a wrapper depends on.
#[derive(Clone)]
pub struct Config {
    /// The chain.
    pub chain_id: Id,
    /// Who validates it.
    pub subnet: Id,
    /// This node.
    pub me: NodeId,
    /// Its staking certificate in DER.
    pub certificate: Vec<u8>,
    /// Its signatures.
    pub sign: Sign,
    /// When upgrades activate.
    pub upgrades: Upgrades,
    /// Shortest time between two blocks of ours.
    pub min_block_delay: Duration,
}

/// The wrapper of a machine.
pub struct ProposerVm {
    config: Config,
    inner: Arc<dyn ChainVm>,
    validators: Arc<dyn ValidatorState>,
    store: Prefixed<Arc<dyn Database>>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    preferred: Id,
    /// Wrappers that were verified and not decided.
    verified: HashMap<Id, Block>,
    /// Inner blocks that were verified and not decided, by their parents.
    inner: BTreeMap<Id, BTreeMap<Id, Block>>,
    /// The schedule at the P-chain height that was asked for last.
    windower: Option<(u64, Arc<Windower>)>,
}

/// A wrapper with what is in it.
struct Wrapped {
    parsed: ParsedBlock,
    inner: Block,
}

impl std::fmt::Debug for ProposerVm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProposerVm").field("chain", &self.config.chain_id).finish_non_exhaustive()
    }
}

impl ProposerVm {
    /// Wraps a machine. When the machine lost its last blocks in a crash, the wrapper goes back to where it is.
    ///
    /// # Errors
    /// The store failed, or the machine is ahead of the wrapper.
    pub fn open(
        inner: Arc<dyn ChainVm>,
        validators: Arc<dyn ValidatorState>,
        store: Arc<dyn Database>,
        config: Config,
    ) -> Result<Self, VmError> {
        let mut prefix = b"proposervm of ".to_vec();
        prefix.extend(config.chain_id.0);
        let state = State {
            phase: Phase::Initializing,
            preferred: Id::EMPTY,
            verified: HashMap::new(),
            inner: BTreeMap::new(),
            windower: None,
        };
        let vm = Self {
            config,
            inner,
            validators,
            store: Prefixed::new(store, &prefix),
            state: Mutex::new(state),
        };
        vm.repair()?;
        let last = vm.last_accepted()?;
        vm.state.lock().preferred = last.id;
        Ok(vm)
    }

    /// The P-chain height that a block on the preferred one would state.
    ///
    /// # Errors
    /// The store failed.
    pub fn proposed_height(&self, now: Wall) -> Result<u64, VmError> {
        let preferred = self.state.lock().preferred;
        let parent = self.parent_of(&self.block(preferred)?)?;
        Ok(self.validators.minimum_height(now)?.max(parent.p_chain_height))
    }

    /// The epoch of a block on the preferred one, now.
    ///
    /// # Errors
    /// The store failed.
    pub fn current_epoch(&self, now: Wall) -> Result<Epoch, VmError> {
        let preferred = self.state.lock().preferred;
        let parent = self.parent_of(&self.block(preferred)?)?;
        Ok(rules::expected_epoch(&self.config.upgrades, &parent, seconds(now).max(parent.timestamp)))
    }

    fn repair(&self) -> Result<(), VmError> {
        let inner = self.inner.last_accepted()?;
        let Some(outer) = self.stored_id(LAST_ACCEPTED)? else { return Ok(()) };
        let outer = self.stored(outer)?.ok_or(VmError::NotFound(outer))?;
        if outer.height < inner.height {
            let text = format!("the machine is at height {}, its wrapper at {}", inner.height, outer.height);
            return Err(VmError::Internal(text));
        }
        if outer.height == inner.height {
            return Ok(());
        }
        let fork =
            self.store.get(FORK_HEIGHT)?.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        let mut batch = Batch::new();
        if fork.is_none_or(|fork| fork > inner.height) {
            batch.delete(LAST_ACCEPTED);
        } else {
            let id = self.stored_id(&height_key(inner.height))?;
            batch.put(LAST_ACCEPTED, &id.ok_or_else(|| missing(inner.height))?.0);
        }
        Ok(self.store.write(&batch)?)
    }

    fn stored_id(&self, key: &[u8]) -> Result<Option<Id>, DbError> {
        Ok(self.store.get(key)?.and_then(|bytes| bytes.try_into().ok()).map(Id))
    }

    /// A wrapper from the store.
    fn stored(&self, id: Id) -> Result<Option<Block>, VmError> {
        let Some(bytes) = self.store.get(&block_key(id))? else { return Ok(None) };
        let parsed = ParsedBlock::parse_without_verification(&bytes).map_err(VmError::invalid)?;
        self.wrap(parsed, bytes.into()).map(Some)
    }

    /// A wrapped block, verified or stored.
    fn wrapped(&self, id: Id) -> Result<Option<Block>, VmError> {
        let verified = self.state.lock().verified.get(&id).cloned();
        match verified {
            Some(block) => Ok(Some(block)),
            None => self.stored(id),
        }
    }

    fn wrap(&self, parsed: ParsedBlock, bytes: Arc<[u8]>) -> Result<Block, VmError> {
        let inner = self.inner.parse(parsed.block().inner())?;
        let (id, parent) = (parsed.id(), parsed.block().parent_id());
        let timestamp = parsed.block().unsigned().map_or(inner.timestamp, |unsigned| unsigned.timestamp);
        let height = inner.height;
        Ok(Block::new(id, parent, height, timestamp, bytes).with_parsed(Wrapped { parsed, inner }))
    }

    /// What is no wrapper may be a block of the inner machine.
    fn wrap_or_raw(&self, parsed: Result<ParsedBlock, BlockError>, bytes: &[u8]) -> Result<Block, VmError> {
        let wrapped = parsed.ok().and_then(|parsed| self.wrap(parsed, bytes.into()).ok());
        wrapped.map_or_else(|| self.inner.parse(bytes), Ok)
    }

    /// What children of a block depend on.
    fn parent_of(&self, block: &Block) -> Result<Parent, VmError> {
        let Some(wrapped) = block.parsed::<Wrapped>() else {
            let is_oracle = self.inner.options(block)?.is_some();
            let (timestamp, inner) = (block.timestamp, block.id);
            return Ok(Parent { timestamp, p_chain_height: 0, epoch: Epoch::default(), inner, is_oracle });
        };
        let inner = wrapped.inner.id;
        match wrapped.parsed.block() {
            block::Block::Option(option) => {
                let above = self.wrapped(option.parent_id)?.ok_or(VmError::NotFound(option.parent_id))?;
                let parent = self.parent_of(&above)?;
                Ok(Parent { inner, is_oracle: self.inner.options(&wrapped.inner)?.is_some(), ..parent })
            }
            block::Block::PreGranite(stated) => {
                let is_oracle = self.inner.options(&wrapped.inner)?.is_some();
                Ok(parent(&stated.block, Epoch::default(), inner, is_oracle))
            }
            block::Block::Granite(stated) => {
                let is_oracle = self.inner.options(&wrapped.inner)?.is_some();
                Ok(parent(&stated.block, stated.epoch, inner, is_oracle))
            }
        }
    }

    fn windower(&self, p_chain_height: u64) -> Result<Arc<Windower>, VmError> {
        if let Some((height, windower)) = &self.state.lock().windower
            && *height == p_chain_height
        {
            return Ok(Arc::clone(windower));
        }
        let set = self.validators.validators_at(p_chain_height, self.config.subnet)?;
        let weights = set.iter().map(|(node, validator)| (*node, validator.weight));
        let windower = Windower::new(self.config.chain_id, weights).map_err(VmError::invalid)?;
        let windower = Arc::new(windower);
        self.state.lock().windower = Some((p_chain_height, Arc::clone(&windower)));
        Ok(windower)
    }

    fn verify_wrapped(&self, block: &Block, wrapped: &Wrapped, now: Wall) -> Result<(), VmError> {
        let parent_id = wrapped.parsed.block().parent_id();
        let above = self.wrapped(parent_id)?;
        let phase = self.state.lock().phase;
        let (unsigned, epoch) = match wrapped.parsed.block() {
            block::Block::Option(_) => {
                let above = above.ok_or_else(|| VmError::invalid(RuleError::UnexpectedBlockType))?;
                let parent = self.parent_of(&above)?;
                let is_option = above
                    .parsed::<Wrapped>()
                    .is_some_and(|above| matches!(above.parsed.block(), block::Block::Option(_)));
                if !parent.is_oracle || is_option {
                    return Err(VmError::invalid(RuleError::UnexpectedBlockType));
                }
                if wrapped.inner.parent != parent.inner {
                    return Err(VmError::invalid(RuleError::InnerParentMismatch));
                }
                return self.verify_inner(block, &wrapped.inner, None, now);
            }
            block::Block::PreGranite(stated) => (&stated.block, Epoch::default()),
            block::Block::Granite(stated) => (&stated.block, stated.epoch),
        };
        let child = Child {
            timestamp: unsigned.timestamp,
            p_chain_height: unsigned.p_chain_height,
            epoch,
            inner_parent: wrapped.inner.parent,
            height: wrapped.inner.height,
            proposer: wrapped.parsed.proposer(),
        };
        let Some(above) = above else {
            let raw = self.parent_of(&self.inner.block(parent_id)?)?;
            // While bootstrapping, the P-chain itself may not have reached the height.
            let current = match phase {
                Phase::Normal => self.validators.current_height()?,
                _ => u64::MAX,
            };
            rules::verify_first_child(&self.config.upgrades, &raw, &child, current, seconds(now))
                .map_err(VmError::invalid)?;
            return self.verify_inner(block, &wrapped.inner, None, now);
        };
        let parent = self.parent_of(&above)?;
        rules::verify_child(&parent, &child, seconds(now)).map_err(VmError::invalid)?;
        if phase == Phase::Normal {
            let windower = self.windower(parent.p_chain_height)?;
            let current = self.validators.current_height()?;
            rules::verify_proposer(&self.config.upgrades, &parent, &child, current, &windower)
                .map_err(VmError::invalid)?;
        }
        let upgrades = &self.config.upgrades;
        let height = rules::context_height(upgrades, &parent, child.timestamp, child.p_chain_height, epoch);
        self.verify_inner(block, &wrapped.inner, Some(height), now)
    }

    /// Judges the inner block, unless it was judged within another wrapper and needs no context.
    fn verify_inner(
        &self,
        block: &Block,
        inner: &Block,
        p_chain_height: Option<u64>,
        now: Wall,
    ) -> Result<(), VmError> {
        let known = self.state.lock().inner.get(&inner.parent).is_some_and(|all| all.contains_key(&inner.id));
        if !known || (p_chain_height.is_some() && self.inner.wants_context(inner)?) {
            self.inner.verify(inner, &BlockContext { now, p_chain_height })?;
        }
        let mut state = self.state.lock();
        state.inner.entry(inner.parent).or_default().insert(inner.id, inner.clone());
        state.verified.insert(block.id, block.clone());
        Ok(())
    }

    /// A raw block: on a raw parent, before the fork or as the option of a raw oracle block.
    fn verify_raw(&self, block: &Block, context: &BlockContext) -> Result<(), VmError> {
        if self.wrapped(block.parent)?.is_some() {
            return Err(VmError::invalid(RuleError::UnsignedChild));
        }
        let parent = self.inner.block(block.parent)?;
        if self.config.upgrades.is_active(Fork::ApricotPhase4, parent.timestamp)
            && self.inner.options(&parent)?.is_none()
        {
            return Err(VmError::invalid(RuleError::UnexpectedBlockType));
        }
        self.inner.verify(block, context)
    }

    fn accept_wrapped(&self, block: &Block, wrapped: &Wrapped) -> Result<(), VmError> {
        let mut batch = Batch::new();
        batch.put(LAST_ACCEPTED, &block.id.0);
        batch.put(&block_key(block.id), &block.bytes);
        batch.put(&height_key(block.height), &block.id.0);
        if self.store.get(FORK_HEIGHT)?.is_none() {
            batch.put(FORK_HEIGHT, &block.height.to_be_bytes());
        }
        self.store.write(&batch)?;
        self.state.lock().verified.remove(&block.id);
        self.accept_inner(&wrapped.inner)
    }

    /// Accepts an inner block and rejects its rivals with all that builds on them.
    fn accept_inner(&self, inner: &Block) -> Result<(), VmError> {
        self.inner.accept(inner.id)?;
        let mut state = self.state.lock();
        let mut rivals: Vec<Id> = state.inner.remove(&inner.parent).unwrap_or_default().into_keys().collect();
        rivals.retain(|id| *id != inner.id);
        let mut rejected = Vec::new();
        while let Some(id) = rivals.pop() {
            rejected.push(id);
            rivals.extend(state.inner.remove(&id).unwrap_or_default().into_keys());
        }
        drop(state);
        rejected.into_iter().try_for_each(|id| self.inner.reject(id))
    }

    /// When this node may build on a wrapped block; None when it may at once.
    fn time_to_build(&self, block: &Block, now: Wall) -> Result<Option<i64>, VmError> {
        let parent = self.parent_of(block)?;
        let height = block.height.saturating_add(1);
        let windower = self.windower(parent.p_chain_height)?;
        let delay = if self.config.upgrades.is_active(Fork::Durango, parent.timestamp) {
            let slot = time_to_slot(parent.timestamp, seconds(now));
            windower.min_delay_for_proposer(height, self.config.me, slot).unwrap_or_default()
        } else {
            windower.delay(height, Some(self.config.me), MAX_BUILD_WINDOWS)
        };
        let delay = i64::try_from(delay.max(self.config.min_block_delay).as_secs()).unwrap_or(i64::MAX);
        let at = parent.timestamp.saturating_add(delay);
        Ok((at > seconds(now)).then_some(at))
    }

    /// Whether a block of ours at this time is to be signed.
    ///
    /// # Errors
    /// It is not our turn.
    fn signs(&self, parent: &Parent, height: u64, timestamp: i64) -> Result<bool, VmError> {
        let windower = self.windower(parent.p_chain_height)?;
        let not_yet = |rule| VmError::NothingToBuild(Some(Box::new(rule)));
        if self.config.upgrades.is_active(Fork::Durango, parent.timestamp) {
            let slot = time_to_slot(parent.timestamp, timestamp);
            return match windower.expected_proposer(height, slot) {
                None => Ok(false),
                Some(node) if node == self.config.me => Ok(true),
                Some(_) => Err(not_yet(RuleError::UnexpectedProposer)),
            };
        }
        let delay = rules::seconds_between(parent.timestamp, timestamp);
        if delay < windower.delay(height, Some(self.config.me), MAX_BUILD_WINDOWS) {
            return Err(not_yet(RuleError::ProposerWindowNotStarted));
        }
        Ok(delay < WINDOW.saturating_mul(MAX_VERIFY_WINDOWS))
    }

    fn build_on(&self, above: &Block, now: Wall) -> Result<Block, VmError> {
        let parent = self.parent_of(above)?;
        let is_raw = above.parsed::<Wrapped>().is_none();
        let upgrades = &self.config.upgrades;
        if is_raw && !upgrades.is_active(Fork::ApricotPhase4, parent.timestamp) {
            return self.inner.build(&BlockContext { now, p_chain_height: None });
        }
        let timestamp = seconds(now).max(parent.timestamp);
        let least = if is_raw { upgrades.apricot_phase_4_min_p_chain_height } else { parent.p_chain_height };
        let p_chain_height = self.validators.minimum_height(now)?.max(least);
        let height = above.height.saturating_add(1);
        let (signs, epoch, context) = if is_raw {
            (false, Epoch::default(), None)
        } else {
            let epoch = rules::expected_epoch(upgrades, &parent, timestamp);
            let context = rules::context_height(upgrades, &parent, timestamp, p_chain_height, epoch);
            (self.signs(&parent, height, timestamp)?, epoch, Some(context))
        };
        let inner = self.inner.build(&BlockContext { now, p_chain_height: context })?;
        let certificate = if signs { self.config.certificate.clone() } else { Vec::new() };
        let block = UnsignedBlock {
            parent_id: above.id,
            timestamp,
            p_chain_height,
            certificate,
            block: inner.bytes.to_vec(),
        };
        let make = |signature: Vec<u8>| {
            let block = block.clone();
            if epoch == Epoch::default() {
                block::Block::PreGranite(PreGraniteBlock { block, signature })
            } else {
                block::Block::Granite(GraniteBlock { block, epoch, signature })
            }
        };
        let mut built = make(Vec::new());
        if signs {
            let header = header(self.config.chain_id, above.id, built.id());
            let signature = (self.config.sign)(&header)
                .ok_or_else(|| VmError::Internal("the staking key does not sign".to_owned()))?;
            built = make(signature);
        }
        let bytes: Arc<[u8]> = built.bytes().into();
        let parsed = ParsedBlock::new(built).map_err(VmError::invalid)?;
        let wrapped = Wrapped { parsed, inner };
        let block = Block::new(wrapped.parsed.id(), above.id, height, timestamp, bytes);
        Ok(block.with_parsed(wrapped))
    }
}

fn parent(stated: &UnsignedBlock, epoch: Epoch, inner: Id, is_oracle: bool) -> Parent {
    Parent { timestamp: stated.timestamp, p_chain_height: stated.p_chain_height, epoch, inner, is_oracle }
}

fn seconds(now: Wall) -> i64 {
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn block_key(id: Id) -> Vec<u8> {
    [b"b".as_slice(), &id.0].concat()
}

fn height_key(height: u64) -> Vec<u8> {
    [b"h".as_slice(), &height.to_be_bytes()].concat()
}

fn missing(height: u64) -> VmError {
    VmError::Internal(format!("no wrapper is stored for height {height}"))
}

impl ChainVm for ProposerVm {
    fn set_phase(&self, phase: Phase) -> Result<(), VmError> {
        self.inner.set_phase(phase)?;
        self.state.lock().phase = phase;
        Ok(())
    }

    fn parse(&self, bytes: &[u8]) -> Result<Block, VmError> {
        self.wrap_or_raw(ParsedBlock::parse(bytes, self.config.chain_id), bytes)
    }

    fn parse_unchecked(&self, bytes: &[u8]) -> Result<Block, VmError> {
        self.wrap_or_raw(ParsedBlock::parse_without_verification(bytes), bytes)
    }

    fn block(&self, id: Id) -> Result<Block, VmError> {
        match self.wrapped(id)? {
            Some(block) => Ok(block),
            None => self.inner.block(id),
        }
    }

    fn block_id_at_height(&self, height: u64) -> Result<Option<Id>, VmError> {
        let last = self.last_accepted()?.height;
        match self.stored_id(&height_key(height))?.filter(|_| height <= last) {
            Some(id) => Ok(Some(id)),
            None => self.inner.block_id_at_height(height),
        }
    }

    fn last_accepted(&self) -> Result<Block, VmError> {
        match self.stored_id(LAST_ACCEPTED)? {
            Some(id) => self.stored(id)?.ok_or(VmError::NotFound(id)),
            None => self.inner.last_accepted(),
        }
    }

    fn verify(&self, block: &Block, context: &BlockContext) -> Result<(), VmError> {
        if self.state.lock().verified.contains_key(&block.id) {
            return Ok(());
        }
        match block.parsed::<Wrapped>() {
            Some(wrapped) => self.verify_wrapped(block, wrapped, context.now),
            None => self.verify_raw(block, context),
        }
    }

    fn accept(&self, id: Id) -> Result<(), VmError> {
        let block = self.state.lock().verified.get(&id).cloned();
        match block.as_ref().and_then(|block| Some((block, block.parsed::<Wrapped>()?))) {
            Some((block, wrapped)) => self.accept_wrapped(block, wrapped),
            None => self.inner.accept(id),
        }
    }

    fn reject(&self, id: Id) -> Result<(), VmError> {
        // The inner block may be accepted within another wrapper; it is rejected when a rival of its own is accepted.
        if self.state.lock().verified.remove(&id).is_some() { Ok(()) } else { self.inner.reject(id) }
    }

    fn options(&self, block: &Block) -> Result<Option<[Block; 2]>, VmError> {
        let Some(wrapped) = block.parsed::<Wrapped>() else { return self.inner.options(block) };
        if matches!(wrapped.parsed.block(), block::Block::Option(_)) {
            return Ok(None);
        }
        let Some([first, second]) = self.inner.options(&wrapped.inner)? else { return Ok(None) };
        let wrap = |inner: Block| {
            let option = OptionBlock { parent_id: block.id, block: inner.bytes.to_vec() };
            let built = block::Block::Option(option);
            let bytes: Arc<[u8]> = built.bytes().into();
            let parsed = ParsedBlock::new(built).map_err(VmError::invalid)?;
            let option = Block::new(parsed.id(), block.id, inner.height, block.timestamp, bytes);
            Ok::<_, VmError>(option.with_parsed(Wrapped { parsed, inner }))
        };
        Ok(Some([wrap(first)?, wrap(second)?]))
    }

    fn set_preference(&self, id: Id) -> Result<(), VmError> {
        self.state.lock().preferred = id;
        match self.wrapped(id)? {
            Some(block) => match block.parsed::<Wrapped>() {
                Some(wrapped) => self.inner.set_preference(wrapped.inner.id),
                None => self.inner.set_preference(id),
            },
            None => self.inner.set_preference(id),
        }
    }

    fn build(&self, context: &BlockContext) -> Result<Block, VmError> {
        let preferred = self.state.lock().preferred;
        self.build_on(&self.block(preferred)?, context.now)
    }

    fn wanted(&self, now: Wall) -> Wanted {
        let (phase, preferred) = {
            let state = self.state.lock();
            (state.phase, state.preferred)
        };
        let wanted = self.inner.wanted(now);
        if phase != Phase::Normal || wanted == Wanted::Nothing {
            return wanted;
        }
        // Where the schedule cannot be looked up, building fails and says why.
        let start = self
            .wrapped(preferred)
            .ok()
            .flatten()
            .and_then(|block| self.time_to_build(&block, now).ok().flatten())
            .and_then(|at| u64::try_from(at).ok())
            .map(Wall::from_secs);
        match (wanted, start) {
            (Wanted::Block, Some(start)) => Wanted::Later(start),
            (Wanted::Later(at), Some(start)) => Wanted::Later(at.max(start)),
            (wanted, _) => wanted,
        }
    }

    fn on_change(&self, notify: Notify) {
        self.inner.on_change(notify);
    }

    fn connected(&self, node: NodeId, now: Wall) {
        self.inner.connected(node, now);
    }

    fn disconnected(&self, node: NodeId, now: Wall) {
        self.inner.disconnected(node, now);
    }

    fn app_gossip(&self, from: NodeId, bytes: &[u8], now: Wall) {
        self.inner.app_gossip(from, bytes, now);
    }

    fn app_request(&self, from: NodeId, bytes: &[u8], now: Wall) -> Result<Vec<u8>, AppError> {
        self.inner.app_request(from, bytes, now)
    }

    fn app_response(&self, from: NodeId, request: u32, answer: Option<&[u8]>, now: Wall) {
        self.inner.app_response(from, request, answer, now);
    }

    fn app_messages(&self, now: Wall) -> Vec<AppMessage> {
        self.inner.app_messages(now)
    }

    fn health(&self, now: Wall) -> Result<Vec<(String, String)>, String> {
        self.inner.health(now)
    }
}

#[cfg(test)]
mod tests;
