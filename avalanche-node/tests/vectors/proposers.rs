//! Wrapped blocks and the schedule of proposers.

use avalanche_codec as codec;
use avalanche_ids::{Id, NodeId};
use avalanche_utils::prng::{Mt19937, Mt19937_64, Source};
use proposervm::{
    block::{BlockError, ParsedBlock, header},
    windower::{Windower, chain_source},
};
use serde::Deserialize;
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

use crate::{
    Shape,
    basics::{bytes, id},
};

pub(crate) fn claim(_file: &File<'_>, shape: &Shape) -> Option<Claim> {
    let run: fn(&File<'_>, &mut Cases) = if shape.is_list_of(&["hex", "proposer", "inner"])
        || shape.is_list_of(&["kind", "bytes", "parent_id"])
    {
        wrappers
    } else if shape.is_list_of(&["name", "chain_id_hex", "expected_error"]) {
        wrapper_errors
    } else if shape.has(&["cases", "prng"]) {
        schedule
    } else if shape.has(&["chain_source", "validators"]) {
        oracle_schedule
    } else {
        return None;
    };
    Some(Claim::Run(run))
}

#[derive(Deserialize)]
struct Wrapper {
    chain_id: Option<String>,
    hex: Option<String>,
    bytes: Option<String>,
    id: String,
    #[serde(alias = "parent_id")]
    parent: String,
    inner: String,
    proposer: Option<String>,
    header_bytes: Option<String>,
    timestamp: Option<i64>,
    p_chain_height: Option<u64>,
}

fn wrappers(file: &File<'_>, cases: &mut Cases) {
    for vector in file.parse::<Vec<Wrapper>>() {
        wrapper(&vector, cases);
    }
}

fn wrapper(vector: &Wrapper, cases: &mut Cases) {
    let encoded = bytes(vector.hex.as_ref().or(vector.bytes.as_ref()).expect("bytes"));
    let chain_id: Id = vector.chain_id.as_ref().map_or(Id::EMPTY, |text| text.parse().expect("a chain id"));
    let parsed = match ParsedBlock::parse(&encoded, chain_id) {
        Ok(parsed) => parsed,
        Err(error) => return cases.fail("wrapper", &error, &"a block"),
    };
    let empty = NodeId::EMPTY.to_string();
    cases.equal("encoding", &hex::encode(parsed.block().bytes()), &hex::encode(&encoded));
    cases.equal("id", &parsed.id().to_string(), &vector.id);
    cases.equal("parent", &parsed.block().parent_id().to_string(), &vector.parent);
    cases.equal("inner", &hex::encode(parsed.block().inner()), &vector.inner);
    let proposer = parsed.proposer().map_or(empty.clone(), |node| node.to_string());
    cases.equal("proposer", &proposer, vector.proposer.as_ref().unwrap_or(&empty));
    if let Some(expected) = &vector.header_bytes {
        cases.equal(
            "header",
            &hex::encode(header(chain_id, parsed.block().parent_id(), parsed.id())),
            expected,
        );
    }
    if let (Some(unsigned), Some(time)) = (parsed.block().unsigned(), vector.timestamp) {
        cases.equal("time", &unsigned.timestamp, &time);
        cases.equal("height", &Some(unsigned.p_chain_height), &vector.p_chain_height);
    }
}

fn wrapper_errors(file: &File<'_>, cases: &mut Cases) {
    #[derive(Deserialize)]
    struct Vector {
        name: String,
        chain_id_hex: Option<String>,
        hex: String,
        expected_error: Option<String>,
        id: Option<String>,
    }
    for vector in file.parse::<Vec<Vector>>() {
        let encoded = bytes(&vector.hex);
        let chain_id = vector.chain_id_hex.as_ref().map_or(Id::EMPTY, |text| id(text));
        let kind = |result: Result<ParsedBlock, BlockError>| match result {
            Ok(_) => None,
            Err(BlockError::Codec(codec::CodecError::UnknownVersion(_))) => Some("codec.ErrUnknownVersion"),
            Err(BlockError::Codec(_)) => Some("codec"),
            Err(BlockError::Certificate(_)) => Some("errInvalidCertificate"),
            Err(BlockError::ZeroEpoch) => Some("errZeroEpoch"),
            Err(BlockError::UnexpectedSignature) => Some("errUnexpectedSignature"),
            Err(BlockError::Signature(_)) => Some("invalid signature"),
        };
        let verified = vector.chain_id_hex.is_some() || vector.expected_error.is_some();
        let result = if verified {
            ParsedBlock::parse(&encoded, chain_id)
        } else {
            ParsedBlock::parse_without_verification(&encoded)
        };
        if let (Ok(parsed), Some(expected)) = (&result, &vector.id) {
            cases.equal(format!("{} id", vector.name), &parsed.id().to_string(), expected);
        }
        cases.equal(&vector.name, &kind(result), &vector.expected_error.as_deref());
    }
}

#[derive(Deserialize)]
struct Schedule {
    cases: Vec<ScheduleCase>,
    prng: Vec<Prng>,
}

#[derive(Deserialize)]
struct Prng {
    seed: String,
    mt19937_64: Vec<String>,
    mt19937_u64: Vec<String>,
}

#[derive(Deserialize)]
struct ScheduleCase {
    chain_id: String,
    validators: Vec<Weighted>,
    post_durango_slots: Vec<Slot>,
    pre_durango_lists: Vec<List>,
}

#[derive(Deserialize)]
struct Weighted {
    node_id: String,
    weight: String,
}

#[derive(Deserialize)]
struct Slot {
    height: u64,
    slot: u64,
    proposer: String,
}

#[derive(Deserialize)]
struct List {
    height: u64,
    max_windows: u32,
    proposers: Vec<String>,
}

fn schedule(file: &File<'_>, cases: &mut Cases) {
    let vectors: Schedule = file.parse();
    for vector in vectors.prng {
        let seed: u64 = vector.seed.parse().expect("a number");
        let draw = |source: &mut dyn FnMut() -> u64, count: usize| {
            (0..count).map(|_| source().to_string()).collect::<Vec<_>>()
        };
        let (mut narrow, mut wide) = (Mt19937::from_u64(seed), Mt19937_64::new(seed));
        cases.equal(
            "32-bit stream",
            &draw(&mut || narrow.next_u64(), vector.mt19937_u64.len()),
            &vector.mt19937_u64,
        );
        cases.equal(
            "64-bit stream",
            &draw(&mut || wide.next_u64(), vector.mt19937_64.len()),
            &vector.mt19937_64,
        );
    }
    for vector in vectors.cases {
        let node = |text: &str| text.parse::<NodeId>().expect("a node id");
        let validators = vector
            .validators
            .iter()
            .map(|entry| (node(&entry.node_id), entry.weight.parse().expect("a weight")));
        let windower =
            Windower::new(vector.chain_id.parse().expect("a chain id"), validators).expect("no overflow");
        for slot in &vector.post_durango_slots {
            let proposer = windower.expected_proposer(slot.height, slot.slot).map(|node| node.to_string());
            cases.equal(
                format!("height {} slot {}", slot.height, slot.slot),
                &proposer.as_ref(),
                &Some(&slot.proposer),
            );
        }
        for list in &vector.pre_durango_lists {
            let proposers: Vec<_> =
                windower.proposers(list.height, list.max_windows).iter().map(NodeId::to_string).collect();
            cases.equal(format!("list at {}", list.height), &proposers, &list.proposers);
        }
    }
}

fn oracle_schedule(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let text = |value: &Value, key: &str| value[key].as_str().expect("a text").to_owned();
    let number = |value: &Value, key: &str| value[key].as_u64().expect("a number");
    let node = |text: &str| text.parse::<NodeId>().expect("a node id");
    let list = |key: &str| json[key].as_array().expect("a list").clone();
    let chain_id: Id = text(&json, "chain_id").parse().expect("a chain id");
    cases.equal("chain source", &chain_source(chain_id), &number(&json, "chain_source"));
    let validators = list("validators");
    let weights = validators.iter().map(|entry| (node(&text(entry, "node_id")), number(entry, "weight")));
    let windower = Windower::new(chain_id, weights).expect("no overflow");
    for entry in list("expected") {
        let proposer = windower.expected_proposer(number(&entry, "block_height"), number(&entry, "slot"));
        cases.equal("slot", &proposer, &Some(node(&text(&entry, "node_id"))));
    }
    let windows = |entry: &Value| u32::try_from(number(entry, "max_windows")).expect("a count");
    for entry in list("proposers") {
        let proposers = windower.proposers(number(&entry, "block_height"), windows(&entry));
        let expected: Vec<_> = entry["node_ids"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|text| node(text.as_str().expect("a text")))
            .collect();
        cases.equal("list", &proposers, &expected);
    }
    for entry in list("delays") {
        let proposer = Some(node(&text(&entry, "node_id"))).filter(|node| *node != NodeId::EMPTY);
        let delay = windower.delay(number(&entry, "block_height"), proposer, windows(&entry));
        cases.equal("delay", &delay.as_nanos(), &u128::from(number(&entry, "delay_nanos")));
    }
}
