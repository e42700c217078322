//! Transactions and blocks as JSON objects, what `encoding: json` asks for: numbers bare, bytes as hexadecimal without
//! checksum, owners by their addresses. What both chains share is here, their kinds in the modules below.
//! Mirrors the JSON tags of `vms/{components/avax,secp256k1fx,nftfx,propertyfx}`.

mod avm;
mod platform;

use avalanche_ids::{Id, ShortId};
use avalanche_vm::{
    avax::{BaseTx, ExportTx, ImportTx, TransferableInput, TransferableOutput, UtxoId},
    secp256k1fx::{self, OutputOwners},
};
use serde_json::{Map, Value, json};

use crate::{Context, format::plain_hex};

pub(crate) const SECP256K1_FX: Id = Id::from_name("secp256k1fx");

/// Writes the objects of one chain.
#[derive(Clone, Copy)]
pub(crate) struct Objects<'a> {
    context: &'a Context,
    chain: &'static str,
}

/// What stands in an input, output or operation.
trait Part {
    /// The fx that it belongs to.
    fn fx(&self) -> Id {
        SECP256K1_FX
    }

    fn object(&self, objects: Objects<'_>) -> Value;
}

impl<'a> Objects<'a> {
    pub(crate) const fn new(context: &'a Context, chain: &'static str) -> Self {
        Self { context, chain }
    }

    fn list<T>(self, items: &[T], object: impl Fn(Self, &T) -> Value) -> Value {
        items.iter().map(|item| object(self, item)).collect()
    }

    fn address(self, owner: &ShortId) -> Value {
        Value::String(self.context.address(self.chain, owner))
    }

    fn owners(self, owners: &OutputOwners) -> Map<String, Value> {
        fields([
            ("addresses", self.list(&owners.addrs, Self::address)),
            ("locktime", json!(owners.locktime)),
            ("threshold", json!(owners.threshold)),
        ])
    }

    fn transfer(self, out: &secp256k1fx::TransferOutput) -> Map<String, Value> {
        with(self.owners(&out.owners), [("amount", json!(out.amount))])
    }

    fn outputs<Out: Part>(self, outs: &[TransferableOutput<Out>]) -> Value {
        self.list(outs, |objects, out| {
            json!({
                "assetID": text(&out.asset_id),
                "fxID": text(&out.out.fx()),
                "output": out.out.object(objects),
            })
        })
    }

    fn inputs<In: Part>(self, ins: &[TransferableInput<In>]) -> Value {
        self.list(ins, |objects, input| {
            let id = utxo_id(&input.utxo_id);
            let more = [
                ("assetID", text(&input.asset_id)),
                ("fxID", text(&input.input.fx())),
                ("input", input.input.object(objects)),
            ];
            Value::Object(with(id, more))
        })
    }

    fn base<Out: Part, In: Part>(self, base: &BaseTx<Out, In>) -> Map<String, Value> {
        fields([
            ("networkID", json!(base.network_id)),
            ("blockchainID", text(&base.blockchain_id)),
            ("outputs", self.outputs(&base.outs)),
            ("inputs", self.inputs(&base.ins)),
            ("memo", hex(&base.memo)),
        ])
    }

    fn import<Out: Part, In: Part>(self, tx: &ImportTx<Out, In>) -> Map<String, Value> {
        let source = ("sourceChain", text(&tx.source_chain));
        with(self.base(&tx.base), [source, ("importedInputs", self.inputs(&tx.imported_inputs))])
    }

    fn export<Out: Part, In: Part>(self, tx: &ExportTx<Out, In>) -> Map<String, Value> {
        let destination = ("destinationChain", text(&tx.destination_chain));
        with(self.base(&tx.base), [destination, ("exportedOutputs", self.outputs(&tx.exported_outputs))])
    }
}

fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    with(Map::new(), pairs)
}

fn with<const N: usize>(mut object: Map<String, Value>, pairs: [(&str, Value); N]) -> Map<String, Value> {
    object.extend(pairs.map(|(name, value)| (name.to_owned(), value)));
    object
}

fn text(value: &impl ToString) -> Value {
    Value::String(value.to_string())
}

fn hex(bytes: &[u8]) -> Value {
    Value::String(plain_hex(bytes))
}

fn utxo_id(id: &UtxoId) -> Map<String, Value> {
    fields([("txID", text(&id.tx_id)), ("outputIndex", json!(id.output_index))])
}

fn signers(input: &secp256k1fx::Input) -> Value {
    json!({ "signatureIndices": input.sig_indices })
}

fn spends(input: &secp256k1fx::TransferInput) -> Value {
    json!({ "amount": input.amount, "signatureIndices": input.input.sig_indices })
}

fn signatures(credential: &secp256k1fx::Credential) -> Value {
    let signatures: Vec<_> = credential.sigs.iter().map(|signature| hex(signature)).collect();
    json!({ "signatures": signatures })
}
