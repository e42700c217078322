//! The table of methods: name, arguments, what it does. Bounds on the number of arguments are checked here, everything
//! else by the method. Mirrors `CRPCTable` of `src/rpc/server.cpp`.

mod address;
mod blocks;
mod chain;
mod control;
mod mempool;
mod mining;
mod network;
mod nodes;
mod sign;
mod template;
mod transactions;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::{
    context::{Context, SafeMode},
    error::{self, RpcError},
    json::Json,
    params::{Args, Result},
};

/// Methods that a node in safe mode refuses, beside all about fluxnodes.
const STOPPED_BY_SAFE_MODE: [&str; 8] = [
    "getblockdeltas",
    "getspentinfo",
    "getaddresstxids",
    "getaddressbalance",
    "getaddressdeltas",
    "getaddressutxos",
    "sendrawtransaction",
    "signrawtransaction",
];

/// One method.
pub struct Method {
    /// Name on the wire.
    pub name: &'static str,
    /// Group, as `help` lists them.
    pub group: &'static str,
    /// Arguments, as in the first line of the help: `"hash" ( verbose )`.
    pub arguments: &'static str,
    /// What it does, one line.
    pub about: &'static str,
    /// Fewest arguments.
    pub least: usize,
    /// Most arguments.
    pub most: usize,
    /// The method.
    pub run: fn(&Context, &Args) -> Result<Json>,
}

impl Method {
    /// The text that the wrong number of arguments is answered with.
    #[must_use]
    pub fn help(&self) -> String {
        format!("{}\n\n{}\n", self.usage(), self.about)
    }

    /// Whether it answers also while an alert of the network puts RPC into safe mode.
    fn runs_in_safe_mode(&self) -> bool {
        self.group != "fluxnode" && !STOPPED_BY_SAFE_MODE.contains(&self.name)
    }

    fn usage(&self) -> String {
        format!("{} {}", self.name, self.arguments).trim_end().to_owned()
    }
}

/// All methods with what they share.
pub struct Methods {
    table: BTreeMap<&'static str, Method>,
    context: Arc<Context>,
}

/// The methods without a node: for documents.
#[must_use]
pub fn all() -> Vec<Method> {
    [
        control::METHODS,
        chain::METHODS,
        blocks::METHODS,
        transactions::METHODS,
        sign::METHODS,
        mempool::METHODS,
        address::METHODS,
        nodes::METHODS,
        mining::METHODS,
        template::METHODS,
        network::METHODS,
    ]
    .into_iter()
    .flat_map(|make| make())
    .collect()
}

impl Methods {
    /// The table over a node.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Arc<Self> {
        let table = all().into_iter().map(|method| (method.name, method)).collect();
        Arc::new(Self { table, context })
    }

    /// What the methods share.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Runs a method on the blocking pool.
    ///
    /// # Errors
    /// What the method answers instead of a result.
    pub async fn call(self: Arc<Self>, name: String, args: Args) -> Result<Json> {
        let done = tokio::task::spawn_blocking(move || self.run(&name, &args)).await;
        done.unwrap_or_else(|_| Err(RpcError::new(error::INTERNAL, "internal error")))
    }

    fn run(&self, name: &str, args: &Args) -> Result<Json> {
        if name == "help" {
            return self.help(args);
        }
        let method =
            self.table.get(name).ok_or_else(|| RpcError::new(error::METHOD_NOT_FOUND, "Method not found"))?;
        if !method.runs_in_safe_mode() && self.context.safe_mode != SafeMode::Ignored {
            let warning = self.context.warnings().rpc;
            if !warning.is_empty() {
                return Err(RpcError::new(error::SAFE_MODE, format!("Safe mode: {warning}")));
            }
        }
        if args.len() < method.least || args.len() > method.most {
            return Err(RpcError::new(error::MISC, method.help()));
        }
        (method.run)(&self.context, args)
    }

    fn help(&self, args: &Args) -> Result<Json> {
        if args.len() > 1 {
            return Err(RpcError::new(
                error::MISC,
                "help ( \"command\" )\n\nLists the methods, or explains one.\n",
            ));
        }
        if args.has(0) {
            let name = args.text(0)?;
            let text =
                self.table.get(name).map_or_else(|| format!("help: unknown command: {name}"), Method::help);
            return Ok(Json::from(text.trim_end()));
        }
        let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for method in self.table.values() {
            groups.entry(method.group).or_default().push(method.usage());
        }
        groups.entry("control").or_default().push("help ( \"command\" )".to_owned());
        let parts: Vec<String> = groups
            .into_iter()
            .map(|(group, lines)| format!("== {} ==\n{}", title(group), lines.join("\n")))
            .collect();
        Ok(Json::from(parts.join("\n\n")))
    }
}

fn title(group: &str) -> String {
    let mut letters = group.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The OpenRPC document of the methods.
#[must_use]
pub fn openrpc(title: &str, version: &str) -> Value {
    let methods: Vec<Value> = all()
        .iter()
        .map(|method| {
            let params: Vec<Value> = (0..method.most)
                .map(|at| json!({ "name": format!("arg{}", at + 1), "required": at < method.least, "schema": {} }))
                .collect();
            json!({
                "name": method.name,
                "summary": method.about,
                "description": method.usage(),
                "paramStructure": "by-position",
                "params": params,
                "result": { "name": "result", "schema": {} },
            })
        })
        .collect();
    json!({ "openrpc": "1.3.2", "info": { "title": title, "version": version }, "methods": methods })
}
