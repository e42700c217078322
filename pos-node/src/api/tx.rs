//! `tx_*`: submitting transactions and following them.

use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Methods, ParamDoc, Spec};

use super::{Context, View, ask, busy, data, failed, not_found, number, params};
use crate::{
    consensus::light::TxProof,
    mempool::Refusal,
    storage::{Database as _, TxPlace},
    types::{
        codec::encode,
        primitives::Root,
        transaction::{Receipt, Tx},
    },
};

const TX: &[ParamDoc] =
    &[ParamDoc { name: "transaction", help: "Encoded and signed, in hexadecimal", optional: false }];
const TXS: &[ParamDoc] =
    &[ParamDoc { name: "transactions", help: "List of encoded and signed transactions", optional: false }];
const ID: &[ParamDoc] = &[ParamDoc { name: "id", help: "Id of the transaction", optional: false }];
/// Most transactions of one call.
const MAX_BATCH: usize = 1024;

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add_async(Spec::open("tx_submit", "Offer a transaction", TX), |ctx, params| async move {
        let text: String = params.required(0, "transaction")?;
        let results = ctx.backend.submit(vec![params::tx(&text)?]).await.map_err(|_| busy())?;
        match results.into_iter().next() {
            Some(Ok(id)) => Ok(json!(id.to_string())),
            Some(Err(refusal)) => Err(refused(refusal)),
            None => Err(busy()),
        }
    });
    methods.add_async(Spec::open("tx_submitBatch", "Offer transactions", TXS), |ctx, params| async move {
        let texts: Vec<String> = params.required(0, "transactions")?;
        if texts.len() > MAX_BATCH {
            return Err(Error::new(-32004, "too many transactions in one call"));
        }
        let txs = texts.iter().map(|text| params::tx(text)).collect::<Result<_, _>>()?;
        let results = ctx.backend.submit(txs).await.map_err(|_| busy())?;
        let line = |result: Result<Root, Refusal>| match result {
            Ok(id) => json!({ "id": id.to_string() }),
            Err(refusal) => json!({ "error": refusal.to_string() }),
        };
        Ok(results.into_iter().map(line).collect())
    });
    methods.add_async(
        Spec::open("tx_decode", "What an encoded transaction says", TX),
        |_, params| async move {
            let text: String = params.required(0, "transaction")?;
            Ok(describe(&params::tx(&text)?))
        },
    );
    methods.add_async(Spec::open("tx_get", "A transaction", ID), |ctx, params| async move {
        let id = params::root(&params, 0, "id")?;
        ask(&ctx, move |view| {
            if let Some(tx) = view.mempool.get(&id) {
                return Ok(json!({ "status": "pending", "transaction": describe(tx) }));
            }
            let (place, tx, _) = placed(view, &id)?;
            let mut answer = describe(&tx);
            if let Some(members) = answer.as_object_mut() {
                members.insert("block".to_owned(), json!(place.block.to_string()));
                members.insert("slot".to_owned(), number(place.slot));
            }
            Ok(json!({ "status": status(view, &place), "transaction": answer }))
        })
        .await
    });
    methods.add_async(Spec::open("tx_receipt", "What a transaction did", ID), |ctx, params| async move {
        let id = params::root(&params, 0, "id")?;
        ask(&ctx, move |view| Ok(receipt(&placed(view, &id)?.2))).await
    });
    methods.add_async(
        Spec::open("tx_proof", "The proof that a transaction is in its block", ID),
        |ctx, params| async move {
            let id = params::root(&params, 0, "id")?;
            ask(&ctx, move |view| {
                let place = view.chain.db().tx_place(&id, 0).map_err(|_| failed())?;
                let place = place.ok_or_else(|| not_found("transaction"))?;
                let stored = view.chain.db().block(&place.block).map_err(|_| failed())?;
                let stored = stored.ok_or_else(|| not_found("block"))?;
                let header = stored.block.header.header;
                let proof = TxProof::new(header, &stored.block.body, place.index).ok_or_else(failed)?;
                Ok(json!({
                    "block": place.block.to_string(),
                    "slot": number(place.slot),
                    "proof": data(encode(&proof)),
                }))
            })
            .await
        },
    );
    methods.add_async(
        Spec::open("tx_status", "pending, included, confirmed, finalized or unknown", ID),
        |ctx, params| async move {
            let id = params::root(&params, 0, "id")?;
            ask(&ctx, move |view| {
                if view.mempool.get(&id).is_some() {
                    return Ok(json!("pending"));
                }
                let place = view.chain.db().tx_place(&id, 0).map_err(|_| failed())?;
                Ok(json!(place.map_or("unknown", |place| status(view, &place))))
            })
            .await
        },
    );
    methods.add_async(Spec::open("tx_pending", "Ids of transactions that wait", &[]), |ctx, _| async move {
        ask(&ctx, |view| {
            Ok(view.mempool.iter().take(MAX_BATCH).map(|tx| tx.id().to_string()).collect::<Value>())
        })
        .await
    });
    methods.add_async(Spec::open("tx_mempoolStats", "Size of the pool", &[]), |ctx, _| async move {
        ask(&ctx, |view| {
            Ok(json!({ "transactions": number(view.mempool.len()), "bytes": number(view.mempool.bytes()) }))
        })
        .await
    });
}

fn refused(refusal: Refusal) -> Error {
    let mut causes = refusal.to_string();
    if let Some(source) = std::error::Error::source(&refusal) {
        causes = format!("{causes}: {source}");
    }
    Error::new(-32000, "transaction rejected").with_data(json!({ "reason": causes }))
}

/// Where the head's chain has a transaction, with what it did.
fn placed(view: &View<'_>, id: &Root) -> Result<(TxPlace, Tx, Receipt), Error> {
    let place = view.chain.db().tx_place(id, 0).map_err(|_| failed())?;
    let place = place.ok_or_else(|| not_found("transaction"))?;
    let stored = view.chain.db().block(&place.block).map_err(|_| failed())?;
    let stored = stored.ok_or_else(|| not_found("block"))?;
    match (stored.txs.get(place.index), stored.receipts.get(place.index)) {
        (Some(tx), Some(receipt)) => Ok((place, tx.clone(), receipt.clone())),
        _ => Err(Error::new(-32002, "the transaction was pruned")),
    }
}

fn status(view: &View<'_>, place: &TxPlace) -> &'static str {
    let params = &view.chain.config().params;
    let tree = view.chain.fork_choice().tree();
    if place.slot <= params.start_slot(view.chain.finalized().epoch) {
        "finalized"
    } else if tree.is_ancestor(&view.chain.confirmed(), &place.block) {
        "confirmed"
    } else {
        "included"
    }
}

/// A transaction as JSON.
pub(super) fn describe(tx: &Tx) -> Value {
    let body = &tx.body;
    json!({
        "id": tx.id().to_string(),
        "sender": tx.sender().to_string(),
        "chainId": number(body.chain_id),
        "nonce": number(body.nonce),
        "validUntil": number(body.valid_until),
        "gasLimit": number(body.gas_limit),
        "maxFee": number(body.max_fee),
        "tip": number(body.tip),
        "action": format!("{:?}", body.action),
        "raw": data(encode(tx)),
    })
}

/// A receipt as JSON.
pub(super) fn receipt(receipt: &Receipt) -> Value {
    json!({
        "id": receipt.tx_id.to_string(),
        "status": number(receipt.status),
        "gasUsed": number(receipt.gas_used),
        "feePaid": number(receipt.fee_paid),
    })
}
