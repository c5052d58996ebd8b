package netns_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/p2pnode/p2pnode/testground/netns"
	"github.com/p2pnode/p2pnode/testground/process"
)

// TestMain lets this test binary play whoever makes a lab and is killed, and what runs in
// the lab.
func TestMain(m *testing.M) {
	switch os.Getenv("PLAY") {
	case "":
		os.Exit(m.Run())
	case "owner":
		if err := own(); err != nil {
			fmt.Println("no:", err)
			os.Exit(1)
		}
	case "tenant":
		fmt.Println("here")
	}
	<-time.After(time.Hour)
}

// own makes a lab and prints the ids of its namespace and of a process in it.
func own() error {
	lab, err := netns.Open(netns.Options{Hosts: 1})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return lab.Hosts()[0].Do(func() error {
		tenant, err := process.Start(context.Background(), process.Command{Path: self, Env: []string{"PLAY=tenant"}, Tied: true})
		if err != nil {
			return err
		}
		if _, err := tenant.Await(context.Background(), func(s string) bool { return s == "here" }); err != nil {
			return err
		}
		namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", tenant.Pid()))
		fmt.Println("tenant", tenant.Pid(), namespace)
		return err
	})
}

// Whoever makes a lab may be killed: nothing of it stays.
func TestKilled(t *testing.T) {
	if lab := open(t, 1); lab == nil {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	owner, err := process.Start(ctx, process.Command{Path: self, Env: []string{"PLAY=owner"}})
	if err != nil {
		t.Fatal(err)
	}
	line, err := owner.Await(ctx, func(s string) bool { return strings.HasPrefix(s, "tenant") })
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(line)
	if inhabitants(words[2]) == 0 {
		t.Fatalf("nobody lives in %q", line)
	}
	owner.Kill()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for inhabitants(words[2]) > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s or its namespace outlives its owner", line)
		}
	}
}

// inhabitants counts the processes in a network namespace.
func inhabitants(namespace string) (n int) {
	all, err := os.ReadDir("/proc")
	if err != nil {
		return -1
	}
	for _, p := range all {
		if at, err := os.Readlink("/proc/" + p.Name() + "/ns/net"); err == nil && at == namespace {
			n++
		}
	}
	return n
}
