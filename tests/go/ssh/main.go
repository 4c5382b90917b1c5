// A client of SSH with golang.org/x/crypto/ssh and github.com/pkg/sftp; what it prints is as tests/ssh/paramiko_client.py
// says.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	. "sluice/drivers/common"
)

const limit = 60 * time.Second

var folder = os.Getenv("SLUICE_FOLDER") + "/go"

func must[Value any](value Value, err error) Value {
	Must(err)
	return value
}

func credential() []ssh.AuthMethod {
	file, found := os.LookupEnv("SLUICE_KEY")
	if !found {
		token := os.Getenv("SLUICE_TOKEN")
		answer := func(_, _ string, questions []string, _ []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for index := range answers {
				answers[index] = token
			}
			return answers, nil
		}
		return []ssh.AuthMethod{ssh.Password(token), ssh.KeyboardInteractive(answer)}
	}
	signer := must(ssh.ParsePrivateKey(must(os.ReadFile(file))))
	if file, found = os.LookupEnv("SLUICE_CERTIFICATE"); found {
		certificate, _, _, _, err := ssh.ParseAuthorizedKey(must(os.ReadFile(file)))
		Must(err)
		signer = must(ssh.NewCertSigner(certificate.(*ssh.Certificate), signer))
	}
	return []ssh.AuthMethod{ssh.PublicKeys(signer)}
}

func connected() *ssh.Client {
	// Without a list, the library offers the kinds of host key in its own order, and does not look for which one it knows.
	algorithms := []string{ssh.CertAlgoED25519v01, ssh.KeyAlgoED25519}
	config := &ssh.ClientConfig{
		User:              os.Getenv("SLUICE_USER"),
		Auth:              credential(),
		HostKeyCallback:   must(knownhosts.New(os.Getenv("SLUICE_KNOWN_HOSTS"))),
		HostKeyAlgorithms: algorithms,
		Timeout:           limit,
	}
	address := net.JoinHostPort(os.Getenv("SLUICE_HOST"), os.Getenv("SLUICE_PORT"))
	return must(ssh.Dial("tcp", address, config))
}

func outcome(client *ssh.Client, line string, given []byte) map[string]any {
	session := must(client.NewSession())
	defer session.Close()
	return run(session, line, given)
}

func run(session *ssh.Session, line string, given []byte) map[string]any {
	var stdout, stderr bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = bytes.NewReader(given), &stdout, &stderr
	err := session.Run(line)
	result := map[string]any{"status": 0}
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		result["status"] = exit.ExitStatus()
		if exit.Signal() != "" {
			result["signal"] = exit.Signal()
		}
	} else {
		Must(err)
	}
	result["stdout"], result["stderr"] = stdout.String(), stderr.String()
	return result
}

func environment(client *ssh.Client) map[string]any {
	session := must(client.NewSession())
	defer session.Close()
	refused := session.Setenv("SLUICE_PROBE", "set")
	result := run(session, `echo "${SLUICE_PROBE-unset}"`, nil)
	result["refused"] = refused != nil
	return result
}

func parallel(client *ssh.Client) []any {
	results := make([]any, 20)
	var group sync.WaitGroup
	for number := range results {
		group.Go(func() {
			results[number] = outcome(client, fmt.Sprintf("cat; echo %d; exit %d", number, number), []byte("in "))
		})
	}
	group.Wait()
	return results
}

// lineUntil is the line whose last word this is, without what stands before a bar: the shell's prompt.
func lineUntil(screen io.Reader, end string) string {
	var shown strings.Builder
	buffer := make([]byte, 4096)
	for {
		length, err := screen.Read(buffer)
		shown.Write(buffer[:length])
		if before, _, found := strings.Cut(shown.String(), end+"\r\n"); found {
			return strings.TrimSpace(before[strings.LastIndex(before, "|")+1:])
		}
		Must(err)
	}
}

func terminal(client *ssh.Client) (string, string) {
	session := must(client.NewSession())
	defer session.Close()
	keyboard, screen := must(session.StdinPipe()), must(session.StdoutPipe())
	Must(session.RequestPty("xterm-256color", 31, 97, ssh.TerminalModes{}))
	Must(session.Shell())
	fmt.Fprint(keyboard, "stty -echo; echo rea''dy\n")
	lineUntil(screen, "ready")
	fmt.Fprint(keyboard, "echo \"|$TERM $(stty size) e\"\"nd\"\n")
	first := lineUntil(screen, "end")
	Must(session.WindowChange(41, 101))
	fmt.Fprint(keyboard, "echo \"|$(stty size) e\"\"nd\"\n")
	second := lineUntil(screen, "end")
	fmt.Fprint(keyboard, "exit 5\n")
	var exit *ssh.ExitError
	if !errors.As(session.Wait(), &exit) {
		panic("the shell has no exit status")
	}
	return first, fmt.Sprintf("%s, status %d", second, exit.ExitStatus())
}

func write(client *sftp.Client, path string, flags int, content []byte) {
	file := must(client.OpenFile(path, flags))
	must(io.Copy(file, bytes.NewReader(content)))
	Must(file.Close())
}

func read(client *sftp.Client, path string) []byte {
	file := must(client.Open(path))
	defer file.Close()
	return must(io.ReadAll(file))
}

func files(report Report, connection *ssh.Client) {
	client := must(sftp.NewClient(connection))
	defer client.Close()
	Must(client.Mkdir(folder))
	write(client, folder+"/a", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, []byte("first\n"))
	write(client, folder+"/a", os.O_WRONLY|os.O_APPEND, []byte("second\n"))
	Must(client.Chmod(folder+"/a", 0o640))
	Must(client.Link(folder+"/a", folder+"/hard"))
	Must(client.PosixRename(folder+"/a", folder+"/b"))
	Must(client.Symlink("b", folder+"/link"))
	status := must(client.Stat(folder + "/b"))
	var names []string
	for _, entry := range must(client.ReadDir(folder)) {
		names = append(names, entry.Name())
	}
	sort.Strings(names)
	report.Add("sftp", map[string]any{
		"content": string(read(client, folder+"/link")), "size": status.Size(), "mode": status.Mode().String(),
		"names": names, "link": must(client.ReadLink(folder + "/link")),
	})
	large := large()
	write(client, folder+"/large", os.O_WRONLY|os.O_CREATE, large)
	report.Add("sftp_large", fmt.Sprintf("%x", sha256.Sum256(read(client, folder+"/large"))))
	for _, name := range []string{"link", "b", "hard", "large"} {
		Must(client.Remove(folder + "/" + name))
	}
	Must(client.RemoveDirectory(folder))
	_, err := client.Open(folder + "/none")
	report.Add("sftp_failure", fmt.Sprint(errors.Is(err, os.ErrNotExist)))
}

func large() []byte {
	bytes := make([]byte, 1<<20)
	for index := range bytes {
		bytes[index] = byte(index * 7 % 251)
	}
	return bytes
}

func forward(client *ssh.Client) string {
	connection := must(client.Dial("tcp", "127.0.0.1:"+os.Getenv("SLUICE_ECHO")))
	defer connection.Close()
	must(io.WriteString(connection, "there and back"))
	Must(connection.(interface{ CloseWrite() error }).CloseWrite())
	return string(must(io.ReadAll(connection)))
}

// remoteForward: the server listens, a program there connects, and this end answers.
func remoteForward(client *ssh.Client) string {
	listener := must(client.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	go func() {
		connection := must(listener.Accept())
		buffer := make([]byte, 100)
		length := must(connection.Read(buffer))
		must(connection.Write(append([]byte("from "), buffer[:length]...)))
		Must(connection.Close())
	}()
	connection := must(net.DialTimeout("tcp", listener.Addr().String(), limit))
	defer connection.Close()
	must(io.WriteString(connection, "afar"))
	return string(must(io.ReadAll(connection)))
}

func main() {
	// A peer that does not answer is not waited for longer than that.
	time.AfterFunc(limit, func() { panic("the time is over") })
	report := Report{}
	report.Add("about", "x/crypto/ssh "+Version("golang.org/x/crypto")+", pkg/sftp "+Version("github.com/pkg/sftp"))
	client := connected()
	report.Add("exec", outcome(client, "echo out; echo err >&2; exit 3", nil))
	report.Add("exec_signal", outcome(client, "kill -TERM $$", nil))
	report.Add("stdin", outcome(client, "sha256sum", large()))
	report.Add("environment", environment(client))
	report.Add("parallel", parallel(client))
	first, second := terminal(client)
	report.Add("terminal", first)
	report.Add("resize", second)
	files(report, client)
	report.Add("forward", forward(client))
	report.Add("remote_forward", remoteForward(client))
	Must(client.Close())
	report.Print()
}
