//! The pool over a real chain: what it admits, what it refuses and why, and how it follows blocks that come and go.

use std::sync::Arc;

use fluxd_chainstate::Options;
use fluxd_fluxnode::Tier;
use fluxd_mempool::{Admission, Drop, Mempool, Policy, Reject};
use fluxd_miner::testing::{Key, Lab, MINER_KEY, collateral, confirm, outpoint, outputs, start};
use fluxd_primitives::{Amount, COIN, OutPoint, Transaction, TxOut};
use tempfile::TempDir;

struct Bench {
    lab: Lab,
    pool: Mempool,
    /// An output with the rest of the money.
    purse: OutPoint,
    /// Collaterals that pay keys 100, 101, ...
    collaterals: Vec<OutPoint>,
    _dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        let mut lab = Lab::in_memory(dir.path(), Options::default());
        lab.mine_to(101);
        let first = lab.chain.index().at_height(1).expect("mined");
        let premine = outpoint(lab.chain.body(first).expect("stored").txids()[0], 0);
        let owners: Vec<Key> = (100..104).map(Key::number).collect();
        let payments: Vec<_> = owners.iter().map(|key| (collateral(Tier::Cumulus), key)).collect();
        let split = lab.pay(premine, outputs(&payments));
        let txid = split.txid();
        lab.mine(vec![split]);
        lab.mine_to(210);
        let policy = Policy { require_standard: true, ..Policy::default() };
        Self {
            lab,
            pool: Mempool::new(policy, [7; 32]),
            purse: outpoint(txid, 0),
            collaterals: (1..=4).map(|index| outpoint(txid, index)).collect(),
            _dir: dir,
        }
    }

    fn admission(&self) -> Admission {
        Admission { limit_free: true, reject_absurd_fee: false, now: self.lab.now, is_synced: true }
    }

    fn accept(&mut self, tx: &Transaction) -> Result<Amount, Reject> {
        let admission = self.admission();
        self.pool.accept(&self.lab.chain, &Arc::new(tx.clone()), admission).map(|admitted| admitted.fee)
    }

    fn pay(&self, from: OutPoint, coins: i64) -> Transaction {
        self.lab.pay(from, outputs(&[(Amount::from_zat(coins * COIN), &Key::number(50))]))
    }

    /// Mines what the pool holds, and tells the pool.
    fn mine_pool(&mut self) {
        let transactions = self.pool.iter().map(|entry| Transaction::clone(&entry.tx)).collect();
        let block = self.lab.make(transactions);
        let events = self.lab.add(&block);
        let now = self.lab.now;
        self.pool.follow(&self.lab.chain, &events, now, true);
    }

    fn time(&self) -> u32 {
        u32::try_from(self.lab.now).expect("this century")
    }
}

/// A child of a transaction that is not in the chain yet.
fn child(parent: &Transaction) -> Transaction {
    let spent = parent.outputs[0].clone();
    let key = Key::number(MINER_KEY);
    let value = Amount::from_zat(spent.value.zat() - 20_000);
    let mut tx = parent.clone();
    tx.inputs[0].prevout = outpoint(parent.txid(), 0);
    tx.outputs = vec![TxOut { value, script_pubkey: key.script() }];
    key.sign(&mut tx, &[spent], 0x76b8_09bb);
    tx
}

#[test]
fn transactions_are_admitted_once_and_conflicts_are_not() {
    let mut bench = Bench::new();
    let tx = bench.pay(bench.purse, 5);
    assert_eq!(bench.accept(&tx).expect("admitted"), Amount::from_zat(10_000));
    assert!(matches!(bench.accept(&tx), Err(Reject::Dropped(Drop::InPool))));
    let rival = bench.pay(bench.purse, 6);
    assert!(matches!(bench.accept(&rival), Err(Reject::Dropped(Drop::Conflict))));
    let grandchild = child(&child(&tx));
    assert!(matches!(bench.accept(&grandchild), Err(Reject::MissingInputs)));
    bench.accept(&child(&tx)).expect("admitted after its parent");
    bench.accept(&grandchild).expect("admitted after its parents");
    let mut broken = child(&grandchild);
    broken.inputs[0].script_sig.0[10] ^= 1;
    let reject = bench.accept(&broken).expect_err("a wrong signature");
    assert_eq!((reject.dos(), reject.code()), (100, 0x10), "{reject}");
    let mut dust = bench.pay(bench.purse, 1);
    dust.outputs[1].value = Amount::from_zat(10);
    assert_eq!(bench.accept(&dust).expect_err("dust").to_string(), "dust");

    let saved = bench.pool.to_bytes();
    let mut other = Mempool::new(Policy::default(), [0; 32]);
    let restored = other.restore(&bench.lab.chain, &saved, bench.lab.now, true);
    assert_eq!(restored, Ok((3, 3)));
    assert_eq!(other.bytes(), bench.pool.bytes());
    assert!(other.restore(&bench.lab.chain, &saved[..saved.len() - 1], bench.lab.now, true).is_err());

    bench.mine_pool();
    assert!(bench.pool.is_empty());
    assert_eq!(bench.pool.bytes(), 0);
}

#[test]
fn a_block_that_is_taken_back_gives_its_transactions_back() {
    let mut bench = Bench::new();
    let tx = bench.pay(bench.purse, 5);
    bench.accept(&tx).expect("admitted");
    bench.mine_pool();
    let tip = bench.lab.chain.tip().hash;
    let (now, child) = (bench.lab.now, child(&tx));
    bench.accept(&child).expect("admitted");
    let events = bench.lab.chain.invalidate(&tip, now).expect("taken back");
    bench.pool.follow(&bench.lab.chain, &events, now, true);
    assert!(bench.pool.get(&tx.txid()).is_some());
    assert!(bench.pool.get(&child.txid()).is_some());
    // A rival in the next block takes both with it.
    let rival = bench.pay(bench.purse, 9);
    let block = bench.lab.make(vec![rival]);
    let events = bench.lab.add(&block);
    let conflicts = bench.pool.follow(&bench.lab.chain, &events, now, true);
    assert_eq!(conflicts.len(), 2);
    assert!(bench.pool.is_empty());
}

#[test]
fn a_newer_fluxnode_transaction_replaces_an_older_one() {
    let mut bench = Bench::new();
    let (owner, node) = (Key::number(100), Key::number(900));
    let collateral = bench.collaterals[0];
    let now = bench.time();
    bench.accept(&start(collateral, &owner, &node, now - 10)).expect("admitted");
    let older = start(collateral, &owner, &node, now - 20);
    assert_eq!(
        bench.accept(&older).expect_err("older").to_string(),
        "fluxnode-tx-outpoint-sigTime-older-cant-replace"
    );
    let newer = start(collateral, &owner, &node, now);
    bench.accept(&newer).expect("admitted");
    assert_eq!(bench.pool.len(), 1);
    let wrong = start(bench.collaterals[1], &owner, &node, now);
    assert_eq!(
        bench.accept(&wrong).expect_err("not the owner").to_string(),
        "fluxnode-tx-destinations-didn't-match"
    );
    let old = start(bench.collaterals[1], &Key::number(101), &node, now - 4000);
    assert_eq!(bench.accept(&old).expect_err("too old").to_string(), "fluxnode-tx-sig-to-old");
    let mut forged = start(bench.collaterals[2], &Key::number(102), &node, now);
    forged.fluxnode = start(bench.collaterals[2], &Key::number(103), &node, now).fluxnode;
    let reject = bench.accept(&forged).expect_err("another owner's signature");
    assert!(reject.dos() > 0);
    let early = confirm(collateral, &node, false, "192.0.2.1", now);
    assert_eq!(bench.accept(&early).expect_err("not started").to_string(), "fluxnode-tx-not-found");
    bench.mine_pool();
    assert_eq!(bench.lab.chain.nodes().started().len(), 1);
    assert!(bench.accept(&newer).is_err(), "it was in a block");
    let now = bench.time();
    bench.accept(&confirm(collateral, &node, false, "192.0.2.1", now)).expect("admitted");
    bench.mine_pool();
    assert_eq!(bench.lab.chain.nodes().confirmed().len(), 1);
    let again = confirm(collateral, &node, true, "192.0.2.1", bench.time());
    assert!(matches!(bench.accept(&again), Err(Reject::Dropped(Drop::ConfirmNotDue))));
}

#[test]
fn the_pool_never_costs_more_than_its_limit() {
    let mut bench = Bench::new();
    bench.pool = Mempool::new(Policy { cost_limit: 20_000, ..Policy::default() }, [1; 32]);
    let mut tx = bench.pay(bench.purse, 1);
    for _ in 0..30 {
        match bench.accept(&tx) {
            Ok(_) => {}
            Err(Reject::MissingInputs | Reject::Dropped(Drop::RecentlyEvicted)) => break,
            Err(other) => panic!("{other:?}"),
        }
        assert!(bench.pool.cost() <= 20_000);
        tx = child(&tx);
    }
    assert!(bench.pool.len() <= 5);
}
