//! `proposervm.*`: what the wrapper of a chain would propose. Mirrors `vms/proposervm/service.go`, its JSON part.

use avalanche_ids::Id;
use serde_json::json;
use shared_vendor::rpc::{Methods, ParamDoc, Params, Spec};

use crate::{Context, failure, format::number};

const NONE: &[ParamDoc] = &[];

/// The methods for one chain.
pub(crate) fn methods(chain: Id) -> Methods<Context> {
    let mut methods = Methods::new();
    methods.add_blocking(
        Spec::open("proposervm.getProposedHeight", "P-chain height that the next block states", NONE),
        move |context: &Context, _: &Params| {
            let (height, _) = context.node.proposal(chain).map_err(failure)?;
            Ok(json!({ "height": number(height) }))
        },
    );
    methods.add_blocking(
        Spec::open("proposervm.getCurrentEpoch", "epoch of the next block", NONE),
        move |context: &Context, _: &Params| {
            let (_, epoch) = context.node.proposal(chain).map_err(failure)?;
            Ok(json!({
                "number": number(epoch.number),
                "startTime": number(u64::try_from(epoch.start_time).unwrap_or_default()),
                "pChainHeight": number(epoch.p_chain_height),
            }))
        },
    );
    methods
}
