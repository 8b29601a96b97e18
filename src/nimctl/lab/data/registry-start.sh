#!/bin/sh
# Start the registry: with TLS and a login where /etc/registry has them, else open (to be filled on loopback).
set -eu
config=/etc/registry-open.yml
if [ -f /etc/registry/password ]; then
  config=/etc/registry-tls.yml
  # The key has 160 random bits: a slow hash would guard nothing and cost time on each request.
  perl -e 'my $key = <STDIN>; chomp $key;
    my $salt = join "", map { (".", "/", "A".."Z", "a".."z", 0..9)[rand 64] } 1..22;
    print q($oauthtoken:), crypt($key, q($2b$05$) . $salt), "\n"' \
    < /etc/registry/password > /etc/registry/htpasswd
  chmod 0600 /etc/registry/htpasswd
fi
exec docker-registry serve "$config"
