//! Every flag of avalanchego: its name, its environment variable, its type, its default as the reference prints it, and
//! what becomes of it here. Mirrors `config/{keys,flags}.go`. One table.

/// How a flag's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`; alone it means true.
    Bool,
    /// A whole number.
    Int,
    /// A whole number that is not negative.
    Uint,
    /// The same, 64 bits wide.
    Uint64,
    /// A number.
    Float,
    /// Such as `1m30s` or `22.5s`.
    Duration,
    /// A text.
    Text,
    /// Texts with commas between them.
    Texts,
    /// Whole numbers with commas between them.
    Ints,
    /// Pairs `name=value` with commas between them.
    Map,
}

/// What becomes of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is a setting of this daemon under the same name.
    Used,
    /// The frame of all daemons has it.
    Frame,
    /// It is known, has no effect here, and is named in one warning.
    Unused,
}

/// One flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Without dashes in front.
    pub name: &'static str,
    /// Its environment variable.
    pub env: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The reference's default.
    pub default: &'static str,
    /// What becomes of it.
    pub effect: Effect,
}

macro_rules! flags {
    ($(($name:literal, $env:literal, $kind:ident, $default:literal, $effect:ident),)*) => {
        /// All flags, by name.
        pub const FLAGS: &[Flag] = &[$(Flag {
            name: $name,
            env: $env,
            kind: Kind::$kind,
            default: $default,
            effect: Effect::$effect,
        },)*];

        /// Environment variables of flags; those of settings are read as such.
        pub const ENVIRONMENT: &[&str] = &[$($env,)*];
    };
}

impl Flag {
    /// The flag of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        FLAGS.binary_search_by(|flag| flag.name.cmp(name)).ok().and_then(|index| FLAGS.get(index))
    }
}

flags! {
    ("acp-object", "AVAGO_ACP_OBJECT", Ints, "[]", Unused),
    ("acp-support", "AVAGO_ACP_SUPPORT", Ints, "[]", Unused),
    ("api-admin-enabled", "AVAGO_API_ADMIN_ENABLED", Bool, "false", Used),
    ("api-health-enabled", "AVAGO_API_HEALTH_ENABLED", Bool, "true", Used),
    ("api-info-enabled", "AVAGO_API_INFO_ENABLED", Bool, "true", Used),
    ("api-metrics-enabled", "AVAGO_API_METRICS_ENABLED", Bool, "true", Used),
    ("benchlist-bench-probability", "AVAGO_BENCHLIST_BENCH_PROBABILITY", Float, "0.5", Used),
    ("benchlist-duration", "AVAGO_BENCHLIST_DURATION", Duration, "5m0s", Used),
    ("benchlist-halflife", "AVAGO_BENCHLIST_HALFLIFE", Duration, "1m0s", Used),
    ("benchlist-unbench-probability", "AVAGO_BENCHLIST_UNBENCH_PROBABILITY", Float, "0.2", Used),
    ("bootstrap-ancestors-max-containers-received", "AVAGO_BOOTSTRAP_ANCESTORS_MAX_CONTAINERS_RECEIVED", Uint, "2000", Unused),
    ("bootstrap-ancestors-max-containers-sent", "AVAGO_BOOTSTRAP_ANCESTORS_MAX_CONTAINERS_SENT", Uint, "2000", Unused),
    ("bootstrap-beacon-connection-timeout", "AVAGO_BOOTSTRAP_BEACON_CONNECTION_TIMEOUT", Duration, "1m0s", Unused),
    ("bootstrap-ids", "AVAGO_BOOTSTRAP_IDS", Text, "", Used),
    ("bootstrap-ips", "AVAGO_BOOTSTRAP_IPS", Text, "", Used),
    ("bootstrap-max-time-get-ancestors", "AVAGO_BOOTSTRAP_MAX_TIME_GET_ANCESTORS", Duration, "50ms", Unused),
    ("chain-aliases-file", "AVAGO_CHAIN_ALIASES_FILE", Text, "$AVALANCHEGO_DATA_DIR/configs/chains/aliases.json", Unused),
    ("chain-aliases-file-content", "AVAGO_CHAIN_ALIASES_FILE_CONTENT", Text, "", Unused),
    ("chain-config-content", "AVAGO_CHAIN_CONFIG_CONTENT", Text, "", Unused),
    ("chain-config-dir", "AVAGO_CHAIN_CONFIG_DIR", Text, "$AVALANCHEGO_DATA_DIR/configs/chains", Unused),
    ("chain-data-dir", "AVAGO_CHAIN_DATA_DIR", Text, "$AVALANCHEGO_DATA_DIR/chainData", Unused),
    ("config-file", "AVAGO_CONFIG_FILE", Text, "", Frame),
    ("config-file-content", "AVAGO_CONFIG_FILE_CONTENT", Text, "", Unused),
    ("config-file-content-type", "AVAGO_CONFIG_FILE_CONTENT_TYPE", Text, "json", Unused),
    ("consensus-app-concurrency", "AVAGO_CONSENSUS_APP_CONCURRENCY", Uint, "2", Unused),
    ("consensus-frontier-poll-frequency", "AVAGO_CONSENSUS_FRONTIER_POLL_FREQUENCY", Duration, "100ms", Used),
    ("consensus-shutdown-timeout", "AVAGO_CONSENSUS_SHUTDOWN_TIMEOUT", Duration, "1m0s", Unused),
    ("create-asset-tx-fee", "AVAGO_CREATE_ASSET_TX_FEE", Uint64, "1000000", Used),
    ("data-dir", "AVAGO_DATA_DIR", Text, "$HOME/.avalanchego", Frame),
    ("db-config-file", "AVAGO_DB_CONFIG_FILE", Text, "", Unused),
    ("db-config-file-content", "AVAGO_DB_CONFIG_FILE_CONTENT", Text, "", Unused),
    ("db-dir", "AVAGO_DB_DIR", Text, "$AVALANCHEGO_DATA_DIR/db", Unused),
    ("db-read-only", "AVAGO_DB_READ_ONLY", Bool, "false", Unused),
    ("db-type", "AVAGO_DB_TYPE", Text, "leveldb", Unused),
    ("dynamic-fees-bandwidth-weight", "AVAGO_DYNAMIC_FEES_BANDWIDTH_WEIGHT", Uint64, "1", Used),
    ("dynamic-fees-compute-weight", "AVAGO_DYNAMIC_FEES_COMPUTE_WEIGHT", Uint64, "4", Used),
    ("dynamic-fees-db-read-weight", "AVAGO_DYNAMIC_FEES_DB_READ_WEIGHT", Uint64, "1000", Used),
    ("dynamic-fees-db-write-weight", "AVAGO_DYNAMIC_FEES_DB_WRITE_WEIGHT", Uint64, "1000", Used),
    ("dynamic-fees-excess-conversion-constant", "AVAGO_DYNAMIC_FEES_EXCESS_CONVERSION_CONSTANT", Uint64, "2164043", Used),
    ("dynamic-fees-max-gas-capacity", "AVAGO_DYNAMIC_FEES_MAX_GAS_CAPACITY", Uint64, "1000000", Used),
    ("dynamic-fees-max-gas-per-second", "AVAGO_DYNAMIC_FEES_MAX_GAS_PER_SECOND", Uint64, "100000", Used),
    ("dynamic-fees-min-gas-price", "AVAGO_DYNAMIC_FEES_MIN_GAS_PRICE", Uint64, "1", Used),
    ("dynamic-fees-target-gas-per-second", "AVAGO_DYNAMIC_FEES_TARGET_GAS_PER_SECOND", Uint64, "50000", Used),
    ("fd-limit", "AVAGO_FD_LIMIT", Uint64, "DefaultFDLimit", Unused),
    ("genesis-file", "AVAGO_GENESIS_FILE", Text, "", Used),
    ("genesis-file-content", "AVAGO_GENESIS_FILE_CONTENT", Text, "", Used),
    ("health-check-averager-halflife", "AVAGO_HEALTH_CHECK_AVERAGER_HALFLIFE", Duration, "10s", Unused),
    ("health-check-frequency", "AVAGO_HEALTH_CHECK_FREQUENCY", Duration, "30s", Unused),
    ("helicon-min-stake-duration", "AVAGO_HELICON_MIN_STAKE_DURATION", Duration, "1h0m0s", Used),
    ("http-allowed-hosts", "AVAGO_HTTP_ALLOWED_HOSTS", Texts, "[localhost]", Used),
    ("http-allowed-origins", "AVAGO_HTTP_ALLOWED_ORIGINS", Text, "*", Used),
    ("http-host", "AVAGO_HTTP_HOST", Text, "127.0.0.1", Used),
    ("http-idle-timeout", "AVAGO_HTTP_IDLE_TIMEOUT", Duration, "2m0s", Unused),
    ("http-port", "AVAGO_HTTP_PORT", Uint, "9650", Used),
    ("http-read-header-timeout", "AVAGO_HTTP_READ_HEADER_TIMEOUT", Duration, "30s", Unused),
    ("http-read-timeout", "AVAGO_HTTP_READ_TIMEOUT", Duration, "30s", Unused),
    ("http-shutdown-timeout", "AVAGO_HTTP_SHUTDOWN_TIMEOUT", Duration, "10s", Unused),
    ("http-shutdown-wait", "AVAGO_HTTP_SHUTDOWN_WAIT", Duration, "0s", Unused),
    ("http-tls-cert-file", "AVAGO_HTTP_TLS_CERT_FILE", Text, "", Unused),
    ("http-tls-cert-file-content", "AVAGO_HTTP_TLS_CERT_FILE_CONTENT", Text, "", Unused),
    ("http-tls-enabled", "AVAGO_HTTP_TLS_ENABLED", Bool, "false", Unused),
    ("http-tls-key-file", "AVAGO_HTTP_TLS_KEY_FILE", Text, "", Unused),
    ("http-tls-key-file-content", "AVAGO_HTTP_TLS_KEY_FILE_CONTENT", Text, "", Unused),
    ("http-write-timeout", "AVAGO_HTTP_WRITE_TIMEOUT", Duration, "30s", Unused),
    ("index-allow-incomplete", "AVAGO_INDEX_ALLOW_INCOMPLETE", Bool, "false", Used),
    ("index-enabled", "AVAGO_INDEX_ENABLED", Bool, "false", Used),
    ("log-dir", "AVAGO_LOG_DIR", Text, "$AVALANCHEGO_DATA_DIR/logs", Unused),
    ("log-disable-display-plugin-logs", "AVAGO_LOG_DISABLE_DISPLAY_PLUGIN_LOGS", Bool, "false", Unused),
    ("log-display-level", "AVAGO_LOG_DISPLAY_LEVEL", Text, "", Unused),
    ("log-format", "AVAGO_LOG_FORMAT", Text, "auto", Frame),
    ("log-level", "AVAGO_LOG_LEVEL", Text, "info", Frame),
    ("log-rotater-compress-enabled", "AVAGO_LOG_ROTATER_COMPRESS_ENABLED", Bool, "false", Unused),
    ("log-rotater-max-age", "AVAGO_LOG_ROTATER_MAX_AGE", Uint, "0", Unused),
    ("log-rotater-max-files", "AVAGO_LOG_ROTATER_MAX_FILES", Uint, "7", Unused),
    ("log-rotater-max-size", "AVAGO_LOG_ROTATER_MAX_SIZE", Uint, "8", Unused),
    ("max-stake-duration", "AVAGO_MAX_STAKE_DURATION", Duration, "8760h0m0s", Used),
    ("max-validator-stake", "AVAGO_MAX_VALIDATOR_STAKE", Uint64, "3000000000000000", Used),
    ("meter-vms-enabled", "AVAGO_METER_VMS_ENABLED", Bool, "true", Unused),
    ("min-delegation-fee", "AVAGO_MIN_DELEGATION_FEE", Uint64, "20000", Used),
    ("min-delegator-stake", "AVAGO_MIN_DELEGATOR_STAKE", Uint64, "25000000000", Used),
    ("min-stake-duration", "AVAGO_MIN_STAKE_DURATION", Duration, "24h0m0s", Used),
    ("min-validator-stake", "AVAGO_MIN_VALIDATOR_STAKE", Uint64, "2000000000000", Used),
    ("network-allow-private-ips", "AVAGO_NETWORK_ALLOW_PRIVATE_IPS", Bool, "false", Unused),
    ("network-compression-type", "AVAGO_NETWORK_COMPRESSION_TYPE", Text, "zstd", Unused),
    ("network-health-max-outstanding-request-duration", "AVAGO_NETWORK_HEALTH_MAX_OUTSTANDING_REQUEST_DURATION", Duration, "5m0s", Unused),
    ("network-health-max-portion-send-queue-full", "AVAGO_NETWORK_HEALTH_MAX_PORTION_SEND_QUEUE_FULL", Float, "0.9", Unused),
    ("network-health-max-send-fail-rate", "AVAGO_NETWORK_HEALTH_MAX_SEND_FAIL_RATE", Float, "0.9", Unused),
    ("network-health-max-time-since-msg-received", "AVAGO_NETWORK_HEALTH_MAX_TIME_SINCE_MSG_RECEIVED", Duration, "1m0s", Unused),
    ("network-health-max-time-since-msg-sent", "AVAGO_NETWORK_HEALTH_MAX_TIME_SINCE_MSG_SENT", Duration, "1m0s", Unused),
    ("network-health-min-conn-peers", "AVAGO_NETWORK_HEALTH_MIN_CONN_PEERS", Uint, "1", Unused),
    ("network-id", "AVAGO_NETWORK_ID", Text, "mainnet", Used),
    ("network-inbound-connection-throttling-cooldown", "AVAGO_NETWORK_INBOUND_CONNECTION_THROTTLING_COOLDOWN", Duration, "10s", Unused),
    ("network-inbound-connection-throttling-max-conns-per-sec", "AVAGO_NETWORK_INBOUND_CONNECTION_THROTTLING_MAX_CONNS_PER_SEC", Float, "256", Unused),
    ("network-initial-reconnect-delay", "AVAGO_NETWORK_INITIAL_RECONNECT_DELAY", Duration, "1s", Unused),
    ("network-initial-timeout", "AVAGO_NETWORK_INITIAL_TIMEOUT", Duration, "5s", Used),
    ("network-max-clock-difference", "AVAGO_NETWORK_MAX_CLOCK_DIFFERENCE", Duration, "1m0s", Unused),
    ("network-max-reconnect-delay", "AVAGO_NETWORK_MAX_RECONNECT_DELAY", Duration, "1m0s", Unused),
    ("network-maximum-inbound-timeout", "AVAGO_NETWORK_MAXIMUM_INBOUND_TIMEOUT", Duration, "10s", Unused),
    ("network-maximum-timeout", "AVAGO_NETWORK_MAXIMUM_TIMEOUT", Duration, "10s", Used),
    ("network-minimum-timeout", "AVAGO_NETWORK_MINIMUM_TIMEOUT", Duration, "2s", Used),
    ("network-no-ingress-connections-grace-period", "AVAGO_NETWORK_NO_INGRESS_CONNECTIONS_GRACE_PERIOD", Duration, "10m0s", Unused),
    ("network-outbound-connection-throttling-rps", "AVAGO_NETWORK_OUTBOUND_CONNECTION_THROTTLING_RPS", Uint, "50", Unused),
    ("network-outbound-connection-timeout", "AVAGO_NETWORK_OUTBOUND_CONNECTION_TIMEOUT", Duration, "30s", Unused),
    ("network-peer-list-bloom-reset-frequency", "AVAGO_NETWORK_PEER_LIST_BLOOM_RESET_FREQUENCY", Duration, "1m0s", Unused),
    ("network-peer-list-num-validator-ips", "AVAGO_NETWORK_PEER_LIST_NUM_VALIDATOR_IPS", Uint, "15", Unused),
    ("network-peer-list-pull-gossip-frequency", "AVAGO_NETWORK_PEER_LIST_PULL_GOSSIP_FREQUENCY", Duration, "2s", Unused),
    ("network-peer-read-buffer-size", "AVAGO_NETWORK_PEER_READ_BUFFER_SIZE", Uint, "8192", Unused),
    ("network-peer-write-buffer-size", "AVAGO_NETWORK_PEER_WRITE_BUFFER_SIZE", Uint, "8192", Unused),
    ("network-ping-frequency", "AVAGO_NETWORK_PING_FREQUENCY", Duration, "22.5s", Unused),
    ("network-ping-timeout", "AVAGO_NETWORK_PING_TIMEOUT", Duration, "30s", Unused),
    ("network-read-handshake-timeout", "AVAGO_NETWORK_READ_HANDSHAKE_TIMEOUT", Duration, "15s", Unused),
    ("network-require-validator-to-connect", "AVAGO_NETWORK_REQUIRE_VALIDATOR_TO_CONNECT", Bool, "false", Unused),
    ("network-tcp-proxy-enabled", "AVAGO_NETWORK_TCP_PROXY_ENABLED", Bool, "false", Unused),
    ("network-tcp-proxy-read-timeout", "AVAGO_NETWORK_TCP_PROXY_READ_TIMEOUT", Duration, "3s", Unused),
    ("network-timeout-coefficient", "AVAGO_NETWORK_TIMEOUT_COEFFICIENT", Float, "2", Used),
    ("network-timeout-halflife", "AVAGO_NETWORK_TIMEOUT_HALFLIFE", Duration, "5m0s", Used),
    ("network-tls-key-log-file-unsafe", "AVAGO_NETWORK_TLS_KEY_LOG_FILE_UNSAFE", Text, "", Unused),
    ("partial-sync-primary-network", "AVAGO_PARTIAL_SYNC_PRIMARY_NETWORK", Bool, "false", Unused),
    ("plugin-dir", "AVAGO_PLUGIN_DIR", Text, "$AVALANCHEGO_DATA_DIR/plugins", Unused),
    ("process-context-file", "AVAGO_PROCESS_CONTEXT_FILE", Text, "$AVALANCHEGO_DATA_DIR/process.json", Unused),
    ("profile-continuous-enabled", "AVAGO_PROFILE_CONTINUOUS_ENABLED", Bool, "false", Unused),
    ("profile-continuous-freq", "AVAGO_PROFILE_CONTINUOUS_FREQ", Duration, "15m0s", Unused),
    ("profile-continuous-max-files", "AVAGO_PROFILE_CONTINUOUS_MAX_FILES", Int, "5", Unused),
    ("profile-dir", "AVAGO_PROFILE_DIR", Text, "$AVALANCHEGO_DATA_DIR/profiles", Unused),
    ("proposervm-min-block-delay", "AVAGO_PROPOSERVM_MIN_BLOCK_DELAY", Duration, "1s", Used),
    ("proposervm-use-current-height", "AVAGO_PROPOSERVM_USE_CURRENT_HEIGHT", Bool, "false", Unused),
    ("public-ip", "AVAGO_PUBLIC_IP", Text, "", Used),
    ("public-ip-resolution-frequency", "AVAGO_PUBLIC_IP_RESOLUTION_FREQUENCY", Duration, "5m0s", Unused),
    ("public-ip-resolution-service", "AVAGO_PUBLIC_IP_RESOLUTION_SERVICE", Text, "", Unused),
    ("router-health-max-drop-rate", "AVAGO_ROUTER_HEALTH_MAX_DROP_RATE", Float, "1", Unused),
    ("router-health-max-outstanding-requests", "AVAGO_ROUTER_HEALTH_MAX_OUTSTANDING_REQUESTS", Uint, "1024", Unused),
    ("simplex-max-network-delay", "AVAGO_SIMPLEX_MAX_NETWORK_DELAY", Duration, "5s", Unused),
    ("simplex-max-rebroadcast-wait", "AVAGO_SIMPLEX_MAX_REBROADCAST_WAIT", Duration, "5s", Unused),
    ("snow-commit-threshold", "AVAGO_SNOW_COMMIT_THRESHOLD", Int, "20", Used),
    ("snow-concurrent-repolls", "AVAGO_SNOW_CONCURRENT_REPOLLS", Int, "4", Used),
    ("snow-confidence-quorum-size", "AVAGO_SNOW_CONFIDENCE_QUORUM_SIZE", Int, "15", Used),
    ("snow-max-processing", "AVAGO_SNOW_MAX_PROCESSING", Int, "256", Used),
    ("snow-max-time-processing", "AVAGO_SNOW_MAX_TIME_PROCESSING", Duration, "30s", Used),
    ("snow-optimal-processing", "AVAGO_SNOW_OPTIMAL_PROCESSING", Int, "10", Used),
    ("snow-preference-quorum-size", "AVAGO_SNOW_PREFERENCE_QUORUM_SIZE", Int, "15", Used),
    ("snow-quorum-size", "AVAGO_SNOW_QUORUM_SIZE", Int, "15", Used),
    ("snow-sample-size", "AVAGO_SNOW_SAMPLE_SIZE", Int, "20", Used),
    ("stake-max-consumption-rate", "AVAGO_STAKE_MAX_CONSUMPTION_RATE", Uint64, "120000", Used),
    ("stake-min-consumption-rate", "AVAGO_STAKE_MIN_CONSUMPTION_RATE", Uint64, "100000", Used),
    ("stake-minting-period", "AVAGO_STAKE_MINTING_PERIOD", Duration, "8760h0m0s", Used),
    ("stake-supply-cap", "AVAGO_STAKE_SUPPLY_CAP", Uint64, "720000000000000000", Used),
    ("staking-ephemeral-cert-enabled", "AVAGO_STAKING_EPHEMERAL_CERT_ENABLED", Bool, "false", Used),
    ("staking-ephemeral-signer-enabled", "AVAGO_STAKING_EPHEMERAL_SIGNER_ENABLED", Bool, "false", Used),
    ("staking-host", "AVAGO_STAKING_HOST", Text, "", Used),
    ("staking-port", "AVAGO_STAKING_PORT", Uint, "9651", Used),
    ("staking-rpc-signer-endpoint", "AVAGO_STAKING_RPC_SIGNER_ENDPOINT", Text, "", Unused),
    ("staking-signer-key-file", "AVAGO_STAKING_SIGNER_KEY_FILE", Text, "$AVALANCHEGO_DATA_DIR/staking/signer.key", Used),
    ("staking-signer-key-file-content", "AVAGO_STAKING_SIGNER_KEY_FILE_CONTENT", Text, "", Used),
    ("staking-tls-cert-file", "AVAGO_STAKING_TLS_CERT_FILE", Text, "$AVALANCHEGO_DATA_DIR/staking/staker.crt", Used),
    ("staking-tls-cert-file-content", "AVAGO_STAKING_TLS_CERT_FILE_CONTENT", Text, "", Used),
    ("staking-tls-key-file", "AVAGO_STAKING_TLS_KEY_FILE", Text, "$AVALANCHEGO_DATA_DIR/staking/staker.key", Used),
    ("staking-tls-key-file-content", "AVAGO_STAKING_TLS_KEY_FILE_CONTENT", Text, "", Used),
    ("state-sync-ids", "AVAGO_STATE_SYNC_IDS", Text, "", Unused),
    ("state-sync-ips", "AVAGO_STATE_SYNC_IPS", Text, "", Unused),
    ("subnet-config-content", "AVAGO_SUBNET_CONFIG_CONTENT", Text, "", Unused),
    ("subnet-config-dir", "AVAGO_SUBNET_CONFIG_DIR", Text, "$AVALANCHEGO_DATA_DIR/configs/subnets", Unused),
    ("sybil-protection-disabled-weight", "AVAGO_SYBIL_PROTECTION_DISABLED_WEIGHT", Uint64, "100", Unused),
    ("sybil-protection-enabled", "AVAGO_SYBIL_PROTECTION_ENABLED", Bool, "true", Unused),
    ("system-tracker-cpu-halflife", "AVAGO_SYSTEM_TRACKER_CPU_HALFLIFE", Duration, "15s", Unused),
    ("system-tracker-disk-halflife", "AVAGO_SYSTEM_TRACKER_DISK_HALFLIFE", Duration, "1m0s", Unused),
    ("system-tracker-disk-required-available-space", "AVAGO_SYSTEM_TRACKER_DISK_REQUIRED_AVAILABLE_SPACE", Uint64, "0", Unused),
    ("system-tracker-disk-required-available-space-percentage", "AVAGO_SYSTEM_TRACKER_DISK_REQUIRED_AVAILABLE_SPACE_PERCENTAGE", Uint64, "3", Unused),
    ("system-tracker-disk-warning-available-space-percentage", "AVAGO_SYSTEM_TRACKER_DISK_WARNING_AVAILABLE_SPACE_PERCENTAGE", Uint64, "10", Unused),
    ("system-tracker-disk-warning-threshold-available-space", "AVAGO_SYSTEM_TRACKER_DISK_WARNING_THRESHOLD_AVAILABLE_SPACE", Uint64, "0", Unused),
    ("system-tracker-frequency", "AVAGO_SYSTEM_TRACKER_FREQUENCY", Duration, "500ms", Unused),
    ("system-tracker-processing-halflife", "AVAGO_SYSTEM_TRACKER_PROCESSING_HALFLIFE", Duration, "15s", Unused),
    ("throttler-inbound-at-large-alloc-size", "AVAGO_THROTTLER_INBOUND_AT_LARGE_ALLOC_SIZE", Uint64, "6291456", Unused),
    ("throttler-inbound-bandwidth-max-burst-size", "AVAGO_THROTTLER_INBOUND_BANDWIDTH_MAX_BURST_SIZE", Uint64, "2097152", Used),
    ("throttler-inbound-bandwidth-refill-rate", "AVAGO_THROTTLER_INBOUND_BANDWIDTH_REFILL_RATE", Uint64, "524288", Used),
    ("throttler-inbound-cpu-max-non-validator-node-usage", "AVAGO_THROTTLER_INBOUND_CPU_MAX_NON_VALIDATOR_NODE_USAGE", Float, "NumCPU/8", Unused),
    ("throttler-inbound-cpu-max-non-validator-usage", "AVAGO_THROTTLER_INBOUND_CPU_MAX_NON_VALIDATOR_USAGE", Float, "0.8*NumCPU", Unused),
    ("throttler-inbound-cpu-max-recheck-delay", "AVAGO_THROTTLER_INBOUND_CPU_MAX_RECHECK_DELAY", Duration, "5s", Unused),
    ("throttler-inbound-cpu-validator-alloc", "AVAGO_THROTTLER_INBOUND_CPU_VALIDATOR_ALLOC", Float, "NumCPU", Unused),
    ("throttler-inbound-disk-max-non-validator-node-usage", "AVAGO_THROTTLER_INBOUND_DISK_MAX_NON_VALIDATOR_NODE_USAGE", Float, "1.073741824e+12", Unused),
    ("throttler-inbound-disk-max-non-validator-usage", "AVAGO_THROTTLER_INBOUND_DISK_MAX_NON_VALIDATOR_USAGE", Float, "1.073741824e+12", Unused),
    ("throttler-inbound-disk-max-recheck-delay", "AVAGO_THROTTLER_INBOUND_DISK_MAX_RECHECK_DELAY", Duration, "5s", Unused),
    ("throttler-inbound-disk-validator-alloc", "AVAGO_THROTTLER_INBOUND_DISK_VALIDATOR_ALLOC", Float, "1.073741824e+12", Unused),
    ("throttler-inbound-node-max-at-large-bytes", "AVAGO_THROTTLER_INBOUND_NODE_MAX_AT_LARGE_BYTES", Uint64, "2097152", Unused),
    ("throttler-inbound-node-max-processing-msgs", "AVAGO_THROTTLER_INBOUND_NODE_MAX_PROCESSING_MSGS", Uint64, "1024", Unused),
    ("throttler-inbound-validator-alloc-size", "AVAGO_THROTTLER_INBOUND_VALIDATOR_ALLOC_SIZE", Uint64, "33554432", Unused),
    ("throttler-outbound-at-large-alloc-size", "AVAGO_THROTTLER_OUTBOUND_AT_LARGE_ALLOC_SIZE", Uint64, "33554432", Unused),
    ("throttler-outbound-node-max-at-large-bytes", "AVAGO_THROTTLER_OUTBOUND_NODE_MAX_AT_LARGE_BYTES", Uint64, "2097152", Unused),
    ("throttler-outbound-validator-alloc-size", "AVAGO_THROTTLER_OUTBOUND_VALIDATOR_ALLOC_SIZE", Uint64, "33554432", Unused),
    ("tracing-endpoint", "AVAGO_TRACING_ENDPOINT", Text, "", Unused),
    ("tracing-exporter-type", "AVAGO_TRACING_EXPORTER_TYPE", Text, "disabled", Unused),
    ("tracing-headers", "AVAGO_TRACING_HEADERS", Map, "[]", Unused),
    ("tracing-insecure", "AVAGO_TRACING_INSECURE", Bool, "true", Unused),
    ("tracing-sample-rate", "AVAGO_TRACING_SAMPLE_RATE", Float, "0.1", Unused),
    ("track-subnets", "AVAGO_TRACK_SUBNETS", Text, "", Unused),
    ("tx-fee", "AVAGO_TX_FEE", Uint64, "1000000", Used),
    ("upgrade-file", "AVAGO_UPGRADE_FILE", Text, "", Used),
    ("upgrade-file-content", "AVAGO_UPGRADE_FILE_CONTENT", Text, "", Used),
    ("uptime-metric-freq", "AVAGO_UPTIME_METRIC_FREQ", Duration, "30s", Unused),
    ("uptime-requirement", "AVAGO_UPTIME_REQUIREMENT", Float, "0.8", Used),
    ("validator-fees-capacity", "AVAGO_VALIDATOR_FEES_CAPACITY", Uint64, "20000", Used),
    ("validator-fees-excess-conversion-constant", "AVAGO_VALIDATOR_FEES_EXCESS_CONVERSION_CONSTANT", Uint64, "865617", Used),
    ("validator-fees-min-price", "AVAGO_VALIDATOR_FEES_MIN_PRICE", Uint64, "1", Used),
    ("validator-fees-target", "AVAGO_VALIDATOR_FEES_TARGET", Uint64, "10000", Used),
    ("version", "AVAGO_VERSION", Bool, "false", Frame),
    ("version-json", "AVAGO_VERSION_JSON", Bool, "false", Unused),
    ("vm-aliases-file", "AVAGO_VM_ALIASES_FILE", Text, "$AVALANCHEGO_DATA_DIR/configs/vms/aliases.json", Unused),
    ("vm-aliases-file-content", "AVAGO_VM_ALIASES_FILE_CONTENT", Text, "", Unused),
}
