// Checks an export bundle of a ledger with other people's code only: golang.org/x/mod/sumdb/note for signatures,
// transparency-dev's formats for checkpoints and cosignatures, and its merkle for inclusion and consistency proofs.
//
//	go run . BUNDLE [EARLIER-CHECKPOINT]
package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

func must[T any](v T, err error) T {
	if err != nil {
		fmt.Println("REFUSED:", err)
		os.Exit(1)
	}
	return v
}

func main() {
	dir := os.Args[1]
	read := func(path string) []byte { return must(os.ReadFile(filepath.Join(dir, path))) }
	key := must(note.NewVerifier(strings.TrimSpace(string(read("log.vkey"))))) // better: a key from elsewhere
	var witnesses []note.Verifier
	for _, line := range strings.Fields(string(read("witnesses.vkeys"))) {
		witnesses = append(witnesses, must(fnote.NewVerifierForCosignatureV1(line)))
	}
	cp, _, signed, err := log.ParseCheckpoint(read("checkpoint"), key.Name(), key, witnesses...)
	must(cp, err)
	fmt.Printf("checkpoint of %s: size %d, root %x\n", cp.Origin, cp.Size, cp.Hash)
	for _, s := range signed.Sigs {
		fmt.Printf("  signature verified: %s\n", s.Name)
	}
	leaves := make([][]byte, cp.Size)
	for i := uint64(0); i < cp.Size; i++ {
		head, checkpoint, _ := strings.Cut(string(read(fmt.Sprintf("proofs/%d.tlog-proof", i))), "\n\n")
		under, _, _, err := log.ParseCheckpoint([]byte(checkpoint), key.Name(), key)
		must(under, err)
		leaves[i] = rfc6962.DefaultHasher.HashLeaf(read(fmt.Sprintf("proofs/%d.entry", i)))
		path := hashes(strings.Split(head, "\n")[2:])
		must(i, proof.VerifyInclusion(rfc6962.DefaultHasher, i, under.Size, leaves[i], path, under.Hash))
	}
	fmt.Println("inclusion proofs verified:", cp.Size)
	if len(os.Args) > 2 {
		consistent(must(os.ReadFile(os.Args[2])), key, cp, leaves)
	}
}

// consistent checks that the bundle extends an earlier checkpoint, by the RFC 6962 proof between the two sizes.
func consistent(earlier []byte, key note.Verifier, cp *log.Checkpoint, leaves [][]byte) {
	before, _, _, err := log.ParseCheckpoint(earlier, key.Name(), key)
	must(before, err)
	nodes := must(proof.Consistency(before.Size, cp.Size))
	var path [][]byte
	for _, id := range nodes.IDs {
		path = append(path, subtree(leaves, id))
	}
	path = must(nodes.Rehash(path, rfc6962.DefaultHasher.HashChildren))
	must(0, proof.VerifyConsistency(rfc6962.DefaultHasher, before.Size, cp.Size, path, before.Hash, cp.Hash))
	fmt.Printf("consistency proof of %d hashes verified: size %d extends size %d\n", len(path), cp.Size, before.Size)
}

// subtree is the root of the perfect subtree at id.
func subtree(leaves [][]byte, id compact.NodeID) []byte {
	if id.Level == 0 {
		return leaves[id.Index]
	}
	left := subtree(leaves, compact.NodeID{Level: id.Level - 1, Index: 2 * id.Index})
	right := subtree(leaves, compact.NodeID{Level: id.Level - 1, Index: 2*id.Index + 1})
	return rfc6962.DefaultHasher.HashChildren(left, right)
}

func hashes(lines []string) [][]byte {
	var out [][]byte
	for _, line := range lines {
		out = append(out, must(base64.StdEncoding.DecodeString(line)))
	}
	return out
}
