// What the three JavaScript clients share: the facts from the runner, checks that name themselves, and rskj asked plainly.
import { createRequire } from "node:module";
import assert from "node:assert/strict";

export { assert };
export const facts = JSON.parse(process.env.FACTS);
export const require = createRequire(facts.clients + "/");
export const version = (name) => require(`${facts.clients}/node_modules/${name}/package.json`).version;

export async function rskj(method, ...params) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const reply = await fetch(facts.rskj, { method: "POST", body, headers: { "content-type": "application/json" } });
  return (await reply.json()).result;
}

export async function until(look) {
  for (let tries = 0; tries < 300; tries++) {
    const found = await look();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error("waited in vain");
}

/** Mines a block once rskj has the transaction that a client handed to rustock. */
export async function mineWith(hash) {
  await until(() => rskj("eth_getTransactionByHash", hash));
  await rskj("evm_mine");
}

/** Each of the calls must be refused with words that tell why. */
export async function refused(calls) {
  for (const [name, call] of Object.entries(calls)) {
    const answer = await call().then((value) => ({ value }), (error) => ({ error }));
    assert.ok(answer.error, `${name} was answered`);
    const { message, details, innerError, cause, info } = answer.error;
    const said = [message, details, innerError?.message, cause?.message, info?.error?.message];
    assert.ok(said.some((text) => text?.includes("does not exist/is not available")), `${name}: ${said}`);
  }
}

export async function main(name, steps) {
  try {
    for (const [step, run] of Object.entries(steps)) {
      await run().catch((error) => { error.message = `${step}: ${error.message}`; throw error; });
    }
    console.log(`${name} ${version(name)}: ${Object.keys(steps).join(", ")}: ok`);
    process.exit(0);
  } catch (error) {
    console.log(`${name} ${version(name)}: FAILED: ${error.stack}`);
    process.exit(1);
  }
}
