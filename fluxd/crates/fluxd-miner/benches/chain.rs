//! How fast a chain is replayed, reorganized and its signatures and proofs are checked. Blocks are as busy with fluxnodes
//! as those of the main network: 58 CONFIRMs each, every signature checked. `REPLAY_BLOCKS` sets the length (default
//! 1,000). With `BUSY_CHAIN=FILE` the chain is kept in a file: the first run makes it, the next ones replay it once while
//! they read it, and say how fast and with how much memory. The proofs come from the real Zcash blocks in `$VECTORS_DIR` (default `../../shared/vectors` beside the chain's folder).

#![allow(missing_docs, clippy::print_stderr, clippy::disallowed_methods)]

use std::{
    env,
    fs::File,
    hint::black_box,
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fluxd_chainstate::{ChainState, Options, check_confirms, check_shielded_together};
use fluxd_consensus::check::CheckedBlock;
use fluxd_miner::testing::{Key, Lab, confirm, params};
use fluxd_primitives::{
    Block, Codec, Hash256, OutPoint, PublicKey, Transaction, TxId,
    transaction::fluxnode::{Confirm, FluxnodeTx},
};
use fluxd_script::{SighashParts, ecdsa::message_hash, sighash};
use fluxd_shielded::{Batch, ProofKeys, verify_transaction};
use rand::{SeedableRng, rngs::StdRng};
use rayon::prelude::*;
use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use shared_vendor::hex;
use tempfile::TempDir;

/// Fluxnodes that run, and CONFIRMs of each block.
const NODES: u32 = 4000;
const PER_BLOCK: u32 = 58;
/// Blocks before the busy ones.
const QUIET: u32 = 217;

fn replay_blocks() -> u32 {
    env::var("REPLAY_BLOCKS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

/// The length of a block in the file, before its bytes.
type Length = u32;

/// Makes a busy chain and writes its blocks into a file.
fn write_chain(path: &Path) {
    let (blocks, _) = busy_chain();
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    for block in blocks {
        file.write_all(&Length::try_from(block.len()).expect("short").to_le_bytes()).expect("written");
        file.write_all(&block).expect("written");
    }
    file.flush().expect("written");
}

/// The next blocks of the file.
fn read_blocks(file: &mut impl Read, count: usize) -> Vec<Vec<u8>> {
    let mut length = [0; size_of::<Length>()];
    let next = |_| {
        file.read_exact(&mut length).ok()?;
        let mut block = vec![0; usize::try_from(Length::from_le_bytes(length)).expect("short")];
        file.read_exact(&mut block).expect("a whole block");
        Some(block)
    };
    (0..count).map_while(next).collect()
}

/// Replays the chain of a file into an empty folder.
fn replay_file(path: &Path) {
    let mut file = BufReader::new(File::open(path).expect("a file"));
    let quiet = read_blocks(&mut file, usize::try_from(QUIET).expect("few"));
    let now = i64::from(Block::from_bytes(quiet.last().expect("blocks")).expect("a block").header.time)
        + 30 * i64::from(replay_blocks())
        + 100_000;
    let dir = TempDir::new().expect("a folder");
    let mut chain = ChainState::open(dir.path(), Arc::new(params()), Options::default()).expect("opened");
    feed(&mut chain, &quiet, now);
    let (start, mut count) = (Instant::now(), 0);
    loop {
        let blocks = read_blocks(&mut file, 512);
        if blocks.is_empty() {
            break;
        }
        count += blocks.len();
        feed(&mut chain, &blocks, now);
    }
    chain.flush().expect("flushed");
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default().to_owned();
    let rate = f64::from(u32::try_from(count).expect("few")) / seconds;
    eprintln!("replay of {count} busy blocks: {seconds:.1} s, {rate:.0} blocks/s, {peak}");
}

/// The wire form of all blocks of a busy chain.
fn busy_chain() -> (Vec<Vec<u8>>, i64) {
    let dir = TempDir::new().expect("a folder");
    let mut lab = Lab::in_memory(dir.path(), Options::default());
    lab.grow_busy(NODES, replay_blocks(), PER_BLOCK);
    let blocks = (1..=lab.chain.index().height()).map(|height| {
        let id = lab.chain.index().at_height(height).expect("active");
        lab.chain.body(id).expect("stored").block().to_bytes()
    });
    (blocks.collect(), lab.now)
}

/// Gives blocks to a chain state as the network would: decoded and judged by themselves in parallel, stored, connected.
fn feed(chain: &mut ChainState, blocks: &[Vec<u8>], now: i64) {
    for part in blocks.chunks(64) {
        let checked: Vec<Arc<CheckedBlock>> = part
            .par_iter()
            .map(|bytes| {
                let block = Block::from_bytes(bytes).expect("a block");
                Arc::new(CheckedBlock::new(Arc::new(block)).expect("a sound block"))
            })
            .collect();
        for block in &checked {
            chain.accept_block(block, true, now).expect("accepted");
        }
        while chain.activate(now).expect("activated").more {}
    }
}

fn replay(criterion: &mut Criterion) {
    if let Some(path) = env::var_os("BUSY_CHAIN").map(PathBuf::from) {
        return if path.exists() { replay_file(&path) } else { write_chain(&path) };
    }
    let (blocks, now) = busy_chain();
    // Long after the blocks, as a synchronization is.
    let now = now + 100_000;
    let (quiet, busy) = blocks.split_at(usize::try_from(QUIET).expect("few"));
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(replay_blocks())));
    group.bench_function("busy_blocks", |bencher| {
        bencher.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times {
                let dir = TempDir::new().expect("a folder");
                let mut chain =
                    ChainState::open(dir.path(), Arc::new(params()), Options::default()).expect("opened");
                feed(&mut chain, quiet, now);
                let start = Instant::now();
                feed(&mut chain, busy, now);
                spent += start.elapsed();
                assert_eq!(chain.index().height(), u32::try_from(blocks.len()).expect("few"));
            }
            spent
        });
    });
    group.finish();

    let dir = TempDir::new().expect("a folder");
    let mut chain = ChainState::open(dir.path(), Arc::new(params()), Options::default()).expect("opened");
    feed(&mut chain, &blocks, now);
    let tip = chain.index().height();
    let fork = chain.index().at_height(tip - 39).expect("active");
    let hash = chain.index().entry(fork).hash();
    let mut group = criterion.benchmark_group("reorganization");
    group.sample_size(10);
    group.bench_function("forty_busy_blocks_back_and_forth", |bencher| {
        bencher.iter(|| {
            chain.invalidate(&hash, now).expect("taken back");
            chain.reconsider(&hash).expect("known");
            while chain.activate(now).expect("activated").more {}
            assert_eq!(chain.index().height(), tip);
        });
    });
    group.finish();
}

fn signatures(criterion: &mut Criterion) {
    let params = params();
    let node = Key::number(3);
    let confirms: Vec<Confirm> = (0..1024_u32)
        .filter_map(|number| {
            let mut txid = TxId::ZERO;
            txid.0[..4].copy_from_slice(&number.to_le_bytes());
            let tx = confirm(OutPoint { txid, index: 0 }, &node, true, "192.0.2.1:16127", number);
            match *tx.fluxnode? {
                FluxnodeTx::Confirm(confirm) => Some(confirm),
                _ => None,
            }
        })
        .collect();
    let keyed: Vec<(&Confirm, &PublicKey)> = confirms.iter().map(|confirm| (confirm, &node.public)).collect();
    let mut group = criterion.benchmark_group("recovery");
    // Every CONFIRM has two signatures.
    group.throughput(Throughput::Elements(2 * 1024));
    group.bench_function("confirms_on_all_threads", |bencher| {
        bencher.iter(|| {
            let batch = |part: &[(&Confirm, &PublicKey)]| check_confirms(part, &params).is_ok();
            keyed.par_chunks(32).all(batch)
        });
    });
    let raw: Vec<(Message, RecoverableSignature)> = confirms
        .iter()
        .map(|confirm| {
            let message = fluxd_fluxnode::message::confirm_message(confirm);
            let (header, compact) = confirm.signature.split_first().expect("65 bytes");
            let id = RecoveryId::from_u8_masked(header - 27);
            let signature = RecoverableSignature::from_compact(compact, id).expect("a signature");
            (Message::from_digest(message_hash(message.as_bytes())), signature)
        })
        .collect();
    group.throughput(Throughput::Elements(1024));
    group.bench_function("libsecp256k1_alone_on_one_thread", |bencher| {
        bencher.iter(|| raw.iter().all(|(message, signature)| signature.recover(*message).is_ok()));
    });
    // As many as there are cores, so that what else runs on the machine slows both alike.
    group.bench_function("libsecp256k1_alone_on_all_threads", |bencher| {
        bencher.iter(|| raw.par_iter().all(|(message, signature)| signature.recover(*message).is_ok()));
    });
    group.finish();
}

/// Transactions with Sapling proofs of real Zcash blocks, with their signature hashes.
fn shielded_transactions() -> Vec<(Transaction, u32, Hash256)> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../../shared/vectors"));
    let root = env::var_os("VECTORS_DIR").map_or_else(beside, PathBuf::from);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join("fluxd/zcash")).into_iter().flatten().flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
        let Ok(rows) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        for row in rows.as_array().into_iter().flatten() {
            let branch = row.get("branch_id").and_then(serde_json::Value::as_u64);
            let (Some(branch), Some(tx)) = (branch, row.get("tx_hex").and_then(serde_json::Value::as_str))
            else {
                continue;
            };
            let Some(tx) = hex::decode(tx).ok().and_then(|bytes| Transaction::from_bytes(&bytes).ok()) else {
                continue;
            };
            let parts = SighashParts::new(&tx);
            let branch = u32::try_from(branch).expect("32 bits");
            let hash = sighash::signature_hash(&tx, &parts, None, sighash::ALL, branch).expect("a hash");
            found.push((tx, branch, hash));
        }
    }
    if found.is_empty() {
        eprintln!("skipped: no vectors");
    }
    found
}

fn proofs(criterion: &mut Criterion) {
    let keys = ProofKeys::new();
    let mut transactions = shielded_transactions();
    transactions.retain(|(tx, _, hash)| verify_transaction(&keys, tx, hash).is_ok() && !tx.spends.is_empty());
    if transactions.is_empty() {
        return;
    }
    // The same transactions many times: a batch does not notice.
    let many: Vec<_> = transactions.iter().cycle().take(64).collect();
    let mut group = criterion.benchmark_group("sapling");
    group.sample_size(10).throughput(Throughput::Elements(64));
    group.bench_function("one_by_one", |bencher| {
        bencher.iter(|| many.iter().all(|(tx, _, hash)| verify_transaction(&keys, tx, hash).is_ok()));
    });
    group.bench_function("in_one_batch", |bencher| {
        bencher.iter_batched(
            || StdRng::seed_from_u64(7),
            |rng| {
                let mut batch = Batch::default();
                for (tx, _, hash) in &many {
                    batch.add(tx, hash).expect("sound signatures");
                }
                black_box(batch.verify(&keys, rng).is_ok())
            },
            BatchSize::SmallInput,
        );
    });
    // As blocks are connected: a batch per core.
    let jobs: Vec<(&Transaction, u32)> = many.iter().map(|(tx, branch, _)| (tx, *branch)).collect();
    group.bench_function("in_one_batch_per_core", |bencher| {
        bencher.iter(|| assert_eq!(check_shielded_together(black_box(&jobs), [7; 32]), Ok(())));
    });
    group.finish();
}

criterion_group!(benches, replay, signatures, proofs);
criterion_main!(benches);
