//! Roles: nodes that the committee designates. Mirrors `RoleManagement.cs`.

use neo_crypto::secp256r1::PublicKey;
use neo_vm::{Result, StackItem};

use super::{
    ContractId, Vm, ledger, require_committee,
    rows::{self, Fields, Key, Read},
};
use crate::{
    engine::{EngineError, Store, send_notification},
    hardfork::Hardfork,
};

/// What nodes can be designated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Signs state roots.
    StateValidator = 4,
    /// Answers oracle requests.
    Oracle = 8,
    /// Runs the storage network.
    NeoFsAlphabet = 16,
    /// Collects signatures.
    P2pNotary = 32,
}

impl Role {
    /// The role with this number.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            4 => Self::StateValidator,
            8 => Self::Oracle,
            16 => Self::NeoFsAlphabet,
            32 => Self::P2pNotary,
            _ => return None,
        })
    }

    fn byte(self) -> u8 {
        match self {
            Self::StateValidator => 4,
            Self::Oracle => 8,
            Self::NeoFsAlphabet => 16,
            Self::P2pNotary => 32,
        }
    }
}

/// Most nodes of a role.
const MAX_NODES: usize = 32;

/// The nodes of a role at a height, in order of keys.
///
/// # Errors
/// The store fails, or the height is above that of the next block.
pub fn designated<S: Store + ?Sized>(store: &S, role: Role, height: u32) -> Read<Vec<Key>> {
    if ledger::current_index(store)?.saturating_add(1) < height {
        return Err(EngineError::Argument("a height in the future"));
    }
    let prefix = rows::key(ContractId::ROLE_MANAGEMENT, role.byte(), &[]);
    let after =
        rows::key(ContractId::ROLE_MANAGEMENT, role.byte(), &[&height.saturating_add(1).to_be_bytes()]);
    let found = store.seek(&prefix, Some(&after), true).map_err(EngineError::Store)?;
    let Some((_, value)) = found else { return Ok(Vec::new()) };
    let fields = rows::decode_list(&value)?;
    let keys = (0..fields.len())
        .map(|index| fields.key_or_null(index)?.ok_or(EngineError::State("a node without key")));
    keys.collect()
}

pub(super) fn designate<S: Store>(engine: &mut Vm<S>, role: u8, nodes: &[PublicKey]) -> Result<()> {
    if nodes.is_empty() || nodes.len() > MAX_NODES {
        return Err(EngineError::Argument("a role has 1 to 32 nodes").into());
    }
    let role = Role::from_byte(role).ok_or(EngineError::Argument("no such role"))?;
    require_committee(engine)?;
    let block = engine.host.environment().block.ok_or(EngineError::Misplaced("no block"))?;
    let index = block.index.saturating_add(1);
    let row = rows::key(ContractId::ROLE_MANAGEMENT, role.byte(), &[&index.to_be_bytes()]);
    if rows::bytes(&engine.host, &row)?.is_some() {
        return Err(EngineError::Argument("the role has been designated in this block").into());
    }
    let mut sorted = nodes.to_vec();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(EngineError::Argument("a node occurs twice").into());
    }
    let items: Vec<_> = sorted.iter().map(|key| StackItem::bytes(key.to_bytes())).collect();
    let mut fields = vec![StackItem::int(role.byte()), StackItem::int(block.index)];
    engine.host.write(row, Some(rows::encode_array(&items)));
    if engine.host.is_active(Hardfork::Echidna) {
        let old = designated(&engine.host, role, block.index)?;
        let old = old.into_iter().map(StackItem::bytes).collect();
        let new = nodes.iter().map(|key| StackItem::bytes(key.to_bytes())).collect();
        fields.push(engine.heap.new_array(old));
        fields.push(engine.heap.new_array(new));
    }
    let state = engine.heap.new_array(fields);
    send_notification(engine, super::hash_of(ContractId::ROLE_MANAGEMENT), "Designation".to_owned(), &state)
}
