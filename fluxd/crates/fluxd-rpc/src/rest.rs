//! The REST paths under `/rest/`: blocks, headers, transactions, chain, unspent outputs, in `.bin`, `.hex` and `.json`.
//! Public where they are switched on. Mirrors `src/rest.cpp`.

use axum::http::StatusCode;
use fluxd_chainstate::Coin;
use fluxd_primitives::{BlockHash, Codec, OutPoint, Transaction, TxId, TxOut, codec::Writer};
use shared_vendor::hex;

use crate::{
    context::Context,
    json::Json,
    params::Args,
    present::{block, script, transaction},
};

/// Most outpoints of one `getutxos`.
const MAX_OUTPOINTS: usize = 15;
/// Most headers of one answer.
const MAX_HEADERS: usize = 2000;

type Refusal = (StatusCode, String);
type Answer = Result<(&'static str, Vec<u8>), Refusal>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Binary,
    Hex,
    Json,
}

fn bad(text: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, text.into())
}

fn missing(text: impl Into<String>) -> Refusal {
    (StatusCode::NOT_FOUND, text.into())
}

fn json(value: &Json) -> Answer {
    Ok(("application/json", format!("{}\n", value.text()).into_bytes()))
}

fn raw(format: Format, bytes: Vec<u8>) -> Answer {
    match format {
        Format::Hex => Ok(("text/plain", format!("{}\n", hex::encode(bytes)).into_bytes())),
        _ => Ok(("application/octet-stream", bytes)),
    }
}

/// Answers `path`, which begins behind `/rest/`.
pub(crate) fn answer(context: &Context, path: &str, body: &[u8]) -> Answer {
    let available = "output format not found (available: .bin, .hex, .json)";
    let (path, format) = match path.rsplit_once('.') {
        Some((path, "bin")) => (path, Format::Binary),
        Some((path, "hex")) => (path, Format::Hex),
        Some((path, "json")) => (path, Format::Json),
        _ => return Err(missing(available)),
    };
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["tx", id] => tx(context, id, format),
        ["block", hash] => one_block(context, hash, format, true),
        ["block", "notxdetails", hash] => one_block(context, hash, format, false),
        ["headers", count, hash] => headers(context, count, hash, format),
        ["headers", ..] => Err(bad("No header count specified. Use /rest/headers/<count>/<hash>.<ext>.")),
        ["chaininfo"] if format == Format::Json => of_method(context, "getblockchaininfo", &Args::default()),
        ["mempool", "info"] if format == Format::Json => {
            of_method(context, "getmempoolinfo", &Args::default())
        }
        ["mempool", "contents"] if format == Format::Json => {
            of_method(context, "getrawmempool", &Args(vec![serde_json::Value::Bool(true)]))
        }
        ["chaininfo"] | ["mempool", "info" | "contents"] => {
            Err(missing("output format not found (available: json)"))
        }
        ["getutxos", rest @ ..] => utxos(context, rest, body, format),
        _ => Err(missing("")),
    }
}

/// What a method of RPC answers.
fn of_method(context: &Context, name: &str, args: &Args) -> Answer {
    let methods = crate::methods::all();
    let method = methods.iter().find(|method| method.name == name);
    match method.map(|method| (method.run)(context, args)) {
        Some(Ok(found)) => json(&found),
        _ => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{name} failed"))),
    }
}

fn hash_of(text: &str) -> Result<[u8; 32], Refusal> {
    text.parse::<BlockHash>().map(|hash| hash.0).map_err(|_| bad(format!("Invalid hash: {text}")))
}

fn failed(err: &impl std::fmt::Display) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, err.to_string())
}

fn tx(context: &Context, id: &str, format: Format) -> Answer {
    let txid = TxId(hash_of(id)?);
    let chain = context.chain.read();
    let (reader, pool) = (chain.reader(), context.mempool.lock());
    let (tx, block) = match pool.get(&txid) {
        Some(entry) => (Transaction::clone(&entry.tx), None),
        None => {
            let found = reader.transaction(&txid).map_err(|err| failed(&err))?;
            let found = found.ok_or_else(|| missing(format!("{id} not found")))?;
            (found.tx, Some(found.block))
        }
    };
    if format != Format::Json {
        return raw(format, tx.to_bytes());
    }
    let mut out = transaction::present(&reader, &pool, &tx).map_err(|err| failed(&err))?;
    if let Some(block) = block {
        transaction::push_block(&mut out, &chain, &block);
    }
    json(&out)
}

fn one_block(context: &Context, hash: &str, format: Format, full: bool) -> Answer {
    let wanted = BlockHash(hash_of(hash)?);
    let chain = context.chain.read();
    let id = chain.index().find(&wanted).ok_or_else(|| missing(format!("{hash} not found")))?;
    let body = chain.body(id).map_err(|_| missing(format!("{hash} not available (pruned data)")))?;
    if format != Format::Json {
        return raw(format, body.block().to_bytes());
    }
    json(&block::block(&chain, &context.mempool, id, body.block(), full).map_err(|err| failed(&err))?)
}

fn headers(context: &Context, count: &str, hash: &str, format: Format) -> Answer {
    let count = count.parse::<usize>().ok().filter(|count| (1..=MAX_HEADERS).contains(count));
    let count = count.ok_or_else(|| bad(format!("Header count out of range: {hash}")))?;
    let wanted = BlockHash(hash_of(hash)?);
    let chain = context.chain.read();
    let mut walk = chain.index().find(&wanted).filter(|id| chain.index().is_active(*id));
    let mut ids = Vec::new();
    while let Some(id) = walk.filter(|_| ids.len() < count) {
        ids.push(id);
        walk = chain.index().next_active(id);
    }
    if format == Format::Json {
        let list: Result<Vec<Json>, _> = ids.into_iter().map(|id| block::header(&chain, id)).collect();
        return json(&Json::List(list.map_err(|err| failed(&err))?));
    }
    let mut writer = Writer::new();
    for id in ids {
        chain.row(id).map_err(|err| failed(&err))?.header.encode(&mut writer);
    }
    raw(format, writer.into_vec())
}

/// `/checkmempool/txid-n/...`, or the same in the body: a flag and a list of outpoints.
fn utxos(context: &Context, parts: &[&str], body: &[u8], format: Format) -> Answer {
    let refused = |text: &str| (StatusCode::INTERNAL_SERVER_ERROR, text.to_owned());
    let (mut with_pool, parts) = match parts {
        ["checkmempool", rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut outpoints = Vec::new();
    for part in parts {
        let parsed =
            part.split_once('-').and_then(|(txid, index)| Some((txid.parse().ok()?, index.parse().ok()?)));
        let (txid, index) = parsed.ok_or_else(|| refused("Parse error"))?;
        outpoints.push(OutPoint { txid, index });
    }
    if outpoints.is_empty() && (with_pool || body.is_empty() || format == Format::Json) {
        return Err(refused("Error: empty request"));
    }
    if !body.is_empty() && format != Format::Json {
        if !outpoints.is_empty() {
            return Err(refused("Combination of URI scheme inputs and raw post data is not allowed"));
        }
        let bytes = match format {
            Format::Hex => {
                hex::decode(String::from_utf8_lossy(body).trim()).map_err(|_| refused("Parse error"))?
            }
            _ => body.to_vec(),
        };
        let mut reader = fluxd_primitives::codec::Reader::new(&bytes);
        with_pool = reader.u8().map_err(|_| refused("Parse error"))? != 0;
        outpoints = fluxd_primitives::codec::list(&mut reader).map_err(|_| refused("Parse error"))?;
    }
    if outpoints.len() > MAX_OUTPOINTS {
        let text =
            format!("Error: max outpoints exceeded (max: {MAX_OUTPOINTS}, tried: {})", outpoints.len());
        return Err(refused(&text));
    }
    let chain = context.chain.read();
    let pool = context.mempool.lock();
    let mut coins = Vec::with_capacity(outpoints.len());
    // The reference looks nothing up where the pool is left out.
    for outpoint in &outpoints {
        let coin = match pool.coins(&outpoint.txid) {
            _ if !with_pool || pool.spender(outpoint).is_some() => None,
            Some(coins) => Coin::of(&coins, outpoint.index),
            None => chain.coin(outpoint).map_err(|err| failed(&err))?,
        };
        coins.push(coin);
    }
    let (height, tip) = (chain.index().height(), chain.tip().hash);
    if format == Format::Json {
        let bits: String = coins.iter().map(|coin| if coin.is_some() { '1' } else { '0' }).collect();
        let list: Vec<Json> = coins
            .iter()
            .flatten()
            .map(|coin| {
                Json::object()
                    .with("txvers", coin.version)
                    .with("height", coin.height)
                    .with("value", Json::amount(coin.output.value))
                    .with("scriptPubKey", script::locking(&coin.output.script_pubkey, chain.params(), true))
            })
            .collect();
        let out = Json::object()
            .with("chainHeight", height)
            .with("chaintipHash", tip.to_string())
            .with("bitmap", bits)
            .with("utxos", list);
        return json(&out);
    }
    let mut writer = Writer::new();
    writer.u32_le(height);
    tip.encode(&mut writer);
    let bitmap: Vec<u8> = coins
        .chunks(8)
        .map(|byte| byte.iter().rev().fold(0, |all, coin| all << 1 | u8::from(coin.is_some())))
        .collect();
    fluxd_primitives::codec::put_var_bytes(&mut writer, &bitmap);
    let found: Vec<_> = coins.into_iter().flatten().collect();
    fluxd_primitives::codec::put_compact_size(&mut writer, found.len());
    for coin in &found {
        writer.u32_le(coin.version).u32_le(coin.height);
        TxOut::encode(&coin.output, &mut writer);
    }
    raw(format, writer.into_vec())
}
