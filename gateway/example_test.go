package gateway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/ipfs/go-cid"

	"github.com/p2pnode/p2pnode/block"
	"github.com/p2pnode/p2pnode/gateway"
)

// one is a getter of a single block.
type one struct{ block.Block }

func (o one) Get(_ context.Context, c cid.Cid) (block.Block, error) {
	if c != o.Cid() {
		return block.Block{}, &block.NotFoundError{Cid: c}
	}
	return o.Block, nil
}

func Example() {
	b, err := block.New([]byte("hello"), block.Prefix{Codec: cid.Raw})
	if err != nil {
		panic(err)
	}
	local := one{b}
	network := func(context.Context) block.Getter { return local } // nobody else is asked
	h, err := gateway.New(network, local, gateway.Options{})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()

	res, err := http.Get(server.URL + "/ipfs/" + b.Cid().String())
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	fmt.Println(res.StatusCode, res.Header.Get("Etag"), string(body), err)
	// Output: 200 "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq" hello <nil>
}
