//! The declarations of the native contracts: one table each of methods and events, with the forks that bring and
//! end them. A method whose behaviour changed without changing its declaration has a row for each behaviour, because
//! such a fork also stores the contract anew.

use super::{Method, Native, NativeEvent};
use crate::{
    flags::CallFlags,
    hardfork::Hardfork::{self, Cockatrice, Echidna, Faun, Gorgon},
    manifest::ParameterType::{
        self, Any, Array, Boolean, ByteArray, Hash160, Hash256, Integer, InteropInterface, PublicKey, String,
        Void,
    },
};

const NONE: CallFlags = CallFlags::NONE;
const READ_STATES: CallFlags = CallFlags::READ_STATES;
const STATES: CallFlags = CallFlags::STATES;
const STATES_NOTIFY: CallFlags = CallFlags::STATES_NOTIFY;
const ALL: CallFlags = CallFlags::ALL;

type Parameters = &'static [(&'static str, ParameterType)];

/// All native contracts in the order of their numbers.
pub const NATIVES: &[Native] = &[
    Native {
        id: -1,
        name: "ContractManagement",
        since: None,
        methods: &[CONTRACT_MANAGEMENT],
        events: MANAGEMENT_EVENTS,
        standards: NO_STANDARDS,
    },
    Native { id: -2, name: "StdLib", since: None, methods: &[STD_LIB], events: &[], standards: NO_STANDARDS },
    Native {
        id: -3,
        name: "CryptoLib",
        since: None,
        methods: &[CRYPTO_LIB],
        events: &[],
        standards: NO_STANDARDS,
    },
    Native {
        id: -4,
        name: "LedgerContract",
        since: None,
        methods: &[LEDGER],
        events: &[],
        standards: NO_STANDARDS,
    },
    Native {
        id: -5,
        name: "NeoToken",
        since: None,
        methods: &[FUNGIBLE, NEO],
        events: NEO_EVENTS,
        standards: &[(None, &["NEP-17"]), (Some(Echidna), &["NEP-17", "NEP-27"])],
    },
    Native {
        id: -6,
        name: "GasToken",
        since: None,
        methods: &[FUNGIBLE],
        events: &[TRANSFER],
        standards: &[(None, &["NEP-17"])],
    },
    Native {
        id: -7,
        name: "PolicyContract",
        since: None,
        methods: &[POLICY],
        events: POLICY_EVENTS,
        standards: NO_STANDARDS,
    },
    Native {
        id: -8,
        name: "RoleManagement",
        since: None,
        methods: &[ROLE_MANAGEMENT],
        events: ROLE_EVENTS,
        standards: NO_STANDARDS,
    },
    Native {
        id: -9,
        name: "OracleContract",
        since: None,
        methods: &[ORACLE],
        events: ORACLE_EVENTS,
        standards: &[(Some(Faun), &["NEP-30"])],
    },
    Native {
        id: -10,
        name: "Notary",
        since: Some(Echidna),
        methods: &[NOTARY],
        events: &[],
        standards: &[(None, &["NEP-27"]), (Some(Faun), &["NEP-27", "NEP-30"])],
    },
    Native {
        id: -11,
        name: "Treasury",
        since: Some(Faun),
        methods: &[TREASURY],
        events: &[],
        standards: &[(None, &["NEP-26", "NEP-27", "NEP-30"])],
    },
];

const NO_STANDARDS: &[(Option<Hardfork>, &[&str])] = &[];

const fn method(
    name: &'static str,
    parameters: Parameters,
    returns: ParameterType,
    flags: CallFlags,
    cpu_fee: u32,
) -> Method {
    Method { name, parameters, returns, flags, cpu_fee, storage_fee: 0, since: None, until: None }
}

impl Method {
    const fn storage(self, storage_fee: u32) -> Self {
        Self { storage_fee, ..self }
    }

    const fn since(self, fork: Hardfork) -> Self {
        Self { since: Some(fork), ..self }
    }

    const fn until(self, fork: Hardfork) -> Self {
        Self { until: Some(fork), ..self }
    }
}

const fn event(name: &'static str, parameters: Parameters) -> NativeEvent {
    NativeEvent { name, parameters, since: None, until: None }
}

impl NativeEvent {
    const fn since(self, fork: Hardfork) -> Self {
        Self { since: Some(fork), ..self }
    }

    const fn until(self, fork: Hardfork) -> Self {
        Self { until: Some(fork), ..self }
    }
}

const CONTRACT_MANAGEMENT: &[Method] = &[
    method("deploy", &[("nefFile", ByteArray), ("manifest", ByteArray)], Array, STATES_NOTIFY, 0),
    method(
        "deploy",
        &[("nefFile", ByteArray), ("manifest", ByteArray), ("data", Any)],
        Array,
        STATES_NOTIFY,
        0,
    ),
    method("destroy", &[], Void, STATES_NOTIFY, 1 << 15).until(Gorgon),
    method("destroy", &[], Void, STATES_NOTIFY, 1 << 15).since(Gorgon),
    method("getContract", &[("hash", Hash160)], Array, READ_STATES, 1 << 15),
    method("getContractById", &[("id", Integer)], Array, READ_STATES, 1 << 15),
    method("getContractHashes", &[], InteropInterface, READ_STATES, 1 << 15),
    method("getMinimumDeploymentFee", &[], Integer, READ_STATES, 1 << 15),
    method(
        "hasMethod",
        &[("hash", Hash160), ("method", String), ("pcount", Integer)],
        Boolean,
        READ_STATES,
        1 << 15,
    ),
    method("isContract", &[("hash", Hash160)], Boolean, READ_STATES, 1 << 14).since(Echidna),
    method("setMinimumDeploymentFee", &[("value", Integer)], Void, STATES, 1 << 15),
    method("update", &[("nefFile", ByteArray), ("manifest", ByteArray)], Void, STATES_NOTIFY, 0),
    method(
        "update",
        &[("nefFile", ByteArray), ("manifest", ByteArray), ("data", Any)],
        Void,
        STATES_NOTIFY,
        0,
    ),
];

const STD_LIB: &[Method] = &[
    method("atoi", &[("value", String)], Integer, NONE, 1 << 6),
    method("atoi", &[("value", String), ("base", Integer)], Integer, NONE, 1 << 6),
    method("base58CheckDecode", &[("s", String)], ByteArray, NONE, 1 << 16),
    method("base58CheckEncode", &[("data", ByteArray)], String, NONE, 1 << 16),
    method("base58Decode", &[("s", String)], ByteArray, NONE, 1 << 10),
    method("base58Encode", &[("data", ByteArray)], String, NONE, 1 << 13),
    method("base64Decode", &[("s", String)], ByteArray, NONE, 1 << 5),
    method("base64Encode", &[("data", ByteArray)], String, NONE, 1 << 5),
    method("base64UrlDecode", &[("s", String)], String, NONE, 1 << 5).since(Echidna),
    method("base64UrlEncode", &[("data", String)], String, NONE, 1 << 5).since(Echidna),
    method("deserialize", &[("data", ByteArray)], Any, NONE, 1 << 14),
    method("hexDecode", &[("str", String)], ByteArray, NONE, 1 << 5).since(Faun),
    method("hexEncode", &[("bytes", ByteArray)], String, NONE, 1 << 5).since(Faun),
    method("itoa", &[("value", Integer)], String, NONE, 1 << 12),
    method("itoa", &[("value", Integer), ("base", Integer)], String, NONE, 1 << 12),
    method("jsonDeserialize", &[("json", ByteArray)], Any, NONE, 1 << 14),
    method("jsonSerialize", &[("item", Any)], ByteArray, NONE, 1 << 12),
    method("memoryCompare", &[("str1", ByteArray), ("str2", ByteArray)], Integer, NONE, 1 << 5),
    method("memorySearch", &[("mem", ByteArray), ("value", ByteArray)], Integer, NONE, 1 << 6),
    method(
        "memorySearch",
        &[("mem", ByteArray), ("value", ByteArray), ("start", Integer)],
        Integer,
        NONE,
        1 << 6,
    ),
    method(
        "memorySearch",
        &[("mem", ByteArray), ("value", ByteArray), ("start", Integer), ("backward", Boolean)],
        Integer,
        NONE,
        1 << 6,
    ),
    method("serialize", &[("item", Any)], ByteArray, NONE, 1 << 12),
    method("strLen", &[("str", String)], Integer, NONE, 1 << 8),
    method("stringSplit", &[("str", String), ("separator", String)], Array, NONE, 1 << 8),
    method(
        "stringSplit",
        &[("str", String), ("separator", String), ("removeEmptyEntries", Boolean)],
        Array,
        NONE,
        1 << 8,
    ),
];

const CRYPTO_LIB: &[Method] = &[
    method(
        "bls12381Add",
        &[("x", InteropInterface), ("y", InteropInterface)],
        InteropInterface,
        NONE,
        1 << 19,
    ),
    method("bls12381Deserialize", &[("data", ByteArray)], InteropInterface, NONE, 1 << 19),
    method("bls12381Equal", &[("x", InteropInterface), ("y", InteropInterface)], Boolean, NONE, 1 << 5),
    method(
        "bls12381Mul",
        &[("x", InteropInterface), ("mul", ByteArray), ("neg", Boolean)],
        InteropInterface,
        NONE,
        1 << 21,
    ),
    method(
        "bls12381Pairing",
        &[("g1", InteropInterface), ("g2", InteropInterface)],
        InteropInterface,
        NONE,
        1 << 23,
    ),
    method("bls12381Serialize", &[("g", InteropInterface)], ByteArray, NONE, 1 << 19),
    method("keccak256", &[("data", ByteArray)], ByteArray, NONE, 1 << 15).since(Cockatrice),
    method("murmur32", &[("data", ByteArray), ("seed", Integer)], ByteArray, NONE, 1 << 13),
    method(
        "recoverSecp256K1",
        &[("messageHash", ByteArray), ("signature", ByteArray)],
        ByteArray,
        NONE,
        1 << 15,
    )
    .since(Echidna),
    method("ripemd160", &[("data", ByteArray)], ByteArray, NONE, 1 << 15),
    method("sha256", &[("data", ByteArray)], ByteArray, NONE, 1 << 15),
    method(
        "verifyWithECDsa",
        &[("message", ByteArray), ("pubkey", ByteArray), ("signature", ByteArray), ("curveHash", Integer)],
        Boolean,
        NONE,
        1 << 15,
    )
    .since(Gorgon),
    method(
        "verifyWithECDsa",
        &[("message", ByteArray), ("pubkey", ByteArray), ("signature", ByteArray), ("curveHash", Integer)],
        Boolean,
        NONE,
        1 << 15,
    )
    .since(Cockatrice)
    .until(Gorgon),
    method(
        "verifyWithECDsa",
        &[("message", ByteArray), ("pubkey", ByteArray), ("signature", ByteArray), ("curve", Integer)],
        Boolean,
        NONE,
        1 << 15,
    )
    .until(Cockatrice),
    method(
        "verifyWithEd25519",
        &[("message", ByteArray), ("pubkey", ByteArray), ("signature", ByteArray)],
        Boolean,
        NONE,
        1 << 15,
    )
    .since(Gorgon),
    method(
        "verifyWithEd25519",
        &[("message", ByteArray), ("pubkey", ByteArray), ("signature", ByteArray)],
        Boolean,
        NONE,
        1 << 15,
    )
    .since(Echidna)
    .until(Gorgon),
];

const LEDGER: &[Method] = &[
    method("currentHash", &[], Hash256, READ_STATES, 1 << 15),
    method("currentIndex", &[], Integer, READ_STATES, 1 << 15),
    method("getBlock", &[("indexOrHash", ByteArray)], Array, READ_STATES, 1 << 15),
    method("getTransaction", &[("hash", Hash256)], Array, READ_STATES, 1 << 15),
    method(
        "getTransactionFromBlock",
        &[("blockIndexOrHash", ByteArray), ("txIndex", Integer)],
        Array,
        READ_STATES,
        1 << 16,
    ),
    method("getTransactionHeight", &[("hash", Hash256)], Integer, READ_STATES, 1 << 15),
    method("getTransactionSigners", &[("hash", Hash256)], Array, READ_STATES, 1 << 15),
    method("getTransactionVMState", &[("hash", Hash256)], Integer, READ_STATES, 1 << 15),
];

const FUNGIBLE: &[Method] = &[
    method("balanceOf", &[("account", Hash160)], Integer, READ_STATES, 1 << 15),
    method("decimals", &[], Integer, NONE, 0),
    method("symbol", &[], String, NONE, 0),
    method("totalSupply", &[], Integer, READ_STATES, 1 << 15),
    method(
        "transfer",
        &[("from", Hash160), ("to", Hash160), ("amount", Integer), ("data", Any)],
        Boolean,
        ALL,
        1 << 17,
    )
    .storage(50),
];

const NEO: &[Method] = &[
    method("getAccountState", &[("account", Hash160)], Array, READ_STATES, 1 << 15),
    method("getAllCandidates", &[], InteropInterface, READ_STATES, 1 << 22),
    method("getCandidateVote", &[("pubKey", PublicKey)], Integer, READ_STATES, 1 << 15),
    method("getCommittee", &[], Array, READ_STATES, 1 << 16),
    method("getCommitteeAddress", &[], Hash160, READ_STATES, 1 << 16).since(Cockatrice),
    method("getGasPerBlock", &[], Integer, READ_STATES, 1 << 15),
    method("getNextBlockValidators", &[], Array, READ_STATES, 1 << 16),
    method("getRegisterPrice", &[], Integer, READ_STATES, 1 << 15),
    method("getCandidates", &[], Array, READ_STATES, 1 << 22),
    method(
        "onNEP17Payment",
        &[("from", Hash160), ("amount", Integer), ("data", Any)],
        Void,
        STATES_NOTIFY,
        0,
    )
    .since(Echidna),
    method("registerCandidate", &[("pubkey", PublicKey)], Boolean, STATES, 0).until(Echidna),
    method("registerCandidate", &[("pubkey", PublicKey)], Boolean, STATES_NOTIFY, 0).since(Echidna),
    method("setGasPerBlock", &[("gasPerBlock", Integer)], Void, STATES, 1 << 15),
    method("setRegisterPrice", &[("registerPrice", Integer)], Void, STATES, 1 << 15),
    method("unclaimedGas", &[("account", Hash160), ("end", Integer)], Integer, READ_STATES, 1 << 17),
    method("unregisterCandidate", &[("pubkey", PublicKey)], Boolean, STATES, 1 << 16).until(Echidna),
    method("unregisterCandidate", &[("pubkey", PublicKey)], Boolean, STATES_NOTIFY, 1 << 16).since(Echidna),
    method("vote", &[("account", Hash160), ("voteTo", PublicKey)], Boolean, STATES, 1 << 16).until(Echidna),
    method("vote", &[("account", Hash160), ("voteTo", PublicKey)], Boolean, STATES_NOTIFY, 1 << 16)
        .since(Echidna),
];

const POLICY: &[Method] = &[
    method("blockAccount", &[("account", Hash160)], Boolean, STATES, 1 << 15).until(Faun),
    method("blockAccount", &[("account", Hash160)], Boolean, STATES_NOTIFY, 1 << 15).since(Faun),
    method("getAttributeFee", &[("attributeType", Integer)], Integer, READ_STATES, 1 << 15).until(Echidna),
    method("getAttributeFee", &[("attributeType", Integer)], Integer, READ_STATES, 1 << 15).since(Echidna),
    method("getBlockedAccounts", &[], InteropInterface, READ_STATES, 1 << 15).since(Faun),
    method("getExecFeeFactor", &[], Integer, READ_STATES, 1 << 15),
    method("getExecPicoFeeFactor", &[], Integer, READ_STATES, 1 << 15).since(Faun),
    method("getFeePerByte", &[], Integer, READ_STATES, 1 << 15),
    method("getMaxTraceableBlocks", &[], Integer, READ_STATES, 1 << 15).since(Echidna),
    method("getMaxValidUntilBlockIncrement", &[], Integer, READ_STATES, 1 << 15).since(Echidna),
    method("getMillisecondsPerBlock", &[], Integer, READ_STATES, 1 << 15).since(Echidna),
    method("getStoragePrice", &[], Integer, READ_STATES, 1 << 15),
    method("getWhitelistFeeContracts", &[], InteropInterface, READ_STATES, 1 << 15).since(Faun),
    method("isBlocked", &[("account", Hash160)], Boolean, READ_STATES, 1 << 15),
    method("recoverFund", &[("account", Hash160), ("token", Hash160)], Boolean, ALL, 1 << 15).since(Faun),
    method(
        "removeWhitelistFeeContract",
        &[("contractHash", Hash160), ("method", String), ("argCount", Integer)],
        Void,
        STATES_NOTIFY,
        1 << 15,
    )
    .since(Faun),
    method("setAttributeFee", &[("attributeType", Integer), ("value", Integer)], Void, STATES, 1 << 15)
        .until(Echidna),
    method("setAttributeFee", &[("attributeType", Integer), ("value", Integer)], Void, STATES, 1 << 15)
        .since(Echidna),
    method("setExecFeeFactor", &[("value", Integer)], Void, STATES, 1 << 15),
    method("setFeePerByte", &[("value", Integer)], Void, STATES, 1 << 15),
    method("setMaxTraceableBlocks", &[("value", Integer)], Void, STATES, 1 << 15).since(Echidna),
    method("setMaxValidUntilBlockIncrement", &[("value", Integer)], Void, STATES, 1 << 15).since(Echidna),
    method("setMillisecondsPerBlock", &[("value", Integer)], Void, STATES_NOTIFY, 1 << 15).since(Echidna),
    method("setStoragePrice", &[("value", Integer)], Void, STATES, 1 << 15),
    method(
        "setWhitelistFeeContract",
        &[("contractHash", Hash160), ("method", String), ("argCount", Integer), ("fixedFee", Integer)],
        Void,
        STATES_NOTIFY,
        1 << 15,
    )
    .since(Faun),
    method("unblockAccount", &[("account", Hash160)], Boolean, STATES, 1 << 15),
];

const ROLE_MANAGEMENT: &[Method] = &[
    method("designateAsRole", &[("role", Integer), ("nodes", Array)], Void, STATES_NOTIFY, 1 << 15),
    method("getDesignatedByRole", &[("role", Integer), ("index", Integer)], Array, READ_STATES, 1 << 15),
];

const ORACLE: &[Method] = &[
    method("finish", &[], Void, ALL, 0),
    method("getPrice", &[], Integer, READ_STATES, 1 << 15),
    method(
        "request",
        &[
            ("url", String),
            ("filter", String),
            ("callback", String),
            ("userData", Any),
            ("gasForResponse", Integer),
        ],
        Void,
        STATES_NOTIFY,
        0,
    ),
    method("setPrice", &[("price", Integer)], Void, STATES, 1 << 15),
    method("verify", &[], Boolean, NONE, 1 << 15),
];

const NOTARY: &[Method] = &[
    method("balanceOf", &[("account", Hash160)], Integer, READ_STATES, 1 << 15),
    method("expirationOf", &[("account", Hash160)], Integer, READ_STATES, 1 << 15),
    method("getMaxNotValidBeforeDelta", &[], Integer, READ_STATES, 1 << 15),
    method("lockDepositUntil", &[("account", Hash160), ("till", Integer)], Boolean, STATES, 1 << 15),
    method("onNEP17Payment", &[("from", Hash160), ("amount", Integer), ("data", Any)], Void, STATES, 1 << 15),
    method("setMaxNotValidBeforeDelta", &[("value", Integer)], Void, STATES, 1 << 15),
    method("verify", &[("signature", ByteArray)], Boolean, READ_STATES, 1 << 15),
    method("withdraw", &[("from", Hash160), ("to", Hash160)], Boolean, ALL, 1 << 15),
];

const TREASURY: &[Method] = &[
    method(
        "onNEP11Payment",
        &[("from", Hash160), ("amount", Integer), ("tokenId", ByteArray), ("data", Any)],
        Void,
        NONE,
        1 << 5,
    ),
    method("onNEP17Payment", &[("from", Hash160), ("amount", Integer), ("data", Any)], Void, NONE, 1 << 5),
    method("verify", &[], Boolean, READ_STATES, 1 << 5),
];

const MANAGEMENT_EVENTS: &[NativeEvent] = &[
    event("Deploy", &[("Hash", Hash160)]),
    event("Update", &[("Hash", Hash160)]),
    event("Destroy", &[("Hash", Hash160)]),
];

const TRANSFER: NativeEvent = event("Transfer", &[("from", Hash160), ("to", Hash160), ("amount", Integer)]);

const NEO_EVENTS: &[NativeEvent] = &[
    TRANSFER,
    event("CandidateStateChanged", &[("pubkey", PublicKey), ("registered", Boolean), ("votes", Integer)]),
    event("Vote", &[("account", Hash160), ("from", PublicKey), ("to", PublicKey), ("amount", Integer)]),
    event("CommitteeChanged", &[("old", Array), ("new", Array)]).since(Cockatrice),
];

const POLICY_EVENTS: &[NativeEvent] = &[
    event("MillisecondsPerBlockChanged", &[("old", Integer), ("new", Integer)]).since(Echidna),
    event(
        "WhitelistFeeChanged",
        &[("contract", Hash160), ("method", String), ("argCount", Integer), ("fee", Any)],
    )
    .since(Faun),
    event("RecoveredFund", &[("account", Hash160)]).since(Faun),
];

const ROLE_EVENTS: &[NativeEvent] = &[
    event("Designation", &[("Role", Integer), ("BlockIndex", Integer)]).until(Echidna),
    event("Designation", &[("Role", Integer), ("BlockIndex", Integer), ("Old", Array), ("New", Array)])
        .since(Echidna),
];

const ORACLE_EVENTS: &[NativeEvent] = &[
    event(
        "OracleRequest",
        &[("Id", Integer), ("RequestContract", Hash160), ("Url", String), ("Filter", String)],
    ),
    event("OracleResponse", &[("Id", Integer), ("OriginalTx", Hash256)]),
];
