//! Recorded conversations: every message decodes to its command and encodes to the same payload.

use neo_p2p::{Frame, Message};
use shared_vendor::{
    hex,
    testing::vectors::{Cases, Claim, File},
};

pub(crate) fn claim(file: &File<'_>) -> Option<Claim> {
    (file.path.contains("recorded/p2p/") && file.path.ends_with(".json")).then_some(Claim::Run(session))
}

/// `[{dir, cmd, flags, raw}..]`, raw being the whole message.
fn session(file: &File<'_>, cases: &mut Cases) {
    for (number, entry) in file.json().as_array().expect("a list of messages").iter().enumerate() {
        let Some(raw) = entry["raw"].as_str() else {
            cases.skip(format!("message {number}: an event without bytes"));
            continue;
        };
        cases.case(format!("message {number} {}", entry["cmd"]), || {
            let bytes = hex::decode(raw).map_err(|err| err.to_string())?;
            let (frame, length) =
                Frame::decode(&bytes).map_err(|err| err.to_string())?.ok_or("the message is incomplete")?;
            let message = Message::decode(&frame).map_err(|err| format!("{err}: {err:?}"))?;
            let command = format!("0x{:02x}", message.command());
            if entry["cmd"] != command.as_str() || length != bytes.len() {
                return Err(format!("command {command}, {length} of {} bytes", bytes.len()));
            }
            let (sent, received) =
                (message.frame(false), frame.payload().map_err(|err| err.to_string())?.into_owned());
            let sent = sent.payload().map_err(|err| err.to_string())?;
            if sent == received {
                Ok(())
            } else {
                Err(format!("actual {sent:02x?} expected {received:02x?}"))
            }
        });
    }
}
