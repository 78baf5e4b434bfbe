// Package azuritetest gives a test a real Azurite, Microsoft's emulator of blobs, queues and tables, for as long as the
// test runs. It needs Node.js; Azurite itself it installs, once, from npm.
package azuritetest

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// The account that Azurite has. The key is public.
const (
	Account = "devstoreaccount1"
	Key     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Azurite is a running emulator on free loopback ports. What it holds outlives Stop and Start, not the test.
type Azurite struct {
	Blobs, Queues, Tables string // the services' addresses, with the account

	t       testing.TB
	program string
	args    []string
	process *exec.Cmd
	stdin   io.Closer
	output  *output
	ended   chan struct{}
}

// Start starts an Azurite, which ends with the test. The test fails when there is none to be had. Should the test's
// process be killed, Azurite leaves by itself.
func Start(t testing.TB) *Azurite { return start(t) }

func start(t testing.TB, args ...string) *Azurite {
	t.Helper()
	a := &Azurite{t: t, program: install(t), args: append(args, "-l", t.TempDir())}
	a.run("0", "0", "0")
	t.Cleanup(a.Stop)
	return a
}

// ConnectionString is that of the account, for AzureWebJobsStorage.
func (a *Azurite) ConnectionString() string { return connectionString(a.Blobs, a.Queues, a.Tables) }

func connectionString(blobs, queues, tables string) string {
	scheme, _, _ := strings.Cut(tables, ":")
	return fmt.Sprintf("DefaultEndpointsProtocol=%s;AccountName=%s;AccountKey=%s;BlobEndpoint=%s;QueueEndpoint=%s;TableEndpoint=%s;",
		scheme, Account, Key, blobs, queues, tables)
}

// Stop ends Azurite, as an outage would. It may be called again.
func (a *Azurite) Stop() {
	a.stdin.Close()
	select {
	case <-a.ended:
	case <-time.After(20 * time.Second):
		_ = a.process.Process.Kill()
		<-a.ended
	}
}

// Start starts Azurite again after Stop: the same addresses, the same contents.
func (a *Azurite) Start() {
	a.t.Helper()
	a.run(port(a.Blobs), port(a.Queues), port(a.Tables))
}

// entry runs Azurite until its standard input ends: then it stops in order, so that what it holds is kept.
const entry = `process.stdin.resume().on("end", () => {
	setTimeout(() => process.exit(1), 15000).unref();
	process.emit("SIGTERM") || process.exit(1);
});
process.argv.splice(1, 0, "azurite");
require(process.env.AZURITE_PROGRAM);`

func (a *Azurite) run(blobPort, queuePort, tablePort string) {
	a.t.Helper()
	args := append([]string{"-e", entry, "--", "--silent", "--disableTelemetry", "--skipApiVersionCheck",
		"--blobPort", blobPort, "--queuePort", queuePort, "--tablePort", tablePort}, a.args...)
	a.process = exec.Command("node", args...)
	a.process.Env = append(a.process.Environ(), "AZURITE_PROGRAM="+a.program)
	a.output = &output{listening: make(chan string, 3)}
	a.process.Stdout, a.process.Stderr = a.output, a.output
	stdin, err := a.process.StdinPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	a.stdin = stdin
	if err := a.process.Start(); err != nil {
		a.t.Fatal(err)
	}
	process, ended := a.process, make(chan struct{})
	a.ended = ended
	go func() { _ = process.Wait(); close(ended) }()
	for _, address := range []*string{&a.Blobs, &a.Queues, &a.Tables} { // the order in which they start
		select {
		case at := <-a.output.listening:
			*address = at + "/" + Account
		case <-ended:
			a.t.Fatalf("Azurite did not start: %s", a.output)
		case <-time.After(time.Minute):
			_ = process.Process.Kill()
			a.t.Fatalf("Azurite did not start within a minute: %s", a.output)
		}
	}
}

func port(address string) string {
	host := strings.TrimSuffix(address, "/"+Account)
	return host[strings.LastIndex(host, ":")+1:]
}

// output is what Azurite says, and who is listening.
type output struct {
	mu        sync.Mutex
	text      bytes.Buffer
	found     int
	listening chan string
}

var listens = regexp.MustCompile(`successfully listening at (\S+)\n`)

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() < 1<<20 {
		o.text.Write(p)
	}
	for all := listens.FindAllSubmatch(o.text.Bytes(), -1); o.found < len(all); o.found++ {
		o.listening <- string(all[o.found][1])
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
