package resp

import "testing"

func TestAppend(t *testing.T) {
	for _, test := range []struct {
		got  []byte
		want string
	}{
		{AppendCommandStrings(nil, "GET", "k"), "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"},
		{AppendArray(nil, 12), "*12\r\n"},
		{AppendMap(nil, 2, RESP2), "*4\r\n"},
		{AppendMap(nil, 2, RESP3), "%2\r\n"},
		{AppendSet(nil, 2, RESP3), "~2\r\n"},
		{AppendPush(nil, 3, RESP2), "*3\r\n"},
		{AppendPush(nil, 3, RESP3), ">3\r\n"},
		{AppendInt(nil, -7), ":-7\r\n"},
		{AppendNull(nil, RESP2), "$-1\r\n"},
		{AppendNull(nil, RESP3), "_\r\n"},
		{AppendNullArray(nil, RESP2), "*-1\r\n"},
		{AppendVerbatim(nil, "ab", RESP2), "$2\r\nab\r\n"},
		{AppendVerbatim(nil, "ab", RESP3), "=6\r\ntxt:ab\r\n"},
		{AppendError(nil, "ERR a\r\nb"), "-ERR a  b\r\n"},
	} {
		if string(test.got) != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}
