use neo_base::{
    account::multisig_script,
    ledger::{Scopes, Signer, TransactionBody, Witness, sign_data},
};
use neo_contract::{Hardfork, Hardforks, ProtocolSettings};
use neo_crypto::secp256r1::PrivateKey;
use neo_store::Database;
use rayon::prelude::*;

use super::*;
use crate::LedgerOptions;

const NETWORK: u32 = 7;
/// What the single validator owns after the first block, in datoshi.
const FUNDS: i64 = 1_000_000_000;

fn key() -> PrivateKey {
    PrivateKey::from_bytes(&[7; 32]).expect("below the order")
}

fn admission() -> Admission {
    let settings = ProtocolSettings {
        standby_committee: vec![key().public_key()],
        validators_count: 1,
        initial_gas_distribution: FUNDS.unsigned_abs(),
        forks: Hardforks::new(&Hardfork::ALL.map(|fork| (fork, 0))).expect("in order"),
        ..ProtocolSettings::private(NETWORK)
    };
    let ledger = Ledger::open(Arc::new(settings), LedgerOptions::default(), Database::in_memory());
    Admission::new(Arc::new(ledger.expect("a new chain")), Box::new(|_| {}))
}

/// A transaction of the validator's account that costs so much.
fn transaction(nonce: u32, fee: i64) -> Arc<Transaction> {
    let script = multisig_script(1, &[key().public_key()]).expect("one key");
    let body = TransactionBody {
        nonce,
        system_fee: fee - 10_000_000,
        network_fee: 10_000_000,
        valid_until_block: 10,
        signers: vec![Signer::new(neo_base::account::script_hash(&script), Scopes::CALLED_BY_ENTRY)],
        attributes: Vec::new(),
        script: vec![0x11],
    };
    let unsigned = Transaction::new(body.clone(), vec![Witness::default()]);
    let signature = key().sign(&sign_data(NETWORK, &unsigned.hash()));
    let invocation = [&[0x0c, 64], &signature[..]].concat();
    Arc::new(Transaction::new(body, vec![Witness { invocation, verification: script }]))
}

#[test]
fn a_sender_never_gets_more_into_the_pool_than_it_can_pay_whoever_is_first() {
    let admission = admission();
    let transactions: Vec<_> = (0..40).map(|nonce| transaction(nonce, FUNDS / 10)).collect();
    let accepted = transactions.par_iter().filter(|tx| admission.submit(Arc::clone(tx)).is_ok()).count();
    assert_eq!((accepted, admission.size().0), (10, 10));
    let more = admission.submit(transaction(100, FUNDS / 10));
    assert!(matches!(more, Err(PoolError::Invalid(VerifyError::InsufficientFunds))), "{more:?}");
}

#[test]
fn one_that_came_from_many_sides_is_taken_once() {
    let admission = admission();
    let tx = transaction(1, FUNDS);
    let results: Vec<_> = (0..8).into_par_iter().map(|_| admission.submit(Arc::clone(&tx))).collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let known = |result: &Result<_, _>| matches!(result, Ok(()) | Err(PoolError::AlreadyInPool));
    assert!(results.iter().all(known), "{results:?}");
    // the hash covers no signatures: a bad one of a known transaction is not looked at
    let forged = Arc::new(Transaction::new(tx.body().clone(), vec![Witness::default()]));
    assert!(matches!(admission.submit(forged), Err(PoolError::AlreadyInPool)));
}
