//! Pages of UTXOs, of a chain or waiting to be imported into it. Mirrors `vms/components/avax/utxo_fetching.go` and the
//! methods `getUTXOs` of both chains.

use std::collections::BTreeSet;

use avalanche_ids::{Id, ShortId};
use serde_json::{Value, json};
use shared_vendor::rpc::{Error, ParamDoc};

use crate::{
    Context,
    args::{Args, doc},
    failure,
    format::number,
};

/// Most UTXOs in one answer.
pub(crate) const MAX_PAGE: usize = 1024;
/// Most addresses in one question.
const MAX_ADDRESSES: usize = 1024;

pub(crate) const DOCS: &[ParamDoc] = &[
    doc("addresses", "owners"),
    doc("sourceChain", "chain that exported them; this chain when left out"),
    doc("limit", "most to answer, at most 1024"),
    doc("startIndex", "address and utxo where a page before ended"),
    doc("encoding", "hex or hexnc"),
];

/// Encoded UTXOs, and where the page ends.
pub(crate) type Page = (Vec<Vec<u8>>, (ShortId, Id));

/// Answers a question; `own` reads the chain's, `imported` what another chain exported.
pub(crate) fn page(
    context: &Context,
    chain: (&str, Id),
    args: &Args<'_>,
    own: impl Fn(&BTreeSet<ShortId>, Option<(ShortId, Id)>, usize) -> Result<Page, Error>,
    imported: impl Fn(Id, &BTreeSet<ShortId>, Option<(ShortId, Id)>, usize) -> Result<Page, Error>,
) -> Result<Value, Error> {
    let (alias, id) = chain;
    let addresses = args.texts("addresses")?;
    if addresses.is_empty() {
        return Err(failure("no addresses provided"));
    }
    if addresses.len() > MAX_ADDRESSES {
        let given = addresses.len();
        let text = format!("number of addresses given, {given}, exceeds maximum, {MAX_ADDRESSES}");
        return Err(failure(text));
    }
    let source = match args.text("sourceChain")? {
        "" => id,
        text => context.chain(text).ok_or_else(|| {
            failure(format!("problem parsing source chainID {text:?}: there is no ID with alias: {text}"))
        })?,
    };
    let owners =
        addresses.into_iter().map(|text| context.owner(id, text)).collect::<Result<BTreeSet<_>, _>>()?;
    let start = args.value("startIndex").map(|start| {
        let field = |name: &str| start.get(name).and_then(Value::as_str).unwrap_or_default();
        (field("address").to_owned(), field("utxo").to_owned())
    });
    let start = match start {
        Some((address, utxo)) if !address.is_empty() || !utxo.is_empty() => {
            let utxo =
                utxo.parse().map_err(|err| failure(format!("couldn't parse start index utxo: {err}")))?;
            Some((context.owner(id, &address)?, utxo))
        }
        _ => None,
    };
    let limit = match usize::try_from(args.number("limit")?).unwrap_or(usize::MAX) {
        limit if limit == 0 || limit > MAX_PAGE => MAX_PAGE,
        limit => limit,
    };
    let encoding = args.encoding()?;
    let (utxos, end) =
        if source == id { own(&owners, start, limit)? } else { imported(source, &owners, start, limit)? };
    let count = u64::try_from(utxos.len()).unwrap_or(u64::MAX);
    let utxos = utxos.iter().map(|utxo| encoding.encode(utxo)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({
        "numFetched": number(count),
        "utxos": utxos,
        "endIndex": { "address": context.address(alias, &end.0), "utxo": end.1.to_string() },
        "encoding": encoding.name(),
    }))
}

/// A failure of the store, as far as strangers are told.
pub(crate) fn stored(err: impl std::fmt::Display) -> Error {
    failure(format!("problem retrieving UTXOs: {err}"))
}
