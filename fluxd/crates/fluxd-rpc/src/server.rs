//! The HTTP face: who may ask, the envelope of the reference (always both `result` and `error`), batches, and the
//! routes. Nothing here knows what a method does. Mirrors `src/httprpc.cpp`, `src/httpserver.cpp` and
//! `src/rpc/protocol.cpp`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Path, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use fluxd_p2p::bans::Subnet;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use shared_vendor::http;

use crate::{
    error::{self, RpcError},
    json::Json,
    methods::Methods,
    params::Args,
    rest,
};

/// Depth of a request's JSON.
const MAX_DEPTH: usize = 512;
/// A wrong password is answered after so long.
const DETERRENCE: Duration = Duration::from_millis(250);

/// Who may ask.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// `user:password` pairs, the cookie among them.
    pub passwords: Vec<Secret>,
    /// Networks that may connect; loopback always may.
    pub networks: Vec<Subnet>,
    /// Public REST requests are served.
    pub rest: bool,
}

/// One way to be let in.
#[derive(Clone)]
pub enum Secret {
    /// `user:password` in clear.
    Plain(String),
    /// `rpcauth`: user, salt, HMAC-SHA256 of the password under the salt, in hexadecimal.
    Hashed(String, String, String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads `USER:SALT$HASH`.
    #[must_use]
    pub fn hashed(text: &str) -> Option<Self> {
        let (user, rest) = text.split_once(':')?;
        let (salt, hash) = rest.split_once('$')?;
        (!user.is_empty() && hash.len() == 64)
            .then(|| Self::Hashed(user.into(), salt.into(), hash.to_lowercase()))
    }

    fn opens(&self, pair: &str) -> bool {
        match self {
            Self::Plain(expected) => equal(expected, pair),
            Self::Hashed(user, salt, hash) => {
                let Some((name, password)) = pair.split_once(':') else { return false };
                let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt.as_bytes()) else { return false };
                mac.update(password.as_bytes());
                let found = shared_vendor::hex::encode(mac.finalize().into_bytes());
                equal(user, name) & equal(hash, &found)
            }
        }
    }
}

/// Compares in time that depends on the lengths only.
fn equal(left: &str, right: &str) -> bool {
    left.len() == right.len()
        && left.bytes().zip(right.bytes()).fold(0_u8, |differs, (a, b)| differs | (a ^ b)) == 0
}

impl Access {
    fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_loopback() || self.networks.iter().any(|network| network.contains(ip))
    }

    fn opens(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let pair = shown
            .and_then(|text| text.strip_prefix("Basic "))
            .and_then(|text| BASE64_STANDARD.decode(text.trim()).ok())
            .and_then(|bytes| String::from_utf8(bytes).ok());
        pair.is_some_and(|pair| self.passwords.iter().fold(false, |open, secret| open | secret.opens(&pair)))
    }
}

/// What the routes share.
pub struct Served {
    /// The methods.
    pub methods: Arc<Methods>,
    /// Who may ask.
    pub access: Access,
    /// Limits of bodies.
    pub limits: http::Limits,
    /// Calls that run at once, and those that wait.
    pub queue: Arc<tokio::sync::Semaphore>,
}

/// The routes: `/`, `/daemon/<method>`, `/rest/...`.
pub fn router(served: Served) -> Router {
    let served = Arc::new(served);
    let routes = Router::new()
        .route("/", axum::routing::any(rpc))
        .route("/daemon/{method}", axum::routing::any(daemon));
    let routes = if served.access.rest {
        routes.route("/rest/{*path}", axum::routing::any(rest_route))
    } else {
        routes
    };
    routes.with_state(served)
}

async fn rpc(
    State(served): State<Arc<Served>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    if !admitted(&served, client, request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if request.method() != Method::POST {
        let text = "JSONRPC server handles only POST requests";
        return (StatusCode::METHOD_NOT_ALLOWED, text).into_response();
    }
    if let Err(refused) = authorized(&served, request.headers()).await {
        return refused;
    }
    let body = match http::read_body(request.into_body(), &served.limits).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    let Ok(_turn) = served.queue.acquire().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    if depth(&body) > MAX_DEPTH {
        return failure(&RpcError::new(error::PARSE, "Parse error"), &Value::Null);
    }
    match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Array(calls)) => {
            let mut replies = Vec::new();
            for call in calls {
                replies.push(match run(&served.methods, call).await {
                    Ok((result, id)) => reply(result, Json::Null, &id),
                    Err((error, id)) => reply(Json::Null, error.json(), &id),
                });
            }
            success(&Json::List(replies))
        }
        Ok(call @ Value::Object(_)) => match run(&served.methods, call).await {
            Ok((result, id)) => success(&reply(result, Json::Null, &id)),
            Err((error, id)) => failure(&error, &id),
        },
        Ok(_) => failure(&RpcError::new(error::PARSE, "Top-level object parse error"), &Value::Null),
        Err(_) => failure(&RpcError::new(error::PARSE, "Parse error"), &Value::Null),
    }
}

/// `/daemon/<method>`: the arguments are the body (a list, or an object with `params`) of a POST, or the query of a GET.
async fn daemon(
    State(served): State<Arc<Served>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    if !admitted(&served, client, request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if let Err(refused) = authorized(&served, request.headers()).await {
        return refused;
    }
    let from_query: Vec<Value> = request.uri().query().map(query_values).unwrap_or_default();
    let body = match http::read_body(request.into_body(), &served.limits).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    let params = if body.is_empty() {
        Value::Array(from_query)
    } else {
        match serde_json::from_slice::<Value>(&body) {
            Ok(Value::Object(mut object)) => object.remove("params").unwrap_or(Value::Array(Vec::new())),
            Ok(list @ Value::Array(_)) => list,
            _ => return failure(&RpcError::new(error::PARSE, "Parse error"), &Value::Null),
        }
    };
    let Ok(_turn) = served.queue.acquire().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let call = serde_json::json!({ "method": method, "params": params, "id": null });
    match run(&served.methods, call).await {
        Ok((result, id)) => success(&reply(result, Json::Null, &id)),
        Err((error, id)) => failure(&error, &id),
    }
}

/// `a=1&b=x`: the values in order, JSON where they are JSON.
fn query_values(query: &str) -> Vec<Value> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(_, value)| serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)))
        .collect()
}

async fn rest_route(
    State(served): State<Arc<Served>>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Path(path): Path<String>,
    request: Request,
) -> Response {
    if !admitted(&served, client, request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let body = match http::read_body(request.into_body(), &served.limits).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    let methods = Arc::clone(&served.methods);
    let answered = tokio::task::spawn_blocking(move || rest::answer(methods.context(), &path, &body)).await;
    match answered {
        Ok(Ok((content_type, bytes))) => ([(header::CONTENT_TYPE, content_type)], bytes).into_response(),
        Ok(Err((status, text))) => {
            (status, [(header::CONTENT_TYPE, "text/plain")], format!("{text}\r\n")).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn admitted(served: &Served, client: SocketAddr, headers: &HeaderMap) -> bool {
    // A page of a browser has no business here.
    served.access.allows(client.ip()) && !headers.contains_key(header::ORIGIN)
}

async fn authorized(served: &Served, headers: &HeaderMap) -> Result<(), Response> {
    if served.access.opens(headers) {
        return Ok(());
    }
    if headers.contains_key(header::AUTHORIZATION) {
        tracing::warn!("wrong RPC password");
        tokio::time::sleep(DETERRENCE).await;
    }
    Err((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"jsonrpc\"")]).into_response())
}

type Answer = Result<(Json, Value), (RpcError, Value)>;

async fn run(methods: &Arc<Methods>, call: Value) -> Answer {
    let invalid = |text: &str| RpcError::new(error::INVALID_REQUEST, text);
    let Value::Object(mut call) = call else {
        return Err((invalid("Invalid Request object"), Value::Null));
    };
    let id = call.remove("id").unwrap_or_default();
    let method = match call.remove("method") {
        None | Some(Value::Null) => return Err((invalid("Missing method"), id)),
        Some(Value::String(method)) => method,
        Some(_) => return Err((invalid("Method must be a string"), id)),
    };
    let args = match call.remove("params") {
        None | Some(Value::Null) => Args::default(),
        Some(Value::Array(values)) => Args(values),
        Some(_) => return Err((invalid("Params must be an array"), id)),
    };
    match Methods::call(Arc::clone(methods), method, args).await {
        Ok(result) => Ok((result, id)),
        Err(error) => Err((error, id)),
    }
}

fn reply(result: Json, error: Json, id: &Value) -> Json {
    Json::object().with("result", result).with("error", error).with("id", id)
}

fn success(reply: &Json) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], format!("{}\n", reply.text())).into_response()
}

fn failure(error: &RpcError, id: &Value) -> Response {
    let status = match error.code {
        error::INVALID_REQUEST => StatusCode::BAD_REQUEST,
        error::METHOD_NOT_FOUND => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let body = format!("{}\n", reply(Json::Null, error.json(), id).text());
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Deepest nesting of brackets outside of texts, before anything is built from them.
fn depth(body: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth = depth.saturating_add(1);
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
