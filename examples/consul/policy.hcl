# What the ACL token of a proxy must be allowed, with the names of --consul-service anabranch:
#
#   consul acl policy create -name anabranch -rules @policy.hcl
#   consul acl token create -description "anabranch" -policy-name anabranch

# Register itself, and see the other proxies, also those of other datacentres.
service_prefix "anabranch" {
  policy = "write"
}
node_prefix "" {
  policy = "read"
}

# The leader's lock is a key that a session holds.
session_prefix "" {
  policy = "write"
}
key_prefix "anabranch/" {
  policy = "write"
}

# Only with --consul-query: the names of the queries.
query_prefix "anabranch" {
  policy = "read"
}
