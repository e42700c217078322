//! `health.*` and its pages. Mirrors `api/health`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use shared_vendor::rpc::{Methods, ParamDoc, Spec};

use crate::{Context, args::doc};

const TAGS: &[ParamDoc] = &[doc("tags", "chains or subnets that the checks must concern")];

/// Named checks: what was found, and why it is bad if it is.
#[derive(Debug, Clone, Default)]
pub struct Checks(pub Vec<(&'static str, Value, Option<String>)>);

pub(crate) fn add(methods: &mut Methods<Context>) {
    for (name, help) in [
        ("health.health", "whether the node works"),
        ("health.readiness", "whether the node is done bootstrapping"),
        ("health.liveness", "whether the node answers"),
    ] {
        methods.add(Spec::open(name, help, TAGS), move |context, _| Ok(report(context, name)));
    }
}

/// The answer of a page: 200, or 503 when something is bad.
pub(crate) async fn page(State(context): State<Arc<Context>>, uri: axum::http::Uri) -> Response {
    let kind = match uri.path().rsplit('/').next() {
        Some("readiness") => "health.readiness",
        Some("liveness") => "health.liveness",
        _ => "health.health",
    };
    let report = report(&context, kind);
    let healthy = report.get("healthy") == Some(&Value::Bool(true));
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{report}\n")).into_response()
}

/// Whether a check is one of those a method answers.
fn concerns(kind: &str, name: &str) -> bool {
    match kind {
        "health.readiness" => name == "bootstrapped",
        "health.liveness" => false,
        _ => true,
    }
}

/// How many checks of a method find something bad.
pub(crate) fn failing(context: &Context, kind: &str) -> usize {
    let checks = context.node.checks().0;
    checks.iter().filter(|(name, _, error)| concerns(kind, name) && error.is_some()).count()
}

fn report(context: &Context, kind: &str) -> Value {
    let now = context.clock.wall().to_string();
    let mut object = Map::new();
    let mut healthy = true;
    for (name, message, error) in context.node.checks().0 {
        if !concerns(kind, name) {
            continue;
        }
        let mut check = json!({ "message": message, "timestamp": now, "duration": 0 });
        if let (Some(error), Some(check)) = (error, check.as_object_mut()) {
            healthy = false;
            check.insert("error".to_owned(), json!(error));
            check.insert("contiguousFailures".to_owned(), json!(1));
            check.insert("timeOfFirstFailure".to_owned(), json!(now));
        }
        object.insert(name.to_owned(), check);
    }
    json!({ "checks": object, "healthy": healthy })
}
