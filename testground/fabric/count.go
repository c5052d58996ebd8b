package fabric

// Open counts the ends of connections, and of streams, that the peer has. Those of
// a peer that has crashed are gone.
func (n *NIC) Open() (conns, streams int) {
	n.f.mu.Lock()
	defer n.f.mu.Unlock()
	for c := range n.conns {
		streams += len(c.streams)
	}
	return len(n.conns), streams
}
