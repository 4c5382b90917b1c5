// A public client of c2sp.org/tlog-tiles over what Sluice wrote: Torchwood and Go's own sumdb/note and sumdb/tlog.
//
//	tlog KEY DIRECTORY [CHECKPOINT...]   one directory of tiles; CHECKPOINT: a file with an older one
//	tlog --stream                        many from standard input, a line for each
//
// It prints "good" and how many entries there are, or "bad" and what is wrong. Good is: the key signed the checkpoint, of
// which it is the origin; the tiles make its root; every entry of the bundles has an inclusion proof; and there is a
// consistency proof from the older checkpoint.
//
// Of each directory the stream has the key, the older checkpoint (or nothing), the number of files, and their names and
// contents: each after its length, and lengths and numbers are 4 bytes, big-endian.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"testing/fstest"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tlog:", err)
		os.Exit(2)
	}
}

func run(arguments []string) error {
	if len(arguments) == 1 && arguments[0] == "--stream" {
		return stream(bufio.NewReader(os.Stdin), os.Stdout)
	}
	if len(arguments) < 2 {
		return errors.New("usage: tlog KEY DIRECTORY [CHECKPOINT...] | tlog --stream")
	}
	var olders [][]byte
	for _, name := range arguments[2:] {
		older, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		olders = append(olders, older)
	}
	fmt.Println(verdict(arguments[0], os.DirFS(arguments[1]), olders))
	return nil
}

func stream(in *bufio.Reader, out io.Writer) error {
	for {
		if _, err := in.Peek(1); err == io.EOF {
			return nil
		}
		key, olders, files, err := next(in)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, verdict(key, files, olders)); err != nil {
			return err
		}
	}
}

func next(in *bufio.Reader) (key string, olders [][]byte, files fstest.MapFS, err error) {
	read := func() []byte {
		part := make([]byte, number(in, &err))
		if err == nil {
			_, err = io.ReadFull(in, part)
		}
		return part
	}
	key, files = string(read()), fstest.MapFS{}
	for range number(in, &err) {
		olders = append(olders, read())
	}
	for range number(in, &err) {
		name := string(read())
		files[name] = &fstest.MapFile{Data: read()}
	}
	return key, olders, files, err
}

func number(in *bufio.Reader, err *error) uint32 {
	var bytes [4]byte
	if *err == nil {
		_, *err = io.ReadFull(in, bytes[:])
	}
	return binary.BigEndian.Uint32(bytes[:])
}

func verdict(key string, files fs.FS, olders [][]byte) string {
	size, err := check(key, files, olders)
	if err != nil {
		return fmt.Sprintf("bad %q", err)
	}
	return fmt.Sprintf("good %d", size)
}

func check(key string, files fs.FS, olders [][]byte) (int64, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return 0, err
	}
	policy := torchwood.ThresholdPolicy(2,
		torchwood.SingleVerifierPolicy(verifier), torchwood.OriginPolicy(verifier.Name()))
	tiles, err := torchwood.NewTileFS(files)
	if err != nil {
		return 0, err
	}
	signed, err := tiles.ReadEndpoint(context.Background(), "checkpoint")
	if err != nil {
		return 0, err
	}
	checkpoint, _, err := torchwood.VerifyCheckpoint(signed, policy)
	if err != nil {
		return 0, err
	}
	records, err := entries(tiles, checkpoint.Tree)
	if err != nil {
		return 0, err
	}
	hashes, err := proven(tiles, checkpoint.Tree, records)
	if err != nil {
		return 0, err
	}
	for _, older := range olders {
		before, _, err := torchwood.VerifyCheckpoint(older, policy)
		if err != nil {
			return 0, fmt.Errorf("an older checkpoint: %w", err)
		}
		if err := grown(checkpoint.Tree, before.Tree, hashes); err != nil {
			return 0, fmt.Errorf("the older checkpoint of %d: %w", before.N, err)
		}
	}
	return checkpoint.N, nil
}

// The hashes of what the bundles hold, which the client compares with the tiles of level 0.
func entries(tiles torchwood.TileReader, tree tlog.Tree) ([]tlog.Hash, error) {
	client, err := torchwood.NewClient(tiles)
	if err != nil {
		return nil, err
	}
	var records []tlog.Hash
	for index, entry := range client.AllEntries(context.Background(), tree, 0) {
		if index != int64(len(records)) {
			return nil, fmt.Errorf("entry %d comes after %d entries", index, len(records))
		}
		records = append(records, tlog.RecordHash(entry))
	}
	if err := client.Err(); err != nil {
		return nil, err
	}
	if int64(len(records)) != tree.N {
		return nil, fmt.Errorf("there are %d entries of %d", len(records), tree.N)
	}
	return records, nil
}

// Reads every hash that the tree has out of its tiles, computes the root of them, and proves each record.
func proven(tiles torchwood.TileReader, tree tlog.Tree, records []tlog.Hash) (tlog.HashReader, error) {
	var all []tlog.Hash
	if tree.N > 0 {
		indexes := make([]int64, tlog.StoredHashIndex(0, tree.N))
		for index := range indexes {
			indexes[index] = int64(index)
		}
		var err error
		if all, err = torchwood.TileHashReaderWithContext(context.Background(), tree, tiles).ReadHashes(indexes); err != nil {
			return nil, err
		}
	}
	hashes := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for at, index := range indexes {
			found[at] = all[index]
		}
		return found, nil
	})
	root, err := tlog.TreeHash(tree.N, hashes)
	if err != nil {
		return nil, err
	}
	if root != tree.Hash {
		return nil, errors.New("the tiles have another root")
	}
	for index, record := range records {
		proof, err := tlog.ProveRecord(tree.N, int64(index), hashes)
		if err != nil {
			return nil, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, int64(index), record); err != nil {
			return nil, fmt.Errorf("entry %d: %w", index, err)
		}
	}
	return hashes, nil
}

func grown(tree, before tlog.Tree, hashes tlog.HashReader) error {
	if before.N == 0 {
		// Every tree grew from the empty one, which has no proof.
		if empty, err := tlog.TreeHash(0, hashes); err != nil || before.Hash != empty {
			return errors.Join(err, errors.New("the older checkpoint is of no entries, and has a root"))
		}
		return nil
	}
	proof, err := tlog.ProveTree(tree.N, before.N, hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, tree.N, tree.Hash, before.N, before.Hash)
}
