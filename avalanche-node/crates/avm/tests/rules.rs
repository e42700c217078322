//! Each rule about a transaction of the X-chain, provoked; and blocks built and executed.

#![allow(clippy::unwrap_used, clippy::panic)] // tests

use std::sync::Arc;

use avalanche_codec::Text;
use avalanche_crypto::secp256k1::PrivateKey;
use avalanche_db::{Database, Memory};
use avalanche_ids::Id;
use avalanche_vm::{
    avax::UtxoId,
    chain::{BlockContext, ChainVm, Phase, ValidatorSet, ValidatorState, VmError},
    nftfx, propertyfx,
    secp256k1fx::{self, OutputOwners, TransferInput, TransferOutput},
};
use avm::{
    config::Config,
    fx::{BaseTx, Credential, FxOperation, Input, Output, TransferableInput, TransferableOutput},
    genesis::{Genesis, Holder},
    mempool::MempoolError,
    txs::{
        CreateAssetTx, ExportTx, ImportTx, InitialState, NamedTx, Operation, OperationTx, Tx, UnsignedTx,
        execute::ExecError, verify::SyntacticError,
    },
    vm::{Avm, IssueError},
};
use shared_vendor::clock::Wall;

const NETWORK: u32 = 7777;
const CHAIN: Id = Id([9; 32]);
const AMOUNT: u64 = 1_000_000_000_000;
const FEE: u64 = 1_000_000;
const NOW: u64 = 1_700_000_000;

/// A P-chain on which the chain of zeros alone belongs to the primary network.
struct PChain;

impl ValidatorState for PChain {
    fn minimum_height(&self, _: Wall) -> Result<u64, VmError> {
        Ok(0)
    }

    fn current_height(&self) -> Result<u64, VmError> {
        Ok(0)
    }

    fn validators_at(&self, _: u64, _: Id) -> Result<Arc<ValidatorSet>, VmError> {
        Ok(Arc::default())
    }

    fn subnet_of(&self, chain: Id) -> Result<Option<Id>, VmError> {
        Ok((chain == Id::EMPTY).then_some(Id::EMPTY))
    }
}

fn key() -> PrivateKey {
    PrivateKey::from_bytes([1; 32]).unwrap()
}

fn owners() -> OutputOwners {
    OutputOwners { locktime: 0, threshold: 1, addrs: vec![key().public_key().address()] }
}

struct Net {
    vm: Avm,
    avax: Id,
}

impl Net {
    fn new() -> Self {
        let holder = Holder { amount: AMOUNT, address: key().public_key().address() };
        let genesis = Genesis::avax(NETWORK, &[holder; 4], Vec::new()).unwrap();
        let avax = genesis.assets[0].id();
        let store: Arc<dyn Database> = Arc::new(Memory::new());
        let config = Config::of_network(NETWORK, CHAIN, avax);
        let vm = Avm::open(store, config, &genesis.bytes(), Arc::new(PChain)).unwrap();
        vm.set_phase(Phase::Normal).unwrap();
        Self { vm, avax }
    }

    /// Spends a genesis UTXO, keeps all but `spent`.
    fn base(&self, index: u32, spent: u64) -> BaseTx {
        let input = TransferInput { amount: AMOUNT, input: secp256k1fx::Input { sig_indices: vec![0] } };
        BaseTx {
            network_id: NETWORK,
            blockchain_id: CHAIN,
            outs: vec![self.output(self.avax, AMOUNT - spent)],
            ins: vec![TransferableInput {
                utxo_id: UtxoId { tx_id: self.avax, output_index: index },
                asset_id: self.avax,
                input: Input::SecpTransfer(input),
            }],
            memo: Vec::new(),
        }
    }

    fn output(&self, asset_id: Id, amount: u64) -> TransferableOutput {
        TransferableOutput {
            asset_id,
            out: Output::SecpTransfer(TransferOutput { amount, owners: owners() }),
        }
    }

    fn issue(&self, tx: NamedTx) -> Result<Id, IssueError> {
        self.vm.issue(tx, Wall::from_secs(NOW))
    }

    /// Issues a transaction and makes a block of it.
    fn land(&self, tx: NamedTx) -> Id {
        let id = self.issue(tx).unwrap();
        let context = BlockContext { now: Wall::from_secs(NOW), p_chain_height: None };
        let block = self.vm.build(&context).unwrap();
        self.vm.verify(&block, &context).unwrap();
        self.vm.accept(block.id).unwrap();
        self.vm.set_preference(block.id).unwrap();
        id
    }

    fn refused(&self, tx: NamedTx) -> ExecError {
        match self.issue(tx) {
            Err(IssueError::Invalid(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    fn malformed(&self, unsigned: UnsignedTx) -> SyntacticError {
        match self.refused(sign(unsigned, &[0])) {
            ExecError::Syntactic(error) => error,
            other => panic!("{other:?}"),
        }
    }

    fn asset(&self) -> CreateAssetTx {
        let state = |fx_index, out| InitialState { fx_index, outs: vec![out] };
        CreateAssetTx {
            base: self.base(3, FEE),
            name: Text::new("Asset").unwrap(),
            symbol: Text::new("ASS").unwrap(),
            denomination: 3,
            states: vec![
                state(0, Output::SecpMint(secp256k1fx::MintOutput { owners: owners() })),
                state(1, Output::NftMint(nftfx::MintOutput { group_id: 1, owners: owners() })),
                state(2, Output::PropertyMint(propertyfx::MintOutput { owners: owners() })),
            ],
        }
    }
}

/// Signs with credentials of these fxs.
fn sign(unsigned: UnsignedTx, fxs: &[u32]) -> NamedTx {
    let tx = Tx { unsigned, credentials: Vec::new() };
    let inner = secp256k1fx::Credential { sigs: vec![key().sign(&tx.signing_hash())] };
    let credentials = fxs.iter().map(|fx| match fx {
        0 => Credential::Secp(inner.clone()),
        1 => Credential::Nft(nftfx::Credential { inner: inner.clone() }),
        _ => Credential::Property(propertyfx::Credential { inner: inner.clone() }),
    });
    let credentials = credentials.collect();
    NamedTx::new(Tx { unsigned: tx.unsigned, credentials })
}

fn transfer(base: BaseTx) -> UnsignedTx {
    UnsignedTx::Base(Box::new(base))
}

#[test]
fn each_rule_without_state_has_its_error() {
    let net = Net::new();
    let base = |change: &dyn Fn(&mut BaseTx)| {
        let mut base = net.base(0, FEE);
        change(&mut base);
        net.malformed(transfer(base))
    };
    assert_eq!(base(&|base| base.network_id = 1), SyntacticError::WrongNetwork);
    assert_eq!(base(&|base| base.blockchain_id = Id::EMPTY), SyntacticError::WrongChain);
    assert_eq!(base(&|base| base.memo = vec![0; 257]), SyntacticError::MemoTooLarge(257));
    assert_eq!(base(&|base| base.outs[0].asset_id = Id::EMPTY), SyntacticError::EmptyAssetId);
    assert_eq!(base(&|base| base.outs[0] = net.output(net.avax, 0)), SyntacticError::NoValueOutput);
    assert_eq!(base(&|base| base.outs[0] = net.output(net.avax, AMOUNT)), SyntacticError::InsufficientFunds);
    assert_eq!(base(&|base| base.outs[0] = net.output(net.avax, u64::MAX)), SyntacticError::Overflow);
    assert_eq!(base(&|base| base.ins.push(base.ins[0].clone())), SyntacticError::InputsNotSortedUnique);
    let unsorted = |base: &mut BaseTx| base.outs = vec![net.output(net.avax, 2), net.output(net.avax, 1)];
    assert_eq!(base(&unsorted), SyntacticError::OutputsNotSorted);
    let token = Output::NftMint(nftfx::MintOutput { group_id: 1, owners: owners() });
    let not_transferable = |base: &mut BaseTx| base.outs[0].out = token.clone();
    assert_eq!(base(&not_transferable), SyntacticError::NotTransferable);
    let unspendable = OutputOwners { threshold: 2, ..owners() };
    let out = Output::SecpTransfer(TransferOutput { amount: 1, owners: unspendable });
    assert_eq!(base(&|base| base.outs[0].out = out.clone()), SyntacticError::OutputUnspendable);
    let asset = |change: &dyn Fn(&mut CreateAssetTx)| {
        let mut asset = net.asset();
        change(&mut asset);
        net.malformed(UnsignedTx::CreateAsset(Box::new(asset)))
    };
    let text = |text: &str| Text::new(text).unwrap();
    assert_eq!(asset(&|asset| asset.name = text("")), SyntacticError::NameTooShort);
    assert_eq!(asset(&|asset| asset.name = text(&"a".repeat(129))), SyntacticError::NameTooLong);
    assert_eq!(asset(&|asset| asset.name = text(" a")), SyntacticError::UnexpectedWhitespace);
    assert_eq!(asset(&|asset| asset.name = text("a_b")), SyntacticError::IllegalNameCharacter);
    assert_eq!(asset(&|asset| asset.symbol = text("")), SyntacticError::SymbolTooShort);
    assert_eq!(asset(&|asset| asset.symbol = text("ABCDE")), SyntacticError::SymbolTooLong);
    assert_eq!(asset(&|asset| asset.symbol = text("aB")), SyntacticError::IllegalSymbolCharacter);
    assert_eq!(asset(&|asset| asset.denomination = 33), SyntacticError::DenominationTooLarge);
    assert_eq!(asset(&|asset| asset.states.clear()), SyntacticError::NoFxs);
    assert_eq!(asset(&|asset| asset.states[2].fx_index = 3), SyntacticError::UnknownFx);
    assert_eq!(asset(&|asset| asset.states.swap(0, 1)), SyntacticError::InitialStatesNotSortedUnique);
    let empty = OperationTx { base: net.base(0, FEE), ops: Vec::new() };
    assert_eq!(net.malformed(UnsignedTx::Operation(Box::new(empty))), SyntacticError::NoOperations);
    let import = ImportTx { base: net.base(0, FEE), source_chain: Id::EMPTY, imported_inputs: Vec::new() };
    assert_eq!(net.malformed(UnsignedTx::Import(Box::new(import))), SyntacticError::NoImportInputs);
    let export =
        ExportTx { base: net.base(0, FEE), destination_chain: Id::EMPTY, exported_outputs: Vec::new() };
    assert_eq!(net.malformed(UnsignedTx::Export(Box::new(export))), SyntacticError::NoExportOutputs);
    let unsigned = net.refused(sign(transfer(net.base(0, FEE)), &[]));
    let expected = SyntacticError::Credentials { expected: 1, found: 0 };
    assert!(matches!(unsigned, ExecError::Syntactic(error) if error == expected));
}

#[test]
fn each_rule_about_the_state_has_its_error() {
    let net = Net::new();
    assert!(matches!(net.refused(sign(transfer(net.base(9, FEE)), &[0])), ExecError::MissingUtxo(_)));
    let by_nft = net.refused(sign(transfer(net.base(0, FEE)), &[1]));
    assert!(matches!(by_nft, ExecError::IncompatibleFx));
    let mut other = net.base(0, FEE);
    other.outs.push(net.output(Id([0xff; 32]), 1));
    let mut input = other.ins[0].clone();
    (input.utxo_id.output_index, input.asset_id) = (1, Id([0xff; 32]));
    other.ins.push(input);
    assert!(matches!(net.refused(sign(transfer(other), &[0, 0])), ExecError::AssetMismatch));
    let elsewhere = ExportTx {
        base: net.base(0, FEE + 1),
        destination_chain: Id([5; 32]),
        exported_outputs: vec![net.output(net.avax, 1)],
    };
    let elsewhere = sign(UnsignedTx::Export(Box::new(elsewhere)), &[0]);
    assert!(matches!(net.refused(elsewhere), ExecError::NotSameSubnet(_)));
    let nothing =
        ImportTx { base: net.base(0, FEE), source_chain: Id::EMPTY, imported_inputs: net.base(2, 0).ins };
    let nothing = sign(UnsignedTx::Import(Box::new(nothing)), &[0, 0]);
    assert!(matches!(net.refused(nothing), ExecError::SharedMemory(_)));
    let mut stolen = sign(transfer(net.base(0, FEE)), &[0]).tx;
    let thief = PrivateKey::from_bytes([2; 32]).unwrap().sign(&stolen.signing_hash());
    stolen.credentials = vec![Credential::Secp(secp256k1fx::Credential { sigs: vec![thief] })];
    assert!(matches!(net.refused(NamedTx::new(stolen)), ExecError::Spend(_)));

    let asset = net.land(sign(UnsignedTx::CreateAsset(Box::new(net.asset())), &[0]));
    let operate = |index, op: FxOperation, fx| {
        let utxo_ids = vec![UtxoId { tx_id: asset, output_index: index }];
        let ops = vec![Operation { asset_id: asset, utxo_ids, op }];
        sign(UnsignedTx::Operation(Box::new(OperationTx { base: net.base(0, FEE), ops })), &[0, fx])
    };
    let signer = secp256k1fx::Input { sig_indices: vec![0] };
    let mint = |owners| {
        FxOperation::SecpMint(secp256k1fx::MintOperation {
            mint_input: signer.clone(),
            mint_output: secp256k1fx::MintOutput { owners },
            transfer_output: TransferOutput { amount: 5, owners: self::owners() },
        })
    };
    let nft = |group_id| {
        FxOperation::NftMint(nftfx::MintOperation {
            mint_input: signer.clone(),
            group_id,
            payload: vec![1],
            outputs: vec![owners()],
        })
    };
    let changed = mint(OutputOwners { locktime: 1, ..owners() });
    assert!(matches!(net.refused(operate(1, changed, 0)), ExecError::WrongMint));
    assert!(matches!(net.refused(operate(1, mint(owners()), 1)), ExecError::WrongKind));
    assert!(matches!(net.refused(operate(2, mint(owners()), 0)), ExecError::WrongKind));
    assert!(matches!(net.refused(operate(2, nft(2), 1)), ExecError::WrongGroup));
    net.land(operate(1, mint(owners()), 0));
    let minted =
        net.vm.read(|state| state.utxos_of(&owners().addrs.into_iter().collect(), None, 99).unwrap());
    let amount = minted.utxos.iter().filter(|utxo| utxo.asset_id == asset).find_map(|utxo| match &utxo.out {
        Output::SecpTransfer(out) => Some(out.amount),
        _ => None,
    });
    assert_eq!(amount, Some(5));
}

#[test]
fn a_transaction_waits_once_and_its_rival_not_at_all() {
    let net = Net::new();
    let tx = sign(transfer(net.base(0, FEE)), &[0]);
    net.issue(tx.clone()).unwrap();
    assert!(matches!(net.issue(tx), Err(IssueError::Mempool(MempoolError::Duplicate))));
    let rival = sign(transfer(net.base(0, FEE + 1)), &[0]);
    assert!(matches!(net.issue(rival.clone()), Err(IssueError::Mempool(MempoolError::Conflict))));
    assert!(matches!(net.issue(rival), Err(IssueError::Dropped(_))));
    net.vm.set_phase(Phase::Bootstrapping).unwrap();
    let later = sign(transfer(net.base(1, FEE)), &[0]);
    assert!(matches!(net.issue(later), Err(IssueError::NotSynced)));
}
