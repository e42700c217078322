// viem 2 as its documentation shows it, against rustock.
import { assert, facts, main, mineWith, refused, require, rskj, until } from "./facts.mjs";

const { createPublicClient, defineChain, http, keccak256, toBytes, webSocket } = require("viem");
const { privateKeyToAccount } = require("viem/accounts");
const chain = defineChain({
  id: 33, name: "regtest", nativeCurrency: { name: "rbtc", symbol: "RBTC", decimals: 18 }, rpcUrls: { default: { http: [facts.http] } },
});
const client = createPublicClient({ chain, transport: http(), pollingInterval: 300 });
const truth = createPublicClient({ chain, transport: http(facts.rskj) });
const socket = createPublicClient({ chain, transport: webSocket(facts.ws) });
const account = privateKeyToAccount(keccak256(toBytes(facts.key)));

await main("viem", {
  "network and blocks": async () => {
    assert.equal(await client.getChainId(), 33);
    for (const blockNumber of [0n, 1n, 120n, await truth.getBlockNumber()]) {
      const wanted = { blockNumber, includeTransactions: true };
      assert.deepEqual(await client.getBlock(wanted), await truth.getBlock(wanted));
    }
    for (const blockTag of ["safe", "finalized"]) {
      assert.ok((await client.getBlock({ blockTag })).number < (await client.getBlockNumber({ cacheTime: 0 })));
    }
    assert.equal(await client.getBlockTransactionCount({ blockNumber: 120n }), await truth.getBlockTransactionCount({ blockNumber: 120n }));
  },
  "new heads": async () => {
    const heads = [];
    const stop = socket.watchBlocks({ onBlock: (block) => heads.push(block), onError: (error) => heads.push(error) });
    await new Promise((done) => setTimeout(done, 500));
    await rskj("evm_mine");
    const best = await truth.getBlock();
    await until(() => heads.find((head) => head.hash === best.hash));
    stop();
  },
  "receipts": async () => {
    for (const hash of facts.calls) {
      const ours = await client.getTransactionReceipt({ hash });
      assert.deepEqual(ours, await truth.getTransactionReceipt({ hash }));
      assert.deepEqual(await client.getTransaction({ hash }), await truth.getTransaction({ hash }));
      assert.equal(ours.logs.length, 1);
    }
  },
  "logs": async () => {
    const wanted = { address: facts.contract, fromBlock: 1n, toBlock: await truth.getBlockNumber() };
    const logs = await client.getLogs(wanted);
    assert.ok(logs.length >= 2);
    assert.deepEqual(logs, await truth.getLogs(wanted));
    const filter = await client.createEventFilter({ address: facts.contract, fromBlock: 1n });
    assert.deepEqual((await client.getFilterLogs({ filter })).length, logs.length);
  },
  "a transaction sent, its logs and its receipt": async () => {
    const told = [];
    const stop = socket.watchEvent({ address: facts.contract, onLogs: (logs) => told.push(...logs) });
    await new Promise((done) => setTimeout(done, 500));
    const fields = { chainId: 33, type: "legacy", nonce: 0, gas: 100000n, gasPrice: 60000000n, to: facts.contract };
    const hash = await client.sendRawTransaction({ serializedTransaction: await account.signTransaction(fields) });
    await mineWith(hash);
    const receipt = await client.waitForTransactionReceipt({ hash, timeout: 60000 });
    assert.equal(receipt.status, "success");
    await until(() => told.find((log) => log.transactionHash === hash));
    stop();
  },
  "refusals": async () => {
    await refused({
      getBalance: () => client.getBalance({ address: account.address }),
      call: () => client.call({ to: facts.contract }),
      estimateGas: () => client.estimateGas({ account, to: facts.contract }),
      getTransactionCount: () => client.getTransactionCount({ address: account.address }),
      getCode: () => client.getCode({ address: facts.contract }),
    });
  },
});
