package commit

import "crypto/ed25519"

// The purposes keep signatures from being taken for those of anything else.
const (
	headPurpose = "p2pnode/crdt/head/1\x00"
	basePurpose = "p2pnode/crdt/base/1\x00"
)

// Sign signs a commit as a head of a document, which is named by its first commit.
func Sign(key ed25519.PrivateKey, doc, head ID) *Signature {
	return (*Signature)(ed25519.Sign(key, message(headPurpose, doc, head)))
}

// Verify tells whether the author has signed a head of the document.
func Verify(author Author, doc, head ID, s *Signature) bool {
	return s != nil && ed25519.Verify(author[:], message(headPurpose, doc, head), s[:])
}

// Digest is a SHA2-256 digest.
type Digest [32]byte

// SignBase signs what a document was as of a commit.
func SignBase(key ed25519.PrivateKey, doc, at ID, d Digest) *Signature {
	return (*Signature)(ed25519.Sign(key, append(message(basePurpose, doc, at), d[:]...)))
}

// VerifyBase tells whether the author has signed what the document was as of a commit.
func VerifyBase(author Author, doc, at ID, d Digest, s *Signature) bool {
	return s != nil && ed25519.Verify(author[:], append(message(basePurpose, doc, at), d[:]...), s[:])
}

func message(purpose string, doc, id ID) []byte {
	m := make([]byte, 0, len(purpose)+len(doc)+len(id)+len(Digest{}))
	m = append(m, purpose...)
	m = append(m, doc[:]...)
	return append(m, id[:]...)
}

// AuthorOf is the author who has this key.
func AuthorOf(key ed25519.PrivateKey) Author {
	return Author(key.Public().(ed25519.PublicKey))
}
