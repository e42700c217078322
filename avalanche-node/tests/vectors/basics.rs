//! Identifiers, generators and samplers, the bloom filter, certificates and signatures.

use std::path::Path;

use avalanche_crypto::{
    bls,
    staking::{self, Certificate},
};
use avalanche_ids::{Id, NodeId, ShortId};
use avalanche_utils::{
    bloom::{self, Filter},
    prng::{Mt19937, Mt19937_64, Source},
    sampler::uint64_inclusive,
};
use ring::rand::SystemRandom;
use serde::Deserialize;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

use crate::Shape;

pub(crate) fn claim(file: &File<'_>, shape: &Shape) -> Option<Claim> {
    let folder = file.path.split('/').next().unwrap_or_default();
    match folder {
        "ids.json" => Some(Claim::Run(ids)),
        "p2p" if shape.is_list_of(&["filter", "salt", "queries"]) => Some(Claim::Run(bloom_filters)),
        "network" => Some(Claim::Run(network)),
        "staking_local" if shape.is_list_of(&["node_id", "bls_public_key"]) => Some(Claim::Run(local_nodes)),
        "staking_local" if file.path.ends_with(".crt") => Some(Claim::Run(certificate_file)),
        "staking_local" if is_signer(file.path) => Some(Claim::Run(signer_file)),
        "staking_local" => Some(Claim::Run(key_file)),
        "go-oracle" if shape.is_list_of(&["seed", "stream"]) && file.path.contains("64") => {
            Some(Claim::Run(stream_64))
        }
        "go-oracle" if shape.is_list_of(&["seed", "stream"]) => Some(Claim::Run(stream_32)),
        "go-oracle" if file.path.contains("/sampler__") => Some(Claim::Run(inclusive)),
        "go-oracle" if shape.has(&["secret_hex", "pop_hex"]) => Some(Claim::Run(bls_oracle)),
        "go-oracle" if file.path.ends_with("__nodeid.json") => Some(Claim::Run(node_ids)),
        "go-oracle" if shape.has(&["cert_der_hex", "node_id"]) => Some(Claim::Run(node_ids)),
        _ => None,
    }
}

fn is_signer(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with("signer"))
}

pub(crate) fn id(hex_text: &str) -> Id {
    Id(hex::decode_array(hex_text).expect("an id in hex"))
}

pub(crate) fn bytes(hex_text: &str) -> Vec<u8> {
    hex::decode(hex_text).expect("hex")
}

pub(crate) fn array<const N: usize>(hex_text: &str) -> [u8; N] {
    hex::decode_array(hex_text).expect("hex of the right length")
}

#[derive(Deserialize)]
struct Ids {
    random: Vec<RandomId>,
    empty: EmptyIds,
    vm_ids: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct EmptyIds {
    id: String,
    short: String,
}

#[derive(Deserialize)]
struct RandomId {
    id_hex: String,
    cb58: String,
    short_hex: String,
    node_id: String,
    append_index: u32,
    append: String,
    prefix_index: u64,
    prefix: String,
    bits_set_lsb_first: Vec<usize>,
}

fn ids(file: &File<'_>, cases: &mut Cases) {
    let vectors: Ids = file.parse();
    for vector in &vectors.random {
        let value = id(&vector.id_hex);
        let node = NodeId(array(&vector.short_hex));
        cases.equal("CB58", &value.to_string(), &vector.cb58);
        cases.equal("CB58 back", &vector.cb58.parse(), &Ok(value));
        cases.equal("node id", &node.to_string(), &vector.node_id);
        cases.equal("node id back", &vector.node_id.parse(), &Ok(node));
        cases.equal("append", &value.append(&[vector.append_index]), &id(&vector.append));
        cases.equal("prefix", &value.prefix(&[vector.prefix_index]), &id(&vector.prefix));
        let set = vector.bits_set_lsb_first.last().map_or(0, |last| last + 1);
        let bits: Vec<usize> = (0..set).filter(|bit| value.bit(*bit)).collect();
        cases.equal("bits", &bits, &vector.bits_set_lsb_first);
    }
    cases.equal("empty id", &Id::EMPTY.to_string(), &vectors.empty.id);
    cases.equal("empty short id", &ShortId::EMPTY.to_string(), &vectors.empty.short);
    for (name, text) in &vectors.vm_ids {
        cases.equal(name, &Id::from_name(name).to_string(), text);
    }
}

#[derive(Deserialize)]
struct BloomFilter {
    filter: String,
    salt: String,
    queries: Vec<Query>,
}

#[derive(Deserialize)]
struct Query {
    key: String,
    contains: bool,
}

fn bloom_filters(file: &File<'_>, cases: &mut Cases) {
    for vector in file.parse::<Vec<BloomFilter>>() {
        let filter = Filter::parse(&bytes(&vector.filter)).expect("a filter");
        cases.equal("encoding", &filter.to_bytes(), &bytes(&vector.filter));
        for query in vector.queries {
            let hash = bloom::hash(&bytes(&query.key), &bytes(&vector.salt));
            cases.equal(&query.key, &filter.contains(hash), &query.contains);
        }
    }
}

/// Every id of the embedded network data must parse and print the same.
fn network(file: &File<'_>, cases: &mut Cases) {
    fn walk(value: &serde_json::Value, cases: &mut Cases) {
        match value {
            serde_json::Value::String(text) if text.starts_with("NodeID-") => {
                let back = text.parse::<NodeId>().map(|node| node.to_string());
                cases.equal("node id", &back.as_deref(), &Ok(text.as_str()));
            }
            serde_json::Value::String(text) if text.contains(':') => {
                let back = text.parse::<std::net::SocketAddr>().map(|address| address.to_string());
                cases.equal("address", &back.as_deref(), &Ok(text.as_str()));
            }
            serde_json::Value::String(text) => {
                let back = text.parse::<Id>().map(|id| id.to_string());
                cases.equal("id", &back.as_deref(), &Ok(text.as_str()));
            }
            serde_json::Value::Array(values) => values.iter().for_each(|value| walk(value, cases)),
            serde_json::Value::Object(entries) => entries.values().for_each(|value| walk(value, cases)),
            _ => cases.fail("network data", value, &"a text"),
        }
    }
    walk(&file.json(), cases);
}

#[derive(Deserialize)]
struct LocalNode {
    i: usize,
    node_id: String,
    cert_der_len: usize,
    bls_public_key: String,
    proof_of_possession: String,
}

fn local_nodes(file: &File<'_>, cases: &mut Cases) {
    let folder = file.root().join("staking_local");
    for node in file.parse::<Vec<LocalNode>>() {
        let pem =
            std::fs::read_to_string(folder.join(format!("staker{}.crt", node.i))).expect("certificate file");
        let certificate = Certificate::parse(&pem_body(&pem)).expect("a certificate");
        cases.equal("certificate length", &certificate.raw().len(), &node.cert_der_len);
        cases.equal("node id", &certificate.node_id().to_string(), &node.node_id);
        let secret = std::fs::read(folder.join(format!("signer{}.key", node.i))).expect("key file");
        let secret = bls::SecretKey::from_bytes(&secret.try_into().expect("32 bytes")).expect("a key");
        let public = secret.public_key();
        cases.equal("public key", &hex::encode(public.to_bytes()), &node.bls_public_key);
        let proof = secret.sign_possession(&public.to_bytes());
        cases.equal("proof of possession", &hex::encode(proof.to_bytes()), &node.proof_of_possession);
        cases.equal("proof verifies", &public.verify_possession(&proof, &public.to_bytes()), &true);
    }
}

fn certificate_file(file: &File<'_>, cases: &mut Cases) {
    let der = pem_body(file.text());
    let certificate = Certificate::parse(&der).expect("a certificate");
    cases.equal("bytes", &certificate.raw(), &der.as_slice());
    let nodes = std::fs::read_to_string(file.root().join("staking_local/nodes.json")).expect("node list");
    cases.check("listed", nodes.contains(&certificate.node_id().to_string()), || {
        certificate.node_id().to_string()
    });
}

fn signer_file(file: &File<'_>, cases: &mut Cases) {
    let secret = bls::SecretKey::from_bytes(file.bytes.try_into().expect("32 bytes")).expect("a key");
    let public = hex::encode(secret.public_key().to_bytes());
    let nodes = std::fs::read_to_string(file.root().join("staking_local/nodes.json")).expect("node list");
    cases.check("listed", nodes.contains(&public), || public.clone());
}

/// A TLS key signs what its node's certificate then verifies.
fn key_file(file: &File<'_>, cases: &mut Cases) {
    let random = SystemRandom::new();
    let key = staking::PrivateKey::from_der(&pem_body(file.text()), &random).expect("a key");
    let certificate = file.location.with_extension("crt");
    let pem = std::fs::read_to_string(certificate).expect("a certificate file");
    let certificate = Certificate::parse(&pem_body(&pem)).expect("a certificate");
    let signature = key.sign(b"message", &random).expect("a signature");
    cases.equal("signature", &certificate.check_signature(b"message", &signature), &Ok(()));
    cases.check("other message", certificate.check_signature(b"other", &signature).is_err(), String::new);
}

/// The TLS key of a local node.
pub(crate) fn local_key(root: &Path, staker: usize) -> staking::PrivateKey {
    let path = root.join(format!("staking_local/staker{staker}.key"));
    let pem = std::fs::read_to_string(path).expect("a key file");
    staking::PrivateKey::from_der(&pem_body(&pem), &SystemRandom::new()).expect("a key")
}

/// The bytes of a PEM text with one block.
pub(crate) fn pem_body(pem: &str) -> Vec<u8> {
    base64(&pem.lines().filter(|line| !line.starts_with('-')).collect::<String>())
}

/// The bytes of a Base64 text.
pub(crate) fn base64(text: &str) -> Vec<u8> {
    let digits = text.bytes().filter_map(|byte| {
        Some(u32::from(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }))
    });
    let (mut out, mut buffer, mut bits) = (Vec::new(), 0_u32, 0);
    for digit in digits {
        buffer = (buffer << 6) | digit;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from((buffer >> bits) & 0xff).expect("eight bits"));
        }
    }
    out
}

#[derive(Deserialize)]
struct Stream {
    seed: u64,
    stream: Vec<u64>,
}

fn streams<S: Source>(file: &File<'_>, cases: &mut Cases, new: fn(u64) -> S) {
    for vector in file.parse::<Vec<Stream>>() {
        let mut source = new(vector.seed);
        let drawn: Vec<u64> = vector.stream.iter().map(|_| source.next_u64()).collect();
        cases.equal(format!("seed {}", vector.seed), &drawn, &vector.stream);
    }
}

fn stream_32(file: &File<'_>, cases: &mut Cases) {
    streams(file, cases, Mt19937::from_u64);
}

fn stream_64(file: &File<'_>, cases: &mut Cases) {
    streams(file, cases, Mt19937_64::new);
}

#[derive(Deserialize)]
struct Inclusive {
    cases: Vec<InclusiveCase>,
}

#[derive(Deserialize)]
struct InclusiveCase {
    seed: u64,
    n: u64,
    outputs: Vec<u64>,
}

fn inclusive(file: &File<'_>, cases: &mut Cases) {
    for vector in file.parse::<Inclusive>().cases {
        let mut source = Mt19937_64::new(vector.seed);
        let drawn: Vec<u64> =
            vector.outputs.iter().map(|_| uint64_inclusive(&mut source, vector.n)).collect();
        cases.equal(format!("seed {} n {}", vector.seed, vector.n), &drawn, &vector.outputs);
    }
}

#[derive(Deserialize)]
struct BlsOracle {
    secret_hex: String,
    pub_compressed_hex: String,
    pop_hex: String,
    msg_hex: String,
    sig_hex: String,
    agg_secrets_hex: Vec<String>,
    agg_sig_hex: String,
    agg_pub_compressed_hex: String,
}

fn bls_oracle(file: &File<'_>, cases: &mut Cases) {
    let vector: BlsOracle = file.parse();
    let key = |text: &str| bls::SecretKey::from_bytes(&array(text)).expect("a key");
    let message = bytes(&vector.msg_hex);
    let secret = key(&vector.secret_hex);
    let public = secret.public_key();
    cases.equal("public key", &hex::encode(public.to_bytes()), &vector.pub_compressed_hex);
    cases.equal(
        "possession",
        &hex::encode(secret.sign_possession(&public.to_bytes()).to_bytes()),
        &vector.pop_hex,
    );
    cases.equal("signature", &hex::encode(secret.sign(&message).to_bytes()), &vector.sig_hex);
    let secrets: Vec<_> = vector.agg_secrets_hex.iter().map(|text| key(text)).collect();
    let signatures: Vec<_> = secrets.iter().map(|secret| secret.sign(&message)).collect();
    let keys: Vec<_> = secrets.iter().map(bls::SecretKey::public_key).collect();
    let signature = bls::Signature::aggregate(&signatures).expect("signatures");
    let aggregate = bls::PublicKey::aggregate(&keys).expect("keys");
    cases.equal("aggregate signature", &hex::encode(signature.to_bytes()), &vector.agg_sig_hex);
    cases.equal("aggregate key", &hex::encode(aggregate.to_bytes()), &vector.agg_pub_compressed_hex);
    cases.equal("aggregate verifies", &aggregate.verify(&signature, &message), &true);
}

#[derive(Deserialize)]
struct NodeCertificate {
    cert_der_hex: String,
    node_id: String,
}

fn node_ids(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let listed = json.get("cases").cloned().unwrap_or_else(|| serde_json::Value::Array(vec![json.clone()]));
    for vector in serde_json::from_value::<Vec<NodeCertificate>>(listed).expect("certificates") {
        let certificate = Certificate::parse(&bytes(&vector.cert_der_hex)).expect("a certificate");
        cases.equal("node id", &certificate.node_id().to_string(), &vector.node_id);
    }
}
