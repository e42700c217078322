//! `proof` and `light verify`: a file that proves an account or a transaction to somebody who trusts nothing but the genesis
//! file, one set of signers, or one block.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_vendor::{
    app::Loaded,
    cli, datadir,
    exit::{self, Code, Exit, Report},
    hex,
};

use super::{
    PosNode, genesis, refused,
    remote::{Node, number, text},
};
use crate::{
    consensus::{
        finality::{SignerList, SignerSet},
        light::{EntryProof, Trust, TxProof, ancestor},
    },
    state::app::{Account, keys},
    types::{
        codec::{Wire, decode, encode},
        operation::{BlockHeader, FinalityCert},
        primitives::{Address, Root},
    },
};

/// A proof does not hold.
pub(super) const NOT_PROVEN: Code = Code {
    id: "E0902",
    exit: Exit::Failed,
    title: "the proof does not hold",
    text: "The file proves nothing to somebody who trusts what was named. The message says what does not fit.",
};

/// What is proven.
#[derive(Debug, Args)]
pub struct Proof {
    /// The account or transaction
    #[command(subcommand)]
    subject: Subject,
    /// RPC of the node; that of this data directory's node when left out
    #[arg(long, global = true)]
    url: Option<String>,
    /// The file to write; standard output when left out
    #[arg(long, global = true)]
    out: Option<PathBuf>,
}

/// What can be proven.
#[derive(Debug, Clone, Subcommand)]
pub(super) enum Subject {
    /// An account's nonce and balance, or that there is none, after a block
    Account {
        /// With prefix or in hexadecimal
        address: String,
        /// The block; only the final one is certified
        #[arg(long, default_value = "finalized")]
        block: String,
    },
    /// That a transaction is in a block
    Tx {
        /// Its id
        id: String,
    },
}

/// What can be checked without a node.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check a proof, from the genesis file unless something else is trusted
    Verify {
        /// File made by `proof`
        file: PathBuf,
        /// Trust this block and no certificates
        #[arg(long, conflicts_with = "signers")]
        block: Option<String>,
        /// Trust this set of signers (its root) instead of that of genesis
        #[arg(long)]
        signers: Option<String>,
    },
}

/// The file. Bytes are hexadecimal encodings.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// `account` or `tx`.
    kind: String,
    /// The address or the id.
    subject: String,
    /// An `EntryProof` or a `TxProof`.
    proof: String,
    /// Headers from the certified block down to the child of the proof's.
    headers: Vec<String>,
    /// Certificates, oldest first.
    certificates: Vec<Certificate>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    certificate: String,
    signers: String,
}

fn not_proven(why: impl Into<String>) -> Report {
    Report::new(NOT_PROVEN, why)
}

fn of_hex<T: Wire>(what: &str, text: &str) -> Result<T, Report> {
    let bytes = hex::decode(text).map_err(|_| not_proven(format!("{what} is not hexadecimal")))?;
    decode(&bytes, usize::MAX).map_err(|err| not_proven(format!("{what} is malformed")).because(&err))
}

fn to_hex(value: &impl Wire) -> String {
    format!("0x{}", hex::encode(encode(value)))
}

/// Fetches a proof.
pub(super) fn prove(command: &Proof, loaded: &Loaded<PosNode>) -> Result<(), Report> {
    let node = match &command.url {
        Some(url) => Node::new(url),
        None => Node::new(&format!("http://{}", loaded.common.rpc_addr)),
    };
    let (kind, subject, proof, proven) = match &command.subject {
        Subject::Account { address, block } => {
            let found = node.known("account_proof", &json!([address, block]))?;
            ("account", address, text(&found, "entry").to_owned(), text(&found, "block").to_owned())
        }
        Subject::Tx { id } => {
            let found = node.known("tx_proof", &json!([id]))?;
            ("tx", id, text(&found, "proof").to_owned(), text(&found, "block").to_owned())
        }
    };
    let slot = number(&node.known("chain_getHeader", &json!([proven]))?, "slot");
    let (certificates, certified) = certificates(&node, slot)?;
    let mut headers = Vec::new();
    if let Some(certified) = certified {
        let mut next = certified.to_string();
        while next != proven {
            let found = node.known("chain_getHeader", &json!([next]))?;
            if number(&found, "slot") <= slot {
                return Err(not_proven("the block is not on the certified chain"));
            }
            let header = header(&found)?;
            next = header.parent_root.to_string();
            headers.push(to_hex(&header));
        }
    }
    let file = File { kind: kind.to_owned(), subject: subject.clone(), proof, headers, certificates };
    let text = serde_json::to_string_pretty(&file).unwrap_or_default();
    match &command.out {
        Some(out) => std::fs::write(out, text).map_err(|err| datadir::io_error("cannot write", out, &err)),
        None => cli::print(&format!("{text}\n")),
    }
}

/// Every certificate up to the first whose block is not before `slot`, and that block.
fn certificates(node: &Node, slot: u64) -> Result<(Vec<Certificate>, Option<Root>), Report> {
    let (mut all, mut from) = (Vec::new(), 0u64);
    loop {
        let found = node.known("chain_certificates", &json!([from.to_string()]))?;
        let lines = found.as_array().map(Vec::as_slice).unwrap_or_default();
        if lines.is_empty() {
            return Ok((all, None));
        }
        for line in lines {
            from = number(line, "epoch").saturating_add(1);
            let certificate = text(line, "certificate").to_owned();
            let cert: FinalityCert = of_hex("certificate", &certificate)?;
            all.push(Certificate { certificate, signers: text(line, "signers").to_owned() });
            let root = cert.vote.block_root;
            let header = node.known("chain_getHeader", &json!([root.to_string()]))?;
            if number(&header, "slot") >= slot {
                return Ok((all, Some(root)));
            }
        }
    }
}

fn header(value: &Value) -> Result<BlockHeader, Report> {
    let root = |name: &str| {
        let found: Result<Root, _> = text(value, name).parse();
        found.map_err(|_| Report::new(exit::RPC_FAILED, "a header is not as expected"))
    };
    Ok(BlockHeader {
        slot: number(value, "slot"),
        proposer_index: number(value, "proposer"),
        parent_root: root("parent")?,
        state_root: root("stateRoot")?,
        body_root: root("bodyRoot")?,
    })
}

pub(super) fn run(command: &Command, loaded: &Loaded<PosNode>) -> Result<(), Report> {
    let Command::Verify { file, block, signers } = command;
    let file = read(file)?;
    let root = |text: &String| {
        text.parse::<Root>().map_err(|_| Report::new(exit::BAD_USAGE, format!("`{text}` is no root")))
    };
    let (trusted, how) = match block {
        Some(block) => (root(block)?, "in the trusted block".to_owned()),
        None => certified(&file, signers.as_ref().map(root).transpose()?, loaded)?,
    };
    let headers: Vec<BlockHeader> =
        file.headers.iter().map(|text| of_hex("header", text)).collect::<Result<_, _>>()?;
    // with a trusted block, the way from a certified one is not needed when it is the proof's own
    let found = match block {
        Some(_) if holds_at(&file, trusted).is_ok() => trusted,
        _ => ancestor(&trusted, &headers)
            .map_err(|err| not_proven("the headers prove nothing").because(&err))?,
    };
    let fact = holds_at(&file, found)?;
    cli::print(&format!("proven {how}: {fact}\n"))
}

fn read(path: &Path) -> Result<File, Report> {
    let text = std::fs::read_to_string(path).map_err(|err| {
        Report::new(exit::NO_INPUT, "the proof cannot be read").at(path.display().to_string()).because(&err)
    })?;
    serde_json::from_str(&text)
        .map_err(|err| not_proven("not a proof file").at(path.display().to_string()).because(&err))
}

/// The last block that the certificates of a file certify, beginning with one set of signers or that of genesis.
fn certified(file: &File, signers: Option<Root>, loaded: &Loaded<PosNode>) -> Result<(Root, String), Report> {
    let genesis = genesis(loaded)?;
    let start = genesis.build().map_err(|err| refused(&err))?;
    let first = signers.unwrap_or_else(|| SignerSet::of(&start.state, &genesis.config.params, 0).root);
    let mut trust = Trust::in_signers(&genesis.config, start.state.genesis_validators_root, first);
    let mut count = 0u64;
    for entry in &file.certificates {
        let cert: FinalityCert = of_hex("certificate", &entry.certificate)?;
        let list: SignerList = of_hex("signers", &entry.signers)?;
        match trust.follow(&cert, &list) {
            Ok(()) => count = count.saturating_add(1),
            // older than the trusted set, which nothing in the file leads to
            Err(crate::consensus::light::FollowError::Signers) if signers.is_some() && count == 0 => {}
            Err(err) => {
                let epoch = cert.vote.epoch;
                return Err(
                    not_proven(format!("the certificate of epoch {epoch} does not follow")).because(&err)
                );
            }
        }
    }
    let last = trust.last().ok_or_else(|| not_proven("no certificate follows from what is trusted"))?;
    Ok((last.block_root, format!("by {count} certificates, the last of epoch {}", last.epoch)))
}

/// What the proof says when its block is trusted.
fn holds_at(file: &File, trusted: Root) -> Result<String, Report> {
    let failed = |err: crate::consensus::light::LightError| not_proven("the proof is wrong").because(&err);
    match file.kind.as_str() {
        "account" => {
            let address = account(&file.subject)?;
            let proof: EntryProof = of_hex("proof", &file.proof)?;
            proof.verify(&trusted, &keys::account(&address)).map_err(failed)?;
            let slot = proof.header.slot;
            let Some(value) = &proof.value else {
                return Ok(format!("{} is no account after slot {slot}, block {trusted}", file.subject));
            };
            let account: Account = decode(value, usize::MAX)
                .map_err(|err| not_proven("the value is no account").because(&err))?;
            Ok(format!(
                "{} has nonce {} and balance {} after slot {slot}, block {trusted}",
                file.subject, account.nonce, account.balance
            ))
        }
        "tx" => {
            let proof: TxProof = of_hex("proof", &file.proof)?;
            proof.verify(&trusted).map_err(failed)?;
            if proof.tx_id.to_string() != file.subject {
                return Err(not_proven("the proof is for another transaction"));
            }
            let slot = proof.header.slot;
            Ok(format!("{} is number {} of slot {slot}, block {trusted}", file.subject, proof.position))
        }
        other => Err(not_proven(format!("unknown kind of proof {other}"))),
    }
}

/// An account, with prefix or in hexadecimal.
fn account(text: &str) -> Result<Address, Report> {
    use crate::types::address::{MAINNET_PREFIX, TESTNET_PREFIX, from_text};
    let prefixed = |prefix| from_text(text, prefix).ok();
    text.parse()
        .ok()
        .or_else(|| prefixed(MAINNET_PREFIX))
        .or_else(|| prefixed(TESTNET_PREFIX))
        .ok_or_else(|| not_proven(format!("`{text}` is no account")))
}
