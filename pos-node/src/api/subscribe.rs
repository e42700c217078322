//! `sub` and `unsub`: what happens to the chain, as notifications over a WebSocket.

use serde_json::{Value, json};
use shared_vendor::rpc::{Error, Feed, Methods, ParamDoc, Spec};
use tokio::sync::broadcast;

use super::{Context, chain::checkpoint, number};
use crate::consensus::chain::Event;

const TOPIC: &[ParamDoc] =
    &[ParamDoc { name: "topic", help: "heads, confirmed, finalized, reorgs, validators", optional: false }];
const NUMBER: &[ParamDoc] =
    &[ParamDoc { name: "subscription", help: "Number that sub answered", optional: false }];

#[derive(Clone, Copy)]
enum Topic {
    Heads,
    Confirmed,
    Finalized,
    Reorgs,
    Validators,
}

impl Topic {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "heads" => Self::Heads,
            "confirmed" => Self::Confirmed,
            "finalized" => Self::Finalized,
            "reorgs" => Self::Reorgs,
            "validators" => Self::Validators,
            _ => return None,
        })
    }

    /// What subscribers of the topic are told of an event.
    fn notice(self, event: &Event) -> Option<Value> {
        match (self, event) {
            (Self::Heads, Event::Head { new, slot, .. }) => {
                Some(json!({ "root": new.to_string(), "slot": number(slot) }))
            }
            (Self::Reorgs, Event::Head { old, new, slot, common }) if common != old => Some(json!({
                "old": old.to_string(),
                "new": new.to_string(),
                "slot": number(slot),
                "common": common.to_string(),
            })),
            (Self::Confirmed, Event::Confirmed(root)) => Some(json!({ "root": root.to_string() })),
            (Self::Finalized, Event::Finalized(of)) => Some(checkpoint(*of)),
            (Self::Validators, Event::ProposerOffence(evidence)) => Some(json!({
                "offence": "two blocks",
                "validators": [number(evidence.signed_header_1.header.proposer_index)],
            })),
            (Self::Validators, Event::AttesterOffence(evidence)) => {
                let both = evidence.attestation_2.attesting_indices.iter();
                Some(json!({
                    "offence": "contradicting votes",
                    "validators": both.map(number).collect::<Vec<_>>(),
                }))
            }
            _ => None,
        }
    }
}

pub(super) fn add(methods: &mut Methods<Context>) {
    methods.add_session(
        Spec::open("sub", "Subscribe to what happens; answers the number of the subscription", TOPIC),
        |ctx, session, params| {
            let name: String = params.required(0, "topic")?;
            let topic = Topic::parse(&name).ok_or_else(|| Error::invalid_params("topic: unknown"))?;
            let events = ctx.backend.subscribe();
            let number_of = session.subscribe(|feed| tell(feed, topic, name, events))?;
            Ok(number(number_of))
        },
    );
    methods.add_session(
        Spec::open("unsub", "End a subscription; true when there was one", NUMBER),
        |_, session, params| {
            let subscription = super::params::whole(params, 0, "subscription")?;
            Ok(json!(session.unsubscribe(subscription)))
        },
    );
}

async fn tell(feed: Feed, topic: Topic, name: String, mut events: broadcast::Receiver<Event>) {
    loop {
        let result = match events.recv().await {
            Ok(event) => topic.notice(&event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(json!({ "lagged": missed })),
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let Some(result) = result else { continue };
        let params = json!({ "subscription": number(feed.number()), "topic": name, "result": result });
        if !feed.send(&json!({ "jsonrpc": "2.0", "method": "notify", "params": params })) {
            return;
        }
    }
}
