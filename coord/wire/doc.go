// Package wire is ZooKeeper's client protocol as bytes: frames, jute records, operation and error codes.
//
// # Encoding
//
// Everything is big-endian. A frame is an int32 length and that many bytes; the length does not count itself.
//
//	int     4 bytes          string  int length, UTF-8 bytes; length -1 is null
//	long    8 bytes          buffer  int length, bytes; length -1 is null, which is not the same as empty
//	bool    1 byte           vector  int count, elements; count -1 is null
//
// A record is its fields one after the other. The first frame of a connection holds a ConnectRequest and nothing else; every
// later one a request header {int xid, int op} and the record of that operation. Answers begin with a reply header {int xid,
// long zxid, int err}, followed by a record only if err is 0.
//
// Example: getData "/f" with a watch, xid 22, as it travels:
//
//	0000000f                length 15
//	00000016 00000004       xid 22, op 4
//	00000002 2f66 01        "/f", true
//
// # Use
//
// Decoder reads records from a frame without copying: byte slices it returns point into the frame. It has a sticky error, so a
// record is decoded by calling its methods in a row and asking Err once. Encoders are append functions, so that an answer is
// written straight into the buffer that goes to the socket. Buffer splits a byte stream into frames; it grows with the bytes
// that arrive and never with a length that a frame claims.
//
// Nothing here knows what an operation means, and nothing allocates on the paths of requests, except for strings that are kept.
package wire
