//! For tests and benches only: a private network on which every upgrade is active, keys, payments and fluxnodes on it, and
//! a laboratory that makes chains. Nothing here is part of the daemon.

use std::{path::Path, sync::Arc};

use fluxd_chainstate::{ChainEvent, ChainState, Options};
use fluxd_consensus::{
    check::CheckedBlock,
    params::{Network, Params, TimedKey},
    upgrades::Upgrade,
};
use fluxd_fluxnode::{Tier, message};
use fluxd_primitives::{
    Address, Amount, COIN, Codec, OutPoint, Proof, PublicKey, Script, Transaction, TxId, TxIn, TxOut, sha256,
    transaction::{
        FLUXNODE_UPGRADEABLE_VERSION, SAPLING_GROUP, SAPLING_VERSION,
        fluxnode::{Claim, Confirm, FluxnodeTx, NORMAL_BIT, Owner, Start},
    },
};
use fluxd_script::{
    SighashParts, ecdsa::message_hash, instruction::pay_to, sighash, sighash::SignedInput, signature_hash,
};
use secp256k1::{Message, SecretKey, ecdsa::RecoverableSignature};

use crate::{
    PoolTx, Selection, Settings, mine,
    template::{Maker, assemble},
};

/// First height of proof of node on the test network; blocks before it carry proof of work.
pub const PON_FROM: u32 = 20;
/// Number of the key that signs benchmarks.
const BENCHMARK_KEY: u32 = 1;
/// Number of the key that is paid by PoW blocks.
pub const MINER_KEY: u32 = 2;
/// Seconds between blocks.
const SPACING: i64 = 30;

/// Regtest with every upgrade active from the first block on, and proof of node from [`PON_FROM`].
#[must_use]
pub fn params() -> Params {
    let mut params = Params::of(Network::Regtest);
    for upgrade in [Upgrade::Acadia, Upgrade::Kamata, Upgrade::Flux, Upgrade::Halving, Upgrade::P2shNodes] {
        params = params.with_activation(upgrade, 1);
    }
    params = params.with_activation(Upgrade::Pon, PON_FROM);
    params.benchmark_keys = vec![TimedKey { key: Key::number(BENCHMARK_KEY).public, from: 0 }];
    params
}

/// A key that its number determines.
#[derive(Debug, Clone)]
pub struct Key {
    secret: SecretKey,
    /// Its public half, compressed.
    pub public: PublicKey,
}

impl Key {
    /// The key of a number.
    ///
    /// # Panics
    /// Never: a hash that is no scalar is not to be found.
    #[must_use]
    pub fn number(number: u32) -> Self {
        let secret = SecretKey::from_secret_bytes(sha256(&number.to_le_bytes())).expect("a scalar");
        let point = secp256k1::PublicKey::from_secret_key(&secret);
        Self { secret, public: PublicKey::from_serialized(&point.serialize()) }
    }

    /// The script that pays it.
    #[must_use]
    pub fn script(&self) -> Script {
        pay_to(&Address::PubkeyHash(self.public.id()))
    }

    /// A recoverable signature over a text.
    #[must_use]
    pub fn sign_message(&self, message: &[u8]) -> Vec<u8> {
        let digest = Message::from_digest(message_hash(message));
        let signature = RecoverableSignature::sign_ecdsa_recoverable(digest, &self.secret);
        let (id, compact) = signature.serialize_compact();
        [&[31 + id.to_u8()][..], &compact].concat()
    }

    /// Signs all inputs of a transaction, which spend outputs that pay this key.
    pub fn sign(&self, tx: &mut Transaction, spent: &[TxOut], branch_id: u32) {
        let parts = SighashParts::new(tx);
        let mut scripts = Vec::new();
        for (index, output) in spent.iter().enumerate() {
            let signed = SignedInput { index, script_code: &output.script_pubkey.0, amount: output.value };
            let hash = signature_hash(tx, &parts, Some(signed), sighash::ALL, branch_id).unwrap_or_default();
            let signature = secp256k1::ecdsa::sign(Message::from_digest(hash.0), &self.secret);
            let der = [&signature.serialize_der()[..], &[1]].concat();
            let push = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap_or_default()][..], bytes].concat();
            scripts.push([push(&der), push(self.public.as_bytes())].concat());
        }
        for (input, script) in tx.inputs.iter_mut().zip(scripts) {
            input.script_sig = Script(script);
        }
    }
}

/// The collateral of a tier after its transition.
#[must_use]
pub fn collateral(tier: Tier) -> Amount {
    Amount::from_zat(
        COIN * match tier {
            Tier::Cumulus => 1_000,
            Tier::Nimbus => 12_500,
            Tier::Stratus => 40_000,
        },
    )
}

/// A chain that grows block by block.
#[derive(Debug)]
pub struct Lab {
    /// The chain.
    pub chain: ChainState,
    /// The clock, seconds since the epoch.
    pub now: i64,
    settings: Settings,
}

impl Lab {
    /// A laboratory with its flat files in a folder and its tables in memory.
    ///
    /// # Panics
    /// The folder cannot be used.
    #[must_use]
    pub fn in_memory(dir: &Path, options: Options) -> Self {
        Self::with(ChainState::in_memory(dir, Arc::new(params()), options).expect("a chain state"))
    }

    /// A laboratory on disk.
    ///
    /// # Panics
    /// The folder cannot be used.
    #[must_use]
    pub fn open(dir: &Path, options: Options) -> Self {
        Self::with(ChainState::open(dir, Arc::new(params()), options).expect("a chain state"))
    }

    /// A laboratory around a chain.
    #[must_use]
    pub fn with(chain: ChainState) -> Self {
        let now = i64::from(chain.index().entry(chain.index().tip()).time()) + SPACING;
        Self { chain, now, settings: Settings::default() }
    }

    /// Makes the next block of these transactions without adding it.
    ///
    /// # Panics
    /// The block would break a rule.
    #[must_use]
    pub fn make(&mut self, transactions: Vec<Transaction>) -> Arc<CheckedBlock> {
        let pool: Vec<PoolTx> = transactions.into_iter().map(pool_tx).collect();
        self.now += SPACING;
        let script = Key::number(MINER_KEY).script();
        mine(&self.chain, &pool, &self.settings, &script, self.now).expect("a valid block")
    }

    /// Makes the next block of these transactions, all of which must fit, and adds it.
    ///
    /// # Panics
    /// The block breaks a rule or lacks one of them.
    pub fn mine(&mut self, transactions: Vec<Transaction>) -> Arc<CheckedBlock> {
        let count = transactions.len();
        let block = self.make(transactions);
        assert_eq!(block.txids().len(), count + 1, "every transaction is in the block");
        self.add(&block);
        assert_eq!(self.chain.tip().hash, block.hash());
        block
    }

    /// Makes the next block of these transactions without asking whether they may be in it, which is quick; the fees count
    /// as zero.
    ///
    /// # Panics
    /// The network has no proof of node yet, or the block breaks a rule of its own.
    #[must_use]
    pub fn assemble(&mut self, transactions: Vec<Transaction>) -> Arc<CheckedBlock> {
        self.now += SPACING;
        let params = self.chain.params();
        let maker = Maker {
            script: params.funding_script(params.dev_fund),
            collateral: params.pon.bypass.expect("a private network"),
            time: u32::try_from(self.now).expect("this century"),
        };
        let selection = Selection {
            txids: transactions.iter().map(Transaction::txid).collect(),
            fees: vec![Amount::ZERO; transactions.len()],
            sigops: vec![0; transactions.len()],
            transactions: transactions.into_iter().map(Arc::new).collect(),
        };
        let mut block = assemble(&self.chain, &selection, &maker, self.now).block;
        if let Proof::Node { signature, .. } = &mut block.header.proof {
            *signature = vec![0; 64];
        }
        Arc::new(CheckedBlock::new(Arc::new(block)).expect("a block of its own rules"))
    }

    /// A chain as busy with fluxnodes as the main network: `nodes` of them run, and each of `blocks` blocks confirms
    /// `per_block` of them again, in turn.
    ///
    /// # Panics
    /// There are so few nodes that one would confirm again too soon.
    pub fn grow_busy(&mut self, nodes: u32, blocks: u32, per_block: u32) {
        self.mine_to(1);
        let first = self.chain.index().at_height(1).expect("mined");
        let premine = outpoint(self.chain.body(first).expect("stored").txids()[0], 0);
        self.mine_to(101);
        let owner = Key::number(MINER_KEY);
        let node = Key::number(3);
        let payments = vec![(collateral(Tier::Cumulus), &owner); usize::try_from(nodes).unwrap_or_default()];
        let split = self.pay(premine, outputs(&payments));
        let txid = split.txid();
        self.mine(vec![split]);
        self.mine_to(203);
        let collaterals: Vec<OutPoint> = (1..=nodes).map(|index| outpoint(txid, index)).collect();
        for first_confirm in [false, true] {
            for part in collaterals.chunks(1000) {
                let now = u32::try_from(self.now).expect("this century");
                let make = |collateral: &OutPoint| {
                    if first_confirm {
                        confirm(*collateral, &node, false, "192.0.2.1:16127", now)
                    } else {
                        start(*collateral, &owner, &node, now)
                    }
                };
                let block = self.assemble(part.iter().map(make).collect());
                self.add(&block);
            }
        }
        // An address may be changed so many blocks later.
        self.mine_to(self.chain.index().height() + 6);
        let mut turn = collaterals.iter().cycle();
        for number in 0..blocks {
            let now = u32::try_from(self.now).expect("this century");
            let ip = format!("198.51.{}.{}:16127", number / 200 % 200, number % 200);
            let updates = turn.by_ref().take(usize::try_from(per_block).unwrap_or_default());
            let block = self
                .assemble(updates.map(|collateral| confirm(*collateral, &node, true, &ip, now)).collect());
            self.add(&block);
            assert_eq!(self.chain.tip().hash, block.hash(), "the block is connected");
        }
    }

    /// Makes and adds empty blocks up to a height.
    pub fn mine_to(&mut self, height: u32) {
        while self.chain.index().height() < height {
            self.mine(Vec::new());
        }
    }

    /// Adds a block and activates the best chain.
    ///
    /// # Panics
    /// The block is refused.
    pub fn add(&mut self, block: &Arc<CheckedBlock>) -> Vec<ChainEvent> {
        self.chain.accept_block(block, true, self.now).expect("accepted");
        self.activate()
    }

    /// Activates the best chain.
    ///
    /// # Panics
    /// The store fails.
    pub fn activate(&mut self) -> Vec<ChainEvent> {
        let mut events = Vec::new();
        loop {
            let step = self.chain.activate(self.now).expect("activated");
            events.extend(step.events);
            if !step.more {
                return events;
            }
        }
    }

    /// Splits an output of [`MINER_KEY`] into outputs, of which the first pays the rest back.
    ///
    /// # Panics
    /// The output is not there or too small.
    #[must_use]
    pub fn pay(&self, from: OutPoint, outputs: Vec<TxOut>) -> Transaction {
        let key = Key::number(MINER_KEY);
        let coin = self.chain.coin(&from).expect("a store").expect("unspent");
        let sum: i64 = outputs.iter().map(|output| output.value.zat()).sum();
        let rest = coin.output.value.zat() - sum - 10_000;
        assert!(rest >= 0, "not enough money");
        let mut all = vec![TxOut { value: Amount::from_zat(rest), script_pubkey: key.script() }];
        all.extend(outputs);
        let mut tx = Transaction {
            overwintered: true,
            version: SAPLING_VERSION,
            version_group: SAPLING_GROUP,
            inputs: vec![TxIn { prevout: from, script_sig: Script::default(), sequence: u32::MAX }],
            outputs: all,
            ..Transaction::default()
        };
        let height = self.chain.index().height() + 1;
        key.sign(&mut tx, &[coin.output], self.chain.params().upgrades.branch_id(height));
        tx
    }
}

/// A transaction as the pool would bring it.
#[must_use]
pub fn pool_tx(tx: Transaction) -> PoolTx {
    PoolTx {
        txid: tx.txid(),
        size: tx.to_bytes().len(),
        tx: Arc::new(tx),
        fee_delta: Amount::ZERO,
        priority_delta: 0.0,
    }
}

/// A START of a collateral that pays the owner key.
#[must_use]
pub fn start(collateral: OutPoint, owner: &Key, node: &Key, time: u32) -> Transaction {
    let claim = Claim {
        collateral,
        owner: Owner::Key(owner.public.clone()),
        node_key: node.public.clone(),
        sig_time: time,
        signature: Vec::new(),
    };
    let start = Start { inner_version: Some(NORMAL_BIT), claim: Some(claim), delegates: None };
    let mut tx = fluxnode_tx(FluxnodeTx::Start(start));
    let signature = owner.sign_message(message::start_message(&tx.txid()).as_bytes());
    if let Some(FluxnodeTx::Start(Start { claim: Some(claim), .. })) = tx.fluxnode.as_deref_mut() {
        claim.signature = signature;
    }
    tx
}

/// A first (`update` false) or further CONFIRM of a node.
#[must_use]
pub fn confirm(collateral: OutPoint, node: &Key, update: bool, ip: &str, time: u32) -> Transaction {
    let mut confirm = Confirm {
        collateral,
        sig_time: time,
        benchmark_tier: 3,
        benchmark_sig_time: time,
        update_type: i8::from(update),
        ip: ip.as_bytes().to_vec(),
        signature: Vec::new(),
        benchmark_signature: Vec::new(),
    };
    confirm.signature = node.sign_message(message::confirm_message(&confirm).as_bytes());
    confirm.benchmark_signature =
        Key::number(BENCHMARK_KEY).sign_message(&message::benchmark_message(&confirm));
    fluxnode_tx(FluxnodeTx::Confirm(confirm))
}

/// The outputs of a transaction with these values that pay these keys.
#[must_use]
pub fn outputs(payments: &[(Amount, &Key)]) -> Vec<TxOut> {
    payments.iter().map(|(value, key)| TxOut { value: *value, script_pubkey: key.script() }).collect()
}

/// The output of a transaction.
#[must_use]
pub fn outpoint(txid: TxId, index: u32) -> OutPoint {
    OutPoint { txid, index }
}

fn fluxnode_tx(body: FluxnodeTx) -> Transaction {
    Transaction {
        version: FLUXNODE_UPGRADEABLE_VERSION,
        fluxnode: Some(Box::new(body)),
        ..Transaction::default()
    }
}
