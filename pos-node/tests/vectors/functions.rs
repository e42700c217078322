//! `functions/` and `shuffling/`: single functions of the executable specification.

use crate::support::{array, bytes, cases, int, ints, list, root, ssz_bits, usize_of};
use pos_node::{
    state::{math::integer_sqrt, shuffle},
    types::{
        codec::{Wire, decode, encode},
        domain::{ForkData, domain, signing_root},
        operation::{
            AttestationData, BlockHeader, Checkpoint, DepositMessage, Fork, IndexedAttestation, SignedHeader,
            SignedVoluntaryExit, VoluntaryExit,
        },
        params::Params,
        primitives::{Bitlist, List, PublicKey, Root, Signature},
        ssz::{TreeHash, container_root, is_valid_branch, list_root},
    },
};
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};
use std::fmt::Debug;

pub fn claim(file: &File<'_>) -> Option<Claim> {
    let json = file.json();
    let first = cases(&json).first()?;
    let has = |field: &str| first.get(field).is_some();
    Some(Claim::Run(match () {
        () if has("mapping") => shuffling,
        () if has("committees") => committees,
        () if has("proposer") => proposers,
        () if has("domain_type") => domains,
        () if has("sqrt") => roots_of_integers,
        () if has("slashable") => slashable,
        () if has("branch") => branches,
        () if has("hash_tree_root") => ssz,
        () => return None,
    }))
}

fn shuffling(file: &File<'_>, out: &mut Cases) {
    let json = file.json();
    let rounds = int(&json["shuffle_round_count"]);
    for case in cases(&json) {
        let (seed, count) = (array(&case["seed"]), usize_of(&case["count"]));
        let expected: Vec<usize> = list(&case["mapping"]).iter().map(usize_of).collect();
        let mut whole: Vec<usize> = (0..count).collect();
        shuffle::shuffle(&mut whole, &seed, rounds);
        out.equal(format!("{count} whole"), &whole, &expected);
        let single: Vec<_> = (0..count)
            .map(|at| shuffle::shuffled_index(at, count, &seed, rounds).expect("in range"))
            .collect();
        out.equal(format!("{count} single"), &single, &expected);
    }
}

fn committees(file: &File<'_>, out: &mut Cases) {
    for case in cases(&file.json()) {
        let count = usize_of(&case["count"]);
        let mut active: Vec<u64> = (0..int(&case["active"])).collect();
        shuffle::shuffle(&mut active, &array(&case["seed"]), int(&case["shuffle_round_count"]));
        for (at, expected) in list(&case["committees"]).iter().enumerate() {
            let (from, to) = shuffle::committee_bounds(active.len(), at, count);
            out.equal(format!("committee {at} of {count}"), &active[from..to].to_vec(), &ints(expected));
        }
    }
}

fn proposers(file: &File<'_>, out: &mut Cases) {
    for (at, case) in cases(&file.json()).iter().enumerate() {
        let balances = ints(&case["effective_balance"]);
        let indices: Vec<u64> = (0..).take(balances.len()).collect();
        let actual = shuffle::proposer_index(
            &indices,
            |index| balances[usize::try_from(index).expect("small")],
            &array(&case["seed"]),
            int(&case["shuffle_round_count"]),
            Params::minimal().max_effective_balance,
        );
        out.equal(format!("case {at}"), &actual, &Some(int(&case["proposer"])));
    }
}

fn domains(file: &File<'_>, out: &mut Cases) {
    for (at, case) in cases(&file.json()).iter().enumerate() {
        let (version, validators_root) =
            (array(&case["fork_version"]), root(&case["genesis_validators_root"]));
        let fork = ForkData { current_version: version, genesis_validators_root: validators_root };
        let domain = domain(array(&case["domain_type"]), version, validators_root);
        let checkpoint = checkpoint(&case["checkpoint"]);
        out.equal(format!("{at} domain"), &domain, &array(&case["domain"]));
        out.equal(format!("{at} fork data"), &fork.tree_root(), &array(&case["fork_data_root"]));
        out.equal(format!("{at} digest"), &fork.digest(), &array(&case["fork_digest"]));
        out.equal(format!("{at} signing"), &signing_root(&checkpoint, domain), &root(&case["signing_root"]));
    }
}

fn roots_of_integers(file: &File<'_>, out: &mut Cases) {
    for case in cases(&file.json()) {
        out.equal(case["n"].to_string(), &integer_sqrt(int(&case["n"])), &int(&case["sqrt"]));
    }
}

fn slashable(file: &File<'_>, out: &mut Cases) {
    for (at, case) in cases(&file.json()).iter().enumerate() {
        let actual = data(&case["data_1"]).is_slashable_with(&data(&case["data_2"]));
        out.equal(format!("case {at}"), &actual, &case["slashable"].as_bool().expect("verdict"));
    }
}

fn branches(file: &File<'_>, out: &mut Cases) {
    for (at, case) in cases(&file.json()).iter().enumerate() {
        let branch: Vec<[u8; 32]> = list(&case["branch"]).iter().map(array).collect();
        let actual = is_valid_branch(
            &array(&case["leaf"]),
            &branch,
            usize_of(&case["depth"]),
            int(&case["index"]),
            &array(&case["root"]),
        );
        out.equal(format!("case {at}"), &actual, &case["valid"].as_bool().expect("verdict"));
    }
}

fn ssz(file: &File<'_>, out: &mut Cases) {
    for (at, case) in cases(&file.json()).iter().enumerate() {
        let kind = case["type"].as_str().expect("type");
        let name = format!("{at} {kind}");
        let value = &case["value"];
        let expected = Root(array(&case["hash_tree_root"]));
        let fixed = bytes(&case["ssz"]);
        let root = match kind {
            "Checkpoint" => fixed_size(&name, &checkpoint(value), &fixed, out),
            "AttestationData" => fixed_size(&name, &data(value), &fixed, out),
            "Fork" => fixed_size(&name, &fork(value), &fixed, out),
            "BeaconBlockHeader" => fixed_size(&name, &header(value), &fixed, out),
            "SignedBeaconBlockHeader" => fixed_size(&name, &signed_header(value), &fixed, out),
            "VoluntaryExit" => fixed_size(&name, &exit(value), &fixed, out),
            "SignedVoluntaryExit" => {
                let signature = Signature(array(&value["signature"]));
                fixed_size(
                    &name,
                    &SignedVoluntaryExit { exit: exit(&value["message"]), signature },
                    &fixed,
                    out,
                )
            }
            "DepositMessage" => {
                let message = DepositMessage {
                    pubkey: PublicKey(array(&value["pubkey"])),
                    owner: root(&value["withdrawal_credentials"]),
                    amount: int(&value["amount"]),
                };
                fixed_size(&name, &message, &fixed, out)
            }
            "ForkData" => {
                let fork = ForkData {
                    current_version: array(&value["current_version"]),
                    genesis_validators_root: root(&value["genesis_validators_root"]),
                };
                fixed_size(&name, &fork, &fixed, out)
            }
            "SigningData" => {
                let object = pos_node::types::domain::SigningData {
                    object_root: root(&value["object_root"]),
                    domain: array(&value["domain"]),
                };
                fixed_size(&name, &object, &fixed, out)
            }
            "IndexedAttestation" => indexed_root(value),
            "List[Bytes32,131072]" => {
                let items: Vec<Root> = list(value).iter().map(root).collect();
                Root(List::<Root, 131_072>::new(items).expect("bounded").tree_root())
            }
            "List[uint64,2**40]" => Root(list_root(&ints(value), 1 << 40)),
            "Bitlist[2048]" => {
                let bits = ssz_bits(value);
                Root(Bitlist::<2048>::from_bools(&bits).expect("bounded").tree_root())
            }
            // containers that this chain lacks or changed: their fields still exercise every basic rule
            "Validator" | "PendingDeposit" | "HistoricalSummary" => foreign_root(value, kind),
            other => panic!("{other}"),
        };
        out.equal(format!("{name} root"), &root, &expected);
    }
}

/// Checks that our encoding equals the SSZ bytes and decodes back; gives the root.
fn fixed_size<T: Wire + TreeHash + PartialEq + Debug>(
    name: &str,
    value: &T,
    ssz: &[u8],
    out: &mut Cases,
) -> Root {
    out.equal(format!("{name} bytes"), &encode(value).as_slice(), &ssz);
    out.check(format!("{name} back"), decode::<T>(ssz, ssz.len()).as_ref() == Ok(value), || "differs".into());
    Root(value.tree_root())
}

/// The reference's limit of this list is its own; ours is smaller, so the list root is taken with its limit.
fn indexed_root(value: &Value) -> Root {
    let ours = IndexedAttestation {
        attesting_indices: List::new(ints(&value["attesting_indices"])).expect("bounded"),
        data: data(&value["data"]),
        signature: Signature(array(&value["signature"])),
    };
    let minimal_preset_limit = 2048 * 4;
    let fields = [
        list_root(&ours.attesting_indices, minimal_preset_limit),
        ours.data.tree_root(),
        ours.signature.tree_root(),
    ];
    assert_eq!(container_root(&fields), ours.tree_root(), "our limit is the reference's minimal one");
    Root(ours.tree_root())
}

fn foreign_root(value: &Value, kind: &str) -> Root {
    let fields: &[&str] = match kind {
        "Validator" => &[
            "pubkey",
            "withdrawal_credentials",
            "effective_balance",
            "slashed",
            "activation_eligibility_epoch",
            "activation_epoch",
            "exit_epoch",
            "withdrawable_epoch",
        ],
        "PendingDeposit" => &["pubkey", "withdrawal_credentials", "amount", "signature", "slot"],
        _ => &["block_summary_root", "state_summary_root"],
    };
    let leaves: Vec<_> = fields
        .iter()
        .map(|field| match &value[*field] {
            Value::Bool(flag) => flag.tree_root(),
            Value::Number(_) => int(&value[*field]).tree_root(),
            text => match bytes(text).len() {
                32 => array::<32>(text).tree_root(),
                48 => array::<48>(text).tree_root(),
                _ => array::<96>(text).tree_root(),
            },
        })
        .collect();
    Root(container_root(&leaves))
}

pub fn checkpoint(value: &Value) -> Checkpoint {
    Checkpoint { epoch: int(&value["epoch"]), root: root(&value["root"]) }
}

pub fn data(value: &Value) -> AttestationData {
    AttestationData {
        slot: int(&value["slot"]),
        index: int(&value["index"]),
        beacon_block_root: root(&value["beacon_block_root"]),
        source: checkpoint(&value["source"]),
        target: checkpoint(&value["target"]),
    }
}

fn fork(value: &Value) -> Fork {
    Fork {
        previous: array(&value["previous_version"]),
        current: array(&value["current_version"]),
        epoch: int(&value["epoch"]),
    }
}

fn header(value: &Value) -> BlockHeader {
    BlockHeader {
        slot: int(&value["slot"]),
        proposer_index: int(&value["proposer_index"]),
        parent_root: root(&value["parent_root"]),
        state_root: root(&value["state_root"]),
        body_root: root(&value["body_root"]),
    }
}

pub fn signed_header(value: &Value) -> SignedHeader {
    SignedHeader { header: header(&value["message"]), signature: Signature(array(&value["signature"])) }
}

pub fn exit(value: &Value) -> VoluntaryExit {
    VoluntaryExit { epoch: int(&value["epoch"]), validator_index: int(&value["validator_index"]) }
}
