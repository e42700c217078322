use super::*;

#[test]
fn a_new_chain_starts_at_genesis_and_audits_clean() {
    let params = Params::regtest();
    let chain = Chain::open(Store::in_memory(&params).unwrap(), params.clone()).unwrap();
    assert_eq!(chain.tip().hash, params.genesis.as_ref().unwrap().hash);
    assert_eq!(chain.audit(true, |_| {}).unwrap(), Audit { on_chain: 1, stored: 1 });
}

#[test]
fn a_network_without_known_genesis_has_no_chain() {
    let params = Params::devnet();
    let chain = Chain::open(Store::in_memory(&params).unwrap(), params);
    assert!(matches!(chain, Err(OpenError::NoGenesis(_))));
}
