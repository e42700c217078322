"""web3.py as its documentation shows it, against rustock."""
import asyncio
import importlib.metadata
import json
import os
import sys
import time
import traceback

from web3 import AsyncWeb3, HTTPProvider, Web3, WebSocketProvider

FACTS = json.loads(os.environ["FACTS"])
OURS, TRUTH = Web3(HTTPProvider(FACTS["http"])), Web3(HTTPProvider(FACTS["rskj"]))
ACCOUNT = OURS.eth.account.from_key(Web3.keccak(text=FACTS["key"]))


def blocks():
    assert OURS.is_connected() and OURS.eth.chain_id == 33
    for name in (0, 1, 120, TRUTH.eth.block_number):
        ours, theirs = OURS.eth.get_block(name, True), TRUTH.eth.get_block(name, True)
        assert ours == theirs, (ours, theirs)
    for tag in ("safe", "finalized"):
        assert OURS.eth.get_block(tag)["number"] < OURS.eth.block_number
    assert OURS.eth.get_block_transaction_count(120) == TRUTH.eth.get_block_transaction_count(120)
    assert OURS.eth.fee_history(4, "latest", [])["oldestBlock"] == OURS.eth.block_number - 3


def heads():
    async def follow():
        async with AsyncWeb3(WebSocketProvider(FACTS["ws"])) as socket:
            await socket.eth.subscribe("newHeads")
            await asyncio.to_thread(TRUTH.provider.make_request, "evm_mine", [])
            async for told in socket.socket.process_subscriptions():
                if told["result"]["hash"] == TRUTH.eth.get_block("latest")["hash"]:
                    return

    asyncio.run(asyncio.wait_for(follow(), 30))


def receipts():
    for call in FACTS["calls"]:
        ours, theirs = OURS.eth.get_transaction_receipt(call), TRUTH.eth.get_transaction_receipt(call)
        assert ours == theirs and len(ours["logs"]) == 1, (ours, theirs)
        assert OURS.eth.get_transaction(call) == TRUTH.eth.get_transaction(call)


def logs():
    wanted = {"address": Web3.to_checksum_address(FACTS["contract"]), "fromBlock": 1, "toBlock": "latest", "topics": [FACTS["topic"]]}
    ours, theirs = OURS.eth.get_logs(wanted), TRUTH.eth.get_logs(wanted)
    assert ours == theirs and len(ours) >= 2, (ours, theirs)
    kept = OURS.eth.filter({**wanted, "fromBlock": 1})
    assert [log["transactionHash"] for log in kept.get_all_entries()] == [log["transactionHash"] for log in ours]


def send():
    kept = OURS.eth.filter({"address": Web3.to_checksum_address(FACTS["contract"])})
    signed = ACCOUNT.sign_transaction({
        "chainId": 33, "nonce": 0, "gas": 100000, "gasPrice": 60000000, "value": 0, "to": Web3.to_checksum_address(FACTS["contract"]),
    })
    sent = OURS.eth.send_raw_transaction(signed.raw_transaction)
    for _ in range(300):
        if TRUTH.provider.make_request("eth_getTransactionByHash", [sent.to_0x_hex()]).get("result"):
            break
        time.sleep(0.1)
    TRUTH.provider.make_request("evm_mine", [])
    receipt = OURS.eth.wait_for_transaction_receipt(sent, timeout=60, poll_latency=0.3)
    assert receipt["status"] == 1 and receipt["from"] == ACCOUNT.address
    assert [log["transactionHash"] for log in kept.get_new_entries()] == [sent]


def refusals():
    contract = Web3.to_checksum_address(FACTS["contract"])
    calls = {
        "get_balance": lambda: OURS.eth.get_balance(ACCOUNT.address),
        "call": lambda: OURS.eth.call({"to": contract}),
        "estimate_gas": lambda: OURS.eth.estimate_gas({"to": contract, "from": ACCOUNT.address}),
        "get_transaction_count": lambda: OURS.eth.get_transaction_count(ACCOUNT.address),
        "get_code": lambda: OURS.eth.get_code(contract),
    }
    for name, call in calls.items():
        try:
            call()
        except Exception as error:  # pylint: disable=broad-except
            assert "does not exist/is not available" in str(error), (name, error)
        else:
            raise AssertionError(f"{name} was answered")


STEPS = {
    "network and blocks": blocks, "new heads": heads, "receipts": receipts, "logs": logs,
    "a transaction sent, its logs and its receipt": send, "refusals": refusals,
}
NAME = f"web3.py {importlib.metadata.version('web3')}"
for step, run in STEPS.items():
    try:
        run()
    except Exception:  # pylint: disable=broad-except
        print(f"{NAME}: FAILED: {step}: {traceback.format_exc()}")
        sys.exit(1)
print(f"{NAME}: {', '.join(STEPS)}: ok")
