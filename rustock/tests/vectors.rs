//! Runs every file of `$VECTORS_DIR/rustock` (see `shared_vendor::testing::vectors`). Runners are in `vectors/`, one
//! module per area; each claims files by folder and shape.

#![allow(missing_docs, unreachable_pub, clippy::needless_pass_by_value, clippy::print_stdout)] // not an interface

use shared_vendor::testing::vectors;

#[path = "vectors/headers.rs"]
mod headers;
#[path = "vectors/json.rs"]
mod json;
#[path = "vectors/net.rs"]
mod net;
#[path = "vectors/oracle.rs"]
mod oracle;
#[path = "vectors/receipts.rs"]
mod receipts;
#[path = "vectors/rlp.rs"]
mod rlp;
#[path = "vectors/rpc.rs"]
mod rpc;

fn main() -> std::process::ExitCode {
    vectors::run("rustock", env!("CARGO_MANIFEST_DIR"), |file| {
        let claims = [headers::claim, oracle::claim, receipts::claim, rlp::claim, net::claim, rpc::claim];
        claims.iter().find_map(|claim| claim(file))
    })
}
