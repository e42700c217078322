//! `operations/`: validity and effect of what blocks carry.

use crate::{
    functions::{data, exit, signed_header},
    state::{build, compare, no_key},
    support::{array, cases, int, ints, list, root, ssz_bits},
};
use pos_node::{
    crypto::{bls::Key, derive::interop_key},
    state::{
        AppWrites, State,
        transition::{
            epoch::rewards::base_reward_per_increment,
            operation::{OperationError, Signed, attestation, exit as exits, slashing},
        },
    },
    types::{
        operation::{
            Attestation, AttesterSlashing, Fork, IndexedAttestation, ProposerSlashing, SignedVoluntaryExit,
        },
        params::Params,
        primitives::{Bitlist, List, PublicKey, Signature, ValidatorIndex},
    },
};
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};

type Operation = fn(&Value, &mut State, &Params) -> Result<(), OperationError>;

pub fn claim(file: &File<'_>) -> Option<Claim> {
    operation(file.json().get("handler")?.as_str()?).map(|_| Claim::Run(run))
}

fn operation(handler: &str) -> Option<Operation> {
    Some(match handler {
        "attestation" => attest,
        "attester_slashing" => slash_attesters,
        "proposer_slashing" => slash_proposer,
        "voluntary_exit" => leave,
        _ => return None,
    })
}

fn run(file: &File<'_>, out: &mut Cases) {
    let json = file.json();
    let operation = operation(json["handler"].as_str().expect("handler")).expect("claimed");
    let params = Params::minimal();
    for case in cases(&json) {
        let name = case["case"].as_str().expect("name");
        if case.get("applies") == Some(&Value::Bool(false)) {
            out.skip(name);
            continue;
        }
        let key = |at: usize| {
            let known = case.get("pubkeys").and_then(|keys| keys.get(at.to_string()));
            known.map_or_else(|| no_key(at), |key| PublicKey(array(key)))
        };
        let mut state = build(&case["pre"], &params, key);
        let version = array(&case["fork_version"]);
        state.fork = Fork { previous: version, current: version, epoch: 0 };
        state.genesis_validators_root = root(&case["genesis_validators_root"]);
        let before = state.clone();
        let result = operation(case, &mut state, &params);
        if case["post"].is_null() {
            out.check(name, result.is_err() && state == before, || format!("{result:?}"));
        } else if let Err(err) = result {
            out.fail(name, &err, &"valid");
        } else {
            compare(name, &state, &case["pre"], &case["post"], out);
        }
    }
}

/// Verifies what a check left, where the vector's signatures are real.
fn verify(case: &Value, state: &State, all: &[Signed]) -> Result<(), OperationError> {
    if int(&case["bls_setting"]) == 2 {
        return Ok(());
    }
    let unsigned = case["operation"].to_string().contains("signature");
    if !unsigned && int(&case["bls_setting"]) == 0 {
        return Ok(()); // the vector carries no signature at all
    }
    for signed in all {
        let key = |index: ValidatorIndex| {
            let registered = state.validators.pubkey.at(index)?;
            match Key::new(registered) {
                Ok(key) => Some(key),
                // the vector names no key of this validator: any key serves, for it must fail
                Err(_) => Key::new(&interop_key(index).ok()?.public_key()).ok(),
            }
        };
        if !signed.with_keys(key)?.verify() {
            return Err(OperationError::Signature);
        }
    }
    Ok(())
}

fn attest(case: &Value, state: &mut State, params: &Params) -> Result<(), OperationError> {
    let operation = &case["operation"];
    let vote = data(&operation["data"]);
    for (slot, field) in
        [(params.start_slot(vote.target.epoch), "target_root_in_chain"), (vote.slot, "head_root_in_chain")]
    {
        if case[field].is_string() {
            let at = slot % params.slots_per_historical_root;
            *state.block_roots.at_mut(at).expect("within the ring") = root(&case[field]);
        }
    }
    let before = state.clone();
    let attestation = Attestation {
        aggregation_bits: Bitlist::from_bools(&ssz_bits(&operation["aggregation_bits"])).expect("bounded"),
        data: vote,
        signature: operation.get("signature").map_or(Signature::ZERO, |bytes| Signature(array(bytes))),
    };
    let committee = list(&case["committees_at_slot"]).first().map(ints).unwrap_or_default();
    let checked = attestation::check(state, params, &attestation, &committee);
    let checked = checked.and_then(|checked| {
        verify(case, state, std::slice::from_ref(&checked.signed))?;
        Ok(checked)
    });
    let checked = match checked {
        Ok(checked) => checked,
        Err(err) => {
            assert_eq!(*state, before, "a refused vote changed the state");
            clear_roots(state);
            return Err(err);
        }
    };
    let mut signers = checked.signed.signers.clone();
    signers.sort_unstable();
    assert_eq!(signers, ints(&case["attesting_indices"]), "voters");
    let total = state.total_active_balance(params, state.current_epoch(params));
    let per_increment = base_reward_per_increment(params, total);
    let mut writes = AppWrites::default();
    attestation::apply(state, params, &checked, int(&case["proposer_index"]), per_increment, &mut writes);
    Ok(())
}

/// Undoes what [`attest`] put into the ring, for the comparison with the state before.
fn clear_roots(state: &mut State) {
    state.block_roots = vec![Default::default(); state.block_roots.len()].into();
}

fn indexed(value: &Value) -> IndexedAttestation {
    IndexedAttestation {
        attesting_indices: List::new(ints(&value["attesting_indices"])).expect("bounded"),
        data: data(&value["data"]),
        signature: Signature(array(&value["signature"])),
    }
}

fn slash_attesters(case: &Value, state: &mut State, params: &Params) -> Result<(), OperationError> {
    let operation = &case["operation"];
    let slashing = AttesterSlashing {
        attestation_1: indexed(&operation["attestation_1"]),
        attestation_2: indexed(&operation["attestation_2"]),
    };
    let checked = slashing::check_attester(state, params, &slashing)?;
    apply_slashing(case, state, params, &checked)
}

fn slash_proposer(case: &Value, state: &mut State, params: &Params) -> Result<(), OperationError> {
    let operation = &case["operation"];
    let slashing = ProposerSlashing {
        signed_header_1: signed_header(&operation["signed_header_1"]),
        signed_header_2: signed_header(&operation["signed_header_2"]),
    };
    let checked = slashing::check_proposer(state, params, &slashing)?;
    apply_slashing(case, state, params, &checked)
}

fn apply_slashing(
    case: &Value,
    state: &mut State,
    params: &Params,
    checked: &slashing::Checked,
) -> Result<(), OperationError> {
    verify(case, state, &checked.signed)?;
    let mut writes = AppWrites::default();
    checked.apply(state, params, int(&case["proposer_index"]), &mut writes);
    Ok(())
}

fn leave(case: &Value, state: &mut State, params: &Params) -> Result<(), OperationError> {
    let operation = &case["operation"];
    let signed = SignedVoluntaryExit {
        exit: exit(&operation["message"]),
        signature: Signature(array(&operation["signature"])),
    };
    let version = array(&case["exit_domain_version"]);
    let left = exits::check(state, params, version, &signed)?;
    verify(case, state, std::slice::from_ref(&left))?;
    state.initiate_exit(params, signed.exit.validator_index);
    Ok(())
}
