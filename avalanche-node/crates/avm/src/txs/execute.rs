//! Is a well-formed transaction valid on a state, and what does it change? One [`ExecError`] per rule.
//! Mirrors `vms/avm/txs/executor/{semantic_verifier,executor}.go` and `vms/{secp256k1fx,nftfx,propertyfx}/fx.go`.

use std::collections::BTreeSet;

use avalanche_codec::{CodecError, marshal, unmarshal_versioned};
use avalanche_db::DbError;
use avalanche_ids::Id;
use avalanche_vm::{
    avax::UtxoId,
    chain::{ValidatorState, VmError},
    nftfx,
    secp256k1fx::SpendError,
    shared_memory::{AtomicRequests, Element, Requests, SharedMemory, SharedMemoryError},
    utxo_store::Addressable,
};

use super::{NamedTx, Operation, OperationTx, UnsignedTx, verify::SyntacticError};
use crate::{
    config::Config,
    fx::{Credential, FxOperation, Input, Output, TransferableInput, TransferableOutput, Utxo},
    state::Draft,
};

/// A transaction of mainnet whose operations were accepted though they break a rule.
const EXEMPT: &str = "MkvpJS13eCnEYeYi9B5zuWrU9goG9RBj7nr83U7BjrFV22a12";

/// Which rule a transaction breaks. The name of the reference's error is in brackets.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] DbError),
    /// Malformed whatever the state is.
    #[error("malformed transaction")]
    Syntactic(#[from] SyntacticError),
    /// An input that names nothing.
    #[error("failed to get utxo {0}")]
    MissingUtxo(Id),
    /// An input of another asset than its UTXO (`errAssetIDMismatch`).
    #[error("asset ids in the input don't match the utxo")]
    AssetMismatch,
    /// An asset that was never made.
    #[error("asset {0} not found")]
    NoAsset(Id),
    /// An asset that is none (`errNotAnAsset`).
    #[error("{0} is not an asset")]
    NotAnAsset(Id),
    /// An fx that the asset was not made with (`errIncompatibleFx`).
    #[error("incompatible feature extension")]
    IncompatibleFx,
    /// A transfer by the NFT or property fx (`errCantTransfer`).
    #[error("cant transfer with this fx")]
    CantTransfer,
    /// A credential, UTXO or number of UTXOs of another kind than the operation's.
    #[error("operation over something of another kind")]
    WrongKind,
    /// A minting right that changes with its use (`ErrWrongMintCreated`, `errWrongMintOutput`).
    #[error("wrong mint output created")]
    WrongMint,
    /// A token of another group (`errWrongUniqueID`).
    #[error("wrong unique id provided")]
    WrongGroup,
    /// A token with another payload (`errWrongBytes`).
    #[error("wrong bytes provided")]
    WrongPayload,
    /// Not signed by the owners.
    #[error("input may not spend its UTXO")]
    Spend(#[from] SpendError),
    /// Another chain that is this one or of another subnet (`ErrSameChainID`, `ErrMismatchedSubnetIDs`).
    #[error("{0} is not another chain of the same subnet")]
    NotSameSubnet(Id),
    /// What is imported is not there.
    #[error("not in shared memory")]
    SharedMemory(#[from] SharedMemoryError),
    /// What is imported cannot be read.
    #[error("malformed UTXO in shared memory")]
    Codec(#[from] CodecError),
    /// More outputs than indices.
    #[error("too many outputs")]
    TooManyOutputs,
    /// The P-chain cannot be asked.
    #[error("the P-chain cannot be asked")]
    PChain(#[source] VmError),
}

/// What a transaction is judged by, beside the state.
pub struct Backend<'a> {
    /// The chain's rules.
    pub config: &'a Config,
    /// The verifier's clock, Unix seconds.
    pub now: u64,
    /// False while executing blocks that the network accepted: signatures are not looked at.
    pub bootstrapped: bool,
    /// What other chains exported.
    pub memory: &'a SharedMemory,
    /// The chain whose exports are believed: [`Config::unseen`] when a block is judged, none before one is built.
    pub unseen: Option<Id>,
    /// The P-chain.
    pub validators: &'a dyn ValidatorState,
}

/// What a transaction does beside the state.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// What it imports, which no other transaction on the same branch may.
    pub imported: BTreeSet<Id>,
    /// What it imports and exports.
    pub requests: AtomicRequests,
}

type Verdict = Result<(), ExecError>;

/// Checks a well-formed transaction on a state and makes its changes. After an error the draft is of no use.
///
/// # Errors
/// The first rule that is broken.
pub fn execute(backend: &Backend<'_>, tx: &NamedTx, draft: &mut Draft<'_>) -> Result<Effects, ExecError> {
    let exec = Exec { backend, tx, hash: backend.bootstrapped.then(|| tx.signing_hash()) };
    exec.verify(draft)?;
    exec.apply(draft)
}

struct Exec<'a> {
    backend: &'a Backend<'a>,
    tx: &'a NamedTx,
    hash: Option<[u8; 32]>,
}

impl Exec<'_> {
    fn verify(&self, draft: &Draft<'_>) -> Verdict {
        let unsigned = &self.tx.tx.unsigned;
        let base = unsigned.base();
        let mut credentials = self.tx.tx.credentials.iter();
        for (input, credential) in base.ins.iter().zip(&mut credentials) {
            let utxo = find_utxo(draft, input.utxo_id)?;
            self.verify_transfer(input, credential, &utxo, draft)?;
        }
        verify_outputs(&base.outs, draft)?;
        match unsigned {
            UnsignedTx::Base(_) | UnsignedTx::CreateAsset(_) => Ok(()),
            UnsignedTx::Operation(tx) => self.verify_operations(tx, credentials, draft),
            UnsignedTx::Import(tx) => {
                if !self.backend.bootstrapped {
                    return Ok(());
                }
                self.same_subnet(tx.source_chain)?;
                if self.backend.unseen == Some(tx.source_chain) {
                    return Ok(());
                }
                let keys: Vec<_> = tx.imported_inputs.iter().map(|input| input.utxo_id.input_id()).collect();
                let utxos = self.backend.memory.get(tx.source_chain, &keys)?;
                for ((input, credential), bytes) in tx.imported_inputs.iter().zip(credentials).zip(utxos) {
                    let utxo = unmarshal_versioned(avalanche_codec::VERSION, &bytes, usize::MAX)?;
                    self.verify_transfer(input, credential, &utxo, draft)?;
                }
                Ok(())
            }
            UnsignedTx::Export(tx) => {
                if self.backend.bootstrapped {
                    self.same_subnet(tx.destination_chain)?;
                }
                verify_outputs(&tx.exported_outputs, draft)
            }
        }
    }

    fn verify_transfer(
        &self,
        input: &TransferableInput,
        credential: &Credential,
        utxo: &Utxo,
        draft: &Draft<'_>,
    ) -> Verdict {
        if utxo.asset_id != input.asset_id {
            return Err(ExecError::AssetMismatch);
        }
        verify_fx(draft, fx_of_credential(credential), input.asset_id)?;
        let Credential::Secp(credential) = credential else { return Err(ExecError::CantTransfer) };
        let Output::SecpTransfer(out) = &utxo.out else { return Err(ExecError::WrongKind) };
        let Input::SecpTransfer(input) = &input.input;
        Ok(out.verify_spend(input, credential, self.backend.now, self.hash.as_ref())?)
    }

    fn verify_operations<'c>(
        &self,
        tx: &OperationTx,
        credentials: impl Iterator<Item = &'c Credential>,
        draft: &Draft<'_>,
    ) -> Verdict {
        if !self.backend.bootstrapped || self.tx.id.to_string() == EXEMPT {
            return Ok(());
        }
        for (operation, credential) in tx.ops.iter().zip(credentials) {
            self.verify_operation(operation, credential, draft)?;
        }
        Ok(())
    }

    fn verify_operation(&self, operation: &Operation, credential: &Credential, draft: &Draft<'_>) -> Verdict {
        let mut utxos = Vec::with_capacity(operation.utxo_ids.len());
        for id in &operation.utxo_ids {
            let utxo = find_utxo(draft, *id)?;
            if utxo.asset_id != operation.asset_id {
                return Err(ExecError::AssetMismatch);
            }
            utxos.push(utxo);
        }
        verify_fx(draft, fx_of_operation(&operation.op), operation.asset_id)?;
        let [utxo] = utxos.as_slice() else { return Err(ExecError::WrongKind) };
        let (owners, input) = match (&operation.op, credential, &utxo.out) {
            (FxOperation::SecpMint(op), Credential::Secp(_), Output::SecpMint(out)) => {
                ensure(op.mint_output == *out, ExecError::WrongMint)?;
                (&out.owners, &op.mint_input)
            }
            (FxOperation::NftMint(op), Credential::Nft(_), Output::NftMint(out)) => {
                ensure(op.group_id == out.group_id, ExecError::WrongGroup)?;
                (&out.owners, &op.mint_input)
            }
            (FxOperation::NftTransfer(op), Credential::Nft(_), Output::NftTransfer(out)) => {
                ensure(op.output.group_id == out.group_id, ExecError::WrongGroup)?;
                ensure(op.output.payload == out.payload, ExecError::WrongPayload)?;
                (&out.owners, &op.input)
            }
            (FxOperation::PropertyMint(op), Credential::Property(_), Output::PropertyMint(out)) => {
                ensure(op.mint_output == *out, ExecError::WrongMint)?;
                (&out.owners, &op.mint_input)
            }
            (FxOperation::PropertyBurn(op), Credential::Property(_), Output::PropertyOwned(out)) => {
                (&out.owners, &op.input)
            }
            _ => return Err(ExecError::WrongKind),
        };
        Ok(owners.verify_credential(input, credential.inner(), self.backend.now, self.hash.as_ref())?)
    }

    fn same_subnet(&self, peer: Id) -> Verdict {
        let config = self.backend.config;
        let subnet = self.backend.validators.subnet_of(peer).map_err(ExecError::PChain)?;
        ensure(peer != config.chain_id && subnet == Some(config.subnet_id), ExecError::NotSameSubnet(peer))
    }

    fn apply(&self, draft: &mut Draft<'_>) -> Result<Effects, ExecError> {
        let unsigned = &self.tx.tx.unsigned;
        let base = unsigned.base();
        for input in &base.ins {
            draft.delete_utxo(input.utxo_id.input_id());
        }
        let mut next = 0_u32;
        let mut utxo = |asset_id, out| {
            let id = UtxoId { tx_id: self.tx.id, output_index: next };
            next = next.checked_add(1).ok_or(ExecError::TooManyOutputs)?;
            Ok::<_, ExecError>(Utxo { id, asset_id, out })
        };
        for output in &base.outs {
            draft.add_utxo(utxo(output.asset_id, output.out.clone())?);
        }
        match unsigned {
            UnsignedTx::Base(_) => {}
            UnsignedTx::CreateAsset(tx) => {
                for out in tx.states.iter().flat_map(|state| &state.outs) {
                    draft.add_utxo(utxo(self.tx.id, out.clone())?);
                }
            }
            UnsignedTx::Operation(tx) => {
                for operation in &tx.ops {
                    for id in &operation.utxo_ids {
                        draft.delete_utxo(id.input_id());
                    }
                    for out in outputs_of(&operation.op) {
                        draft.add_utxo(utxo(operation.asset_id, out)?);
                    }
                }
            }
            UnsignedTx::Import(tx) => {
                let remove: Vec<_> =
                    tx.imported_inputs.iter().map(|input| input.utxo_id.input_id()).collect();
                let requests = Requests { remove: remove.clone(), put: Vec::new() };
                return Ok(Effects {
                    imported: remove.into_iter().collect(),
                    requests: AtomicRequests::from([(tx.source_chain, requests)]),
                });
            }
            UnsignedTx::Export(tx) => {
                let mut put = Vec::with_capacity(tx.exported_outputs.len());
                for output in &tx.exported_outputs {
                    let utxo = utxo(output.asset_id, output.out.clone())?;
                    let traits = utxo.out.addresses().to_vec();
                    put.push(Element { key: utxo.id.input_id(), value: marshal(&utxo), traits });
                }
                let requests = Requests { remove: Vec::new(), put };
                return Ok(Effects {
                    imported: BTreeSet::new(),
                    requests: AtomicRequests::from([(tx.destination_chain, requests)]),
                });
            }
        }
        Ok(Effects::default())
    }
}

fn ensure(holds: bool, error: ExecError) -> Verdict {
    if holds { Ok(()) } else { Err(error) }
}

fn find_utxo(draft: &Draft<'_>, id: UtxoId) -> Result<Utxo, ExecError> {
    let id = id.input_id();
    draft.utxo(&id)?.ok_or(ExecError::MissingUtxo(id))
}

fn verify_outputs(outputs: &[TransferableOutput], draft: &Draft<'_>) -> Verdict {
    outputs.iter().try_for_each(|output| verify_fx(draft, output.out.fx_index(), output.asset_id))
}

/// The asset was made with a state of this fx.
fn verify_fx(draft: &Draft<'_>, fx: u32, asset: Id) -> Verdict {
    let fxs = draft.fxs_of(asset)?;
    ensure(fxs.contains(&fx), ExecError::IncompatibleFx)
}

const fn fx_of_credential(credential: &Credential) -> u32 {
    match credential {
        Credential::Secp(_) => 0,
        Credential::Nft(_) => 1,
        Credential::Property(_) => 2,
    }
}

const fn fx_of_operation(operation: &FxOperation) -> u32 {
    match operation {
        FxOperation::SecpMint(_) => 0,
        FxOperation::NftMint(_) | FxOperation::NftTransfer(_) => 1,
        FxOperation::PropertyMint(_) | FxOperation::PropertyBurn(_) => 2,
    }
}

/// What an operation makes.
fn outputs_of(operation: &FxOperation) -> Vec<Output> {
    match operation {
        FxOperation::SecpMint(op) => {
            vec![Output::SecpMint(op.mint_output.clone()), Output::SecpTransfer(op.transfer_output.clone())]
        }
        FxOperation::NftMint(op) => {
            let token = |owners: &avalanche_vm::secp256k1fx::OutputOwners| {
                Output::NftTransfer(nftfx::TransferOutput {
                    group_id: op.group_id,
                    payload: op.payload.clone(),
                    owners: owners.clone(),
                })
            };
            op.outputs.iter().map(token).collect()
        }
        FxOperation::NftTransfer(op) => vec![Output::NftTransfer(op.output.clone())],
        FxOperation::PropertyMint(op) => {
            vec![Output::PropertyMint(op.mint_output.clone()), Output::PropertyOwned(op.owned_output.clone())]
        }
        FxOperation::PropertyBurn(_) => Vec::new(),
    }
}
