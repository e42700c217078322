//! `account_*`: balances, nonces, stakes, proofs.

use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Methods, ParamDoc, Spec};

use super::{
    Context, View, ask, data, failed, not_found, number,
    params::{self, BlockId},
};
use crate::{
    state::{
        app::{Account, Overlay, Store, keys},
        tree::{Node, Nodes, path::Path, proof::prove},
    },
    types::{
        codec::encode,
        primitives::{Address, ValidatorIndex},
    },
};

const ADDRESS: ParamDoc =
    ParamDoc { name: "address", help: "Account, with prefix or in hexadecimal", optional: false };
const ONE: &[ParamDoc] = &[ADDRESS];
const AT: &[ParamDoc] = &[
    ADDRESS,
    ParamDoc { name: "block", help: "A block that is not yet final, or the final one", optional: true },
];

const BLOCK: &[ParamDoc] =
    &[ParamDoc { name: "block", help: "A block that is not yet final, or the final one", optional: true }];

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add_async(
        Spec::open("chain_supply", "What was issued and burned since genesis, in nano", BLOCK),
        |ctx, params| async move {
            let id = BlockId::read(&params, 0)?;
            ask(&ctx, move |view| {
                let root = id.root(view)?;
                let gone = || Error::new(-32002, "the state of that block is not kept");
                let app = view.chain.app(&root).ok_or_else(gone)?;
                let supply = Overlay::new(&app).supply();
                Ok(json!({ "issued": number(supply.issued), "burned": number(supply.burned) }))
            })
            .await
        },
    );
    methods.add_async(Spec::open("account_get", "An account", AT), |ctx, params| async move {
        let (address, id) = (params::account(&params, 0)?, BlockId::read(&params, 1)?);
        ask(&ctx, move |view| {
            let account = account(view, id, &address)?;
            Ok(json!({
                "address": address.to_string(),
                "balance": number(account.balance),
                "nonce": number(account.nonce),
                "codeHash": account.code_hash.to_string(),
            }))
        })
        .await
    });
    methods.add_async(
        Spec::open("account_balance", "What an account owns, in nano", AT),
        |ctx, params| async move {
            let (address, id) = (params::account(&params, 0)?, BlockId::read(&params, 1)?);
            ask(&ctx, move |view| Ok(number(account(view, id, &address)?.balance))).await
        },
    );
    methods.add_async(
        Spec::open("account_nonce", "Number of the next transaction, those that wait counted", ONE),
        |ctx, params| async move {
            let address = params::account(&params, 0)?;
            ask(&ctx, move |view| {
                let known = account(view, BlockId::Head, &address)?.nonce;
                Ok(number(view.mempool.next_nonce(&address).unwrap_or(known)))
            })
            .await
        },
    );
    methods.add_async(
        Spec::open(
            "account_proof",
            "An account with the proofs that lead to the application root and to the header",
            AT,
        ),
        |ctx, params| async move {
            let (address, id) = (params::account(&params, 0)?, BlockId::read(&params, 1)?);
            ask(&ctx, move |view| proof(view, id, &address)).await
        },
    );
    methods.add_async(Spec::open("account_unbondings", "Stake on its way out", ONE), |ctx, params| async move {
        let address = params::account(&params, 0)?;
        ask(&ctx, move |view| {
            let state = view.chain.state(&view.chain.head()).ok_or_else(|| not_found("state"))?;
            let line = |entry: &crate::state::Unbonding| {
                json!({
                    "validator": number(entry.validator),
                    "shares": number(entry.shares),
                    "releaseEpoch": number(entry.release_epoch),
                    "redelegateTo": (entry.redelegate_to != ValidatorIndex::MAX).then(|| number(entry.redelegate_to)),
                })
            };
            let own = state.unbondings.iter().filter(|entry| entry.delegator == address);
            Ok(own.map(line).collect::<Value>())
        })
        .await
    });
}

fn account(view: &View<'_>, id: BlockId, address: &Address) -> Result<Account, Error> {
    let root = id.root(view)?;
    let state =
        view.chain.app(&root).ok_or_else(|| Error::new(-32002, "the state of that block is not kept"))?;
    Ok(Overlay::new(&state).account(address))
}

fn proof(view: &View<'_>, id: BlockId, address: &Address) -> Result<Value, Error> {
    let root = id.root(view)?;
    let gone = || Error::new(-32002, "the state of that block is not kept");
    let app = view.chain.app(&root).ok_or_else(gone)?;
    let key = keys::account(address);
    let value = app.value(&key);
    let nodes = AppNodes(&app);
    let proof = prove(&nodes, &key);
    let entry = view.chain.prove(&root, &key).ok_or_else(failed)?;
    Ok(json!({
        "block": root.to_string(),
        "appRoot": data(crate::state::tree::root(&nodes)),
        "key": data(&key),
        "value": value.map(data),
        "proof": data(encode(&proof)),
        "entry": data(encode(&entry)),
    }))
}

/// The tree of an application state.
struct AppNodes<'a, S>(&'a S);

impl<S: Store> Nodes for AppNodes<'_, S> {
    fn node(&self, path: &Path) -> Option<Node> {
        self.0.node(path)
    }
}
