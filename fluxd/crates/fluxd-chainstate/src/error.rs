//! Why a header or block is refused, and why the chain state could not go on. Mirrors `CValidationState` and the
//! numbers that `src/main.cpp` fills into it.

use fluxd_consensus::check::{BlockError, HeaderError, PayoutError, TxError};
use fluxd_fluxnode::{NodeError, collateral::CollateralError};
use fluxd_pon::PonError;
use fluxd_primitives::BlockHash;
use fluxd_script::interpreter::ScriptError;
use fluxd_shielded::{tree::TreeError, verify::ShieldedError};
use fluxd_storage::{StoreError, coins::RestoreError};

/// Code of a `reject` message: the block breaks a rule.
pub const REJECT_INVALID: u8 = 0x10;

/// A rule that a header or block breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The parent is not known.
    #[error("bad-prevblk")]
    UnknownParent,
    /// The parent breaks a rule.
    #[error("bad-prevblk")]
    InvalidParent,
    /// The block is known to break a rule.
    #[error("duplicate")]
    KnownInvalid,
    /// Another chain than the known one, below its last known block.
    #[error("")]
    ForkBeforeCheckpoint,
    /// A header without its solution at a height where no known block vouches for it.
    #[error("")]
    CompactHeaderTooHigh,
    /// The body breaks a rule.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The block does not fit the state before it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// A rule that a block breaks against the state before it; `Display` is the reject reason of the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// A transaction with the id of one that has unspent outputs.
    #[error("bad-txns-BIP30")]
    OverwrittenTransaction,
    /// The coinbase does not pay whom it owes.
    #[error(transparent)]
    Payout(#[from] PayoutError),
    /// An input that is not there or spent.
    #[error("bad-txns-inputs-missingorspent")]
    MissingInput,
    /// A fluxnode transaction about a coin that is not there or spent.
    #[error("bad-txns-fluxnode-tx-inputs-missingorspent-Coins not available")]
    MissingCollateral,
    /// A fluxnode transaction about a coin that is no collateral.
    #[error("bad-txns-fluxnode-tx-inputs-missingorspent-{0}")]
    Collateral(CollateralError),
    /// A START of a coin that belongs to someone else.
    #[error(transparent)]
    Owner(CollateralError),
    /// A fluxnode transaction that the node list forbids.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A START, a benchmark or a stored delegate whose signature is wrong.
    #[error("bad-txns-fluxnode-tx-invalid-signature")]
    NodeSignature,
    /// A CONFIRM that is not signed by the node's key.
    #[error("fluxnode-tx-invalid-confirm-signature")]
    ConfirmSignature,
    /// A nullifier that is spent, or an anchor that no block has.
    #[error("bad-txns-joinsplit-requirements-not-met")]
    ShieldedRequirements,
    /// Too many signature operations, those of redeem scripts counted.
    #[error("bad-blk-sigops")]
    SigOps,
    /// A coinbase output that is spent less than a hundred blocks later.
    #[error("bad-txns-premature-spend-of-coinbase")]
    ImmatureCoinbase,
    /// A coinbase output that is spent to transparent outputs before the rebrand.
    #[error("bad-txns-coinbase-spend-has-transparent-outputs")]
    TransparentCoinbaseSpend,
    /// Inputs whose sum leaves the range of money.
    #[error("bad-txns-inputvalues-outofrange")]
    InputValues,
    /// Outputs worth more than the inputs.
    #[error("bad-txns-in-belowout")]
    InputsBelowOutputs,
    /// A fee that leaves the range of money.
    #[error("bad-txns-fee-outofrange")]
    FeeRange,
    /// A coinbase that pays more than subsidy, fees and fundings.
    #[error("bad-cb-amount")]
    CoinbaseAmount,
    /// The header commits to another Sapling tree.
    #[error("bad-sapling-root-in-block")]
    SaplingRoot,
    /// A commitment tree is full.
    #[error("commitment tree: {0}")]
    Tree(TreeError),
    /// A script fails.
    #[error("mandatory-script-verify-flag-failed ({0})")]
    Script(ScriptError),
    /// A shielded signature or proof is wrong.
    #[error(transparent)]
    Shielded(#[from] ShieldedError),
    /// The block is not made by whom it says.
    #[error("bad-pon-block")]
    ProofOfNode(PonError),
}

impl Invalid {
    /// The reject reason of the reference; empty where it gives none.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Header(HeaderError::Checkpoint) => String::new(),
            Self::Block(BlockError::Transaction { rule, .. }) => rule.to_string(),
            other => other.to_string(),
        }
    }

    /// The code of a `reject` message; 0 where the reference gives none.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::UnknownParent | Self::KnownInvalid => 0,
            _ if self.reason().is_empty() => 0,
            _ => REJECT_INVALID,
        }
    }

    /// What the reference adds to the score of the peer that sent it; 100 is a ban.
    #[must_use]
    pub fn dos(&self) -> u32 {
        match self {
            Self::Header(error) => match error {
                HeaderError::ProofOfNode(_) | HeaderError::HighHash => 50,
                HeaderError::TimeTooNew | HeaderError::TimeTooOld | HeaderError::Checkpoint => 0,
                HeaderError::ForkTooDeep => 10,
                _ => 100,
            },
            Self::UnknownParent => 10,
            Self::KnownInvalid => 0,
            Self::InvalidParent | Self::ForkBeforeCheckpoint | Self::CompactHeaderTooHigh => 100,
            Self::Block(BlockError::NonFinal) => 10,
            Self::Block(BlockError::Transaction { rule, .. }) => tx_dos(*rule),
            Self::Block(_) => 100,
            Self::Connect(error) => match error {
                ConnectError::ImmatureCoinbase
                | ConnectError::TransparentCoinbaseSpend
                | ConnectError::ConfirmSignature => 0,
                ConnectError::Payout(_) => 1,
                ConnectError::NodeSignature => 10,
                _ => 100,
            },
        }
    }

    /// True when the bytes are to blame, not the hash: what is wrong is covered by no hash, so other bytes of the same
    /// block may be valid.
    #[must_use]
    pub fn is_about_bytes(&self) -> bool {
        match self {
            Self::Header(error) => {
                matches!(error, HeaderError::PonSignatureSize | HeaderError::TimeTooNew)
            }
            Self::Block(error) => {
                matches!(
                    error,
                    BlockError::MerkleRoot | BlockError::DuplicateTransactions | BlockError::SigOps
                )
            }
            Self::Connect(error) => match error {
                ConnectError::NodeSignature | ConnectError::ConfirmSignature => true,
                ConnectError::ProofOfNode(error) => {
                    matches!(error, PonError::BadSignature | PonError::BadEmergencySignatures)
                }
                _ => false,
            },
            _ => false,
        }
    }
}

/// What the reference adds to the score of the peer that sent a transaction with this error.
#[must_use]
pub fn tx_dos(error: TxError) -> u32 {
    match error {
        TxError::NoInputs
        | TxError::NoOutputs
        | TxError::FluxnodeType
        | TxError::FluxnodeNullCollateral
        | TxError::RedeemScriptTooLarge
        | TxError::RedeemScriptNotMultisig
        | TxError::DelegateDataInvalid
        | TxError::BenchmarkTier
        | TxError::UpdateType
        | TxError::NullInput
        | TxError::ShieldingClosed => 10,
        _ => 100,
    }
}

/// Why the chain state could not do what was asked; nobody on the network is to blame.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A block that is needed is not known.
    #[error("block {0} is not known")]
    UnknownBlock(BlockHash),
    /// The body of a block that is needed is not stored, or not any more.
    #[error("the body of block {0} is not stored")]
    NoBody(BlockHash),
    /// The undo data of a block that is needed is not stored, or not any more.
    #[error("the undo data of block {0} is not stored")]
    NoUndo(BlockHash),
    /// A stored block is not what its row says.
    #[error("stored block {0} is damaged")]
    DamagedBlock(BlockHash),
    /// Undo data does not fit its block.
    #[error("the undo data of block {hash} does not fit")]
    UndoMismatch {
        /// The block.
        hash: BlockHash,
        /// What did not fit.
        #[source]
        source: RestoreError,
    },
    /// A block and the state after it do not fit.
    #[error("the state does not fit block {hash}: {what}")]
    StateMismatch {
        /// The block.
        hash: BlockHash,
        /// What does not fit.
        what: &'static str,
    },
    /// The genesis block cannot be taken back.
    #[error("the genesis block cannot be taken back")]
    Genesis,
    /// An index that is asked for is not kept.
    #[error("index `{0}` is not kept")]
    NoIndex(&'static str),
    /// A snapshot is damaged or of another network.
    #[error("the snapshot cannot be used: {0}")]
    Snapshot(&'static str),
    /// A snapshot file cannot be read or written.
    #[error("the snapshot cannot be read or written")]
    SnapshotFile(#[source] std::io::Error),
}

/// Why a block was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// It breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It could not be stored or judged.
    #[error(transparent)]
    Local(#[from] ChainError),
}

impl From<StoreError> for AcceptError {
    fn from(error: StoreError) -> Self {
        Self::Local(error.into())
    }
}
