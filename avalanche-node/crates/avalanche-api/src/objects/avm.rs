//! Transactions and blocks of the X-chain. Mirrors the JSON tags of `vms/avm/{txs,block,fxs}`.

use avalanche_ids::Id;
use avalanche_vm::nftfx;
use avm::{
    block::StandardBlock,
    fx::{Credential, FxOperation, Input, Output},
    txs::{InitialState, NamedTx, Operation, Tx, UnsignedTx},
};
use serde_json::{Map, Value, json};

use super::{Objects, Part, SECP256K1_FX, hex, signatures, signers, spends, text, utxo_id, with};

/// The fxs in the order of their positions.
const FXS: [Id; 3] = [SECP256K1_FX, Id::from_name("nftfx"), Id::from_name("propertyfx")];

/// The fx at a position; the last one beyond.
fn fx_at(index: u32) -> Id {
    let [first, second, third] = FXS;
    match index {
        0 => first,
        1 => second,
        _ => third,
    }
}

fn token(objects: Objects<'_>, out: &nftfx::TransferOutput) -> Map<String, Value> {
    let more = [("groupID", json!(out.group_id)), ("payload", hex(&out.payload))];
    with(objects.owners(&out.owners), more)
}

impl Part for Output {
    fn fx(&self) -> Id {
        fx_at(self.fx_index())
    }

    fn object(&self, objects: Objects<'_>) -> Value {
        Value::Object(match self {
            Self::SecpTransfer(out) => objects.transfer(out),
            Self::NftMint(out) => with(objects.owners(&out.owners), [("groupID", json!(out.group_id))]),
            Self::NftTransfer(out) => token(objects, out),
            Self::SecpMint(_) | Self::PropertyMint(_) | Self::PropertyOwned(_) => {
                objects.owners(self.owners())
            }
        })
    }
}

impl Part for Input {
    fn object(&self, _: Objects<'_>) -> Value {
        let Self::SecpTransfer(input) = self;
        spends(input)
    }
}

impl Part for FxOperation {
    fn fx(&self) -> Id {
        fx_at(match self {
            Self::SecpMint(_) => 0,
            Self::NftMint(_) | Self::NftTransfer(_) => 1,
            Self::PropertyMint(_) | Self::PropertyBurn(_) => 2,
        })
    }

    fn object(&self, objects: Objects<'_>) -> Value {
        match self {
            Self::SecpMint(op) => json!({
                "mintInput": signers(&op.mint_input),
                "mintOutput": objects.owners(&op.mint_output.owners),
                "transferOutput": objects.transfer(&op.transfer_output),
            }),
            Self::NftMint(op) => json!({
                "mintInput": signers(&op.mint_input),
                "groupID": op.group_id,
                "payload": hex(&op.payload),
                "outputs": objects.list(&op.outputs, |objects, owners| Value::Object(objects.owners(owners))),
            }),
            Self::NftTransfer(op) => {
                json!({ "input": signers(&op.input), "output": token(objects, &op.output) })
            }
            Self::PropertyMint(op) => json!({
                "mintInput": signers(&op.mint_input),
                "mintOutput": objects.owners(&op.mint_output.owners),
                "ownedOutput": objects.owners(&op.owned_output.owners),
            }),
            Self::PropertyBurn(op) => signers(&op.input),
        }
    }
}

fn credential(_: Objects<'_>, credential: &Credential) -> Value {
    let fx = fx_at(match credential {
        Credential::Secp(_) => 0,
        Credential::Nft(_) => 1,
        Credential::Property(_) => 2,
    });
    json!({ "fxID": text(&fx), "credential": signatures(credential.inner()) })
}

impl Objects<'_> {
    /// A block. The first one has no list of transactions.
    pub(crate) fn avm_block(self, id: Id, block: &StandardBlock) -> Value {
        let txs = if block.txs.is_empty() { Value::Null } else { self.list(&block.txs, Self::avm_tx) };
        json!({
            "parentID": text(&block.parent_id),
            "height": block.height,
            "time": block.time,
            "merkleRoot": text(&block.merkle_root),
            "txs": txs,
            "id": text(&id),
        })
    }

    /// A signed transaction.
    pub(crate) fn avm_tx(self, tx: &Tx) -> Value {
        json!({
            "unsignedTx": self.avm_unsigned(&tx.unsigned),
            "credentials": self.list(&tx.credentials, credential),
            "id": text(&NamedTx::new(tx.clone()).id),
        })
    }

    fn avm_unsigned(self, tx: &UnsignedTx) -> Value {
        let base = self.base(tx.base());
        Value::Object(match tx {
            UnsignedTx::Base(_) => base,
            UnsignedTx::CreateAsset(tx) => with(
                base,
                [
                    ("name", json!(String::from_utf8_lossy(tx.name.as_bytes()))),
                    ("symbol", json!(String::from_utf8_lossy(tx.symbol.as_bytes()))),
                    ("denomination", json!(tx.denomination)),
                    ("initialStates", self.list(&tx.states, Self::initial_state)),
                ],
            ),
            UnsignedTx::Operation(tx) => with(base, [("operations", self.list(&tx.ops, Self::operation))]),
            UnsignedTx::Import(tx) => self.import(tx),
            UnsignedTx::Export(tx) => self.export(tx),
        })
    }

    fn initial_state(self, state: &InitialState) -> Value {
        let outputs = self.list(&state.outs, |objects, out| out.object(objects));
        json!({ "fxIndex": state.fx_index, "fxID": text(&fx_at(state.fx_index)), "outputs": outputs })
    }

    fn operation(self, operation: &Operation) -> Value {
        let ids = self.list(&operation.utxo_ids, |_, id| Value::Object(utxo_id(id)));
        json!({
            "assetID": text(&operation.asset_id),
            "inputIDs": ids,
            "fxID": text(&operation.op.fx()),
            "operation": operation.op.object(self),
        })
    }
}
