// Package secret encrypts passwords for /config/brokers/<id>, in the format of Apache Kafka's PasswordEncoder, so that
// either broker reads what the other wrote. Pure: random numbers are passed in.
//
// The text is a list of key:value, separated by commas, in any order:
//
//	keyFactoryAlgorithm:PBKDF2WithHmacSHA512,cipherAlgorithm:AES/CBC/PKCS5Padding,initializationVector:<base64>,keyLength:128,
//	salt:<base64>,iterations:4096,encryptedPassword:<base64>,passwordLength:8
//
// The AES key is derived from the secret with PBKDF2; passwordLength is the length of the plain text in UTF-16 units,
// checked after decryption, which is what tells a wrong secret. A cipher in GCM mode
// (AES/GCM/NoPadding) authenticates as well, and adds authenticationTagLength:128.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Encoder encrypts and decrypts with one secret. The zero value of everything but Secret means Kafka's default. Safe for
// concurrent use.
type Encoder struct {
	Secret     string
	KeyFactory string // PBKDF2WithHmacSHA1, -SHA224, -SHA256, -SHA384, -SHA512 (default)
	Cipher     string // AES/CBC/PKCS5Padding (default), AES/GCM/NoPadding
	KeyBits    int    // 128 (default), 192, 256
	Iterations int    // 4096 (default)
	Random     func([]byte) (int, error)
}

var digests = map[string]func() hash.Hash{
	"PBKDF2WithHmacSHA1": sha1.New, "PBKDF2WithHmacSHA224": sha256.New224, "PBKDF2WithHmacSHA256": sha256.New,
	"PBKDF2WithHmacSHA384": sha512.New384, "PBKDF2WithHmacSHA512": sha512.New,
}

const (
	cbc           = "AES/CBC/PKCS5Padding"
	gcm           = "AES/GCM/NoPadding"
	iterationsMax = 1_000_000 // of a text that somebody else wrote: a bound on what decoding costs
)

func (e *Encoder) defaults() Encoder {
	d := *e
	if d.KeyFactory == "" {
		d.KeyFactory = "PBKDF2WithHmacSHA512"
	}
	if d.Cipher == "" {
		d.Cipher = cbc
	}
	if d.KeyBits == 0 {
		d.KeyBits = 128
	}
	if d.Iterations == 0 {
		d.Iterations = 4096
	}
	return d
}

// Check returns why the algorithms cannot be used, or nil.
func (e *Encoder) Check() error {
	d := e.defaults()
	switch {
	case digests[d.KeyFactory] == nil:
		return fmt.Errorf("key derivation %s is not known: want PBKDF2WithHmacSHA1, SHA224, SHA256, SHA384 or SHA512", d.KeyFactory)
	case d.Cipher != cbc && d.Cipher != gcm:
		return fmt.Errorf("cipher %s is not known: want %s or %s", d.Cipher, cbc, gcm)
	case d.KeyBits != 128 && d.KeyBits != 192 && d.KeyBits != 256:
		return fmt.Errorf("an AES key has 128, 192 or 256 bits, not %d", d.KeyBits)
	case d.Iterations < 1 || d.Iterations > iterationsMax:
		return fmt.Errorf("%d iterations: want 1 to %d", d.Iterations, iterationsMax)
	}
	return nil
}

func (e *Encoder) block(salt []byte) (cipher.Block, error) {
	key, err := pbkdf2.Key(digests[e.KeyFactory], e.Secret, salt, e.Iterations, e.KeyBits/8)
	if err != nil {
		return nil, err
	}
	return aes.NewCipher(key)
}

// Encode encrypts a password with a fresh salt and initialization vector.
func (e *Encoder) Encode(password string) (string, error) {
	if err := e.Check(); err != nil {
		return "", err
	}
	d := e.defaults()
	salt := make([]byte, 256)
	size := aes.BlockSize
	if d.Cipher == gcm {
		size = 12
	}
	iv := make([]byte, size)
	for _, b := range [][]byte{salt, iv} {
		if _, err := d.Random(b); err != nil {
			return "", err
		}
	}
	block, err := d.block(salt)
	if err != nil {
		return "", err
	}
	var sealed []byte
	if d.Cipher == gcm {
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return "", err
		}
		sealed = aead.Seal(nil, iv, []byte(password), nil)
	} else {
		n := aes.BlockSize - len(password)%aes.BlockSize
		sealed = append([]byte(password), strings.Repeat(string(rune(n)), n)...)
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, sealed)
	}
	b64 := base64.StdEncoding.EncodeToString
	tag := ""
	if d.Cipher == gcm {
		tag = ",authenticationTagLength:128"
	}
	return strings.Join([]string{
		"keyFactoryAlgorithm:" + d.KeyFactory, "cipherAlgorithm:" + d.Cipher, "initializationVector:" + b64(iv), "keyLength:" + strconv.Itoa(d.KeyBits),
		"salt:" + b64(salt), "iterations:" + strconv.Itoa(d.Iterations), "encryptedPassword:" + b64(sealed), "passwordLength:" + strconv.Itoa(units(password)) + tag,
	}, ","), nil
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// ErrSecret means that the text was encrypted with another secret, or is damaged.
var ErrSecret = errors.New("password is not encrypted with this password.encoder.secret")

// Decode decrypts what Encode, or Apache Kafka, wrote. The algorithms are those that the text names.
func (e *Encoder) Decode(text string) (string, error) {
	m := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(part, ":")
		if !ok {
			return "", errors.New("encrypted password is malformed: want key:value,…")
		}
		m[key] = value
	}
	number := func(name string) int { n, _ := strconv.Atoi(m[name]); return n }
	d := Encoder{Secret: e.Secret, KeyFactory: m["keyFactoryAlgorithm"], Cipher: m["cipherAlgorithm"], KeyBits: number("keyLength"), Iterations: number("iterations")}
	if err := d.Check(); err != nil {
		return "", fmt.Errorf("encrypted password: %w", err)
	}
	d = d.defaults()
	bytes := func(name string) []byte { b, _ := base64.StdEncoding.DecodeString(m[name]); return b }
	iv, sealed := bytes("initializationVector"), bytes("encryptedPassword")
	block, err := d.block(bytes("salt"))
	if err != nil {
		return "", fmt.Errorf("encrypted password: %w", err)
	}
	var plain []byte
	if d.Cipher == gcm {
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return "", err
		}
		if len(iv) != aead.NonceSize() {
			return "", ErrSecret
		}
		if plain, err = aead.Open(nil, iv, sealed, nil); err != nil {
			return "", ErrSecret
		}
	} else {
		if len(iv) != aes.BlockSize || len(sealed) == 0 || len(sealed)%aes.BlockSize != 0 {
			return "", ErrSecret
		}
		plain = make([]byte, len(sealed))
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, sealed)
		n := int(plain[len(plain)-1])
		if n == 0 || n > aes.BlockSize {
			return "", ErrSecret
		}
		for _, b := range plain[len(plain)-n:] {
			if int(b) != n {
				return "", ErrSecret
			}
		}
		plain = plain[:len(plain)-n]
	}
	if units(string(plain)) != number("passwordLength") {
		return "", ErrSecret
	}
	return string(plain), nil
}
