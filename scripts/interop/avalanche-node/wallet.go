// Issues transactions of every kind that the wallet of avalanchego can issue, with the public test key, and waits for each to
// be accepted: `wallet URI atomic|rest|helicon`, the last for what is possible since that upgrade. Prints one line "kind id"
// each; exit 1 when one was refused.
//
// Built inside a checkout of avalanchego (the script `run` does it, by an overlay that leaves the checkout as it is).
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ava-labs/avalanchego/api/info"
	"github.com/ava-labs/avalanchego/genesis"
	"github.com/ava-labs/avalanchego/ids"
	"github.com/ava-labs/avalanchego/utils/constants"
	"github.com/ava-labs/avalanchego/utils/crypto/bls"
	"github.com/ava-labs/avalanchego/utils/crypto/bls/signer/localsigner"
	"github.com/ava-labs/avalanchego/utils/set"
	"github.com/ava-labs/avalanchego/utils/units"
	"github.com/ava-labs/avalanchego/vms/components/avax"
	"github.com/ava-labs/avalanchego/vms/components/verify"
	"github.com/ava-labs/avalanchego/vms/nftfx"
	"github.com/ava-labs/avalanchego/vms/platformvm/signer"
	"github.com/ava-labs/avalanchego/vms/platformvm/stakeable"
	"github.com/ava-labs/avalanchego/vms/platformvm/txs"
	"github.com/ava-labs/avalanchego/vms/platformvm/warp"
	"github.com/ava-labs/avalanchego/vms/platformvm/warp/message"
	"github.com/ava-labs/avalanchego/vms/platformvm/warp/payload"
	"github.com/ava-labs/avalanchego/vms/propertyfx"
	"github.com/ava-labs/avalanchego/vms/secp256k1fx"
	"github.com/ava-labs/avalanchego/wallet/subnet/primary"
)

const (
	// Lifetimes of stakers; the network is started with a minimum of 20 seconds.
	short = 45 * time.Second
	long  = 75 * time.Second
	// Until validators of a new L1 can sign: their set is that of an earlier height of the P-chain.
	untilSigners = 80 * time.Second
)

var (
	uri      = os.Args[1]
	ctx      = context.Background()
	key      = genesis.EWOQKey
	owner    = secp256k1fx.OutputOwners{Threshold: 1, Addrs: []ids.ShortID{key.Address()}}
	l1Owner  = message.PChainOwner{Threshold: 1, Addresses: owner.Addrs}
	manager  = []byte{1, 2, 3}
	refused  int
	networks []ids.ID
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Println("FAILED", err)
		os.Exit(1)
	}
	return value
}

type named interface{ ID() ids.ID }

func issue[T named](kind string, tx T, err error) ids.ID {
	if err != nil {
		fmt.Println("REFUSED", kind, err)
		refused++
		return ids.Empty
	}
	fmt.Println(kind, tx.ID())
	return tx.ID()
}

func wallet(validations []ids.ID, renewed []ids.ID) *primary.Wallet {
	keys := secp256k1fx.NewKeychain(key)
	return must(primary.MakeWallet(ctx, uri, keys, keys, primary.WalletConfig{
		SubnetIDs: networks, ValidationIDs: validations, AutoRenewedValidatorTxIDs: renewed,
	}))
}

func out(asset ids.ID, amount uint64) []*avax.TransferableOutput {
	return []*avax.TransferableOutput{{Asset: avax.Asset{ID: asset}, Out: &secp256k1fx.TransferOutput{Amt: amount, OutputOwners: owner}}}
}

func newSigner() (*localsigner.LocalSigner, *signer.ProofOfPossession) {
	secret := must(localsigner.New())
	return secret, must(signer.NewProofOfPossession(secret))
}

func staker(node ids.NodeID, subnet ids.ID, lifetime time.Duration, weight uint64) *txs.SubnetValidator {
	end := uint64(time.Now().Add(lifetime).Unix())
	return &txs.SubnetValidator{Validator: txs.Validator{NodeID: node, End: end, Wght: weight}, Subnet: subnet}
}

func main() {
	w := wallet(nil, nil)
	asset := w.X().Builder().Context().AVAXAssetID
	self, _, err := info.NewClient(uri).GetNodeID(ctx)
	must(self, err)

	switch os.Args[2] {
	case "atomic":
		atomic(w, asset)
	case "rest":
		assets(w, asset)
		subnet, chain := subnets(w, self)
		validators(asset, self)
		l1(subnet, chain)
	case "helicon":
		autoRenewed()
	}
	if refused > 0 {
		os.Exit(1)
	}
}

// Base transactions, and what moves coins from chain to chain.
func atomic(w *primary.Wallet, asset ids.ID) {
	p, x, c := w.P(), w.X(), w.C()
	xChain, cChain := x.Builder().Context().BlockchainID, c.Builder().Context().BlockchainID
	pTx, err := p.IssueBaseTx(out(asset, units.MilliAvax))
	issue("P base", pTx, err)
	pTx, err = p.IssueBaseTx([]*avax.TransferableOutput{{Asset: avax.Asset{ID: asset}, Out: &stakeable.LockOut{
		Locktime:        uint64(time.Now().Add(time.Hour).Unix()),
		TransferableOut: &secp256k1fx.TransferOutput{Amt: units.MilliAvax, OutputOwners: owner},
	}}})
	issue("P base, locked", pTx, err)
	xTx, err := x.IssueBaseTx(out(asset, units.MilliAvax))
	issue("X base", xTx, err)
	pTx, err = p.IssueExportTx(xChain, out(asset, 3*units.Avax))
	issue("P export to X", pTx, err)
	xTx, err = x.IssueImportTx(constants.PlatformChainID, &owner)
	issue("X import from P", xTx, err)
	xTx, err = x.IssueExportTx(constants.PlatformChainID, out(asset, 2*units.Avax))
	issue("X export to P", xTx, err)
	pTx, err = p.IssueImportTx(xChain, &owner)
	issue("P import from X", pTx, err)
	pTx, err = p.IssueExportTx(cChain, out(asset, 4*units.Avax))
	issue("P export to C", pTx, err)
	cTx, err := c.IssueImportTx(constants.PlatformChainID, key.EthAddress())
	issue("C import from P", cTx, err)
	xTx, err = x.IssueExportTx(cChain, out(asset, units.Avax))
	issue("X export to C", xTx, err)
	cTx, err = c.IssueImportTx(xChain, key.EthAddress())
	issue("C import from X", cTx, err)
	exported := []*secp256k1fx.TransferOutput{{Amt: units.Avax, OutputOwners: owner}}
	cTx, err = c.IssueExportTx(constants.PlatformChainID, exported)
	issue("C export to P", cTx, err)
	pTx, err = p.IssueImportTx(cChain, &owner)
	issue("P import from C", pTx, err)
	cTx, err = c.IssueExportTx(xChain, exported)
	issue("C export to X", cTx, err)
	xTx, err = x.IssueImportTx(cChain, &owner)
	issue("X import from C", xTx, err)
	pTx, err = p.IssueExportTx(xChain, out(asset, units.Avax))
	issue("P export to X, left there", pTx, err)
}

// Assets of the X-chain and the operations of its three fxs.
func assets(w *primary.Wallet, avaxID ids.ID) {
	x := w.X()
	tx, err := x.IssueCreateAssetTx("Test Asset", "TST", 3, map[uint32][]verify.State{
		0: {&secp256k1fx.TransferOutput{Amt: 1000, OutputOwners: owner}, &secp256k1fx.MintOutput{OutputOwners: owner}},
		1: {&nftfx.MintOutput{GroupID: 1, OutputOwners: owner}},
		2: {&propertyfx.MintOutput{OutputOwners: owner}},
	})
	asset := issue("X create asset", tx, err)
	tx, err = x.IssueOperationTxMintFT(map[ids.ID]*secp256k1fx.TransferOutput{asset: {Amt: 77, OutputOwners: owner}})
	issue("X mint", tx, err)
	tx, err = x.IssueOperationTxMintNFT(asset, []byte("payload"), []*secp256k1fx.OutputOwners{&owner})
	issue("X mint NFT", tx, err)
	tx, err = x.IssueOperationTxMintProperty(asset, &owner)
	issue("X mint property", tx, err)
	tx, err = x.IssueOperationTxBurnProperty(asset)
	issue("X burn property", tx, err)
	tx, err = x.IssueBaseTx(append(out(asset, 5), out(avaxID, 5)...))
	issue("X base, two assets", tx, err)
}

// Subnets with chains and permissioned validators; the second becomes an L1 later.
func subnets(w *primary.Wallet, self ids.NodeID) (ids.ID, ids.ID) {
	tx, err := w.P().IssueCreateSubnetTx(&owner)
	permissioned := issue("P create subnet", tx, err)
	tx, err = w.P().IssueCreateSubnetTx(&owner)
	later := issue("P create subnet", tx, err)
	networks = []ids.ID{permissioned, later}
	p := wallet(nil, nil).P()
	vm := ids.ID{'t', 'e', 's', 't'}
	tx, err = p.IssueCreateChainTx(permissioned, []byte("genesis"), vm, nil, "chain one")
	issue("P create chain", tx, err)
	tx, err = p.IssueCreateChainTx(later, []byte("genesis"), vm, nil, "chain two")
	chain := issue("P create chain", tx, err)
	tx, err = p.IssueAddSubnetValidatorTx(staker(self, permissioned, long, 7))
	issue("P add subnet validator", tx, err)
	tx, err = p.IssueRemoveSubnetValidatorTx(self, permissioned)
	issue("P remove subnet validator", tx, err)
	tx, err = p.IssueAddSubnetValidatorTx(staker(self, permissioned, short, 9))
	issue("P add subnet validator", tx, err)
	tx, err = p.IssueTransferSubnetOwnershipTx(permissioned, &owner)
	issue("P transfer subnet ownership", tx, err)
	return later, chain
}

// Stakers of the primary network, which end while this runs.
func validators(asset ids.ID, self ids.NodeID) {
	p := wallet(nil, nil).P()
	_, possession := newSigner()
	node := ids.GenerateTestNodeID()
	tx, err := p.IssueAddPermissionlessValidatorTx(staker(node, constants.PrimaryNetworkID, long, 2000*units.Avax), possession, asset, &owner, &owner, 100000)
	issue("P add validator", tx, err)
	tx, err = p.IssueAddPermissionlessDelegatorTx(staker(node, constants.PrimaryNetworkID, short, 50*units.Avax), asset, &owner)
	issue("P add delegator", tx, err)
	tx, err = p.IssueAddPermissionlessDelegatorTx(staker(self, constants.PrimaryNetworkID, short, 60*units.Avax), asset, &owner)
	issue("P add delegator of a node that is up", tx, err)
}

// Validators that go on by themselves, since Helicon.
func autoRenewed() {
	_, possession := newSigner()
	p := wallet(nil, nil).P()
	tx, err := p.IssueAddAutoRenewedValidatorTx(ids.GenerateTestNodeID(), 2000*units.Avax, possession, &owner, &owner, &owner, 20000, 300000, short)
	id := issue("P add auto-renewed validator", tx, err)
	tx, err = wallet(nil, []ids.ID{id}).P().IssueSetAutoRenewedValidatorConfigTx(id, 500000, 0)
	issue("P set its configuration", tx, err)
}

// An L1 from its conversion to validators that are registered, weighed, paid for, disabled and removed.
func l1(subnet, chain ids.ID) {
	p := wallet(nil, nil).P()
	secret, first := newSigner()
	_, second := newSigner()
	one, two := ids.GenerateTestNodeID(), ids.GenerateTestNodeID()
	if bytes.Compare(two.Bytes(), one.Bytes()) < 0 {
		one, two = two, one
	}
	tx, err := p.IssueConvertSubnetToL1Tx(subnet, chain, manager, []*txs.ConvertSubnetToL1Validator{
		{NodeID: one.Bytes(), Weight: 80, Balance: units.Avax, Signer: *first, RemainingBalanceOwner: l1Owner, DeactivationOwner: l1Owner},
		{NodeID: two.Bytes(), Weight: 10, Balance: units.Avax, Signer: *second, RemainingBalanceOwner: l1Owner, DeactivationOwner: l1Owner},
	})
	issue("P convert subnet to L1", tx, err)
	time.Sleep(untilSigners)

	validations := []ids.ID{subnet.Append(0), subnet.Append(1)}
	p = wallet(validations, nil).P()
	tx, err = p.IssueIncreaseL1ValidatorBalanceTx(validations[1], units.MilliAvax)
	issue("P increase L1 balance", tx, err)
	// The first validator signs; its bit is its place in the order of uncompressed keys.
	bit := 0
	if bytes.Compare(bls.PublicKeyToUncompressedBytes(first.Key()), bls.PublicKeyToUncompressedBytes(second.Key())) > 0 {
		bit = 1
	}
	network := p.Builder().Context().NetworkID
	sign := func(content []byte) []byte {
		call := must(payload.NewAddressedCall(manager, content))
		unsigned := must(warp.NewUnsignedMessage(network, chain, call.Bytes()))
		signature := [bls.SignatureLen]byte(bls.SignatureToBytes(must(secret.Sign(unsigned.Bytes()))))
		return must(warp.NewMessage(unsigned, &warp.BitSetSignature{Signers: set.NewBits(bit).Bytes(), Signature: signature})).Bytes()
	}
	_, third := newSigner()
	expiry := uint64(time.Now().Add(5 * time.Minute).Unix())
	register := must(message.NewRegisterL1Validator(subnet, ids.GenerateTestNodeID(), third.PublicKey, expiry, l1Owner, l1Owner, 5))
	tx, err = p.IssueRegisterL1ValidatorTx(units.Avax/2, third.ProofOfPossession, sign(register.Bytes()))
	issue("P register L1 validator", tx, err)
	weight := must(message.NewL1ValidatorWeight(register.ValidationID(), 0, 6))
	tx, err = p.IssueSetL1ValidatorWeightTx(sign(weight.Bytes()))
	issue("P set L1 validator weight", tx, err)
	weight = must(message.NewL1ValidatorWeight(register.ValidationID(), 1, 0))
	tx, err = p.IssueSetL1ValidatorWeightTx(sign(weight.Bytes()))
	issue("P remove L1 validator", tx, err)
	tx, err = p.IssueDisableL1ValidatorTx(validations[1])
	issue("P disable L1 validator", tx, err)
}
