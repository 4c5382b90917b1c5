// Writes what a Kubernetes API server makes of request lines, as its own RequestInfoFactory says:
//
//	go run . < requests.txt > requestinfo.tsv
//
// A line of the input is a method and the target of a request.
package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
)

func main() {
	factory := &request.RequestInfoFactory{
		APIPrefixes:          sets.NewString("api", "apis"),
		GrouplessAPIPrefixes: sets.NewString("api"),
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		method, target, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			continue
		}
		fields := append([]string{method, target}, read(factory, method, target)...)
		fmt.Fprintln(out, strings.Join(fields, "\t"))
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(factory *request.RequestInfoFactory, method, target string) []string {
	asked, err := http.NewRequest(method, "https://server"+target, nil)
	if err != nil {
		return []string{"error"}
	}
	info, err := factory.NewRequestInfo(asked)
	if err != nil {
		return []string{"error"}
	}
	kind := "path"
	if info.IsResourceRequest {
		kind = "resource"
	}
	return []string{
		kind, info.Verb, info.APIPrefix, info.APIGroup, info.APIVersion,
		info.Namespace, info.Resource, info.Subresource, info.Name, strings.Join(info.Parts, "/"),
	}
}
