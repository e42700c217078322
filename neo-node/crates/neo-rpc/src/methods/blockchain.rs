//! Blocks, transactions, storage, contracts, votes. Mirrors `RpcServer.Blockchain.cs`.

use neo_base::{UInt160, UInt256, account, codec::Wire, ledger::Header};
use neo_contract::{
    ContractState,
    engine::{Store, storage_key},
    native::{self, ledger, management, neo},
};
use neo_vm::State;
use serde_json::{Value, json};
use shared_vendor::{
    hex,
    rpc::{Error, Methods, Params, Spec},
};

use super::{option, param};
use crate::{
    context::{Context, engine, failed},
    error::{unknown_block, unknown_contract, unknown_storage_item, unknown_transaction},
    params::{self, wrong},
    render,
};

const BLOCK: shared_vendor::rpc::ParamDoc = param("hash_or_index", "Hash or height of a block");
const VERBOSE: shared_vendor::rpc::ParamDoc = option("verbose", "JSON instead of Base64");

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add(Spec::open("getbestblockhash", "Hash of the last block", &[]), |ctx, _| {
        Ok(ctx.ledger.tip().hash.to_string().into())
    });
    methods.add(Spec::open("getblockcount", "Number of blocks, the first included", &[]), |ctx, _| {
        Ok(ctx.ledger.height().saturating_add(1).into())
    });
    methods.add(Spec::open("getblockheadercount", "Number of headers, the first included", &[]), |ctx, _| {
        Ok(ctx.network.borrow().headers.max(ctx.ledger.height().saturating_add(1)).into())
    });
    methods.add_blocking(Spec::open("getblock", "A block", &[BLOCK, VERBOSE]), block);
    methods.add_blocking(Spec::open("getblockheader", "A header", &[BLOCK, VERBOSE]), header);
    methods.add_blocking(
        Spec::open("getblockhash", "Hash of a block", const { &[param("index", "Height")] }),
        |ctx, given| {
            let (height, view) = (ctx.height(given, 0)?, ctx.view()?);
            let hash = ledger::block_hash(&view, height).map_err(engine)?.ok_or_else(unknown_block)?;
            Ok(hash.to_string().into())
        },
    );
    methods.add_blocking(
        Spec::open(
            "getblocksysfee",
            "Sum of the system fees of a block",
            const { &[param("index", "Height")] },
        ),
        |ctx, given| {
            let (height, view) = (ctx.height(given, 0)?, ctx.view()?);
            let hash = ledger::block_hash(&view, height).map_err(engine)?.ok_or_else(unknown_block)?;
            let block = ledger::block(&view, &hash).map_err(engine)?.ok_or_else(unknown_block)?;
            let sum = |sum: i64, tx: &neo_base::ledger::Transaction| sum.saturating_add(tx.body().system_fee);
            Ok(block.transactions.iter().fold(0, sum).into())
        },
    );
    methods.add_blocking(
        Spec::open(
            "getrawtransaction",
            "A transaction of the chain or the pool",
            const { &[param("hash", "Its hash"), VERBOSE] },
        ),
        transaction,
    );
    methods.add_blocking(
        Spec::open(
            "gettransactionheight",
            "Height of a transaction's block",
            const { &[param("hash", "Its hash")] },
        ),
        |ctx, given| {
            let (hash, view) = (params::hash(given, 0, "hash")?, ctx.view()?);
            let state = ledger::transaction(&view, &hash).map_err(engine)?.ok_or_else(unknown_transaction)?;
            Ok(state.block_index.into())
        },
    );
    methods.add(
        Spec::open(
            "getrawmempool",
            "Hashes of the transactions that wait",
            const { &[option("unverified", "Verified and unverified ones apart")] },
        ),
        mempool,
    );
    methods.add_blocking(
        Spec::open(
            "getcontractstate",
            "A contract",
            const { &[param("contract", "Hash, name of a native one, or number")] },
        ),
        |ctx, given| {
            let view = ctx.view()?;
            let hash = contract_hash(ctx, &view, params::required(given, 0, "contract")?)?;
            let state = management::contract(&view, &hash).map_err(engine)?.ok_or_else(unknown_contract)?;
            Ok(contract(&state))
        },
    );
    methods.add_blocking(Spec::open("getnativecontracts", "The native contracts", &[]), |ctx, _| {
        let view = ctx.view()?;
        let states = native::NATIVES
            .iter()
            .map(|native| management::contract(&view, &native.hash()).map_err(engine))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(states.iter().flatten().map(contract).collect())
    });
    methods.add_blocking(
        Spec::open(
            "getstorage",
            "A stored value",
            const { &[param("contract", "Hash, name or number"), param("key", "Base64")] },
        ),
        |ctx, given| {
            let view = ctx.view()?;
            stored(&view, ctx.contract_id(&view, given, 0)?, &params::written_bytes(given, 1, "key")?)
        },
    );
    methods.add_blocking(
        Spec::open(
            "findstorage",
            "Stored values by the start of their keys",
            const {
                &[
                    param("contract", "Hash, name or number"),
                    param("prefix", "Base64"),
                    option("start", "How many to skip"),
                ]
            },
        ),
        |ctx, given| {
            let view = ctx.view()?;
            let contract = ctx.contract_id(&view, given, 0)?;
            found(ctx, &view, contract, &params::written_bytes(given, 1, "prefix")?, (given, 2))
        },
    );
    methods.add_blocking(Spec::open("getcommittee", "Keys of the committee", &[]), |ctx, _| {
        Ok(neo::committee(&ctx.view()?).map_err(engine)?.iter().map(hex::encode).collect())
    });
    methods.add_blocking(
        Spec::open("getnextblockvalidators", "Keys and votes of the next validators", &[]),
        |ctx, _| {
            let view = ctx.view()?;
            let validators = neo::next_validators(&view, ctx.settings()).map_err(engine)?;
            let candidates = neo::candidates(&view).map_err(engine)?;
            let shown = validators.iter().map(|key| {
                let votes = candidates.iter().find(|(other, _)| other == key).map(|(_, votes)| votes);
                // A validator without candidacy has no votes; the reference says -1.
                let votes = votes.map_or(-1, |votes| votes.to_i64().unwrap_or(i64::MAX));
                json!({ "publickey": hex::encode(key), "votes": votes })
            });
            Ok(shown.collect())
        },
    );
    methods.add_blocking(Spec::open("getcandidates", "Candidates for the committee", &[]), |ctx, _| {
        let view = ctx.view()?;
        let validators = neo::next_validators(&view, ctx.settings()).map_err(engine)?;
        let mut candidates = neo::candidates(&view).map_err(engine)?;
        // In the order of their rows, which is that of the compressed keys.
        candidates.sort_by_key(|(key, _)| *key);
        let shown = candidates.iter().map(|(key, votes)| {
            let active = validators.contains(key);
            json!({ "publickey": hex::encode(key), "votes": votes.to_string(), "active": active })
        });
        Ok(shown.collect())
    });
    methods.add_blocking(
        Spec::open(
            "getunclaimedgas",
            "GAS that an account can claim",
            const { &[param("address", "Address")] },
        ),
        |ctx, given| {
            let (account, view) = (ctx.script_hash(given, 0, "address")?, ctx.view()?);
            let end = ctx.ledger.height().saturating_add(1);
            let amount = neo::unclaimed_gas(&view, &account, end).map_err(engine)?;
            Ok(json!({
                "unclaimed": amount.to_string(),
                "address": account::to_address(&account, ctx.version()),
            }))
        },
    );
}

impl Context {
    /// A contract that a parameter names.
    pub(super) fn contract(
        &self,
        view: &impl Store,
        given: &Params,
        index: usize,
    ) -> Result<ContractState, Error> {
        let hash = contract_hash(self, view, params::required(given, index, "contract")?)?;
        management::contract(view, &hash).map_err(engine)?.ok_or_else(unknown_contract)
    }

    /// Number of a contract that a parameter names. One that is given as a number need not be a contract's.
    pub(super) fn contract_id(&self, view: &impl Store, given: &Params, index: usize) -> Result<i32, Error> {
        let number = match params::required(given, index, "contract")? {
            Value::Number(number) => number.as_i64().and_then(|number| i32::try_from(number).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map_or_else(|| Ok(self.contract(view, given, index)?.id), Ok)
    }

    /// Hash of a contract that a parameter names; numbers are those of the present state.
    pub(super) fn contract_hash(&self, given: &Params, index: usize) -> Result<UInt160, Error> {
        contract_hash(self, &self.view()?, params::required(given, index, "contract")?)
    }
}

/// Hash of a contract by hash, name of a native one, or number.
fn contract_hash(ctx: &Context, view: &impl Store, value: &Value) -> Result<UInt160, Error> {
    let by_id = |id: i64| match i32::try_from(id) {
        Ok(id) => match native::NATIVES.iter().find(|native| native.id == id) {
            Some(native) => Ok(native.hash()),
            None => management::contract_hash_by_id(view, id).map_err(engine)?.ok_or_else(unknown_contract),
        },
        Err(_) => Err(wrong("the number of a contract has 32 bits")),
    };
    match value {
        Value::Number(number) => by_id(number.as_i64().ok_or_else(|| wrong("the number is out of range"))?),
        Value::String(text) => {
            if let Some(native) = native::NATIVES.iter().find(|native| native.name.eq_ignore_ascii_case(text))
            {
                return Ok(native.hash());
            }
            if let Some(hash) = params::script_hash(text, ctx.version()) {
                return Ok(hash);
            }
            by_id(text.parse().map_err(|_| wrong("neither hash nor name nor number of a contract"))?)
        }
        _ => Err(wrong("neither hash nor name nor number of a contract")),
    }
}

fn contract(state: &ContractState) -> Value {
    render::value(&state.to_json())
}

/// What is stored under a key of a contract.
pub(super) fn stored(view: &impl Store, contract: i32, key: &[u8]) -> Result<Value, Error> {
    let value = view.get(&storage_key(contract, key)).map_err(|err| failed(&*err))?;
    value.map(|value| render::bytes(&value)).ok_or_else(unknown_storage_item)
}

/// A page of what is stored under a prefix.
pub(super) fn found(
    ctx: &Context,
    view: &impl Store,
    contract: i32,
    prefix: &[u8],
    (given, start): (&Params, usize),
) -> Result<Value, Error> {
    let has_start = given.value(start).is_some_and(|value| !value.is_null());
    let start = if has_start { params::int(given, start, "start")? } else { 0 };
    let skip = usize::try_from(start).unwrap_or(0);
    let (prefix, page) = (storage_key(contract, prefix), ctx.options.page_size);
    let (mut results, mut seen, mut after, mut truncated) = (Vec::new(), 0_usize, None::<Vec<u8>>, false);
    while let Some((key, value)) = view.seek(&prefix, after.as_deref(), false).map_err(|err| failed(&*err))? {
        if seen >= skip {
            if results.len() >= page {
                truncated = true;
                break;
            }
            let own = key.get(4..).unwrap_or_default();
            results.push(json!({ "key": render::bytes(own), "value": render::bytes(&value) }));
        }
        seen = seen.saturating_add(1);
        after = Some(key);
    }
    let next = i64::from(start).saturating_add(i64::try_from(results.len()).unwrap_or(i64::MAX));
    Ok(json!({ "truncated": truncated, "next": next, "results": results }))
}

fn block(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let view = ctx.view()?;
    let hash = ctx.block_hash(&view, given, 0)?;
    let block = ledger::block(&view, &hash).map_err(engine)?.ok_or_else(unknown_block)?;
    if !params::flag(given, 1) {
        return Ok(render::bytes(&block.to_bytes()));
    }
    let mut shown = render::block(&block, ctx.version());
    place(ctx, &view, &block.header, &mut shown)?;
    Ok(Value::Object(shown))
}

fn header(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let view = ctx.view()?;
    let hash = ctx.block_hash(&view, given, 0)?;
    let header = ledger::trimmed_block(&view, &hash).map_err(engine)?.ok_or_else(unknown_block)?.header;
    if !params::flag(given, 1) {
        return Ok(render::bytes(&header.to_bytes()));
    }
    let mut shown = render::header(&header, ctx.version());
    place(ctx, &view, &header, &mut shown)?;
    Ok(Value::Object(shown))
}

/// Confirmations and the next block.
fn place(
    ctx: &Context,
    view: &impl Store,
    header: &Header,
    shown: &mut serde_json::Map<String, Value>,
) -> Result<(), Error> {
    let index = header.body().index;
    let height = ledger::current_index(view).map_err(engine)?.max(ctx.ledger.height().min(index));
    let confirmations = height.saturating_sub(index).saturating_add(1);
    shown.insert("confirmations".to_owned(), confirmations.into());
    if let Some(next) = ledger::block_hash(view, index.saturating_add(1)).map_err(engine)? {
        shown.insert("nextblockhash".to_owned(), next.to_string().into());
    }
    Ok(())
}

fn transaction(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let (hash, verbose) = (params::hash(given, 0, "hash")?, params::flag(given, 1));
    if let Some(tx) = ctx.admission.get(&hash) {
        return Ok(if verbose {
            Value::Object(render::transaction(&tx, ctx.version()))
        } else {
            render::bytes(&tx.to_bytes())
        });
    }
    let view = ctx.view()?;
    let state = ledger::transaction(&view, &hash).map_err(engine)?.ok_or_else(unknown_transaction)?;
    if !verbose {
        return Ok(render::bytes(&state.transaction.to_bytes()));
    }
    let mut shown = render::transaction(&state.transaction, ctx.version());
    let block = ledger::block_hash(&view, state.block_index).map_err(engine)?.ok_or_else(unknown_block)?;
    let header = ledger::trimmed_block(&view, &block).map_err(engine)?.ok_or_else(unknown_block)?.header;
    let height = ledger::current_index(&view).map_err(engine)?;
    shown.insert("blockhash".to_owned(), block.to_string().into());
    let confirmations = height.saturating_sub(state.block_index).saturating_add(1);
    shown.insert("confirmations".to_owned(), confirmations.into());
    shown.insert("blocktime".to_owned(), header.body().timestamp.into());
    shown.insert("vmstate".to_owned(), vm_state(state.state).into());
    Ok(Value::Object(shown))
}

pub(super) fn vm_state(state: State) -> &'static str {
    match state {
        State::Halt => "HALT",
        State::Fault => "FAULT",
        State::Break => "BREAK",
        State::Running => "NONE",
    }
}

fn mempool(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let (verified, unverified) = ctx.admission.hashes();
    let shown = |hashes: Vec<UInt256>| hashes.iter().map(UInt256::to_string).collect::<Value>();
    Ok(if params::flag(given, 0) {
        json!({
            "height": ctx.ledger.height(),
            "verified": shown(verified),
            "unverified": shown(unverified),
        })
    } else {
        shown(verified)
    })
}
