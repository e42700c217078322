//! Transactions and receipts: layouts, ids, senders and the message that is signed. Whether a transaction is valid in a
//! state is decided where state is known.

use super::{
    address,
    codec::{DecodeError, Result, Wire, container, encode},
    domain::{DomainType, domain},
    primitives::{Address, ForkVersion, List, Nano, PublicKey, Root, Signature, Slot, ValidatorIndex},
    ssz::sha256,
};
use shared_vendor::bytes::{Reader, Writer};

/// Most bytes of an encoded transaction that deploys no code.
pub const MAX_TX_BYTES: usize = 65_536;
/// Most bytes of an encoded transaction that deploys code.
pub const MAX_DEPLOY_TX_BYTES: usize = 131_072;
/// Most keys of a k-of-n account.
pub const MAX_MULTI_KEYS: usize = 16;
/// Most recipients of one multi-transfer.
pub const MAX_MULTI_TRANSFER: usize = 256;
/// Most bytes of code and of initial data of a deployment.
pub const MAX_DEPLOY_BYTES: usize = 120 * 1024;
/// Most bytes of input of a call, and of returned data.
pub const MAX_CALL_BYTES: usize = 32 * 1024;
/// Most bytes of data of an event.
pub const MAX_EVENT_BYTES: usize = 4 * 1024;
/// Most events that one transaction can pay for under the highest block gas limit.
pub const MAX_EVENTS: usize = 1 << 20;
/// Most parameter changes of one proposal.
pub const MAX_PARAM_CHANGES: usize = 16;
/// Most bytes of a proposal's title and of an upgrade's name.
pub const MAX_TITLE_BYTES: usize = 140;

/// An Ed25519 public key as bytes.
pub type AccountKey = [u8; 32];
/// An Ed25519 signature as bytes.
pub type AccountSignature = [u8; 64];

container! {
    /// A transaction with the signatures of its sender.
    plain struct Tx {
        /// Who sends it.
        auth: Auth,
        /// What it does.
        body: TxBody,
    }
}

impl Tx {
    /// The id: SHA-256 of the encoding.
    #[must_use]
    pub fn id(&self) -> Root {
        Root(sha256(&encode(self)))
    }

    /// The sending account.
    #[must_use]
    pub fn sender(&self) -> Address {
        self.auth.address()
    }
}

container! {
    /// The part of a transaction that is signed.
    plain struct TxBody {
        /// The chain it is for.
        chain_id: u64,
        /// Number of transactions the sender made before.
        nonce: u64,
        /// Last slot in which it may be included.
        valid_until: Slot,
        /// Most gas it may use.
        gas_limit: u64,
        /// Most the sender pays, in nano per 1000 gas.
        max_fee: u64,
        /// Of that, what the proposer may keep.
        tip: u64,
        /// What is done.
        action: Action,
    }
}

impl TxBody {
    /// The 32 bytes that every signer signs.
    #[must_use]
    pub fn signing_message(&self, genesis_version: ForkVersion, genesis_validators_root: Root) -> [u8; 32] {
        let mut message =
            domain(DomainType::Transaction.bytes(), genesis_version, genesis_validators_root).to_vec();
        message.extend(encode(self));
        sha256(&message)
    }
}

/// Proof of the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// One key.
    Single {
        /// The key.
        pubkey: AccountKey,
        /// Its signature.
        signature: AccountSignature,
    },
    /// `k` of several keys.
    Multi {
        /// Signatures needed, and given.
        k: u8,
        /// All keys of the account, strictly increasing.
        keys: List<AccountKey, MAX_MULTI_KEYS>,
        /// Signatures with the positions of their keys, strictly increasing.
        signatures: List<(u8, AccountSignature), MAX_MULTI_KEYS>,
    },
}

impl Auth {
    /// The account these keys control.
    #[must_use]
    pub fn address(&self) -> Address {
        match self {
            Self::Single { pubkey, .. } => address::single(pubkey),
            Self::Multi { k, keys, .. } => address::multi(*k, keys),
        }
    }

    /// The keys that signed, each with its signature.
    #[must_use]
    pub fn signers(&self) -> Vec<(AccountKey, AccountSignature)> {
        match self {
            Self::Single { pubkey, signature } => vec![(*pubkey, *signature)],
            Self::Multi { keys, signatures, .. } => signatures
                .iter()
                .filter_map(|(at, signature)| Some((*keys.get(usize::from(*at))?, *signature)))
                .collect(),
        }
    }
}

impl Wire for Auth {
    const MIN_BYTES: usize = 4 + 17;

    fn put(&self, out: &mut Writer) {
        match self {
            Self::Single { pubkey, signature } => {
                0u32.put(out);
                pubkey.put(out);
                signature.put(out);
            }
            Self::Multi { k, keys, signatures } => {
                1u32.put(out);
                k.put(out);
                keys.put(out);
                signatures.put(out);
            }
        }
    }

    fn take(input: &mut Reader<'_>) -> Result<Self> {
        match input.u32_le()? {
            0 => Ok(Self::Single { pubkey: Wire::take(input)?, signature: Wire::take(input)? }),
            1 => {
                let k = input.u8()?;
                let keys = List::<AccountKey, MAX_MULTI_KEYS>::take(input)?;
                let signatures = List::<(u8, AccountSignature), MAX_MULTI_KEYS>::take(input)?;
                if !keys.is_sorted_by(|a, b| a < b) {
                    return Err(DecodeError::Order("account keys"));
                }
                if !signatures.is_sorted_by(|a, b| a.0 < b.0)
                    || signatures.last().is_some_and(|(at, _)| usize::from(*at) >= keys.len())
                    || signatures.len() != usize::from(k)
                    || k == 0
                {
                    return Err(DecodeError::Order("signature positions"));
                }
                Ok(Self::Multi { k, keys, signatures })
            }
            tag => Err(DecodeError::Tag { kind: "Auth", tag }),
        }
    }
}

/// Declares an enum whose encoding is a `u32` tag and the fields of the variant.
macro_rules! tagged {
    ($(#[$meta:meta])* enum $name:ident {
        $($(#[$variant_meta:meta])* $tag:literal $variant:ident
            { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* })*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_meta])* $variant { $($(#[$field_meta])* $field: $ty,)* },)* }

        impl Wire for $name {
            const MIN_BYTES: usize = 4;

            fn put(&self, out: &mut Writer) {
                match self {
                    $(Self::$variant { $($field),* } => {
                        u32::put(&$tag, out);
                        $($field.put(out);)*
                    })*
                }
            }

            fn take(input: &mut Reader<'_>) -> Result<Self> {
                match input.u32_le()? {
                    $($tag => Ok(Self::$variant { $($field: Wire::take(input)?),* }),)*
                    tag => Err(DecodeError::Tag { kind: stringify!($name), tag }),
                }
            }
        }
    };
}

tagged! {
    /// What a transaction does. Tag 13 is reserved and always refused.
    enum Action {
        /// Moves an amount to an account, which need not exist.
        0 Transfer {
            /// Recipient.
            to: Address,
            /// Nano moved; may be 0.
            amount: Nano,
        }
        /// Moves amounts to several accounts, all or none.
        1 MultiTransfer {
            /// Recipients and amounts.
            transfers: List<(Address, Nano), MAX_MULTI_TRANSFER>,
        }
        /// Registers a validator owned by the sender.
        2 RegisterValidator {
            /// Its BLS key.
            pubkey: PublicKey,
            /// Proof of possession of that key.
            proof: Signature,
            /// First stake.
            amount: Nano,
            /// Share of rewards the operator keeps, in 1/10000.
            commission_bps: u16,
            /// Highest commission it may ever ask.
            max_commission_bps: u16,
            /// Stake above which more earns nothing; never changes.
            effective_cap: Nano,
            /// Account for tips.
            fee_recipient: Address,
        }
        /// Adds stake to a validator's pool.
        3 Delegate {
            /// The validator.
            validator: ValidatorIndex,
            /// Nano.
            amount: Nano,
        }
        /// Starts taking stake out of a pool.
        4 Undelegate {
            /// The validator.
            validator: ValidatorIndex,
            /// Shares of its pool.
            shares: u128,
        }
        /// Starts moving stake from one pool to another.
        5 Redelegate {
            /// The pool left.
            from: ValidatorIndex,
            /// The pool joined.
            to: ValidatorIndex,
            /// Shares of the first.
            shares: u128,
        }
        /// Changes what the owner may change of a validator.
        6 EditValidator {
            /// The validator.
            validator: ValidatorIndex,
            /// New commission.
            commission_bps: Option<u16>,
            /// New account for tips.
            fee_recipient: Option<Address>,
        }
        /// Starts the exit of the sender's validator.
        7 ExitValidator {
            /// The validator.
            validator: ValidatorIndex,
        }
        /// Puts a contract on the chain.
        8 Deploy {
            /// WASM module.
            code: List<u8, MAX_DEPLOY_BYTES>,
            /// Input of its initialisation.
            init: List<u8, MAX_DEPLOY_BYTES>,
            /// Nano it starts with.
            value: Nano,
        }
        /// Calls a contract.
        9 Call {
            /// The contract.
            contract: Address,
            /// Its input.
            input: List<u8, MAX_CALL_BYTES>,
            /// Nano sent along.
            value: Nano,
        }
        /// Opens a governance proposal.
        10 Propose {
            /// What is proposed.
            kind: ProposalKind,
            /// Nano locked until the end.
            deposit: Nano,
            /// Title, UTF-8.
            title: List<u8, MAX_TITLE_BYTES>,
            /// SHA-256 of the text.
            body_hash: Root,
        }
        /// Votes on a proposal with the stake in one pool.
        11 Vote {
            /// The proposal.
            proposal: u64,
            /// The pool.
            validator: ValidatorIndex,
            /// 0 yes, 1 no, 2 abstain, 3 veto.
            option: u8,
        }
        /// Withdraws the sender's proposal.
        12 CancelProposal {
            /// The proposal.
            proposal: u64,
        }
    }
}

tagged! {
    /// What a proposal does when it passes.
    enum ProposalKind {
        /// Nothing but to be recorded.
        0 Text {}
        /// Sets governed parameters.
        1 ParamChange {
            /// Keys, strictly increasing, and values.
            changes: List<(u16, u64), MAX_PARAM_CHANGES>,
        }
        /// Changes the rules at an epoch.
        2 Upgrade {
            /// Version of the rules that every node must know by then.
            protocol_version: u32,
            /// Fork version from then on.
            fork_version: ForkVersion,
            /// The epoch.
            activation_epoch: u64,
            /// Name, UTF-8.
            name: List<u8, MAX_TITLE_BYTES>,
        }
        /// Pays from the treasury.
        3 Spend {
            /// Recipient.
            to: Address,
            /// Nano.
            amount: Nano,
        }
    }
}

container! {
    /// Something a contract reported.
    plain struct Event {
        /// The contract.
        contract: Address,
        /// Its name for the kind of event.
        topic: Root,
        /// Details.
        data: List<u8, MAX_EVENT_BYTES>,
    }
}

container! {
    /// What came of a transaction.
    plain struct Receipt {
        /// The transaction.
        tx_id: Root,
        /// 0 done, 1 failed, 2 out of gas.
        status: u8,
        /// Gas paid for.
        gas_used: u64,
        /// Nano paid: burned part and tip.
        fee_paid: Nano,
        /// What the contract returned.
        return_data: List<u8, MAX_CALL_BYTES>,
        /// What contracts reported; empty unless done.
        events: List<Event, MAX_EVENTS>,
    }
}

impl Receipt {
    /// SHA-256 of the encoding, a leaf of the receipts root.
    #[must_use]
    pub fn hash(&self) -> Root {
        Root(sha256(&encode(self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::codec::decode;

    #[test]
    fn a_transfer_takes_192_bytes() {
        let body = TxBody {
            chain_id: 1,
            nonce: 2,
            valid_until: 3,
            gas_limit: 4,
            max_fee: 5,
            tip: 6,
            action: Action::Transfer { to: Address([7; 32]), amount: 8 },
        };
        let tx = Tx { auth: Auth::Single { pubkey: [1; 32], signature: [2; 64] }, body };
        let bytes = encode(&tx);
        assert_eq!(bytes.len(), 192);
        assert_eq!(decode::<Tx>(&bytes, MAX_TX_BYTES), Ok(tx));
    }

    #[test]
    fn keys_out_of_order_and_missing_signatures_are_refused() {
        let auth = |keys: &[AccountKey], at: &[u8], k| {
            encode(&Auth::Multi {
                k,
                keys: List::new(keys.to_vec()).expect("few keys"),
                signatures: List::new(at.iter().map(|at| (*at, [0; 64])).collect()).expect("few signatures"),
            })
        };
        assert!(decode::<Auth>(&auth(&[[1; 32], [2; 32]], &[0, 1], 2), 4096).is_ok());
        for bad in [
            auth(&[[2; 32], [1; 32]], &[0, 1], 2),
            auth(&[[1; 32], [1; 32]], &[0, 1], 2),
            auth(&[[1; 32], [2; 32]], &[1, 0], 2),
            auth(&[[1; 32], [2; 32]], &[0, 2], 2),
            auth(&[[1; 32], [2; 32]], &[0], 2),
            auth(&[[1; 32], [2; 32]], &[], 0),
        ] {
            assert!(matches!(decode::<Auth>(&bad, 4096), Err(DecodeError::Order(_))));
        }
    }
}
