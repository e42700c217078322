//! How many real main network headers one core verifies per second: decode, both hashes, every rule, link to the parent,
//! fork-detection data. Needs the header vectors in `$VECTORS_DIR` (default `../../shared/vectors`).

#![allow(missing_docs, clippy::print_stderr)]

use std::{hint::black_box, path::PathBuf};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustock::{
    codec::{
        decode_header, decode_headers,
        keccak::{keccak256, keccak256_many},
    },
    params::Params,
    types::Timestamp,
    verify::{self, Checked, Sequence},
};
use shared_vendor::hex;

const NOW: Timestamp = Timestamp(1_800_000_000);

fn wires() -> Vec<Bytes> {
    let root =
        std::env::var_os("VECTORS_DIR").map_or_else(|| PathBuf::from("../../shared/vectors"), PathBuf::from);
    let mut wires = Vec::new();
    for entry in std::fs::read_dir(root.join("rustock/mainnet")).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "txt") {
            let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
            let rlp = text.lines().filter_map(|line| line.rsplit(' ').next());
            wires.extend(rlp.filter_map(|rlp| hex::decode(rlp).ok()).map(Bytes::from));
            break;
        }
    }
    if wires.is_empty() {
        eprintln!("skipped: no vectors");
    }
    wires
}

/// Links and fork-detection data of headers that were checked alone.
fn link_all(params: &Params, headers: impl IntoIterator<Item = Checked>) -> Option<Sequence> {
    let mut run: Option<Sequence> = None;
    for checked in headers {
        match run.as_mut() {
            Some(run) => run.push(params, checked).expect("real headers are linked"),
            None => run = Some(Sequence::at_checkpoint(checked)),
        }
    }
    run
}

fn headers(criterion: &mut Criterion) {
    let wires = wires();
    if wires.is_empty() {
        return;
    }
    let params = Params::mainnet();
    let mut group = criterion.benchmark_group("headers");
    group.throughput(Throughput::Elements(wires.len() as u64));
    group.bench_function("verified_one_by_one", |bencher| {
        bencher.iter(|| {
            let headers = wires.iter().map(|wire| {
                let header = decode_header(&params, wire.clone()).expect("real headers decode");
                verify::check(&params, header, Some(NOW)).expect("real headers are valid")
            });
            black_box(link_all(&params, headers));
        });
    });
    group.bench_function("verified_in_runs_of_192", |bencher| {
        bencher.iter(|| {
            let runs = wires.chunks(192).flat_map(|run| {
                let headers = decode_headers(&params, run.iter().cloned());
                let headers =
                    headers.into_iter().map(|header| header.expect("real headers decode")).collect();
                verify::check_all(&params, headers, Some(NOW))
            });
            black_box(link_all(&params, runs.map(|checked| checked.expect("real headers are valid"))));
        });
    });
    group.bench_function("decoded_in_runs_of_192", |bencher| {
        bencher.iter(|| {
            for run in wires.chunks(192) {
                black_box(decode_headers(&params, run.iter().cloned()));
            }
        });
    });
    group.finish();
}

fn keccak(criterion: &mut Criterion) {
    let message = [7; 660];
    let messages = [[&message[..], &[]]; 8];
    let mut group = criterion.benchmark_group("keccak");
    group.throughput(Throughput::Elements(8));
    group.bench_function("8_times_660_bytes_one_by_one", |bencher| {
        bencher.iter(|| messages.map(|message| keccak256(black_box(&message))));
    });
    group.bench_function("8_times_660_bytes_at_once", |bencher| {
        bencher.iter(|| keccak256_many(black_box(&messages)));
    });
    group.finish();
}

criterion_group!(benches, headers, keccak);
criterion_main!(benches);
