//! Writing manifests as JSON, as `getcontractstate` shows them.

use super::{Abi, Event, Manifest, Method, Parameter, Permission, Target};
use crate::{base64, json::Json};

impl Manifest {
    /// The JSON object of the manifest.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let groups = self.groups.iter().map(|group| {
            Json::object([
                ("pubkey", Json::text(group.key.to_string())),
                ("signature", Json::text(base64::encode(&group.signature))),
            ])
        });
        Json::object([
            ("name", Json::text(&self.name)),
            ("groups", Json::array(groups)),
            ("features", Json::object([])),
            ("supportedstandards", Json::array(self.supported_standards.iter().map(Json::text))),
            ("abi", self.abi.to_json()),
            ("permissions", Json::array(self.permissions.iter().map(Permission::to_json))),
            ("trusts", wildcard(self.trusts.as_deref(), Target::to_json)),
            ("extra", self.extra.clone()),
        ])
    }
}

impl Abi {
    fn to_json(&self) -> Json {
        Json::object([
            ("methods", Json::array(self.methods.iter().map(Method::to_json))),
            ("events", Json::array(self.events.iter().map(Event::to_json))),
        ])
    }
}

impl Method {
    fn to_json(&self) -> Json {
        Json::object([
            ("name", Json::text(&self.name)),
            ("parameters", Json::array(self.parameters.iter().map(Parameter::to_json))),
            ("returntype", Json::text(self.return_type.name())),
            ("offset", Json::Number(self.offset.into())),
            ("safe", Json::Bool(self.safe)),
        ])
    }
}

impl Event {
    fn to_json(&self) -> Json {
        Json::object([
            ("name", Json::text(&self.name)),
            ("parameters", Json::array(self.parameters.iter().map(Parameter::to_json))),
        ])
    }
}

impl Parameter {
    fn to_json(&self) -> Json {
        Json::object([("name", Json::text(&self.name)), ("type", Json::text(self.kind.name()))])
    }
}

impl Permission {
    fn to_json(&self) -> Json {
        Json::object([
            ("contract", self.contract.to_json()),
            ("methods", wildcard(self.methods.as_deref(), Json::text)),
        ])
    }
}

impl Target {
    fn to_json(&self) -> Json {
        Json::text(match self {
            Self::Any => "*".to_owned(),
            Self::Hash(hash) => hash.to_string(),
            Self::Group(key) => key.to_string(),
        })
    }
}

fn wildcard<'a, T>(items: Option<&'a [T]>, write: impl Fn(&'a T) -> Json) -> Json {
    match items {
        None => Json::text("*"),
        Some(items) => Json::array(items.iter().map(write)),
    }
}
