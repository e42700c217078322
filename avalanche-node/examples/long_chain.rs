//! `long_chain NETWORK-FOLDER STORE BLOCKS`: writes a P-chain of so many blocks, to measure bootstrapping from it.

#![allow(missing_docs, clippy::panic)] // a tool of developers

#[path = "../tests/it/source.rs"]
mod source;

use std::path::Path;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [network, store, blocks] = args.as_slice() else {
        panic!("usage: long_chain NETWORK-FOLDER STORE BLOCKS");
    };
    source::write(Path::new(store), Path::new(network), blocks.parse().expect("a number of blocks"));
}
