package rival

import (
	"context"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	sweeping "github.com/libp2p/go-libp2p-kad-dht/provider"
	"github.com/libp2p/go-libp2p-kad-dht/provider/buffered"
	"github.com/libp2p/go-libp2p-kad-dht/provider/keystore"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
)

// provider announces what a block store gets, in the background: kad-dht's, with the
// settings of Kubo.
type provider struct {
	*buffered.SweepingProvider
	keys keystore.Keystore
}

func newProvider(k *Kad, state ds.Batching) (*provider, error) {
	keys, err := keystore.NewKeystore(state, keystore.WithPrefixBits(16), keystore.WithBatchSize(1<<14))
	if err != nil {
		return nil, fmt.Errorf("open provider: %w", err)
	}
	p, err := sweeping.New(
		sweeping.WithKeystore(keys), sweeping.WithDatastore(state),
		sweeping.WithHost(k.host), sweeping.WithRouter(k.dht), sweeping.WithMessageSender(k.dht.MessageSender()),
		sweeping.WithSelfAddrs(func() []ma.Multiaddr { return k.dht.FilteredAddrs() }),
		sweeping.WithAddLocalRecord(func(ctx context.Context, h mh.Multihash) error {
			return k.dht.Provide(ctx, cid.NewCidV1(cid.Raw, h), false)
		}),
		sweeping.WithReplicationFactor(amino.DefaultBucketSize),
		sweeping.WithReprovideInterval(22*time.Hour), sweeping.WithMaxReprovideDelay(time.Hour),
		sweeping.WithOfflineDelay(2*time.Hour), sweeping.WithConnectivityCheckOnlineInterval(time.Minute),
		sweeping.WithSendProviderRecordTimeout(10*time.Second),
		sweeping.WithMaxWorkers(16), sweeping.WithDedicatedPeriodicWorkers(2), sweeping.WithDedicatedBurstWorkers(1),
		sweeping.WithMaxProvideConnsPerWorker(20),
	)
	if err != nil {
		return nil, fmt.Errorf("open provider: %w", err)
	}
	return &provider{buffered.New(p, state, buffered.WithBatchSize(1<<10), buffered.WithIdleWriteTime(time.Minute)), keys}, nil
}

// Close ends it.
func (p *provider) Close() error {
	err := p.SweepingProvider.Close()
	if errKeys := p.keys.Close(); err == nil {
		err = errKeys
	}
	return err
}
