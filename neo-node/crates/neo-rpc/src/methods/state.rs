//! State roots, proofs, earlier states, application logs. Mirrors the plugins `StateService` and `ApplicationLogs`;
//! `getblocknotifications` and the historic storage calls are neo-go's.

use neo_base::{
    UInt160, UInt256,
    codec::{Wire, read_list, read_var_bytes, write_count, write_var_bytes},
};
use neo_contract::{
    ContractState,
    engine::{Store, Trigger, storage_key},
    native::{self, ContractId, ledger, management},
};
use neo_runtime::{
    LedgerError,
    log::{Execution, Log, LogItem, LogNotification},
    state_root::{TrieError, proof},
};
use serde_json::{Map, Value, json};
use shared_vendor::{
    bytes::{Reader, Writer},
    rpc::{Error, Methods, ParamDoc, Params, Spec},
};

use super::{blockchain, option, param};
use crate::{
    context::{Context, engine, failed},
    error::{
        because, invalid_proof, unknown_block, unknown_contract, unknown_script_container,
        unknown_state_root, unknown_storage_item,
    },
    params::{self, wrong},
    render,
};

/// Longest node of a proof, and most of them.
const MAX_NODE: usize = 1 << 17;

const ROOT: ParamDoc = param("roothash", "Root of a state");
const CONTRACT: ParamDoc = param("contract", "Hash, name of a native one, or number");
const KEY: ParamDoc = param("key", "Base64");

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add_blocking(
        Spec::open("getstateroot", "The state root after a block", const { &[param("index", "Height")] }),
        |ctx, given| {
            let number = params::number(params::required(given, 0, "index")?);
            let height = number.ok_or_else(|| wrong("the height is not a whole number"))?;
            let height = u32::try_from(height).map_err(|_| wrong("the height is out of range"))?;
            let root =
                ctx.ledger.state_root(height).map_err(|err| failed(&err))?.ok_or_else(unknown_state_root)?;
            Ok(json!({
                "version": 0,
                "index": root.index,
                "roothash": root.root.to_string(),
                "witnesses": root.witness.iter().map(render::witness).collect::<Vec<_>>(),
            }))
        },
    );
    methods.add(Spec::open("getstateheight", "Heights of own and of signed state roots", &[]), |ctx, _| {
        let validated = ctx.ledger.validated_root().map_err(|err| failed(&err))?;
        Ok(json!({ "localrootindex": ctx.ledger.height(), "validatedrootindex": validated }))
    });
    methods.add_blocking(
        Spec::open("getproof", "The nodes that prove a stored value", &[ROOT, CONTRACT, KEY]),
        prove,
    );
    methods.add_blocking(
        Spec::open(
            "verifyproof",
            "The value that a proof proves",
            const { &[ROOT, param("proof", "Base64")] },
        ),
        verify_proof,
    );
    methods.add_blocking(
        Spec::open("getstate", "A value of an earlier state", &[ROOT, CONTRACT, KEY]),
        |ctx, given| {
            let (state, contract) = rooted_by_hash(ctx, given)?;
            let key = storage_key(contract.id, &params::bytes(given, 2, "key")?);
            let value = state.get(&key).map_err(|err| failed(&*err))?;
            value.map(|value| render::bytes(&value)).ok_or_else(|| wrong("no such key in this state"))
        },
    );
    methods.add_blocking(
        Spec::open(
            "findstates",
            "Values of an earlier state with proofs of the first and the last",
            const {
                &[
                    ROOT,
                    CONTRACT,
                    param("prefix", "Base64"),
                    option("from", "Key to begin behind"),
                    option("count", "Most"),
                ]
            },
        ),
        find_states,
    );
    methods.add_blocking(
        Spec::open("getstoragehistoric", "A value of an earlier state", &[ROOT, CONTRACT, KEY]),
        |ctx, given| {
            let (state, contract) = rooted_id(ctx, given)?;
            blockchain::stored(&state, contract, &params::bytes(given, 2, "key")?)
        },
    );
    methods.add_blocking(
        Spec::open(
            "findstoragehistoric",
            "Values of an earlier state by the start of their keys",
            const { &[ROOT, CONTRACT, param("prefix", "Base64"), option("start", "How many to skip")] },
        ),
        |ctx, given| {
            let (state, contract) = rooted_id(ctx, given)?;
            blockchain::found(ctx, &state, contract, &params::bytes(given, 2, "prefix")?, (given, 3))
        },
    );
    methods.add_blocking(
        Spec::open(
            "getapplicationlog",
            "What a transaction or a block did",
            const { &[param("hash", "Its hash"), option("trigger", "Only executions of this trigger")] },
        ),
        application_log,
    );
    methods.add_blocking(
        Spec::open(
            "getblocknotifications",
            "All notifications of a block",
            const { &[param("hash_or_index", "Hash or height"), option("filter", "contract and name")] },
        ),
        block_notifications,
    );
}

/// The same for the number of a contract, which need not be one's.
fn rooted_id<'a>(ctx: &'a Context, given: &Params) -> Result<(neo_runtime::HistoricView<'a>, i32), Error> {
    let state = ctx.ledger.at_root(params::hash(given, 0, "roothash")?).map_err(|err| failed(&err))?;
    if !is_state(&state) {
        return Err(unknown_state_root());
    }
    let contract = ctx.contract_id(&state, given, 1)?;
    Ok((state, contract))
}

/// Whether a root is one of a state: each has this contract.
pub(super) fn is_state(state: &impl Store) -> bool {
    let policy = management::contract(state, &native::hash_of(ContractId::POLICY));
    policy.is_ok_and(|policy| policy.is_some())
}

/// The same for a contract that is named by its hash, as the C# node's methods do.
fn rooted_by_hash<'a>(
    ctx: &'a Context,
    given: &Params,
) -> Result<(neo_runtime::HistoricView<'a>, ContractState), Error> {
    let hash = params::text(given, 1, "contract")?;
    if hash.parse::<UInt160>().is_err() {
        return Err(wrong("the contract is not named by its hash"));
    }
    rooted(ctx, given)
}

/// The state with the root that is the first parameter, and the contract that is the second.
fn rooted<'a>(
    ctx: &'a Context,
    given: &Params,
) -> Result<(neo_runtime::HistoricView<'a>, ContractState), Error> {
    let root = params::hash(given, 0, "roothash")?;
    let state = ctx.ledger.at_root(root).map_err(|err| failed(&err))?;
    let hash = ctx.contract_hash(given, 1)?;
    let contract = management::contract(&state, &hash).map_err(|_| unknown_state_root())?;
    let contract = contract.ok_or_else(|| because(unknown_contract(), "not in this state"))?;
    Ok((state, contract))
}

fn prove(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let (_, contract) = rooted_by_hash(ctx, given)?;
    let key = storage_key(contract.id, &params::written_bytes(given, 2, "key")?);
    proof_of(ctx, params::hash(given, 0, "roothash")?, &key)
}

/// Base64 of the key and the nodes that prove it.
fn proof_of(ctx: &Context, root: UInt256, key: &[u8]) -> Result<Value, Error> {
    let nodes = ctx.ledger.prove(root, key).map_err(|err| match err {
        LedgerError::Trie(TrieError::Missing(_)) => unknown_state_root(),
        // longer than any key that is stored
        LedgerError::Trie(TrieError::Key(_)) => unknown_storage_item(),
        other => failed(&other),
    })?;
    let nodes = nodes.ok_or_else(unknown_storage_item)?;
    let mut out = Writer::new();
    write_var_bytes(&mut out, key);
    write_count(&mut out, nodes.len());
    nodes.iter().for_each(|node| write_var_bytes(&mut out, node));
    Ok(render::bytes(out.as_slice()))
}

/// The bytes of one node.
struct Node(Vec<u8>);

impl Wire for Node {
    fn read(reader: &mut Reader<'_>) -> neo_base::codec::Result<Self> {
        Ok(Self(read_var_bytes(reader, MAX_NODE)?.to_vec()))
    }

    fn write(&self, writer: &mut Writer) {
        write_var_bytes(writer, &self.0);
    }
}

fn verify_proof(_: &Context, given: &Params) -> Result<Value, Error> {
    let (root, bytes) = (params::hash(given, 0, "roothash")?, params::bytes(given, 1, "proof")?);
    let mut reader = Reader::new(&bytes);
    let key = read_var_bytes(&mut reader, MAX_NODE).map_err(|err| wrong(err.to_string()))?;
    let nodes: Vec<Node> = read_list(&mut reader, MAX_NODE, 1).map_err(|err| wrong(err.to_string()))?;
    let nodes: Vec<_> = nodes.into_iter().map(|node| node.0).collect();
    let value = proof::verify(root, key, &nodes).ok().flatten();
    value.map(|value| render::bytes(&value)).ok_or_else(invalid_proof)
}

fn find_states(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let (state, contract) = rooted_by_hash(ctx, given)?;
    let root = params::hash(given, 0, "roothash")?;
    let prefix = params::bytes(given, 2, "prefix")?;
    let is_given = |index| given.value(index).is_some_and(|value| !value.is_null());
    let from = if is_given(3) { params::bytes(given, 3, "from")? } else { Vec::new() };
    let from = Some(from).filter(|from| !from.is_empty());
    if from.as_ref().is_some_and(|from| !from.starts_with(&prefix)) {
        return Err(wrong("from does not begin with the prefix"));
    }
    let count = if is_given(4) { params::int(given, 4, "count")? } else { 0 };
    // No number and a negative one both mean as many as there may be.
    let count = usize::try_from(count).ok().filter(|count| *count > 0);
    let limit = count.unwrap_or(usize::MAX).min(ctx.options.page_size);
    let prefix = storage_key(contract.id, &prefix);
    let mut after = from.map(|from| storage_key(contract.id, &from));
    let (mut entries, mut truncated) = (Vec::new(), false);
    while let Some((key, value)) =
        state.seek(&prefix, after.as_deref(), false).map_err(|err| failed(&*err))?
    {
        if entries.len() >= limit {
            truncated = true;
            break;
        }
        entries.push((key.clone(), value));
        after = Some(key);
    }
    let shown = entries.iter().map(|(key, value)| {
        json!({ "key": render::bytes(key.get(4..).unwrap_or_default()), "value": render::bytes(value) })
    });
    let mut out = json!({ "truncated": truncated, "results": shown.collect::<Vec<_>>() });
    if let Some((key, _)) = entries.first() {
        out["firstProof"] = proof_of(ctx, root, key)?;
    }
    if let Some((key, _)) = entries.last().filter(|_| entries.len() > 1) {
        out["lastProof"] = proof_of(ctx, root, key)?;
    }
    Ok(out)
}

fn application_log(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let hash = params::hash(given, 0, "hash")?;
    let trigger = given.value(1).and_then(Value::as_str);
    let log = ctx
        .ledger
        .application_log(&hash)
        .map_err(|err| failed(&err))?
        .ok_or_else(unknown_script_container)?;
    let is_block = log.executions.iter().any(|execution| execution.trigger != Trigger::Application);
    let shown = log
        .executions
        .iter()
        .filter(|execution| {
            trigger.is_none_or(|wanted| wanted.eq_ignore_ascii_case(trigger_name(execution.trigger)))
        })
        .map(execution);
    let name = if is_block { "blockhash" } else { "txid" };
    Ok(json!({ name: hash.to_string(), "executions": shown.collect::<Vec<_>>() }))
}

/// Names of triggers as the reference writes them.
pub(super) fn trigger_name(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::OnPersist => "OnPersist",
        Trigger::PostPersist => "PostPersist",
        Trigger::Verification => "Verification",
        Trigger::Application => "Application",
    }
}

/// One execution as `getapplicationlog` shows it.
pub(super) fn execution(execution: &Execution) -> Value {
    let stack = execution.stack.as_ref().map_or_else(
        || json!("error: invalid stack items"),
        |stack| stack.iter().map(item).collect::<Value>(),
    );
    json!({
        "trigger": trigger_name(execution.trigger),
        "vmstate": if execution.halted { "HALT" } else { "FAULT" },
        "exception": execution.exception,
        "gasconsumed": execution.gas.to_string(),
        "stack": stack,
        "notifications": execution.notifications.iter().map(notification).map(Value::Object).collect::<Vec<_>>(),
    })
}

/// One event.
pub(super) fn notification(sent: &LogNotification) -> Map<String, Value> {
    let state = sent.state.as_ref().map_or_else(|| json!("error: recursive reference"), item);
    render::object(json!({
        "contract": sent.contract.to_string(),
        "eventname": sent.name,
        "state": state,
    }))
}

fn item(of: &LogItem) -> Value {
    let list = |items: &[LogItem]| items.iter().map(item).collect::<Value>();
    match of {
        LogItem::Null => json!({ "type": "Any" }),
        LogItem::Boolean(value) => json!({ "type": "Boolean", "value": value }),
        LogItem::Integer(value) => json!({ "type": "Integer", "value": value.to_string() }),
        LogItem::ByteString(data) => json!({ "type": "ByteString", "value": render::bytes(data) }),
        LogItem::Buffer(data) => json!({ "type": "Buffer", "value": render::bytes(data) }),
        LogItem::Array(items) => json!({ "type": "Array", "value": list(items) }),
        LogItem::Struct(items) => json!({ "type": "Struct", "value": list(items) }),
        LogItem::Map(entries) => {
            let entries =
                entries.iter().map(|(key, value)| json!({ "key": item(key), "value": item(value) }));
            json!({ "type": "Map", "value": entries.collect::<Vec<_>>() })
        }
        LogItem::Pointer(position) => json!({ "type": "Pointer", "value": position }),
        LogItem::Interop => json!({ "type": "InteropInterface" }),
    }
}

fn block_notifications(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let view = ctx.view()?;
    let hash = ctx.block_hash(&view, given, 0)?;
    let block = ledger::trimmed_block(&view, &hash).map_err(engine)?.ok_or_else(unknown_block)?;
    let filter = given.value(1).cloned().unwrap_or_default();
    let wanted = |sent: &LogNotification| {
        let matches = |name: &str, text: String| filter[name].as_str().is_none_or(|wanted| wanted == text);
        matches("contract", sent.contract.to_string()) && matches("name", sent.name.clone())
    };
    let of = |container: &UInt256, log: &Log, trigger: Trigger| {
        let executions = log.executions.iter().filter(|execution| execution.trigger == trigger);
        let sent = executions.flat_map(|execution| &execution.notifications).filter(|sent| wanted(sent));
        sent.map(|sent| {
            let mut shown = notification(sent);
            shown.insert("container".to_owned(), container.to_string().into());
            Value::Object(shown)
        })
        .collect::<Vec<_>>()
    };
    let read = |hash: &UInt256| ctx.ledger.application_log(hash).map_err(|err| failed(&err));
    let log = read(&hash)?.unwrap_or_default();
    let mut application = Vec::new();
    for tx in &block.hashes {
        application.extend(of(tx, &read(tx)?.unwrap_or_default(), Trigger::Application));
    }
    let mut out = Map::new();
    let parts = [
        ("onpersist", of(&hash, &log, Trigger::OnPersist)),
        ("application", application),
        ("postpersist", of(&hash, &log, Trigger::PostPersist)),
    ];
    for (name, part) in parts {
        if !part.is_empty() {
            out.insert(name.to_owned(), part.into());
        }
    }
    Ok(Value::Object(out))
}
