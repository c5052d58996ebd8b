package quicnet

// Socket opens a NIC's socket, as QUIC does.
var Socket = (*NIC).listen
