//! Random blocks of all kinds of transactions, executed both ways. `PARALLEL_BLOCKS` sets how many.

use super::*;
use crate::{
    state::{
        Pool,
        app::MemoryStore,
        registry::Validator,
        transition::{block, slot::Application},
    },
    types::{
        address,
        params::{POS, Params},
        primitives::{FAR_FUTURE, List, Nano, PublicKey, Signature},
        transaction::{Auth, TxBody},
    },
};

const ACCOUNTS: u64 = 12;

/// A small generator with good enough bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn key(number: u64) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    key
}

fn account(number: u64) -> Address {
    address::single(&key(number))
}

fn config() -> Config {
    Config { params: Params::minimal(), chain_id: 7, genesis_fork_version: [0; 4], genesis_time: 0 }
}

fn world(random: &mut Random) -> (State, MemoryStore) {
    let config = config();
    let mut state = State::empty(&config.params);
    state.slot = 100;
    for number in 0..3u8 {
        let validator = Validator {
            pubkey: PublicKey([number; 48]),
            owner: account(number.into()),
            effective_balance: 32 * POS,
            slashed: number == 2,
            activation_eligibility_epoch: 0,
            activation_epoch: 0,
            exit_epoch: FAR_FUTURE,
            withdrawable_epoch: FAR_FUTURE,
            effective_cap: 64 * POS,
        };
        let shares = u128::from(32 * POS);
        let pool = Pool { total_shares: shares, operator_shares: shares, ..Pool::default() };
        state.push_validator(&validator, 32 * POS, pool);
    }
    let mut store = MemoryStore::default();
    let mut app = Overlay::new(&store);
    for number in 0..ACCOUNTS {
        if random.below(4) > 0 {
            let balance = random.below(200) * POS / 8;
            app.put_account(
                &account(number),
                &Account { balance, nonce: random.below(3), ..Account::default() },
            );
        }
    }
    let changes = app.into_changes();
    store.apply(changes);
    (state, store)
}

fn action(random: &mut Random) -> Action {
    let to = |random: &mut Random| account(random.below(ACCOUNTS + 4));
    let amount = |random: &mut Random| -> Nano { random.below(4) * POS / 2 };
    match random.below(12) {
        0 => Action::Delegate { validator: random.below(4), amount: POS + amount(random) },
        1 => Action::Undelegate { validator: random.below(4), shares: u128::from(1 + amount(random)) },
        2 => Action::ExitValidator { validator: random.below(4) },
        3 => Action::EditValidator {
            validator: random.below(4),
            commission_bps: Some(100),
            fee_recipient: Some(to(random)),
        },
        4 => Action::Redelegate { from: 0, to: 1, shares: u128::from(1 + amount(random)) },
        5 => Action::RegisterValidator {
            pubkey: PublicKey([9; 48]),
            proof: Signature::ZERO,
            amount: 32 * POS,
            commission_bps: 0,
            max_commission_bps: 1,
            effective_cap: 64 * POS,
            fee_recipient: Address::ZERO,
        },
        6 | 7 => {
            let count = random.below(5);
            let transfers = (0..count).map(|_| (to(random), amount(random))).collect();
            Action::MultiTransfer { transfers: List::new(transfers).expect("few") }
        }
        _ => Action::Transfer { to: to(random), amount: amount(random) },
    }
}

/// Transactions most of which may be in the block, in an order that makes them so; `flaw` breaks one in a while.
fn block(random: &mut Random, state: &State, store: &MemoryStore, flaw: bool) -> Vec<Tx> {
    let config = config();
    let (mut state, mut app) = (state.clone(), Overlay::new(store));
    let mut run = TxRun::new(&state, &config);
    let mut txs = Vec::new();
    for _ in 0..random.below(40) {
        let sender = random.below(ACCOUNTS);
        let body = TxBody {
            chain_id: 7,
            nonce: app.account(&account(sender)).nonce,
            valid_until: 100 + random.below(50),
            gas_limit: 35_000 + random.below(300_000) * random.below(10),
            max_fee: 1 + random.below(5),
            tip: 0,
            action: action(random),
        };
        let body = TxBody { tip: random.below(body.max_fee + 1), ..body };
        let tx = Tx { auth: Auth::Single { pubkey: key(sender), signature: [0; 64] }, body };
        let taken = run.push(&mut state, &mut app, &Prepared::new(&tx)).is_ok();
        if taken || (flaw && random.below(20) == 0) {
            txs.push(tx);
        }
    }
    txs
}

#[test]
fn random_blocks_give_the_same_bytes_in_parallel_as_one_after_the_other() {
    let count = std::env::var("PARALLEL_BLOCKS").ok().and_then(|text| text.parse().ok()).unwrap_or(300u64);
    let (mut valid, mut executed) = (0u64, 0usize);
    for seed in 0..count {
        let mut random = Random(seed);
        let (state, store) = world(&mut random);
        let txs = block(&mut random, &state, &store, seed % 3 == 0);
        let prepared = prepare(&txs);
        let (config, tips_to) = (config(), account(random.below(ACCOUNTS)));
        let run = |parallel: bool| {
            let (mut state, mut app) = (state.clone(), Overlay::new(&store));
            let result = if parallel {
                process_txs_in_parallel(&mut state, &mut app, &config, &prepared, tips_to)
            } else {
                block::process_txs(&mut state, &mut app, &config, &prepared, tips_to)
            };
            result.map(|result| (result, app.root(), app.into_changes(), state))
        };
        let (fast, slow) = (run(true), run(false));
        assert_eq!(fast, slow, "seed {seed}");
        valid += u64::from(slow.is_ok());
        executed += txs.len();
    }
    assert!(valid * 2 > count && executed > usize::try_from(count).expect("small") * 5, "{valid} {executed}");
}
