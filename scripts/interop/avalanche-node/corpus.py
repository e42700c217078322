"""Requests to every method of info, platform, avm, index, admin and proposervm, made from what a network has accepted.

The same request goes to two nodes, and the answers must be the same JSON, errors with their codes and texts included. Masked is
only what belongs to a node and not to the network: its id, keys, address, uptimes, peers, random samples.
"""
import json
import re
import time
import urllib.error
import urllib.request

P, X, INFO, ADMIN = "/ext/bc/P", "/ext/bc/X", "/ext/info", "/ext/admin"
EMPTY = "11111111111111111111111111111111LpoYY"
STRANGER = "2pEER9q8Tu5XVwfBQeU2NE883JsUTX9jbbmVg3SL1g2fG4KkQh"
TEST_KEY = "custom18jma8ppw3nhx5r4ap8clazz0dps7rv5u9xde7p"
TRIES = 12
# Members whose value is the node's own. Two avalanchego do not list UTXOs in the same order, so a page ends elsewhere.
OWN = {"uptime", "connected", "gitCommit", "vmVersions", "endIndex"}
# Lists that avalanchego makes from maps, whose order differs between two of its processes.
UNORDERED = {"utxos", "utxoIDs", "balances", "subnets", "blockchains"}
# Requests about the node itself: the answers must have the same members, not the same values.
SHAPES = {"info.getNodeID", "info.getNodeIP", "info.peers", "platform.sampleValidators", "info.getVMs"}


def call(uri, path, method, params):
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(f"{uri}{path}", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as answer:
        return {"status": answer.code, "text": answer.read().decode()}
    except OSError as problem:
        return {"unreachable": str(problem)}


def result(uri, path, method, params=None):
    return call(uri, path, method, params or {}).get("result") or {}


def blocks(uri, path, service):
    top = int(result(uri, path, f"{service}.getHeight").get("height", -1))
    for at in range(top + 1):
        found = result(uri, path, f"{service}.getBlockByHeight", {"height": at, "encoding": "json"})
        yield at, found.get("block") or {}


def transactions(block):
    listed = list(block.get("txs") or [])
    return listed + ([block["tx"]] if block.get("tx") else [])


def about_blocks(uri, path, service):
    """Every block and every transaction, as bytes and as JSON."""
    for at, block in blocks(uri, path, service):
        for encoding in ("hex", "json"):
            yield path, f"{service}.getBlockByHeight", {"height": str(at), "encoding": encoding}
            if "id" in block:
                yield path, f"{service}.getBlock", {"blockID": block["id"], "encoding": encoding}
        for tx in transactions(block):
            for encoding in ("hex", "hexc", "hexnc", "json"):
                yield path, f"{service}.getTx", {"txID": tx["id"], "encoding": encoding}
            yield path, f"{service}.getTxStatus", {"txID": tx["id"]}
            if service == "platform":
                yield path, "platform.getRewardUTXOs", {"txID": tx["id"], "encoding": "hex"}


def about_stakers(uri):
    subnets = [subnet["id"] for subnet in result(uri, P, "platform.getSubnets").get("subnets") or []]
    for subnet in [*subnets, STRANGER]:
        one = {"subnetID": subnet}
        for method in ("getSubnet", "getCurrentValidators", "getTotalStake", "getStakingAssetID", "getMinStake", "getCurrentSupply", "validates"):
            yield P, f"platform.{method}", one
        for at in (0, 1, 5, 20, "0x10", "proposed", 10**9):
            yield P, "platform.getValidatorsAt", {"height": at, **one}
        yield P, "platform.sampleValidators", {"size": 1, **one}
        for validator in result(uri, P, "platform.getCurrentValidators", one).get("validators") or []:
            yield P, "platform.getCurrentValidators", {"nodeIDs": [validator["nodeID"]], **one}
            if "validationID" in validator:
                yield P, "platform.getL1Validator", {"validationID": validator["validationID"]}
    yield P, "platform.getSubnets", {"ids": subnets[:2]}
    yield P, "platform.getSubnets", {"ids": [STRANGER]}
    for at in (0, 1, 5, 20, 10**9):
        yield P, "platform.getAllValidatorsAt", {"height": at}
    for chain in result(uri, P, "platform.getBlockchains").get("blockchains") or []:
        yield P, "platform.validatedBy", {"blockchainID": chain["id"]}
        if chain["subnetID"] != EMPTY:
            yield P, "platform.getBlockchainStatus", {"blockchainID": chain["id"]}


def about_owners(uri):
    for source in (None, "P", "X", "C"):
        for path, chain, service in ((P, "P", "platform"), (X, "X", "avm")):
            for limit in (0, 2000):
                params = {"addresses": [f"{chain}-{TEST_KEY}"], "limit": limit}
                if source:
                    params["sourceChain"] = source
                yield path, f"{service}.getUTXOs", params
                yield path, f"{service}.getUTXOs", {**params, "encoding": "hexnc"}
    for encoding in ("hex", "json"):
        yield P, "platform.getStake", {"addresses": [f"P-{TEST_KEY}"], "encoding": encoding}
        yield P, "platform.getStake", {"addresses": [f"P-{TEST_KEY}"], "validatorsOnly": True, "encoding": encoding}
    yield P, "platform.getBalance", {"addresses": [f"P-{TEST_KEY}"]}
    assets = {"AVAX"} | {b["asset"] for b in result(uri, X, "avm.getAllBalances", {"address": f"X-{TEST_KEY}"}).get("balances") or []}
    for asset in sorted(assets):
        yield X, "avm.getAssetDescription", {"assetID": asset}
        for partial in (False, True):
            yield X, "avm.getBalance", {"address": f"X-{TEST_KEY}", "assetID": asset, "includePartial": partial}
    for partial in (False, True):
        yield X, "avm.getAllBalances", {"address": f"X-{TEST_KEY}", "includePartial": partial}


def without_arguments():
    platform = "getHeight getCurrentSupply getSubnets getBlockchains getStakingAssetID getMinStake getTotalStake getTimestamp getFeeConfig"
    platform += " getFeeState getValidatorFeeConfig getValidatorFeeState getCurrentValidators"
    for method in platform.split():
        yield P, f"platform.{method}", {}
    for method in ("getHeight", "getTxFee"):
        yield X, f"avm.{method}", {}
    for method in "getNodeVersion getNodeID getNodeIP getNetworkID getNetworkName peers upgrades acps getTxFee getVMs".split():
        yield INFO, f"info.{method}", {}
    for chain in ("P", "X", "C", EMPTY, "nope", ""):
        yield INFO, "info.getBlockchainID", {"alias": chain}
        if chain != "C":
            yield INFO, "info.isBootstrapped", {"chain": chain}


def index(uri):
    for path in ("/ext/index/P/block", "/ext/index/X/block", "/ext/index/X/tx"):
        last = result(uri, path, "index.getLastAccepted", {"encoding": "hex"})
        top = int(last.get("index", 0))
        for at in (0, 1, top // 2, top, top + 1):
            yield path, "index.getContainerByIndex", {"index": at, "encoding": "hex"}
        for start, count in ((0, 3), (0, 1024), (top, 5), (top + 3, 1), (0, 0), (0, 1025)):
            yield path, "index.getContainerRange", {"startIndex": start, "numToFetch": count, "encoding": "hex"}
        yield path, "index.getLastAccepted", {"encoding": "hex"}
        for one in (last.get("id", EMPTY), STRANGER):
            yield path, "index.getIndex", {"id": one, "encoding": "hex"}
            yield path, "index.isAccepted", {"id": one, "encoding": "hex"}
            yield path, "index.getContainerByID", {"id": one, "encoding": "hex"}
    yield "/ext/index/P/tx", "index.getLastAccepted", {}


def refused():
    """Arguments that are missing, malformed or name nothing."""
    for path, service in ((P, "platform"), (X, "avm")):
        for params in ({"txID": STRANGER}, {"txID": STRANGER, "encoding": "json"}, {"txID": "xyz"}, {"txID": 5}, {}):
            yield path, f"{service}.getTx", params
            yield path, f"{service}.getTxStatus", params
        for params in ({"blockID": STRANGER}, {"blockID": "xyz"}, {}):
            yield path, f"{service}.getBlock", params
        for params in ({"height": 10**9}, {"height": "-1"}, {"height": "abc"}, {"height": 0, "encoding": "base64"}):
            yield path, f"{service}.getBlockByHeight", params
        for tx in ("", "0x", "0x00", "00", "0x0000deadbeef", "0x000000000000e3b0c442", "zz"):
            yield path, f"{service}.issueTx", {"tx": tx, "encoding": "hex"}
        for params in ({"addresses": []}, {"addresses": ["nonsense"]}, {"addresses": ["P-custom1xyz"]}, {"addresses": [f"Q-{TEST_KEY}"]}, {"addresses": 5}):
            yield path, f"{service}.getUTXOs", params
        yield path, f"{service}.getUTXOs", {"addresses": [f"P-{TEST_KEY}"], "sourceChain": "nope"}
        yield path, f"{service}.getUTXOs", {"addresses": [f"P-{TEST_KEY}"] * 1025}
        yield path, f"{service}.nope", {}
        yield path, f"{service}.NOPE", {}
        yield path, f"{service}.GetHeight", {}
        yield path, "nope.getHeight", {}
        yield path, "getHeight", {}
        yield path, f"{service}.getHeight", []
    for params in ({"subnetID": "xyz"}, {"subnetID": EMPTY}, {"subnetID": STRANGER}):
        for method in ("getSubnet", "getStakingAssetID", "getMinStake", "getCurrentSupply", "validates", "getTotalStake", "getCurrentValidators"):
            yield P, f"platform.{method}", params
    yield P, "platform.getCurrentValidators", {"nodeIDs": ["xyz"]}
    yield P, "platform.getL1Validator", {"validationID": STRANGER}
    yield P, "platform.getL1Validator", {}
    yield P, "platform.getBlockchainStatus", {}
    yield P, "platform.getBlockchainStatus", {"blockchainID": "xyz"}
    yield P, "platform.getBlockchainStatus", {"blockchainID": STRANGER}
    yield P, "platform.validatedBy", {"blockchainID": STRANGER}
    yield P, "platform.validatedBy", {}
    yield P, "platform.getStake", {"addresses": ["nonsense"]}
    yield P, "platform.getStake", {"addresses": [f"P-{TEST_KEY}"] * 257}
    yield P, "platform.getBalance", {"addresses": ["nonsense"]}
    yield P, "platform.getBalance", {}
    yield P, "platform.getRewardUTXOs", {"txID": STRANGER}
    yield P, "platform.sampleValidators", {"size": 1000}
    yield P, "platform.getValidatorsAt", {}
    yield P, "platform.getValidatorsAt", {"height": "nope"}
    yield P, "platform.getAllValidatorsAt", {}
    yield X, "avm.getAssetDescription", {"assetID": STRANGER}
    yield X, "avm.getAssetDescription", {"assetID": "nope"}
    yield X, "avm.getAssetDescription", {}
    yield X, "avm.getBalance", {"address": "nonsense", "assetID": "AVAX"}
    yield X, "avm.getBalance", {"address": f"X-{TEST_KEY}", "assetID": "nope"}
    yield X, "avm.getAllBalances", {"address": "nonsense"}


def other():
    yield P, "platform.getProposedHeight", {}
    for path in (f"{P}/proposervm", f"{X}/proposervm"):
        yield path, "proposervm.getProposedHeight", {}
        yield path, "proposervm.getCurrentEpoch", {}
    for chain in ("P", "X", "nope"):
        yield ADMIN, "admin.getChainAliases", {"chain": chain}
    yield ADMIN, "admin.aliasChain", {"chain": "X", "alias": "interop"}
    yield ADMIN, "admin.getChainAliases", {"chain": "interop"}
    yield "/ext/bc/interop", "avm.getHeight", {}
    yield INFO, "info.getBlockchainID", {"alias": "interop"}
    yield ADMIN, "admin.alias", {"endpoint": "bc/X", "alias": "exchange"}
    yield "/ext/exchange", "avm.getHeight", {}
    yield ADMIN, "admin.setLoggerLevel", {"loggerName": "main"}
    yield ADMIN, "admin.setLoggerLevel", {"loggerName": "main", "logLevel": "loud"}
    yield ADMIN, "admin.loadVMs", {}
    yield ADMIN, "admin.nope", {}


def requests(uri):
    yield from without_arguments()
    yield from about_stakers(uri)
    yield from about_owners(uri)
    yield from index(uri)
    yield from refused()
    yield from other()
    yield from about_blocks(uri, P, "platform")
    yield from about_blocks(uri, X, "avm")


def masked(method, value, own=OWN):
    if method in SHAPES:
        return shape(value)
    if method.startswith("index.") and isinstance(value, dict):
        own = own | {"timestamp"}  # when this node accepted it
    if isinstance(value, dict):
        return {k: "*" if k in own else ordered(k, masked(method, v, own)) for k, v in value.items()}
    return [masked(method, item, own) for item in value] if isinstance(value, list) else value


def ordered(name, value):
    return sorted(value, key=json.dumps) if name in UNORDERED and isinstance(value, list) else value


def shape(value):
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items() if len(k) < 40}
    if isinstance(value, list):
        return [shape(value[0])] if value and isinstance(value[0], dict) else "list"
    return type(value).__name__


def pages(uri, path, service, address):
    """All UTXOs of an address, three at a time."""
    found, start = [], None
    while True:
        page = result(uri, path, f"{service}.getUTXOs", {"addresses": [address], "limit": 3} | ({"startIndex": start} if start else {}))
        found += page.get("utxos") or []
        if int(page.get("numFetched", 0)) < 3:
            return sorted(found)
        start = page["endIndex"]


def compare(first, second):
    """How many requests were made, and what was unequal, as text.

    A block or a second may come between two answers, so unequal ones are asked again."""
    asked, unequal = 0, []
    for path, method, params in list(requests(first)):
        asked += 1
        for attempt in range(TRIES):
            one, two = (call(uri, path, method, params) for uri in (first, second))
            same = masked(method, one) == masked(method, two)
            if same:
                break
            time.sleep(0.1 * attempt)
        if not same:
            texts = (json.dumps(answer, sort_keys=True) for answer in (one, two))
            unequal.append("\n  ".join([f"{path} {method} {json.dumps(params)[:300]}", *around(*texts)]))
    for path, service, address in ((P, "platform", f"P-{TEST_KEY}"), (X, "avm", f"X-{TEST_KEY}")):
        asked += 1
        if pages(first, path, service, address) != pages(second, path, service, address):
            unequal.append(f"{path} {service}.getUTXOs of {address}, in pages of three")
    return asked, unequal


# What metrics tell about the network and not about the node.
PUBLIC = {
    "avalanche_platformvm_" + name for name in "total_staked price excess gas_capacity active_l1_validators accrued_validator_fees".split()
} | {"avalanche_snowman_last_accepted_height"}


def families(uri):
    """Metrics by name: type, names of labels, values by labels; of the chains both have."""
    with urllib.request.urlopen(f"{uri}/ext/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    found = {name: (kind, set(), {}) for _, _, name, kind in (line.split() for line in lines if line.startswith("# TYPE "))}
    for line in lines:
        name, _, labels = line.rsplit(" ", 1)[0].partition("{")
        if name in found and 'chain="C"' not in labels:
            found[name][1].update(pair.split("=")[0] for pair in labels.strip("}").split(",") if pair)
            found[name][2][tuple(sorted(labels.strip("}").split(",")))] = float(line.rsplit(" ", 1)[1])
    return found


def compare_metrics(go, ours):
    """How many metrics ours has under the reference's names, and what is unequal: type, labels, what they tell of the network."""
    unequal = []
    for attempt in range(TRIES):
        one, two = families(go), families(ours)
        shared = [name for name in two if re.match("avalanche_(network|health|benchlist|snowman|platformvm|avm|process)_", name)]
        parts = lambda metric, name: (*metric[:2], metric[2] if name in PUBLIC else None)
        unequal = [f"{n}\n  {one.get(n)}\n  {two[n]}" for n in shared if n not in one or parts(one[n], n) != parts(two[n], n)]
        if not unequal:
            break
        time.sleep(0.5)
    return len(shared), unequal


def around(one, two):
    """Both texts, from a little before the place where they part."""
    at = next((i for i, (a, b) in enumerate(zip(one, two)) if a != b), min(len(one), len(two)))
    start = max(0, at - 100)
    return one[start : start + 400], two[start : start + 400]


if __name__ == "__main__":
    import sys

    for what, compared in (("answers", compare), ("metrics", compare_metrics)):
        number, differences = compared(*sys.argv[1:3])
        print("\n".join(differences))
        print(f"{len(differences)} of {number} {what} differ")
