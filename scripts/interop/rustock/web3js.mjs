// web3.js 4 as its documentation shows it, against rustock.
import { assert, facts, main, mineWith, refused, require, rskj, until } from "./facts.mjs";

const { Web3 } = require("web3");
const web3 = new Web3(facts.http);
const truth = new Web3(facts.rskj);
const socket = new Web3(facts.ws);
const account = web3.eth.accounts.privateKeyToAccount(web3.utils.keccak256(web3.utils.utf8ToHex(facts.key)));

await main("web3", {
  "network and blocks": async () => {
    assert.equal(await web3.eth.getChainId(), 33n);
    for (const number of [0, 1, 120, await truth.eth.getBlockNumber()]) {
      assert.deepEqual(await web3.eth.getBlock(number, true), await truth.eth.getBlock(number, true));
    }
    for (const tag of ["safe", "finalized"]) {
      assert.ok((await web3.eth.getBlock(tag)).number < (await web3.eth.getBlockNumber()));
    }
    assert.equal(await web3.eth.getGasPrice(), await truth.eth.getGasPrice());
  },
  "new heads": async () => {
    const heads = [];
    const subscription = await socket.eth.subscribe("newHeads");
    subscription.on("data", (head) => heads.push(head));
    subscription.on("error", (error) => heads.push(error));
    await rskj("evm_mine");
    const best = await truth.eth.getBlock("latest");
    await until(() => heads.find((head) => head.hash === best.hash));
    await subscription.unsubscribe();
  },
  "receipts": async () => {
    for (const hash of facts.calls) {
      const ours = await web3.eth.getTransactionReceipt(hash);
      assert.deepEqual(ours, await truth.eth.getTransactionReceipt(hash));
      assert.deepEqual(await web3.eth.getTransaction(hash), await truth.eth.getTransaction(hash));
      assert.equal(ours.logs.length, 1);
    }
  },
  "logs": async () => {
    const wanted = { address: facts.contract, fromBlock: 1, toBlock: "latest", topics: [facts.topic] };
    const logs = await web3.eth.getPastLogs(wanted);
    assert.ok(logs.length >= 2);
    assert.deepEqual(logs, await truth.eth.getPastLogs(wanted));
  },
  "a transaction sent, its logs and its receipt": async () => {
    const told = [];
    const subscription = await socket.eth.subscribe("logs", { address: facts.contract });
    subscription.on("data", (log) => told.push(log));
    const fields = { chainId: 33, type: 0, nonce: 0, gas: 100000, gasPrice: 60000000, to: facts.contract };
    const signed = await account.signTransaction(fields);
    web3.eth.transactionPollingInterval = 300;
    // Its check before sending would execute the transaction, which needs state.
    const sent = web3.eth.sendSignedTransaction(signed.rawTransaction, undefined, { checkRevertBeforeSending: false });
    await mineWith(signed.transactionHash);
    assert.equal((await sent).status, 1n);
    await until(() => told.find((log) => log.transactionHash === signed.transactionHash));
    await subscription.unsubscribe();
  },
  "refusals": async () => {
    await refused({
      getBalance: () => web3.eth.getBalance(account.address),
      call: () => web3.eth.call({ to: facts.contract }),
      estimateGas: () => web3.eth.estimateGas({ to: facts.contract, from: account.address }),
      getTransactionCount: () => web3.eth.getTransactionCount(account.address),
      getCode: () => web3.eth.getCode(facts.contract),
    });
  },
});
