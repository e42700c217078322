//! What survives: tables made again from flat files, indexes filled again, snapshots, lite mode, damage.

use std::{fs, sync::Arc};

use fluxd_chainstate::{ChainError, ChainState, IndexKind, Options};
use fluxd_miner::testing::{Lab, params};
use tempfile::TempDir;

use crate::common::{copy, digests, from_now, grow, options};

/// Blocks of the chain.
const HEIGHT: u32 = 230;

fn grown() -> (TempDir, Lab) {
    let dir = TempDir::new().expect("a folder");
    let mut lab = Lab::open(dir.path(), options());
    grow(&mut lab, HEIGHT);
    (dir, lab)
}

#[test]
fn flat_files_alone_make_the_same_state_again() {
    let (dir, lab) = grown();
    let (expected, tip, now) = (digests(&lab.chain), lab.chain.tip(), lab.now);
    drop(lab);
    let reopened = ChainState::open(dir.path(), Arc::new(params()), options()).expect("opens again");
    assert_eq!((reopened.tip(), digests(&reopened)), (tip, expected.clone()));
    assert_eq!(reopened.lagging(), []);
    drop(reopened);
    let mut calls = 0;
    let stopped = ChainState::reindex(dir.path(), Arc::new(params()), options(), now, |_| {
        calls += 1;
        calls < 2
    });
    let mut chain = stopped.expect("reindexed");
    assert!(chain.is_reindexing().expect("a store"), "it was stopped");
    assert!(chain.tip().height < tip.height);
    let done = chain.import_files(now, |_| true).expect("goes on");
    assert_eq!((done.height, done.refused), (tip.height, 0));
    assert!(!chain.is_reindexing().expect("a store"));
    assert_eq!((chain.tip(), digests(&chain)), (tip, expected));
    let verified = chain.verify_chain(4, 0).expect("a store");
    assert_eq!((verified.blocks, verified.problems), (HEIGHT, Vec::<String>::new()));
    let mut lab = Lab::with(chain);
    lab.mine_to(HEIGHT + 3);
}

#[test]
fn an_index_is_filled_again_alone_and_one_that_comes_late_catches_up() {
    let (dir, mut lab) = grown();
    let expected = digests(&lab.chain);
    for kind in IndexKind::ALL {
        lab.chain.rebuild_index(kind).expect("thrown away");
        assert_ne!(digests(&lab.chain), expected, "{kind:?}");
        assert_eq!(lab.chain.lagging(), [(kind, 0)]);
        while lab.chain.catch_up(100).expect("caught up") {}
        assert_eq!(digests(&lab.chain), expected, "{kind:?}");
    }
    let other = TempDir::new().expect("a folder");
    let mut late = Lab::open(other.path(), Options::default());
    copy(&lab.chain, &mut late);
    drop(late);
    let mut late = Lab::open(other.path(), options());
    assert_eq!(late.chain.lagging().len(), 5);
    assert!(late.chain.catch_up(40).expect("a part"));
    // The chain leaves while the indexes stand on blocks that are taken back.
    while late.chain.catch_up(100).expect("caught up") {}
    assert_eq!(digests(&late.chain), expected);
    drop((lab, dir));
}

#[test]
fn an_index_that_lags_on_a_block_that_is_taken_back_steps_back_with_the_chain() {
    let (_dir, mut lab) = grown();
    let expected = digests(&lab.chain);
    lab.chain.rebuild_index(IndexKind::Addresses).expect("thrown away");
    let height = usize::try_from(HEIGHT).expect("small");
    lab.chain.catch_up(height - 5).expect("a part");
    let fork = lab.chain.index().at_height(HEIGHT - 10).expect("active");
    let hash = lab.chain.index().entry(fork).hash();
    let now = lab.now;
    lab.chain.invalidate(&hash, now).expect("taken back");
    lab.mine_to(HEIGHT - 8);
    while lab.chain.catch_up(100).expect("caught up") {}
    lab.chain.reconsider(&hash).expect("known");
    lab.activate();
    while lab.chain.catch_up(100).expect("caught up") {}
    assert_eq!(digests(&lab.chain), expected);
}

#[test]
fn a_snapshot_makes_a_chain_state_that_goes_on_and_one_that_is_cut_makes_none() {
    let (_dir, mut lab) = grown();
    let mut bytes = Vec::new();
    let summary = lab.chain.export_snapshot(&mut bytes).expect("exported");
    assert_eq!((summary.height, summary.blocks), (HEIGHT, HEIGHT));
    let import = |bytes: &[u8], expected| {
        let dir = TempDir::new().expect("a folder");
        let mut input = bytes;
        let chain =
            ChainState::import_snapshot(dir.path(), Arc::new(params()), options(), &mut input, expected);
        (dir, chain)
    };
    let (dir, chain) = import(&bytes, Some(summary.checksum));
    let mut other = Lab::with(chain.expect("imported"));
    assert_eq!(digests(&other.chain), digests(&lab.chain));
    assert_eq!(other.chain.nodes(), lab.chain.nodes());
    let tip = lab.chain.index().at_height(HEIGHT - 3).expect("active");
    let hash = lab.chain.index().entry(tip).hash();
    let now = other.now;
    other.chain.invalidate(&hash, now).expect("taken back");
    other.chain.reconsider(&hash).expect("known");
    other.activate();
    other.mine_to(HEIGHT + 2);
    drop((other, dir));

    for cut in [0, 39, bytes.len() / 2, bytes.len() - 1] {
        let (dir, chain) = import(&bytes[..cut], None);
        assert!(chain.is_err(), "{cut} bytes");
        let open = ChainState::open(dir.path(), Arc::new(params()), options());
        assert!(matches!(open, Err(ChainError::Snapshot(_))), "half a snapshot opens");
        let again =
            ChainState::import_snapshot(dir.path(), Arc::new(params()), options(), &mut &bytes[..], None);
        assert_eq!(again.expect("imported").tip(), lab.chain.tip());
    }
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 3] ^= 1;
    assert!(import(&damaged, None).1.is_err());
    assert!(import(&bytes, Some([0; 32])).1.is_err());
}

#[test]
fn damage_in_a_flat_file_is_found_by_verification() {
    let (dir, lab) = grown();
    drop(lab);
    let path = dir.path().join("blocks/blk00000.dat");
    let mut bytes = fs::read(&path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::write(&path, bytes).expect("written");
    let mut chain = ChainState::open(dir.path(), Arc::new(params()), options()).expect("opens");
    assert!(!chain.verify_chain(3, 0).expect("a store").is_clean());
}

#[test]
fn a_block_whose_signature_is_wrong_may_come_again() {
    let (_dir, lab) = grown();
    let dir = TempDir::new().expect("a folder");
    let mut other = Lab::in_memory(dir.path(), options());
    other.now = from_now(&lab.chain);
    for height in 1..=HEIGHT {
        let good = lab.chain.body(lab.chain.index().at_height(height).expect("active")).expect("stored");
        let mut block = good.block().clone();
        let forged = block.transactions.iter_mut().any(|tx| match tx.fluxnode.as_deref_mut() {
            Some(fluxd_primitives::transaction::fluxnode::FluxnodeTx::Confirm(confirm)) => {
                confirm.signature = vec![28; 65];
                true
            }
            _ => false,
        });
        if forged {
            let bad = fluxd_consensus::check::CheckedBlock::new(Arc::new(block)).expect("the same hash");
            assert_eq!(bad.hash(), good.hash());
            let now = other.now;
            other.chain.accept_block(&Arc::new(bad), true, now).expect("stored");
            other.activate();
            assert_eq!(other.chain.index().height(), height - 1, "the forged block is not connected");
            assert!(!other.chain.index().entry(other.chain.index().best_header()).is_failed());
        }
        other.add(&good);
        assert_eq!(other.chain.index().height(), height);
    }
    assert_eq!(digests(&other.chain), digests(&lab.chain));
}
