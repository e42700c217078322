//! UTXOs and the fields every transaction that moves assets begins with, over the outputs and inputs a chain knows.
//! Mirrors `vms/components/avax`.

use avalanche_codec::{Wire, body, marshal, wire_struct};
use avalanche_ids::Id;

/// Which output of which transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtxoId {
    /// The transaction.
    pub tx_id: Id,
    /// The output's position.
    pub output_index: u32,
}
wire_struct!(UtxoId { tx_id, output_index });

impl UtxoId {
    /// The key of the UTXO in state and shared memory.
    #[must_use]
    pub fn input_id(&self) -> Id {
        self.tx_id.prefix(&[u64::from(self.output_index)])
    }
}

/// An unspent output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Utxo<Out> {
    /// Where it was made.
    pub id: UtxoId,
    /// Of which asset.
    pub asset_id: Id,
    /// What it holds.
    pub out: Out,
}
wire_struct!(Utxo<Out> { id, asset_id, out });

/// An output of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferableOutput<Out> {
    /// Of which asset.
    pub asset_id: Id,
    /// What it holds.
    pub out: Out,
}
wire_struct!(TransferableOutput<Out> { asset_id, out });

/// An input of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferableInput<In> {
    /// What it spends.
    pub utxo_id: UtxoId,
    /// Of which asset.
    pub asset_id: Id,
    /// How it spends it.
    pub input: In,
}
wire_struct!(TransferableInput<In> { utxo_id, asset_id, input });

/// What every transaction that moves assets begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseTx<Out, In> {
    /// The network.
    pub network_id: u32,
    /// The chain.
    pub blockchain_id: Id,
    /// What it makes, sorted when valid.
    pub outs: Vec<TransferableOutput<Out>>,
    /// What it spends, sorted and unique when valid.
    pub ins: Vec<TransferableInput<In>>,
    /// At most 256 bytes when valid.
    pub memo: Vec<u8>,
}
wire_struct!(BaseTx<Out, In> { network_id, blockchain_id, outs, ins, memo });

/// Takes assets that another chain exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportTx<Out, In> {
    /// Common fields.
    pub base: BaseTx<Out, In>,
    /// The other chain.
    pub source_chain: Id,
    /// What is spent there.
    pub imported_inputs: Vec<TransferableInput<In>>,
}
wire_struct!(ImportTx<Out, In> { base, source_chain, imported_inputs });

/// Puts assets where another chain can import them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportTx<Out, In> {
    /// Common fields.
    pub base: BaseTx<Out, In>,
    /// The other chain.
    pub destination_chain: Id,
    /// What is made there.
    pub exported_outputs: Vec<TransferableOutput<Out>>,
}
wire_struct!(ExportTx<Out, In> { base, destination_chain, exported_outputs });

/// Sorts outputs as a valid transaction has them: by asset, then by the codec's bytes with version and type id.
pub fn sort_outputs<Out: Wire>(outs: &mut [TransferableOutput<Out>]) {
    outs.sort_by_cached_key(|output| (output.asset_id, marshal(&output.out)));
}

/// True when outputs are in the order of [`sort_outputs`]; equal ones may repeat.
#[must_use]
pub fn outputs_are_sorted<Out: Wire>(outs: &[TransferableOutput<Out>]) -> bool {
    let ordered = |left: &TransferableOutput<Out>, right: &TransferableOutput<Out>| {
        left.asset_id.cmp(&right.asset_id).then_with(|| marshal(&left.out).cmp(&marshal(&right.out))).is_le()
    };
    outs.is_sorted_by(ordered)
}

/// True when inputs are in the order of what they spend, each once.
#[must_use]
pub fn inputs_are_sorted_and_unique<In>(ins: &[TransferableInput<In>]) -> bool {
    ins.is_sorted_by(|left, right| left.utxo_id < right.utxo_id)
}

/// A transaction and the credentials of its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTx<Unsigned, Cred> {
    /// What is signed.
    pub unsigned: Unsigned,
    /// One per input, then one for an authorization.
    pub credentials: Vec<Cred>,
}
wire_struct!(SignedTx<Unsigned, Cred> { unsigned, credentials });

impl<Unsigned: Wire, Cred: Wire> SignedTx<Unsigned, Cred> {
    /// The bytes that are signed: version, type id and fields.
    #[must_use]
    pub fn unsigned_bytes(&self) -> Vec<u8> {
        marshal(&self.unsigned)
    }

    /// The hash that is signed.
    #[must_use]
    pub fn signing_hash(&self) -> [u8; 32] {
        avalanche_crypto::sha256(&self.unsigned_bytes())
    }

    /// The whole transaction behind the codec version.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        marshal(self)
    }

    /// The hash of the signed bytes.
    #[must_use]
    pub fn id(&self) -> Id {
        Id::hash_of(&self.bytes())
    }

    /// Bytes of the unsigned part behind the version, without building the signed ones.
    #[must_use]
    pub fn unsigned_len(&self) -> usize {
        body(&self.unsigned).len() + size_of::<u16>()
    }
}

/// A transaction with its name and encoding, computed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTx<Unsigned, Cred> {
    /// The transaction.
    pub tx: SignedTx<Unsigned, Cred>,
    /// Its id.
    pub id: Id,
    /// The signed encoding.
    pub bytes: Vec<u8>,
    unsigned_len: usize,
}

impl<Unsigned: Wire, Cred: Wire> NamedTx<Unsigned, Cred> {
    /// Encodes and names a transaction.
    #[must_use]
    pub fn new(tx: SignedTx<Unsigned, Cred>) -> Self {
        let mut bytes = tx.unsigned_bytes();
        let unsigned_len = bytes.len();
        bytes.extend(body(&tx.credentials));
        Self { id: Id::hash_of(&bytes), tx, bytes, unsigned_len }
    }

    /// The hash that is signed.
    #[must_use]
    pub fn signing_hash(&self) -> [u8; 32] {
        avalanche_crypto::sha256(self.bytes.get(..self.unsigned_len).unwrap_or(&self.bytes))
    }
}
