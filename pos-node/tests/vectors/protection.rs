//! `slashing_protection/`: every scenario under both rules.

use crate::support::{array, int, list, root};
use pos_node::{
    slashing_protection::{
        database::Database,
        interchange::Interchange,
        rules::{Protection, Rule},
    },
    types::primitives::PublicKey,
};
use serde_json::Value;
use shared_vendor::testing::vectors::{Cases, Claim, File};

pub fn claim(file: &File<'_>) -> Option<Claim> {
    let json = file.json();
    let first = list(json.get("steps")?).first()?;
    first.get("interchange").is_some().then_some(Claim::Run(run))
}

fn number(value: &Value) -> u64 {
    value.as_str().map_or_else(|| int(value), |text| text.parse().expect("number"))
}

fn run(file: &File<'_>, out: &mut Cases) {
    let json = file.json();
    for (rule, verdict) in [(Rule::Minimal, "should_succeed"), (Rule::Complete, "should_succeed_complete")] {
        let chain = root(&json["genesis_validators_root"]);
        let mut protection = Protection::new(rule, chain);
        let folder = tempfile::tempdir().expect("temporary folder");
        let mut database = Database::open(&folder.path().join("slashing.db"), rule, chain).expect("new file");
        for (at, step) in list(&json["steps"]).iter().enumerate() {
            let interchange: Interchange =
                serde_json::from_value(step["interchange"].clone()).expect("interchange");
            let imported = protection.import(&interchange).is_ok();
            let name = format!("{rule:?} step {at}");
            out.equal(format!("{name} import to disk"), &database.import(&interchange).is_ok(), &imported);
            out.equal(
                format!("{name} import"),
                &imported,
                &step["should_succeed"].as_bool().expect("verdict"),
            );
            for block in list(&step["blocks"]) {
                let slot = number(&block["slot"]);
                let key = PublicKey(array(&block["pubkey"]));
                let result = protection.sign_block(&key, slot, root(&block["signing_root"]));
                let on_disk = database.sign_block(&key, slot, root(&block["signing_root"]));
                out.equal(format!("{name} block {slot} on disk"), &on_disk.is_ok(), &result.is_ok());
                let expected = block[verdict].as_bool().expect("verdict");
                out.equal(format!("{name} block {slot} {result:?}"), &result.is_ok(), &expected);
            }
            for vote in list(&step["attestations"]) {
                let (source, target) = (number(&vote["source_epoch"]), number(&vote["target_epoch"]));
                let key = PublicKey(array(&vote["pubkey"]));
                let result = protection.sign_vote(&key, source, target, root(&vote["signing_root"]));
                let on_disk = database.sign_vote(&key, source, target, root(&vote["signing_root"]));
                out.equal(
                    format!("{name} vote {source}-{target} on disk"),
                    &on_disk.is_ok(),
                    &result.is_ok(),
                );
                let expected = vote[verdict].as_bool().expect("verdict");
                out.equal(format!("{name} vote {source}-{target} {result:?}"), &result.is_ok(), &expected);
            }
        }
    }
}
