//! Bodies of fluxnode transactions (versions 5 and 6): START, CONFIRM, P2SH collateral, delegates.
//!
//! Signatures stand before the delegate tail on the wire and are left out of the transaction id. The decoder keeps
//! whatever parses, also combinations that no rule allows; the rules are in `fluxd-fluxnode` and `fluxd-consensus`.

use crate::{
    codec::{Codec, Reader, Result, Writer, list, put_list, put_var_bytes, var_bytes},
    pubkey::PublicKey,
    transaction::{FLUXNODE_UPGRADEABLE_VERSION, OutPoint, Script},
};

/// `nType` of a START.
pub const START_TYPE: i8 = 2;
/// `nType` of a CONFIRM.
pub const CONFIRM_TYPE: i8 = 4;

/// Bit of the inner version: collateral is a P2PKH output.
pub const NORMAL_BIT: i32 = 0x01;
/// Bit of the inner version: collateral is a P2SH output.
pub const P2SH_BIT: i32 = 0x02;
/// Bit of the inner version: a delegate tail follows.
pub const DELEGATES_BIT: i32 = 0x0100;

/// Version of a delegate record whose keys are on the wire.
const DELEGATE_VERSION: i8 = 1;
/// Record type: replaces the stored delegate keys.
pub const DELEGATE_UPDATE: i8 = 1;
/// Record type: this START is signed by a stored delegate key.
pub const DELEGATE_SIGNING: i8 = 2;
/// Most keys a delegate record may hold.
pub const MAX_DELEGATE_KEYS: usize = 4;

/// The body of a version 5 or 6 transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FluxnodeTx {
    /// Announces a node for a collateral.
    Start(Start),
    /// Keeps a node alive.
    Confirm(Confirm),
    /// Any other type: parses with an empty body and is never valid.
    Unknown(i8),
}

/// A START.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The inner version of version 6; absent in version 5.
    pub inner_version: Option<i32>,
    /// The claim; absent when neither type bit of the inner version is set.
    pub claim: Option<Claim>,
    /// The delegate tail; present when [`DELEGATES_BIT`] is set.
    pub delegates: Option<DelegateTail>,
}

/// Which collateral is claimed, for which node key, by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The collateral output.
    pub collateral: OutPoint,
    /// Who owns the collateral.
    pub owner: Owner,
    /// The operator key that signs CONFIRMs and blocks.
    pub node_key: PublicKey,
    /// Seconds since the epoch, chosen by the signer.
    pub sig_time: u32,
    /// Recoverable signature over the transaction id in display hex.
    pub signature: Vec<u8>,
}

/// The owner of a collateral.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A key whose hash the P2PKH output names.
    Key(PublicKey),
    /// A multisig script whose hash the P2SH output names.
    RedeemScript(Script),
}

/// What follows a START with [`DELEGATES_BIT`]: a flag and, when it is set, a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegateTail(pub Option<Delegates>);

/// A delegate record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegates {
    /// Layout version of the record; other than 1 carries no keys.
    pub version: i8,
    /// [`DELEGATE_UPDATE`], [`DELEGATE_SIGNING`] or something invalid.
    pub kind: i8,
    /// The keys of an UPDATE.
    pub keys: Vec<PublicKey>,
}

impl Delegates {
    /// A known type, at most four keys, all of them compressed (`CFluxnodeDelegates::IsValid`).
    #[must_use]
    pub fn is_valid(&self) -> bool {
        matches!(self.kind, DELEGATE_UPDATE | DELEGATE_SIGNING)
            && self.keys.len() <= MAX_DELEGATE_KEYS
            && self.keys.iter().all(PublicKey::is_compressed)
    }
}

/// A CONFIRM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// The collateral of the node.
    pub collateral: OutPoint,
    /// Seconds since the epoch, chosen by the node.
    pub sig_time: u32,
    /// Tier that the benchmark found.
    pub benchmark_tier: i8,
    /// Seconds since the epoch of the benchmark.
    pub benchmark_sig_time: u32,
    /// 0 for the first CONFIRM, 1 for an update.
    pub update_type: i8,
    /// Address text of the node, any bytes on the wire.
    pub ip: Vec<u8>,
    /// Recoverable signature by the node key.
    pub signature: Vec<u8>,
    /// Recoverable signature by the benchmark key.
    pub benchmark_signature: Vec<u8>,
}

impl FluxnodeTx {
    /// The raw type byte.
    #[must_use]
    pub fn kind(&self) -> i8 {
        match self {
            Self::Start(_) => START_TYPE,
            Self::Confirm(_) => CONFIRM_TYPE,
            Self::Unknown(kind) => *kind,
        }
    }

    /// The collateral it is about, if it names one.
    #[must_use]
    pub fn collateral(&self) -> Option<OutPoint> {
        match self {
            Self::Start(start) => start.claim.as_ref().map(|claim| claim.collateral),
            Self::Confirm(confirm) => Some(confirm.collateral),
            Self::Unknown(_) => None,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>, tx_version: u32) -> Result<Self> {
        let [kind] = reader.array::<1>()?.map(|byte| i8::from_le_bytes([byte]));
        Ok(match kind {
            START_TYPE if tx_version == FLUXNODE_UPGRADEABLE_VERSION => {
                Self::Start(Start::read_versioned(reader)?)
            }
            START_TYPE => Self::Start(Start {
                inner_version: None,
                claim: Some(Claim::read(reader, NORMAL_BIT)?),
                delegates: None,
            }),
            CONFIRM_TYPE => Self::Confirm(Confirm::read(reader)?),
            other => Self::Unknown(other),
        })
    }

    pub(super) fn put(&self, writer: &mut Writer, with_signatures: bool) {
        writer.put(&self.kind().to_le_bytes());
        match self {
            Self::Start(start) => start.put(writer, with_signatures),
            Self::Confirm(confirm) => confirm.put(writer, with_signatures),
            Self::Unknown(_) => {}
        }
    }
}

impl Start {
    fn read_versioned(reader: &mut Reader<'_>) -> Result<Self> {
        let version = reader.i32_le()?;
        let claim = match version & (NORMAL_BIT | P2SH_BIT) {
            0 => None,
            bits => Some(Claim::read(reader, bits)?),
        };
        let delegates = if version & DELEGATES_BIT == 0 { None } else { Some(DelegateTail::decode(reader)?) };
        Ok(Self { inner_version: Some(version), claim, delegates })
    }

    fn put(&self, writer: &mut Writer, with_signatures: bool) {
        if let Some(version) = self.inner_version {
            writer.i32_le(version);
        }
        if let Some(claim) = &self.claim {
            claim.put(writer, with_signatures);
        }
        if let Some(delegates) = &self.delegates {
            delegates.encode(writer);
        }
    }
}

impl Claim {
    fn read(reader: &mut Reader<'_>, bits: i32) -> Result<Self> {
        let collateral = OutPoint::decode(reader)?;
        let first = if bits & P2SH_BIT == 0 { Some(PublicKey::decode(reader)?) } else { None };
        let node_key = PublicKey::decode(reader)?;
        let owner = match first {
            Some(key) => Owner::Key(key),
            None => Owner::RedeemScript(Script::decode(reader)?),
        };
        Ok(Self { collateral, owner, node_key, sig_time: reader.u32_le()?, signature: var_bytes(reader)? })
    }

    fn put(&self, writer: &mut Writer, with_signatures: bool) {
        self.collateral.encode(writer);
        match &self.owner {
            Owner::Key(key) => {
                key.encode(writer);
                self.node_key.encode(writer);
            }
            Owner::RedeemScript(script) => {
                self.node_key.encode(writer);
                script.encode(writer);
            }
        }
        writer.u32_le(self.sig_time);
        if with_signatures {
            put_var_bytes(writer, &self.signature);
        }
    }
}

impl Codec for DelegateTail {
    const MIN_BYTES: usize = 1;

    /// Any flag byte but zero means that a record follows; it is written back as 1.
    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self(if reader.u8()? == 0 { None } else { Some(Delegates::decode(reader)?) }))
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u8(u8::from(self.0.is_some()));
        if let Some(record) = &self.0 {
            record.encode(writer);
        }
    }
}

impl Delegates {
    fn has_keys(version: i8, kind: i8) -> bool {
        version == DELEGATE_VERSION && kind == DELEGATE_UPDATE
    }
}

impl Codec for Delegates {
    const MIN_BYTES: usize = 2;

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let [version, kind] = reader.array::<2>()?.map(|byte| i8::from_le_bytes([byte]));
        let keys = if Self::has_keys(version, kind) { list(reader)? } else { Vec::new() };
        Ok(Self { version, kind, keys })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.put(&self.version.to_le_bytes()).put(&self.kind.to_le_bytes());
        if Self::has_keys(self.version, self.kind) {
            put_list(writer, &self.keys);
        }
    }
}

impl Confirm {
    fn read(reader: &mut Reader<'_>) -> Result<Self> {
        let collateral = OutPoint::decode(reader)?;
        let sig_time = reader.u32_le()?;
        let [benchmark_tier] = reader.array::<1>()?.map(|byte| i8::from_le_bytes([byte]));
        let benchmark_sig_time = reader.u32_le()?;
        let [update_type] = reader.array::<1>()?.map(|byte| i8::from_le_bytes([byte]));
        Ok(Self {
            collateral,
            sig_time,
            benchmark_tier,
            benchmark_sig_time,
            update_type,
            ip: var_bytes(reader)?,
            signature: var_bytes(reader)?,
            benchmark_signature: var_bytes(reader)?,
        })
    }

    fn put(&self, writer: &mut Writer, with_signatures: bool) {
        self.collateral.encode(writer);
        writer.u32_le(self.sig_time).put(&self.benchmark_tier.to_le_bytes());
        writer.u32_le(self.benchmark_sig_time).put(&self.update_type.to_le_bytes());
        put_var_bytes(writer, &self.ip);
        if with_signatures {
            put_var_bytes(writer, &self.signature);
            put_var_bytes(writer, &self.benchmark_signature);
        }
    }
}
