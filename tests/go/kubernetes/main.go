// What client-go does with an API server behind Sluice.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func check(isSo bool, what any) {
	if !isSo {
		panic(what)
	}
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	config := must(clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG")))
	// As controllers do: protobuf where it is to be had, JSON otherwise.
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	dev := must(kubernetes.NewForConfig(config)).CoreV1()

	var names []string
	for _, pod := range must(dev.Pods("dev").List(ctx, meta.ListOptions{})).Items {
		names = append(names, pod.Name)
	}
	slices.Sort(names)
	check(slices.Equal(names, []string{"db", "web"}), names)
	check(len(must(dev.Secrets("dev").Get(ctx, "db", meta.GetOptions{})).Data["password"]) > 0, "a secret without its password")

	maps := dev.ConfigMaps("dev")
	mine := &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: "go"}, Data: map[string]string{"a": "b"}}
	must(maps.Create(ctx, mine, meta.CreateOptions{}))
	must(maps.Patch(ctx, "go", types.StrategicMergePatchType, []byte(`{"data":{"a":"c"}}`), meta.PatchOptions{}))
	read := must(maps.Get(ctx, "go", meta.GetOptions{}))
	check(read.Data["a"] == "c", read)

	seconds := int64(10)
	watching := must(maps.Watch(ctx, meta.ListOptions{TimeoutSeconds: &seconds}))
	var seen []string
	for event := range watching.ResultChan() {
		seen = append(seen, event.Object.(*core.ConfigMap).Name)
		if len(seen) == 2 {
			break
		}
	}
	watching.Stop()
	slices.Sort(seen)
	check(slices.Equal(seen, []string{"go", "settings"}), seen)

	check(maps.Delete(ctx, "go", meta.DeleteOptions{}) == nil, "it could not be deleted")
	logs := must(io.ReadAll(must(dev.Pods("dev").GetLogs("web", &core.PodLogOptions{}).Stream(ctx))))
	check(strings.Contains(string(logs), "starting web"), string(logs))

	_, err := dev.Pods("prod").List(ctx, meta.ListOptions{})
	check(errors.IsForbidden(err), err)
	fmt.Println("all is well")
}
