package gateway_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	ipld "github.com/ipfs/go-ipld-format"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/p2pnode/p2pnode/gateway"
)

// values is what a DHT would know.
type values map[string][]byte

func (v values) GetValue(_ context.Context, key string) ([]byte, error) {
	if value, ok := v[key]; ok {
		return value, nil
	}
	return nil, errors.New("no record")
}

// zone is what the DNS would know. It counts questions by refusing unknown names.
type zone map[string][]string

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if txt, ok := z[name]; ok {
		return txt, nil
	}
	return nil, errors.New("no such host")
}

func record(t *testing.T, key crypto.PrivKey, value path.Path, ttl time.Duration) []byte {
	t.Helper()
	r, err := ipns.NewRecord(key, value, 1, time.Now().Add(time.Hour), ttl)
	if err != nil {
		t.Fatal(err)
	}
	data, err := ipns.MarshalRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func newName(t *testing.T) (crypto.PrivKey, ipns.Name) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, ipns.NameFromPeer(id)
}

func TestIPNS(t *testing.T) {
	d := newDAG(t)
	root := d.directory(map[string]ipld.Node{"a.txt": d.file([]byte("hello"), 100, true)})
	key, name := newName(t)
	_, unknown := newName(t)
	_, forged := newName(t)
	signed := record(t, key, path.FromCid(root.Cid()), 30*time.Second)
	known := values{string(name.RoutingKey()): signed, string(forged.RoutingKey()): signed}
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{Names: known, DNS: zone{}})
	s.get("/ipns/"+name.String()+"/a.txt").want(t, 200, "Cache-Control: public, max-age=30",
		"Ipfs-Uri: ipns://"+name.String()+"/a.txt").wantBody(t, []byte("hello"))
	s.get("/a.txt", "Host: "+name.String()+".ipns.localhost").want(t, 200, "Content-Security-Policy").wantBody(t, []byte("hello"))
	s.get("/ipns/"+name.String()+"?format=ipns-record").want(t, 200,
		"Content-Type: application/vnd.ipfs.ipns-record", "Cache-Control: public, max-age=30").wantBody(t, signed)
	for _, n := range []ipns.Name{unknown, forged} {
		s.get("/ipns/"+n.String()+"/a.txt").want(t, 502)
		s.get("/ipns/"+n.String()+"?format=ipns-record").want(t, 502)
	}
	// Peer IDs in base58 are redirected to their canonical form.
	s.get("/ipns/"+name.Peer().String()).want(t, 302, "Location: /ipns/"+name.String())
}

// hanging is a DHT in which a lookup does not end.
type hanging struct{}

func (hanging) GetValue(ctx context.Context, _ string) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestIPNSTimeout(t *testing.T) {
	_, name := newName(t)
	s := newSite(t, always(missing("no peers")), &memory{}, gateway.Options{Names: hanging{}, DNS: zone{}, RetrievalTimeout: 50 * time.Millisecond})
	s.get("/ipns/"+name.String()).want(t, 504).wantText(t, "resolve name")
	s.get("/ipns/"+name.String()+"?format=ipns-record").want(t, 504).wantText(t, "resolve name")
}

func TestDNSLink(t *testing.T) {
	d := newDAG(t)
	root := d.directory(map[string]ipld.Node{"index.html": d.file([]byte("site"), 100, true)})
	link := []string{"dnslink=/ipfs/" + root.Cid().String()}
	dns := zone{"_dnslink.example.org.": link, "_dnslink.en.my-site.org.": link, "_dnslink.example.org": link, "_dnslink.en.my-site.org": link}
	s := newSite(t, always(missing("no peers")), d.memory(), gateway.Options{DNS: dns, Sites: []string{"example.org"}, Hosts: []string{"gw.example.com"}})
	s.get("/ipns/example.org/").want(t, 200).wantBody(t, []byte("site"))
	s.get("/", "Host: example.org").want(t, 200, "Content-Security-Policy").wantBody(t, []byte("site"))
	s.get("/", "Host: en-my--site-org.ipns.gw.example.com").want(t, 200).wantBody(t, []byte("site"))
	s.get("/ipns/en.my-site.org/", "Host: gw.example.com").want(t, 301, "Location: http://en-my--site-org.ipns.gw.example.com/")
	s.get("/ipns/unknown.org/").want(t, 502)
	s.get("/", "Host: unknown.org").want(t, 403)
	s.get("/", "Host: en.my-site.org").want(t, 403)
}
