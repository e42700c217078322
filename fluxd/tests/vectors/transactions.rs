//! Real transactions and those of the JavaScript client: layout, ids, addresses.

use fluxd_consensus::{
    Network, Params,
    check::{
        check_transaction,
        transaction::{check_transaction_at, is_expired, is_final},
    },
};
use fluxd_fluxnode::message::{
    benchmark_message, confirm_message, is_benchmark_signed, is_confirm_signed, is_start_signed,
    start_message,
};
use fluxd_p2p::merkle::PartialTree;
use fluxd_pow::meets_target;
use fluxd_primitives::{
    Address, AddressFormat, Amount, BlockHash, Codec, CompactTarget, PublicKey, Transaction, TxId,
    address::SecretText,
    block::merkle_root,
    transaction::fluxnode::{Confirm, FluxnodeTx, Owner, Start},
};
use fluxd_script::{
    Flags, InputContext, SighashParts, Standard, ecdsa,
    sighash::{SignedInput, signature_hash},
    verify_script,
};
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, File},
};

use crate::common::{bytes, number, rows, text, wire};

/// Transactions of the main network with their id preimages.
pub(crate) fn mainnet(file: &File<'_>, cases: &mut Cases) {
    for row in rows(file) {
        let id = text(&row, "txid").to_owned();
        let tx: Transaction = wire(&row, "raw");
        cases.equal(format!("{id} re-encoded"), &hex::encode(tx.to_bytes()), &text(&row, "raw").to_owned());
        cases.equal(
            format!("{id} preimage"),
            &hex::encode(tx.id_preimage()),
            &text(&row, "txid_preimage").to_owned(),
        );
        cases.equal(format!("{id} txid"), &tx.txid().to_string(), &id);
        cases.equal(format!("{id} rules"), &check_transaction(&tx), &Ok(()));
        match tx.fluxnode.as_deref() {
            Some(FluxnodeTx::Start(start)) => start_signature(cases, &id, start, &tx, &row),
            Some(FluxnodeTx::Confirm(confirm)) => confirm_signatures(cases, &id, confirm, &row),
            _ => spends(cases, &id, &tx, &row),
        }
    }
}

/// Who signed a START, as recovered by an independent program.
fn start_signature(cases: &mut Cases, id: &str, start: &Start, tx: &Transaction, row: &Value) {
    cases.equal(format!("{id} message"), &start_message(&tx.txid()), &text(row, "signed_message").to_owned());
    cases.equal(format!("{id} signature"), &is_start_signed(start, &tx.txid(), &[]), &true);
    let signature = start.claim.as_ref().map(|claim| claim.signature.as_slice()).unwrap_or_default();
    let signer = ecdsa::recover(&ecdsa::message_hash(text(row, "signed_message").as_bytes()), signature);
    let expected = PublicKey::from_serialized(&bytes(row, "signer_pubkey_recovered"));
    cases.equal(format!("{id} signer"), &signer, &Some(expected));
    let mut other = start.clone();
    if let Some(claim) = &mut other.claim {
        claim.signature[0] ^= 4; // names the other form of the same key
    }
    cases.equal(format!("{id} other key form"), &is_start_signed(&other, &tx.txid(), &[]), &false);
}

/// Who signed a CONFIRM and its benchmark.
fn confirm_signatures(cases: &mut Cases, id: &str, confirm: &Confirm, row: &Value) {
    cases.equal(format!("{id} message"), &confirm_message(confirm), &text(row, "signed_message").to_owned());
    let node_key = PublicKey::from_serialized(&bytes(row, "node_pubkey_recovered"));
    cases.equal(format!("{id} signature"), &is_confirm_signed(confirm, &node_key), &true);
    let message = benchmark_message(confirm);
    let suffix = text(row, "benchmark_message_suffix").as_bytes();
    cases.check(format!("{id} benchmark message"), message.ends_with(suffix), || format!("{message:?}"));
    let params = Params::of(Network::Main);
    let key = params.benchmark_key(confirm.benchmark_sig_time).expect("a key of that time");
    cases.equal(
        format!("{id} benchmark key"),
        &hex::encode(key.as_bytes()),
        &text(row, "benchmark_pubkey").to_owned(),
    );
    cases.equal(format!("{id} benchmark signature"), &is_benchmark_signed(confirm, key), &true);
    cases.equal(format!("{id} benchmark by the node"), &is_benchmark_signed(confirm, &node_key), &false);
}

/// Unlocks the outputs that a transparent transaction spends.
fn spends(cases: &mut Cases, id: &str, tx: &Transaction, row: &Value) {
    let parts = SighashParts::new(tx);
    for (index, input) in row["inputs"].as_array().into_iter().flatten().enumerate() {
        let script_pubkey = bytes(input, "script_pubkey");
        let amount = Amount::from_zat(input["value"].as_i64().expect("a value"));
        let branch_id = u32::from_str_radix(text(input, "branch_id"), 16).expect("a branch");
        let hash_type = i32::try_from(number(input, "hash_type")).expect("a hash type");
        let signed = SignedInput { index, script_code: &script_pubkey, amount };
        let hash = signature_hash(tx, &parts, Some(signed), hash_type, branch_id);
        cases.equal(
            format!("{id} input {index} sighash"),
            &hash.map(|hash| hex::encode(hash.0)),
            &Ok(text(input, "sighash").to_owned()),
        );
        let context = InputContext { tx, parts: &parts, index, amount, branch_id };
        let outcome = verify_script(&tx.inputs[index].script_sig.0, &script_pubkey, Flags::POLICY, &context);
        cases.equal(format!("{id} input {index} script"), &outcome, &Ok(()));
    }
}

/// Transactions as a block explorer decoded them.
pub(crate) fn explorer(file: &File<'_>, cases: &mut Cases) {
    for row in rows(file) {
        let id = text(&row, "txid").to_owned();
        let tx: Transaction = wire(&row, "hex");
        cases.equal(format!("{id} re-encoded"), &hex::encode(tx.to_bytes()), &text(&row, "hex").to_owned());
        cases.equal(format!("{id} txid"), &tx.txid().to_string(), &id);
        cases.equal(format!("{id} version"), &Some(u64::from(tx.version)), &row["version"].as_u64());
        let lock_time = row["locktime"].as_u64().unwrap_or_default(); // the explorer leaves a zero out
        cases.equal(format!("{id} lock time"), &u64::from(tx.lock_time), &lock_time);
        for (input, expected) in tx.inputs.iter().zip(row["vin"].as_array().expect("vin is a list")) {
            cases.equal(
                format!("{id} input"),
                &input.prevout.txid.to_string(),
                &text(expected, "txid").to_owned(),
            );
            cases.equal(format!("{id} script"), &input.script_sig.0, &bytes(&expected["scriptSig"], "hex"));
            cases.equal(
                format!("{id} sequence"),
                &Some(u64::from(input.sequence)),
                &expected["sequence"].as_u64(),
            );
        }
        for (output, expected) in tx.outputs.iter().zip(row["vout"].as_array().expect("vout is a list")) {
            let script = &expected["scriptPubKey"];
            cases.equal(
                format!("{id} output"),
                &output.value.to_string(),
                &text(expected, "value").to_owned(),
            );
            cases.equal(format!("{id} locking script"), &output.script_pubkey.0, &bytes(script, "hex"));
            for address in script["addresses"].as_array().into_iter().flatten() {
                let address = address.as_str().expect("addresses are text");
                let decoded = Address::decode(address, &AddressFormat::MAIN);
                cases.check(format!("{id} {address}"), output_pays(&output.script_pubkey.0, decoded), || {
                    format!("{decoded:?} is not in {:?}", output.script_pubkey)
                });
                let again = decoded.map(|decoded| decoded.encode(&AddressFormat::MAIN));
                cases.equal(format!("{id} address"), &again.as_deref(), &Some(address));
            }
        }
    }
}

/// Hashes of blocks by height: proofs of work within the limit of their time. Where the ids of all transactions are told,
/// those that are known in full are among them, can be shown to be by a partial merkle tree, and fit the height.
pub(crate) fn blocks_of_explorer(file: &File<'_>, cases: &mut Cases) {
    let params = Params::of(Network::Main);
    let known = std::fs::read(file.root().join("flux_mainnet/blockbook_txs.json")).expect("transactions");
    let known: Vec<Value> = serde_json::from_slice(&known).expect("JSON");
    for row in rows(file) {
        let (name, height) =
            (number(&row, "height"), u32::try_from(number(&row, "height")).expect("a height"));
        let hash: BlockHash = text(&row, "hash").parse().expect("a hash");
        let limit = CompactTarget::from_value(params.pow.limit);
        cases.equal(format!("{name} work"), &meets_target(&hash, limit, params.pow.limit), &true);
        cases.equal(format!("{name} kind"), &params.pon.is_active(height), &false);
        let own = params.checkpoint(height).is_none_or(|known| known == hash);
        cases.check(format!("{name} known block"), own, || format!("{:?}", params.checkpoint(height)));
        let inside: Vec<&Value> = known.iter().filter(|tx| tx["height"] == row["height"]).collect();
        for about in &inside {
            let tx: Transaction = wire(about, "hex");
            let time = number(about, "time");
            cases.equal(format!("{name} hash"), &text(about, "block_hash"), &text(&row, "hash"));
            cases.equal(format!("{name} time"), &row["time"].as_u64().unwrap_or(time), &time);
            cases.equal(format!("{name} rules"), &check_transaction_at(&tx, &params, height), &Ok(()));
            let final_there = is_final(&tx, height, i64::try_from(time).expect("a time"));
            cases.equal(format!("{name} final"), &(final_there, is_expired(&tx, height)), &(true, false));
        }
        let Some(ids) = row["txids"].as_array() else { continue };
        let ids: Vec<TxId> =
            ids.iter().map(|id| id.as_str().and_then(|id| id.parse().ok()).expect("an id")).collect();
        let of_known: Vec<TxId> =
            inside.iter().map(|about| wire::<Transaction>(about, "hex").txid()).collect();
        let matched: Vec<bool> = ids.iter().map(|id| of_known.contains(id)).collect();
        let shown = PartialTree::build(&ids, &matched).extract().expect("a proof");
        cases.equal(format!("{name} root"), &shown.root, &merkle_root(&ids).root);
        let mut found: Vec<TxId> = shown.matches.iter().map(|(_, id)| *id).collect();
        found.sort_unstable();
        let mut wanted = of_known;
        wanted.sort_unstable();
        cases.equal(format!("{name} transactions"), &found, &wanted);
    }
}

/// START transactions that the JavaScript client built.
pub(crate) fn start_transactions(file: &File<'_>, cases: &mut Cases) {
    for row in rows(file) {
        let name = text(&row, "name").to_owned();
        let tx: Transaction = wire(&row, "tx");
        cases.equal(format!("{name} re-encoded"), &hex::encode(tx.to_bytes()), &text(&row, "tx").to_owned());
        cases.equal(format!("{name} txid"), &tx.txid().to_string(), &text(&row, "txid_fluxd").to_owned());
        let Some(FluxnodeTx::Start(start)) = tx.fluxnode.as_deref() else {
            cases.fail(name, &tx.fluxnode, &"a START");
            continue;
        };
        cases.equal(
            format!("{name} inner version"),
            &start.inner_version.map(i64::from),
            &row["flux_tx_version"].as_i64(),
        );
        let tail = start.delegates.as_ref().map(Codec::to_bytes).unwrap_or_default();
        cases.equal(
            format!("{name} delegate tail"),
            &hex::encode(tail),
            &text(&row, "delegate_tail").to_owned(),
        );
        cases.equal(format!("{name} rules"), &check_transaction(&tx), &Ok(()));
        let Some(claim) = &start.claim else {
            cases.fail(name, &start.claim, &"a claim");
            continue;
        };
        let signer = public_key(row["args"][2].as_str().expect("a private key"));
        let message = ecdsa::message_hash(start_message(&tx.txid()).as_bytes());
        cases.equal(
            format!("{name} signer"),
            &ecdsa::recover(&message, &claim.signature),
            &Some(signer.clone()),
        );
        let may_sign = match &claim.owner {
            Owner::Key(key) => *key == signer,
            Owner::RedeemScript(script) => {
                Standard::of(&script.0).is_some_and(|script| script.multisig_keys().contains(&signer))
            }
        };
        cases.equal(format!("{name} signature"), &is_start_signed(start, &tx.txid(), &[]), &may_sign);
        let (id, time) = (row["args"][0].as_str().expect("an id").to_owned(), &row["args"][4]);
        cases.equal(format!("{name} collateral"), &claim.collateral.txid.to_string(), &id);
        cases.equal(format!("{name} time"), &Some(claim.sig_time.to_string().as_str()), &time.as_str());
        if let Owner::RedeemScript(script) = &claim.owner {
            cases.equal(
                format!("{name} redeem script"),
                &Some(hex::encode(&script.0).as_str()),
                &row["args"][8].as_str(),
            );
        }
    }
}

/// The public key of a private key in wallet import format.
fn public_key(text: &str) -> PublicKey {
    let secret = SecretText::decode(text, &AddressFormat::MAIN).expect("a private key");
    let scalar = secp256k1::SecretKey::from_secret_bytes(secret.secret).expect("a scalar");
    let point = secp256k1::PublicKey::from_secret_key(&scalar);
    let (short, long) = (point.serialize(), point.serialize_uncompressed());
    PublicKey::from_serialized(if secret.compressed { &short } else { &long })
}

fn output_pays(script: &[u8], address: Option<Address>) -> bool {
    match address {
        Some(Address::PubkeyHash(hash) | Address::ScriptHash(hash)) => {
            script.windows(hash.0.len()).any(|window| window == hash.0)
        }
        None => false,
    }
}
