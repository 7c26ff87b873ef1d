package digestmd5

import "testing"

// TestLogin: the two sides understand each other, and neither is content with less than the password.
func TestLogin(t *testing.T) {
	users := map[string]string{"alice": "secret", `q"u\o`: "p", "ümläut": "grüße", "日本": "語"}
	lookup := func(user string) (string, bool) { p, ok := users[user]; return p, ok }
	for user, password := range users {
		server, client := &Server{Nonce: "n1", Password: lookup}, &Login{User: user, Password: password, Nonce: "n2"}
		challenge, err := server.Next(nil)
		if err != nil {
			t.Fatal(err)
		}
		token, err := client.Answer(challenge)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := server.Next(token)
		if err != nil {
			t.Errorf("%s: %v", user, err)
		}
		if who, ok := server.User(); !ok || who != user {
			t.Errorf("%s is %q", user, who)
		}
		if err := client.Verify(answer); err != nil {
			t.Error(err)
		}
		if client.Verify(append(answer, 'x')) == nil || client.Verify(nil) == nil {
			t.Error("a server that does not know the password was believed")
		}
	}
	server, client := &Server{Nonce: "n1", Password: lookup}, &Login{User: "alice", Password: "wrong", Nonce: "n2"}
	challenge, _ := server.Next(nil)
	token, _ := client.Answer(challenge)
	if _, err := server.Next(token); err == nil {
		t.Error("a wrong password passed")
	}
	for _, bad := range []string{"", "nonsense", `realm="x"`, `nonce="`} {
		if _, err := client.Answer([]byte(bad)); err == nil {
			t.Errorf("%q was answered", bad)
		}
	}
}
