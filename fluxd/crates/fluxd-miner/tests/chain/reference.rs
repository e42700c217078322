//! Flat files that the C++ node wrote on its own regression-test network, where they are at hand: `FLUXD_REFERENCE` names
//! a folder with its `blocks/` and its answers in `txoutset.json` (`gettxoutsetinfo`).

use std::{env, fs, path::PathBuf, sync::Arc};

use fluxd_chainstate::{ChainState, IndexKind, Options};
use fluxd_consensus::params::{Network, Params};
use tempfile::TempDir;

#[test]
fn files_of_the_reference_give_the_state_of_the_reference() {
    let Some(folder) = env::var_os("FLUXD_REFERENCE").map(PathBuf::from) else {
        println!("skipped: FLUXD_REFERENCE names no folder");
        return;
    };
    let dir = TempDir::new().expect("a folder");
    fs::create_dir(dir.path().join("blocks")).expect("made");
    for entry in fs::read_dir(folder.join("blocks")).expect("blocks") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if name.starts_with("blk") {
            fs::copy(&path, dir.path().join("blocks").join(name)).expect("copied");
        }
    }
    let params = Arc::new(Params::of(Network::Regtest));
    let options = Options { indexes: IndexKind::ALL.into(), ..Options::default() };
    let chain = ChainState::reindex(dir.path(), params, options, 4_000_000_000, |_| true).expect("reindexed");
    let stats = chain.reader().coin_stats().expect("a store");
    let answer = fs::read_to_string(folder.join("txoutset.json")).expect("its answer");
    for (field, value) in [
        ("height", stats.height.to_string()),
        ("bestblock", format!("\"{}\"", stats.best_block)),
        ("transactions", stats.transactions.to_string()),
        ("txouts", stats.outputs.to_string()),
        ("bytes_serialized", stats.serialized_size.to_string()),
        ("hash_serialized", format!("\"{}\"", stats.hash)),
        ("total_amount", stats.total.to_string()),
    ] {
        assert!(answer.contains(&format!("\"{field}\": {value}")), "{field}: {value} is not in {answer}");
    }
}
