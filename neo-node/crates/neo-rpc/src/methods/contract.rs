//! Invocations and iterators. Mirrors `RpcServer.SmartContract.cs`; the historic calls are neo-go's.

use neo_contract::{engine::Store, native::ledger};
use serde_json::Value;
use shared_vendor::rpc::{Error, Methods, ParamDoc, Params, Spec};

use super::{option, param};
use crate::{
    context::{Context, engine, failed},
    error::{sessions_disabled, unknown_iterator, unknown_session, unsupported_state},
    invoke,
    params::{self, wrong},
    script::ScriptBuilder,
    sessions::SessionError,
};

const CONTRACT: ParamDoc = param("contract", "Hash, name of a native one, or number");
const METHOD: ParamDoc = param("method", "Name of the method");
const ARGUMENTS: ParamDoc = option("params", "Typed values");
const SIGNERS: ParamDoc = option("signers", "Who signs, with scopes");
const DIAGNOSTIC: ParamDoc = option("useDiagnostic", "Has no effect here");
const SCRIPT: ParamDoc = param("script", "Base64");
const HEIGHT: ParamDoc = param("index_or_hash", "Height, hash of a block, or state root");

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add_blocking(
        Spec::open("invokefunction", "Calls a method", &[CONTRACT, METHOD, ARGUMENTS, SIGNERS, DIAGNOSTIC]),
        |ctx, given| function(ctx, &ctx.view()?, given, 0),
    );
    methods.add_blocking(
        Spec::open("invokescript", "Runs a script", &[SCRIPT, SIGNERS, DIAGNOSTIC]),
        |ctx, given| script(ctx, &ctx.view()?, given, 0),
    );
    methods.add_blocking(
        Spec::open(
            "invokecontractverify",
            "Asks a contract whether it agrees",
            &[CONTRACT, ARGUMENTS, SIGNERS],
        ),
        |ctx, given| verify(ctx, &ctx.view()?, given, 0),
    );
    methods.add_blocking(
        Spec::open(
            "invokefunctionhistoric",
            "Calls a method over an earlier state",
            &[HEIGHT, CONTRACT, METHOD, ARGUMENTS, SIGNERS, DIAGNOSTIC],
        ),
        |ctx, given| function(ctx, &ctx.historic(given, 0)?, given, 1),
    );
    methods.add_blocking(
        Spec::open(
            "invokescripthistoric",
            "Runs a script over an earlier state",
            &[HEIGHT, SCRIPT, SIGNERS, DIAGNOSTIC],
        ),
        |ctx, given| script(ctx, &ctx.historic(given, 0)?, given, 1),
    );
    methods.add_blocking(
        Spec::open(
            "invokecontractverifyhistoric",
            "Asks a contract of an earlier state whether it agrees",
            &[HEIGHT, CONTRACT, ARGUMENTS, SIGNERS],
        ),
        |ctx, given| verify(ctx, &ctx.historic(given, 0)?, given, 1),
    );
    methods.add(
        Spec::open(
            "traverseiterator",
            "The next items of a kept iterator",
            const { &[param("session", "Its session"), param("iterator", "Its id"), param("count", "How many")] },
        ),
        traverse,
    );
    methods.add(
        Spec::open("terminatesession", "Ends a session", const { &[param("session", "Its id")] }),
        |ctx, given| {
            let session = params::text(given, 0, "session")?;
            if !ctx.options.sessions {
                return Err(sessions_disabled());
            }
            if ctx.sessions.end(session) { Ok(true.into()) } else { Err(unknown_session()) }
        },
    );
}

impl Context {
    /// The state after the block that a parameter names by height, hash or state root.
    pub(super) fn historic(
        &self,
        given: &Params,
        index: usize,
    ) -> Result<neo_runtime::HistoricView<'_>, Error> {
        let height = match params::block_id(given, index)? {
            params::BlockId::Height(height) => {
                let known = u32::try_from(height).ok().filter(|height| *height <= self.ledger.height());
                known.ok_or_else(|| wrong("there is no block of this height"))?
            }
            params::BlockId::Hash(hash) => {
                let block = ledger::trimmed_block(&self.view()?, &hash).map_err(engine)?;
                match block {
                    Some(block) => block.header.body().index,
                    None => {
                        let state = self.ledger.at_root(hash).map_err(|err| failed(&err))?;
                        let known = super::state::is_state(&state);
                        return known.then_some(state).ok_or_else(|| wrong("no such block or state root"));
                    }
                }
            }
        };
        self.ledger
            .historic(height)
            .map_err(|err| crate::error::because(unsupported_state(), err.to_string()))
    }
}

fn function(ctx: &Context, state: &impl Store, given: &Params, first: usize) -> Result<Value, Error> {
    let at = |offset: usize| first.saturating_add(offset);
    // A contract that is named by its hash need not exist: the call then is a fault.
    let named = given.value(first).and_then(Value::as_str).and_then(|text| text.parse().ok());
    let contract = match named {
        Some(hash) => hash,
        None => ctx.contract(state, given, first)?.hash,
    };
    let method = params::written(given, at(1), "method")?;
    let arguments = params::arguments(given, at(2), ctx.version())?;
    let signers = params::signers(given, at(3), ctx.version())?;
    let script = ScriptBuilder::default().call(&contract, &method, &arguments).finish();
    invoke::check_size(&script)?;
    invoke::run_script(ctx, state, &script, signers)
}

fn script(ctx: &Context, state: &impl Store, given: &Params, first: usize) -> Result<Value, Error> {
    let script = params::bytes(given, first, "script")?;
    let signers = params::signers(given, first.saturating_add(1), ctx.version())?;
    invoke::check_size(&script)?;
    invoke::run_script(ctx, state, &script, signers)
}

fn verify(ctx: &Context, state: &impl Store, given: &Params, first: usize) -> Result<Value, Error> {
    let contract = ctx.contract(state, given, first)?;
    let arguments = params::arguments(given, first.saturating_add(1), ctx.version())?;
    let signers = params::signers(given, first.saturating_add(2), ctx.version())?;
    let mut builder = ScriptBuilder::default();
    for argument in arguments.iter().rev() {
        builder.push(argument);
    }
    invoke::run_verify(ctx, state, contract, &builder.finish(), arguments.len(), signers)
}

fn traverse(ctx: &Context, given: &Params) -> Result<Value, Error> {
    let (session, iterator) = (params::text(given, 0, "session")?, params::text(given, 1, "iterator")?);
    let count = params::number(params::required(given, 2, "count")?);
    let count =
        count.and_then(|count| usize::try_from(count).ok()).ok_or_else(|| wrong("count is no number"))?;
    if !ctx.options.sessions {
        return Err(sessions_disabled());
    }
    if count > ctx.options.max_items {
        return Err(wrong(format!("at most {} items can be asked for", ctx.options.max_items)));
    }
    match ctx.sessions.traverse(ctx.clock.now(), session, iterator, count) {
        Ok(items) => Ok(Value::Array(items)),
        Err(SessionError::Session) => Err(unknown_session()),
        Err(SessionError::Iterator) => Err(unknown_iterator()),
    }
}
