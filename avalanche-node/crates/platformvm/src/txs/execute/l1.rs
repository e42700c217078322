//! Subnets that become L1s and their validators (ACP-77). Mirrors the L1 part of
//! `vms/platformvm/txs/executor/standard_tx_executor.go` and `vms/platformvm/warp/message`.

use std::collections::BTreeSet;

use avalanche_crypto::bls;
use avalanche_ids::{Id, NodeId, ShortId};
use avalanche_utils::upgrade::Fork;
use avalanche_vm::{
    avax::UtxoId,
    secp256k1fx::{OutputOwners, TransferOutput},
};

use super::{Exec, ExecError, Verdict};
use crate::{
    CHAIN_ID,
    fx::{Output, Owner, ProofOfPossession, Utxo},
    state::{Conversion, Draft, L1Validator},
    txs::{
        ConvertSubnetToL1Tx, DisableL1ValidatorTx, IncreaseL1ValidatorBalanceTx, RegisterL1ValidatorTx,
        SetL1ValidatorWeightTx,
    },
    warp::{
        self, AddressedCall, ConversionData, ConversionValidator, PChainMessage, PChainOwner, Payload,
        RegisterL1Validator,
    },
};

/// How far ahead a registration may become void, in seconds.
const EXPIRY_WINDOW: u64 = 24 * 60 * 60;

impl Exec<'_> {
    pub(super) fn convert(&self, tx: &ConvertSubnetToL1Tx, draft: &mut Draft<'_>) -> Verdict {
        self.since(Fork::Etna, draft)?;
        self.well_formed(draft)?;
        let credentials = self.authorize_mutable(tx.subnet, &tx.subnet_auth, draft)?;
        let (start, accrued) = (draft.timestamp(), draft.scalars().accrued_fees);
        let (mut validators, mut balances) = (Vec::with_capacity(tx.validators.len()), 0_u64);
        for (validator, index) in tx.validators.iter().zip(0_u32..) {
            let key = public_key(&validator.signer.public_key)?;
            let end_accumulated_fee = self.end_fee(draft, validator.balance, accrued)?;
            balances = balances.checked_add(validator.balance).ok_or(ExecError::Overflow)?;
            draft.put_l1_validator(L1Validator {
                validation_id: tx.subnet.append(&[index]),
                subnet: tx.subnet,
                node_id: node_id(&validator.node_id)?,
                public_key: key.to_uncompressed(),
                remaining_balance_owner: validator.remaining_balance_owner.clone(),
                deactivation_owner: validator.deactivation_owner.clone(),
                start,
                weight: validator.weight,
                min_nonce: 0,
                end_accumulated_fee,
            })?;
            validators.push(ConversionValidator {
                node_id: validator.node_id.clone(),
                bls_public_key: validator.signer.public_key,
                weight: validator.weight,
            });
        }
        self.spend(draft, credentials, balances, None)?;
        let data = ConversionData {
            subnet_id: tx.subnet,
            manager_chain_id: tx.chain_id,
            manager_address: tx.address.clone(),
            validators,
        };
        let conversion =
            Conversion { conversion_id: data.id(), chain_id: tx.chain_id, address: tx.address.clone() };
        draft.set_conversion(tx.subnet, conversion);
        Ok(())
    }

    pub(super) fn register(&self, tx: &RegisterL1ValidatorTx, draft: &mut Draft<'_>) -> Verdict {
        self.since(Fork::Etna, draft)?;
        self.well_formed(draft)?;
        self.spend(draft, self.credentials(), tx.balance, None)?;
        let (source, call, message) = parse_message(&tx.message)?;
        let PChainMessage::RegisterL1Validator(message) = message else {
            return Err(ExecError::WarpPayload);
        };
        verify_registration(&message)?;
        verify_manager(draft, message.subnet_id, source, &call)?;
        let now = draft.timestamp();
        if message.expiry <= now {
            return Err(ExecError::WarpExpired(message.expiry));
        }
        if message.expiry - now > EXPIRY_WINDOW {
            return Err(ExecError::WarpNotYetAllowed(message.expiry));
        }
        let validation_id = message.validation_id();
        if draft.has_expiry(message.expiry, validation_id) {
            return Err(ExecError::WarpAlreadyIssued(validation_id));
        }
        let proof = ProofOfPossession { public_key: message.bls_public_key, proof: tx.proof_of_possession };
        let key = proof.verify().map_err(|_| ExecError::WarpContent("proof of possession"))?;
        let accrued = draft.scalars().accrued_fees;
        let end_accumulated_fee = self.end_fee(draft, tx.balance, accrued)?;
        draft.put_l1_validator(L1Validator {
            validation_id,
            subnet: message.subnet_id,
            node_id: node_id(&message.node_id)?,
            public_key: key.to_uncompressed(),
            remaining_balance_owner: message.remaining_balance_owner.clone(),
            deactivation_owner: message.disable_owner.clone(),
            start: now,
            weight: message.weight,
            min_nonce: 0,
            end_accumulated_fee,
        })?;
        draft.add_expiry(message.expiry, validation_id);
        Ok(())
    }

    pub(super) fn set_weight(&self, tx: &SetL1ValidatorWeightTx, draft: &mut Draft<'_>) -> Verdict {
        self.since(Fork::Etna, draft)?;
        self.well_formed(draft)?;
        self.spend(draft, self.credentials(), 0, None)?;
        let (source, call, message) = parse_message(&tx.message)?;
        let PChainMessage::L1ValidatorWeight(message) = message else {
            return Err(ExecError::WarpPayload);
        };
        if message.nonce == u64::MAX && message.weight != 0 {
            return Err(ExecError::WarpContent("nonce is reserved for removal"));
        }
        let validator = draft
            .l1_validator(message.validation_id)
            .ok_or(ExecError::NoL1Validator(message.validation_id))?;
        if message.nonce < validator.min_nonce {
            return Err(ExecError::StaleNonce(message.nonce));
        }
        verify_manager(draft, validator.subnet, source, &call)?;
        if message.weight == 0 {
            if draft.l1_weight(validator.subnet) == validator.weight {
                return Err(ExecError::RemovingLastValidator);
            }
            if validator.end_accumulated_fee != 0 {
                self.refund(&validator, tx.base.outs.len(), draft)?;
            }
        }
        // The nonce of a removal may wrap: nobody looks at it any more.
        let min_nonce = message.nonce.wrapping_add(1);
        Ok(draft.put_l1_validator(L1Validator { min_nonce, weight: message.weight, ..validator })?)
    }

    pub(super) fn increase_balance(
        &self,
        tx: &IncreaseL1ValidatorBalanceTx,
        draft: &mut Draft<'_>,
    ) -> Verdict {
        self.since(Fork::Etna, draft)?;
        self.well_formed(draft)?;
        self.spend(draft, self.credentials(), tx.balance, None)?;
        let validator =
            draft.l1_validator(tx.validation_id).ok_or(ExecError::NoL1Validator(tx.validation_id))?;
        let end_accumulated_fee = if validator.end_accumulated_fee == 0 {
            self.end_fee(draft, tx.balance, draft.scalars().accrued_fees)?
        } else {
            validator.end_accumulated_fee.checked_add(tx.balance).ok_or(ExecError::Overflow)?
        };
        Ok(draft.put_l1_validator(L1Validator { end_accumulated_fee, ..validator })?)
    }

    pub(super) fn disable(&self, tx: &DisableL1ValidatorTx, draft: &mut Draft<'_>) -> Verdict {
        self.since(Fork::Etna, draft)?;
        self.well_formed(draft)?;
        let validator =
            draft.l1_validator(tx.validation_id).ok_or(ExecError::NoL1Validator(tx.validation_id))?;
        let owner = Owner::Secp256k1(owners(&validator.deactivation_owner));
        let credentials = self.authorize_by(&owner, &tx.disable_auth)?;
        self.spend(draft, credentials, 0, None)?;
        if validator.end_accumulated_fee == 0 {
            return Ok(());
        }
        self.refund(&validator, tx.base.outs.len(), draft)?;
        Ok(draft.put_l1_validator(L1Validator { end_accumulated_fee: 0, ..validator })?)
    }

    /// Up to which accrued fees a balance lasts; zero for none. There must be room for an active validator.
    fn end_fee(&self, draft: &Draft<'_>, balance: u64, accrued: u64) -> Result<u64, ExecError> {
        if balance == 0 {
            return Ok(0);
        }
        if draft.scalars().active_l1 >= self.backend.config.validator_fee.capacity {
            return Err(ExecError::MaxActiveValidators);
        }
        balance.checked_add(accrued).ok_or(ExecError::Overflow)
    }

    /// Pays back what is left of a balance, as the output behind the transaction's own ones.
    fn refund(&self, validator: &L1Validator, outputs: usize, draft: &mut Draft<'_>) -> Verdict {
        let left = validator.end_accumulated_fee.checked_sub(draft.scalars().accrued_fees);
        let amount = left.filter(|amount| *amount > 0).ok_or(ExecError::Corruption)?;
        draft.add_utxo(Utxo {
            id: UtxoId {
                tx_id: self.tx.id,
                output_index: u32::try_from(outputs).map_err(|_| ExecError::Overflow)?,
            },
            asset_id: self.backend.config.avax_asset_id,
            out: Output::Transfer(TransferOutput {
                amount,
                owners: owners(&validator.remaining_balance_owner),
            }),
        });
        Ok(())
    }
}

fn owners(owner: &PChainOwner) -> OutputOwners {
    OutputOwners { locktime: 0, threshold: owner.threshold, addrs: owner.addresses.clone() }
}

fn node_id(bytes: &[u8]) -> Result<NodeId, ExecError> {
    bytes.try_into().map(NodeId).map_err(|_| ExecError::WarpContent("node id"))
}

fn public_key(bytes: &[u8; bls::PUBLIC_KEY_LEN]) -> Result<bls::PublicKey, ExecError> {
    bls::PublicKey::from_bytes(bytes).map_err(|_| ExecError::WarpContent("public key"))
}

/// The chain that speaks, its account, and what it says.
fn parse_message(bytes: &[u8]) -> Result<(Id, AddressedCall, PChainMessage), ExecError> {
    let message = warp::Message::parse(bytes)?;
    let Payload::AddressedCall(call) = Payload::parse(&message.unsigned.payload)? else {
        return Err(ExecError::WarpPayload);
    };
    let content = PChainMessage::parse(&call.payload)?;
    Ok((message.unsigned.source_chain_id, call, content))
}

/// The rules of a registration without state.
fn verify_registration(message: &RegisterL1Validator) -> Verdict {
    let rule = |holds: bool, rule| if holds { Ok(()) } else { Err(ExecError::WarpContent(rule)) };
    rule(message.subnet_id != CHAIN_ID, "subnet id")?;
    rule(message.weight != 0, "weight")?;
    rule(node_id(&message.node_id)? != NodeId::EMPTY, "node id")?;
    for owner in [&message.remaining_balance_owner, &message.disable_owner] {
        rule(is_valid_owner(owner), "owner")?;
    }
    Ok(())
}

fn is_valid_owner(owner: &PChainOwner) -> bool {
    let addresses: &[ShortId] = &owner.addresses;
    usize::try_from(owner.threshold).is_ok_and(|threshold| threshold <= addresses.len())
        && (owner.threshold > 0 || addresses.is_empty())
        && addresses.is_sorted_by(|left, right| left < right)
        && addresses.iter().collect::<BTreeSet<_>>().len() == addresses.len()
}

/// The message comes from the contract that manages the L1's validators (`verifyL1Conversion`).
fn verify_manager(draft: &Draft<'_>, subnet: Id, source: Id, call: &AddressedCall) -> Verdict {
    let conversion = draft.conversion(subnet).ok_or(ExecError::NotConverted(subnet))?;
    if source != conversion.chain_id {
        return Err(ExecError::WarpSourceChain);
    }
    if call.source_address != conversion.address {
        return Err(ExecError::WarpSourceAddress);
    }
    Ok(())
}
