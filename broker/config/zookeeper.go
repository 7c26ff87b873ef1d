package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"ottla/internal/jaas"
	"ottla/internal/keystore"
	"ottla/internal/zkdial"
)

// This file is how the session with the coordinator is protected. Part of that are not keys of server.properties: Java programs
// take them from properties of the JVM, which start scripts put into KAFKA_OPTS.

// systemProperties are the properties (-Dname=value) that KAFKA_OPTS sets.
func systemProperties(environ []string) map[string]string {
	set := map[string]string{}
	for _, e := range environ {
		opts, ok := strings.CutPrefix(e, "KAFKA_OPTS=")
		if !ok {
			continue
		}
		for o := range strings.FieldsSeq(opts) {
			if p, ok := strings.CutPrefix(o, "-D"); ok {
				name, value, _ := strings.Cut(p, "=")
				set[name] = strings.Trim(value, `"'`)
			}
		}
	}
	return set
}

// clientProperties are the JVM's names of keys: what Kafka looks at where a key is not set.
var clientProperties = map[string]string{
	"zookeeper.ssl.client.enable": "zookeeper.client.secure", "zookeeper.clientCnxnSocket": "zookeeper.clientCnxnSocket",
	"zookeeper.ssl.keystore.location": "zookeeper.ssl.keyStore.location", "zookeeper.ssl.keystore.password": "zookeeper.ssl.keyStore.password",
	"zookeeper.ssl.keystore.type": "zookeeper.ssl.keyStore.type", "zookeeper.ssl.truststore.location": "zookeeper.ssl.trustStore.location",
	"zookeeper.ssl.truststore.password": "zookeeper.ssl.trustStore.password", "zookeeper.ssl.truststore.type": "zookeeper.ssl.trustStore.type",
	"zookeeper.ssl.protocol": "zookeeper.ssl.protocol", "zookeeper.ssl.enabled.protocols": "zookeeper.ssl.enabledProtocols",
	"zookeeper.ssl.cipher.suites": "zookeeper.ssl.ciphersuites", "zookeeper.ssl.crl.enable": "zookeeper.ssl.crl",
	"zookeeper.ssl.ocsp.enable": "zookeeper.ssl.ocsp", "zookeeper.ssl.endpoint.identification.algorithm": "zookeeper.ssl.hostnameVerification",
}

// zooKeeperClient takes keys that are not set from the JVM's properties.
func (l *loader) zooKeeperClient(jvm map[string]string) {
	for key, property := range clientProperties {
		value, ok := jvm[property]
		if _, set := l.text[key]; set || !ok {
			continue
		}
		if property == "zookeeper.ssl.hostnameVerification" {
			value = map[string]string{"true": "HTTPS"}[value]
		}
		l.put(key, value, "KAFKA_OPTS")
	}
}

// secure fills in what protects the session. readFile reads the JAAS file; nil means os.ReadFile.
func (z *ZooKeeper) secure(v *values, jvm map[string]string, readFile func(string) ([]byte, error)) error {
	z.SetACL = v.bool("zookeeper.set.acl")
	text := func(key string) string { s, _ := v.get(key); return s }
	if v.bool("zookeeper.ssl.client.enable") {
		z.TLS = &keystore.Client{
			Key:     keystore.Store{Path: text("zookeeper.ssl.keystore.location"), Type: text("zookeeper.ssl.keystore.type"), Password: text("zookeeper.ssl.keystore.password")},
			Trust:   keystore.Store{Path: text("zookeeper.ssl.truststore.location"), Type: text("zookeeper.ssl.truststore.type"), Password: text("zookeeper.ssl.truststore.password")},
			Suites:  v.list("zookeeper.ssl.cipher.suites"),
			AnyName: !strings.EqualFold(text("zookeeper.ssl.endpoint.identification.algorithm"), "HTTPS"),
		}
		if z.TLS.Protocols = v.list("zookeeper.ssl.enabled.protocols"); len(z.TLS.Protocols) == 0 && text("zookeeper.ssl.protocol") != "TLS" {
			z.TLS.Protocols = []string{text("zookeeper.ssl.protocol")}
		}
		if _, _, err := z.TLS.Config(); err != nil {
			return fmt.Errorf("zookeeper.ssl.client.enable=true: %w", err)
		}
	}
	var err error
	if z.Login, err = zooKeeperLogin(jvm, readFile); err != nil {
		return err
	}
	if z.SetACL && z.Login == nil && (z.TLS == nil || z.TLS.Key.Path == "") {
		return errors.New("zookeeper.set.acl=true: the broker has no identity that nodes could belong to. Give it a user: a JAAS file with a section " +
			`Client { org.apache.zookeeper.server.auth.DigestLoginModule required username="NAME" password="PASSWORD"; }; and KAFKA_OPTS=-Djava.security.auth.login.config=FILE. ` +
			"Or a certificate: zookeeper.ssl.client.enable=true and zookeeper.ssl.keystore.location")
	}
	return nil
}

// zooKeeperLogin is the user of the JAAS file's section Client, nil if there is none.
func zooKeeperLogin(jvm map[string]string, readFile func(string) ([]byte, error)) (*zkdial.Login, error) {
	file, section := jvm["java.security.auth.login.config"], "Client"
	if s := jvm["zookeeper.sasl.clientconfig"]; s != "" {
		section = s
	}
	if file == "" {
		return nil, nil
	}
	if readFile == nil {
		readFile = os.ReadFile
	}
	b, err := readFile(file)
	if err != nil {
		return nil, fmt.Errorf("java.security.auth.login.config: %w", err)
	}
	sections, err := jaas.Parse(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	modules := sections[section]
	if len(modules) == 0 {
		return nil, nil // the file is for something else
	}
	if on, ok := jvm["zookeeper.sasl.client"]; ok && !strings.EqualFold(on, "true") {
		return nil, fmt.Errorf("zookeeper.sasl.client=%s, though %s has a section %s to log in to ZooKeeper with; remove one of them", on, file, section)
	}
	m := modules[0]
	if m.Name() != "DigestLoginModule" {
		return nil, fmt.Errorf("%s: section %s names %s; of the ways to log in to ZooKeeper only DigestLoginModule is known", file, section, m.Class)
	}
	login := &zkdial.Login{User: m.Options["username"], Password: m.Options["password"]}
	if login.User == "" {
		return nil, fmt.Errorf("%s: section %s has no username", file, section)
	}
	return login, nil
}

// Dialer connects to the servers. The error is about files that have changed since the configuration was read.
func (z *ZooKeeper) Dialer() (*zkdial.Dialer, error) {
	d := &zkdial.Dialer{Login: z.Login}
	if z.TLS != nil {
		c, _, err := z.TLS.Config()
		if err != nil {
			return nil, err
		}
		d.TLS = c
	}
	return d, nil
}
