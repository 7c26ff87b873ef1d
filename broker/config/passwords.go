package config

import (
	"crypto/rand"
	"fmt"

	"ottla/broker/config/keys"
	"ottla/broker/config/secret"
)

// encoder is the present password encoder, nil without password.encoder.secret.
func (c *Config) encoder() *secret.Encoder { return c.encoderOf("password.encoder.secret") }

func (c *Config) encoderOf(key string) *secret.Encoder {
	v := c.values
	s := v.string(key)
	if s == "" {
		return nil
	}
	return &secret.Encoder{Secret: s, KeyFactory: v.string("password.encoder.keyfactory.algorithm"), Cipher: v.string("password.encoder.cipher.algorithm"),
		KeyBits: int(v.int("password.encoder.key.length")), Iterations: int(v.int("password.encoder.iterations")), Random: rand.Read}
}

func (c *Config) encoderError() error {
	if e := c.encoder(); e != nil {
		if err := e.Check(); err != nil {
			return fmt.Errorf("password.encoder: %w", err)
		}
	}
	return nil
}

// sealed says whether the value of a dynamic key is stored encrypted.
func sealed(name string) bool {
	k, ok := keys.LookupBroker(name)
	return ok && k.Sensitive()
}
