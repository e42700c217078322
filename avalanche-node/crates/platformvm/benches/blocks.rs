//! Blocks per second of a generated chain: `BLOCKS` blocks (2,000 unless told) with one transfer each, executed into memory
//! as a bootstrapping node does, and with every signature checked as a following node does.

#![allow(missing_docs, clippy::unwrap_used)] // a bench

#[path = "../tests/network/mod.rs"]
mod network;

use std::sync::Arc;

use avalanche_db::{Database, Memory, Rocks};
use avalanche_vm::chain::{ChainVm, Phase};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use platformvm::vm::PlatformVm;

fn blocks(criterion: &mut Criterion) {
    let count: u64 = std::env::var("BLOCKS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let source = network::open(Arc::new(Memory::new()), 1);
    let chain = network::transfers(&source, count);
    let genesis = network::genesis(1).bytes();
    let run = |store: Arc<dyn Database>, phase| {
        let vm = PlatformVm::open(store, network::config(), &genesis).unwrap();
        vm.set_phase(phase).unwrap();
        for block in &chain {
            let block = vm.parse(&block.bytes).unwrap();
            let time = u64::try_from(block.timestamp).unwrap();
            vm.verify(&block, &network::context(time)).unwrap();
            vm.accept(block.id).unwrap();
        }
    };
    let mut group = criterion.benchmark_group("P-chain blocks");
    group.throughput(Throughput::Elements(count)).sample_size(10);
    for (name, phase) in [("bootstrapping", Phase::Bootstrapping), ("following", Phase::Normal)] {
        group.bench_function(format!("{name}, memory"), |bencher| {
            bencher.iter(|| run(Arc::new(Memory::new()), phase));
        });
    }
    group.bench_function("bootstrapping, RocksDB", |bencher| {
        bencher.iter_batched(
            || tempfile::tempdir().unwrap(),
            |folder| {
                run(Arc::new(Rocks::open(folder.path()).unwrap()), Phase::Bootstrapping);
                folder
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, blocks);
criterion_main!(benches);
