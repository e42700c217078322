//! Flags of the reference: names, types and defaults.

use avalanche_node::config::flags::{FLAGS, Flag, Kind};
use serde::Deserialize;
use shared_vendor::testing::vectors::{Cases, Claim, File};

use crate::Shape;

/// Flags that are younger than the file.
const NEWER: [&str; 1] = ["helicon-min-stake-duration"];

pub(crate) fn claim(_file: &File<'_>, shape: &Shape) -> Option<Claim> {
    shape.has(&["flags"]).then_some(Claim::Run(flags))
}

#[derive(Deserialize)]
struct Flags {
    flags: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    r#type: String,
    default: String,
}

fn flags(file: &File<'_>, cases: &mut Cases) {
    let vectors: Flags = file.parse();
    for row in &vectors.flags {
        let found = Flag::find(&row.name).map(|flag| (type_name(flag.kind), flag.default));
        cases.equal(&row.name, &found, &Some((row.r#type.as_str(), row.default.as_str())));
    }
    for flag in FLAGS {
        let known = NEWER.contains(&flag.name) || vectors.flags.iter().any(|row| row.name == flag.name);
        cases.equal(format!("{} is a flag of the reference", flag.name), &known, &true);
    }
}

const fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Int => "int",
        Kind::Uint => "uint",
        Kind::Uint64 => "uint64",
        Kind::Float => "float64",
        Kind::Duration => "duration",
        Kind::Text => "string",
        Kind::Texts => "stringSlice",
        Kind::Ints => "intSlice",
        Kind::Map => "stringToString",
    }
}
