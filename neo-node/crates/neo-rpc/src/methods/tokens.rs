//! What accounts hold of tokens. Mirrors `Nep17Tracker.cs` and `Nep11Tracker.cs` of the plugin `TokensTracker`; limits and pages of
//! transfers are neo-go's.

use std::{collections::HashMap, ops::Range};

use neo_base::{UInt160, account};
use neo_contract::{
    CallFlags,
    native::management,
    script::{Argument, ScriptBuilder},
};
use neo_runtime::{
    LedgerView,
    tokens::{Balance, Direction, Standard, Transfer, ask},
};
use neo_vm::{Heap, StackItem};
use serde_json::{Map, Value, json};
use shared_vendor::{
    hex,
    rpc::{Error, Methods, ParamDoc, Params, Spec},
};

use super::{option, param};
use crate::{
    context::{Context, engine, failed},
    error::{because, internal, method_not_found},
    params::{self, wrong},
    render,
};

/// How long ago a window begins that names no beginning, in milliseconds.
const WEEK: u64 = 7 * 24 * 3600 * 1000;

/// Properties of a token that are shown as text; others are Base64.
const TEXTS: [&[u8]; 4] = [b"name", b"description", b"image", b"tokenURI"];

const ADDRESS: ParamDoc = param("address", "Address or hash of an account");
const WINDOW: &[ParamDoc] = &[
    ADDRESS,
    option("startTime", "Milliseconds since 1970; a week ago by default"),
    option("endTime", "Milliseconds since 1970; now by default"),
    option("limit", "Most transfers, the newest first"),
    option("page", "How often to skip so many"),
];

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add_blocking(Spec::open("getnep17balances", "What an account holds", &[ADDRESS]), nep17_balances);
    methods.add_blocking(
        Spec::open("getnep11balances", "Tokens that an account holds", &[ADDRESS]),
        nep11_balances,
    );
    methods.add_blocking(
        Spec::open("getnep17transfers", "What an account has sent and received", WINDOW),
        |ctx, given| transfers(ctx, given, Standard::Nep17),
    );
    methods.add_blocking(
        Spec::open("getnep11transfers", "Tokens that an account has sent and received", WINDOW),
        |ctx, given| transfers(ctx, given, Standard::Nep11),
    );
    methods.add_blocking(
        Spec::open(
            "getnep11properties",
            "Properties of a token",
            const { &[param("contract", "Hash or address"), param("tokenId", "Id of the token, hexadecimal")] },
        ),
        properties,
    );
}

/// Methods of a standard that is not indexed do not exist.
fn require(ctx: &Context, standard: Standard) -> Result<(), Error> {
    let on = match standard {
        Standard::Nep11 => ctx.options.tokens.nep11,
        Standard::Nep17 => ctx.options.tokens.nep17,
    };
    if on {
        Ok(())
    } else {
        Err(because(method_not_found(), "tokens of this standard are not indexed: see tokens.trackers"))
    }
}

/// What callers want to know of a contract.
struct Asset {
    name: String,
    symbol: String,
    decimals: String,
}

impl Asset {
    /// Asks a contract; `None` when it is gone or does not answer as a token does.
    fn read(ctx: &Context, view: &LedgerView<'_>, hash: &UInt160) -> Result<Option<Self>, Error> {
        let Some(contract) = management::contract(view, hash).map_err(engine)? else { return Ok(None) };
        let script = ScriptBuilder::default().call(hash, "decimals", &[]).call(hash, "symbol", &[]).finish();
        let answer = ask(ctx.settings(), view, script, ctx.options.max_gas).map_err(engine)?;
        let read = answer.and_then(|vm| match vm.results() {
            [.., StackItem::Integer(decimals), symbol] => {
                Some((decimals.to_string(), text(&vm.heap, symbol)??))
            }
            _ => None,
        });
        Ok(read.map(|(decimals, symbol)| Self { name: contract.manifest.name, symbol, decimals }))
    }

    fn json(&self, hash: &UInt160) -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("assethash".to_owned(), hash.to_string().into());
        out.insert("name".to_owned(), self.name.as_str().into());
        out.insert("symbol".to_owned(), self.symbol.as_str().into());
        out.insert("decimals".to_owned(), self.decimals.as_str().into());
        out
    }
}

fn answer(ctx: &Context, account: &UInt160) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("address".to_owned(), account::to_address(account, ctx.version()).into());
    out
}

fn nep17_balances(ctx: &Context, given: &Params) -> Result<Value, Error> {
    require(ctx, Standard::Nep17)?;
    let account = ctx.script_hash(given, 0, "address")?;
    let held = ctx.ledger.balances(Standard::Nep17, &account, usize::MAX).map_err(|err| failed(&err))?;
    let (view, mut shown) = (ctx.view()?, Vec::new());
    for Balance { asset, amount, updated, .. } in held {
        if shown.len() >= ctx.options.tokens.max_results {
            break;
        }
        let Some(token) = Asset::read(ctx, &view, &asset)? else { continue };
        let mut one = token.json(&asset);
        one.insert("amount".to_owned(), amount.to_string().into());
        one.insert("lastupdatedblock".to_owned(), updated.into());
        shown.push(Value::Object(one));
    }
    let mut out = answer(ctx, &account);
    out.insert("balance".to_owned(), shown.into());
    Ok(out.into())
}

fn nep11_balances(ctx: &Context, given: &Params) -> Result<Value, Error> {
    require(ctx, Standard::Nep11)?;
    let account = ctx.script_hash(given, 0, "address")?;
    let held = ctx.ledger.balances(Standard::Nep11, &account, usize::MAX).map_err(|err| failed(&err))?;
    let (view, mut known, mut count) = (ctx.view()?, HashMap::new(), 0_usize);
    let mut groups: Vec<(UInt160, Vec<Value>)> = Vec::new();
    for Balance { asset, token, amount, updated } in held {
        let exists = match known.get(&asset) {
            Some(exists) => *exists,
            None => management::contract(&view, &asset).map_err(engine)?.is_some(),
        };
        known.insert(asset, exists);
        if !exists {
            continue;
        }
        let one = json!({ "tokenid": hex::encode(&token), "amount": amount.to_string(), "lastupdatedblock": updated });
        match groups.last_mut().filter(|(last, _)| *last == asset) {
            Some((_, tokens)) => tokens.push(one),
            None => groups.push((asset, vec![one])),
        }
        count = count.saturating_add(1);
        if count >= ctx.options.tokens.max_results {
            break;
        }
    }
    let mut shown = Vec::new();
    for (asset, tokens) in groups {
        let Some(token) = Asset::read(ctx, &view, &asset)? else { continue };
        let mut one = token.json(&asset);
        one.insert("tokens".to_owned(), tokens.into());
        shown.push(Value::Object(one));
    }
    let mut out = answer(ctx, &account);
    out.insert("balance".to_owned(), shown.into());
    Ok(out.into())
}

fn transfers(ctx: &Context, given: &Params, standard: Standard) -> Result<Value, Error> {
    require(ctx, standard)?;
    if !ctx.options.tokens.history {
        return Err(because(method_not_found(), "transfers are not indexed: see tokens.history"));
    }
    let account = ctx.script_hash(given, 0, "address")?;
    let now = ctx.clock.wall().as_millis();
    // A zero stands for the default, as in the C# node.
    let start = time(given, 1, "startTime")?.unwrap_or_else(|| now.saturating_sub(WEEK));
    let end = time(given, 2, "endTime")?.unwrap_or(now);
    if end < start {
        return Err(wrong("the window ends before it begins"));
    }
    let page = page(given, ctx.options.tokens.max_results)?;
    let find = |direction| page.find(ctx, (standard, direction), &account, start..end);
    let (mut sent, mut received) = (find(Direction::Sent)?, find(Direction::Received)?);
    page.cut(&mut sent, &mut received);
    let show =
        |found: &[Transfer]| -> Vec<Value> { found.iter().map(|one| transfer(ctx, standard, one)).collect() };
    let mut out = answer(ctx, &account);
    out.insert("sent".to_owned(), show(&sent).into());
    out.insert("received".to_owned(), show(&received).into());
    Ok(out.into())
}

/// A time; none and zero are the same.
fn time(given: &Params, index: usize, name: &str) -> Result<Option<u64>, Error> {
    let Some(value) = given.value(index).filter(|value| !value.is_null()) else { return Ok(None) };
    let time = params::number(value).ok_or_else(|| wrong(format!("parameter {name} is no time")))?;
    Ok(Some(time).filter(|time| *time != 0))
}

/// Which transfers are shown.
enum Page {
    /// The first so many of those sent and of those received.
    First(usize),
    /// Of all, the newest first, so many, behind so many.
    Part { skip: usize, take: usize },
}

fn page(given: &Params, most: usize) -> Result<Page, Error> {
    let read = |index, name: &str| -> Result<Option<usize>, Error> {
        let Some(value) = given.value(index).filter(|value| !value.is_null()) else { return Ok(None) };
        let number = params::number(value).and_then(|number| usize::try_from(number).ok());
        number.map(Some).ok_or_else(|| wrong(format!("parameter {name} is no count")))
    };
    let (limit, page) = (read(3, "limit")?, read(4, "page")?);
    if limit == Some(0) || limit.is_some_and(|limit| limit > most) {
        return Err(wrong(format!("the limit is not between 1 and {most}")));
    }
    if limit.is_none() && page.is_none() {
        return Ok(Page::First(most));
    }
    let take = limit.unwrap_or(most);
    Ok(Page::Part { skip: page.unwrap_or(0).saturating_mul(take), take })
}

impl Page {
    fn find(
        &self,
        ctx: &Context,
        which: (Standard, Direction),
        account: &UInt160,
        times: Range<u64>,
    ) -> Result<Vec<Transfer>, Error> {
        let (newest, limit) = match self {
            Self::First(most) => (false, *most),
            Self::Part { skip, take } => (true, skip.saturating_add(*take)),
        };
        let found = ctx.ledger.transfers(which, account, times, newest, limit);
        let mut found = found.map_err(|err| failed(&err))?;
        found.sort_by_key(|one| std::cmp::Reverse(one.timestamp));
        Ok(found)
    }

    /// Leaves what is on the page.
    fn cut(&self, sent: &mut Vec<Transfer>, received: &mut Vec<Transfer>) {
        let Self::Part { skip, take } = self else { return };
        let of = |found: &[Transfer], direction| -> Vec<_> {
            found.iter().map(|one| (one.height, one.number, direction)).collect()
        };
        let mut all = [of(sent, false), of(received, true)].concat();
        all.sort_unstable_by_key(|one| std::cmp::Reverse(*one));
        let page: Vec<_> = all.into_iter().skip(*skip).take(*take).collect();
        sent.retain(|one| page.contains(&(one.height, one.number, false)));
        received.retain(|one| page.contains(&(one.height, one.number, true)));
    }
}

fn transfer(ctx: &Context, standard: Standard, one: &Transfer) -> Value {
    let other = (one.other != UInt160::ZERO).then(|| account::to_address(&one.other, ctx.version()));
    let mut out = json!({
        "timestamp": one.timestamp,
        "assethash": one.asset.to_string(),
        "transferaddress": other,
        "amount": one.amount.to_string(),
        "blockindex": one.height,
        "transfernotifyindex": one.number,
        "txhash": one.transaction.to_string(),
    });
    if standard == Standard::Nep11 {
        out["tokenid"] = hex::encode(&one.token).into();
    }
    out
}

fn properties(ctx: &Context, given: &Params) -> Result<Value, Error> {
    require(ctx, Standard::Nep11)?;
    let contract = ctx.script_hash(given, 0, "contract")?;
    let token = hex::decode(&params::written(given, 1, "tokenId")?);
    let token = token.map_err(|_| wrong("the id of the token is not hexadecimal"))?;
    let arguments = [Argument::Bytes(token)];
    let script = ScriptBuilder::default()
        .call_with(CallFlags::READ_ONLY, &contract, "properties", &arguments)
        .finish();
    let view = ctx.view()?;
    let mut out = Map::new();
    let Some(vm) = ask(ctx.settings(), &view, script, ctx.options.max_gas).map_err(engine)? else {
        return Ok(out.into());
    };
    let Some(StackItem::Map(map)) = vm.results().last() else {
        return Err(because(internal(), "the contract has not answered with a map"));
    };
    for (key, value) in vm.heap.map(*map).into_iter().flatten() {
        if matches!(value, StackItem::Array(_) | StackItem::Struct(_) | StackItem::Map(_)) {
            continue;
        }
        let unreadable = || because(internal(), "a property cannot be shown");
        let key = key.to_item();
        let name = text(&vm.heap, &key).flatten().ok_or_else(unreadable)?;
        let shown = if TEXTS.contains(&name.as_bytes()) {
            text(&vm.heap, value).ok_or_else(unreadable)?.into()
        } else if matches!(value, StackItem::Null) {
            Value::Null
        } else {
            render::bytes(&bytes(&vm.heap, value).ok_or_else(unreadable)?)
        };
        out.insert(name, shown);
    }
    Ok(out.into())
}

/// The bytes of a plain item; `None` for any other.
fn bytes(heap: &Heap, item: &StackItem) -> Option<Vec<u8>> {
    match item {
        StackItem::Boolean(flag) => Some(vec![u8::from(*flag)]),
        StackItem::Integer(number) => Some(number.to_bytes()),
        StackItem::ByteString(bytes) => Some(bytes.to_vec()),
        StackItem::Buffer(id) => Some(heap.buffer(*id).as_slice().to_vec()),
        _ => None,
    }
}

/// The text of a plain item, `Some(None)` for no value; `None` for any other and for bytes that are not UTF-8.
#[expect(clippy::option_option, reason = "no value is a value here")]
fn text(heap: &Heap, item: &StackItem) -> Option<Option<String>> {
    match item {
        StackItem::Null => Some(None),
        other => String::from_utf8(bytes(heap, other)?).ok().map(Some),
    }
}
