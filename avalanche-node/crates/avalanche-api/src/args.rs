//! Arguments of a call: one object, given as it is or as the only element of a list.

use avalanche_ids::{Id, NodeId};
use serde_json::Value;
use shared_vendor::rpc::{Error, ParamDoc, Params};

use crate::{failure, format::Encoding};

/// What a method is called with.
#[derive(Debug)]
pub(crate) struct Args<'a> {
    params: &'a Params,
    docs: &'static [ParamDoc],
}

/// A parameter that may be left out.
pub(crate) const fn doc(name: &'static str, help: &'static str) -> ParamDoc {
    ParamDoc { name, help, optional: true }
}

pub(crate) fn malformed() -> Error {
    failure(
        "couldn't unmarshal an argument. Ensure arguments are valid and properly formatted. See documentation for example calls",
    )
}

impl<'a> Args<'a> {
    pub(crate) const fn new(params: &'a Params, docs: &'static [ParamDoc]) -> Self {
        Self { params, docs }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&'a Value> {
        let first = self.params.value(0);
        if let (1, Some(Value::Object(object))) = (self.params.len(), first) {
            return object.get(name).filter(|value| !value.is_null());
        }
        self.params.value(self.docs.iter().position(|doc| doc.name == name)?)
    }

    /// A text; empty when it is left out.
    pub(crate) fn text(&self, name: &str) -> Result<&'a str, Error> {
        self.value(name).map_or(Ok(""), |value| value.as_str().ok_or_else(malformed))
    }

    /// An id; the empty one when it is left out.
    pub(crate) fn id(&self, name: &str) -> Result<Id, Error> {
        match self.text(name)? {
            "" => Ok(Id::EMPTY),
            text => text.parse().map_err(|_| malformed()),
        }
    }

    /// A number, as text or bare; zero when it is left out.
    pub(crate) fn number(&self, name: &str) -> Result<u64, Error> {
        match self.value(name) {
            None => Ok(0),
            Some(Value::String(text)) => text.parse().map_err(|_| malformed()),
            Some(value) => value.as_u64().ok_or_else(malformed),
        }
    }

    pub(crate) fn flag(&self, name: &str) -> Result<bool, Error> {
        self.value(name).map_or(Ok(false), |value| value.as_bool().ok_or_else(malformed))
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Vec<&'a str>, Error> {
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().ok_or_else(malformed)).collect()
            }
            Some(_) => Err(malformed()),
        }
    }

    pub(crate) fn ids(&self, name: &str) -> Result<Vec<Id>, Error> {
        self.texts(name)?.into_iter().map(|text| text.parse().map_err(|_| malformed())).collect()
    }

    pub(crate) fn nodes(&self, name: &str) -> Result<Vec<NodeId>, Error> {
        self.texts(name)?.into_iter().map(|text| text.parse().map_err(|_| malformed())).collect()
    }

    pub(crate) fn encoding(&self) -> Result<Encoding, Error> {
        Encoding::parse(self.text("encoding")?).ok_or_else(malformed)
    }
}
