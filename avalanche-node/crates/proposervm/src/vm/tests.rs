use std::collections::BTreeMap;

use avalanche_db::Memory;
use avalanche_vm::chain::{Validator, ValidatorSet};

use super::*;

const CHAIN: Id = Id([9; 32]);
const START: u64 = 2_000_000_000;

/// A machine whose blocks are their parent, height and a number. A block with an odd number asks a question.
#[derive(Default)]
struct Counter {
    state: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    known: BTreeMap<Id, Block>,
    accepted: Vec<Id>,
    rejected: Vec<Id>,
    preferred: Id,
    next: u8,
}

fn raw(parent: Id, height: u64, number: u8) -> Block {
    let mut bytes = parent.0.to_vec();
    bytes.extend(height.to_be_bytes());
    bytes.push(number);
    let timestamp = i64::try_from(START).unwrap();
    Block::new(Id::hash_of(&bytes), parent, height, timestamp, bytes)
}

fn genesis() -> Block {
    raw(Id::EMPTY, 0, 0)
}

fn number(block: &Block) -> u8 {
    *block.bytes.last().unwrap()
}

impl Counter {
    fn new() -> Arc<Self> {
        let counter = Self::default();
        let first = genesis();
        {
            let mut state = counter.state.lock();
            state.accepted.push(first.id);
            state.preferred = first.id;
            state.known.insert(first.id, first);
        }
        Arc::new(counter)
    }
}

impl ChainVm for Counter {
    fn set_phase(&self, _: Phase) -> Result<(), VmError> {
        Ok(())
    }

    fn parse(&self, bytes: &[u8]) -> Result<Block, VmError> {
        let bad = || VmError::invalid(RuleError::UnexpectedBlockType);
        let (parent, rest) = bytes.split_first_chunk::<32>().ok_or_else(bad)?;
        let (height, rest) = rest.split_first_chunk::<8>().ok_or_else(bad)?;
        let [number] = rest else { return Err(bad()) };
        Ok(raw(Id(*parent), u64::from_be_bytes(*height), *number))
    }

    fn block(&self, id: Id) -> Result<Block, VmError> {
        self.state.lock().known.get(&id).cloned().ok_or(VmError::NotFound(id))
    }

    fn block_id_at_height(&self, height: u64) -> Result<Option<Id>, VmError> {
        Ok(self.state.lock().accepted.get(usize::try_from(height).unwrap()).copied())
    }

    fn last_accepted(&self) -> Result<Block, VmError> {
        let id = *self.state.lock().accepted.last().unwrap();
        self.block(id)
    }

    fn verify(&self, block: &Block, _: &BlockContext) -> Result<(), VmError> {
        self.state.lock().known.insert(block.id, block.clone());
        Ok(())
    }

    fn accept(&self, id: Id) -> Result<(), VmError> {
        self.state.lock().accepted.push(id);
        Ok(())
    }

    fn reject(&self, id: Id) -> Result<(), VmError> {
        self.state.lock().rejected.push(id);
        Ok(())
    }

    fn options(&self, block: &Block) -> Result<Option<[Block; 2]>, VmError> {
        let odd = number(block) % 2 == 1;
        let height = block.height + 1;
        Ok(odd.then(|| [raw(block.id, height, 100), raw(block.id, height, 102)]))
    }

    fn set_preference(&self, id: Id) -> Result<(), VmError> {
        self.state.lock().preferred = id;
        Ok(())
    }

    fn build(&self, _: &BlockContext) -> Result<Block, VmError> {
        let mut state = self.state.lock();
        state.next += 2;
        let parent = state.known[&state.preferred].clone();
        Ok(raw(parent.id, parent.height + 1, state.next))
    }

    fn wanted(&self, _: Wall) -> Wanted {
        Wanted::Block
    }

    fn on_change(&self, _: Notify) {}
}

/// One validator at every height.
struct One(NodeId);

impl ValidatorState for One {
    fn minimum_height(&self, _: Wall) -> Result<u64, VmError> {
        Ok(7)
    }

    fn current_height(&self) -> Result<u64, VmError> {
        Ok(8)
    }

    fn validators_at(&self, _: u64, _: Id) -> Result<Arc<ValidatorSet>, VmError> {
        Ok(Arc::new(BTreeMap::from([(self.0, Validator { weight: 10, public_key: None })])))
    }

    fn subnet_of(&self, _: Id) -> Result<Option<Id>, VmError> {
        Ok(Some(Id::EMPTY))
    }
}

fn config(me: NodeId, certificate: Vec<u8>, sign: Sign) -> Config {
    Config {
        chain_id: CHAIN,
        subnet: Id::EMPTY,
        me,
        certificate,
        sign,
        upgrades: Upgrades::of_network(54_321),
        min_block_delay: Duration::from_secs(1),
    }
}

fn signer() -> (NodeId, Vec<u8>, Sign) {
    use avalanche_crypto::staking::{Certificate, PrivateKey, self_signed};
    let random = ring::rand::SystemRandom::new();
    let (certificate, key) = self_signed(2126, &random).unwrap();
    let node = Certificate::parse(&certificate).unwrap().node_id();
    let key = PrivateKey::from_der(&key, &random).unwrap();
    (node, certificate, Arc::new(move |bytes: &[u8]| key.sign(bytes, &ring::rand::SystemRandom::new()).ok()))
}

struct Fixture {
    inner: Arc<Counter>,
    store: Arc<dyn Database>,
    config: Config,
}

impl Fixture {
    fn new() -> Self {
        let (me, certificate, sign) = signer();
        Self { inner: Counter::new(), store: Arc::new(Memory::new()), config: config(me, certificate, sign) }
    }

    fn open(&self) -> ProposerVm {
        let validators = Arc::new(One(self.config.me));
        let inner = Arc::clone(&self.inner) as Arc<dyn ChainVm>;
        let vm = ProposerVm::open(inner, validators, Arc::clone(&self.store), self.config.clone()).unwrap();
        vm.set_phase(Phase::Normal).unwrap();
        let last = vm.last_accepted().unwrap();
        vm.set_preference(last.id).unwrap();
        vm
    }
}

fn context(second: u64) -> BlockContext {
    BlockContext { now: Wall::from_secs(START + second), p_chain_height: None }
}

fn grow(vm: &ProposerVm, second: u64) -> Block {
    let built = vm.build(&context(second)).unwrap();
    let block = vm.parse(&built.bytes).unwrap();
    vm.verify(&block, &context(second)).unwrap();
    vm.accept(block.id).unwrap();
    vm.set_preference(block.id).unwrap();
    block
}

#[test]
fn the_first_block_is_unsigned_the_next_are_signed_and_open_an_epoch() {
    let fixture = Fixture::new();
    let vm = fixture.open();
    let first = grow(&vm, 1);
    let second = grow(&vm, 2);
    let stated = |block: &Block| block.parsed::<Wrapped>().unwrap().parsed.clone();
    assert!(matches!(stated(&first).block(), block::Block::PreGranite(_)));
    assert_eq!(stated(&first).proposer(), None);
    let block::Block::Granite(granite) = stated(&second).block().clone() else { panic!("no epoch") };
    assert_eq!(granite.epoch, Epoch { p_chain_height: 7, number: 1, start_time: first.timestamp });
    assert_eq!(stated(&second).proposer(), Some(fixture.config.me));
    assert_eq!(vm.block_id_at_height(2).unwrap(), Some(second.id));
    assert_eq!(vm.block_id_at_height(0).unwrap(), Some(genesis().id));
}

#[test]
fn two_wrappers_of_one_block_are_judged_once_and_rivals_are_rejected_with_the_accepted() {
    let fixture = Fixture::new();
    let vm = fixture.open();
    grow(&vm, 1);
    let left = vm.build(&context(2)).unwrap();
    let right = vm.build(&context(3)).unwrap();
    for block in [&left, &right] {
        vm.verify(&vm.parse(&block.bytes).unwrap(), &context(3)).unwrap();
    }
    vm.accept(right.id).unwrap();
    vm.reject(left.id).unwrap();
    let rejected = fixture.inner.state.lock().rejected.clone();
    assert_eq!(rejected, [left.parsed::<Wrapped>().unwrap().inner.id]);
}

#[test]
fn only_options_follow_a_question_and_they_are_not_signed() {
    let fixture = Fixture::new();
    let vm = fixture.open();
    grow(&vm, 1);
    fixture.inner.state.lock().next = 1;
    let question = grow(&vm, 2);
    let [first, second] = vm.options(&question).unwrap().unwrap();
    assert_eq!(first.timestamp, question.timestamp);
    assert!(vm.options(&first).unwrap().is_none());
    for option in [&first, &second] {
        vm.verify(&vm.parse(&option.bytes).unwrap(), &context(3)).unwrap();
    }
    let child = vm.build(&context(3)).unwrap();
    assert!(vm.verify(&child, &context(3)).is_err(), "no other child may follow");
    vm.accept(first.id).unwrap();
    vm.reject(second.id).unwrap();
    vm.set_preference(first.id).unwrap();
    fixture.inner.state.lock().next = 2;
    assert_eq!(grow(&vm, 4).parent, first.id);
}

#[test]
fn a_wrapper_goes_back_to_where_its_machine_is() {
    let fixture = Fixture::new();
    let vm = fixture.open();
    let first = grow(&vm, 1);
    grow(&vm, 2);
    fixture.inner.state.lock().accepted.pop();
    assert_eq!(fixture.open().last_accepted().unwrap().id, first.id);
    fixture.inner.state.lock().accepted.pop();
    assert_eq!(fixture.open().last_accepted().unwrap().id, genesis().id);
    assert_eq!(fixture.open().block_id_at_height(1).unwrap(), None);
}

#[test]
fn building_waits_for_the_shortest_time_between_blocks() {
    let fixture = Fixture::new();
    let vm = fixture.open();
    assert_eq!(vm.wanted(context(1).now), Wanted::Block, "nobody waits before the first wrapper");
    grow(&vm, 1);
    assert_eq!(vm.wanted(context(1).now), Wanted::Later(context(2).now));
    assert_eq!(vm.wanted(context(2).now), Wanted::Block);
}
