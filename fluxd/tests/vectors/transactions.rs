//! Real transactions and those of the JavaScript client: layout, ids, addresses.

use fluxd_primitives::{
    Address, AddressFormat, Codec, Transaction,
    transaction::fluxnode::{FluxnodeTx, Owner},
};
use shared_vendor::{
    hex,
    testing::vectors::{Cases, File},
};

use crate::common::{bytes, rows, text, wire};

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
        let Some(claim) = &start.claim else {
            cases.fail(name, &start.claim, &"a claim");
            continue;
        };
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

fn output_pays(script: &[u8], address: Option<Address>) -> bool {
    match address {
        Some(Address::PubkeyHash(hash) | Address::ScriptHash(hash)) => {
            script.windows(hash.0.len()).any(|window| window == hash.0)
        }
        None => false,
    }
}
