package interop_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyMax   = 60 * time.Second
	commandMax = 90 * time.Second // for one command of a client
	stopMax    = 20 * time.Second
	bootDelay  = 50 * time.Millisecond // between looks at what a daemon printed
)

// Profiles under which both make the same CIDs.
const (
	profileNew = "unixfs-v1-2025"
	profileOld = "unixfs-v0-2015"
)

// peer is a running daemon and its client. The two programs differ in the words of their commands.
type peer struct {
	name    string
	profile string
	addr    string // multiaddr with the peer's ID
	gateway string
	binary  string
	args    []string // before every command of the client
	env     []string
	words   words
}

// words are the commands of a client that both programs have under different names.
type words struct {
	add, hash, get, connect, carExport, carImport []string
}

// startOurs starts a p2pnode daemon.
func startOurs(t *testing.T, name, profile string, more ...string) *peer {
	t.Helper()
	p := &peer{name: name, profile: profile, binary: *ourBinary, args: []string{"--repo", filepath.Join(t.TempDir(), "repo")}}
	p.words = words{
		add:       []string{"add", "-q", "--profile", profile},
		hash:      []string{"add", "-q", "--only-hash", "--profile", profile},
		get:       []string{"get", "--symlinks", "-o"},
		connect:   []string{"peers", "connect"},
		carExport: []string{"car", "export"},
		carImport: []string{"car", "import"},
	}
	printed := p.daemon(t, "ready", append([]string{"daemon", "--listen", "/ip4/127.0.0.1/tcp/0",
		"--gateway", "127.0.0.1:0", "--no-mdns", "--network", "interop"}, more...)...)
	p.gateway = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(printed)
	for _, line := range strings.Fields(p.run(t, "id")) {
		if strings.Contains(line, "/tcp/") && p.addr == "" {
			p.addr = line
		}
	}
	return p
}

// startKubo starts a Kubo daemon: profile test, no routing, no bootstrap peers.
func startKubo(t *testing.T, name, profile string) *peer {
	t.Helper()
	repo := filepath.Join(t.TempDir(), "repo")
	p := &peer{name: name, profile: profile, binary: *kuboBinary, env: []string{"IPFS_PATH=" + repo, "IPFS_TELEMETRY=off"}}
	p.words = words{
		add:       []string{"add", "-Q", "-r"},
		hash:      []string{"add", "-Q", "-r", "-n"},
		get:       []string{"get", "-o"},
		connect:   []string{"swarm", "connect"},
		carExport: []string{"dag", "export"},
		carImport: []string{"dag", "import"},
	}
	p.run(t, "init", "--profile", "test,"+profile)
	p.run(t, "config", "Routing.Type", "none")
	p.daemon(t, "Daemon is ready", "daemon")
	gateway, err := os.ReadFile(filepath.Join(repo, "gateway"))
	if err != nil {
		t.Fatal(err)
	}
	p.gateway = strings.TrimSpace(string(gateway))
	p.addr = strings.Fields(p.run(t, "id", "-f", "<addrs>"))[0]
	return p
}

// daemon starts the daemon, which ends with the test, and returns what it printed until the line ready.
func (p *peer) daemon(t *testing.T, ready string, args ...string) string {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // the clean-up below ends it
	if end, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-readyMax/4)) // a test that times out cleans nothing up
		t.Cleanup(cancel)
	}
	cmd := p.command(ctx, args...)
	var out syncBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(stopMax):
			t.Errorf("%s: still running %s after SIGTERM", p.name, stopMax)
			cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s printed:\n%s", p.name, out.String())
		}
	})
	deadline := time.After(readyMax)
	look := time.NewTicker(bootDelay)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if s := out.String(); strings.Contains("\n"+s, "\n"+ready+"\n") {
				return s
			}
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v", p.name, err)
		case <-deadline:
			t.Fatalf("%s: not ready after %s", p.name, readyMax)
		}
	}
}

func (p *peer) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.binary, append(append([]string{}, p.args...), args...)...)
	cmd.Env = append(os.Environ(), p.env...)
	return cmd
}

// run runs a command of the client and returns what it printed, without the last newline.
func (p *peer) run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandMax)
	defer cancel()
	var stderr bytes.Buffer
	cmd := p.command(ctx, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %s: %v\n%s", p.name, strings.Join(args, " "), errors.Join(ctx.Err(), err), stderr.String())
	}
	return strings.TrimSuffix(string(out), "\n")
}

func (p *peer) do(t *testing.T, words []string, arg string) string {
	t.Helper()
	return p.run(t, append(append([]string{}, words...), arg)...)
}

// fetch writes what cid names to a path and returns it. It pins first: Kubo's get of many small
// files takes a round trip for each.
func (p *peer) fetch(t *testing.T, cid string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	p.run(t, "pin", "add", cid)
	p.do(t, append(append([]string{}, p.words.get...), out), cid)
	return out
}

// syncBuffer is a buffer that a process writes while a test reads it.
type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
