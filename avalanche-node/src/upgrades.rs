//! When upgrades activate on networks that are not public, from the reference's JSON description. Mirrors the flags
//! `upgrade-file` and `upgrade-file-content` and `upgrade/upgrade.go`.

use avalanche_utils::upgrade::{Fork, Upgrades};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use shared_vendor::exit::{self, Report};

use crate::config::Config;

/// Mainnet, fuji and the local network, whose upgrades nobody may move.
const FIXED: [u32; 3] = [1, 5, 12_345];
const NANOS: i64 = 1_000_000_000;
/// Days from the first of March of year zero to the first of January 1970.
const EPOCH: i64 = 719_468;

/// The upgrades of a network. An upgrade that the description leaves out is active.
///
/// # Errors
/// The description cannot be read, or the network's upgrades are fixed.
pub fn read(config: &Config, network_id: u32) -> Result<Upgrades, Report> {
    let json = match (&config.upgrade_file, &config.upgrade_file_content) {
        (None, None) => return Ok(Upgrades::of_network(network_id)),
        (Some(path), _) => std::fs::read(path).map_err(|err| {
            Report::new(exit::NO_INPUT, "the description of the upgrades cannot be read")
                .at(path.display().to_string())
                .because(&err)
        })?,
        (None, Some(content)) => STANDARD.decode(content).map_err(|err| {
            Report::new(exit::BAD_VALUE, "not base 64").at("upgrade-file-content").because(&err)
        })?,
    };
    let wrong = |what: String| Report::new(exit::BAD_VALUE, what).at("upgrade-file");
    if FIXED.contains(&network_id) {
        return Err(wrong("the upgrades of this network cannot be changed".to_owned()));
    }
    let description: Description = serde_json::from_slice(&json).map_err(|err| wrong(err.to_string()))?;
    description.upgrades(network_id).map_err(wrong)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Description {
    apricot_phase1_time: Option<String>,
    apricot_phase2_time: Option<String>,
    apricot_phase3_time: Option<String>,
    apricot_phase4_time: Option<String>,
    #[serde(rename = "apricotPhase4MinPChainHeight")]
    apricot_phase4_min_p_chain_height: u64,
    apricot_phase5_time: Option<String>,
    apricot_phase_pre6_time: Option<String>,
    apricot_phase6_time: Option<String>,
    apricot_phase_post6_time: Option<String>,
    banff_time: Option<String>,
    cortina_time: Option<String>,
    #[serde(rename = "cortinaXChainStopVertexID")]
    cortina_x_chain_stop_vertex_id: Option<String>,
    durango_time: Option<String>,
    etna_time: Option<String>,
    fortuna_time: Option<String>,
    granite_time: Option<String>,
    granite_epoch_duration: i64,
    helicon_time: Option<String>,
}

impl Description {
    fn upgrades(&self, network_id: u32) -> Result<Upgrades, String> {
        let none = avalanche_ids::Id::EMPTY.to_string();
        if self.cortina_x_chain_stop_vertex_id.as_ref().is_some_and(|stop| *stop != none) {
            return Err("a network of its own has no vertex that its X-chain was stopped at".to_owned());
        }
        let forks = [
            (Fork::ApricotPhase1, &self.apricot_phase1_time),
            (Fork::ApricotPhase2, &self.apricot_phase2_time),
            (Fork::ApricotPhase3, &self.apricot_phase3_time),
            (Fork::ApricotPhase4, &self.apricot_phase4_time),
            (Fork::ApricotPhase5, &self.apricot_phase5_time),
            (Fork::ApricotPhasePre6, &self.apricot_phase_pre6_time),
            (Fork::ApricotPhase6, &self.apricot_phase6_time),
            (Fork::ApricotPhasePost6, &self.apricot_phase_post6_time),
            (Fork::Banff, &self.banff_time),
            (Fork::Cortina, &self.cortina_time),
            (Fork::Durango, &self.durango_time),
            (Fork::Etna, &self.etna_time),
            (Fork::Fortuna, &self.fortuna_time),
            (Fork::Granite, &self.granite_time),
            (Fork::Helicon, &self.helicon_time),
        ];
        let mut upgrades = Upgrades::of_network(network_id);
        upgrades.apricot_phase_4_min_p_chain_height = self.apricot_phase4_min_p_chain_height;
        upgrades.granite_epoch_duration = self.granite_epoch_duration / NANOS;
        let mut latest = 0;
        for (fork, text) in forks {
            let time = match text {
                None => 0,
                Some(text) => unix_seconds(text).ok_or_else(|| format!("`{text}` is not a time"))?,
            };
            if time < latest {
                return Err(format!("{fork:?} is before the upgrade that it stands on"));
            }
            latest = time;
            upgrades = upgrades.with(fork, time);
        }
        Ok(upgrades)
    }
}

/// Seconds of a time such as `2020-12-05T05:00:00Z`, also with decimals or an offset; zero before 1970.
fn unix_seconds(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let (time, offset) = match rest.strip_suffix('Z') {
        Some(time) => (time, 0),
        None => {
            let (time, offset) = rest.split_at(rest.rfind(['+', '-'])?);
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let seconds = number(hours, 0..=23)? * 3600 + number(minutes, 0..=59)? * 60;
            (time, if offset.starts_with('-') { -seconds } else { seconds })
        }
    };
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let [year, month, day] = parts(date, '-')?;
    let [hour, minute, second] = parts(time, ':')?;
    let (year, month, day) = (number(year, 1..=9999)?, number(month, 1..=12)?, number(day, 1..=31)?);
    let of_day = number(hour, 0..=23)? * 3600 + number(minute, 0..=59)? * 60 + number(second, 0..=60)?;
    // Years begin in March here, so that the day that is sometimes missing is the last one.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
    Some(((days - EPOCH) * 86_400 + of_day - offset).max(0))
}

fn parts(text: &str, between: char) -> Option<[&str; 3]> {
    text.split(between).collect::<Vec<_>>().try_into().ok()
}

fn number(text: &str, within: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && within.contains(number))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_reference_writes_them() {
        for (text, seconds) in [
            ("2020-12-05T05:00:00Z", 1_607_144_400),
            ("2024-02-29T23:59:59.123Z", 1_709_251_199),
            ("2020-12-05T06:00:00+01:00", 1_607_144_400),
            ("9999-12-01T00:00:00Z", 253_399_622_400),
            ("0001-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(unix_seconds(text), Some(seconds), "{text}");
        }
        for text in ["", "2020-12-05", "2020-13-05T05:00:00Z", "2020-12-05T05:00Z", "2020-12-05T05:00:00"] {
            assert_eq!(unix_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_left_out_is_active_and_the_order_must_hold() {
        let described = |json: &str| serde_json::from_str::<Description>(json).unwrap().upgrades(77);
        let upgrades = described(r#"{"heliconTime": "2030-01-01T00:00:00Z"}"#).unwrap();
        assert!(upgrades.is_active(Fork::Granite, 0));
        assert!(!upgrades.is_active(Fork::Helicon, 1_800_000_000));
        assert!(described(r#"{"graniteTime": "2030-01-01T00:00:00Z"}"#).is_err());
        assert!(serde_json::from_str::<Description>(r#"{"graniteTiem": ""}"#).is_err());
    }
}
