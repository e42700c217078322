// avalanchejs, unmodified, against our node: `node client.mjs OURS [C-CHAIN]`. Each transaction is built from what OURS
// answers, signed, handed to OURS, and counts when OURS says that it was accepted. The C-chain's parts of exports and imports
// need the address of a node that runs the C-chain; without it they are left out. Prints one line each; exit 1 at the first
// that fails.
import { bls, Context, L1Validator, PChainOwner, TransferableOutput, addTxSignatures, avm, evm, pvm, pvmSerial, secp256k1, utils } from '@avalabs/avalanchejs';
import { createHash, randomBytes } from 'node:crypto';

const [ours, cNode] = process.argv.slice(2);
process.on('uncaughtException', (error) => {
  // Without the line of the library, which is all of it.
  console.log(`FAILED ${error.message}\n${error.stack.split('\n').filter((line) => line.includes('client.mjs')).join('\n')}`);
  process.exit(1);
});
const AVAX = 1_000_000_000n;
const TEST_KEY = utils.base58check.decode('ewoqjP7PxY4yr3iLTpLisriqt94hdyDFNgchSxGGztUrTXtNN');
const PRIMARY = '11111111111111111111111111111111LpoYY';
// The id of a virtual machine is its name, filled up.
const MACHINE = utils.base58check.encode(Buffer.concat([Buffer.from('test'), Buffer.alloc(28)]));
const MANAGER = Buffer.from([1, 2, 3]);
// Until validators of a new L1 can sign: their set is that of an earlier height of the P-chain.
const UNTIL_SIGNERS = 80_000;

const p = new pvm.PVMApi(ours);
const x = new avm.AVMApi(ours);
const context = await Context.getContextFromURI(ours);
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// What the C-chain exported is known, and judged in a mempool, where it runs.
function apiFor(chain, aboutC = false) {
  if (!aboutC) return chain === 'P' ? p : x;
  return new (chain === 'P' ? pvm.PVMApi : avm.AVMApi)(cNode);
}

class Owner {
  constructor(key) {
    this.key = key;
    this.address = secp256k1.publicKeyBytesToAddress(secp256k1.getPublicKey(key));
    this.eth = secp256k1.publicKeyToEthAddress(secp256k1.getPublicKey(key));
  }
  on(chain) {
    return utils.format(chain, context.hrp, this.address);
  }
  async utxos(chain, source) {
    const api = apiFor(chain, source === 'C');
    const found = await api.getUTXOs({ addresses: [this.on(chain)], sourceChain: source });
    return found.utxos;
  }
  // What all builders of the P-chain take.
  async props(source) {
    return { feeState: await p.getFeeState(), fromAddressesBytes: [this.address], utxos: await this.utxos('P', source) };
  }
  output(amount, owner = this) {
    return TransferableOutput.fromNative(context.avaxAssetID, amount, [owner.address]);
  }
  async sign(unsignedTx) {
    await addTxSignatures({ unsignedTx, privateKeys: [this.key] });
    if (!unsignedTx.hasAllSignatures()) {
      // The authorization by the owner of a subnet or validator, whose credential is the last.
      const signature = await secp256k1.sign(unsignedTx.toBytes(), this.key);
      unsignedTx.addSignatureAt(signature, unsignedTx.getCredentials().length - 1, 0);
    }
    return unsignedTx.getSignedTx();
  }
}

// Hands a transaction to our node and waits until our node says that it is accepted.
async function confirm(chain, kind, owner, unsignedTx) {
  const { txID } = await apiFor(chain, kind.endsWith('from C')).issueSignedTx(await owner.sign(unsignedTx));
  const api = apiFor(chain);
  for (let tries = 0; tries < 120; tries += 1) {
    const { status, reason } = await api.getTxStatus({ txID });
    if (status === 'Committed' || status === 'Accepted') {
      console.log(`${chain} ${kind} ${txID}`);
      return txID;
    }
    if (status === 'Dropped' || status === 'Rejected') throw new Error(`${kind} ${txID}: ${status}: ${reason}`);
    await sleep(250);
  }
  throw new Error(`${kind} ${txID} is not accepted`);
}

async function onP(kind, owner, build, props = {}, source = undefined) {
  return confirm('P', kind, owner, build({ ...(await owner.props(source)), ...props }, context));
}

async function onX(kind, owner, build) {
  return confirm('X', kind, owner, build(await owner.utxos('X')));
}

// On the C-chain there are only exports and imports; its own node says that they are accepted.
async function onC(kind, owner, build) {
  const api = new evm.EVMApi(cNode);
  const tx = build(await api.getBaseFee(), api);
  const { txID } = await api.issueSignedTx(await owner.sign(await tx));
  for (let tries = 0; tries < 120; tries += 1) {
    const { status } = await api.getAtomicTxStatus(txID);
    if (status === 'Accepted') {
      console.log(`C ${kind} ${txID}`);
      return;
    }
    await sleep(250);
  }
  throw new Error(`${kind} ${txID} is not accepted`);
}

const nodeId = () => `NodeID-${utils.base58check.encode(randomBytes(20))}`;
const inSeconds = (seconds) => BigInt(Math.floor(Date.now() / 1000) + seconds);

function possession() {
  // Below the group's order whatever the other bytes are.
  const secret = bls.secretKeyFromBytes(Buffer.concat([Buffer.from([1]), randomBytes(31)]));
  const publicKey = bls.publicKeyToBytes(bls12PublicKey(secret));
  return { secret, publicKey, signature: bls.signProofOfPossession(publicKey, secret) };
}

function bls12PublicKey(secret) {
  const generator = bls.publicKeyFromBytes(
    '97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb',
  );
  return generator.multiply(secret);
}

// Warp messages are few bytes in a fixed order; avalanchejs takes them as they are.
const u16 = (value) => Buffer.from([value >> 8, value & 255]);
const u32 = (value) => { const bytes = Buffer.alloc(4); bytes.writeUInt32BE(value); return bytes; };
const u64 = (value) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64BE(BigInt(value)); return bytes; };
const counted = (bytes) => Buffer.concat([u32(bytes.length), bytes]);
const id = (text) => Buffer.from(utils.base58check.decode(text));
const node = (text) => Buffer.from(utils.base58check.decode(text.slice('NodeID-'.length)));
const sha256 = (bytes) => createHash('sha256').update(bytes).digest();

function signedBy(signer, bit, chain, content) {
  const call = Buffer.concat([u16(0), u32(1), counted(MANAGER), counted(content)]);
  const unsigned = Buffer.concat([u16(0), u32(context.networkID), id(chain), counted(call)]);
  return Buffer.concat([unsigned, u32(0), counted(Buffer.from([1 << bit])), bls.sign(unsigned, signer.secret)]);
}

async function transfers(owner) {
  await onP('base', owner, pvm.newBaseTx, { outputs: [owner.output(AVAX)] });
  await onP('export to X', owner, pvm.newExportTx, { destinationChainId: context.xBlockchainID, outputs: [owner.output(30n * AVAX)] });
  const waiting = await owner.utxos('X', 'P');
  await onX('import from P', owner, () => avm.newImportTx(context, context.pBlockchainID, waiting, [owner.address], [owner.address]));
  await onX('base', owner, (utxos) => avm.newBaseTx(context, [owner.address], utxos, [owner.output(AVAX)]));
  await onX('export to P', owner, (utxos) => avm.newExportTx(context, context.pBlockchainID, [owner.address], utxos, [owner.output(2n * AVAX)]));
  await onP('import from X', owner, pvm.newImportTx, { sourceChainId: context.xBlockchainID, toAddressesBytes: [owner.address] }, 'X');
}

async function withC(owner) {
  const importOn = (source, alias) => onC(`import from ${alias}`, owner, async (baseFee, api) => {
    const { utxos } = await api.getUTXOs({ addresses: [owner.on('C')], sourceChain: alias });
    return evm.newImportTxFromBaseFee(context, owner.eth, [owner.address], utxos, source, baseFee);
  });
  const exportTo = (target, alias, nonce) => onC(`export to ${alias}`, owner, (baseFee) =>
    evm.newExportTxFromBaseFee(context, baseFee, AVAX, target, owner.eth, [owner.address], nonce));
  await onP('export to C', owner, pvm.newExportTx, { destinationChainId: context.cBlockchainID, outputs: [owner.output(4n * AVAX)] });
  await importOn(context.pBlockchainID, 'P');
  await onX('export to C', owner, (utxos) => avm.newExportTx(context, context.cBlockchainID, [owner.address], utxos, [owner.output(AVAX)]));
  await importOn(context.xBlockchainID, 'X');
  await exportTo(context.pBlockchainID, 'P', 0n);
  await onP('import from C', owner, pvm.newImportTx, { sourceChainId: context.cBlockchainID, toAddressesBytes: [owner.address] }, 'C');
  await exportTo(context.xBlockchainID, 'X', 1n);
  const waiting = await owner.utxos('X', 'C');
  await onX('import from C', owner, () => avm.newImportTx(context, context.cBlockchainID, waiting, [owner.address], [owner.address]));
}

async function staking(owner) {
  const signer = possession();
  const nodeID = nodeId();
  const staker = { start: 0n, nodeId: nodeID, subnetId: PRIMARY, rewardAddresses: [owner.address] };
  const { publicKey, signature } = signer;
  await onP('add validator', owner, pvm.newAddPermissionlessValidatorTx,
    { ...staker, end: inSeconds(75), weight: 2000n * AVAX, shares: 100_000, publicKey, signature, delegatorRewardsOwner: [owner.address] });
  const { validators } = await p.getCurrentValidators({ nodeIDs: [nodeID] });
  if (validators[0]?.signer?.publicKey !== utils.bufferToHex(publicKey)) throw new Error('the new validator is not among the current ones');
  await onP('add delegator', owner, pvm.newAddPermissionlessDelegatorTx, { ...staker, end: inSeconds(45), weight: 25n * AVAX });
}

async function subnets(owner, member) {
  const subnetOwners = [owner.address];
  const permissioned = await onP('create subnet', owner, pvm.newCreateSubnetTx, { subnetOwners });
  const validator = { subnetId: permissioned, subnetAuth: [0], nodeId: member };
  await onP('create chain', owner, pvm.newCreateChainTx,
    { subnetId: permissioned, subnetAuth: [0], chainName: 'chain one', vmId: MACHINE, fxIds: [], genesisData: { a: 1 } });
  await onP('add subnet validator', owner, pvm.newAddSubnetValidatorTx, { ...validator, start: 0n, end: inSeconds(60), weight: 7n });
  await onP('remove subnet validator', owner, pvm.newRemoveSubnetValidatorTx, validator);
  await onP('transfer subnet ownership', owner, pvm.newTransferSubnetOwnershipTx, { subnetId: permissioned, subnetAuth: [0], subnetOwners });
}

async function l1(owner) {
  const subnetId = await onP('create subnet', owner, pvm.newCreateSubnetTx, { subnetOwners: [owner.address] });
  const chain = await onP('create chain', owner, pvm.newCreateChainTx,
    { subnetId, subnetAuth: [0], chainName: 'chain two', vmId: MACHINE, fxIds: [], genesisData: { a: 1 } });
  const remaining = PChainOwner.fromNative([owner.address]);
  const signers = [possession(), possession()];
  const proof = ({ publicKey, signature }) => new pvmSerial.ProofOfPossession(publicKey, signature);
  const ids = [nodeId(), nodeId()].sort((a, b) => Buffer.compare(node(a), node(b)));
  const validators = signers.map((signer, index) =>
    L1Validator.fromNative(ids[index], index === 0 ? 80n : 10n, AVAX, proof(signer), remaining, remaining));
  await onP('convert subnet to L1', owner, pvm.newConvertSubnetToL1Tx, { subnetId, chainId: chain, subnetAuth: [0], address: MANAGER, validators });
  await sleep(UNTIL_SIGNERS);

  const validation = (index) => utils.base58check.encode(sha256(Buffer.concat([id(subnetId), u32(index)])));
  await onP('increase L1 balance', owner, pvm.newIncreaseL1ValidatorBalanceTx, { balance: AVAX / 1000n, validationId: validation(1) });
  const long = ({ publicKey }) => Buffer.from(bls.publicKeyFromBytes(publicKey).toRawBytes(false));
  const bit = Buffer.compare(long(signers[0]), long(signers[1])) > 0 ? 1 : 0;
  const pOwner = Buffer.concat([u32(1), u32(1), owner.address]);
  const third = possession();
  const registration = Buffer.concat([u16(0), u32(1), id(subnetId), counted(node(nodeId())), third.publicKey,
    u64(inSeconds(300)), pOwner, pOwner, u64(5)]);
  const sent = (content) => ({ message: signedBy(signers[0], bit, chain, content) });
  await onP('register L1 validator', owner, pvm.newRegisterL1ValidatorTx,
    { balance: AVAX / 2n, blsSignature: third.signature, ...sent(registration) });
  const weight = (nonce, value) => sent(Buffer.concat([u16(0), u32(3), sha256(registration), u64(nonce), u64(value)]));
  await onP('set L1 validator weight', owner, pvm.newSetL1ValidatorWeightTx, weight(0, 6));
  await onP('remove L1 validator', owner, pvm.newSetL1ValidatorWeightTx, weight(1, 0));
  await onP('disable L1 validator', owner, pvm.newDisableL1ValidatorTx, { validationId: validation(1), disableAuth: [0] });
}

// On the X-chain the test key may own NFTs and properties, which avalanchejs cannot read; its coins there come from the P-chain.
const funded = new Owner(TEST_KEY);
const owner = new Owner(randomBytes(32));
await onP('funding', funded, pvm.newBaseTx, { outputs: [funded.output(5000n * AVAX, owner)] });
const { validators } = await p.getCurrentValidators();
await transfers(owner);
if (cNode) await withC(owner);
await staking(owner);
await subnets(owner, validators.toSorted((a, b) => Number(b.endTime) - Number(a.endTime))[0].nodeID);
await l1(owner);
