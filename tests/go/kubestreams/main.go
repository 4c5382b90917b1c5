// What Kubernetes streams, served as an API server and a kubelet do: exec and attach by channels of WebSocket (v5, v4) and by
// SPDY, port-forward by SPDY within WebSocket and without, and logs that are followed. What is to run in a "container" runs on
// this machine, and a port of a "pod" is a port of this machine. It speaks SPDY by the library that Kubernetes has, and
// WebSocket by another than Sluice's.
//
// kubestreams REACHED: prints {"port":N}, and writes what reached it to the file as lines of JSON.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/moby/spdystream"
)

var (
	reached   *os.File
	reachedMu sync.Mutex
)

func note(what map[string]any) {
	line, _ := json.Marshal(what)
	reachedMu.Lock()
	defer reachedMu.Unlock()
	reached.Write(append(line, '\n'))
}

func main() {
	var err error
	if reached, err = os.Create(os.Args[1]); err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Printf("{\"port\":%d}\n", listener.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(listener, http.HandlerFunc(serve)))
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value)
}

type object = map[string]any

func pod(name string) object {
	running := object{"running": object{"startedAt": "2026-11-30T12:00:00Z"}}
	return object{
		"kind": "Pod", "apiVersion": "v1",
		"metadata": object{"name": name, "namespace": "default", "uid": "1"},
		"spec":     object{"containers": []object{{"name": "main", "image": "none", "stdin": true, "tty": strings.HasPrefix(name, "tty")}}},
		"status": object{
			"phase":             "Running",
			"containerStatuses": []object{{"name": "main", "ready": true, "state": running}},
		},
	}
}

func serve(w http.ResponseWriter, r *http.Request) {
	fields := object{}
	for name, values := range r.Header {
		fields[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	note(object{"method": r.Method, "path": r.URL.RequestURI(), "fields": fields})
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.URL.Path == "/version":
		answer(w, object{"major": "1", "minor": "37", "gitVersion": "v1.37.1"})
	case r.URL.Path == "/api":
		answer(w, object{"kind": "APIVersions", "versions": []string{"v1"}})
	case r.URL.Path == "/apis":
		answer(w, object{"kind": "APIGroupList", "apiVersion": "v1", "groups": []object{}})
	case r.URL.Path == "/api/v1":
		answer(w, object{"kind": "APIResourceList", "groupVersion": "v1", "resources": []object{
			{"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "shortNames": []string{"po"},
				"verbs": []string{"get", "list"}},
			{"name": "namespaces", "singularName": "namespace", "namespaced": false, "kind": "Namespace",
				"verbs": []string{"get", "list"}},
		}})
	case len(parts) == 6 && parts[4] == "pods":
		answer(w, pod(parts[5]))
	case len(parts) == 7 && parts[4] == "pods":
		part(w, r, parts[5], parts[6])
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		json.NewEncoder(w).Encode(object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
	}
}

func part(w http.ResponseWriter, r *http.Request, pod, part string) {
	query := r.URL.Query()
	if strings.HasPrefix(pod, "refuses") {
		// As an API server that answers an upgrade with something else (CVE-2018-1002105).
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		json.NewEncoder(w).Encode(object{"kind": "Status", "apiVersion": "v1", "status": "Failure",
			"message": "the kubelet does not let you", "reason": "Forbidden", "code": 403})
		return
	}
	switch part {
	case "log":
		logs(w, r)
	case "exec", "attach":
		command := query["command"]
		if part == "attach" {
			command = []string{"sh", "-c", "echo attached; cat"}
		}
		if query.Get("tty") == "true" {
			command = []string{"script", "-qec", quoted(command), "/dev/null"}
		}
		if websocket.IsWebSocketUpgrade(r) {
			channels(w, r, command)
		} else {
			spdy(w, r, command)
		}
	case "portforward":
		forward(w, r)
	default:
		http.NotFound(w, r)
	}
}

func quoted(words []string) string {
	var out []string
	for _, word := range words {
		out = append(out, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return strings.Join(out, " ")
}

func logs(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintln(w, "paid with 4111 1111 1111 1111")
	if r.URL.Query().Get("follow") != "true" {
		return
	}
	for number := 1; number <= 3; number++ {
		w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
		fmt.Fprintf(w, "line %d\n", number)
	}
}

// What a program is given and gives: the same however it is spoken.
type streams struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	status         func([]byte)
}

func status(err error) []byte {
	value := object{"metadata": object{}, "status": "Success"}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code := strconv.Itoa(exit.ExitCode())
		value = object{
			"metadata": object{}, "status": "Failure", "reason": "NonZeroExitCode",
			"message": "command terminated with non-zero exit code: error executing command, exit code " + code,
			"details": object{"causes": []object{{"reason": "ExitCode", "message": code}}},
		}
	} else if err != nil {
		value = object{"metadata": object{}, "status": "Failure", "reason": "InternalError", "message": err.Error(), "code": 500}
	}
	text, _ := json.Marshal(value)
	return text
}

func execute(command []string, on streams) {
	program := exec.Command(command[0], command[1:]...)
	program.Stdout, program.Stderr = on.stdout, on.stderr
	program.WaitDelay = time.Second
	if on.stdin != nil {
		stdin, err := program.StdinPipe()
		if err != nil {
			on.status(status(err))
			return
		}
		go func() {
			io.Copy(stdin, on.stdin)
			stdin.Close()
		}()
	}
	on.status(status(program.Run()))
}

type channel struct {
	number byte
	mutex  *sync.Mutex
	conn   *websocket.Conn
}

func (c channel) Write(bytes []byte) (int, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return len(bytes), c.conn.WriteMessage(websocket.BinaryMessage, append([]byte{c.number}, bytes...))
}

func channels(w http.ResponseWriter, r *http.Request, command []string) {
	known := []string{"v5.channel.k8s.io", "v4.channel.k8s.io"}
	if strings.Contains(r.URL.Path, "/pods/old/") {
		known = known[1:]
	}
	upgrader := websocket.Upgrader{Subprotocols: known, CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		note(object{"failed": err.Error()})
		return
	}
	defer conn.Close()
	note(object{"protocol": conn.Subprotocol()})
	mutex := &sync.Mutex{}
	at := func(number byte) channel { return channel{number, mutex, conn} }
	// As the API server says that the stream is there.
	at(1).Write(nil)
	input, stdin := io.Pipe()
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer stdin.Close()
		for {
			_, bytes, err := conn.ReadMessage()
			if err != nil {
				return
			}
			switch {
			case len(bytes) > 0 && bytes[0] == 0:
				stdin.Write(bytes[1:])
			case len(bytes) > 0 && bytes[0] == 4:
				note(object{"size": string(bytes[1:])})
			case len(bytes) == 2 && bytes[0] == 255:
				stdin.Close()
			default:
				note(object{"unexpected": bytes})
			}
		}
	}()
	on := streams{stdout: at(1), stderr: at(2), status: func(text []byte) { at(3).Write(text) }}
	if r.URL.Query().Get("stdin") == "true" {
		on.stdin = input
	} else {
		go io.Copy(io.Discard, input)
	}
	execute(command, on)
	mutex.Lock()
	conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(time.Second))
	mutex.Unlock()
	select {
	case <-over:
	case <-time.After(2 * time.Second):
	}
}

// hijacked turns the connection to SPDY.
func hijacked(w http.ResponseWriter, r *http.Request, known ...string) (net.Conn, string) {
	version := ""
	offered := strings.Split(strings.Join(r.Header.Values("X-Stream-Protocol-Version"), ","), ",")
	for _, name := range known {
		for _, one := range offered {
			if version == "" && strings.TrimSpace(one) == name {
				version = name
			}
		}
	}
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "SPDY/3.1")
	w.Header().Set("X-Stream-Protocol-Version", version)
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	note(object{"protocol": "spdy " + version})
	return read{conn, buffered.Reader}, version
}

type read struct {
	net.Conn
	reader *bufio.Reader
}

func (r read) Read(bytes []byte) (int, error) { return r.reader.Read(bytes) }

func spdy(w http.ResponseWriter, r *http.Request, command []string) {
	query, wanted := r.URL.Query(), 1
	for _, name := range []string{"stdin", "stdout", "stderr"} {
		if query.Get(name) == "true" {
			wanted++
		}
	}
	if query.Get("tty") == "true" {
		wanted++
	}
	conn, _ := hijacked(w, r, "v4.channel.k8s.io")
	connection, err := spdystream.NewConnection(conn, true)
	if err != nil {
		panic(err)
	}
	opened := make(chan *spdystream.Stream, 8)
	go connection.Serve(func(stream *spdystream.Stream) {
		stream.SendReply(http.Header{}, false)
		opened <- stream
	})
	all := map[string]*spdystream.Stream{}
	for len(all) < wanted {
		select {
		case stream := <-opened:
			all[stream.Headers().Get("streamtype")] = stream
		case <-time.After(10 * time.Second):
			conn.Close()
			return
		}
	}
	on := streams{status: func(text []byte) { all["error"].Write(text) }}
	if stream := all["stdin"]; stream != nil {
		on.stdin = stream
	}
	if stream := all["stdout"]; stream != nil {
		on.stdout = stream
	}
	if stream := all["stderr"]; stream != nil {
		on.stderr = stream
	}
	if stream := all["resize"]; stream != nil {
		go func() {
			decoder := json.NewDecoder(stream)
			for {
				var size map[string]int
				if decoder.Decode(&size) != nil {
					return
				}
				text, _ := json.Marshal(size)
				note(object{"size": string(text)})
			}
		}()
	}
	execute(command, on)
	for _, stream := range all {
		stream.Close()
	}
	select {
	case <-connection.CloseChan():
	case <-time.After(2 * time.Second):
	}
	conn.Close()
}

// within is SPDY in messages of WebSocket.
type within struct {
	net.Conn
	conn *websocket.Conn
	rest []byte
	lock *sync.Mutex
}

func (w *within) Read(bytes []byte) (int, error) {
	for len(w.rest) == 0 {
		_, message, err := w.conn.ReadMessage()
		if err != nil {
			return 0, io.EOF
		}
		w.rest = message
	}
	count := copy(bytes, w.rest)
	w.rest = w.rest[count:]
	return count, nil
}

func (w *within) Write(bytes []byte) (int, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	return len(bytes), w.conn.WriteMessage(websocket.BinaryMessage, bytes)
}

func (w *within) Close() error { return w.conn.Close() }

func forward(w http.ResponseWriter, r *http.Request) {
	var conn net.Conn
	if websocket.IsWebSocketUpgrade(r) {
		upgrader := websocket.Upgrader{Subprotocols: []string{"SPDY/3.1+portforward.k8s.io"}}
		upgraded, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			note(object{"failed": err.Error()})
			return
		}
		note(object{"protocol": upgraded.Subprotocol()})
		conn = &within{Conn: upgraded.NetConn(), conn: upgraded, lock: &sync.Mutex{}}
	} else {
		conn, _ = hijacked(w, r, "portforward.k8s.io")
	}
	connection, err := spdystream.NewConnection(conn, true)
	if err != nil {
		panic(err)
	}
	errs, mutex := map[string]*spdystream.Stream{}, sync.Mutex{}
	connection.Serve(func(stream *spdystream.Stream) {
		stream.SendReply(http.Header{}, false)
		fields := stream.Headers()
		id, port := fields.Get("requestid"), fields.Get("port")
		mutex.Lock()
		defer mutex.Unlock()
		if fields.Get("streamtype") == "error" {
			errs[id] = stream
			return
		}
		note(object{"port": port})
		go connect(stream, errs[id], port)
	})
}

func connect(data, failed *spdystream.Stream, port string) {
	defer failed.Close()
	there, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintf(failed, "error forwarding port %s to pod: %v", port, err)
		data.Close()
		return
	}
	done := make(chan struct{})
	go func() {
		io.Copy(there, data)
		there.(*net.TCPConn).CloseWrite()
		close(done)
	}()
	io.Copy(data, there)
	data.Close()
	<-done
	there.Close()
}
