//! Transactions, blocks and genesis of the P- and X-chain, warp messages, and past validator sets.

use std::collections::HashMap;

use avalanche_codec::{self as codec, Wire};
use avalanche_crypto::bls;
use avalanche_ids::{Id, NodeId, ShortId, cb58};
use avalanche_node::genesis::{AVM_ID, EVM_ID, NetworkGenesis};
use avalanche_utils::upgrade::{Fork, Upgrades};
use avalanche_vm::chain::{Validator as ValidatorOutput, ValidatorSet};
use avalanche_vm::{
    avax::{self, SignedTx},
    secp256k1fx::{TransferInput, TransferOutput},
};
use avm::vertex::Vertex;
use platformvm::{
    fx as pfx,
    state::validator_diffs::{ValidatorDiffs, WeightDiff},
    txs::{fee, verify},
    warp,
};
use serde::Deserialize;
use serde_json::Value;
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

use crate::{
    Shape,
    basics::{array, bytes, id},
};

pub(crate) fn claim(file: &File<'_>, shape: &Shape) -> Option<Claim> {
    let folder = file.path.split('/').next().unwrap_or_default();
    let run: fn(&File<'_>, &mut Cases) = match folder {
        "tx" if shape.has(&["context", "txs"]) => client_txs,
        "tx" if shape.is_list_of(&["tx", "complexity"]) => p_signed,
        "tx" if shape.is_list_of(&["tx_type", "hex"]) => p_unsigned,
        "tx" if shape.is_list_of(&["test", "hex"]) => x_golden,
        "block" if shape.is_list_of(&["note", "hex", "id"]) => p_blocks,
        "real" if shape.is_list_of(&["hex_with_checksum", "bytes"]) => real,
        "warp" if shape.is_list_of(&["unsigned", "signed"]) => warp_signatures,
        "warp" if shape.is_list_of(&["hex", "sha256"]) => warp_payloads,
        "genesis" if shape.has(&["mainnet", "fuji", "local"]) => genesis_ids,
        "genesis" if shape.has(&["networkID", "allocations"]) => genesis_config,
        "genesis" if file.path.ends_with(".hex") && file.path.contains("xchain") => x_genesis_bytes,
        "genesis" if file.path.ends_with(".hex") => p_genesis_bytes,
        "go-oracle" if shape.has(&["networks"]) => oracle_genesis,
        "go-oracle" if shape.has(&["utxo", "value_hex"]) => oracle_utxo,
        "go-oracle" if shape.has(&["vectors"]) && file.path.contains("/wallet__") => oracle_wallet,
        "go-oracle" if file.path.contains("/upgrade__") => upgrades,
        "go-oracle" if file.path.contains("fuji_sync_oracle") => empty_blocks,
        "go-oracle" if shape.has(&["subnet", "blocks", "snapshots"]) => past_sets,
        _ => return None,
    };
    Some(Claim::Run(run))
}

/// Decodes, encodes again and compares.
fn round_trip<T: Wire>(name: &str, encoded: &[u8], cases: &mut Cases) -> Option<T> {
    match codec::unmarshal::<T>(encoded) {
        Ok(value) => {
            cases.equal(name, &hex::encode(codec::marshal(&value)), &hex::encode(encoded));
            Some(value)
        }
        Err(error) => {
            cases.fail(name, &error, &"a value");
            None
        }
    }
}

#[derive(Deserialize)]
struct ClientTxs {
    context: ClientContext,
    txs: Vec<ClientTx>,
}

#[derive(Deserialize)]
struct ClientContext {
    #[serde(rename = "avaxAssetID")]
    avax_asset_id: String,
    #[serde(rename = "networkID")]
    network_id: u32,
}

#[derive(Deserialize)]
struct ClientTx {
    name: String,
    chain: String,
    unsigned: String,
    signed: String,
    tx_id: String,
    signer_addresses: Vec<String>,
}

fn client_txs(file: &File<'_>, cases: &mut Cases) {
    let vectors: ClientTxs = file.parse();
    let avax_asset_id = vectors.context.avax_asset_id.parse().expect("an id");
    let context = verify::Context { network_id: vectors.context.network_id, avax_asset_id };
    for vector in vectors.txs {
        let signed = bytes(&vector.signed);
        if vector.chain == "P" {
            if let Some(tx) = round_trip::<platformvm::txs::Tx>(&vector.name, &signed, cases) {
                let verdict = verify::verify(&tx.unsigned, &context);
                cases.equal(format!("{} is well formed", vector.name), &verdict, &Ok(()));
                let credentials =
                    tx.credentials.iter().map(|pfx::Credential::Secp256k1(credential)| credential);
                client_tx(&tx, credentials.collect(), &vector, cases);
            }
        } else if let Some(tx) = round_trip::<avm::txs::Tx>(&vector.name, &signed, cases) {
            client_tx(&tx, tx.credentials.iter().map(avm::fx::Credential::inner).collect(), &vector, cases);
        }
    }
}

fn client_tx<U: Wire, C: Wire>(
    tx: &SignedTx<U, C>,
    credentials: Vec<&avalanche_vm::secp256k1fx::Credential>,
    vector: &ClientTx,
    cases: &mut Cases,
) {
    cases.equal(format!("{} unsigned", vector.name), &hex::encode(tx.unsigned_bytes()), &vector.unsigned);
    cases.equal(format!("{} id", vector.name), &tx.id().to_string(), &vector.tx_id);
    cases.equal(format!("{} length", vector.name), &tx.unsigned_len(), &(vector.unsigned.len() / 2));
    let hash = tx.signing_hash();
    let allowed: Vec<_> = vector.signer_addresses.iter().map(|text| ShortId(array(text))).collect();
    for credential in credentials {
        let signers = credential.signers(&hash);
        let good =
            signers.as_ref().is_ok_and(|signers| signers.iter().all(|signer| allowed.contains(signer)));
        cases.check(format!("{} signers", vector.name), good, || format!("{signers:?} not in {allowed:?}"));
    }
}

#[derive(Deserialize)]
struct SignedP {
    name: String,
    tx: String,
    tx_id: String,
    type_id: u32,
    network_id: Option<u32>,
    complexity: Option<[u64; 4]>,
    gas_weights: Option<[u64; 4]>,
    gas: Option<u64>,
}

fn p_signed(file: &File<'_>, cases: &mut Cases) {
    use avalanche_vm::gas::Dimensions;
    let dimensions =
        |[bandwidth, read, write, compute]: [u64; 4]| Dimensions::new(bandwidth, read, write, compute);
    for vector in file.parse::<Vec<SignedP>>() {
        let Some(tx) = round_trip::<platformvm::txs::Tx>(&vector.name, &bytes(&vector.tx), cases) else {
            continue;
        };
        cases.equal(format!("{} id", vector.name), &tx.id().to_string(), &vector.tx_id);
        cases.equal(format!("{} type", vector.name), &tx.unsigned.type_id(), &vector.type_id);
        cases.equal(
            format!("{} network", vector.name),
            &tx.unsigned.base().map(|base| base.network_id),
            &vector.network_id,
        );
        let complexity = fee::complexity(&tx.unsigned);
        cases.equal(
            format!("{} complexity", vector.name),
            &complexity.clone().ok(),
            &vector.complexity.map(dimensions),
        );
        if let (Ok(complexity), Some(weights)) = (complexity, vector.gas_weights) {
            cases.equal(
                format!("{} gas", vector.name),
                &complexity.to_gas(dimensions(weights)).ok(),
                &vector.gas,
            );
        }
    }
}

#[derive(Deserialize)]
struct UnsignedP {
    test: String,
    type_id: u32,
    hex: String,
}

fn p_unsigned(file: &File<'_>, cases: &mut Cases) {
    for vector in file.parse::<Vec<UnsignedP>>() {
        if let Some(tx) = round_trip::<platformvm::txs::UnsignedTx>(&vector.test, &bytes(&vector.hex), cases)
        {
            cases.equal(format!("{} type", vector.test), &tx.type_id(), &vector.type_id);
        }
    }
}

#[derive(Deserialize)]
struct Golden {
    source: String,
    test: String,
    name: String,
    hex: String,
}

fn x_golden(file: &File<'_>, cases: &mut Cases) {
    let vectors: Vec<Golden> = file.parse();
    let mut previous = Vec::new();
    for vector in &vectors {
        let encoded = bytes(&vector.hex);
        let name = format!("{} {}", vector.source, vector.name);
        match (vector.source.split('/').nth(1), vector.test.as_str()) {
            _ if vector.name.contains("credBytes") => {
                // They take the place of the empty list at the end of the transaction before them.
                let mut whole = previous.clone();
                whole.truncate(previous.len().saturating_sub(size_of::<u32>()));
                whole.extend(count_of::<avm::fx::Credential>(&encoded).to_be_bytes());
                whole.extend(&encoded);
                round_trip::<avm::txs::Tx>(&name, &whole, cases);
            }
            (_, "") => {
                // A lone signature of the fx tests: it must at least be well-formed.
                cases.equal(name, &encoded.len(), &avalanche_crypto::secp256k1::SIGNATURE_LEN);
            }
            (_, "TestInitialStateVerifySerialization") => {
                round_trip::<TestState>(&name, &encoded, cases);
            }
            (_, "TestTransferableInputSerialization") => {
                round_trip::<avax::TransferableInput<TestType<0, TransferInput>>>(&name, &encoded, cases);
            }
            (_, "TestUTXOSerialize") => {
                round_trip::<avax::Utxo<TestType<1, TransferOutput>>>(&name, &encoded, cases);
            }
            (_, "TestCredentialSerialize") => {
                round_trip::<avalanche_vm::secp256k1fx::Credential>(&name, &encoded, cases);
            }
            (_, "TestTransferInputSerialize") => {
                round_trip::<avalanche_vm::secp256k1fx::TransferInput>(&name, &encoded, cases);
            }
            _ => {
                if codec::unmarshal::<avm::txs::Tx>(&encoded).is_ok() {
                    round_trip::<avm::txs::Tx>(&name, &encoded, cases);
                } else {
                    round_trip::<avm::txs::UnsignedTx>(&name, &encoded, cases);
                }
            }
        }
        previous = encoded;
    }
}

/// A value behind the type id that a test of the reference registered it with.
struct TestType<const ID: u32, T>(T);

impl<const ID: u32, T: Wire> Wire for TestType<ID, T> {
    fn encode(&self, out: &mut codec::Writer) {
        out.u32_be(ID);
        self.0.encode(out);
    }

    fn decode(input: &mut codec::Reader<'_>) -> Result<Self, codec::CodecError> {
        match input.u32_be()? {
            id if id == ID => T::decode(input).map(Self),
            id => Err(codec::CodecError::UnknownType { id, interface: "registered type" }),
        }
    }
}

/// An initial state whose fx knows transfer outputs only.
struct TestState {
    fx_index: u32,
    outs: Vec<TestType<0, TransferOutput>>,
}
codec::wire_struct!(TestState { fx_index, outs });

/// How many values lie one after the other.
fn count_of<T: Wire>(encoded: &[u8]) -> u32 {
    let mut input = codec::Reader::new(encoded);
    let mut count = 0;
    while !input.is_empty() && T::decode(&mut input).is_ok() {
        count += 1;
    }
    count
}

fn p_blocks(file: &File<'_>, cases: &mut Cases) {
    #[derive(Deserialize)]
    struct Vector {
        hex: String,
        id: String,
    }
    for vector in file.parse::<Vec<Vector>>() {
        if let Some(block) = round_trip::<platformvm::block::Block>("block", &bytes(&vector.hex), cases) {
            cases.equal("id", &block.id().to_string(), &vector.id);
        }
    }
}

fn empty_blocks(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let rows = json["rows"].as_array().expect("rows");
    let text = |row: &Value, key: &str| row[key].as_str().expect("a text").to_owned();
    for pair in rows.windows(2) {
        let block =
            round_trip::<platformvm::block::Block>("block", &bytes(&text(&pair[1], "block_bytes")), cases);
        let Some(block) = block else { continue };
        cases.equal("id", &block.id(), &id(&text(&pair[1], "block_id")));
        cases.equal("parent", &block.common().parent_id, &id(&text(&pair[0], "block_id")));
        cases.equal("height", &Some(block.common().height), &pair[1]["height"].as_u64());
        cases.equal("time", &block.time(), &pair[1]["timestamp"].as_u64());
        cases.equal("transactions", &block.txs().count(), &0);
    }
    cases.skip("state_digest is the other port's own digest, not the network's");
}

fn real(file: &File<'_>, cases: &mut Cases) {
    #[derive(Deserialize)]
    struct Vector {
        source: String,
        hex_with_checksum: String,
        bytes: String,
        id: String,
    }
    for vector in file.parse::<Vec<Vector>>() {
        let encoded = bytes(&vector.bytes);
        let mut checked = encoded.clone();
        checked.extend(cb58::checksum(&encoded));
        cases.equal(format!("{} checksum", vector.source), &hex::encode(&checked), &vector.hex_with_checksum);
        cases.equal(format!("{} id", vector.source), &Id::hash_of(&encoded).to_string(), &vector.id);
        if vector.source == BEFORE_VERSIONS {
            cases.skip("written by a release whose codec had no version");
            continue;
        }
        let again = as_any(&encoded).map(hex::encode);
        cases.equal(format!("{} encodes again", vector.source), &again.as_ref(), &Some(&vector.bytes));
    }
}

/// An example of the documentation that no release of the present network can read.
const BEFORE_VERSIONS: &str = "vms/platformvm/service.md:2043";

/// Reads bytes as one kind of value and encodes it again.
type EncodeAgain = fn(&[u8]) -> Option<Vec<u8>>;

/// What the bytes encode to after being read as the first kind of value they are.
fn as_any(encoded: &[u8]) -> Option<Vec<u8>> {
    let kinds: [EncodeAgain; 8] = [
        try_as::<platformvm::block::Block>,
        try_as::<platformvm::txs::Tx>,
        try_as::<avm::block::Block>,
        try_as::<avm::txs::Tx>,
        try_as::<pfx::Utxo>,
        try_as::<avm::fx::Utxo>,
        try_as::<pfx::TransferableOutput>,
        vertex,
    ];
    kinds.iter().find_map(|kind| kind(encoded))
}

fn try_as<T: Wire>(encoded: &[u8]) -> Option<Vec<u8>> {
    codec::unmarshal::<T>(encoded).ok().map(|value| codec::marshal(&value))
}

fn vertex(encoded: &[u8]) -> Option<Vec<u8>> {
    Vertex::parse(encoded).ok().map(|vertex| vertex.bytes())
}

fn warp_payloads(file: &File<'_>, cases: &mut Cases) {
    #[derive(Deserialize)]
    struct Vector {
        source: String,
        name: String,
        hex: String,
        sha256: String,
    }
    for vector in file.parse::<Vec<Vector>>() {
        let encoded = bytes(&vector.hex);
        let hash = if vector.name.contains("ConversionData") {
            round_trip::<warp::ConversionData>(&vector.source, &encoded, cases).map(|data| data.id())
        } else {
            round_trip::<warp::PChainMessage>(&vector.source, &encoded, cases).map(|message| match message {
                warp::PChainMessage::RegisterL1Validator(message) => message.validation_id(),
                other => Id::hash_of(&other.bytes()),
            })
        };
        let expected: Vec<u8> = bytes(&format!("{:0>64}", vector.sha256));
        cases.equal(format!("{} hash", vector.source), &hash.map(|hash| hash.0.to_vec()), &Some(expected));
    }
}

fn warp_signatures(file: &File<'_>, cases: &mut Cases) {
    #[derive(Deserialize)]
    struct Vector {
        unsigned: String,
        message_id: String,
        signed: String,
        validators_canonical: Vec<Member>,
        total_weight: u64,
        signer_indices: Vec<usize>,
        signed_weight: u64,
        meets_67_percent: bool,
    }
    #[derive(Deserialize)]
    struct Member {
        bls_uncompressed: String,
        bls_compressed: String,
        weight: u64,
    }
    for vector in file.parse::<Vec<Vector>>() {
        let message = warp::Message::parse(&bytes(&vector.signed)).expect("a message");
        cases.equal("encoding", &hex::encode(message.bytes()), &vector.signed);
        cases.equal("unsigned", &hex::encode(message.unsigned.bytes()), &vector.unsigned);
        cases.equal("id", &message.unsigned.id(), &id(&vector.message_id));
        let member = |member: &Member| {
            let key = bls::PublicKey::from_bytes(&array(&member.bls_compressed)).expect("a key");
            (Some(key), member.weight)
        };
        let keyed: u64 = vector.validators_canonical.iter().map(|member| member.weight).sum();
        let mut members: Vec<_> = vector.validators_canonical.iter().rev().map(member).collect();
        members.push((None, vector.total_weight - keyed));
        let set = warp::CanonicalSet::new(members).expect("no overflow");
        let order: Vec<_> = set
            .validators
            .iter()
            .map(|validator| hex::encode(validator.public_key.to_uncompressed()))
            .collect();
        let expected: Vec<_> =
            vector.validators_canonical.iter().map(|member| member.bls_uncompressed.clone()).collect();
        cases.equal("canonical order", &order, &expected);
        cases.equal("total", &set.total_weight, &vector.total_weight);
        let warp::Signature::BitSet(signature) = &message.signature;
        cases.equal("signers", &signature.num_signers(), &Ok(vector.signer_indices.len()));
        let verdict = signature.verify(&message.unsigned, message.unsigned.network_id, &set);
        let (signed, total) = (vector.signed_weight, vector.total_weight);
        let expected = if vector.meets_67_percent {
            Ok(())
        } else {
            Err(warp::WarpError::InsufficientWeight { signed, total })
        };
        cases.equal("verdict", &verdict, &expected);
    }
}

#[derive(Deserialize)]
struct ExpectedGenesis {
    network_id: u32,
    genesis_id: String,
    genesis_len: usize,
    genesis_sha256: String,
    x_genesis_len: usize,
    x_genesis_sha256: String,
    avax_asset_id: String,
    x_chain_id: String,
    c_chain_id: String,
    initial_supply: String,
    p_genesis_block: String,
    p_genesis_block_id: String,
    x_genesis_block: String,
    x_genesis_block_id: String,
    x_stop_vertex: Option<String>,
    x_stop_vertex_id: String,
}

fn network_genesis(file: &File<'_>, name: &str) -> NetworkGenesis {
    let path = file.root().join(format!("genesis/genesis_{name}.json"));
    NetworkGenesis::from_json(&std::fs::read(path).expect("a genesis file")).expect("a genesis")
}

fn x_genesis(genesis: &NetworkGenesis) -> Vec<u8> {
    let chains = genesis.platform.chains.iter();
    let mut data = chains.filter_map(|tx| match &tx.unsigned {
        platformvm::txs::UnsignedTx::CreateChain(chain) if chain.vm_id == AVM_ID => {
            Some(chain.genesis_data.clone())
        }
        _ => None,
    });
    data.next().expect("an X-chain")
}

fn genesis_ids(file: &File<'_>, cases: &mut Cases) {
    for (name, expected) in file.parse::<HashMap<String, ExpectedGenesis>>() {
        let genesis = network_genesis(file, &name);
        let encoded = genesis.platform.bytes();
        let case = |what: &str| format!("{name} {what}");
        cases.equal(case("network"), &genesis.network_id, &expected.network_id);
        cases.equal(case("genesis id"), &genesis.id().to_string(), &expected.genesis_id);
        cases.equal(case("length"), &encoded.len(), &expected.genesis_len);
        cases.equal(case("hash"), &hex::encode(Id::hash_of(&encoded).0), &expected.genesis_sha256);
        let parsed = platformvm::genesis::Genesis::parse(&encoded);
        cases.check(case("parses back"), parsed.as_ref() == Ok(&genesis.platform), || {
            format!("{:?}", parsed.err())
        });
        let x_bytes = x_genesis(&genesis);
        cases.equal(case("X length"), &x_bytes.len(), &expected.x_genesis_len);
        cases.equal(case("X hash"), &hex::encode(Id::hash_of(&x_bytes).0), &expected.x_genesis_sha256);
        cases.equal(case("asset"), &genesis.avax_asset_id.to_string(), &expected.avax_asset_id);
        let x_chain = genesis.platform.chain_id(AVM_ID).expect("an X-chain");
        let c_chain = genesis.platform.chain_id(EVM_ID).expect("a C-chain");
        cases.equal(case("X-chain"), &x_chain.to_string(), &expected.x_chain_id);
        cases.equal(case("C-chain"), &c_chain.to_string(), &expected.c_chain_id);
        cases.equal(case("supply"), &genesis.platform.initial_supply.to_string(), &expected.initial_supply);
        let block = platformvm::block::Block::genesis(genesis.id());
        cases.equal(case("P block"), &hex::encode(block.bytes()), &expected.p_genesis_block);
        cases.equal(case("P block id"), &block.id().to_string(), &expected.p_genesis_block_id);
        let stop = match &expected.x_stop_vertex {
            Some(encoded) => {
                let stop = Vertex::stop_of(x_chain);
                cases.equal(case("stop vertex"), &hex::encode(stop.bytes()), encoded);
                cases.equal(case("stop vertex id"), &stop.id().to_string(), &expected.x_stop_vertex_id);
                stop.id()
            }
            None => expected.x_stop_vertex_id.parse().expect("an id"), // a constant of the network
        };
        let cortina = Upgrades::of_network(genesis.network_id).time(Fork::Cortina);
        let block = avm::block::Block::genesis(stop, u64::try_from(cortina).expect("after 1970"));
        cases.equal(case("X block"), &hex::encode(block.bytes()), &expected.x_genesis_block);
        cases.equal(case("X block id"), &block.id().to_string(), &expected.x_genesis_block_id);
    }
}

/// Every description builds, and what it builds reads back.
fn genesis_config(file: &File<'_>, cases: &mut Cases) {
    let genesis = NetworkGenesis::from_json(file.bytes).expect("a genesis");
    let encoded = genesis.platform.bytes();
    let parsed = platformvm::genesis::Genesis::parse(&encoded).map(|parsed| parsed.bytes() == encoded);
    cases.equal("reads back", &parsed, &Ok(true));
}

fn named_network(file: &File<'_>) -> NetworkGenesis {
    let name =
        file.path.rsplit('_').next().and_then(|end| end.strip_suffix(".hex")).expect("a network's name");
    network_genesis(file, name)
}

fn p_genesis_bytes(file: &File<'_>, cases: &mut Cases) {
    cases.equal("bytes", &hex::encode(named_network(file).platform.bytes()).as_str(), &file.text().trim());
}

fn x_genesis_bytes(file: &File<'_>, cases: &mut Cases) {
    let encoded = x_genesis(&named_network(file));
    cases.equal("bytes", &hex::encode(&encoded).as_str(), &file.text().trim());
    let parsed = avm::genesis::Genesis::parse(&encoded).map(|genesis| genesis.bytes());
    cases.equal("reads back", &parsed, &Ok(encoded));
}

fn oracle_genesis(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    for (name, expected) in json["networks"].as_object().expect("networks") {
        let network = name.trim_end_matches("_unmodified");
        if network.starts_with("custom") {
            cases.skip("the description of this network is not in the file");
            continue;
        }
        let genesis = network_genesis(file, network);
        let text = |key: &str| expected[key].as_str().expect("a text").to_owned();
        let chain = |vm| genesis.platform.chain_id(vm).expect("a chain").to_string();
        cases.equal(format!("{name} id"), &genesis.id().to_string(), &text("pChainGenesisBlockID"));
        cases.equal(format!("{name} X"), &chain(AVM_ID), &text("xBlockchainID"));
        cases.equal(format!("{name} C"), &chain(EVM_ID), &text("cBlockchainID"));
        cases.equal(format!("{name} asset"), &genesis.avax_asset_id.to_string(), &text("avaxAssetID"));
        let hash = hex::encode(Id::hash_of(&genesis.platform.bytes()).0);
        cases.equal(format!("{name} hash"), &hash, &text("pChainBytesSha256Hex"));
    }
}

fn oracle_utxo(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    let (utxo, encoded) = (&json["utxo"], bytes(json["value_hex"].as_str().expect("a text")));
    let Some(decoded) = round_trip::<pfx::Utxo>("P-chain", &encoded, cases) else { return };
    round_trip::<avm::fx::Utxo>("X-chain", &encoded, cases);
    let text = |key: &str| utxo[key].as_str().expect("a text");
    cases.equal("transaction", &decoded.id.tx_id, &id(text("tx_id_hex")));
    cases.equal("asset", &decoded.asset_id, &id(text("asset_id_hex")));
    cases.equal("amount", &Some(decoded.out.transfer().amount), &utxo["amount"].as_u64());
    cases.equal("lock time", &Some(decoded.out.transfer().owners.locktime), &utxo["locktime"].as_u64());
}

fn oracle_wallet(file: &File<'_>, cases: &mut Cases) {
    let json = file.json();
    for vector in json["vectors"].as_array().expect("vectors") {
        let text = |key: &str| vector[key].as_str().expect("a text");
        let Some(tx) = round_trip::<platformvm::txs::Tx>(text("name"), &bytes(text("signed_hex")), cases)
        else {
            continue;
        };
        cases.equal(text("name"), &hex::encode(tx.unsigned_bytes()).as_str(), &text("unsigned_hex"));
        let hash = tx.signing_hash();
        for pfx::Credential::Secp256k1(credential) in &tx.credentials {
            let signers = credential.signers(&hash);
            cases.check(format!("{} signers", text("name")), signers.is_ok(), || format!("{signers:?}"));
        }
    }
}

/// Blocks leave differences; every earlier set comes back from the last one by undoing them.
fn past_sets(file: &File<'_>, cases: &mut Cases) {
    #[derive(Deserialize)]
    struct Vector {
        subnet: String,
        blocks: Vec<Mutations>,
        snapshots: Vec<Snapshot>,
    }
    #[derive(Deserialize)]
    struct Mutations {
        height: u64,
        mutations: Vec<Mutation>,
    }
    #[derive(Deserialize)]
    struct Mutation {
        op: String,
        node_id: String,
        bls_key: String,
        weight: u64,
    }
    #[derive(Deserialize)]
    struct Snapshot {
        height: u64,
        validators: Vec<Member>,
        warp_total_weight: u64,
        warp_entries: Vec<Member>,
    }
    #[derive(Deserialize)]
    struct Member {
        node_id: Option<String>,
        weight: u64,
        bls_key: String,
    }
    let vector: Vector = file.parse();
    let subnet = id(&vector.subnet);
    let key = |text: &str| bls::PublicKey::from_bytes(&array(text)).expect("a key");
    let store = avalanche_db::Memory::new();
    let diffs = ValidatorDiffs::new(&store);
    let (mut set, mut last) = (ValidatorSet::new(), 0);
    for block in &vector.blocks {
        last = block.height;
        for Mutation { op, node_id, bls_key, weight } in &block.mutations {
            let (node, public_key) = (NodeId(array(node_id)), key(bls_key));
            let adds = op == "add";
            let diff = WeightDiff { decrease: !adds, amount: *weight };
            let before = Some(&public_key).filter(|_| !adds);
            for batch in
                [diffs.record_weight(subnet, last, node, diff), diffs.record_key(subnet, last, node, before)]
            {
                avalanche_db::Database::write(&store, &batch).expect("memory does not fail");
            }
            if adds {
                set.insert(node, ValidatorOutput { weight: *weight, public_key: Some(public_key) });
            } else {
                set.remove(&node);
            }
        }
    }
    for snapshot in vector.snapshots {
        let case = |what: &str| format!("{what} at {}", snapshot.height);
        let mut past = set.clone();
        diffs.rewind(&mut past, subnet, last, snapshot.height).expect("differences fit");
        let expected: ValidatorSet = snapshot
            .validators
            .iter()
            .map(|member| {
                let node = NodeId(array(member.node_id.as_ref().expect("a node id")));
                (node, ValidatorOutput { weight: member.weight, public_key: Some(key(&member.bls_key)) })
            })
            .collect();
        cases.equal(case("validators"), &past, &expected);
        let canonical =
            warp::CanonicalSet::new(past.values().map(|validator| (validator.public_key, validator.weight)))
                .expect("no overflow");
        cases.equal(case("total"), &canonical.total_weight, &snapshot.warp_total_weight);
        let entries: Vec<_> =
            snapshot.warp_entries.iter().map(|entry| (key(&entry.bls_key), entry.weight)).collect();
        let actual: Vec<_> =
            canonical.validators.iter().map(|validator| (validator.public_key, validator.weight)).collect();
        cases.equal(case("canonical set"), &actual, &entries);
    }
}

fn upgrades(file: &File<'_>, cases: &mut Cases) {
    #[derive(Deserialize)]
    struct Vectors {
        cases: Vec<Vector>,
    }
    #[derive(Deserialize)]
    struct Vector {
        network: String,
        fork: String,
        fork_time_rfc3339_nano: String,
        samples: Vec<Sample>,
    }
    #[derive(Deserialize)]
    struct Sample {
        at_rfc3339_nano: String,
        is_active: bool,
    }
    for vector in file.parse::<Vectors>().cases {
        let upgrades = Upgrades::of_network(if vector.network == "mainnet" { 1 } else { 5 });
        let fork = fork(&vector.fork);
        cases.equal(&vector.fork, &upgrades.time(fork), &unix_seconds(&vector.fork_time_rfc3339_nano));
        for sample in vector.samples {
            let active = upgrades.is_active(fork, unix_seconds(&sample.at_rfc3339_nano));
            cases.equal(&sample.at_rfc3339_nano, &active, &sample.is_active);
        }
    }
}

fn fork(name: &str) -> Fork {
    match name {
        "apricot_phase_1" => Fork::ApricotPhase1,
        "apricot_phase_2" => Fork::ApricotPhase2,
        "apricot_phase_3" => Fork::ApricotPhase3,
        "apricot_phase_4" => Fork::ApricotPhase4,
        "apricot_phase_5" => Fork::ApricotPhase5,
        "apricot_phase_pre_6" => Fork::ApricotPhasePre6,
        "apricot_phase_6" => Fork::ApricotPhase6,
        "apricot_phase_post_6" => Fork::ApricotPhasePost6,
        "banff" => Fork::Banff,
        "cortina" => Fork::Cortina,
        "durango" => Fork::Durango,
        "etna" => Fork::Etna,
        "fortuna" => Fork::Fortuna,
        "granite" => Fork::Granite,
        "helicon" => Fork::Helicon,
        other => panic!("unknown upgrade {other}"),
    }
}

/// Unix seconds, rounded down, of a UTC time like `2021-03-31T13:59:59.999999999Z`.
fn unix_seconds(text: &str) -> i64 {
    let part = |from: usize, to: usize| text[from..to].parse::<i64>().expect("a number");
    let (year, month, day) = (part(0, 4), part(5, 7), part(8, 10));
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * shifted_year + shifted_year / 4 - shifted_year / 100
        + shifted_year / 400
        + (153 * shifted_month + 2) / 5
        + day
        - 719_469;
    days * 86_400 + part(11, 13) * 3_600 + part(14, 16) * 60 + part(17, 19)
}
