use super::*;
use crate::{
    state::verifier::BatchVerifier,
    types::{
        address,
        params::{POS, Params},
        transaction::{Action, Auth, TxBody},
    },
};
use proptest::prelude::*;

const SENDERS: u8 = 4;

struct World {
    config: Config,
    params: GovernedParams,
    accounts: BTreeMap<Address, Account>,
    base_fee: u64,
    slot: Slot,
}

fn address_of(seed: u8) -> Address {
    address::single(&ed25519::public_key(&[seed; 32]))
}

impl World {
    fn new() -> Self {
        let params = Params::minimal();
        let governed = GovernedParams::genesis(&params);
        let config = Config { params, chain_id: 7, genesis_fork_version: [0, 0, 0, 1], genesis_time: 0 };
        let account = Account { balance: POS, ..Account::default() };
        let accounts = (0..SENDERS).map(|seed| (address_of(seed), account)).collect();
        Self { config, params: governed, accounts, base_fee: 10, slot: 100 }
    }

    fn with<T>(&self, run: impl FnOnce(&Head<'_>) -> T) -> T {
        run(&Head {
            account: &|address| self.accounts.get(address).copied().unwrap_or_default(),
            config: &self.config,
            genesis_validators_root: Root::ZERO,
            params: &self.params,
            base_fee: self.base_fee,
            slot: self.slot,
        })
    }

    fn insert(&self, pool: &mut Mempool, txs: Vec<Tx>) -> Vec<Result<Root, Refusal>> {
        self.with(|head| pool.insert(txs, head, &BatchVerifier::new([0; 32])))
    }

    fn one(&self, pool: &mut Mempool, tx: Tx) -> Result<Root, Refusal> {
        self.insert(pool, vec![tx]).remove(0)
    }
}

fn tx(seed: u8, nonce: u64, max_fee: u64, tip: u64) -> Tx {
    tx_of(
        seed,
        TxBody {
            chain_id: 7,
            nonce,
            valid_until: 150,
            gas_limit: 40_000,
            max_fee,
            tip,
            action: Action::Transfer { to: Address([9; 32]), amount: 1 },
        },
    )
}

fn tx_of(seed: u8, body: TxBody) -> Tx {
    let message = body.signing_message([0, 0, 0, 1], Root::ZERO);
    let seed = [seed; 32];
    Tx {
        auth: Auth::Single { pubkey: ed25519::public_key(&seed), signature: ed25519::sign(&seed, &message) },
        body,
    }
}

fn order(pool: &Mempool, base_fee: u64) -> Vec<(u64, u64)> {
    pool.best(base_fee).map(|tx| (tx.body.nonce, tx.body.tip)).collect()
}

#[test]
fn those_who_pay_more_come_first_and_nonces_stay_in_order() {
    let world = World::new();
    let mut pool = Mempool::default();
    let txs =
        vec![tx(0, 0, 100, 1), tx(0, 1, 100, 50), tx(1, 0, 100, 20), tx(1, 1, 30, 25), tx(2, 1, 100, 99)];
    assert!(world.insert(&mut pool, txs).iter().all(Result::is_ok));
    assert_eq!(order(&pool, 10), [(0, 20), (1, 25), (0, 1), (1, 50)], "a gap holds back what is behind it");
    assert_eq!(order(&pool, 40), [(0, 20), (0, 1), (1, 50)], "a price too high stops a sender");
    assert_eq!(pool.next_nonce(&address_of(1)), Some(2));
    assert_eq!(pool.next_nonce(&address_of(2)), Some(0));
}

#[test]
fn every_reason_to_refuse_is_told() {
    let mut world = World::new();
    world.accounts.insert(address_of(3), Account { nonce: 5, balance: 3000, ..Account::default() });
    let mut pool = Mempool::new(Limits { per_sender: 3, gapped_per_sender: 1, bytes: 5 * 192 });
    let good = tx(0, 0, 100, 8);
    let id = world.one(&mut pool, good.clone()).expect("good");
    assert_eq!(world.one(&mut pool, good.clone()), Err(Refusal::Known));
    assert_eq!(pool.get(&id).map(|tx| Tx::clone(tx)), Some(good.clone()));
    let changed = |change: &dyn Fn(&mut TxBody)| {
        let mut body = good.body.clone();
        body.nonce = 1;
        change(&mut body);
        tx_of(0, body)
    };
    let invalid = |error| Err(Refusal::Invalid(error));
    assert_eq!(world.one(&mut pool, changed(&|body| body.chain_id = 8)), invalid(TxError::ChainId(8)));
    assert_eq!(
        world.one(&mut pool, changed(&|body| body.valid_until = 99)),
        invalid(TxError::ValidUntil(99))
    );
    assert_eq!(world.one(&mut pool, changed(&|body| body.tip = 101)), invalid(TxError::Tip));
    assert_eq!(
        world.one(&mut pool, changed(&|body| body.gas_limit = 1)),
        invalid(TxError::IntrinsicGas(32_680))
    );
    assert_eq!(world.one(&mut pool, changed(&|body| body.gas_limit = u64::MAX)), invalid(TxError::BlockGas));
    assert_eq!(world.one(&mut pool, tx(3, 4, 10, 1)), invalid(TxError::Nonce { found: 4, expected: 5 }));
    let mut forged = tx(1, 0, 100, 9);
    forged.body.tip = 10;
    let verdicts = world.insert(&mut pool, vec![tx(1, 0, 100, 9), forged, tx(2, 0, 100, 9)]);
    assert!(verdicts[0].is_ok() && verdicts[2].is_ok());
    assert_eq!(verdicts[1], Err(Refusal::Signature));
    assert_eq!(world.one(&mut pool, tx(0, 0, 113, 8)), Err(Refusal::Underpriced), "the tip must rise too");
    assert_eq!(world.one(&mut pool, tx(0, 0, 112, 9)), Err(Refusal::Underpriced), "by an eighth");
    world.one(&mut pool, tx(0, 0, 113, 9)).expect("pays enough");
    assert_eq!(pool.len(), 3);
    assert_eq!(world.one(&mut pool, tx(3, 5, 100, 9)), Err(Refusal::Unfundable));
    world.one(&mut pool, tx(3, 5, 30, 9)).expect("1200 + 1 of 3000");
    assert_eq!(world.one(&mut pool, tx(3, 6, 60, 9)), Err(Refusal::Unfundable), "both together");
    world.one(&mut pool, tx(0, 2, 100, 10)).expect("one may wait behind a gap");
    assert_eq!(world.one(&mut pool, tx(0, 3, 100, 10)), Err(Refusal::SenderFull));
    assert_eq!(pool.bytes(), 5 * 192);
    assert_eq!(world.one(&mut pool, tx(1, 1, 100, 9)), Err(Refusal::Full), "no better than the worst");
    world.one(&mut pool, tx(1, 1, 100, 11)).expect("pushes out one that pays 9");
    assert_eq!(pool.bytes(), pool.len() * 192);
}

#[test]
fn a_new_head_takes_away_what_was_included_is_late_or_cannot_be_paid() {
    let mut world = World::new();
    let mut pool = Mempool::default();
    world.insert(
        &mut pool,
        (0..3).flat_map(|nonce| (0..2).map(move |seed| tx(seed, nonce, 100, 5))).collect(),
    );
    assert_eq!(pool.len(), 6);
    world.accounts.insert(address_of(0), Account { nonce: 1, balance: 5000, ..Account::default() });
    world.with(|head| pool.on_head(head, [address_of(0)]));
    assert_eq!(pool.of_sender(&address_of(0)).map(|tx| tx.body.nonce).collect::<Vec<_>>(), [1]);
    world.slot = 151;
    world.with(|head| pool.on_head(head, []));
    assert!(pool.is_empty());
    assert_eq!((pool.bytes(), pool.by_tip.len(), pool.by_end.len()), (0, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_comes_the_indexes_agree_and_the_bounds_hold(
        steps in proptest::collection::vec((0..SENDERS, 0u64..6, 1u64..80, 0u64..40, any::<bool>()), 1..60),
    ) {
        let mut world = World::new();
        let limits = Limits { per_sender: 4, gapped_per_sender: 2, bytes: 10 * 192 };
        let mut pool = Mempool::new(limits);
        for (seed, nonce, max_fee, tip, include) in steps {
            world.one(&mut pool, tx(seed, nonce, max_fee, tip)).ok();
            if include {
                let best: Vec<Tx> = pool.best(world.base_fee).take(2).map(|tx| Tx::clone(tx)).collect();
                for tx in &best {
                    let account = world.accounts.entry(tx.sender()).or_default();
                    prop_assert_eq!(account.nonce, tx.body.nonce, "only what can be executed is offered");
                    account.nonce += 1;
                    account.balance -= 1000;
                }
                world.with(|head| pool.on_head(head, best.iter().map(Tx::sender)));
            }
            let all: Vec<&Entry> = pool.queues.values().flat_map(|queue| queue.by_nonce.values()).collect();
            let ids: BTreeSet<Root> = all.iter().map(|entry| entry.id).collect();
            prop_assert_eq!(ids, pool.by_id.keys().copied().collect::<BTreeSet<_>>());
            prop_assert_eq!(all.len(), pool.by_tip.len());
            prop_assert_eq!(all.len(), pool.by_end.len());
            prop_assert_eq!(all.iter().map(|entry| entry.bytes).sum::<usize>(), pool.bytes());
            prop_assert!(pool.bytes() <= limits.bytes);
            for (sender, queue) in &pool.queues {
                let account = world.accounts[sender];
                prop_assert!(!queue.by_nonce.is_empty() && queue.by_nonce.len() <= limits.per_sender);
                prop_assert!(queue.by_nonce.keys().all(|nonce| *nonce >= account.nonce));
                prop_assert!(queue.cost <= u128::from(account.balance));
                let cost: u128 = queue.by_nonce.values().map(|entry| u128::from(entry.cost)).sum();
                prop_assert_eq!(queue.cost, cost);
                let gap = (account.nonce..).find(|nonce| !queue.by_nonce.contains_key(nonce));
                prop_assert_eq!(Some(queue.gap), gap);
            }
            let offered: Vec<u64> = pool.best(world.base_fee).map(|tx| tx.body.max_fee).collect();
            prop_assert!(offered.iter().all(|fee| *fee >= world.base_fee));
        }
    }
}
