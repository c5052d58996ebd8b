package gateway

import (
	"context"
	"net"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/namesys"
	"github.com/libp2p/go-libp2p/core/routing"
)

const (
	// namesCacheMax is the number of resolved names that are remembered.
	namesCacheMax = 1024
	// namesCacheTTLMax is how long one is, whatever its record says.
	namesCacheTTLMax = time.Minute
)

// newNames makes the system that resolves IPNS names and DNSLink.
func newNames(values routing.ValueStore, dns Resolver) (namesys.NameSystem, error) {
	if dns == nil {
		dns = net.DefaultResolver
	}
	return namesys.NewNameSystem(values,
		namesys.WithCache(namesCacheMax),
		namesys.WithMaxCacheTTL(namesCacheTTLMax),
		namesys.WithDNSResolverWithTTL(func(ctx context.Context, name string) ([]string, time.Duration, error) {
			txt, err := dns.LookupTXT(ctx, name)
			return txt, 0, err // the system's resolver does not tell the TTL
		}))
}

// records is Names as libp2p's value store. It lets only records through that
// are signed by the name they are for.
type records struct{ names Names }

func (r records) GetValue(ctx context.Context, key string, _ ...routing.Option) ([]byte, error) {
	name, err := ipns.NameFromRoutingKey([]byte(key))
	if err != nil {
		return nil, err
	}
	if r.names == nil {
		return nil, routing.ErrNotFound
	}
	value, err := r.names.GetValue(ctx, key)
	if err != nil {
		return nil, err
	}
	record, err := ipns.UnmarshalRecord(value)
	if err != nil {
		return nil, err
	}
	if err := ipns.ValidateWithName(record, name); err != nil {
		return nil, err
	}
	return value, nil
}

func (r records) SearchValue(ctx context.Context, key string, _ ...routing.Option) (<-chan []byte, error) {
	value, err := r.GetValue(ctx, key)
	if err != nil {
		return nil, err
	}
	out := make(chan []byte, 1)
	out <- value
	close(out)
	return out, nil
}

func (r records) PutValue(context.Context, string, []byte, ...routing.Option) error {
	return routing.ErrNotSupported
}
