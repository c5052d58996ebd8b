package main

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

const plainTries = 3 // of which the best counts

// best is the least of what f returns in a few tries.
func best(f func() (float64, error)) (float64, error) {
	least := math.Inf(1)
	for range plainTries {
		v, err := f()
		if err != nil {
			return 0, err
		}
		least = min(least, v)
	}
	return least, nil
}

// plainStore is the time, in seconds, that it takes to write and fsync the file at path, or to hash
// it on all cores, whichever is longer.
func (v *versus) plainStore(path string) (float64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	f, err := os.CreateTemp(v.dir, "plain")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	written := time.Since(start)
	start = time.Now()
	var all sync.WaitGroup
	cores := runtime.NumCPU()
	for i := range cores {
		all.Go(func() { sha256.Sum256(b[i*len(b)/cores : (i+1)*len(b)/cores]) })
	}
	all.Wait()
	return max(written, time.Since(start)).Seconds(), nil
}

// plainCopy is the rate, in MB/s, at which a bare TCP connection over loopback brings the file at
// path into another file.
func (v *versus) plainCopy(path string) (rate float64, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	sent := make(chan error, 1)
	go func() { sent <- serveFile(listener, path) }()
	out, err := os.CreateTemp(v.dir, "plain")
	if err != nil {
		return 0, err
	}
	defer os.Remove(out.Name())
	start := time.Now()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	n, err := io.Copy(out, conn)
	err = errors.Join(err, out.Close(), <-sent)
	return float64(n) / mb / time.Since(start).Seconds(), err
}

func serveFile(l net.Listener, path string) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(conn, f)
	return err
}

// plainTree is the time, in seconds, that it takes to write the files and folders of dir.
func (v *versus) plainTree(dir string) (float64, error) {
	out, err := os.MkdirTemp(v.dir, "plain")
	if err != nil {
		return 0, err
	}
	defer empty(out)
	start := time.Now()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(out, name), 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(out, name), b, 0o644)
	})
	return time.Since(start).Seconds(), err
}
