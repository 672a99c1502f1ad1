# /etc/consul.d/anabranch.hcl of @machine@: one of the region's servers, and the agent that the proxy of this machine talks to.
datacenter       = "@region@"
node_name        = "@machine@"
server           = true
bootstrap_expect = @servers@
data_dir         = "/var/lib/consul"
bind_addr        = "@address@"
client_addr      = "127.0.0.1"
encrypt          = "@gossip_key@"

# The others of this region, and those of the other regions.
retry_join     = [@joined@]
retry_join_wan = [@joined_wan@]

# Nothing here uses these.
connect { enabled = false }
ports {
  dns      = -1
  grpc     = -1
  grpc_tls = -1
}
