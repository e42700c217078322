//! The P-chain as a machine: blocks built and executed, each rule provoked, coins conserved, and a process killed in the
//! middle of commits.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

mod network;

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use avalanche_codec::Text;
use avalanche_db::{Database, Memory, Rocks};
use avalanche_ids::{Id, NodeId};
use avalanche_utils::upgrade::Fork;
use avalanche_vm::{
    avax::UtxoId,
    chain::{ChainVm, Phase, ValidatorState, Wanted},
    shared_memory::SharedMemory,
};
use network::*;
use platformvm::{
    CHAIN_ID,
    config::Config,
    fx::{Empty, Signer},
    state::{Draft, State, StateError},
    txs::{
        execute::{self, Backend, ExecError, Fees, reward},
        *,
    },
    vm::PlatformVm,
    warp::{self, AddressedCall, L1ValidatorWeight, PChainMessage, PChainOwner, Payload},
};
use proptest::prelude::*;
use shared_vendor::clock::Wall;

const FEE: u64 = UNIT;
const DAY: u64 = 24 * 3600;

/// Executes transactions one after the other on a fresh network; what the last one says.
fn run(config: &Config, txs: Vec<NamedTx>) -> Result<(), ExecError> {
    let store: Arc<dyn Database> = Arc::new(Memory::new());
    let memory = SharedMemory::new(Arc::clone(&store), CHAIN_ID);
    let state = State::open(store, config, &genesis(8).bytes()).unwrap();
    let mut draft = Draft::new(&state, Vec::new(), false);
    execute::advance_time(config, &mut draft, START + 10).unwrap();
    let backend = Backend { config, now: START + 10, bootstrapped: true, memory: &memory, unseen: None };
    let fees = Fees::of(config, &draft);
    let mut last = Ok(());
    for tx in txs {
        assert!(last.is_ok(), "{last:?}");
        let tx = Arc::new(tx);
        last = execute::standard(&backend, &fees, &tx, &mut draft).map(drop);
        draft.add_tx(tx, platformvm::state::TxStatus::Committed);
    }
    last
}

fn subnet(index: u32) -> NamedTx {
    sign(UnsignedTx::CreateSubnet(Box::new(CreateSubnetTx { base: base(index, FEE), owner: owner(1) })), 1)
}

fn validator(node: u8, seconds: u64, weight: u64) -> Validator {
    Validator { node_id: NodeId([node; 20]), start: 0, end: START + 10 + seconds, weight }
}

fn add_validator(index: u32, validator: Validator, shares: u32) -> UnsignedTx {
    UnsignedTx::AddPermissionlessValidator(Box::new(AddPermissionlessValidatorTx {
        base: base(index, validator.weight + FEE),
        subnet: CHAIN_ID,
        signer: Signer::Proof(Box::new(proof(2))),
        stake_outs: vec![output(validator.weight, 1)],
        validator,
        validator_rewards_owner: owner(1),
        delegator_rewards_owner: owner(1),
        delegation_shares: shares,
    }))
}

fn delegate(index: u32, validator: Validator) -> UnsignedTx {
    UnsignedTx::AddPermissionlessDelegator(Box::new(AddPermissionlessDelegatorTx {
        base: base(index, validator.weight + FEE),
        subnet: CHAIN_ID,
        stake_outs: vec![output(validator.weight, 1)],
        validator,
        rewards_owner: owner(1),
    }))
}

fn appoint(index: u32, subnet: Id, validator: Validator) -> UnsignedTx {
    let validator = SubnetValidator { validator, subnet };
    UnsignedTx::AddSubnetValidator(Box::new(AddSubnetValidatorTx {
        base: base(index, FEE),
        validator,
        subnet_auth: auth(),
    }))
}

fn convert(index: u32, subnet: Id, balance: u64) -> UnsignedTx {
    let owner = PChainOwner { threshold: 1, addresses: vec![address(1)] };
    UnsignedTx::ConvertSubnetToL1(Box::new(ConvertSubnetToL1Tx {
        base: base(index, balance + FEE),
        subnet,
        chain_id: Id([9; 32]),
        address: vec![1],
        validators: vec![ConvertSubnetToL1Validator {
            node_id: vec![3; 20],
            weight: 5,
            balance,
            signer: proof(3),
            remaining_balance_owner: owner.clone(),
            deactivation_owner: owner,
        }],
        subnet_auth: auth(),
    }))
}

fn set_weight(index: u32, chain: u8, address: u8, weight: L1ValidatorWeight) -> UnsignedTx {
    let payload = PChainMessage::L1ValidatorWeight(weight).bytes();
    let call = Payload::AddressedCall(AddressedCall { source_address: vec![address], payload });
    let unsigned = warp::UnsignedMessage {
        network_id: NETWORK,
        source_chain_id: Id([chain; 32]),
        payload: avalanche_codec::marshal(&call),
    };
    let signature = warp::Signature::BitSet(warp::BitSetSignature { signers: vec![1], signature: [0; 96] });
    let message = warp::Message { unsigned, signature }.bytes();
    UnsignedTx::SetL1ValidatorWeight(Box::new(SetL1ValidatorWeightTx { base: base(index, FEE), message }))
}

#[test]
fn each_rule_about_moving_assets_and_subnets_has_its_error() {
    let config = config();
    let transfer = |base| UnsignedTx::Base(Box::new(base));
    assert!(run(&config, vec![sign(transfer(base(0, FEE)), 1)]).is_ok());
    let flow = run(&config, vec![sign(transfer(base(0, 0)), 1)]);
    assert!(matches!(flow, Err(ExecError::Flow(_))));
    assert!(matches!(run(&config, vec![sign(transfer(base(0, FEE)), 2)]), Err(ExecError::Flow(_))));
    assert!(matches!(run(&config, vec![sign(transfer(base(99, FEE)), 1)]), Err(ExecError::MissingUtxo(_))));
    let twice = vec![sign(transfer(base(0, FEE)), 1), sign(transfer(base(0, FEE + 1)), 1)];
    assert!(matches!(run(&config, twice), Err(ExecError::MissingUtxo(_))));
    let mut memo = base(0, FEE);
    memo.memo = vec![1];
    assert!(matches!(run(&config, vec![sign(transfer(memo), 1)]), Err(ExecError::Memo(1))));
    let mut wrong = base(0, FEE);
    wrong.network_id = 1;
    assert!(matches!(run(&config, vec![sign(transfer(wrong), 1)]), Err(ExecError::Syntactic(_))));
    let import = ImportTx {
        base: base(0, FEE),
        source_chain: Id([5; 32]),
        imported_inputs: vec![input(UtxoId::default(), 5)],
    };
    let import = sign(UnsignedTx::Import(Box::new(import)), 1);
    assert!(matches!(run(&config, vec![import]), Err(ExecError::NotSameSubnet(_))));
    let advance = sign(UnsignedTx::AdvanceTime(AdvanceTimeTx { time: START }), 1);
    assert!(matches!(run(&config, vec![advance]), Err(ExecError::WrongTxType)));

    let chain = |subnet_id| {
        UnsignedTx::CreateChain(Box::new(CreateChainTx {
            base: base(1, FEE),
            subnet_id,
            chain_name: Text::new("chain").unwrap(),
            vm_id: Id([1; 32]),
            fx_ids: Vec::new(),
            genesis_data: Vec::new(),
            subnet_auth: auth(),
        }))
    };
    let made = subnet(0);
    assert!(run(&config, vec![made.clone(), sign(chain(made.id), 1)]).is_ok());
    assert!(matches!(run(&config, vec![sign(chain(made.id), 1)]), Err(ExecError::NoSubnet(_))));
    let stolen = run(&config, vec![made.clone(), sign(chain(made.id), 2)]);
    assert!(matches!(stolen, Err(ExecError::Unauthorized(_))));
    let unsigned = Tx { unsigned: chain(made.id), credentials: Vec::new() };
    assert!(matches!(run(&config, vec![made.clone(), NamedTx::new(unsigned)]), Err(ExecError::Credentials)));
    let converted = vec![made.clone(), sign(convert(2, made.id, FEE), 1), sign(chain(made.id), 1)];
    assert!(matches!(run(&config, converted), Err(ExecError::Immutable(_))));
    let early = Config { upgrades: config.upgrades.with(Fork::Etna, i64::MAX), ..config };
    let tx = sign(convert(2, made.id, FEE), 1);
    assert!(matches!(run(&early, vec![made, tx]), Err(ExecError::NotActive(Fork::Etna))));
    let early = Config { upgrades: early.upgrades.with(Fork::Durango, i64::MAX), ..config };
    let tx = sign(transfer(base(0, FEE)), 1);
    assert!(matches!(run(&early, vec![tx]), Err(ExecError::NotActive(Fork::Durango))));
}

#[test]
fn each_rule_about_staking_has_its_error() {
    let config = config();
    let stake = 2_000 * UNIT;
    let add = |node, seconds, weight, shares| {
        run(&config, vec![sign(add_validator(0, validator(node, seconds, weight), shares), 1)])
    };
    assert!(add(2, 30 * DAY, stake, 20_000).is_ok());
    assert!(matches!(add(2, 30 * DAY, stake - 1, 20_000), Err(ExecError::WeightTooSmall)));
    assert!(matches!(add(2, 30 * DAY, stake, 19_999), Err(ExecError::InsufficientDelegationFee)));
    assert!(matches!(add(2, DAY - 1, stake, 20_000), Err(ExecError::StakeTooShort)));
    assert!(matches!(add(2, YEAR + 1, stake, 20_000), Err(ExecError::StakeTooLong)));
    assert!(matches!(add(1, 30 * DAY, stake, 20_000), Err(ExecError::DuplicateValidator(_))));
    let low = Config {
        staking: platformvm::config::Staking { max_validator_stake: stake - 1, ..config.staking },
        ..config
    };
    let tx = sign(add_validator(0, validator(2, DAY, stake), 20_000), 1);
    let low_min =
        Config { staking: platformvm::config::Staking { min_validator_stake: 1, ..low.staking }, ..low };
    assert!(matches!(run(&low_min, vec![tx]), Err(ExecError::WeightTooLarge)));

    let delegation =
        |node, seconds, weight| run(&config, vec![sign(delegate(0, validator(node, seconds, weight)), 1)]);
    assert!(delegation(1, 30 * DAY, 25 * UNIT).is_ok());
    assert!(matches!(delegation(1, 30 * DAY, 25 * UNIT - 1), Err(ExecError::WeightTooSmall)));
    assert!(matches!(delegation(1, DAY - 1, 25 * UNIT), Err(ExecError::StakeTooShort)));
    assert!(matches!(delegation(1, YEAR, 25 * UNIT), Err(ExecError::PeriodMismatch)));
    assert!(matches!(delegation(9, DAY, 25 * UNIT), Err(ExecError::NotValidator(_))));
    assert!(delegation(1, DAY, 8_000 * UNIT).is_ok());
    assert!(matches!(delegation(1, DAY, 8_000 * UNIT + 1), Err(ExecError::OverDelegated)));
    let two = [(0, 5_000), (1, 3_001)]
        .map(|(index, amount)| sign(delegate(index, validator(1, DAY, amount * UNIT)), 1));
    assert!(matches!(run(&config, two.to_vec()), Err(ExecError::OverDelegated)));

    let made = subnet(5);
    let appointed = |validator| vec![made.clone(), sign(appoint(0, made.id, validator), 1)];
    assert!(run(&config, appointed(validator(1, DAY, 1))).is_ok());
    assert!(matches!(run(&config, appointed(validator(9, DAY, 1))), Err(ExecError::NotValidator(_))));
    assert!(matches!(run(&config, appointed(validator(1, YEAR, 1))), Err(ExecError::PeriodMismatch)));
    let mut twice = appointed(validator(1, DAY, 1));
    twice.push(sign(appoint(1, made.id, validator(1, DAY, 2)), 1));
    assert!(matches!(run(&config, twice), Err(ExecError::DuplicateValidator(_))));
    let remove = |node_id| {
        let tx =
            RemoveSubnetValidatorTx { base: base(1, FEE), node_id, subnet: made.id, subnet_auth: auth() };
        sign(UnsignedTx::RemoveSubnetValidator(Box::new(tx)), 1)
    };
    let mut removed = appointed(validator(1, DAY, 1));
    removed.push(remove(NODE));
    assert!(run(&config, removed).is_ok());
    assert!(matches!(run(&config, vec![made.clone(), remove(NODE)]), Err(ExecError::NotValidator(_))));

    let UnsignedTx::AddPermissionlessValidator(mut on_subnet) =
        add_validator(0, validator(1, DAY, stake), 20_000)
    else {
        panic!("another kind");
    };
    on_subnet.subnet = made.id;
    on_subnet.signer = Signer::Empty(Empty {});
    let on_subnet = sign(UnsignedTx::AddPermissionlessValidator(on_subnet), 1);
    assert!(matches!(run(&config, vec![made, on_subnet]), Err(ExecError::NotTransformed(_))));
    let old = AddValidatorTx {
        base: base(0, stake + FEE),
        validator: validator(2, DAY, stake),
        stake_outs: vec![output(stake, 1)],
        rewards_owner: owner(1),
        delegation_shares: 20_000,
    };
    let old = sign(UnsignedTx::AddValidator(Box::new(old)), 1);
    assert!(matches!(run(&config, vec![old]), Err(ExecError::NotPermittedSince(Fork::Durango))));
    let set = SetAutoRenewedValidatorConfigTx {
        base: base(0, FEE),
        tx_id: Id([1; 32]),
        auth: auth(),
        auto_compound_reward_shares: 0,
        period: 0,
    };
    let set = sign(UnsignedTx::SetAutoRenewedValidatorConfig(Box::new(set)), 1);
    assert!(matches!(run(&config, vec![set.clone()]), Err(ExecError::NotActive(Fork::Helicon))));
    let later = Config { upgrades: config.upgrades.with(Fork::Helicon, 0), ..config };
    assert!(matches!(run(&later, vec![set]), Err(ExecError::MissingTx(_))));
}

#[test]
fn each_rule_about_l1s_has_its_error() {
    let config = config();
    let made = subnet(0);
    let l1 = |txs: Vec<UnsignedTx>| {
        let mut all = vec![made.clone(), sign(convert(1, made.id, FEE), 1)];
        all.extend(txs.into_iter().map(|tx| sign(tx, 1)));
        run(&config, all)
    };
    let id = made.id.append(&[0]);
    let weight = |validation_id, nonce, weight| L1ValidatorWeight { validation_id, nonce, weight };
    assert!(l1(vec![set_weight(2, 9, 1, weight(id, 0, 7))]).is_ok());
    let stale = l1(vec![set_weight(2, 9, 1, weight(id, 3, 7)), set_weight(3, 9, 1, weight(id, 3, 8))]);
    assert!(matches!(stale, Err(ExecError::StaleNonce(3))));
    let chain = l1(vec![set_weight(2, 8, 1, weight(id, 0, 7))]);
    assert!(matches!(chain, Err(ExecError::WarpSourceChain)));
    let address = l1(vec![set_weight(2, 9, 2, weight(id, 0, 7))]);
    assert!(matches!(address, Err(ExecError::WarpSourceAddress)));
    let unknown = l1(vec![set_weight(2, 9, 1, weight(Id([4; 32]), 0, 7))]);
    assert!(matches!(unknown, Err(ExecError::NoL1Validator(_))));
    let last = l1(vec![set_weight(2, 9, 1, weight(id, 0, 0))]);
    assert!(matches!(last, Err(ExecError::RemovingLastValidator)));
    let reserved = l1(vec![set_weight(2, 9, 1, weight(id, u64::MAX, 1))]);
    assert!(matches!(reserved, Err(ExecError::WarpContent(_))));
    let disable = |index, validation_id| {
        let tx = DisableL1ValidatorTx { base: base(index, FEE), validation_id, disable_auth: auth() };
        UnsignedTx::DisableL1Validator(Box::new(tx))
    };
    assert!(l1(vec![disable(2, id), disable(3, id)]).is_ok());
    assert!(matches!(l1(vec![disable(2, Id([4; 32]))]), Err(ExecError::NoL1Validator(_))));
    let increase = |validation_id| {
        let tx = IncreaseL1ValidatorBalanceTx { base: base(2, 5 + FEE), validation_id, balance: 5 };
        UnsignedTx::IncreaseL1ValidatorBalance(Box::new(tx))
    };
    assert!(l1(vec![increase(id)]).is_ok());
    assert!(matches!(l1(vec![increase(Id([4; 32]))]), Err(ExecError::NoL1Validator(_))));
    let full = Config {
        validator_fee: platformvm::validator_fee::Config { capacity: 0, ..config.validator_fee },
        ..config
    };
    let txs = vec![made.clone(), sign(convert(1, made.id, FEE), 1)];
    assert!(matches!(run(&full, txs), Err(ExecError::MaxActiveValidators)));
    let mut register = RegisterL1ValidatorTx {
        base: base(2, FEE),
        balance: 0,
        proof_of_possession: [0; 96],
        message: Vec::new(),
    };
    let UnsignedTx::SetL1ValidatorWeight(other) = set_weight(2, 9, 1, weight(id, 0, 7)) else {
        panic!("another kind");
    };
    register.message = other.message;
    let payload = l1(vec![UnsignedTx::RegisterL1Validator(Box::new(register))]);
    assert!(matches!(payload, Err(ExecError::WarpPayload)));
}

#[test]
fn time_neither_goes_back_nor_runs_ahead_nor_skips_a_change_of_stakers() {
    let config = config();
    let store: Arc<dyn Database> = Arc::new(Memory::new());
    let state = State::open(store, &config, &genesis(1).bytes()).unwrap();
    let draft = state.draft();
    let check = |time, now| execute::verify_new_chain_time(&config, time, now, &draft);
    assert!(check(START, START).is_ok());
    assert!(check(START + 10, START).is_ok());
    assert!(matches!(check(START - 1, START), Err(ExecError::EarlierThanParent(_))));
    assert!(matches!(check(START + 11, START), Err(ExecError::BeyondSyncBound(_))));
    assert!(check(START + YEAR, START + YEAR).is_ok());
    let skipped = check(START + YEAR + 1, START + YEAR);
    assert!(matches!(skipped, Err(ExecError::AfterStakerChange(_))));
}

#[test]
fn only_the_first_staker_is_rewarded_and_only_at_its_end() {
    let config = config();
    let store: Arc<dyn Database> = Arc::new(Memory::new());
    let memory = SharedMemory::new(Arc::clone(&store), CHAIN_ID);
    let state = State::open(store, &config, &genesis(1).bytes()).unwrap();
    let backend = Backend { config: &config, now: START, bootstrapped: true, memory: &memory, unseen: None };
    let staker = state.draft().current_stakers().next().unwrap().tx_id;
    let propose = |tx_id, time| {
        let unsigned = UnsignedTx::RewardValidator(RewardValidatorTx { tx_id });
        let tx = Arc::new(NamedTx::new(Tx { unsigned, credentials: Vec::new() }));
        let (mut commit, mut abort) = (state.draft(), state.draft());
        commit.scalars_mut().timestamp = time;
        abort.scalars_mut().timestamp = time;
        reward::proposal(&backend, &Fees::free(), &tx, &mut commit, &mut abort)?;
        Ok::<_, ExecError>((commit.supply(CHAIN_ID).unwrap(), abort.supply(CHAIN_ID).unwrap()))
    };
    let (committed, aborted) = propose(staker, START + YEAR).unwrap();
    assert_eq!(aborted, 400_000_000 * UNIT);
    assert!(committed > aborted);
    let early = propose(staker, START + YEAR - 1);
    assert!(matches!(early, Err(ExecError::RemoveStakerTooEarly(_))));
    assert!(matches!(propose(Id([1; 32]), START + YEAR), Err(ExecError::RemoveWrongStaker(_))));
    assert!(matches!(propose(Id::EMPTY, START + YEAR), Err(ExecError::InvalidId)));
}

#[test]
fn before_helicon_a_validator_cannot_come_back_in_the_block_that_removes_it() {
    let config = config();
    let store: Arc<dyn Database> = Arc::new(Memory::new());
    let state = State::open(store, &config, &genesis(1).bytes()).unwrap();
    for (readd, again) in [(false, Err(())), (true, Ok(()))] {
        let mut draft = Draft::new(&state, Vec::new(), readd);
        let staker = draft.current_validator(CHAIN_ID, NODE).unwrap();
        assert!(matches!(
            draft.put_current_validator(Arc::clone(&staker)),
            Err(StateError::UnexpectedStaker(_))
        ));
        draft.delete_current_validator(&staker).unwrap();
        assert_eq!(draft.current_stakers().count(), 0);
        assert_eq!(draft.put_current_validator(staker).map_err(drop), again);
    }
}

#[test]
fn a_staker_whose_time_is_over_is_proposed_for_a_reward_and_gone_with_either_option() {
    for accepted in 0..2 {
        let vm = open(Arc::new(Memory::new()), 1);
        let end = START + YEAR;
        assert_eq!(vm.wanted(Wall::from_secs(end - 5)), Wanted::Later(Wall::from_secs(end)));
        assert_eq!(vm.wanted(Wall::from_secs(end)), Wanted::Block);
        let proposal = vm.build(&context(end)).unwrap();
        vm.verify(&proposal, &context(end)).unwrap();
        let options = vm.options(&proposal).unwrap().unwrap();
        for option in &options {
            vm.verify(option, &context(end)).unwrap();
        }
        let child = vm.build(&context(end));
        vm.accept(proposal.id).unwrap();
        vm.accept(options[accepted].id).unwrap();
        vm.reject(options[1 - accepted].id).unwrap();
        drop(child);
        assert_eq!(vm.read(|state| state.primary_validators().count()), 0);
        assert_eq!(vm.last_accepted().unwrap().height, 2);
        assert_eq!(vm.validators_at(1, CHAIN_ID).unwrap().len(), 1);
        assert_eq!(vm.validators_at(2, CHAIN_ID).unwrap().len(), 0);
    }
}

#[test]
fn two_branches_are_verified_and_one_is_accepted() {
    let vm = open(Arc::new(Memory::new()), 2);
    let other = open(Arc::new(Memory::new()), 2);
    let blocks: Vec<_> = [(&vm, 0), (&other, 1)]
        .into_iter()
        .map(|(vm, index)| {
            let tx = sign(UnsignedTx::Base(Box::new(base(index, FEE))), 1);
            vm.issue(tx, Wall::from_secs(START + 1)).unwrap();
            vm.build(&context(START + 1)).unwrap()
        })
        .collect();
    for block in &blocks {
        vm.verify(block, &context(START + 1)).unwrap();
        vm.verify(block, &context(START + 1)).unwrap();
    }
    let ahead = vm.verify(&blocks[0], &context(START + 1));
    assert!(ahead.is_ok());
    vm.accept(blocks[0].id).unwrap();
    vm.reject(blocks[1].id).unwrap();
    assert_eq!(vm.read_mempool(|mempool| mempool.len()), 1);
    vm.set_preference(blocks[0].id).unwrap();
    let next = step(&vm, START + 2);
    assert_eq!((next.height, next.parent), (2, blocks[0].id));
}

#[test]
fn blocks_verified_far_ahead_leave_the_same_state_as_one_by_one_and_after_reopening() {
    let source = open(Arc::new(Memory::new()), 8);
    let made = subnet(1);
    let mut chain = Vec::new();
    let txs = [
        made.clone(),
        sign(appoint(2, made.id, validator(1, 2 * DAY, 3)), 1),
        sign(add_validator(3, validator(2, 2 * DAY, 2_000 * UNIT), 20_000), 1),
        sign(delegate(4, validator(2, DAY + 60, 100 * UNIT)), 1),
        subnet(5),
        sign(convert(6, subnet(5).id, 40), 1),
    ];
    for (tx, time) in txs.into_iter().zip(START + 10..) {
        source.issue(tx, Wall::from_secs(time)).unwrap();
        chain.push(step(&source, time));
    }
    // The L1 validator runs out of funds, then stakers end and are refused a reward.
    let mut time = START + 16;
    while time < START + 3 * DAY {
        match source.wanted(Wall::from_secs(time)) {
            Wanted::Later(next) => time = next.as_secs(),
            Wanted::Nothing => break,
            Wanted::Block => {
                let block = step(&source, time);
                if let Some([preferred, _]) = source.options(&block).unwrap() {
                    source.verify(&preferred, &context(time)).unwrap();
                    source.accept(preferred.id).unwrap();
                    source.set_preference(preferred.id).unwrap();
                    chain.extend([block, preferred]);
                } else {
                    chain.push(block);
                }
            }
        }
    }
    assert_eq!(source.read(|state| state.primary_validators().count()), 1);
    let store: Arc<dyn Database> = Arc::new(Memory::new());
    let ahead = PlatformVm::open(Arc::clone(&store), config(), &genesis(8).bytes()).unwrap();
    for block in &chain {
        ahead.verify(block, &context(time)).unwrap();
    }
    for block in &chain {
        ahead.accept(block.id).unwrap();
    }
    let view = |vm: &PlatformVm| {
        let owners = [address(1)].into();
        let utxos = vm.read(|state| state.utxos_of(&owners, None, 999).unwrap()).utxos;
        let mut utxos: Vec<_> = utxos.iter().map(avalanche_codec::marshal).collect();
        utxos.sort();
        let height = vm.last_accepted().unwrap().height;
        let sets: Vec<_> = [CHAIN_ID, made.id, subnet(5).id]
            .into_iter()
            .flat_map(|subnet| (0..=height).map(move |height| (subnet, height)))
            .map(|(subnet, height)| vm.validators_at(height, subnet).unwrap())
            .collect();
        let numbers = vm.read(|state| (*state.scalars(), state.draft().supply(CHAIN_ID)));
        (height, utxos, sets, numbers)
    };
    let expected = view(&source);
    assert_eq!(view(&ahead), expected);
    drop(ahead);
    assert_eq!(view(&PlatformVm::open(store, config(), &genesis(8).bytes()).unwrap()), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn what_is_not_burned_as_a_fee_is_still_there(
        blocks in prop::collection::vec(prop::collection::vec((0_u32..6, 1_u64..5_000, 1_u8..4), 1..4), 1..5)
    ) {
        let vm = open(Arc::new(Memory::new()), 6);
        let total = |vm: &PlatformVm| -> u64 {
            let owners = (1..4).map(address).collect();
            vm.read(|state| state.utxos_of(&owners, None, 999).unwrap()).utxos.iter()
                .map(|utxo| utxo.out.transfer().amount).sum()
        };
        let (mut expected, mut time) = (60_000 * UNIT, START);
        for block in blocks {
            time += 1;
            for (index, amount, to) in block {
                let mut base = base(index, amount * UNIT + FEE);
                base.outs.push(output(amount * UNIT, to));
                avalanche_vm::avax::sort_outputs(&mut base.outs);
                if vm.issue(sign(UnsignedTx::Base(Box::new(base)), 1), Wall::from_secs(time)).is_ok() {
                    expected -= FEE;
                }
            }
            if vm.wanted(Wall::from_secs(time)) == Wanted::Block {
                step(&vm, time);
            }
            prop_assert_eq!(total(&vm), expected);
        }
    }
}

/// Set in the process that is killed: where it keeps its store.
const VICTIM: &str = "PLATFORMVM_VICTIM";
const CHAIN: u64 = 60;

#[test]
fn a_process_killed_while_it_commits_reopens_at_a_whole_block() {
    let source = open(Arc::new(Memory::new()), 1);
    let chain = transfers(&source, CHAIN);
    let run = |store: Arc<dyn Database>| {
        let vm = PlatformVm::open(store, config(), &genesis(1).bytes()).unwrap();
        vm.set_phase(Phase::Bootstrapping).unwrap();
        let from = usize::try_from(vm.last_accepted().unwrap().height).unwrap();
        for block in &chain[from..] {
            vm.verify(block, &context(START + CHAIN)).unwrap();
            vm.accept(block.id).unwrap();
        }
    };
    if let Ok(folder) = std::env::var(VICTIM) {
        run(Arc::new(Rocks::open(folder.as_ref()).unwrap()));
        return;
    }
    let kills: u64 = std::env::var("KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    for kill in 0..kills {
        let folder = tempfile::tempdir().unwrap();
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_process_killed_while_it_commits_reopens_at_a_whole_block"])
            .env(VICTIM, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The delay only chooses where the process is hit; any of them must do.
        let _ = std::sync::mpsc::channel::<()>().1.recv_timeout(Duration::from_millis(20 + 13 * kill));
        victim.kill().unwrap();
        victim.wait().unwrap();
        let store: Arc<dyn Database> = Arc::new(Rocks::open(folder.path()).unwrap());
        let vm = PlatformVm::open(Arc::clone(&store), config(), &genesis(1).bytes()).unwrap();
        let height = vm.last_accepted().unwrap().height;
        let left: u64 = vm
            .read(|state| state.utxos_of(&[address(1)].into(), None, 9).unwrap())
            .utxos
            .iter()
            .map(|utxo| utxo.out.transfer().amount)
            .sum();
        assert_eq!(left, 10_000 * UNIT - height * 10_000, "after kill {kill} at height {height}");
        assert_eq!(vm.block_id_at_height(height + 1).unwrap(), None);
        drop(vm);
        run(store);
    }
}
