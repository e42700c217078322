//! `index.*`: what a chain accepted, in order, at one path for each list. Mirrors `indexer/service.go`.

use avalanche_vm::index::{Container, Index, IndexError};
use serde_json::{Value, json};
use shared_vendor::{
    clock::Wall,
    rpc::{Error, Methods, ParamDoc, Params, Spec},
};

use crate::{
    args::{Args, doc},
    failure,
    format::{Encoding, number},
};

const LAST: &[ParamDoc] = &[doc("encoding", "hex or hexnc")];
const AT: &[ParamDoc] = &[doc("index", "number of the container"), doc("encoding", "hex or hexnc")];
const RANGE: &[ParamDoc] = &[
    doc("startIndex", "number of the first container"),
    doc("numToFetch", "how many, at most 1024"),
    doc("encoding", "hex or hexnc"),
];
const ID: &[ParamDoc] = &[doc("id", "id of the container"), doc("encoding", "hex or hexnc")];

type Method = fn(&Index, &Args<'_>) -> Result<Value, Error>;

/// The methods of a list.
#[must_use]
pub fn methods() -> Methods<Index> {
    let table: [(&'static str, &'static str, &'static [ParamDoc], Method); 6] = [
        ("index.getLastAccepted", "what was accepted last", LAST, last),
        ("index.getContainerByIndex", "what was accepted as number so-and-so", AT, at),
        ("index.getContainerRange", "what was accepted from a number on", RANGE, range),
        ("index.getIndex", "the number of a container", ID, number_of),
        ("index.isAccepted", "whether a container was accepted", ID, is_accepted),
        ("index.getContainerByID", "a container", ID, by_id),
    ];
    let mut methods = Methods::new();
    for (name, help, docs, run) in table {
        methods.add_blocking(Spec::open(name, help, docs), move |index: &Index, params: &Params| {
            run(index, &Args::new(params, docs))
        });
    }
    methods
}

#[allow(clippy::needless_pass_by_value)] // a mapper of errors
fn err(err: IndexError) -> Error {
    failure(err.to_string())
}

fn shown(container: &Container, at: u64, encoding: Encoding) -> Result<Value, Error> {
    Ok(json!({
        "id": container.id.to_string(),
        "bytes": encoding.encode(&container.bytes)?,
        "timestamp": precise(Wall::from_nanos(container.timestamp)),
        "encoding": encoding.name(),
        "index": number(at),
    }))
}

/// A time with as many decimals as it needs, as Go writes it.
fn precise(at: Wall) -> String {
    let (seconds, nanos) = (Wall::from_secs(at.as_secs()).to_string(), at.as_nanos() % 1_000_000_000);
    let whole = seconds.split_once('.').map_or(seconds.as_str(), |(whole, _)| whole).trim_end_matches('Z');
    let decimals = format!("{nanos:09}");
    match decimals.trim_end_matches('0') {
        "" => format!("{whole}Z"),
        decimals => format!("{whole}.{decimals}Z"),
    }
}

fn last(index: &Index, args: &Args<'_>) -> Result<Value, Error> {
    let number = index.last_number().map_err(err)?;
    shown(&index.at(number).map_err(err)?, number, args.encoding()?)
}

fn at(index: &Index, args: &Args<'_>) -> Result<Value, Error> {
    let number = args.number("index")?;
    shown(&index.at(number).map_err(err)?, number, args.encoding()?)
}

fn range(index: &Index, args: &Args<'_>) -> Result<Value, Error> {
    let (start, count, encoding) = (args.number("startIndex")?, args.number("numToFetch")?, args.encoding()?);
    let numbers = index.range(start, count).map_err(err)?;
    let containers: Vec<Value> = numbers
        .map(|number| shown(&index.at(number).map_err(err)?, number, encoding))
        .collect::<Result<_, _>>()?;
    Ok(json!({ "containers": containers }))
}

fn number_of(index: &Index, args: &Args<'_>) -> Result<Value, Error> {
    Ok(json!({ "index": number(index.number_of(&args.id("id")?).map_err(err)?) }))
}

fn is_accepted(index: &Index, args: &Args<'_>) -> Result<Value, Error> {
    match index.number_of(&args.id("id")?) {
        Ok(_) => Ok(json!({ "isAccepted": true })),
        Err(IndexError::NotFound) => Ok(json!({ "isAccepted": false })),
        Err(other) => Err(err(other)),
    }
}

fn by_id(index: &Index, args: &Args<'_>) -> Result<Value, Error> {
    let number = index.number_of(&args.id("id")?).map_err(err)?;
    shown(&index.at(number).map_err(err)?, number, args.encoding()?)
}
