// ethers 6 as its documentation shows it, against rustock.
import { assert, facts, main, mineWith, refused, require, rskj, until } from "./facts.mjs";

const { JsonRpcProvider, WebSocketProvider, Wallet, id } = require("ethers");
const provider = new JsonRpcProvider(facts.http);
provider.pollingInterval = 300;
const truth = new JsonRpcProvider(facts.rskj);
const socket = new WebSocketProvider(facts.ws);
const wallet = new Wallet(id(facts.key), provider);
const plain = (value) => JSON.parse(JSON.stringify(value, (_, item) => (typeof item === "bigint" ? item.toString() : item)));

await main("ethers", {
  "network and blocks": async () => {
    assert.equal((await provider.getNetwork()).chainId, 33n);
    for (const tag of ["latest", 1, 120, "earliest"]) {
      assert.deepEqual(plain(await provider.getBlock(tag, true)), plain(await truth.getBlock(tag, true)));
    }
    for (const tag of ["safe", "finalized"]) {
      assert.ok((await provider.getBlock(tag)).number < (await provider.getBlockNumber()));
    }
  },
  "new heads": async () => {
    const heads = [];
    await socket.on("block", (number) => heads.push(number));
    await until(() => socket._start === undefined || socket.websocket.readyState === 1);
    await new Promise((done) => setTimeout(done, 500));
    const before = await provider.getBlockNumber();
    await rskj("evm_mine");
    await until(() => heads.includes(before + 1));
  },
  "receipts": async () => {
    for (const hash of facts.calls) {
      const ours = await provider.getTransactionReceipt(hash);
      assert.deepEqual(plain(ours), plain(await truth.getTransactionReceipt(hash)));
      assert.equal(ours.logs.length, 1);
      assert.deepEqual(plain(await provider.getTransaction(hash)), plain(await truth.getTransaction(hash)));
    }
    assert.equal(await provider.getTransactionReceipt(id("no such transaction")), null);
  },
  "logs": async () => {
    const filter = { address: facts.contract, topics: [facts.topic], fromBlock: 1, toBlock: "latest" };
    const logs = plain(await provider.getLogs(filter));
    assert.equal(logs.length, 2);
    assert.deepEqual(logs, plain(await truth.getLogs(filter)));
    assert.deepEqual(await provider.getLogs({ ...filter, topics: [id("other")] }), []);
  },
  "a transaction sent, its logs and its receipt": async () => {
    const told = [];
    await socket.on({ address: facts.contract }, (log) => told.push(log));
    await new Promise((done) => setTimeout(done, 500));
    const fields = { to: facts.contract, nonce: 0, gasLimit: 100000n, gasPrice: 60000000n, chainId: 33, type: 0 };
    const sent = await provider.broadcastTransaction(await wallet.signTransaction(fields));
    await mineWith(sent.hash);
    const receipt = await sent.wait(1, 60000);
    assert.equal(receipt.status, 1);
    assert.equal(receipt.from, wallet.address);
    await until(() => told.find((log) => log.transactionHash === sent.hash));
  },
  "refusals": async () => {
    await refused({
      getBalance: () => provider.getBalance(wallet.address),
      call: () => provider.call({ to: facts.contract }),
      estimateGas: () => provider.estimateGas({ to: facts.contract, from: wallet.address }),
      getTransactionCount: () => provider.getTransactionCount(wallet.address),
      getCode: () => provider.getCode(facts.contract),
      getStorage: () => provider.getStorage(facts.contract, 0),
    });
  },
});
