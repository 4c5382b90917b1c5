// Writes manifests as clients send them in protobuf:
//
//	go run . < manifests.txt > protobuf.tsv
//
// A line of the input is a JSON manifest; one of the output is its bytes in hexadecimal, a tab, and the manifest.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	decoder := scheme.Codecs.UniversalDeserializer()
	encoder := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	out := bufio.NewWriter(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		object, _, err := decoder.Decode(lines.Bytes(), nil, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		var bytes writer
		if err := encoder.Encode(object, &bytes); err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		fmt.Fprintf(out, "%s\t%s\n", hex.EncodeToString(bytes), lines.Text())
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return out.Flush()
}

type writer []byte

func (w *writer) Write(bytes []byte) (int, error) {
	*w = append(*w, bytes...)
	return len(bytes), nil
}
