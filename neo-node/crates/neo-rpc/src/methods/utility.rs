//! Addresses, fees, plugins. Mirrors `RpcServer.Utilities.cs` and `calculatenetworkfee` of `RpcServer.Wallet.cs`.

use std::sync::Arc;

use neo_base::{account, codec::Wire, ledger::Transaction};
use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Methods, Params, Spec};

use super::param;
use crate::{
    context::Context,
    error,
    params::{self, wrong},
};

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add(
        Spec::open(
            "validateaddress",
            "Whether a text is an address of this network",
            const { &[param("address", "The text")] },
        ),
        |ctx, given| {
            let shown = params::required(given, 0, "address")?;
            let valid = shown.as_str().is_some_and(|text| account::from_address(text, ctx.version()).is_ok());
            Ok(json!({ "address": shown, "isvalid": valid }))
        },
    );
    methods.add_blocking(
        Spec::open(
            "calculatenetworkfee",
            "Network fee that a transaction needs",
            const { &[param("transaction", "Base64, with witnesses whose verification scripts are there")] },
        ),
        network_fee,
    );
    methods.add(Spec::open("listplugins", "Parts of the node, by the names of the C# node's plugins", &[]), |_, _| {
        let plugin = |name: &str, interfaces: &[&str]| {
            json!({ "name": name, "version": env!("CARGO_PKG_VERSION"), "interfaces": interfaces })
        };
        Ok(json!([
            plugin("ApplicationLogs", &["IPersistencePlugin"]),
            plugin("DBFTPlugin", &[]),
            plugin("RpcServer", &[]),
            plugin("StateService", &["IPersistencePlugin"]),
        ]))
    });
}

fn network_fee(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let bytes = params::bytes(given, 0, "transaction")?;
    let tx = Transaction::from_bytes(&bytes).map_err(|err| wrong(format!("no transaction: {err}")))?;
    let view = ctx.view()?;
    let fee = neo_runtime::fee::network_fee(ctx.settings(), &view, &Arc::new(tx));
    let fee = fee.map_err(|err| error::of_verify(&err))?;
    Ok(json!({ "networkfee": fee.to_string() }))
}
