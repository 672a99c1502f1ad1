// Package differential sends the same commands to a plain redis-server and through Anabranch, and compares the bytes of
// every reply, and afterwards everything that the two hold.
//
//	testdata/*.txt ──► line ──┬──► redis-server (reference)          ──► bytes ──┐
//	                          └──► anabranch ──► redis-server        ──► bytes ──┴─ equal?
//
// Every script is played in both protocols, one command at a time, as one pipeline, and each command in a
// transaction, in front of one region and in a
// pair of regions, where the second must end equal as well.
//
// A line is a command in redis-cli's quoting: words, "double quotes with \n \xff escapes", 'single quotes'. The word
// <1000*ab> is "ab" a thousand times, and <0..3*f#,#> is f0 0 f1 1 f2 2. A line may begin with a directive:
//
//	# …               comment
//	!flush            FLUSHALL on both sides
//	!direct COMMAND   past the proxy, for data that was there before Anabranch came
//	!sleep 20         wait so many milliseconds
//	!unordered …      the reply is compared without regard to order
//	!shape …          only kinds and lengths are compared, for replies that are random by nature
//	!near 2000 …      integers may differ by so much, for times
//	!differs …        the replies must NOT be equal: a deliberate difference, which would otherwise go stale
package differential
