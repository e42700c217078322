//! The RPC methods against the reference: names and numbers of arguments of every method that is served, and the
//! recorded replies that follow from parameters, a header or a script alone.

use fluxd_consensus::{
    params::{Network, Params},
    subsidy::block_subsidy,
};
use fluxd_primitives::{CompactTarget, Script};
use fluxd_rpc::{
    Json,
    present::{block::difficulty, script},
};
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, File},
};

/// Methods whose numbers of arguments the list has from a condition that it did not understand; the source takes these.
const READ_FROM_SOURCE: [(&str, (usize, usize)); 3] =
    [("getblockhashes", (2, 3)), ("gettxoutproof", (1, 2)), ("getblocktemplate", (0, 1))];

/// The parity list: a served method is in it, and takes as many arguments.
pub(crate) fn methods(file: &File<'_>, cases: &mut Cases) {
    let list = file.json();
    for method in fluxd_rpc::methods::all() {
        let Some(entry) = list.get(method.name) else {
            cases.equal(method.name, &"served", &"no method of the reference");
            continue;
        };
        if let Some((_, source)) = READ_FROM_SOURCE.iter().find(|(name, _)| *name == method.name) {
            cases.equal(method.name, &(method.least, method.most), source);
            continue;
        }
        let theirs = (entry["min_args"].as_u64(), entry["max_args"].as_u64());
        let ours = (u64::try_from(method.least).ok(), u64::try_from(method.most).ok());
        // Where the list does not know a bound, there is nothing to compare.
        cases.equal(method.name, &ours, &(theirs.0.or(ours.0), theirs.1.or(ours.1)));
    }
}

/// Recorded replies, told apart by their method.
pub(crate) fn golden(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let result = &json["result"];
    let params = Params::of(Network::Main);
    match json["method"].as_str().unwrap_or_default() {
        "getblocksubsidy" => {
            let ours = Json::amount(block_subsidy(&params, 2_996_900));
            cases.equal("miner", &number(&ours), &result["miner"].as_f64());
        }
        "getblockheader" => {
            let bits = u32::from_str_radix(result["bits"].as_str().unwrap_or_default(), 16).expect("bits");
            let limit = CompactTarget::from_value(params.pow.limit);
            let ours = Json::real(difficulty(CompactTarget(bits), limit));
            cases.equal("difficulty", &number(&ours), &result["difficulty"].as_f64());
        }
        _ => {
            let bytes =
                hex::decode(result["scriptPubKey"]["hex"].as_str().unwrap_or_default()).expect("a script");
            let ours = script::locking(&Script(bytes), &params, true).text();
            cases.equal("scriptPubKey", &ours, &result["scriptPubKey"].to_string());
        }
    }
}

/// Whether a recorded reply can be computed without the chain it was taken from.
pub(crate) fn is_computable(file: &File<'_>) -> bool {
    let json: Value = file.json();
    matches!(json["method"].as_str(), Some("getblocksubsidy" | "getblockheader" | "gettxout"))
}

fn number(json: &Json) -> Option<f64> {
    json.text().parse().ok()
}
