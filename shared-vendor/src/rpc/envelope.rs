//! From the bytes of a body to calls, and from answers to bytes.

use serde_json::{Map, Value, json};

use super::{Dialect, Error, Limits};

/// What a body holds.
pub(super) enum Incoming {
    One(Request),
    Many(Vec<Request>),
}

/// One element: a call, or what is answered because it is none.
pub(super) enum Request {
    Call(Call),
    Invalid { id: Value, error: Error },
}

pub(super) struct Call {
    pub(super) method: String,
    pub(super) params: Option<Value>,
    /// `None` is a notification: it runs and is not answered.
    pub(super) id: Option<Value>,
}

/// Reads a body. `Err` is the one answer to a body that is no request at all.
pub(super) fn read(body: &[u8], limits: &Limits, dialect: &Dialect) -> Result<Incoming, Value> {
    let parse_error = || answer(dialect.parse_error_id.clone(), Err((dialect.parse_error)()));
    if too_deep(body, limits.depth) {
        return Err(parse_error());
    }
    match serde_json::from_slice::<Value>(body).map_err(|_| parse_error())? {
        Value::Array(elements) if elements.len() > limits.batch => {
            let error = Error::new(-32600, format!("a batch may hold at most {} calls", limits.batch))
                .with_data(json!({ "limit": limits.batch }));
            Err(answer(Value::Null, Err(error)))
        }
        Value::Array(elements) => {
            Ok(Incoming::Many(elements.into_iter().map(|one| request(one, dialect)).collect()))
        }
        one => Ok(Incoming::One(request(one, dialect))),
    }
}

fn request(value: Value, dialect: &Dialect) -> Request {
    let invalid = |id| Request::Invalid { id, error: (dialect.invalid_request)() };
    let Value::Object(mut object) = value else { return invalid(Value::Null) };
    let id = match object.remove("id") {
        Some(id @ (Value::Null | Value::String(_) | Value::Number(_))) => Some(id),
        None => None,
        Some(_) => return invalid(Value::Null),
    };
    if object.get("jsonrpc").is_some_and(|version| version != "2.0") {
        return invalid(id.unwrap_or_default());
    }
    match object.remove("method") {
        Some(Value::String(method)) => Request::Call(Call { method, params: object.remove("params"), id }),
        _ => invalid(id.unwrap_or_default()),
    }
}

/// The answer object: `result` or `error`, never both.
pub(super) fn answer(id: Value, result: Result<Value, Error>) -> Value {
    let mut object = Map::new();
    object.insert("jsonrpc".to_owned(), json!("2.0"));
    object.insert("id".to_owned(), id);
    match result {
        Ok(value) => object.insert("result".to_owned(), value),
        Err(error) => object.insert("error".to_owned(), json!(error)),
    };
    Value::Object(object)
}

/// Counts brackets outside of strings, before anything is built from them.
fn too_deep(body: &[u8], limit: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth = depth.saturating_add(1);
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
