//! Proofs for somebody who has nothing but the genesis file: fetched from a running node, checked without one.

use std::path::Path;

use pos_node::{
    crypto::ed25519,
    node::genesis::{devnet_account, devnet_address},
    types::{
        codec::encode,
        primitives::Root,
        transaction::{Action, Auth, Tx, TxBody},
    },
};
use serde_json::json;
use shared_vendor::{
    hex,
    testing::node::{self, TestNode, eventually},
};

use crate::devnet::rpc;

const BINARY: &str = env!("CARGO_BIN_EXE_pos-node");

/// Sends a transfer through a node; gives its id.
pub(crate) fn submit(node: &TestNode) -> String {
    let address = node.address("rpc");
    let (specs, genesis) =
        (rpc(address, "chain_specs", &json!([])), rpc(address, "chain_genesis", &json!([])));
    let text = |of: &serde_json::Value, name: &str| of["result"][name].as_str().unwrap().to_owned();
    let body = TxBody {
        chain_id: text(&specs, "chainId").parse().unwrap(),
        nonce: 0,
        valid_until: 1000,
        gas_limit: 40_000,
        max_fee: 1000,
        tip: 1,
        action: Action::Transfer { to: devnet_address(2), amount: 7 },
    };
    let version = hex::decode_array(&text(&genesis, "forkVersion")).unwrap();
    let validators_root: Root = text(&genesis, "validatorsRoot").parse().unwrap();
    let (seed, message) = (devnet_account(1), body.signing_message(version, validators_root));
    let auth = Auth::Single { pubkey: ed25519::public_key(&seed), signature: ed25519::sign(&seed, &message) };
    let raw = format!("0x{}", hex::encode(encode(&Tx { auth, body })));
    rpc(address, "tx_submit", &json!([raw]))["result"].as_str().unwrap().to_owned()
}

/// An account after the final block and a final transaction are proven from genesis; what is changed is refused.
pub(crate) fn hold(home: &Path, node: &TestNode, genesis: &Path, tx: &str) {
    let url = format!("http://{}", node.address("rpc"));
    let file = home.join("proof.json");
    let genesis = genesis.to_str().unwrap();
    let run = |args: &[&str]| {
        let done = node::run(BINARY, home, args);
        (done.status.code(), [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap()).concat())
    };
    let verify = |more: &[&str]| {
        let args =
            ["light", "verify", file.to_str().unwrap(), "--network", "devnet", "--chain-genesis", genesis];
        run(&[&args[..], more].concat())
    };
    let account = devnet_address(2).to_string();
    for subject in [["account", &account], ["tx", tx]] {
        let args = [&["proof"][..], &subject, &["--url", &url, "--out", file.to_str().unwrap()]].concat();
        // what is not final yet will be, and the certificate comes a moment after that
        let mut refused = String::new();
        let proven = eventually(|| {
            for (code, said) in [run(&args), verify(&[])] {
                if code != Some(0) {
                    refused = said;
                    return None;
                }
                refused.clone_from(&said);
            }
            Some(std::mem::take(&mut refused))
        });
        let said = proven.unwrap_or_else(|| panic!("not certified in time: {refused}"));
        assert!(said.contains("certificates") && said.contains(subject[1]), "{said}");
        assert_ne!(verify(&["--signers", &Root([1; 32]).to_string()]).0, Some(0), "another set");
        let good = std::fs::read_to_string(&file).unwrap();
        let mut changed: serde_json::Value = serde_json::from_str(&good).unwrap();
        changed["certificates"].as_array_mut().unwrap().pop();
        std::fs::write(&file, changed.to_string()).unwrap();
        assert_ne!(verify(&[]).0, Some(0), "a certificate less");
        std::fs::write(&file, good.replace(subject[1], &Root([5; 32]).to_string())).unwrap();
        assert_ne!(verify(&[]).0, Some(0), "another subject");
    }
}
