//! Settings of this daemon, under the names of avalanchego's flags, beside those that every daemon has. Flags, variables
//! and files of avalanchego are taken as they are: see [`native`].

pub mod flags;
pub mod native;

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use avalanche_ids::NodeId;
use shared_vendor::{
    config::{Kind, Setting},
    log::Secret,
};

shared_vendor::settings! {
    /// What avalanchego's flags set.
    pub struct Config {
        /// Network: mainnet, fuji, local, or a number.
        network_id: Option<String> = ["network-id"],
        /// JSON description of a network, for those that are not public.
        genesis_file: Option<PathBuf> = ["genesis-file"],
        /// The same in base 64.
        genesis_file_content: Option<String> = ["genesis-file-content"],
        /// JSON description of when upgrades activate, for networks that are not public.
        upgrade_file: Option<PathBuf> = ["upgrade-file"],
        /// The same in base 64.
        upgrade_file_content: Option<String> = ["upgrade-file-content"],
        /// Address of the HTTP server, instead of the one in rpc-addr.
        http_host: Option<String> = ["http-host"],
        /// Port of the HTTP server, instead of the one in rpc-addr.
        http_port: Option<u16> = ["http-port"],
        /// Names under which the HTTP server may be asked; `*` for all.
        http_allowed_hosts: Vec<String> = ["http-allowed-hosts", "localhost"],
        /// Web pages that may ask the HTTP server; `*` for all.
        http_allowed_origins: String = ["http-allowed-origins", "*"],
        /// Address for peers, instead of the one in p2p-addr.
        staking_host: Option<String> = ["staking-host"],
        /// Port for peers, instead of the one in p2p-addr.
        staking_port: Option<u16> = ["staking-port"],
        /// Address under which peers reach this node.
        public_ip: Option<String> = ["public-ip"],
        /// Nodes to bootstrap from, ADDRESS:PORT.
        bootstrap_ips: Vec<SocketAddr> = ["bootstrap-ips"],
        /// Their ids, in the same order.
        bootstrap_ids: Vec<Node> = ["bootstrap-ids"],
        /// Certificate of this node (PEM).
        staking_tls_cert_file: Option<PathBuf> = ["staking-tls-cert-file"],
        /// The same in base 64.
        staking_tls_cert_file_content: Option<String> = ["staking-tls-cert-file-content"],
        /// Its key (PEM).
        staking_tls_key_file: Option<PathBuf> = ["staking-tls-key-file"],
        /// The same in base 64.
        staking_tls_key_file_content: Option<Secret<String>> = ["staking-tls-key-file-content"],
        /// BLS key of this node: 32 bytes.
        staking_signer_key_file: Option<PathBuf> = ["staking-signer-key-file"],
        /// The same in base 64.
        staking_signer_key_file_content: Option<Secret<String>> = ["staking-signer-key-file-content"],
        /// A new certificate at each start.
        staking_ephemeral_cert_enabled: bool = ["staking-ephemeral-cert-enabled", "false"],
        /// A new BLS key at each start.
        staking_ephemeral_signer_enabled: bool = ["staking-ephemeral-signer-enabled", "false"],
        /// Validators asked by one poll.
        snow_sample_size: u32 = ["snow-sample-size", "20"],
        /// Votes that move preference and confidence, instead of the next two.
        snow_quorum_size: Option<u32> = ["snow-quorum-size"],
        /// Votes that move the preference.
        snow_preference_quorum_size: u32 = ["snow-preference-quorum-size", "15"],
        /// Votes that raise the confidence.
        snow_confidence_quorum_size: u32 = ["snow-confidence-quorum-size", "15"],
        /// Successful polls in a row that decide.
        snow_commit_threshold: u32 = ["snow-commit-threshold", "20"],
        /// Polls kept open while anything processes.
        snow_concurrent_repolls: u32 = ["snow-concurrent-repolls", "4"],
        /// Processing blocks above which building waits.
        snow_optimal_processing: u32 = ["snow-optimal-processing", "10"],
        /// Processing blocks above which a chain is unhealthy.
        snow_max_processing: u32 = ["snow-max-processing", "256"],
        /// Time in processing above which a chain is unhealthy.
        snow_max_time_processing: GoDuration = ["snow-max-time-processing", "30s"],
        /// Time between questions when nothing processes.
        consensus_frontier_poll_frequency: GoDuration = ["consensus-frontier-poll-frequency", "100ms"],
        /// Limit for answers before any was measured.
        network_initial_timeout: GoDuration = ["network-initial-timeout", "5s"],
        /// Lowest limit for answers.
        network_minimum_timeout: GoDuration = ["network-minimum-timeout", "2s"],
        /// Highest limit for answers.
        network_maximum_timeout: GoDuration = ["network-maximum-timeout", "10s"],
        /// The limit for answers as a multiple of the average latency.
        network_timeout_coefficient: Number = ["network-timeout-coefficient", "2"],
        /// Time after which a measured latency counts half.
        network_timeout_halflife: GoDuration = ["network-timeout-halflife", "5m"],
        /// Bytes per second that are read of a peer for long.
        throttler_inbound_bandwidth_refill_rate: u64 = ["throttler-inbound-bandwidth-refill-rate", "524288"],
        /// Bytes that are read of a peer at once.
        throttler_inbound_bandwidth_max_burst_size: u64 = ["throttler-inbound-bandwidth-max-burst-size", "2097152"],
        /// Part of failures above which a validator is not asked for a while.
        benchlist_bench_probability: Number = ["benchlist-bench-probability", "0.5"],
        /// Part of failures below which it is asked again.
        benchlist_unbench_probability: Number = ["benchlist-unbench-probability", "0.2"],
        /// Longest time that it is not asked.
        benchlist_duration: GoDuration = ["benchlist-duration", "5m"],
        /// Time after which a failure counts half.
        benchlist_halflife: GoDuration = ["benchlist-halflife", "1m"],
        /// Serve /ext/admin.
        api_admin_enabled: bool = ["api-admin-enabled", "false"],
        /// Serve /ext/health.
        api_health_enabled: bool = ["api-health-enabled", "true"],
        /// Serve /ext/info.
        api_info_enabled: bool = ["api-info-enabled", "true"],
        /// Serve /ext/metrics.
        api_metrics_enabled: bool = ["api-metrics-enabled", "true"],
        /// Keep and serve an index of what is accepted, at /ext/index.
        index_enabled: bool = ["index-enabled", "false"],
        /// Let the index have gaps.
        index_allow_incomplete: bool = ["index-allow-incomplete", "false"],
        /// Shortest time between two blocks.
        proposervm_min_block_delay: GoDuration = ["proposervm-min-block-delay", "1s"],
        /// X-chain fee of a transaction, nAVAX.
        tx_fee: u64 = ["tx-fee", "1000000"],
        /// X-chain fee of a new asset, nAVAX.
        create_asset_tx_fee: u64 = ["create-asset-tx-fee", "1000000"],
        /// Least stake of a validator, nAVAX.
        min_validator_stake: u64 = ["min-validator-stake", "2000000000000"],
        /// Most stake of a validator with its delegators, nAVAX.
        max_validator_stake: u64 = ["max-validator-stake", "3000000000000000"],
        /// Least stake of a delegator, nAVAX.
        min_delegator_stake: u64 = ["min-delegator-stake", "25000000000"],
        /// Least fee of delegations, millionths.
        min_delegation_fee: u32 = ["min-delegation-fee", "20000"],
        /// Shortest staking.
        min_stake_duration: GoDuration = ["min-stake-duration", "24h"],
        /// Longest staking.
        max_stake_duration: GoDuration = ["max-stake-duration", "8760h"],
        /// Shortest validation since Helicon.
        helicon_min_stake_duration: GoDuration = ["helicon-min-stake-duration", "1h"],
        /// Part of the time that a validator must be up to be rewarded.
        uptime_requirement: Number = ["uptime-requirement", "0.8"],
        /// Greatest yearly reward, millionths.
        stake_max_consumption_rate: u64 = ["stake-max-consumption-rate", "120000"],
        /// Least yearly reward, millionths.
        stake_min_consumption_rate: u64 = ["stake-min-consumption-rate", "100000"],
        /// Period of the rates.
        stake_minting_period: GoDuration = ["stake-minting-period", "8760h"],
        /// Most coins there will be, nAVAX.
        stake_supply_cap: u64 = ["stake-supply-cap", "720000000000000000"],
        /// Gas of a byte.
        dynamic_fees_bandwidth_weight: u64 = ["dynamic-fees-bandwidth-weight", "1"],
        /// Gas of a read.
        dynamic_fees_db_read_weight: u64 = ["dynamic-fees-db-read-weight", "1000"],
        /// Gas of a write.
        dynamic_fees_db_write_weight: u64 = ["dynamic-fees-db-write-weight", "1000"],
        /// Gas of a microsecond.
        dynamic_fees_compute_weight: u64 = ["dynamic-fees-compute-weight", "4"],
        /// Most gas at a time.
        dynamic_fees_max_gas_capacity: u64 = ["dynamic-fees-max-gas-capacity", "1000000"],
        /// Gas that comes back each second.
        dynamic_fees_max_gas_per_second: u64 = ["dynamic-fees-max-gas-per-second", "100000"],
        /// Gas each second at which the price stays.
        dynamic_fees_target_gas_per_second: u64 = ["dynamic-fees-target-gas-per-second", "50000"],
        /// Least price of gas, nAVAX.
        dynamic_fees_min_gas_price: u64 = ["dynamic-fees-min-gas-price", "1"],
        /// How slowly the price of gas moves.
        dynamic_fees_excess_conversion_constant: u64 = ["dynamic-fees-excess-conversion-constant", "2164043"],
        /// Most active L1 validators.
        validator_fees_capacity: u64 = ["validator-fees-capacity", "20000"],
        /// L1 validators at which their price stays.
        validator_fees_target: u64 = ["validator-fees-target", "10000"],
        /// Least price of an L1 validator's second, nAVAX.
        validator_fees_min_price: u64 = ["validator-fees-min-price", "1"],
        /// How slowly that price moves.
        validator_fees_excess_conversion_constant: u64 = ["validator-fees-excess-conversion-constant", "865617"],
        /// Moves coins of the public test key on the P-chain this often, on networks that are not public.
        local_transfers: Option<GoDuration> = ["local-transfers"],
        /// Flags of avalanchego that have no effect here, NAME or NAME=VALUE; each is named in a warning.
        ignored: Vec<String> = ["ignored"],
    }
}

/// A duration as Go writes it: `22.5s`, `1m0s`, `100ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

impl Setting for GoDuration {
    const KIND: Kind = Kind::text("a duration such as 1m30s, 22.5s or 100ms");

    fn parse(texts: &[String]) -> Result<Self, String> {
        let parsed = match texts {
            [text] => parse_go_duration(text),
            _ => None,
        };
        parsed.map(Self).ok_or_else(|| Self::KIND.name.to_owned())
    }
}

/// Reads decimal numbers with units `h`, `m`, `s`, `ms`, `us` and `ns`, one after the other.
#[must_use]
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, tail) =
            tail.split_at(tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len()));
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * unit;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// A number that is not negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(pub f64);

impl Setting for Number {
    const KIND: Kind = Kind::text("a number such as 0.8");

    fn parse(texts: &[String]) -> Result<Self, String> {
        let parsed = match texts {
            [text] => f64::from_str(text).ok().filter(|number| number.is_finite() && *number >= 0.0),
            _ => None,
        };
        parsed.map(Self).ok_or_else(|| Self::KIND.name.to_owned())
    }
}

/// A node id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(pub NodeId);

impl Setting for Node {
    const KIND: Kind = Kind::text("a node such as NodeID-7Xhw2mDxuDS44j42TCB6U5579esbSt3Lg");

    fn parse(texts: &[String]) -> Result<Self, String> {
        let parsed = match texts {
            [text] => text.parse().ok(),
            _ => None,
        };
        parsed.map(Self).ok_or_else(|| Self::KIND.name.to_owned())
    }
}

/// A network by its number and the folder of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its number.
    pub id: u32,
    /// mainnet, fuji, local or custom.
    pub name: &'static str,
}

impl Network {
    /// The network that a text names: mainnet, fuji, testnet, local, testing, `network-N`, or a number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = match text.to_ascii_lowercase().as_str() {
            "mainnet" => 1,
            "cascade" => 2,
            "denali" => 3,
            "everest" => 4,
            "fuji" | "testnet" => 5,
            "testing" => 10,
            "local" => 12_345,
            other => other.strip_prefix("network-").unwrap_or(other).parse().ok()?,
        };
        let name = match id {
            1 => "mainnet",
            5 => "fuji",
            12_345 => "local",
            _ => "custom",
        };
        Some(Self { id, name })
    }

    /// As the reference names it.
    #[must_use]
    pub fn reference_name(&self) -> String {
        match self.id {
            1 => "mainnet".to_owned(),
            2 => "cascade".to_owned(),
            3 => "denali".to_owned(),
            4 => "everest".to_owned(),
            5 => "fuji".to_owned(),
            10 => "testing".to_owned(),
            12_345 => "local".to_owned(),
            id => format!("network-{id}"),
        }
    }

    /// The human-readable part of its addresses.
    #[must_use]
    pub const fn hrp(&self) -> &'static str {
        match self.id {
            1 => "avax",
            2 => "cascade",
            3 => "denali",
            4 => "everest",
            5 => "fuji",
            10 => "testing",
            12_345 => "local",
            _ => "custom",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in
            [("22.5s", 22_500), ("1m0s", 60_000), ("8760h0m0s", 31_536_000_000), ("100ms", 100)]
        {
            assert_eq!(parse_go_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "1x", "1.2.3s", "-1s"] {
            assert_eq!(parse_go_duration(text), None, "{text}");
        }
    }

    #[test]
    fn networks_are_known_by_name_and_number() {
        let name = |text: &str| Network::parse(text).map(|network| (network.id, network.name));
        assert_eq!(name("testnet"), Some((5, "fuji")));
        assert_eq!(name("12345"), Some((12_345, "local")));
        assert_eq!(name("network-54321"), Some((54_321, "custom")));
        assert_eq!(name("nowhere"), None);
        assert_eq!(
            Network::parse("77").map(|network| network.reference_name()),
            Some("network-77".to_owned())
        );
    }
}
