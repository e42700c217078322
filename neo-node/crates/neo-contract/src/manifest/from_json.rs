//! Reading manifests from JSON, with the checks that the reference makes while reading.

use neo_crypto::secp256r1::PublicKey;
use shared_vendor::hex;

use super::{
    Abi, Event, Group, MAX_MANIFEST_SIZE, Manifest, Method, Parameter, ParameterType, Permission, Target,
};
use crate::{
    base64,
    json::{Json, JsonError},
};

/// Levels of nesting that the reader allows.
const MAX_DEPTH: usize = 64;

/// Why JSON is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More bytes than allowed.
    #[error("manifest of {0} bytes, the limit is {MAX_MANIFEST_SIZE}")]
    TooLarge(usize),
    /// Not JSON.
    #[error("manifest is not JSON")]
    Json(#[from] JsonError),
    /// A member is missing or has another type or form.
    #[error("member {0} is missing or malformed")]
    Member(&'static str),
    /// A name or list is empty that must not be.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// Something occurs twice that must not.
    #[error("{0} holds a value twice")]
    Repeated(&'static str),
}

type Result<T> = std::result::Result<T, ManifestError>;

impl Manifest {
    /// The manifest of a JSON text.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn parse(text: &[u8]) -> Result<Self> {
        if text.len() > MAX_MANIFEST_SIZE {
            return Err(ManifestError::TooLarge(text.len()));
        }
        Self::from_json(&Json::parse(text, MAX_DEPTH)?)
    }

    /// The manifest of a JSON object.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn from_json(json: &Json) -> Result<Self> {
        let extra = match json.get("extra") {
            None => Json::Null,
            Some(extra @ Json::Object(_)) => extra.clone(),
            Some(_) => return Err(ManifestError::Member("extra")),
        };
        let manifest = Self {
            name: text(json, "name")?,
            groups: optional_list(json, "groups", group)?,
            supported_standards: optional_list(json, "supportedstandards", |item| as_text(item, "standard"))?,
            abi: abi(json.get("abi").ok_or(ManifestError::Member("abi"))?)?,
            permissions: optional_list(json, "permissions", permission)?,
            trusts: wildcard(json, "trusts", target)?,
            extra,
        };
        not_empty(&manifest.name, "name")?;
        distinct(&manifest.groups, "groups", |a, b| a.key == b.key)?;
        match json.get("features") {
            Some(Json::Object(features)) if features.is_empty() => {}
            _ => return Err(ManifestError::Member("features")),
        }
        manifest.supported_standards.iter().try_for_each(|name| not_empty(name, "standard"))?;
        distinct(&manifest.supported_standards, "supportedstandards", |a, b| a == b)?;
        distinct(&manifest.permissions, "permissions", |a, b| a.contract == b.contract)?;
        distinct(manifest.trusts.as_deref().unwrap_or_default(), "trusts", |a, b| a == b)?;
        Ok(manifest)
    }
}

fn group(json: &Json) -> Result<Group> {
    let key = hex_key(&text(json, "pubkey")?).ok_or(ManifestError::Member("pubkey"))?;
    let signature = base64::decode(&text(json, "signature")?).and_then(|bytes| bytes.try_into().ok());
    Ok(Group { key, signature: signature.ok_or(ManifestError::Member("signature"))? })
}

fn abi(json: &Json) -> Result<Abi> {
    if !matches!(json, Json::Object(_)) {
        return Err(ManifestError::Member("abi"));
    }
    let abi = Abi {
        methods: optional_list(json, "methods", method)?,
        events: optional_list(json, "events", event)?,
    };
    if abi.methods.is_empty() { Err(ManifestError::Empty("methods")) } else { Ok(abi) }
}

fn method(json: &Json) -> Result<Method> {
    let Event { name, parameters } = event(json)?;
    let return_type =
        parameter_type(&text(json, "returntype")?).ok_or(ManifestError::Member("returntype"))?;
    let offset = match json.get("offset") {
        Some(Json::Number(number)) => whole(*number).filter(|offset| *offset >= 0),
        _ => None,
    };
    let safe = match json.get("safe") {
        Some(Json::Bool(safe)) => *safe,
        _ => return Err(ManifestError::Member("safe")),
    };
    Ok(Method { name, parameters, return_type, offset: offset.ok_or(ManifestError::Member("offset"))?, safe })
}

fn event(json: &Json) -> Result<Event> {
    let name = text(json, "name")?;
    let parameters =
        json.get("parameters").and_then(Json::as_array).ok_or(ManifestError::Member("parameters"))?;
    let parameters = parameters.iter().map(parameter).collect::<Result<Vec<_>>>()?;
    not_empty(&name, "name")?;
    distinct(&parameters, "parameters", |a, b| a.name == b.name)?;
    Ok(Event { name, parameters })
}

fn parameter(json: &Json) -> Result<Parameter> {
    let name = text(json, "name")?;
    let kind = parameter_type(&text(json, "type")?).filter(|kind| *kind != ParameterType::Void);
    not_empty(&name, "name")?;
    Ok(Parameter { name, kind: kind.ok_or(ManifestError::Member("type"))? })
}

fn permission(json: &Json) -> Result<Permission> {
    let contract = target(json.get("contract").ok_or(ManifestError::Member("contract"))?)?;
    let methods = wildcard(json, "methods", |item| as_text(item, "methods"))?;
    let names = methods.as_deref().unwrap_or_default();
    names.iter().try_for_each(|name| not_empty(name, "methods"))?;
    distinct(names, "methods", |a, b| a == b)?;
    Ok(Permission { contract, methods })
}

fn target(json: &Json) -> Result<Target> {
    let text = json.as_text().ok_or(ManifestError::Member("contract"))?;
    let target = match text.encode_utf16().count() {
        42 => text.strip_prefix("0X").map_or(text, |_| text).to_lowercase().parse().ok().map(Target::Hash),
        66 => hex_key(text).map(Target::Group),
        1 if text == "*" => Some(Target::Any),
        _ => None,
    };
    target.ok_or(ManifestError::Member("contract"))
}

/// A type by name, by number, or by several names whose numbers are joined, as .NET parses enumerations.
fn parameter_type(text: &str) -> Option<ParameterType> {
    let text = text.trim();
    if text.starts_with(|first: char| first.is_ascii_digit() || first == '-' || first == '+') {
        return ParameterType::from_byte(text.strip_prefix('+').unwrap_or(text).parse().ok()?);
    }
    let bytes = text.split(',').map(|name| ParameterType::from_name(name.trim()).map(ParameterType::to_byte));
    let joined = bytes.reduce(|a, b| Some(a? | b?)).flatten()?;
    ParameterType::from_byte(joined)
}

/// The number as a 32-bit integer, if it is whole and in range.
fn whole(number: f64) -> Option<i32> {
    // the text of a whole double in range has only digits
    if number.fract() == 0.0 && number.abs() < 2_147_483_649.0 {
        format!("{number}").parse().ok()
    } else {
        None
    }
}

fn hex_key(text: &str) -> Option<PublicKey> {
    if text.starts_with("0x") {
        return None;
    }
    PublicKey::from_bytes(&hex::decode(text).ok()?)
}

fn text(json: &Json, name: &'static str) -> Result<String> {
    as_text(json.get(name).ok_or(ManifestError::Member(name))?, name)
}

fn as_text(json: &Json, name: &'static str) -> Result<String> {
    json.as_text().map(str::to_owned).ok_or(ManifestError::Member(name))
}

/// A list that may be left out.
fn optional_list<T>(json: &Json, name: &'static str, read: impl Fn(&Json) -> Result<T>) -> Result<Vec<T>> {
    match json.get(name) {
        None => Ok(Vec::new()),
        Some(list) => list.as_array().ok_or(ManifestError::Member(name))?.iter().map(read).collect(),
    }
}

/// A list, or `*` for everything.
fn wildcard<T>(json: &Json, name: &'static str, read: impl Fn(&Json) -> Result<T>) -> Result<Option<Vec<T>>> {
    match json.get(name) {
        Some(Json::Text(text)) if text == "*" => Ok(None),
        Some(Json::Array(items)) => items.iter().map(read).collect::<Result<_>>().map(Some),
        _ => Err(ManifestError::Member(name)),
    }
}

fn not_empty(text: &str, what: &'static str) -> Result<()> {
    if text.is_empty() { Err(ManifestError::Empty(what)) } else { Ok(()) }
}

fn distinct<T>(items: &[T], what: &'static str, same: impl Fn(&T, &T) -> bool) -> Result<()> {
    let repeated = |(index, item)| items.iter().take(index).any(|earlier| same(earlier, item));
    if items.iter().enumerate().any(repeated) { Err(ManifestError::Repeated(what)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(change: (&str, &str)) -> Result<Manifest> {
        let text = r#"{"name":"a","groups":[],"features":{},"supportedstandards":[],"abi":{"methods":[{"name":"m",
            "parameters":[{"name":"x","type":"Any"}],"returntype":"Void","offset":0,"safe":true}],"events":[]},
            "permissions":[{"contract":"*","methods":"*"}],"trusts":[],"extra":null}"#;
        assert!(text.contains(change.0), "{}", change.0);
        Manifest::parse(text.replace(change.0, change.1).as_bytes())
    }

    #[test]
    fn the_forms_that_dotnet_reads_are_read() {
        assert!(manifest(("", "")).is_ok());
        assert!(manifest((r#""type":"Any""#, r#""type":"17""#)).is_ok());
        assert!(manifest((r#""type":"Any""#, r#""type":"Any, Integer""#)).is_ok());
        assert!(manifest((r#""offset":0"#, r#""offset":1e1"#)).is_ok());
        assert!(manifest((r#""groups":[],"#, "")).is_ok());
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        use ManifestError::{Empty, Member, Repeated};
        for (change, error) in [
            ((r#""name":"a""#, r#""name":"""#), Empty("name")),
            ((r#""features":{}"#, r#""features":{"a":1}"#), Member("features")),
            (
                (r#""supportedstandards":[]"#, r#""supportedstandards":["x","x"]"#),
                Repeated("supportedstandards"),
            ),
            ((r#""type":"Any""#, r#""type":"Void""#), Member("type")),
            ((r#""type":"Any""#, r#""type":"any""#), Member("type")),
            ((r#""offset":0"#, r#""offset":-1"#), Member("offset")),
            ((r#""offset":0"#, r#""offset":0.5"#), Member("offset")),
            ((r#""offset":0"#, r#""offset":2147483648"#), Member("offset")),
            ((r#""contract":"*""#, r#""contract":"0x""#), Member("contract")),
            ((r#""trusts":[]"#, r#""trusts":null"#), Member("trusts")),
            ((r#""extra":null"#, r#""extra":1"#), Member("extra")),
        ] {
            assert_eq!(manifest(change).err(), Some(error), "{change:?}");
        }
    }
}
