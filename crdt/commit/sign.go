package commit

import "crypto/ed25519"

// purpose keeps signatures of heads from being taken for those of anything else.
const purpose = "p2pnode/crdt/head/1\x00"

// Sign signs a commit as a head of a document, which is named by its first commit.
func Sign(key ed25519.PrivateKey, doc, head ID) *Signature {
	return (*Signature)(ed25519.Sign(key, message(doc, head)))
}

// Verify tells whether the author has signed a head of the document.
func Verify(author Author, doc, head ID, s *Signature) bool {
	return s != nil && ed25519.Verify(author[:], message(doc, head), s[:])
}

func message(doc, head ID) []byte {
	m := make([]byte, 0, len(purpose)+2*len(doc))
	m = append(m, purpose...)
	m = append(m, doc[:]...)
	return append(m, head[:]...)
}

// AuthorOf is the author who has this key.
func AuthorOf(key ed25519.PrivateKey) Author {
	return Author(key.Public().(ed25519.PublicKey))
}
