//! `admin.*`: what an operator may change while the node runs. Served only when switched on. Mirrors `api/admin`, without
//! its profilers: those methods answer that there is none.

use std::{collections::BTreeMap, sync::Arc};

use avalanche_ids::Id;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use shared_vendor::{
    hex,
    rpc::{Error, Methods, ParamDoc, Params, Spec},
};

use crate::{
    Context,
    args::{Args, doc, malformed},
    failure,
    format::plain_hex,
};

const NONE: &[ParamDoc] = &[];
const ALIAS: &[ParamDoc] = &[doc("endpoint", "path below /ext"), doc("alias", "its other name")];
const CHAIN_ALIAS: &[ParamDoc] = &[doc("chain", "alias or id of a chain"), doc("alias", "its other name")];
const CHAIN: &[ParamDoc] = &[doc("chain", "id of a chain")];
const LEVEL: &[ParamDoc] = &[
    doc("loggerName", "a target of the log; all when left out"),
    doc("logLevel", "off, fatal, error, warn, info, debug, trace, verbo"),
    doc("displayLevel", "the same: there is one log"),
];
const LOGGER: &[ParamDoc] = &[doc("loggerName", "a target of the log; all when left out")];
const KEY: &[ParamDoc] = &[doc("key", "key of the store, hexadecimal")];

/// The name of everything that has no level of its own.
const MAIN: &str = "main";
/// The reference's code of a key that is not there.
const NOT_FOUND: u8 = 2;

/// What the class may do to the node.
pub trait Operator: Send + Sync {
    /// The level of the log at the start.
    fn level(&self) -> String;

    /// Changes it: `info,sync=debug`.
    ///
    /// # Errors
    /// The text is not a level.
    fn set_level(&self, level: &str) -> Result<(), String>;

    /// What the node was started with.
    fn settings(&self) -> Value;

    /// What the store holds under a key.
    ///
    /// # Errors
    /// The store failed.
    fn stored(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String>;
}

/// Levels of the log, by target.
struct Levels {
    operator: Arc<dyn Operator>,
    by_target: Mutex<BTreeMap<String, String>>,
}

type Method = fn(&Context, &Args<'_>) -> Result<Value, Error>;

pub(crate) fn add(methods: &mut Methods<Context>, operator: &Arc<dyn Operator>) {
    let table: [(&'static str, &'static str, &'static [ParamDoc], Method); 9] = [
        ("admin.alias", "gives a path another name", ALIAS, alias),
        ("admin.aliasChain", "gives a chain another name", CHAIN_ALIAS, alias_chain),
        ("admin.getChainAliases", "names of a chain", CHAIN, chain_aliases),
        ("admin.loadVMs", "looks for new virtual machines; there are none", NONE, |_, _| {
            Ok(json!({ "newVMs": {} }))
        }),
        ("admin.startCPUProfiler", "refused", NONE, no_profiler),
        ("admin.stopCPUProfiler", "refused", NONE, no_profiler),
        ("admin.memoryProfile", "refused", NONE, no_profiler),
        ("admin.lockProfile", "refused", NONE, no_profiler),
        ("admin.stacktrace", "refused", NONE, no_profiler),
    ];
    for (name, help, docs, run) in table {
        methods.add(Spec::open(name, help, docs), move |context: &Context, params: &Params| {
            run(context, &Args::new(params, docs))
        });
    }
    let levels = Arc::new(Levels { operator: Arc::clone(operator), by_target: Mutex::default() });
    let reader = Arc::clone(&levels);
    methods.add(Spec::open("admin.getLoggerLevel", "levels of the log", LOGGER), move |_, params| {
        let args = Args::new(params, LOGGER);
        Ok(reader.shown(args.text("loggerName")?))
    });
    methods.add(Spec::open("admin.setLoggerLevel", "changes a level of the log", LEVEL), move |_, params| {
        levels.set(&Args::new(params, LEVEL))
    });
    let settings = Arc::clone(operator);
    methods.add(Spec::open("admin.getConfig", "what the node was started with", NONE), move |_, _| {
        Ok(settings.settings())
    });
    let store = Arc::clone(operator);
    methods.add_blocking(
        Spec::open("admin.dbGet", "what the store holds under a key", KEY),
        move |_: &Context, params: &Params| {
            let key = Args::new(params, KEY).text("key")?;
            let key = hex::decode(key.strip_prefix("0x").unwrap_or(key)).map_err(|_| malformed())?;
            let found = store.stored(&key).map_err(failure)?;
            let code = if found.is_some() { 0 } else { NOT_FOUND };
            let value = found.map_or_else(String::new, |bytes| plain_hex(&bytes));
            Ok(json!({ "value": value, "errorCode": code }))
        },
    );
}

fn alias(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    context.alias_path(args.text("endpoint")?, args.text("alias")?).map_err(failure)?;
    Ok(json!({}))
}

fn alias_chain(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    context.alias_chain(args.text("chain")?, args.text("alias")?).map_err(failure)?;
    Ok(json!({}))
}

fn chain_aliases(context: &Context, args: &Args<'_>) -> Result<Value, Error> {
    let id: Id = args.text("chain")?.parse().map_err(|err| failure(format!("{err}")))?;
    let names = context.names(id);
    Ok(json!({ "aliases": if names.is_empty() { Value::Null } else { json!(names) } }))
}

fn no_profiler(_: &Context, _: &Args<'_>) -> Result<Value, Error> {
    Err(failure("this node has no profiler of its own: use those of the operating system"))
}

impl Levels {
    fn of(&self, target: &str) -> String {
        let levels = self.by_target.lock();
        let found = levels.get(target).or_else(|| levels.get(MAIN)).cloned();
        found.unwrap_or_else(|| self.operator.level()).to_ascii_uppercase()
    }

    fn shown(&self, target: &str) -> Value {
        let mut targets: Vec<String> = vec![target.to_owned()];
        if target.is_empty() {
            targets = self.by_target.lock().keys().cloned().chain([MAIN.to_owned()]).collect();
        }
        let shown = targets.into_iter().map(|target| {
            let level = self.of(&target);
            (target, json!({ "logLevel": level, "displayLevel": level }))
        });
        json!({ "loggerLevels": shown.collect::<Map<_, _>>() })
    }

    fn set(&self, args: &Args<'_>) -> Result<Value, Error> {
        let target = args.text("loggerName")?;
        let level = match (args.text("logLevel")?, args.text("displayLevel")?) {
            ("", "") => return Err(failure("need to specify either displayLevel or logLevel")),
            ("", level) | (level, _) => known(level).ok_or_else(malformed)?,
        };
        let mut levels = self.by_target.lock();
        let before = levels.clone();
        if target.is_empty() {
            levels.clear();
        }
        levels.insert(if target.is_empty() { MAIN } else { target }.to_owned(), level.to_owned());
        let main = levels.get(MAIN).cloned().unwrap_or_else(|| self.operator.level());
        let others = levels.iter().filter(|(target, _)| *target != MAIN);
        let text = others.fold(main, |text, (target, level)| format!("{text},{target}={level}"));
        if let Err(err) = self.operator.set_level(&text) {
            *levels = before;
            return Err(failure(err));
        }
        drop(levels);
        Ok(self.shown(target))
    }
}

/// Our name of one of the reference's levels.
fn known(level: &str) -> Option<&'static str> {
    Some(match level.to_ascii_lowercase().as_str() {
        "off" => "off",
        "fatal" | "error" => "error",
        "warn" => "warn",
        "info" => "info",
        "debug" | "trace" => "debug",
        "verbo" => "trace",
        _ => return None,
    })
}
