// Package shape checks a body against its layout before anything decodes it. A decoder that makes room for what a body claims can
// be had for a few bytes: an array of ten million, a section of four billion tagged fields. A checked body claims nothing that
// is not there, and its decoded size is known to be within a limit. Pure, and it knows no decoder.
//
// # What is checked
//
// A walk over the body, once and without allocating, sees that every length and count fits into what is left of the body or of
// the tagged field around it, that nothing is null which may not be, that strings have at most 32767 bytes, and that what the body
// would decode to stays below a limit. The walk stops at the first offence. Bytes behind the last field are not looked at, as in
// Apache Kafka.
//
// A body passes exactly if Apache Kafka's message classes read it (the order of tags is of no concern to them, nor are tags that
// come twice), but for what only a hostile or broken peer would send and decoders would not agree about:
//
//   - A uvarint above 2^31-1, which Java takes for a negative number: null, or no tags at all.
//   - A tagged field whose size is not that of its value: Java goes on where the value ends.
//   - A known tag in a version that does not have it yet: Java refuses it, here it passes as an unknown one.
//
// # The notation
//
// shapes.txt has a line for each run of versions that are laid out alike, with what Apache Kafka's own message classes say about
// themselves (scripts/shapes):
//
//	KIND KEY NAME FIRST-LAST LAYOUT
//	Q 8 OffsetCommit 8-9 S4SS?({S({484S?<>})<>})<>
//
// KIND is Q for a request, P for an answer. A LAYOUT is a sequence of fields, "." if there are none:
//
//	1 2 4 8       a number of so many bytes
//	u             a UUID, 16 bytes
//	s  b  [FIELD] a string, bytes, an array: the length is an int16, an int32, an int32
//	S  B  (FIELD) the same in flexible versions: the length is a uvarint, one more than there is
//	?             behind one of these six: it may be null
//	{FIELDS}      a structure
//	<N:FIELD,…>   a section of tagged fields, and those of them that are known
package shape
