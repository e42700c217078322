//! Polls per second of topological Snowman at 1, 10, 50 and 250 processing blocks: a chain with a rival at every
//! height, and unanimous polls of `k` votes for the tip that never decide.

#![allow(missing_docs)]

use std::{hint::black_box, time::Duration};

use avalanche_ids::Id;
use avalanche_snow::consensus::{Flavor, Params, Topological, instance::Rule};
use avalanche_utils::Bag;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn id(height: u64, rival: u8) -> Id {
    Id::EMPTY.prefix(&[height, u64::from(rival)])
}

fn chain(blocks: u64, rivals: bool) -> (Topological, Bag<Id>) {
    let params = Params { beta: u32::MAX, ..Params::default() };
    let rule = Rule { flavor: Flavor::Snowflake, params };
    let mut snowman = Topological::new(rule, id(0, 0), 0).expect("the parameters hold");
    let step = if rivals { 2 } else { 1 };
    let heights = blocks.div_ceil(step);
    for height in 1..=heights {
        snowman.add(id(height, 0), id(height - 1, 0), height).expect("the parent is there");
        if rivals && snowman.num_processing() < usize::try_from(blocks).unwrap_or(usize::MAX) {
            snowman.add(id(height, 1), id(height - 1, 0), height).expect("the parent is there");
        }
    }
    let mut votes = Bag::new();
    votes.add_count(id(heights, 0), params.k);
    (snowman, votes)
}

fn polls(c: &mut Criterion) {
    for (name, rivals) in [("chain", false), ("chain with rivals", true)] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(2));
        for blocks in [1, 10, 50, 250] {
            let (mut snowman, votes) = chain(blocks, rivals);
            group.bench_function(BenchmarkId::from_parameter(blocks), |b| {
                b.iter(|| black_box(snowman.record_poll(black_box(&votes))));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, polls);
criterion_main!(benches);
