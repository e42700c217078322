//! How fast the chain is: replay of a recorded chain into a database on disk, the end of an epoch, signatures of
//! accounts against `ed25519-zebra`, the application tree against crate `jmt`. Every comparison is within one run.

#![allow(missing_docs, clippy::disallowed_methods, clippy::unwrap_used)]

use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use pos_node::{
    consensus::chain::Chain,
    crypto::{bls::SecretKey, derive::interop_key, ed25519},
    state::{
        Pool, Registration, State,
        app::{MemoryStore, Overlay},
        genesis::{Genesis, GenesisValidator, Start},
        registry::Validator,
        tree::{MemoryNodes, update::update},
        verifier::{BatchVerifier, Verifier},
    },
    storage::{Database, History, MemoryDatabase, SqliteDatabase},
    types::{
        address,
        block::SignedBlock,
        codec::{decode, encode},
        domain::{DomainType, domain, signing_root},
        operation::{DepositMessage, SignedHeader, SingleAttestation},
        params::{Config, POS, Params},
        primitives::{Address, FAR_FUTURE, PublicKey, Root, ValidatorIndex},
        ssz::sha256,
        transaction::{Action, Auth, Tx, TxBody},
    },
};
use rayon::prelude::*;
use std::{
    hint::black_box,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

const VALIDATORS: u64 = 16;
const SENDERS: u64 = 10_000;
const BLOCKS_WITH_TXS: u64 = 10;
const SLOTS: u64 = 34;

fn config() -> Arc<Config> {
    let params = Params::minimal();
    Arc::new(Config { params, chain_id: 7, genesis_fork_version: [0, 0, 0, 1], genesis_time: 1000 })
}

fn secret(index: ValidatorIndex) -> SecretKey {
    interop_key(index).unwrap()
}

fn seed(number: u64) -> [u8; 32] {
    sha256(&number.to_le_bytes())
}

fn account(number: u64) -> Address {
    address::single(&ed25519::public_key(&seed(number)))
}

fn genesis() -> Start {
    let config = config();
    let validators = (0..VALIDATORS).map(|index| {
        let (secret, amount, owner) = (secret(index), 32 * POS, account(0));
        let message = DepositMessage { pubkey: secret.public_key(), owner: Root(owner.0), amount };
        let domain = domain(DomainType::Deposit.bytes(), config.genesis_fork_version, Root::ZERO);
        let registration = Registration {
            owner,
            commission_bps: 0,
            max_commission_bps: 0,
            effective_cap: 64 * POS,
            fee_recipient: owner,
        };
        let proof = secret.sign(&signing_root(&message, domain));
        GenesisValidator { pubkey: secret.public_key(), proof, amount, registration }
    });
    let accounts = (0..SENDERS).into_par_iter().map(|number| (account(number), 1000 * POS)).collect();
    Genesis { config: Config::clone(&config), accounts, validators: validators.collect() }.build().unwrap()
}

fn transfer(from: u64, nonce: u64, genesis_validators_root: Root) -> Tx {
    let action =
        Action::Transfer { to: account((from * 7919 + nonce * 104_729) % SENDERS), amount: 1 + from };
    let body =
        TxBody { chain_id: 7, nonce, valid_until: 1000, gas_limit: 32_680, max_fee: 1000, tip: 1, action };
    let message = body.signing_message([0, 0, 0, 1], genesis_validators_root);
    let seed = seed(from);
    Tx {
        auth: Auth::Single { pubkey: ed25519::public_key(&seed), signature: ed25519::sign(&seed, &message) },
        body,
    }
}

/// A recorded chain: blocks and transactions as bytes.
type Recorded = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

fn start_ms(slot: u64) -> u64 {
    1_000_000 + slot * config().params.slot_ms
}

/// 100,000 transfers in ten blocks, then empty blocks until all of them are final.
fn record(start: &Start) -> Recorded {
    let verifier: Arc<dyn Verifier> = Arc::new(BatchVerifier::new([1; 32]));
    let root = start.state.genesis_validators_root;
    let mut chain = Chain::create(config(), start.clone(), MemoryDatabase::default(), verifier).unwrap();
    let params = config().params.clone();
    let mut recorded = Vec::new();
    for slot in 1..=SLOTS {
        let epoch = params.epoch_of(slot);
        chain.on_tick(start_ms(slot)).unwrap();
        let txs: Vec<Tx> = if slot <= BLOCKS_WITH_TXS {
            (0..SENDERS).into_par_iter().map(|from| transfer(from, slot - 1, root)).collect()
        } else {
            Vec::new()
        };
        let proposer = chain.proposer(slot).unwrap();
        let reveal = secret(proposer).sign(&signing_root(&epoch, chain.domain(DomainType::Randao, epoch)));
        let proposal = chain.propose(slot, reveal, [0; 32], txs).unwrap();
        let message = signing_root(&proposal.header, chain.domain(DomainType::Proposer, epoch));
        let header = SignedHeader { header: proposal.header, signature: secret(proposer).sign(&message) };
        let block = SignedBlock { header, body: proposal.body };
        chain.import(&block, &proposal.txs).unwrap();
        let data = chain.attestation_data(slot).unwrap();
        let committees = chain.head_committees(epoch).unwrap();
        for member in committees.at(&params, slot) {
            let message = signing_root(&data, chain.domain(DomainType::Attester, epoch));
            let signature = secret(*member).sign(&message);
            chain.on_attestation(&SingleAttestation { attester_index: *member, data, signature }).unwrap();
        }
        recorded.push((encode(&block), proposal.txs.iter().map(encode).collect()));
    }
    recorded
}

/// Decodes, verifies, executes, hashes and commits everything, until the transfers are in the state on disk.
fn replay(start: &Start, recorded: &Recorded) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let config = config();
    let path = folder.path().join("chain.db");
    let db = SqliteDatabase::open(&path, &config.hash(), History::Slots(1000)).unwrap();
    let verifier: Arc<dyn Verifier> = Arc::new(BatchVerifier::new([2; 32]));
    let mut chain = Chain::create(config, start.clone(), db, verifier).unwrap();
    let begin = Instant::now();
    for (block, txs) in recorded {
        let block: SignedBlock = decode(block, usize::MAX).unwrap();
        let txs: Vec<Tx> = txs.iter().map(|tx| decode(tx, usize::MAX).unwrap()).collect();
        chain.on_tick(start_ms(block.header.header.slot)).unwrap();
        chain.import(&block, &txs).unwrap();
    }
    while chain.fold_next().unwrap() {}
    assert!(chain.finalized().epoch >= 2 && chain.db().health().is_ok());
    drop(chain); // closing the database writes its log back and syncs both files
    begin.elapsed()
}

fn replay_bench(criterion: &mut Criterion) {
    let chain = LazyLock::new(|| {
        let start = genesis();
        let recorded = record(&start);
        (start, recorded)
    });
    let txs = SENDERS * BLOCKS_WITH_TXS;
    let mut group = criterion.benchmark_group("replay");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(Throughput::Elements(txs));
    group.bench_function("100,000 transfers, durable", |bencher| {
        let (start, recorded) = &*chain;
        bencher.iter_custom(|times| (0..times).map(|_| replay(start, recorded)).sum());
    });
    group.finish();
}

fn big_state() -> State {
    let params = Params::mainnet();
    let mut state = State::empty(&params);
    state.slot = 32 * 10 - 1;
    for index in 0..8192u64 {
        let mut key = [0; 48];
        key.iter_mut().zip(index.to_le_bytes()).for_each(|(to, from)| *to = from);
        let validator = Validator {
            pubkey: PublicKey(key),
            owner: Address([1; 32]),
            effective_balance: 32 * POS,
            slashed: false,
            activation_eligibility_epoch: 0,
            activation_epoch: 0,
            exit_epoch: FAR_FUTURE,
            withdrawable_epoch: FAR_FUTURE,
            effective_cap: 2048 * POS,
        };
        let shares = u128::from(32 * POS);
        let pool =
            Pool { total_shares: shares, operator_shares: shares, commission_bps: 500, ..Pool::default() };
        state.push_validator(&validator, 32 * POS + index, pool);
    }
    for index in 0..8192 {
        let flags = if index % 50 == 0 { 0 } else { 7 };
        *state.previous_epoch_participation.at_mut(index).unwrap() = flags;
        *state.current_epoch_participation.at_mut(index).unwrap() = flags;
    }
    black_box(state.consensus_root(&params)); // as after the block before
    state
}

fn epoch_bench(criterion: &mut Criterion) {
    let (state, params) = (big_state(), Params::mainnet());
    let store = MemoryStore::default();
    let mut group = criterion.benchmark_group("epoch with 8,192 validators");
    group.sample_size(20);
    group.bench_function("transition and state root", |bencher| {
        bencher.iter_batched(
            || state.clone(),
            |mut state| {
                state.advance_to(&params, 32 * 10, &mut Overlay::new(&store));
                black_box(state.consensus_root(&params))
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("state root computed anew", |bencher| {
        bencher.iter_batched(
            || decode::<State>(&encode(&state), usize::MAX).unwrap(),
            |state| black_box(state.consensus_root(&params)),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn signature_bench(criterion: &mut Criterion) {
    use ed25519_zebra::{Signature, VerificationKeyBytes, batch};
    use rand::SeedableRng as _;
    let signed: Vec<([u8; 32], [u8; 64], [u8; 32])> = (0..4096u64)
        .map(|at| (ed25519::public_key(&seed(at)), ed25519::sign(&seed(at), &seed(!at)), seed(!at)))
        .collect();
    let items: Vec<ed25519::Item<'_>> =
        signed.iter().map(|(key, signature, message)| ed25519::Item { key, signature, message }).collect();
    let mut group = criterion.benchmark_group("4,096 account signatures, one core");
    group.sample_size(10).throughput(Throughput::Elements(4096));
    group.bench_function("batch", |bencher| bencher.iter(|| ed25519::verify_batch(black_box(&items))));
    group.bench_function("one by one", |bencher| {
        bencher.iter(|| items.iter().all(|item| ed25519::verify(black_box(item))));
    });
    group.bench_function("ed25519-zebra, batch", |bencher| {
        bencher.iter(|| {
            let mut batch = batch::Verifier::new();
            for (key, signature, message) in &signed {
                batch.queue((VerificationKeyBytes::from(*key), Signature::from(*signature), message));
            }
            batch.verify(rand::rngs::StdRng::seed_from_u64(1))
        });
    });
    group.finish();
}

/// Entries of a tree and changes of every tenth of them; keys and values as both implementations take them.
type Pairs = Vec<([u8; 32], [u8; 56])>;

fn tree_bench(criterion: &mut Criterion) {
    use jmt::{JellyfishMerkleTree, KeyHash, Sha256Jmt, mock::MockTreeStore, storage::TreeWriter as _};
    let value = |number: u64| -> [u8; 56] {
        let mut value = [0; 56];
        value.iter_mut().zip(sha256(&number.to_le_bytes())).for_each(|(to, from)| *to = from);
        value
    };
    let entries: Pairs = (0..100_000u64).map(|at| (seed(at), value(at))).collect();
    let changes: Pairs = (0..100_000u64).step_by(10).map(|at| (seed(at), value(at + 1))).collect();
    fn pairs(of: &Pairs) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        of.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice())))
    }
    fn hashed(of: &Pairs) -> impl Iterator<Item = (KeyHash, Option<Vec<u8>>)> {
        of.iter().map(|(key, value)| (KeyHash(sha256(key)), Some(value.to_vec())))
    }
    let mut nodes = MemoryNodes::default();
    nodes.apply(update(&MemoryNodes::default(), pairs(&entries)).writes);
    let store = MockTreeStore::default();
    let tree: Sha256Jmt<'_, _> = JellyfishMerkleTree::new(&store);
    let (_, batch) = tree.put_value_set(hashed(&entries), 0).unwrap();
    store.write_node_batch(&batch.node_batch).unwrap();
    let same = |changes: &Pairs, version| tree.put_value_set(hashed(changes), version).unwrap().0.0;
    assert_eq!(update(&nodes, pairs(&changes)).root, same(&changes, 1), "both are the same tree");
    let mut group = criterion.benchmark_group("tree of 100,000 entries");
    group.sample_size(10);
    group.bench_function("10,000 changes", |bencher| {
        bencher.iter(|| black_box(update(&nodes, pairs(&changes))));
    });
    group.bench_function("10,000 changes, crate jmt", |bencher| {
        bencher.iter(|| black_box(tree.put_value_set(hashed(&changes), 1).unwrap()));
    });
    group.bench_function("built anew", |bencher| {
        bencher.iter(|| black_box(update(&MemoryNodes::default(), pairs(&entries))));
    });
    group.bench_function("built anew, crate jmt", |bencher| {
        let empty = MockTreeStore::default();
        let tree: Sha256Jmt<'_, _> = JellyfishMerkleTree::new(&empty);
        bencher.iter(|| black_box(tree.put_value_set(hashed(&entries), 0).unwrap()));
    });
    group.finish();
}

criterion_group!(benches, replay_bench, epoch_bench, signature_bench, tree_bench);
criterion_main!(benches);
