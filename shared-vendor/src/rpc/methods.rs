//! The table of methods: name, documentation, access, handler; and the parameters a handler reads.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Error, Session};
use crate::http::Access;

/// One documented parameter.
#[derive(Debug, Clone, Copy)]
pub struct ParamDoc {
    /// Name, as in a named call and in the OpenRPC document.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// May be left out.
    pub optional: bool,
}

/// What is said of a method beside its handler.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Name on the wire.
    pub name: &'static str,
    /// One line.
    pub help: &'static str,
    /// Parameters in order.
    pub params: &'static [ParamDoc],
    /// [`Access::Full`] where a credential is needed.
    pub access: Access,
}

impl Spec {
    /// A public method.
    #[must_use]
    pub const fn open(name: &'static str, help: &'static str, params: &'static [ParamDoc]) -> Self {
        Self { name, help, params, access: Access::Open }
    }
}

/// Parameters of one call, positional or named.
#[derive(Debug, Clone, Default)]
pub struct Params {
    values: Vec<Value>,
}

impl Params {
    /// Positional values in order; named ones put in the order of the documentation.
    ///
    /// # Errors
    /// Neither list nor object, or a name that the method does not have.
    pub(super) fn read(params: Option<Value>, docs: &[ParamDoc]) -> Result<Self, Error> {
        let values = match params {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(values)) => values,
            Some(Value::Object(mut named)) => {
                let values = docs.iter().map(|doc| named.remove(doc.name).unwrap_or(Value::Null)).collect();
                if let Some(unknown) = named.keys().next() {
                    let name: String = unknown.escape_debug().take(64).collect();
                    return Err(Error::invalid_params(format!("unknown parameter {name}")));
                }
                values
            }
            Some(_) => return Err(Error::invalid_params("params must be a list or an object")),
        };
        Ok(Self { values })
    }

    /// How many were given, trailing nulls included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True when none was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The value at `index`; null counts as absent.
    #[must_use]
    pub fn value(&self, index: usize) -> Option<&Value> {
        self.values.get(index).filter(|value| !value.is_null())
    }

    /// The value at `index` as a type.
    ///
    /// # Errors
    /// -32602 when it is absent or of another type.
    pub fn required<T: DeserializeOwned>(&self, index: usize, name: &str) -> Result<T, Error> {
        self.optional(index, name)?.ok_or_else(|| Error::invalid_params(format!("missing parameter {name}")))
    }

    /// The value at `index` as a type, if it was given.
    ///
    /// # Errors
    /// -32602 when it is of another type.
    pub fn optional<T: DeserializeOwned>(&self, index: usize, name: &str) -> Result<Option<T>, Error> {
        self.value(index)
            .map(|value| {
                T::deserialize(value).map_err(|err| Error::invalid_params(format!("parameter {name}: {err}")))
            })
            .transpose()
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Value, Error>> + Send>>;
type Handler<C> = Arc<dyn Fn(Arc<C>, Option<Session>, Params) -> Answer + Send + Sync>;

pub(super) struct Method<C> {
    pub(super) spec: Spec,
    pub(super) handler: Handler<C>,
    /// Only a connection that stays can call it.
    pub(super) needs_session: bool,
}

/// The methods of a server, by name.
pub struct Methods<C> {
    table: BTreeMap<&'static str, Method<C>>,
}

impl<C> Default for Methods<C> {
    fn default() -> Self {
        Self { table: BTreeMap::new() }
    }
}

impl<C: Send + Sync + 'static> Methods<C> {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a method that answers at once (a read of memory or of a cached table).
    pub fn add(
        &mut self,
        spec: Spec,
        run: impl Fn(&C, &Params) -> Result<Value, Error> + Send + Sync + 'static,
    ) {
        let run = Arc::new(run);
        self.insert(
            spec,
            false,
            Arc::new(move |ctx, _, params| {
                let run = Arc::clone(&run);
                Box::pin(async move { run(&ctx, &params) })
            }),
        );
    }

    /// Adds a method that reads the store or computes: it runs on the blocking pool.
    pub fn add_blocking(
        &mut self,
        spec: Spec,
        run: impl Fn(&C, &Params) -> Result<Value, Error> + Send + Sync + 'static,
    ) {
        let run = Arc::new(run);
        self.insert(
            spec,
            false,
            Arc::new(move |ctx, _, params| {
                let run = Arc::clone(&run);
                Box::pin(async move {
                    tokio::task::spawn_blocking(move || run(&ctx, &params))
                        .await
                        .unwrap_or_else(|_| Err(Error::internal("internal error")))
                })
            }),
        );
    }

    /// Adds a method that waits for others.
    pub fn add_async<F, Fut>(&mut self, spec: Spec, run: F)
    where
        F: Fn(Arc<C>, Params) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, Error>> + Send + 'static,
    {
        self.insert(spec, false, Arc::new(move |ctx, _, params| Box::pin(run(ctx, params))));
    }

    /// Adds a method of connections that stay: it answers at once and may subscribe. Over plain HTTP it is refused with
    /// [`super::Dialect::no_session`].
    pub fn add_session(
        &mut self,
        spec: Spec,
        run: impl Fn(&Arc<C>, &Session, &Params) -> Result<Value, Error> + Send + Sync + 'static,
    ) {
        let run = Arc::new(run);
        self.insert(
            spec,
            true,
            Arc::new(move |ctx, session, params| {
                let run = Arc::clone(&run);
                Box::pin(async move {
                    let session = session.ok_or_else(|| Error::internal("no session"))?;
                    run(&ctx, &session, &params)
                })
            }),
        );
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.table.keys().copied()
    }

    /// The OpenRPC 1.x document of the table.
    #[must_use]
    pub fn openrpc(&self, title: &str, version: &str) -> Value {
        let methods: Vec<Value> = self.table.values().map(|method| describe(&method.spec)).collect();
        json!({ "openrpc": "1.3.2", "info": { "title": title, "version": version }, "methods": methods })
    }

    pub(super) fn find(&self, name: &str) -> Option<&Method<C>> {
        self.table.get(name)
    }

    fn insert(&mut self, spec: Spec, needs_session: bool, handler: Handler<C>) {
        let twice = self.table.insert(spec.name, Method { spec, handler, needs_session }).is_some();
        assert!(!twice, "method {} is added twice", spec.name);
    }
}

fn describe(spec: &Spec) -> Value {
    let params: Vec<Value> = spec
        .params
        .iter()
        .map(|param| {
            json!({ "name": param.name, "description": param.help, "required": !param.optional, "schema": {} })
        })
        .collect();
    let mut method = Map::from_iter([
        ("name".to_owned(), json!(spec.name)),
        ("summary".to_owned(), json!(spec.help)),
        ("params".to_owned(), json!(params)),
        ("result".to_owned(), json!({ "name": "result", "schema": {} })),
    ]);
    if spec.access == Access::Full {
        method.insert("x-access".to_owned(), json!("credentials"));
    }
    Value::Object(method)
}
