package backend

import (
	"testing"

	"anabranch/internal/resp"
	"anabranch/translate"
)

func TestShapes(t *testing.T) {
	for _, test := range []struct {
		shape             translate.Shape
		reply, two, three string
	}{
		{translate.ShapeInteger, ":5\r\n", ":5\r\n", ":5\r\n"},
		{translate.ShapeInteger, "$19\r\n9223372036854775807\r\n", ":9223372036854775807\r\n", ":9223372036854775807\r\n"},
		{translate.ShapeInteger, "-ERR overflow\r\n", "-ERR overflow\r\n", "-ERR overflow\r\n"},
		{translate.ShapeIntegers, "*3\r\n:1\r\n$2\r\n-7\r\n$-1\r\n", "*3\r\n:1\r\n:-7\r\n$-1\r\n", "*3\r\n:1\r\n:-7\r\n$-1\r\n"},
		{translate.ShapeDouble, "$3\r\n1.5\r\n", "$3\r\n1.5\r\n", ",1.5\r\n"},
		{translate.ShapeDouble, "_\r\n", "_\r\n", "_\r\n"},
		{translate.ShapeSet, "*2\r\n$1\r\na\r\n$1\r\nb\r\n", "*2\r\n$1\r\na\r\n$1\r\nb\r\n", "~2\r\n$1\r\na\r\n$1\r\nb\r\n"},
		{translate.ShapeSet, "*0\r\n", "*0\r\n", "~0\r\n"},
		{translate.ShapeNullArray, "$-1\r\n", "*-1\r\n", "_\r\n"},
		{translate.ShapeNullArray, "*1\r\n$1\r\na\r\n", "*1\r\n$1\r\na\r\n", "*1\r\n$1\r\na\r\n"},
		{translate.ShapeScorePair, "*2\r\n$1\r\na\r\n$1\r\n1\r\n", "*2\r\n$1\r\na\r\n$1\r\n1\r\n", "*2\r\n$1\r\na\r\n,1\r\n"},
		{translate.ShapeScorePair, "*0\r\n", "*0\r\n", "*0\r\n"},
		{translate.ShapeScorePairs, "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$3\r\ninf\r\n", "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$3\r\ninf\r\n",
			"*2\r\n*2\r\n$1\r\na\r\n,1\r\n*2\r\n$1\r\nb\r\n,inf\r\n"},
		{translate.ShapePopScorePairs, "$-1\r\n", "*-1\r\n", "_\r\n"},
		{translate.ShapePopScorePairs, "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n", "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n",
			"*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\na\r\n,1\r\n"},
		{translate.ShapeStreams, "$-1\r\n", "*-1\r\n", "$-1\r\n"},
		{translate.ShapeStreams, "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n$-1\r\n", "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*-1\r\n",
			"%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n$-1\r\n"},
		{translate.ShapeStreams, "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n_\r\n", "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n_\r\n",
			"%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n_\r\n"},
		{translate.ShapePopScore, "$-1\r\n", "*-1\r\n", "_\r\n"},
		{translate.ShapePopScore, "*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\n1\r\n", "*3\r\n$1\r\nz\r\n$1\r\na\r\n$1\r\n1\r\n",
			"*3\r\n$1\r\nz\r\n$1\r\na\r\n,1\r\n"},
		{translate.ShapeKeys, "*3\r\n$1\r\na\r\n$8\r\ncrdt:log\r\n$5\r\ncrdt:\r\n", "*1\r\n$1\r\na\r\n", "*1\r\n$1\r\na\r\n"},
		{translate.ShapeKeys, "*0\r\n", "*0\r\n", "*0\r\n"},
		{translate.ShapeScan, "*2\r\n$2\r\n17\r\n*2\r\n$5\r\ncrdt:\r\n$4\r\ncrdt\r\n", "*2\r\n$2\r\n17\r\n*1\r\n$4\r\ncrdt\r\n", "*2\r\n$2\r\n17\r\n*1\r\n$4\r\ncrdt\r\n"},
		{translate.ShapeScan, "-ERR invalid cursor\r\n", "-ERR invalid cursor\r\n", "-ERR invalid cursor\r\n"},
	} {
		if got := string(appendShaped(nil, []byte(test.reply), test.shape, 2, "crdt:")); got != test.two {
			t.Errorf("%v of %q in RESP2: %q, want %q", test.shape, test.reply, got, test.two)
		}
		if got := string(appendShaped(nil, []byte(test.reply), test.shape, 3, "crdt:")); got != test.three {
			t.Errorf("%v of %q in RESP3: %q, want %q", test.shape, test.reply, got, test.three)
		}
	}
}

func FuzzShapes(f *testing.F) {
	for _, reply := range []string{"*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\n1\r\n", "*3\r\n:1\r\n:2\r\n:3\r\n", "$-1\r\n", "*-1\r\n", "*2\r\n*0\r\n*0\r\n"} {
		for shape := range translate.ShapeIntegers + 1 {
			f.Add([]byte(reply), uint8(shape))
		}
	}
	f.Fuzz(func(t *testing.T, reply []byte, shape uint8) {
		if !isWhole(reply) {
			return // the lane shapes whole replies only
		}
		for proto := 2; proto <= 3; proto++ {
			shaped := appendShaped(nil, reply, translate.Shape(shape)%(translate.ShapeIntegers+1), proto, "crdt:")
			if !isWhole(shaped) {
				t.Fatalf("%q became %q", reply, shaped)
			}
		}
	})
}

func isWhole(reply []byte) bool {
	var scan resp.ReplyScanner
	end, done, err := scan.Scan(reply, 0, 1)
	return err == nil && done == 1 && end == len(reply)
}
